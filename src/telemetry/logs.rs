//! Log lines on standard error: readable on a terminal, JSON elsewhere. JSON lines contain the
//! trace and the span that they belong to.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use kastrel_actors::ports::{Clock as _, SystemClock};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use super::scans::ScanTraceIndex;
use crate::config::Role;
use crate::config::{LogConfig, LogFormat};

/// The level filter of log lines. A command that is not a server shows its own progress, so by
/// default it logs only errors.
pub(super) fn filter(config: &LogConfig, role: Role) -> EnvFilter {
    let level = config.level.directives();
    EnvFilter::new(directives_of(level, matches!(role, Role::Serve | Role::Web | Role::Worker)))
}

/// The layer that writes log lines to standard error.
pub(super) fn lines<S: Subscriber + for<'a> LookupSpan<'a>>(
    config: &LogConfig,
    role: Role,
    trace_index: Arc<ScanTraceIndex>,
) -> Box<dyn Layer<S> + Send + Sync> {
    let filter = filter(config, role);
    let json = match config.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if json {
        let format = JsonLines { trace_index };
        tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(format)
            .with_writer(std::io::stderr)
            .with_filter(filter)
            .boxed()
    } else {
        tracing_subscriber::fmt::layer()
            .with_ansi(colour)
            .with_target(false)
            .with_writer(std::io::stderr)
            .with_filter(filter)
            .boxed()
    }
}

/// At the end of the process the database complains about its own background tasks, although every
/// commit is on disk by then. It also complains about an abandoned transaction, which it correctly
/// rolls back. Kastrel itself logs failed exports, once.
const LIBRARIES: &str = "ractor=error,surrealdb_core::kvs::tasks=off,surrealdb_datastore::tr=off,opentelemetry=off";
/// The upper layers of the database also return their errors, and the command reports them. Only
/// the storage engine logs failures to write to disk.
const OF_COMMANDS: &str =
    "surrealdb=off,surrealdb_core=off,surrealdb_datastore=off,surrealdb::core::kvs::rocksdb=error";

/// The filter directives of a server or a command.
fn directives_of(level: &str, is_server: bool) -> String {
    match level.parse::<tracing::Level>() {
        // On a terminal, log lines of the storage engine do not help users. The command reports
        // relevant errors itself.
        Ok(_) if !is_server => {
            // The command shows its own progress, and warnings of the command line are meant for
            // its user.
            let own = if level == "info" { "error,kastrel::cli=warn" } else { level };
            let below = if level == "info" { "error" } else { level };
            format!("error,kastrel={own},kastrel_actors={below},{OF_COMMANDS},{LIBRARIES}")
        }
        _ => directives(level),
    }
}

/// A bare level applies to Kastrel; its libraries log warnings only. Explicit directives win,
/// because the last directive for a target applies.
fn directives(level: &str) -> String {
    match level.parse::<tracing::Level>() {
        Ok(level) => format!("warn,kastrel={level},kastrel_actors={level},{LIBRARIES}"),
        // `off` for everything also applies to the libraries.
        Err(_) if level.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("off")) => level.to_owned(),
        Err(_) => format!("{LIBRARIES},{level}"),
    }
}

/// Formats a line as one JSON object: `timestamp`, `level`, `target`, `message`, the line's own
/// fields and, if known, `trace_id`, `span_id`, `scan.id` and `scan.attempt`.
struct JsonLines {
    trace_index: Arc<ScanTraceIndex>,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Map::new();
        // Fields of inner spans override those of outer spans, and fields of the line override
        // both.
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            let extensions = span.extensions();
            let formatted =
                extensions.get::<FormattedFields<N>>().map(|fields| fields.fields.as_str()).unwrap_or_default();
            if let Ok(Value::Object(of_span)) = serde_json::from_str(formatted) {
                fields.extend(of_span.into_iter().filter(|(name, _)| !name.starts_with("otel.")));
            }
        }
        event.record(&mut Fields(&mut fields));
        Context::map_current(|context| {
            let span = context.span();
            if span.span_context().is_valid() {
                fields.insert("trace_id".into(), span.span_context().trace_id().to_string().into());
                fields.insert("span_id".into(), span.span_context().span_id().to_string().into());
            }
        });
        self.complete(&mut fields);
        let mut line = Map::new();
        line.insert("timestamp".into(), format!("{:.6}", SystemClock.now()).into());
        line.insert("level".into(), event.metadata().level().as_str().into());
        line.insert("target".into(), event.metadata().target().into());
        if let Some(message) = fields.remove("message") {
            line.insert("message".into(), message);
        }
        // Fields cannot override the standard names of the line.
        fields.retain(|name, _| !line.contains_key(name));
        line.extend(fields);
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

impl JsonLines {
    /// Adds the trace of a scan to a line that names the scan, also outside of every span.
    fn complete(&self, fields: &mut Map<String, Value>) {
        let Some(place) = fields.get("scan.id").and_then(Value::as_u64).and_then(|id| self.trace_index.of(id)) else {
            return;
        };
        if let Some(attempt) = place.attempt {
            fields.entry("scan.attempt").or_insert_with(|| attempt.into());
        }
        if !fields.contains_key("trace_id") {
            fields.insert("trace_id".into(), place.trace.trace_id().into());
            fields.insert("span_id".into(), format!("{:016x}", place.trace.ids().1).into());
        }
    }
}

