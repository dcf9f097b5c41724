use kastrel_actors::model::{
    AttemptEnd, AttemptRecord, Failure, FailureKind, FencingToken, Interruption, IssueRef, PluginResult, PluginStatus,
    Resolution, ScanStatus, ScannerInfo, ScannerKind, Severity, SeverityCounts, Verdict,
};

use kastrel_actors::testing::fixtures;

use super::*;
use crate::ports::LOG_NAME;
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
        let ends = [
            Some(AttemptEnd::Failed(Failure::new(FailureKind::KilledBySignal, HOSTILE))),
            Some(AttemptEnd::Interrupted { why: Interruption::Shutdown, detail: None }),
            None,
        ];
        let attempts = ends.into_iter().zip(1..).map(|(end, number)| AttemptRecord {
            number: kastrel_actors::model::AttemptNumber(number),
            token: FencingToken(u64::from(number)),
            node: "node-a".parse().unwrap(),
            due: None,
            started_at: at,
            ended_at: end.is_some().then_some(at),
            end,
            scanner: Some(ScannerInfo { kind: ScannerKind::Kast, version: "3.0.40".into(), configuration: None }),
        });
        let plugins: Vec<PluginResult> = plugins.collect();
        let timeline = vec![TimelineRow {
            name: clean(HOSTILE),
            class: "completed",
            state: "completed",
            span: crate::web::pages::charts::Span { start: 10, width: 200 },
            took: "12 s".into(),
            begins: "3 s".into(),
        }];
        let scan = ScanId(17);
        Self {
            layout: Layout::sample("Scan 17"),
            id: 17,
            target: clean(HOSTILE),
            status: ScanStatus::Running,
            badge: ScanStatus::Running.into(),
            mode: "both",
            priority: Some("high"),
            is_dry_run: true,
            repeats: Some(9),
            notice: Some(Notice::new(
                "warning",
                "The scan is accepted and stored, but the job queue not responding. The scan starts by itself when the queue is back.",
            )),
            live: Some(Live { events_url: "/api/scans/17/events".into(), ..Live::sample() }),
            log_script_url: "/assets/log.js".into(),
            waiting: vec![WaitingRow {
                name: "retry",
                text: clean(HOSTILE),
                next: Some(WallClock::sample().moment(at)),
                next_label: "Retrying at",
            }],
            error: Some(clean(HOSTILE)),
            error_kind: "crashed".into(),
            is_cancelling: true,
            progress: Some(Progress {
                percent: Some(41),
                text: "5 of 12 plugins done".into(),
                since: "1970-01-01T00:00:00Z".into(),
                elapsed: "3 min 5 s".into(),
                left: Some("~3 min left".into()),
                doing: clean(HOSTILE),
                phase: Some("Running".into()),
                attempt: "Attempt 2 of 3".into(),
            }),
            coverage: CoverageView {
                label: "10 of 12 checks ran".into(),
                gaps: vec![crate::web::pages::coverage::Gap {
                    class: "failed",
                    is_failure: true,
                    count: "1 failed".into(),
                    plugins: clean(HOSTILE),
                }],
                left_out: clean(HOSTILE),
                percent: None,
                is_complete: false,
            },
            kept: Some("The results of 2 plugins are kept from attempt 1.".into()),
            outcome: "31 issues".into(),
            no_issues: "No issues yet.".into(),
            severities: severities(SeverityCounts::of(&plugins)),
            created: WallClock::sample().moment(at),
            started: Some(WallClock::sample().moment(at)),
            ended: None,
            duration: "3 min 5 s".into(),
            facts: vec![Fact { label: "Plugins", value: clean(HOSTILE) }],
            groups: findings::group(&plugins, Some(&crate::web::testing::catalogue())),
            plugins: plugins.iter().map(|plugin| PluginRow::new(scan, plugin, None, at)).collect(),
            timeline,
            attempts: attempts
                .map(|attempt| AttemptRow::new(&attempt, &ScanStatus::Completed.into(), &WallClock::sample()))
                .collect(),
            results: Results {
                attempt: 3,
                report: true,
                html_url: "/scans/17/attempts/3/files/kast_report.html?download=1".into(),
                pdf_url: Some("/scans/17/attempts/3/files/kast_report.pdf".into()),
                has_files: true,
                missing_report: Some("No PDF report: it was requested, but the scanner wrote none."),
                notice: Some(crate::web::files::PARTIAL),
                has_info: true,
                command: Some(clean(HOSTILE)),
                zap: Some(ZapView {
                    status: clean(HOSTILE),
                    elapsed: "1 min 15 s".into(),
                    bars: vec![zap::ZapBar { label: "Spider", percent: 41 }],
                    queue: Some(7),
                    alerts: "2 high".into(),
                    warnings: vec![clean(HOSTILE)],
                }),
                notes: Vec::new(),
                log: Some(Tail {
                    lines: vec![clean(HOSTILE), "</pre><b>bold</b>".into()],
                    next: 412,
                    is_cut: true,
                    is_window: false,
                    growing: None,
                }),
            },
            can_cancel: true,
            has_ended: true,
            can_rerun: true,
            rerun_failed: Some("Run the 2 failed plugins again".into()),
            can_delete: true,
            can_transfer: false,
            can_render: true,
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
            trace_url: Some("http://jaeger.test/trace/4bf92f3577b34da6a3ce929d0e0e4736".into()),
            links: None,
            shares: None,
            shared: None,
            changes: None,
            notes: None,
        }
    }
}

