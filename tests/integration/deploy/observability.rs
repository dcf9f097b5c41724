//! Checks `observability/`: every file can be read, is mounted where its service expects it, and
//! uses existing metrics only.

use std::collections::{BTreeMap, BTreeSet};

use kastrel::telemetry::catalog::{ATTRIBUTES, Instrument, METRICS};
use serde::Deserialize;
use serde_json::Value;

use super::compose::Compose;
use super::repository;

fn yaml(path: &str) -> Value {
    let text = std::fs::read_to_string(repository(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns every name that `/metrics` can show.
fn shown_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for metric in METRICS {
        let name = metric.prometheus_name();
        if metric.instrument == Instrument::Histogram {
            names.extend(["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")));
        } else {
            names.insert(name);
        }
    }
    names
}

/// Returns the names of metrics and of labels in a query.
fn names_in(query: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    const WORDS: &[&str] = &[
        "sum",
        "max",
        "min",
        "count",
        "rate",
        "increase",
        "histogram_quantile",
        "topk",
        "by",
        "on",
        "and",
        "or",
        "without",
        "unless",
        "vector",
        "le",
        "instance",
    ];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
    // Values in quotes are not names.
    for part in query.split('"').step_by(2) {
        for word in part
            .split(|c: char| !is_name(c))
            .filter(|word| !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit()) && !WORDS.contains(word))
        {
            if word.starts_with("kastrel_") || word.starts_with("http_server_") || word.starts_with("db_client_") {
                metrics.insert(word.to_owned());
            } else {
                labels.insert(word.to_owned());
            }
        }
    }
    (metrics, labels)
}

fn check(query: &str, place: &str) {
    let (known, attributes) =
        (shown_names(), ATTRIBUTES.iter().map(|one| one.name.replace('.', "_")).collect::<BTreeSet<_>>());
    let (metrics, labels) = names_in(query);
    assert!(!metrics.is_empty(), "{place}: {query}");
    for name in metrics {
        assert!(known.contains(&name), "{place}: there is no metric {name}");
    }
    for label in labels {
        assert!(attributes.contains(&label), "{place}: there is no label {label} in {query}");
    }
    for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
        assert_eq!(query.matches(open).count(), query.matches(close).count(), "{place}: {query}");
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alerts {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(rename = "name")]
    _name: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(default, rename = "for")]
    lasts: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[test]
fn alert_rules_are_complete_and_use_existing_metrics() {
    let text = std::fs::read_to_string(repository("observability/alerts.yaml")).unwrap();
    let alerts: Alerts = serde_saphyr::from_str(&text).unwrap();
    let rules: Vec<&Rule> = alerts.groups.iter().flat_map(|group| &group.rules).collect();
    let names: BTreeSet<&str> = rules.iter().map(|rule| rule.alert.as_str()).collect();
    assert_eq!(names.len(), rules.len(), "two rules of one name");
    for wanted in [
        "KastrelQueueStuck",
        "KastrelRestartStorm",
        "KastrelNodeLost",
        "KastrelNoWorker",
        "KastrelDiskNearlyFull",
        "KastrelDeadLetters",
        "KastrelDeliveriesLate",
    ] {
        assert!(names.contains(wanted), "{wanted} is missing");
    }
    for rule in rules {
        check(&rule.expr, &rule.alert);
        assert!(matches!(rule.labels["severity"].as_str(), "critical" | "warning"), "{}", rule.alert);
        assert!(rule.annotations.keys().map(String::as_str).eq(["description", "summary"]), "{}", rule.alert);
        if let Some(lasts) = &rule.lasts {
            assert!(lasts.trim_end_matches(['s', 'm', 'h']).parse::<u32>().is_ok(), "{}", rule.alert);
        }
        // A label in an annotation must be a label of the rule's result.
        for text in rule.annotations.values() {
            for used in text.split("{{ $labels.").skip(1).map(|rest| rest.split(" }}").next().unwrap()) {
                assert!(rule.expr.contains(&format!("by ({used})")), "{}: {used}", rule.alert);
            }
        }
    }
}

/// A counter that appears with its first increment has not increased for Prometheus, so an alert
/// would miss the first event.
#[test]
fn counters_of_alerts_exist_from_the_start() {
    let text = std::fs::read_to_string(repository("observability/alerts.yaml")).unwrap();
    let alerts: Alerts = serde_saphyr::from_str(&text).unwrap();
    let shown = kastrel::telemetry::Telemetry::without_exporters().metrics_text();
    let mut seen = 0;
    for rule in alerts.groups.iter().flat_map(|group| &group.rules) {
        for rest in rule.expr.split("increase(").skip(1) {
            let selector = rest.split('[').next().unwrap();
            let (name, labels) = selector.split_once('{').unwrap_or((selector, ""));
            // For an excluded label any other value is sufficient.
            let wanted =
                labels.trim_end_matches('}').split(',').find(|label| label.contains("=\"")).unwrap_or_default();
            assert!(
                shown.lines().any(|line| line.starts_with(name) && line.contains(wanted) && line.ends_with(" 0")),
                "{}: {selector}",
                rule.alert
            );
            seen += 1;
        }
        if rule.alert == "KastrelNodeLost" {
            assert!(!rule.expr.contains("kastrel_nodes"), "the row of a node that is gone vanishes within seconds");
        }
    }
    assert!(seen >= 3, "{seen}");
}

