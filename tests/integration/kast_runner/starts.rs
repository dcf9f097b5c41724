//! Tests of the start of an attempt: refusals, failures, and the watching of the folder.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use kastrel::adapters::kast_runner::ScannerCommand;
use kastrel_actors::model::{FailureKind, FaultKind, ScanRequestDraft};
use kastrel_actors::policy::scope::ScopePolicy;
use kastrel_actors::ports::{StartError, StopMode};
use tokio::time::Instant;

use super::stage::{PATIENCE, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn missing_program_is_named_in_the_error() {
    let root = tempfile::tempdir().unwrap();
    let plain = root.path().join("plain-file");
    std::fs::write(&plain, "x").unwrap();
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).unwrap();
    for program in [root.path().join("missing"), plain, root.path().to_owned()] {
        let stage = Stage::without_catalogue(|config| config.scanner = ScannerCommand::kast(&program));
        let Some(StartError::Node(fault)) = stage.start(stage.job("ok.test")).await.err() else {
            panic!("the node's fault")
        };
        assert_eq!(fault.kind, FaultKind::ScannerProgram, "{}", fault.text);
        assert!(fault.text.contains(program.to_str().unwrap()), "{}", fault.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_after_a_restore_starts_with_an_empty_folder() {
    let stage = Stage::new().await;
    let job = stage.job("ok.test");
    stage.start(job.clone()).await.unwrap().ended(None).await;
    let folders = || -> Vec<String> {
        let scan = std::fs::read_dir(stage.root.path().join("results")).unwrap().next().unwrap().unwrap().path();
        let mut names: Vec<String> =
            std::fs::read_dir(scan).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(folders(), ["attempt-1"]);
    assert_eq!(stage.start(job).await.unwrap().ended(None).await.name, "completed");
    assert_eq!(folders(), ["attempt-1", "attempt-1.before-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn target_out_of_scope_starts_no_process() {
    let stage = Stage::with(|config| config.scope = ScopePolicy::default()).await;
    for target in ["127.0.0.1", "[::1]:80", "localhost"] {
        let Some(StartError::Failed(failure)) = stage.start(stage.job(target)).await.err() else {
            panic!("the scan's failure")
        };
        assert_eq!(failure.kind, FailureKind::OutOfScope, "{target}: {}", failure.detail);
    }
    assert_eq!(std::fs::read_dir(stage.root.path().join("results")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_detected_by_inotify_alone_and_by_listing_alone() {
    for (file_notices, relist) in [(true, Duration::from_secs(3600)), (false, Duration::from_millis(20))] {
        let stage = Stage::with(|config| {
            config.file_notices = file_notices;
            config.relist = relist;
        })
        .await;
        let mut running = stage.start(stage.job("hang.test")).await.unwrap();
        running.in_progress().await;
        running.control.as_ref().unwrap().stop(StopMode::Kill);
        running.ended(None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn selected_plugin_runs_with_its_dependencies() {
    let stage = Stage::new().await;
    let job = stage.draft(ScanRequestDraft {
        target: "env-1p.test".into(),
        plugins: vec!["script_detection".into()],
        ..ScanRequestDraft::default()
    });
    let ended = stage.start(job).await.unwrap().ended(None).await;
    let names: Vec<_> = ended.report.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["whatweb", "script_detection"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn active_scan_removes_its_own_zap_container() {
    let root = tempfile::tempdir().unwrap();
    let (docker, calls) = (root.path().join("docker"), root.path().join("calls"));
    std::fs::write(&docker, format!("#!/bin/sh\necho \"$@\" >>{}\n", calls.display())).unwrap();
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
    let stage = Stage::with(|config| {
        config.env_extra = vec![("PATH".into(), root.path().into()), ("FAKE_KAST_ACTIVE".into(), "zap".into())];
    })
    .await;
    let job = stage.draft(ScanRequestDraft {
        target: "crash.test".into(),
        mode: Some("active".into()),
        ..ScanRequestDraft::default()
    });
    let name = format!("kastrel-zap-{}-{}-1-1-", stage.id, job.scan);
    stage.start(job).await.unwrap().ended(None).await;
    let calls = std::fs::read_to_string(&calls).unwrap();
    assert!(calls.starts_with(&format!("rm --force --volumes {name}")) && calls.lines().count() == 1, "{calls}");
}

/// Detects slow work before the spawn. The real duration is far below the limit.
#[tokio::test(flavor = "multi_thread")]
async fn attempt_starts_quickly() {
    let stage = Stage::new().await;
    let mut times = Vec::new();
    for _ in 0..30 {
        let job = stage.job("1p.test");
        let asked = Instant::now();
        let running = stage.start(job).await.unwrap();
        times.push(asked.elapsed());
        tokio::time::timeout(PATIENCE, running.ended(None)).await.unwrap();
    }
    times.sort();
    println!("start: median {:?}, worst {:?}", times[15], times[29]);
    assert!(times[15] < Duration::from_millis(50), "{times:?}");
}
