//! `GET /metrics` in Prometheus' text format, version 0.0.4:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.
//!
//! docs/telemetry.md lists all metrics. Gauges are read at each request; a value that cannot be
//! read at that moment is left out.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::web::state::Web;

/// Shows the metrics of this process. A value that cannot be read at the moment is left out.
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses((status = 200, description = "Metrics in Prometheus' text format", body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(web): State<Web>) -> Response {
    let telemetry = &web.state.telemetry;
    telemetry.readings().refresh(&web.state.sources).await;
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (header::CACHE_CONTROL, "no-store")],
        telemetry.metrics_text(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use kastrel_actors::ports::store::prelude::*;
    use kastrel_actors::testing::fixtures;

    use crate::telemetry::Telemetry;
    use crate::telemetry::catalog::METRICS;
    use crate::web::testing::{TestApp, text_of};

    /// Checks a text as `promtool check metrics` does, and panics on a finding: each type comes
    /// before its samples, each name has a help text, names and labels are valid, no sample appears
    /// twice, histograms are complete and do not decrease. Returns the names with their types.
    fn checked(text: &str) -> BTreeMap<String, String> {
        let name_is_sound = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        };
        let (mut types, mut helps, mut samples) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(helps.insert(name.to_owned()) && !help.trim().is_empty(), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(matches!(kind, "counter" | "gauge" | "histogram") && name_is_sound(name), "{line}");
                assert_eq!(types.insert(name.to_owned(), kind.to_owned()), None, "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let value: f64 = value.replace("+Inf", "inf").parse().unwrap_or_else(|_| panic!("{line}"));
                let name = series.split('{').next().unwrap();
                let family = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| {
                        name.strip_suffix(end).filter(|base| types.get(*base).is_some_and(|kind| kind == "histogram"))
                    })
                    .unwrap_or(name);
                assert!(
                    types.contains_key(family) && helps.contains(family),
                    "a sample before its type or help: {line}"
                );
                assert!(name_is_sound(name) && (types[family] != "counter" || value >= 0.0), "{line}");
                if types[family] == "counter" {
                    assert!(family.ends_with("_total"), "{line}");
                } else {
                    assert!(!family.ends_with("_total"), "{line}");
                }
                for label in labels(series) {
                    assert!(name_is_sound(&label), "{line}");
                }
                assert_eq!(samples.insert(series.to_owned(), value), None, "twice: {line}");
            }
        }
        for (name, kind) in &types {
            if kind == "histogram" {
                let buckets: Vec<f64> = text
                    .lines()
                    .filter(|line| line.starts_with(&format!("{name}_bucket")))
                    .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
                    .collect();
                assert!(
                    !buckets.is_empty()
                        && text.contains("le=\"+Inf\"")
                        && text.contains(&format!("{name}_sum"))
                        && text.contains(&format!("{name}_count")),
                    "{name}"
                );
            }
        }
        types
    }

    fn labels(series: &str) -> Vec<String> {
        let Some((_, rest)) = series.split_once('{') else { return Vec::new() };
        rest.trim_end_matches('}')
            .split("\",")
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, _)| name.trim_matches(',').to_owned())
            .collect()
    }

    #[tokio::test]
    async fn metrics_text_is_valid_and_has_the_store_gauges() {
        let app = TestApp::new();
        app.submitted("example.com").await;
        app.memory.register(fixtures::registration("node-a"), std::time::Duration::from_secs(60)).await.unwrap();
        let text = text_of(app.get("/metrics").await).await;
        checked(&text);
        for line in [
            "kastrel_scans{scan_status=\"pending\"} 1",
            "kastrel_scans{scan_status=\"running\"} 0",
            "kastrel_queue_depth{scan_priority=\"normal\"} 1",
            "kastrel_queue_depth{scan_priority=\"high\"} 0",
            "kastrel_queue_signals 1",
            "kastrel_nodes{node_lease=\"good\"} 1",
            "kastrel_store_up 1",
            "kastrel_node_capacity 4",
            "kastrel_event_streams_open 0",
            "kastrel_outbox_waiting 0",
            "kastrel_dead_letters 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("kastrel_build_info{version="));
        assert!(text.contains("\nkastrel_outbox_oldest_age_seconds 0"), "{text}");
        assert!(!text.contains("example.com"), "a target became a label");
    }

    #[tokio::test]
    async fn metrics_count_requests_by_route() {
        let app = TestApp::new();
        let id = app.submitted("example.com").await;
        app.get(&format!("/api/scans/{id}/status")).await;
        app.get(&format!("/scans/{id}")).await;
        app.get("/nothing/here").await;
        let text = text_of(app.get("/metrics").await).await;
        checked(&text);
        for (route, status) in [("/api/scans/{id}/status", 200), ("/scans/{id}", 200), ("none", 404)] {
            let line = format!(
                "http_server_request_duration_seconds_count{{http_request_method=\"GET\",http_response_status_code=\"{status}\",http_route=\"{route}\"}} 1"
            );
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }

    /// The gauge must be right even if metrics are pushed and nothing requests this route.
    #[tokio::test]
    async fn open_streams_are_counted_without_a_metrics_request() {
        let telemetry = Telemetry::without_exporters();
        let app = TestApp::with_telemetry(&telemetry, |_| {});
        let shown = || telemetry.metrics_text();
        assert!(shown().contains("\nkastrel_event_streams_open 0\n"), "{}", shown());
        let stream = app.get("/api/events").await;
        assert!(shown().contains("\nkastrel_event_streams_open 1\n"), "{}", shown());
        drop(stream);
        assert!(shown().contains("\nkastrel_event_streams_open 0\n"), "{}", shown());
    }

    #[tokio::test]
    async fn metrics_show_that_the_store_is_down() {
        let app = TestApp::new();
        app.store.fail_with("down");
        let text = text_of(app.get("/metrics").await).await;
        assert!(
            text.contains("\nkastrel_store_up 0\n")
                && !text.contains("kastrel_scans{")
                && !text.contains("kastrel_queue_depth"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn every_metric_is_in_the_catalogue_with_its_kind() {
        let app = TestApp::new();
        app.submitted("example.com").await;
        app.get("/").await;
        let known: BTreeMap<String, &str> =
            METRICS.iter().map(|metric| (metric.prometheus_name(), metric.instrument.as_str())).collect();
        for (name, kind) in checked(&text_of(app.get("/metrics").await).await) {
            assert_eq!(known.get(&name), Some(&kind.as_str()), "{name}");
        }
    }
}
