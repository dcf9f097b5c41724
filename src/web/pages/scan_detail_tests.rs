use kastrel_actors::model::{
    AttemptEnd, AttemptRecord, Failure, FailureKind, FencingToken, Interruption, IssueRef, PluginResult, PluginStatus, Resolution, ScannerInfo, ScannerKind,
    Severity,
};

use super::*;
use crate::adapters::kast_runner::LOG_NAME;
use crate::web::pages::layout::HOSTILE;
use crate::web::testing::{TestApp, header_of, text_of};

impl ScanDetailPage {
    fn sample() -> Self {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let plugins = PluginStatus::ALL.iter().map(|status| PluginResult {
            findings_count: 3,
            issues: vec![IssueRef { id: "x".into(), severity: Severity::High, title: HOSTILE.into() }],
            message: Some(HOSTILE.into()),
            ..PluginResult::new(format!("plugin_{status}"), *status)
        });
        let ends =
            [Some(AttemptEnd::Failed(Failure::new(FailureKind::KilledBySignal, HOSTILE))), Some(AttemptEnd::Interrupted { why: Interruption::Shutdown }), None];
        let attempts = ends.into_iter().zip(1..).map(|(end, number)| AttemptRecord {
            number: kastrel_actors::model::AttemptNumber(number),
            token: FencingToken(u64::from(number)),
            node: "node-a".parse().unwrap(),
            started_at: at,
            ended_at: end.is_some().then_some(at),
            end,
            scanner: Some(ScannerInfo { kind: ScannerKind::Kast, version: "3.0.40".into() }),
        });
        Self {
            layout: Layout::sample("Scan 17"),
            id: 17,
            target: clean(HOSTILE),
            badge: ScanStatus::Running.into(),
            notice: notice_of("submitted=1&queue=silent"),
            live: Some(Live {
                script_url: "/assets/scan.js".into(),
                status_url: "/api/scans/17/status".into(),
                poll_ms: 3000,
                refresh_seconds: 3,
                scan_badges: Badge::of_scans(),
                plugin_badges: Badge::of_plugins(),
            }),
            waiting: Some(clean(HOSTILE)),
            error: Some(clean(HOSTILE)),
            created: at.into(),
            started: Some(at.into()),
            ended: None,
            duration: "3 min 5 s".into(),
            facts: vec![Fact { label: "Plugins", value: clean(HOSTILE) }],
            plugins: plugins.map(|plugin| (&plugin).into()).collect(),
            attempts: attempts.map(|attempt| AttemptRow::new(&attempt, at)).collect(),
            results: Results {
                report: true,
                pdf_url: Some("/scans/17/attempts/3/files/kast_report.pdf".into()),
                has_files: true,
                log: vec![clean(HOSTILE), "</pre><b>bold</b>".into()],
                partial: true,
            },
            can_cancel: true,
            is_cancelling: true,
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
        }
    }
}

#[test]
fn looks_as_it_should() {
    let html = ScanDetailPage::sample().render().unwrap();
    assert!(!html.contains("<script>") && !html.contains('\u{1b}') && !html.contains('\u{202e}') && !html.contains("<b>"));
    insta::assert_snapshot!(html);
}

#[tokio::test]
async fn a_live_page_polls_and_an_ended_one_is_still() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    let html = text_of(app.get("/scans/1").await).await;
    for part in [
        r#"data-status-url="/api/scans/1/status" data-poll-ms="3000" data-started="2026-01-01T00:00:00Z""#,
        r#"<script type="module" src="/assets/scan.js?v="#,
        r#"<noscript><meta http-equiv="refresh" content="3"></noscript>"#,
        r#"action="/scans/1/cancel""#,
        r#"<template data-plugin-badge="in_progress">"#,
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    app.finish(&scan, Resolution::Fail(Failure::new(FailureKind::Crashed, "Traceback <most recent>"))).await;
    let html = text_of(app.get("/scans/1?submitted=1").await).await;
    assert!(!html.contains("data-status-url") && !html.contains("<script") && !html.contains("http-equiv") && !html.contains("/scans/1/cancel"));
    assert!(html.contains("Traceback &#60;most recent&#62;") && html.contains("/scans/1/rerun") && !html.contains("is accepted"));
}

#[tokio::test]
async fn buttons_lead_back_to_a_scan_that_says_what_happened() {
    let app = TestApp::new();
    app.submitted("example.com").await;
    let cancelled = app.post_form("/scans/1/cancel", "").await;
    assert_eq!((cancelled.status().as_u16(), header_of(&cancelled, "location")), (303, "/scans/1?notice=cancelled"));
    assert!(text_of(app.get("/scans/1?notice=cancelled").await).await.contains("The scan is cancelled."));
    assert_eq!(header_of(&app.post_form("/scans/1/cancel", "").await, "location"), "/scans/1?notice=ended");
    assert_eq!(header_of(&app.post_form("/scans/1/rerun", "").await, "location"), "/scans/2?submitted=1");
    assert_eq!(app.post_form("/scans/99/cancel", "").await.status(), 404);
}

#[tokio::test]
async fn the_log_is_shown_and_cannot_break_out() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    assert!(!text_of(app.get("/scans/1").await).await.contains("End of the log"));
    std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
    std::fs::write(app.attempt_folder(&scan).join(LOG_NAME), "first\n\u{1b}[31m</pre><script>x</script>\n").unwrap();
    let html = text_of(app.get("/scans/1").await).await;
    assert!(html.contains("End of the log") && html.contains("[31m&#60;/pre&#62;&#60;script&#62;") && !html.contains('\u{1b}'), "{html}");
}

#[tokio::test]
async fn what_is_no_scan_is_a_page_that_says_so() {
    let app = TestApp::new();
    for path in ["/scans/1", "/scans/abc", "/scans/1/report", "/scans/1/files"] {
        let response = app.get(path).await;
        assert_eq!((response.status().as_u16(), header_of(&response, "content-type")), (404, "text/html; charset=utf-8"), "{path}");
        assert!(text_of(response).await.contains("there is no such scan"), "{path}");
    }
}

#[tokio::test]
async fn a_scan_that_waits_says_why_with_the_reason_of_whoever_paused_the_queue() {
    let app = TestApp::new();
    app.submitted("example.com").await;
    assert!(!text_of(app.get("/scans/1").await).await.contains("is-warning"));
    app.desk.pause(Some("an <upgrade>".into())).await.unwrap();
    for address in ["/scans/1", "/scans/1?submitted=1"] {
        let html = text_of(app.get(address).await).await;
        assert!(html.contains("but the queue is paused (an &#60;upgrade&#62;); it starts when the queue is resumed."), "{html}");
    }
    app.desk.resume().await.unwrap();
    assert!(text_of(app.get("/scans/1?submitted=1").await).await.contains("The scan is accepted. This page"));
}

#[test]
fn a_notice_is_never_text_from_the_address() {
    assert_eq!(notice_of("notice=<b>"), None);
    assert_eq!(notice_of("submitted=1&queue=silent").map(|notice| notice.kind), Some("warning"));
}
