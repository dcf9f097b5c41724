//! The page with a scan's trace from Kastrel's own data: waits, attempts, plugins and verdict. It
//! needs no tracing backend. The plugins are those of the last attempt, because the row keeps the
//! results of that attempt only.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::badge::Badge;
use super::coverage::badge;
use super::layout::{Here, Layout};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::path::{PathId, no_scan};
use crate::web::state::Web;
use crate::web::text::{MomentText, clean, duration};
use crate::web::viewer::Viewer;

mod waterfall;
use waterfall::{Row, waterfall};

/// The page with a scan's trace.
#[derive(Template)]
#[template(path = "scan_trace.html")]
pub(crate) struct ScanTracePage {
    layout: Layout,
    id: u64,
    target: String,
    badge: Badge,
    created: MomentText,
    took: String,
    trace_id: String,
    trace_url: Option<String>,
    rows: Vec<Row>,
}

/// Shows a scan's trace.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer, PathId(id): PathId) -> Result<Response, Problem> {
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let record = &scan.record;
    let clock = web.clock(&viewer);
    let until = record.ended_at().unwrap_or(clock.now);
    let whole = duration(until.duration_since(record.created_at));
    let trace_id = record.trace.trace_id();
    Ok(page(&ScanTracePage {
        layout: Layout::of(&web, &viewer, Here::Scans, format!("Trace of scan {id}")).await,
        id: id.0,
        target: clean(&record.request.target.label()),
        badge: badge(scan.status(), &scan.coverage()),
        created: clock.moment(record.created_at),
        took: if record.status().is_terminal() { format!("finished after {whole}") } else { format!("{whole} so far") },
        trace_url: web.trace_url(&trace_id),
        trace_id,
        rows: waterfall(&scan, web.scans().waiting(record).await.as_ref(), clock.now),
    }))
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{Failure, FailureKind, Resolution};

    use crate::web::testing::{TestApp, text_of};

    #[tokio::test]
    async fn a_scan_has_its_trace_its_link_and_its_steps() {
        let app = TestApp::new();
        let running = app.running("example.com").await;
        app.finish(&running, Resolution::Fail(Failure::new(FailureKind::Crashed, "<b>broken</b>"))).await;
        let html = text_of(app.get(&format!("/scans/{}/trace", running.id)).await).await;
        let trace_id = running.trace.trace_id();
        assert!(html.contains(&format!("id=\"trace-id\">{trace_id}<")), "{html}");
        assert!(html.contains(&format!("href=\"http://jaeger.test/trace/{trace_id}\"")));
        let steps: Vec<&str> = html.split("data-step=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(steps, ["scan", "wait", "attempt", "verdict"]);
        assert!(!html.contains("<b>broken"));
        assert_eq!(app.get("/scans/99/trace").await.status(), 404);
    }

    #[tokio::test]
    async fn a_scan_that_is_held_back_shows_the_hold_and_no_backoff() {
        let app = TestApp::new();
        let id = app.submitted("example.com").await;
        app.hold(kastrel_actors::model::FaultKind::ResultsFolder, "the results folder /r is missing");
        let html = text_of(app.get(&format!("/scans/{id}/trace")).await).await;
        assert!(
            html.contains("held back") && html.contains("the results folder /r is missing (make it again)"),
            "{html}"
        );
        assert!(!html.to_lowercase().contains("backoff"), "{html}");
    }

    #[tokio::test]
    async fn scan_page_links_to_the_trace() {
        let app = TestApp::new();
        let id = app.submitted("example.com").await;
        let html = text_of(app.get(&format!("/scans/{id}")).await).await;
        assert!(
            html.contains(&format!("href=\"/scans/{id}/trace\"")) && html.contains("http://jaeger.test/trace/"),
            "{html}"
        );
    }
}