/// A rate needs two samples, and metrics are pushed once per minute.
#[test]
fn query_ranges_cover_several_pushes() {
    for path in ["alerts.yaml", "grafana/dashboards/nodes.json", "grafana/dashboards/scans.json"] {
        let text = std::fs::read_to_string(repository(&format!("observability/{path}"))).unwrap();
        for range in text
            .split("_total[")
            .chain(text.split("_bucket["))
            .skip(1)
            .filter_map(|rest| rest.split_once("m]").map(|(minutes, _)| minutes))
        {
            if let Ok(minutes) = range.parse::<u32>() {
                assert!(minutes >= 5, "{path}: [{range}m]");
            }
        }
    }
}

#[test]
fn dashboards_use_existing_metrics_and_the_provisioned_source() {
    let sources = yaml("observability/grafana/provisioning/datasources/kastrel.yaml");
    let known: Vec<&str> =
        sources["datasources"].as_array().unwrap().iter().map(|source| source["uid"].as_str().unwrap()).collect();
    let mut seen = BTreeSet::new();
    for file in std::fs::read_dir(repository("observability/grafana/dashboards")).unwrap() {
        let path = file.unwrap().path();
        let snapshots: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(snapshots["uid"].as_str().unwrap().starts_with("kastrel-") && snapshots["title"].is_string());
        let mut ids = BTreeSet::new();
        for panel in snapshots["panels"].as_array().unwrap() {
            let place = format!("{}: {}", path.display(), panel["title"]);
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{place}: two panels of one id");
            assert!(known.contains(&panel["datasource"]["uid"].as_str().unwrap()), "{place}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{place}");
            for target in targets {
                let query = target["expr"].as_str().unwrap();
                check(query, &place);
                seen.extend(names_in(query).0);
            }
        }
    }
    assert!(seen.len() > 20, "the dashboards show only {} metrics", seen.len());
}

#[test]
fn mounted_files_exist_where_the_service_expects_them() {
    let compose = Compose::read(&[]);
    let mut mounted = BTreeSet::new();
    for (name, service) in &compose.services {
        for volume in service.volumes.iter().filter(|volume| volume.starts_with("./")) {
            let parts: Vec<&str> = volume.split(':').collect();
            let [here, there, "ro"] = parts[..] else { panic!("{name}: {volume} is not read-only") };
            assert!(repository(here).exists(), "{name}: {here} does not exist");
            let is_named = service.command.iter().any(|word| word.ends_with(there));
            assert!(
                is_named
                    || there.starts_with("/etc/grafana/")
                    || there == "/etc/prometheus/alerts.yaml"
                    || there == "/var/lib/grafana/dashboards",
                "{name}: {there}"
            );
            mounted.insert(here.trim_start_matches("./").to_owned());
        }
    }
    for part in [
        "jaeger.yaml",
        "collector.yaml",
        "prometheus.yaml",
        "alerts.yaml",
        "grafana/provisioning",
        "grafana/dashboards",
    ] {
        assert!(mounted.contains(&format!("observability/{part}")), "nobody mounts {part}");
    }
    assert!(compose.service("jaeger").profiles.is_empty(), "traces are there by default");
    for name in ["collector", "prometheus", "grafana"] {
        assert_eq!(compose.service(name).profiles, ["observability"]);
    }
    let rules = yaml("observability/prometheus.yaml");
    assert_eq!(rules["rule_files"][0], "/etc/prometheus/alerts.yaml");
}

/// A pipeline with an unconfigured component does not start.
#[test]
fn collector_pipeline_components_are_configured() {
    for path in ["observability/collector.yaml", "observability/jaeger.yaml"] {
        let config = yaml(path);
        let pipelines = config["service"]["pipelines"].as_object().unwrap();
        assert!(!pipelines.is_empty());
        for (name, pipeline) in pipelines {
            for kind in ["receivers", "processors", "exporters"] {
                for part in pipeline[kind].as_array().unwrap() {
                    assert!(
                        config[kind].as_object().unwrap().contains_key(part.as_str().unwrap()),
                        "{path}: {name} uses {part}"
                    );
                }
            }
        }
        assert_eq!(config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"], "0.0.0.0:4317", "{path}");
    }
    let web = Compose::read(&[("KASTREL_COLLECTOR", "http://collector:4317"), ("KASTREL_PUSH_METRICS", "otlp")]);
    assert_eq!(web.service("web").environment["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://collector:4317");
    assert_eq!(
        yaml("observability/prometheus.yaml")["scrape_configs"][0]["static_configs"][0]["targets"][0],
        "collector:8889"
    );
}
