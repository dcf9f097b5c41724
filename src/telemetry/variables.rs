//! Reads the standard `OTEL_*` variables into a plan, and reports invalid values.
//!
//! A table contains every variable that the specification defines for exporters, sampling,
//! resources, limits and batches. The SDK reads most of them itself. This file handles the others
//! (which signals are exported and how, TLS files, the kill switch) and reports invalid values of
//! all of them. An invalid value never prevents the start of Kastrel: it is logged and ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::variable_table::{Takes, UNHEEDED, VARIABLES, wrong};
use crate::config::SecretUrl;

/// The default timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum number of unknown variables in a warning.
const MOST_UNKNOWN: usize = 10;

/// The protocol of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP as protobuf over HTTP.
    HttpProtobuf,
}

/// The files for TLS, if the system's certificates are not sufficient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the authority that signed the collector's certificate.
    pub authority: Option<PathBuf>,
    /// The client certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The export of one signal to a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The protocol.
    pub protocol: Protocol,
    /// The certificates.
    pub tls: TlsFiles,
    /// The timeout of one request.
    pub timeout: Duration,
    /// The address for display, without user and password.
    pub endpoint: String,
    /// The address.
    pub address: SecretUrl,
}

impl Export {
    /// True if the connection is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        url::Url::parse(self.address.expose()).is_ok_and(|url| url.scheme() == "https")
    }
}

/// The reason why nothing is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// `OTEL_SDK_DISABLED`.
    Disabled,
    /// No variable requests it.
    NotAsked,
    /// The variables select other exporters, or `none`.
    Declined,
    /// No address is valid.
    NoAddress,
}

/// The configuration from the variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The export of spans; `None` if disabled.
    pub traces: Option<Export>,
    /// The export of pushed metrics; `/metrics` exists in any case.
    pub metrics: Option<Export>,
    /// The export of logs, in addition to standard error.
    pub logs: Option<Export>,
    /// True if the `traceparent` of callers is ignored.
    pub ignores_callers: bool,
    /// The problems, each with the name of its variable.
    pub warnings: Vec<String>,
    /// The reason, if nothing is exported.
    pub silence: Option<Silence>,
}

/// A signal, as named in variables.
#[derive(Debug, Clone, Copy)]
struct Signal {
    /// Its part of a variable's name.
    name: &'static str,
    path: &'static str,
    /// True if an endpoint alone enables its export.
    by_endpoint: bool,
    exporters: &'static [&'static str],
}

const TRACES: Signal = Signal { name: "TRACES", path: "/v1/traces", by_endpoint: true, exporters: &["otlp"] };
const METRICS: Signal =
    Signal { name: "METRICS", path: "/v1/metrics", by_endpoint: true, exporters: &["otlp", "prometheus"] };
const LOGS: Signal = Signal { name: "LOGS", path: "/v1/logs", by_endpoint: false, exporters: &["otlp"] };

/// The variables. An empty variable counts as unset, as the specification requires.
struct Variables<'a>(&'a BTreeMap<String, String>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The variable of the signal, or else the general one.
    fn of_signal(&self, signal: Signal, rest: &str) -> Option<&str> {
        self.get(&format!("OTEL_EXPORTER_OTLP_{}_{rest}", signal.name))
            .or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{rest}")))
    }
}

impl Plan {
    /// Reads the variables of `env`.
    #[must_use]
    pub fn read(env: &BTreeMap<String, String>) -> Self {
        let variables = Variables(env);
        let mut plan = Self::default();
        for variable in VARIABLES {
            if let Some(problem) = variables.get(variable.name).and_then(|value| wrong(variable, value)) {
                plan.warnings.push(problem);
            }
        }
        plan.warnings.extend(
            UNHEEDED
                .iter()
                .filter(|(name, _)| variables.get(name).is_some())
                .map(|(name, instead)| format!("{name}: does nothing here; {instead}")),
        );
        plan.warnings.extend(unknown(&variables));
        plan.ignores_callers = variables
            .get("OTEL_PROPAGATORS")
            .is_some_and(|list| !list.split(',').any(|one| one.trim() == "tracecontext"));
        if variables.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            plan.silence = Some(Silence::Disabled);
            return plan;
        }
        for signal in [TRACES, METRICS, LOGS] {
            let export = export(&variables, signal, &mut plan.warnings);
            match signal.name {
                "TRACES" => plan.traces = export,
                "METRICS" => plan.metrics = export,
                _ => plan.logs = export,
            }
        }
        // A problem that concerns several signals is reported once.
        let mut told = BTreeSet::new();
        plan.warnings.retain(|warning| told.insert(warning.clone()));
        if plan.traces.is_none() && plan.metrics.is_none() && plan.logs.is_none() {
            plan.silence = Some(silence(&variables));
        }
        plan
    }
}

