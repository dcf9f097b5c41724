use jiff::Timestamp;
use kastrel_actors::model::{
    DayOutcomes, Failure, FailureKind, HeldBack, PastRun, PluginInfo, PluginResult, PluginStatus, QueuePause,
    Resolution, ScannerInfo, ScannerKind, Verdict,
};
use kastrel_actors::testing::fixtures;

use super::*;
use crate::web::pages::layout::HOSTILE;
use crate::web::testing::{TestApp, catalogue, header_of, text_of};

impl OverviewPage {
    fn sample() -> Self {
        let (at, today) = (Timestamp::UNIX_EPOCH, jiff::civil::date(1970, 1, 3));
        let day = DayOutcomes { day: today, completed: 3, failed: 1, cancelled: 1 };
        let run = |id| PastRun {
            id: kastrel_actors::model::ScanId(id),
            target: HOSTILE.into(),
            mode: kastrel_actors::model::ScanMode::Passive,
            took: Duration::from_secs(60 * id),
        };
        let first = first_day(today, 3);
        Self {
            layout: Layout::sample("Overview"),
            live: Live::sample(),
            switcher: None,
            wrong: None,
            links: Links::of(None),
            notice: None,
            tiles: tiles(
                &StoreStats { pending: 1, running: 2, completed: 3, failed: 4, cancelled: 5, ..StoreStats::default() },
                None,
            ),
            health: health(
                Some((&[], 0)),
                None,
                &[],
                Some(HealthItem::new("redis", Some(false), format!("Redis {HOSTILE}"))),
                Some(&catalogue()),
            ),
            running: vec![RunCard {
                id: 17,
                url: "/scans/17".into(),
                target: clean(HOSTILE),
                mode: "both",
                attempt: Some("attempt 2".into()),
                percent: Some(41),
                plugins: "5 of 12 plugins done".into(),
                doing: clean(HOSTILE),
                since: "1970-01-01T00:00:00Z".into(),
                elapsed: "3 min 5 s".into(),
                left: Some("~3 min left".into()),
                is_stopping: false,
                can_cancel: true,
            }],
            more_running: Some("2 more running scans".into()),
            failures: vec![FailureRow {
                id: 9,
                url: "/scans/9".into(),
                target: clean(HOSTILE),
                reason: clean(HOSTILE),
                at: WallClock::sample().moment(at),
                can_rerun: true,
            }],
            outcomes: outcomes(&[day], first, today),
            durations: durations(&[run(2), run(1)]),
            days: "3 days".into(),
            recent: ScanStatus::ALL.iter().zip(1..).map(|(status, id)| ScanRow::sample(id, *status)).collect(),
        }
    }
}

#[test]
fn overview_page_matches_snapshot() {
    let html = OverviewPage::sample().render().unwrap();
    assert!(!html.contains("<script>") && !html.contains('\u{1b}') && !html.contains('\u{202e}'));
    insta::assert_snapshot!(html);
}

#[test]
fn health_line_is_never_better_than_the_state() {
    let (now, later) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(30).unwrap());
    let node = |name: &str, expires_at| NodeRecord {
        registration: fixtures::registration(name),
        expires_at,
        is_alive: expires_at > now,
        drain_by: None,
    };
    let plugins = vec![PluginInfo { available: false, ..catalogue().plugins[0].clone() }];
    let none_available = ScannerCatalog {
        scanner: ScannerInfo { kind: ScannerKind::Kast, version: "3.0.40".into(), configuration: None },
        plugins,
        ..catalogue()
    };
    for (nodes, running, queue, catalogue, expected) in [
        (
            vec![node("a", later)],
            3,
            Some((2, Some(SignedDuration::from_secs(40)))),
            Some(catalogue()),
            [
                "is-ok 1 node · 3 of 4 slots busy",
                "is-ok Queue OK · 2 queued, oldest 40 s",
                "is-ok Built-in scanner 0.1.0 · 2 of 3 plugins available",
            ],
        ),
        (
            vec![node("a", later), node("b", now)],
            0,
            None,
            None,
            [
                "is-bad 1 node · 0 of 4 slots busy, 1 lost",
                "is-bad Queue not responding",
                "is-unknown Detecting scanner…",
            ],
        ),
        (
            vec![],
            0,
            Some((0, None)),
            Some(none_available),
            [
                "is-bad No worker connected; scans stay queued",
                "is-ok Queue OK · 0 queued",
                "is-bad KAST 3.0.40 · 0 of 1 plugins available",
            ],
        ),
    ] {
        let items = health(Some((&nodes, running)), queue.map(Some), &[], None, catalogue.as_ref());
        let said: Vec<String> = items
            .iter()
            .filter(|item| item.id != "database")
            .map(|item| format!("{} {}", item.class, item.text))
            .collect();
        assert_eq!(said, expected);
    }
}

