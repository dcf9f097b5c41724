//! The table of all supported `OTEL_*` variables with their types, and of the variables in the
//! specification that have no effect.

/// The type of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// `true` or `false`.
    Flag,
    /// One of these values.
    Word(&'static [&'static str]),
    /// A comma-separated list of these values.
    Words(&'static [&'static str]),
    /// A whole number.
    Number,
    /// A number from 0 to 1.
    Ratio,
    /// An `http://` or `https://` URL; for gRPC also without a scheme.
    Address,
    /// Comma-separated `key=value` pairs. May contain secrets.
    Pairs,
    /// Any text.
    Text,
}

/// A variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub takes: Takes,
    /// Its effect.
    pub description: &'static str,
}

impl Takes {
    /// The text that completes "expected …".
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Flag => "true or false".into(),
            Self::Word(words) => listed(words),
            Self::Words(words) => format!("{}, or several of them, separated by commas", listed(words)),
            Self::Number => "a whole number".into(),
            Self::Ratio => "a number from 0 to 1".into(),
            Self::Address => "an http or https address, or for grpc host:port".into(),
            Self::Pairs => "key=value pairs, separated by commas".into(),
            Self::Text => "text".into(),
        }
    }

    pub(super) fn accepts(self, value: &str) -> bool {
        match self {
            Self::Flag => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Self::Word(words) => words.contains(&value),
            Self::Words(words) => value.split(',').all(|word| words.contains(&word.trim())),
            Self::Number => value.parse::<u32>().is_ok(),
            Self::Ratio => value.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio)),
            Self::Address => {
                let is_web = |text: &str| {
                    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
                };
                if value.contains("://") { is_web(value) } else { is_web(&format!("http://{value}")) }
            }
            Self::Pairs => {
                value.split(',').all(|pair| pair.split_once('=').is_some_and(|(key, _)| !key.trim().is_empty()))
            }
            Self::Text => true,
        }
    }

    /// True if a value may be shown.
    const fn is_public(self) -> bool {
        !matches!(self, Self::Pairs | Self::Address | Self::Text)
    }
}