/// The reason why no signal is exported, if the SDK is not disabled.
fn silence(variables: &Variables<'_>) -> Silence {
    let signals = [TRACES, METRICS, LOGS];
    if signals.iter().any(|signal| wants(variables, *signal)) {
        return Silence::NoAddress;
    }
    let has_endpoint = signals.iter().any(|signal| variables.of_signal(*signal, "ENDPOINT").is_some());
    let has_chosen = signals.iter().any(|signal| variables.get(&format!("OTEL_{}_EXPORTER", signal.name)).is_some());
    if has_endpoint || has_chosen { Silence::Declined } else { Silence::NotAsked }
}

/// One warning for all unknown variables with the standard prefix, because they may be meant for
/// another program.
fn unknown(variables: &Variables<'_>) -> Option<String> {
    let is_known =
        |name: &str| VARIABLES.iter().any(|one| one.name == name) || UNHEEDED.iter().any(|(one, _)| *one == name);
    let is_set = |name: &&str| name.starts_with("OTEL_") && !is_known(name) && variables.get(name).is_some();
    let names: Vec<&str> = variables.0.keys().map(String::as_str).filter(is_set).collect();
    let shown: Vec<String> = names
        .iter()
        .take(MOST_UNKNOWN)
        .map(|name| name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(80).collect())
        .collect();
    let more =
        if names.len() > shown.len() { format!(" and {} more", names.len() - shown.len()) } else { String::new() };
    (!shown.is_empty())
        .then(|| format!("{}{more}: not known here; what is meant for Kastrel does nothing", shown.join(", ")))
}

/// True if a signal is to be exported.
fn wants(variables: &Variables<'_>, signal: Signal) -> bool {
    let by_endpoint = signal.by_endpoint && variables.of_signal(signal, "ENDPOINT").is_some();
    let Some(list) = variables.get(&format!("OTEL_{}_EXPORTER", signal.name)) else { return by_endpoint };
    let words: Vec<&str> = list.split(',').map(str::trim).collect();
    // The table's check has already reported each invalid word; the valid words count.
    let known = words.iter().any(|word| signal.exporters.contains(word) || *word == "none");
    if known { words.contains(&"otlp") } else { by_endpoint }
}

/// The export of a signal, if it is enabled.
fn export(variables: &Variables<'_>, signal: Signal, warnings: &mut Vec<String>) -> Option<Export> {
    if !wants(variables, signal) {
        return None;
    }
    let protocol = match variables.of_signal(signal, "PROTOCOL") {
        Some("grpc") => Protocol::Grpc,
        _ => Protocol::HttpProtobuf,
    };
    if protocol == Protocol::HttpProtobuf
        && variables.of_signal(signal, "COMPRESSION").is_some_and(|value| value.eq_ignore_ascii_case("gzip"))
    {
        warnings.push(format!(
            "OTEL_EXPORTER_OTLP_COMPRESSION: gzip works with grpc only; {} are sent as they are",
            signal.name.to_lowercase()
        ));
    }
    let file = |rest: &str| variables.of_signal(signal, rest).map(PathBuf::from);
    let client = match (file("CLIENT_CERTIFICATE"), file("CLIENT_KEY")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            warnings.push("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY only work together; both are ignored".into());
            None
        }
    };
    let address = match address_of(variables, signal, protocol) {
        Ok(address) => address,
        Err(problem) => {
            warnings.extend(problem);
            return None;
        }
    };
    let own = format!("OTEL_EXPORTER_OTLP_{}_TIMEOUT", signal.name);
    let milliseconds = [own.as_str(), "OTEL_EXPORTER_OTLP_TIMEOUT"]
        .into_iter()
        .find_map(|name| variables.get(name)?.parse::<u32>().ok());
    Some(Export {
        protocol,
        tls: TlsFiles { authority: file("CERTIFICATE"), client },
        timeout: milliseconds.map_or(TIMEOUT, |milliseconds| Duration::from_millis(milliseconds.into())),
        endpoint: crate::config::redact(address.expose()).trim_end_matches('/').to_owned(),
        address,
    })
}

