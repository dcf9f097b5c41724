//! The page with the scanner's report, in a frame that runs no scripts.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{AttemptNumber, ReportFiles, ScanRecord};
use kastrel_actors::policy::reports;

use super::layout::{Here, Layout};
use crate::web::error::Problem;
use crate::web::files::{PDF_REPORT, REPORT, reports_of};
use crate::web::headers::page;
use crate::web::path::{PathId, no_scan};
use crate::web::state::{Web, WebInner};
use crate::web::text::clean;
use crate::web::viewer::Viewer;

/// How many attempts the page searches for a report, newest first.
const LOOK_BACK: usize = 10;

/// The page with the scanner's report.
#[derive(Template)]
#[template(path = "report.html")]
pub(crate) struct ReportPage {
    layout: Layout,
    id: u64,
    target: String,
    attempt: u32,
    frame_url: String,
    pdf_url: Option<String>,
    /// A sentence about results that the report does not have.
    kept: Option<String>,
}

/// Shows the HTML report of the newest attempt that has a report, or redirects to its PDF report.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer, PathId(id): PathId) -> Result<Response, Problem> {
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let none = if scan.status().is_terminal() { "the scanner wrote no report" } else { "no report yet" };
    let (attempt, found) = newest(&web, &scan.record).await?.ok_or_else(|| Problem::not_found(none))?;
    let target = clean(&scan.record.request.target.label());
    let base = format!("/scans/{id}/attempts/{attempt}/files");
    if !found.html {
        return Ok(Redirect::to(&format!("{base}/{PDF_REPORT}")).into_response());
    }
    Ok(page(&ReportPage {
        layout: Layout::of(&web, &viewer, Here::Scans, format!("Report of scan {id}")).await,
        id: id.0,
        target,
        attempt: attempt.0,
        frame_url: format!("{base}/{REPORT}"),
        pdf_url: found.pdf.then(|| format!("{base}/{PDF_REPORT}")),
        kept: reports::kept_note(&scan.record, scan.last_plugins()),
    }))
}

/// Returns the newest attempt that has a report, and its reports.
pub(crate) async fn newest(
    web: &WebInner,
    record: &ScanRecord,
) -> Result<Option<(AttemptNumber, ReportFiles)>, Problem> {
    for attempt in record.attempts.iter().rev().take(LOOK_BACK) {
        let found = reports_of(web, record, attempt.number).await?;
        if found.html || found.pdf {
            return Ok(Some((attempt.number, found)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::testing::{TestApp, text_of};

    impl ReportPage {
        fn sample() -> Self {
            Self {
                layout: Layout::sample("Report of scan 17"),
                id: 17,
                target: clean(HOSTILE),
                attempt: 2,
                frame_url: "/scans/17/attempts/2/files/kast_report.html".into(),
                pdf_url: Some("/scans/17/attempts/2/files/kast_report.pdf".into()),
                kept: None,
            }
        }
    }

    #[test]
    fn report_page_matches_snapshot() {
        insta::assert_snapshot!(ReportPage::sample().render().unwrap());
    }

    #[tokio::test]
    async fn report_page_exists_once_the_scanner_wrote_a_report() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        let path = format!("/scans/{}/report", scan.id);
        assert_eq!(app.get(&path).await.status(), 404);
        std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
        std::fs::write(app.attempt_folder(&scan).join(PDF_REPORT), "x").unwrap();
        let answer = app.get(&path).await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()),
            (303, "/scans/1/attempts/1/files/kast_report.pdf")
        );
        std::fs::write(app.attempt_folder(&scan).join(REPORT), "x").unwrap();
        let html = text_of(app.get(&path).await).await;
        assert!(
            html.contains(r#"<iframe sandbox="" "#) && html.contains("/attempts/1/files/kast_report.html"),
            "{html}"
        );
        assert!(text_of(app.get(&format!("/scans/{}", scan.id)).await).await.contains(&path));
    }
}