fn listed(words: &[&str]) -> String {
    match words {
        [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        words => words.join(", "),
    }
}

/// The problem with a value, if there is one.
#[must_use]
pub(super) fn wrong(variable: &Variable, value: &str) -> Option<String> {
    if variable.takes.accepts(value) {
        return None;
    }
    let shown = if variable.takes.is_public() {
        format!(", not `{}`", value.chars().take(60).collect::<String>())
    } else {
        String::new()
    };
    // Without a valid address a signal is not exported. Sending it to the default address instead
    // would be worse.
    let effect = if variable.takes == Takes::Address { "nothing is sent there" } else { "it is ignored" };
    Some(format!("{}: expected {}{shown}; {effect}", variable.name, variable.takes.expected()))
}

const PROTOCOLS: Takes = Takes::Word(&["grpc", "http/protobuf"]);
const COMPRESSIONS: Takes = Takes::Word(&["gzip", "none"]);

macro_rules! variables {
    ($($name:literal $takes:expr, $description:literal;)+) => {
        /// The table of supported variables.
        pub const VARIABLES: &[Variable] = &[$(Variable { name: $name, takes: $takes, description: $description }),+];
    };
}

variables! {
    "OTEL_SDK_DISABLED" Takes::Flag, "Exports nothing at all. `/metrics` and the logs on standard error stay.";
    "OTEL_TRACES_EXPORTER" Takes::Words(&["otlp", "none"]), "Default: otlp if an endpoint is set, otherwise none.";
    "OTEL_METRICS_EXPORTER" Takes::Words(&["otlp", "prometheus", "none"]), "Default: otlp if an endpoint is set, otherwise none. `/metrics` is always available.";
    "OTEL_LOGS_EXPORTER" Takes::Words(&["otlp", "none"]), "Default: none. Logs always go to standard error.";
    "OTEL_PROPAGATORS" Takes::Words(&["tracecontext", "baggage", "none"]), "Default: tracecontext,baggage. Without tracecontext the `traceparent` of callers is ignored. Baggage is not passed on.";
    "OTEL_SERVICE_NAME" Takes::Text, "Default: kastrel.";
    "OTEL_RESOURCE_ATTRIBUTES" Takes::Pairs, "Further attributes of this process, such as deployment.environment.name=production.";
    "OTEL_TRACES_SAMPLER" Takes::Word(&["always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"]), "Default: parentbased_always_on. A scan is sampled as a whole: its spans follow the decision about its submission.";
    "OTEL_TRACES_SAMPLER_ARG" Takes::Ratio, "The ratio of traceidratio.";
    "OTEL_EXPORTER_OTLP_ENDPOINT" Takes::Address, "The address of the collector. Default: http://localhost:4317 for grpc, http://localhost:4318 for http/protobuf.";
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" Takes::Address, "The same for spans; for http/protobuf including the path.";
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" Takes::Address, "The same for metrics.";
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT" Takes::Address, "The same for logs.";
    "OTEL_EXPORTER_OTLP_PROTOCOL" PROTOCOLS, "Default: http/protobuf.";
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL" PROTOCOLS, "The same for spans.";
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL" PROTOCOLS, "The same for metrics.";
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL" PROTOCOLS, "The same for logs.";
    "OTEL_EXPORTER_OTLP_HEADERS" Takes::Pairs, "Headers of each request, such as an API key. Never shown.";
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS" Takes::Pairs, "The same for spans.";
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS" Takes::Pairs, "The same for metrics.";
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS" Takes::Pairs, "The same for logs.";
    "OTEL_EXPORTER_OTLP_TIMEOUT" Takes::Number, "Milliseconds for one request. Default: 10000.";
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT" Takes::Number, "The same for spans.";
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT" Takes::Number, "The same for metrics.";
    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT" Takes::Number, "The same for logs.";
    "OTEL_EXPORTER_OTLP_COMPRESSION" COMPRESSIONS, "gzip works with grpc only. Default: none.";
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION" COMPRESSIONS, "The same for spans.";
    "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION" COMPRESSIONS, "The same for metrics.";
    "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION" COMPRESSIONS, "The same for logs.";
    "OTEL_EXPORTER_OTLP_CERTIFICATE" Takes::Text, "A PEM file: the authority of the collector's certificate.";
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE" Takes::Text, "The same for spans.";
    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE" Takes::Text, "The same for metrics.";
    "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE" Takes::Text, "The same for logs.";
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE" Takes::Text, "A PEM file: the client's own certificate.";
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE" Takes::Text, "The same for spans.";
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE" Takes::Text, "The same for metrics.";
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE" Takes::Text, "The same for logs.";
    "OTEL_EXPORTER_OTLP_CLIENT_KEY" Takes::Text, "A PEM file: the key of the client's certificate.";
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY" Takes::Text, "The same for spans.";
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY" Takes::Text, "The same for metrics.";
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY" Takes::Text, "The same for logs.";
    "OTEL_EXPORTER_OTLP_INSECURE" Takes::Flag, "Whether grpc endpoints without a scheme are http and not https. Default: false.";
    "OTEL_EXPORTER_OTLP_TRACES_INSECURE" Takes::Flag, "The same for spans.";
    "OTEL_EXPORTER_OTLP_METRICS_INSECURE" Takes::Flag, "The same for metrics.";
    "OTEL_EXPORTER_OTLP_LOGS_INSECURE" Takes::Flag, "The same for logs.";
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE" Takes::Word(&["cumulative", "delta", "lowmemory"]), "Default: cumulative.";
    "OTEL_BSP_SCHEDULE_DELAY" Takes::Number, "Milliseconds between two batches of spans. Default: 5000.";
    "OTEL_BSP_MAX_QUEUE_SIZE" Takes::Number, "The most spans that wait; further ones are dropped. Default: 2048.";
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" Takes::Number, "Spans in a batch. Default: 512.";
    "OTEL_BLRP_SCHEDULE_DELAY" Takes::Number, "Milliseconds between two batches of log records. Default: 1000.";
    "OTEL_BLRP_MAX_QUEUE_SIZE" Takes::Number, "The most log records that wait. Default: 2048.";
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE" Takes::Number, "Log records in a batch. Default: 512.";
    "OTEL_METRIC_EXPORT_INTERVAL" Takes::Number, "Milliseconds between two pushes of metrics. Default: 60000.";
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT" Takes::Number, "Attributes of a span. Default: 128.";
    "OTEL_SPAN_EVENT_COUNT_LIMIT" Takes::Number, "Events of a span. Default: 128.";
    "OTEL_SPAN_LINK_COUNT_LIMIT" Takes::Number, "Links of a span. Default: 128.";
}

const SPANS_HAVE_THEIRS: &str = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT limits spans";
const VALUES_ARE_SHORT: &str = "Kastrel's values are short";
const REQUESTS_ARE_LIMITED: &str = "OTEL_EXPORTER_OTLP_TIMEOUT limits each request";
const OWN_BOUNDS: &str = "each histogram has its own bounds";
const ONLY_OTLP: &str = "Kastrel exports OTLP only";
const OWN_METRICS: &str = "Prometheus reads /metrics of each process";

/// The variables of the specification that Kastrel ignores, each with the alternative.
pub const UNHEEDED: &[(&str, &str)] = &[
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", SPANS_HAVE_THEIRS),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", VALUES_ARE_SHORT),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", VALUES_ARE_SHORT),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "an event has one attribute"),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "a link has one attribute"),
    ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", VALUES_ARE_SHORT),
    ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", VALUES_ARE_SHORT),
    ("OTEL_BSP_EXPORT_TIMEOUT", REQUESTS_ARE_LIMITED),
    ("OTEL_BLRP_EXPORT_TIMEOUT", REQUESTS_ARE_LIMITED),
    ("OTEL_METRIC_EXPORT_TIMEOUT", REQUESTS_ARE_LIMITED),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "there are no exemplars"),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", OWN_BOUNDS),
    ("OTEL_EXPORTER_PROMETHEUS_HOST", OWN_METRICS),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", OWN_METRICS),
    ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", ONLY_OTLP),
    ("OTEL_EXPORTER_ZIPKIN_TIMEOUT", ONLY_OTLP),
    ("OTEL_EXPORTER_JAEGER_ENDPOINT", ONLY_OTLP),
    ("OTEL_EXPORTER_JAEGER_AGENT_HOST", ONLY_OTLP),
    ("OTEL_EXPORTER_JAEGER_AGENT_PORT", ONLY_OTLP),
    ("OTEL_LOG_LEVEL", "log.level selects the lines"),
    ("OTEL_CONFIG_FILE", "only these variables are read"),
    ("OTEL_EXPERIMENTAL_CONFIG_FILE", "only these variables are read"),
];