#[test]
fn a_queue_that_starts_no_scan_is_not_ok() {
    let paused = StartBlocker::Paused(QueuePause { since: Timestamp::UNIX_EPOCH, reason: None });
    let down = StartBlocker::QueueDown { why: "OOM".into() };
    let held = StartBlocker::HeldBack(HeldBack {
        since: Timestamp::UNIX_EPOCH,
        until: Timestamp::UNIX_EPOCH,
        faults: Vec::new(),
    });
    let forty = Some(SignedDuration::from_secs(40));
    for (queue, blockers, class, text) in [
        (Some(Some((3, forty))), vec![], "is-ok", "Queue OK · 3 queued, oldest 40 s"),
        (Some(Some((0, None))), vec![], "is-ok", "Queue OK · 0 queued"),
        (
            Some(Some((3, forty))),
            vec![paused.clone(), down.clone()],
            "is-warned",
            "Queue paused · 3 queued, oldest 40 s",
        ),
        (Some(Some((1, None))), vec![down], "is-bad", "Queue unavailable · 1 queued"),
        (Some(Some((1, None))), vec![held], "is-warned", "No scan starts · 1 queued"),
        (Some(None), vec![StartBlocker::NoWorker { leaving: 1 }], "is-warned", "No scan starts"),
        (None, vec![paused], "is-bad", "Queue not responding"),
    ] {
        let item = queue_health(queue, &blockers);
        assert_eq!((item.class, item.text.as_str()), (class, text));
    }
}

#[tokio::test]
async fn empty_overview_links_to_the_first_scan() {
    let app = TestApp::new();
    let response = app.get("/").await;
    assert_eq!((response.status().as_u16(), header_of(&response, "content-type")), (200, "text/html; charset=utf-8"));
    let policy = header_of(&response, "content-security-policy");
    assert!(
        policy.contains("script-src 'self'") && policy.contains("style-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let html = text_of(response).await;
    assert!(
        html.contains("No scans yet.") && html.contains(r#"href="/new""#) && html.contains("Detecting scanner…"),
        "{html}"
    );
}

#[tokio::test]
async fn overview_shows_running_scans_and_failures_with_reasons() {
    let app = TestApp::new();
    let failed = app.running("failed.example.com").await;
    app.finish(&failed, Resolution::Fail(Failure::new(FailureKind::Crashed, "Traceback <most recent>"))).await;
    let done = app.running("done.example.com").await;
    app.finish(&done, Resolution::Complete(Verdict::default())).await;
    app.deliver().await;
    let running = app.running("running.example.com").await;
    app.snapshots.update_attempt(running.id, running.token, |live| {
        live.plugins(vec![
            PluginResult::new("whatweb", PluginStatus::Completed),
            PluginResult::new("testssl", PluginStatus::InProgress),
        ]);
    });
    let html = text_of(app.get("/").await).await;
    for part in [
        r#"<li id="run-3""#,
        "1 of 2 plugins done · testssl",
        r#"action="/scans/3/cancel""#,
        "Crashed: Traceback &#60;most recent&#62;",
        r#"action="/scans/1/rerun""#,
        "1 completed, 1 failed, 0 cancelled in 14 days",
        r#"data-events="/api/events" data-poll-ms="3000""#,
        r#"<noscript><meta http-equiv="refresh" content="3"></noscript>"#,
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
}

#[tokio::test]
async fn unavailable_store_is_shown_in_the_health_line() {
    let app = TestApp::new();
    app.running("example.com").await;
    app.store.fail_with("down at secret-host");
    let response = app.get("/").await;
    assert_eq!((response.status().as_u16(), header_of(&response, "retry-after")), (503, "5"));
    let html = text_of(response).await;
    assert!(html.contains("Database not responding.") && !html.contains("secret-host"), "{html}");
    assert!(
        html.contains("Database not responding</span>") && html.contains("Nodes unknown") && html.contains("Queue OK"),
        "{html}"
    );
    assert!(
        !html.contains("No scans running") && !html.contains("tile-running") && html.contains("data-live"),
        "what is not known is not said: {html}"
    );
    app.store.recover();
    assert!(text_of(app.get("/").await).await.contains("Database OK"));
}

#[tokio::test]
async fn overview_page_is_small_with_all_assets() {
    let app = TestApp::new();
    app.load_catalogue();
    for n in 0..20 {
        let scan = app.running(&format!("host{n}.some-department.example.com")).await;
        let plugins = (0..13)
            .map(|n| PluginResult {
                findings_count: 3,
                ..PluginResult::new(format!("plugin_{n}"), PluginStatus::Completed)
            })
            .collect();
        match n % 3 {
            0 => drop(app.finish(&scan, Resolution::Complete(Verdict { plugins, dry_run: false })).await),
            1 => drop(app.finish(&scan, Resolution::Fail(Failure::new(FailureKind::Crashed, "x".repeat(200)))).await),
            _ => {}
        }
    }
    let html = text_of(app.get("/").await).await;
    let mut bytes = html.len();
    for name in ["app.css", "app.js", "live.js", "icon.svg"] {
        assert!(html.contains(&format!("/assets/{name}")) || name == "icon.svg", "{name}");
        bytes += text_of(app.get(&format!("/assets/{name}")).await).await.len();
    }
    assert!(bytes < 100_000, "{bytes}");
}

#[tokio::test]
async fn full_queue_is_shown() {
    let app = TestApp::with_room_for(1, 100);
    assert!(!text_of(app.get("/").await).await.contains("Queue full"));
    app.submitted("example.com").await;
    assert!(text_of(app.get("/").await).await.contains("Queue full: 1 of 1 scans queued, new ones are refused"));
}