/// The address of a signal, built as the specification defines. An error contains a warning, unless
/// the table's check has already reported the problem.
fn address_of(variables: &Variables<'_>, signal: Signal, protocol: Protocol) -> Result<SecretUrl, Option<String>> {
    const COMMON: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let own = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.name);
    let default = if protocol == Protocol::Grpc { "http://localhost:4317" } else { "http://localhost:4318" };
    let (name, value) = match variables.get(&own) {
        Some(value) => (own.as_str(), value),
        None => (COMMON, variables.get(COMMON).unwrap_or(default)),
    };
    if !Takes::Address.accepts(value) {
        return Err(None);
    }
    let is_insecure = variables.of_signal(signal, "INSECURE").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let address = match protocol {
        Protocol::Grpc if value.contains("://") => value.to_owned(),
        Protocol::Grpc => format!("{}://{value}", if is_insecure { "http" } else { "https" }),
        Protocol::HttpProtobuf if !value.contains("://") => {
            return Err(Some(format!(
                "{name}: http/protobuf needs http:// or https:// before it; nothing is sent there"
            )));
        }
        Protocol::HttpProtobuf if name == COMMON => format!("{}{}", value.trim_end_matches('/'), signal.path),
        Protocol::HttpProtobuf => value.to_owned(),
    };
    address.parse().map_err(|_| None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pairs: &[(&str, &str)]) -> Plan {
        Plan::read(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// The exported signals: `t` traces, `m` metrics, `l` logs; upper case for gRPC.
    fn shape(plan: &Plan) -> String {
        [(&plan.traces, 't'), (&plan.metrics, 'm'), (&plan.logs, 'l')]
            .into_iter()
            .filter_map(|(export, letter)| {
                export
                    .as_ref()
                    .map(|export| if export.protocol == Protocol::Grpc { letter.to_ascii_uppercase() } else { letter })
            })
            .collect()
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");

    #[test]
    fn the_variables_select_the_exported_signals() {
        for (pairs, expected) in [
            (&[][..], ""),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], ""),
            (&[ENDPOINT], "tm"),
            (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "TM"),
            (
                &[
                    ENDPOINT,
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
                ],
                "tM",
            ),
            (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")], "tm"),
            (&[ENDPOINT, ("OTEL_SDK_DISABLED", "True")], ""),
            (&[ENDPOINT, ("OTEL_SDK_DISABLED", "1")], "tm"),
            (&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")], "m"),
            (&[ENDPOINT, ("OTEL_METRICS_EXPORTER", "prometheus")], "t"),
            (&[ENDPOINT, ("OTEL_METRICS_EXPORTER", "prometheus, otlp")], "tm"),
            (&[ENDPOINT, ("OTEL_LOGS_EXPORTER", "otlp")], "tml"),
            (&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "zipkin")], "tm"),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], "t"),
            (&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/x")], "t"),
            (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://c")], "m"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "no address")], ""),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317")], ""),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "TM"),
            (
                &[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_METRICS_EXPORTER", "otlp"), ("OTEL_LOGS_EXPORTER", "otlp")],
                "tml",
            ),
        ] {
            assert_eq!(shape(&plan(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn addresses_are_built_as_the_specification_defines() {
        for (pairs, expected) in [
            (&[("OTEL_TRACES_EXPORTER", "otlp")][..], "http://localhost:4318/v1/traces"),
            (&[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "http://localhost:4317"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1/base/")], "http://c:1/base/v1/traces"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "http://c:1"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "c:1"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "https://c:1"),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:1"),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                    ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
                ],
                "http://c:1",
            ),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"),
                    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://d:2/own"),
                ],
                "http://d:2/own",
            ),
        ] {
            assert_eq!(plan(pairs).traces.unwrap().endpoint, expected, "{pairs:?}");
        }
        let secret = plan(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hunter2@c:1")]).traces.unwrap();
        assert!(
            !format!("{secret:?}").contains("hunter2") && secret.address.expose() == "http://u:hunter2@c:1/v1/traces",
            "{secret:?}"
        );
    }

    #[test]
    fn the_timeout_of_a_signal_overrides_the_general_one() {
        for (pairs, expected) in [
            (&[][..], 10_000),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "500")], 500),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "500"), ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "20")], 20),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "500"), ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "20")], 500),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")], 10_000),
        ] {
            let timeout = plan(&[&[ENDPOINT], pairs].concat()).traces.unwrap().timeout;
            assert_eq!(timeout, Duration::from_millis(expected), "{pairs:?}");
        }
    }

    #[test]
    fn the_reason_for_no_export_is_reported() {
        for (pairs, expected) in [
            (&[][..], Some(Silence::NotAsked)),
            (&[("OTEL_BSP_SCHEDULE_DELAY", "5")], Some(Silence::NotAsked)),
            (&[ENDPOINT], None),
            (&[ENDPOINT, ("OTEL_SDK_DISABLED", "true")], Some(Silence::Disabled)),
            (
                &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "prometheus")],
                Some(Silence::Declined),
            ),
            (&[("OTEL_METRICS_EXPORTER", "none")], Some(Silence::Declined)),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")], Some(Silence::NoAddress)),
        ] {
            assert_eq!(plan(pairs).silence, expected, "{pairs:?}");
        }
    }

    #[test]
    fn unknown_variables_give_one_warning() {
        let pairs: Vec<(String, String)> =
            (10..22).map(|number| (format!("OTEL_X{number}"), "hunter2".to_owned())).collect();
        let warnings = Plan::read(&pairs.into_iter().collect()).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].starts_with("OTEL_X10, OTEL_X11, ") && warnings[0].contains("OTEL_X19 and 2 more: "),
            "{warnings:?}"
        );
    }

    #[test]
    fn invalid_values_are_reported_with_their_variable_and_without_secrets() {
        for (name, value, told) in [
            ("OTEL_SDK_DISABLED", "yes", "expected true or false"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "expected otlp or none"),
            ("OTEL_METRICS_EXPORTER", "console", "expected otlp, prometheus or none"),
            ("OTEL_PROPAGATORS", "b3", "expected tracecontext, baggage or none"),
            ("OTEL_TRACES_SAMPLER", "xray", "expected always_on"),
            ("OTEL_TRACES_SAMPLER_ARG", "2", "from 0 to 1"),
            ("OTEL_BSP_SCHEDULE_DELAY", "5s", "whole number"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "expected grpc or http/protobuf"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "http/protobuf needs http:// or https://"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://hunter2", "expected an http or https address"),
            ("OTEL_BSP_EXPORT_TIMEOUT", "1000", "does nothing here"),
            ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on", "does nothing here"),
            ("OTEL_ENDPOINT", "hunter2", "not known here"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1", "whole number"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "expected key=value pairs"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team", "expected key=value pairs"),
        ] {
            let warnings = plan(&[(name, value)]).warnings;
            assert_eq!(warnings.len(), 1, "{name}: {warnings:?}");
            assert!(warnings[0].starts_with(&format!("{name}: ")) && warnings[0].contains(told), "{warnings:?}");
            assert!(!warnings[0].contains("hunter2"), "{warnings:?}");
        }
        assert_eq!(
            plan(&[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.1"), ENDPOINT])
                .warnings,
            [""; 0]
        );
    }

    #[test]
    fn client_certificates_need_a_key_and_are_set_per_signal() {
        let tls = |pairs: &[(&str, &str)]| plan(&[&[ENDPOINT], pairs].concat()).traces.unwrap().tls;
        assert_eq!(
            tls(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/a"), ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/b")]).authority,
            Some("/b".into())
        );
        let pair =
            tls(&[("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c"), ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k")]).client;
        assert_eq!(pair, Some(("/c".into(), "/k".into())));
        let alone = plan(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k")]);
        assert_eq!(alone.traces.unwrap().tls.client, None);
        assert!(alone.warnings[0].contains("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), "{:?}", alone.warnings);
    }

    #[test]
    fn callers_are_ignored_if_the_propagators_exclude_tracecontext() {
        for (value, ignores) in
            [("", false), ("tracecontext", false), ("tracecontext,baggage", false), ("none", true), ("baggage", true)]
        {
            assert_eq!(plan(&[("OTEL_PROPAGATORS", value)]).ignores_callers, ignores, "{value}");
        }
    }
}
