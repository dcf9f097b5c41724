//! `GET /metrics` in Prometheus' text format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::ScanStatus;

use super::stats::{open_streams, queue_depth};
use crate::web::state::Web;

/// Shows the metrics of this process. What cannot be measured just now is left out.
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses((status = 200, description = "Metrics in Prometheus' text format", body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(web): State<Web>) -> Response {
    let mut text = String::with_capacity(1024);
    metric(&mut text, "kastrel_build_info", "Which Kastrel this is.", &[(&[("version", &web.state.info.version)], 1)]);
    let stats = web.desk().stats().await.ok();
    metric(&mut text, "kastrel_store_up", "Whether the store answers.", &[(&[], u64::from(stats.is_some()))]);
    if let Some(stats) = stats {
        let counts = ScanStatus::ALL.iter().map(|status| match status {
            ScanStatus::Pending => stats.pending,
            ScanStatus::Running => stats.running,
            ScanStatus::Completed => stats.completed,
            ScanStatus::Failed => stats.failed,
            ScanStatus::Cancelled => stats.cancelled,
        });
        let labels: Vec<[(&str, &str); 1]> = ScanStatus::ALL.iter().map(|status| [("status", status.as_str())]).collect();
        let samples: Vec<Sample<'_>> = labels.iter().map(<[_; 1]>::as_slice).zip(counts).collect();
        metric(&mut text, "kastrel_scans", "Scans by state, on all nodes.", &samples);
    }
    metric(&mut text, "kastrel_node_scans_running", "Scans that run on this node.", &[(&[], web.desk().board.running().len() as u64)]);
    if let Some(depth) = queue_depth(&web).await {
        metric(&mut text, "kastrel_queue_depth", "Signals that wait in the queue.", &[(&[], depth as u64)]);
    }
    metric(&mut text, "kastrel_event_streams_open", "Open event streams.", &[(&[], open_streams(&web) as u64)]);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

type Sample<'a> = (&'a [(&'a str, &'a str)], u64);

fn metric(text: &mut String, name: &str, help: &str, samples: &[Sample<'_>]) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in samples {
        let labels = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect::<Vec<_>>().join(",");
        let _ = if labels.is_empty() { writeln!(text, "{name} {value}") } else { writeln!(text, "{name}{{{labels}}} {value}") };
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use crate::web::testing::{TestApp, text_of};

    #[tokio::test]
    async fn counts_scans_by_state() {
        let app = TestApp::new();
        app.submitted("example.com").await;
        insta::assert_snapshot!(text_of(app.get("/metrics").await).await);
    }

    #[tokio::test]
    async fn says_that_the_store_is_down() {
        let app = TestApp::new();
        app.store.fail_with("down");
        let text = text_of(app.get("/metrics").await).await;
        assert!(text.contains("\nkastrel_store_up 0\n") && !text.contains("kastrel_scans{"), "{text}");
    }

    #[test]
    fn label_values_cannot_break_out() {
        let mut text = String::new();
        super::metric(&mut text, "m", "h", &[(&[("l", "a\"\\\nb")], 1)]);
        assert!(text.ends_with("m{l=\"a\\\"\\\\\\nb\"} 1\n"), "{text}");
    }
}
