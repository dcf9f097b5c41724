//! The page with the log of an attempt, by default the last one. The page follows the log while it
//! grows; the reader can pause it and search in it.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use kastrel_actors::model::AttemptNumber;
use url::form_urlencoded;

use super::layout::{Here, Layout, Live};
use crate::web::assets;
use crate::web::error::Problem;
use crate::web::files::{Tail, log_end};
use crate::web::headers::page;
use crate::web::path::{PathId, no_scan};
use crate::web::state::Web;
use crate::web::text::{clean, size};
use crate::web::viewer::Viewer;

/// The size of the log that the page loads at first; the complete log is one click away.
const MOST_BYTES: u64 = 512 * 1024;
const MOST_LINES: usize = 5_000;

/// The page with the log of an attempt.
#[derive(Template)]
#[template(path = "log.html")]
pub(crate) struct LogPage {
    layout: Layout,
    /// The live updates, until the scan has ended: the next attempt has another log.
    live: Option<Live>,
    log_script_url: String,
    id: u64,
    target: String,
    attempt: u32,
    /// The other attempts.
    attempts: Vec<u32>,
    log: Option<Tail>,
    size: String,
    /// Whether the complete log can be downloaded.
    has_file: bool,
    is_running: bool,
}

/// Shows the log of the last attempt, or of the attempt in the query.
pub(crate) async fn show(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let asked = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .find(|(name, _)| name == "attempt")
        .and_then(|(_, value)| value.parse().ok());
    let attempts: Vec<u32> = scan.record.attempts.iter().map(|attempt| attempt.number.0).collect();
    let attempt: u32 =
        asked.filter(|asked| attempts.contains(asked)).or_else(|| attempts.last().copied()).unwrap_or_default();
    let log = log_end(&web, &scan.record, AttemptNumber(attempt), MOST_BYTES, MOST_LINES).await;
    let is_running = scan.record.attempts.iter().any(|one| one.number.0 == attempt && one.end.is_none());
    let target = clean(&scan.record.request.target.label());
    Ok(page(&LogPage {
        layout: Layout::of(&web, &viewer, Here::Scans, format!("Log of scan {id}")).await,
        live: (!scan.status().is_terminal()).then(|| Live::new(&web, format!("/api/scans/{id}/events"))),
        log_script_url: assets::url("log.js"),
        id: id.0,
        target,
        attempt,
        attempts,
        size: log.as_ref().filter(|log| !log.is_window).map(|log| size(log.next)).unwrap_or_default(),
        has_file: log.as_ref().is_some_and(|log| !log.is_window),
        log,
        is_running,
    }))
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{Resolution, Verdict};

    use super::*;
    use crate::web::files::LOG_NAME;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::testing::{TestApp, text_of};

    impl LogPage {
        fn sample() -> Self {
            Self {
                layout: Layout::sample("Log of scan 17"),
                live: Some(Live::sample()),
                log_script_url: "/assets/log.js".into(),
                id: 17,
                target: clean(HOSTILE),
                attempt: 2,
                attempts: vec![1, 2],
                log: Some(Tail {
                    lines: vec![clean(HOSTILE), "</pre><b>bold</b>".into()],
                    next: 412,
                    is_cut: true,
                    is_window: false,
                    growing: None,
                }),
                size: "412 bytes".into(),
                has_file: true,
                is_running: true,
            }
        }
    }

    #[test]
    fn log_page_matches_snapshot() {
        let html = LogPage::sample().render().unwrap();
        assert!(!html.contains("<script>") && !html.contains("<b>bold"));
        insta::assert_snapshot!(html);
    }

    #[tokio::test]
    async fn log_page_shows_the_requested_attempt_or_that_it_has_no_log() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        let none = text_of(app.get("/scans/1/log").await).await;
        assert!(
            none.contains("No log yet.") && none.contains(r#"data-events="/api/scans/1/events""#),
            "it may come: {none}"
        );
        std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
        std::fs::write(app.attempt_folder(&scan).join(LOG_NAME), "first <b>\n").unwrap();
        for path in ["/scans/1/log", "/scans/1/log?attempt=1", "/scans/1/log?attempt=9", "/scans/1/log?attempt=../x"] {
            assert!(text_of(app.get(path).await).await.contains("first &#60;b&#62;"), "{path}");
        }
        assert_eq!(app.get("/scans/9/log").await.status(), 404);
        app.finish(&scan, Resolution::Complete(Verdict::default())).await;
        let ended = text_of(app.get("/scans/1/log").await).await;
        assert!(
            ended.contains("first &#60;b&#62;") && ended.contains(r#"data-keep="1""#) && !ended.contains("data-live"),
            "{ended}"
        );
    }
}