/// An error and its causes in one line.
pub(super) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.0.insert(field.name().into(), causes(value).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Mutex, PoisonError};

    use kastrel_actors::testing::fixtures;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn a_bare_level_applies_to_kastrel_only() {
        assert_eq!(
            directives("debug"),
            "warn,kastrel=DEBUG,kastrel_actors=DEBUG,ractor=error,surrealdb_core::kvs::tasks=off,surrealdb_datastore::tr=off,opentelemetry=off"
        );
        assert_eq!(directives("off"), "off");
        assert_eq!(directives("off,kastrel=info"), "off,kastrel=info");
    }

    #[test]
    fn a_command_shows_no_warnings_of_the_engine() {
        for (level, own, below) in
            [("info", "error,kastrel::cli=warn", "error"), ("warn", "warn", "warn"), ("debug", "debug", "debug")]
        {
            assert_eq!(
                directives_of(level, false),
                format!("error,kastrel={own},kastrel_actors={below},{OF_COMMANDS},{LIBRARIES}")
            );
            assert_eq!(directives_of(level, true), directives(level), "a server's log is its operator's");
        }
        assert_eq!(directives_of("off", false), "off");
        assert_eq!(
            directives_of("info,surrealdb=debug", false),
            directives("info,surrealdb=debug"),
            "whoever asks for them gets them"
        );
        let filter = |directives: String| {
            let lines = Lines::default();
            let layer =
                tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_filter(EnvFilter::new(directives));
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
                tracing::warn!(target: "surrealdb::core::kvs", "the engine's own");
                tracing::warn!(target: "surrealdb_rocksdb", "the engine's own");
                tracing::error!(target: "surrealdb_datastore::tr", "a transaction was dropped");
                tracing::error!(target: "surrealdb_core::kvs::tasks", "a task");
                tracing::error!(target: "surrealdb::core::kvs::ds", "all attempts failed");
                tracing::error!(target: "surrealdb_core::doc::event", "an event");
                tracing::error!(target: "surrealdb::core::kvs::rocksdb", "not written");
                tracing::error!(target: "kastrel::app", "ours");
            });
            String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
        };
        let of_command = filter(directives_of("info", false));
        assert!(of_command.contains("ours") && of_command.contains("not written"), "{of_command}");
        let of_server = filter(directives_of("info", true));
        assert!(of_server.contains("engine") && of_server.contains("all attempts failed"), "{of_server}");
        for (said, is_for_servers) in [
            ("engine", true),
            ("all attempts failed", true),
            ("an event", true),
            ("a transaction", false),
            ("a task", false),
        ] {
            assert!(!of_command.contains(said), "{of_command}");
            assert_eq!(of_server.contains(said), is_for_servers, "{of_server}");
        }
    }

    #[test]
    fn directives_keep_the_library_levels_unless_they_override_them() {
        assert_eq!(directives("info,surrealdb=debug"), format!("{LIBRARIES},info,surrealdb=debug"));
        let kept = EnvFilter::new(directives("info,kastrel_actors=debug")).to_string();
        assert!(kept.contains("opentelemetry=off") && kept.contains("kastrel_actors=debug"), "{kept}");
        let changed = EnvFilter::new(directives("info,opentelemetry=debug")).to_string();
        assert!(changed.contains("opentelemetry=debug") && !changed.contains("opentelemetry=off"), "{changed}");
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn logged(trace_index: ScanTraceIndex, log: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let provider = SdkTracerProvider::builder().build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let format = JsonLines { trace_index: Arc::new(trace_index) };
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(format)
            .with_writer(lines.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(spans).with(layer), log);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_within_a_span_has_its_ids_and_its_fields() {
        let lines = logged(ScanTraceIndex::default(), || {
            let span = tracing::info_span!("request", otel.kind = "server", http.route = "/x");
            span.in_scope(|| tracing::warn!(number = 7, flag = true, message_of = %"x", "it is \"so\""));
        });
        let line = &lines[0];
        assert_eq!(
            (line["level"].as_str(), line["message"].as_str(), line["number"].as_u64()),
            (Some("WARN"), Some("it is \"so\""), Some(7))
        );
        assert_eq!((line["http.route"].as_str(), line.get("otel.kind")), (Some("/x"), None));
        assert_eq!((line["trace_id"].as_str().unwrap().len(), line["span_id"].as_str().unwrap().len()), (32, 16));
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_line_of_a_scan_has_its_trace_and_attempt_outside_of_every_span() {
        let trace_index = ScanTraceIndex::default();
        trace_index.note(&fixtures::record(3, jiff::Timestamp::UNIX_EPOCH));
        let lines = logged(trace_index, || {
            tracing::info!(scan.id = 3, "known");
            tracing::info!(scan.id = 4, "unknown");
        });
        assert_eq!(lines[0]["trace_id"], fixtures::trace().trace_id());
        assert_eq!((lines[0].get("scan.attempt"), lines[1].get("trace_id")), (None, None));
    }

    #[test]
    fn an_error_is_logged_with_its_causes() {
        let lines = logged(ScanTraceIndex::default(), || {
            let error = kastrel_actors::ports::QueueError("down".into());
            tracing::error!(error = &error as &dyn std::error::Error, "x");
        });
        assert_eq!(lines[0]["error"], "failed to reach the job queue: down");
    }
}