#[test]
fn scan_page_matches_snapshot() {
    let html = ScanDetailPage::sample().render().unwrap();
    assert!(
        !html.contains("<script>")
            && !html.contains('\u{1b}')
            && !html.contains('\u{202e}')
            && !html.contains("<b>bold")
    );
    insta::assert_snapshot!(html);
}

#[tokio::test]
async fn only_the_page_of_an_open_scan_updates_live() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    app.snapshots.update_attempt(scan.id, scan.token, |live| {
        live.plugins(vec![
            PluginResult::new("whatweb", PluginStatus::Completed),
            PluginResult::new("testssl", PluginStatus::InProgress),
        ]);
    });
    let html = text_of(app.get("/scans/1?submitted=1").await).await;
    for part in [
        r#"data-events="/scans/1/live?from="#,
        r#"data-poll-ms="3000""#,
        r#"<script type="module" src="/assets/live.js?v="#,
        r#"<noscript><meta http-equiv="refresh" content="3"></noscript>"#,
        r#"action="/scans/1/cancel""#,
        "1 of 2 plugins done",
        r#"<progress id="progress-bar" max="100" value="50""#,
        "Scan queued. This page updates live.",
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    app.finish(&scan, Resolution::Fail(Failure::new(FailureKind::Crashed, "Traceback <most recent>"))).await;
    let html = text_of(app.get("/scans/1?submitted=1").await).await;
    assert!(
        !html.contains("data-live")
            && !html.contains("live.js")
            && !html.contains("http-equiv")
            && !html.contains("/scans/1/cancel")
    );
    assert!(
        html.contains("Traceback &#60;most recent&#62;")
            && html.contains("/scans/1/rerun")
            && html.contains("/scans/1/delete")
            && !html.contains("Scan queued")
    );
}

#[tokio::test]
async fn plugins_that_did_not_run_show_the_reason() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    let failed =
        PluginResult { message: Some("timed out <b>".into()), ..PluginResult::new("testssl", PluginStatus::Failed) };
    let verdict =
        Verdict { plugins: vec![failed, PluginResult::new("subfinder", PluginStatus::Unavailable)], dry_run: false };
    app.finish(&scan, Resolution::Complete(verdict)).await;
    let html = text_of(app.get("/scans/1").await).await;
    for part in [
        "0 of 2 checks ran",
        r#"1 failed: <span class="mono">testssl</span>"#,
        r#"1 not installed: <span class="mono">subfinder</span>"#,
        "Completed, nothing checked",
        "Not checked: no check completed.",
        "Timed out &#60;b&#62;",
        "Tool not installed on the node",
        r#"data-plugin="testssl" data-status="failed""#,
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    let list = text_of(app.get("/scans").await).await;
    assert!(list.contains("1 failed") && list.contains("1 not installed"), "{list}");
}

