//! Tests that every way in which a scanner can end by itself has a name.

use kastrel_actors::model::{
    AttemptEnd, AttemptNumber, ExitKind, PluginStatus, ScanRequestDraft, ScannerKind, Severity,
};
use kastrel_actors::ports::AttemptEvent;

use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn scan_completes_with_its_results() {
    let stage = Stage::new().await;
    let ended = stage.play("ok-150ms-3p.test").await;
    assert_eq!((ended.name.as_str(), ended.report.exit), ("completed", ExitKind::Code(0)));
    assert_eq!(
        ended.plugins(),
        [
            ("whatweb", PluginStatus::Completed, 1),
            ("wafw00f", PluginStatus::Completed, 2),
            ("testssl", PluginStatus::Completed, 3),
            ("cors_analyzer", PluginStatus::Pending, 0),
            ("script_detection", PluginStatus::Pending, 0),
            ("ai_surface_detection", PluginStatus::Pending, 0)
        ]
    );
    let AttemptEnd::Completed(verdict) = &ended.end else { panic!("completed") };
    assert_eq!(
        (
            verdict.findings(),
            verdict.count(PluginStatus::Pending),
            verdict.severities().high,
            verdict.severities().unknown
        ),
        (6, 3, 3, 3)
    );
    let issue = &ended.report.plugins[0].issues[0];
    assert_eq!((issue.severity, issue.title.as_str()), (Severity::High, "A fake issue"));
    assert_eq!(ended.report.notes, Vec::<String>::new());

    let AttemptEvent::Started { pid, scanner } = &ended.events[0] else { panic!("started first: {:?}", ended.events) };
    assert!(*pid > 1);
    assert_eq!((scanner.kind, scanner.version.as_str()), (ScannerKind::Kast, "3.0.40"));
    let states: Vec<String> = ended
        .events
        .iter()
        .filter_map(|event| match event {
            AttemptEvent::Plugins(plugins) => Some(plugins.iter().map(|plugin| &plugin.status.as_str()[..1]).collect()),
            AttemptEvent::Started { .. } | AttemptEvent::Alive | AttemptEvent::Ended(_) => None,
        })
        .collect();
    assert!(states.len() >= 2 && states.windows(2).all(|pair| pair[0] != pair[1]), "{states:?}");
    let alive = ended.events.iter().filter(|event| matches!(event, AttemptEvent::Alive)).count();
    assert!((1..=3).contains(&alive), "a sign of life, at most about two a second: {alive}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failed_end_has_its_name_and_reason() {
    let stage = Stage::new().await;
    for (target, name, exit, reason) in [
        ("crash.test", "crashed", ExitKind::Code(1), "ValueError: played crash"),
        ("usage.test", "usage_error", ExitKind::Code(2), "Invalid value for '--mode'."),
        ("nofiles.test", "no_result", ExitKind::Code(0), "although its exit code was 0"),
        ("signal.test", "killed_by_signal", ExitKind::Signal(9), "signal 9"),
    ] {
        let ended = stage.play(target).await;
        assert_eq!((ended.name.as_str(), ended.report.exit), (name, exit), "{target}");
        assert!(ended.detail().contains(reason), "{target}: {}", ended.detail());
        assert!(!ended.detail().contains('\u{1b}'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_completes_without_files() {
    let stage = Stage::new().await;
    let job =
        stage.draft(ScanRequestDraft { target: "ok.test".into(), dry_run: Some(true), ..ScanRequestDraft::default() });
    let ended = stage.start(job).await.unwrap().ended(None).await;
    assert_eq!((ended.name.as_str(), ended.report.plugins.len()), ("completed", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_plugin_does_not_fail_the_scan() {
    let stage = Stage::new().await;
    let ended = stage.play("failp-2p.test").await;
    assert_eq!(ended.name, "completed");
    assert_eq!(ended.plugins()[1], ("wafw00f", PluginStatus::Failed, 2));
    assert_eq!(ended.report.plugins[1].message.as_deref(), Some("wafw00f says bücher"));
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_have_separate_folders() {
    let stage = Stage::new().await;
    let mut job = stage.job("flaky.test");
    let mut names = Vec::new();
    for attempt in 1..=3 {
        job.attempt = AttemptNumber(attempt);
        names.push(stage.start(job.clone()).await.unwrap().ended(None).await.name);
    }
    assert_eq!(names, ["crashed", "crashed", "completed"]);
    let paths = stage.runner.paths(&job);
    assert!(
        paths.attempt_dir.join("kast_report.html").is_file() && paths.scan_dir.join("attempt-1/kast.log").is_file()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_outlive_the_scanner_are_killed_and_reported() {
    let stage = Stage::new().await;
    let ended = stage.play("family-1p.test").await;
    assert_eq!(ended.name, "completed");
    assert!(
        ended.report.notes.iter().any(|note| note.starts_with("processes outlived the scanner and were killed: 2")),
        "{:?}",
        ended.report.notes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_scans_run_at_once() {
    let stage = Stage::new().await;
    let mut running = Vec::new();
    for _ in 0..60 {
        running.push(stage.start(stage.job("ok-300ms.test")).await.unwrap());
    }
    // The check after an end looks for the processes of all attempts, so only the last attempt may
    // use it.
    for mut attempt in running {
        while let Some(event) = attempt.next().await {
            if let AttemptEvent::Ended(report) = event {
                assert_eq!(report.exit, ExitKind::Code(0));
            }
        }
    }
}