#[tokio::test]
async fn a_scan_is_deleted_after_a_question_and_only_once_it_has_ended() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    assert!(text_of(app.get("/scans/1/delete").await).await.contains("The scan has not finished."));
    assert_eq!(app.post_form("/scans/1/delete", "confirmed=yes").await.status(), 409);
    assert_eq!(app.send("DELETE", "/api/scans/1", &[], "").await.status(), 409);
    std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
    app.finish(&scan, Resolution::Fail(Failure::new(FailureKind::Crashed, "x"))).await;
    let question = text_of(app.get("/scans/1/delete").await).await;
    assert!(question.contains("Delete scan 1?") && question.contains(r#"action="/scans/1/delete""#), "{question}");
    assert_eq!(
        header_of(&app.post_form("/scans/1/delete", "confirmed=yes").await, "location"),
        "/scans?done=delete&n=1"
    );
    assert!(!app.attempt_folder(&scan).exists());
    assert_eq!(
        (
            app.get("/scans/1").await.status().as_u16(),
            app.send("DELETE", "/api/scans/1", &[], "").await.status().as_u16()
        ),
        (404, 404)
    );
    let ended = app.running("example.org").await;
    app.finish(&ended, Resolution::Fail(Failure::new(FailureKind::Crashed, "x"))).await;
    assert_eq!(app.send("DELETE", &format!("/api/scans/{}", ended.id), &[], "").await.status(), 204);
}

#[tokio::test]
async fn report_cannot_be_rendered_without_a_renderer() {
    let app = TestApp::new();
    app.running("example.com").await;
    assert_eq!(app.post_form("/scans/1/render", "").await.status(), 409);
    assert_eq!(app.post_form("/scans/9/render", "").await.status(), 404);
}

#[tokio::test]
async fn buttons_lead_back_to_a_scan_that_says_what_happened() {
    let app = TestApp::new();
    app.submitted("example.com").await;
    let cancelled = app.post_form("/scans/1/cancel", "").await;
    assert_eq!((cancelled.status().as_u16(), header_of(&cancelled, "location")), (303, "/scans/1?notice=cancelled"));
    assert!(text_of(app.get("/scans/1?notice=cancelled").await).await.contains("Scan cancelled."));
    assert_eq!(header_of(&app.post_form("/scans/1/cancel", "").await, "location"), "/scans/1?notice=ended");
    assert_eq!(header_of(&app.post_form("/scans/1/rerun", "").await, "location"), "/scans/2?submitted=1");
    assert_eq!(app.post_form("/scans/99/cancel", "").await.status(), 404);
    // A button on a row of the list leads back to the list.
    let listed = "back=%2Fscans%3Fstatus%3Dpending";
    assert_eq!(
        header_of(&app.post_form("/scans/2/cancel", listed).await, "location"),
        "/scans?status=pending&done=cancel&n=1&not=0"
    );
    assert_eq!(
        header_of(&app.post_form("/scans/2/cancel", listed).await, "location"),
        "/scans?status=pending&done=cancel&n=0&not=1"
    );
    assert_eq!(
        header_of(&app.post_form("/scans/2/rerun", listed).await, "location"),
        "/scans?status=pending&done=rerun&n=1&not=0"
    );
}

#[tokio::test]
async fn the_notes_on_an_ended_attempt_are_shown() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
    std::fs::write(
        app.attempt_folder(&scan).join("notes.log"),
        "processes outlived the scanner and were killed: 3 (sleep)\n<script>x</script>\n",
    )
    .unwrap();
    assert!(!text_of(app.get("/scans/1").await).await.contains("no PDF report"), "nothing is known before the end");
    app.finish(&scan, Resolution::Complete(Verdict::default())).await;
    let html = text_of(app.get("/scans/1").await).await;
    assert!(
        html.contains("<p>Processes outlived the scanner and were killed: 3 (sleep)</p>")
            && html.contains("&#60;script&#62;x")
            && html.contains("id=\"scan-notes\""),
        "{html}"
    );
}

#[tokio::test]
async fn the_log_is_shown_and_cannot_break_out() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    assert!(!text_of(app.get("/scans/1").await).await.contains("id=\"log\""));
    std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
    std::fs::write(app.attempt_folder(&scan).join(LOG_NAME), "first\n\u{1b}[31m</pre><script>x</script>\n").unwrap();
    let html = text_of(app.get("/scans/1").await).await;
    assert!(
        html.contains("data-log-url=\"/api/scans/1/log?attempt=1\" data-next=\"36\" data-running")
            && html.contains("&#60;/pre&#62;&#60;script&#62;")
            && !html.contains("[31m")
            && !html.contains('\u{1b}'),
        "{html}"
    );
}

#[tokio::test]
async fn unknown_scan_is_an_error_page() {
    let app = TestApp::new();
    for path in ["/scans/1", "/scans/abc", "/scans/1/report", "/scans/1/files"] {
        let response = app.get(path).await;
        assert_eq!(
            (response.status().as_u16(), header_of(&response, "content-type")),
            (404, "text/html; charset=utf-8"),
            "{path}"
        );
        assert!(text_of(response).await.contains("Scan not found"), "{path}");
    }
}

#[tokio::test]
async fn waiting_scan_shows_the_reason_of_the_pause() {
    let app = TestApp::new();
    app.submitted("example.com").await;
    assert!(!text_of(app.get("/scans/1").await).await.contains("Scan queued, but"));
    app.services.queue.pause(&fixtures::context(), Some("an <upgrade>")).await.unwrap();
    for address in ["/scans/1", "/scans/1?submitted=1"] {
        let html = text_of(app.get(address).await).await;
        assert!(
            html.contains("The queue is paused (an &#60;upgrade&#62;). Starts when the queue is resumed."),
            "{html}"
        );
    }
    app.services.queue.resume(&fixtures::context()).await.unwrap();
    assert!(text_of(app.get("/scans/1?submitted=1").await).await.contains("Scan queued. This page"));
}

#[test]
fn notice_is_never_text_from_the_url_and_matches_the_row() {
    let record = fixtures::record(1, jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(notice_of("notice=<b>", &record), None);
    assert_eq!(notice_of("submitted=1", &record).map(|notice| notice.kind), Some("submitted"));
    for query in ["notice=cancelled", "notice=cancelling", "notice=ended", "notice=rendered"] {
        assert_eq!(notice_of(query, &record), None, "{query}: the row does not agree");
    }
}
