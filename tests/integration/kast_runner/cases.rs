//! Whole attempts whose scanner writes odd files, as scanners and their tools really write them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kastrel_actors::model::{PluginStatus, ScanRequestDraft};
use kastrel_actors::policy::classify::StopCause;
use kastrel_actors::ports::{StartError, StopMode};

use super::stage::{Ended, Stage};

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases").join(name)
}

/// Runs an attempt that writes exactly these files.
async fn replay(files: &[(&str, &str)]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    for (name, source) in files {
        std::fs::copy(case(source), folder.path().join(name)).unwrap();
    }
    let path = folder.path().to_owned();
    let stage = Stage::with(|config| config.env_extra = vec![("FAKE_KAST_REPLAY".into(), path.into())]).await;
    stage.play("ok.test").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_result_is_no_green_pass() {
    for (file, status, findings) in [
        ("sane.json", PluginStatus::Completed, 2),
        ("nan.json", PluginStatus::Completed, 2),
        ("lone-high-surrogate.json", PluginStatus::Completed, 2),
        ("truncated.json", PluginStatus::Failed, 0),
        ("utf16.json", PluginStatus::Failed, 0),
        ("empty.json", PluginStatus::Failed, 0),
    ] {
        let result = format!("results/{file}");
        let ended = replay(&[("whatweb_processed.json", result.as_str()), ("kast_info.json", "info/sane.json")]).await;
        let whatweb = ended.report.plugins.iter().find(|plugin| plugin.name == "whatweb").unwrap();
        assert_eq!((whatweb.status, whatweb.findings_count), (status, findings), "{file}: {:?}", whatweb.message);
        assert!(status == PluginStatus::Completed || whatweb.message.as_deref().unwrap().contains("cannot be read"), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_info_file_fails_no_scan_and_a_broken_one_names_its_fault() {
    for (file, name, reason) in [
        ("nan-duration.json", "completed", ""),
        ("null-plugins.json", "completed", ""),
        ("no-plugins.json", "completed", ""),
        ("other-case.json", "completed", ""),
        ("truncated.json", "unreadable_result", "truncated"),
        ("utf16.json", "unreadable_result", "UTF-16"),
    ] {
        let info = format!("info/{file}");
        let ended = replay(&[("WhatWeb_processed.json", "results/sane.json"), ("kast_info.json", info.as_str())]).await;
        assert_eq!(ended.name, name, "{file}: {}", ended.detail());
        assert!(ended.detail().contains(reason), "{file}: {}", ended.detail());
        let whatweb: Vec<_> = ended.report.plugins.iter().filter(|plugin| plugin.name.eq_ignore_ascii_case("whatweb")).collect();
        assert_eq!((whatweb.len(), whatweb[0].status), (1, PluginStatus::Completed), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_gets_its_settings_as_one_typed_file() {
    let root = tempfile::tempdir().unwrap();
    let node = root.path().join("kast.yaml");
    std::fs::write(&node, "plugins:\n  whatweb: {timeout: 60, user_agent: 'yes'}\n").unwrap();
    let configured = node.clone();
    let stage = Stage::with(|config| config.kast_config = Some(configured)).await;
    let overrides = vec!["whatweb.aggression_level=1".to_owned(), "katana.depth=1".to_owned()];
    let job = || stage.draft(ScanRequestDraft { target: "http://ok.test/app".into(), overrides: overrides.clone(), ..ScanRequestDraft::default() });
    let first = job();
    let folder = stage.runner.paths(&first).attempt_dir;
    let ended = stage.start(first).await.unwrap().ended(None).await;
    assert_eq!(ended.name, "completed");
    let file = folder.join(".kastrel-config.yaml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let settings: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let plugins = serde_json::json!({"whatweb": {"timeout": 60, "user_agent": "yes", "aggression_level": 1}, "katana": {"depth": 1}});
    assert_eq!(settings["plugins"], plugins);
    let command = std::fs::read_to_string(folder.join("command.sh")).unwrap();
    assert!(command.contains(&format!("--config {}", file.display())) && !command.contains("--set"), "{command}");
    let notes = std::fs::read_to_string(folder.join("notes.log")).unwrap();
    assert!(notes.contains("ignores the scheme http and the path /app"), "{notes}");

    std::fs::write(&node, "plugins: [").unwrap();
    let Some(StartError::Failed(failure)) = stage.start(job()).await.err() else { panic!("KAST would ignore it") };
    assert!(failure.detail.contains("kast.yaml is not valid YAML"), "{}", failure.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kast_really_scans_is_noted_while_it_runs() {
    let stage = Stage::with(|_| {}).await;
    let job = stage.draft(ScanRequestDraft { target: "http://gated.test/app".into(), ..ScanRequestDraft::default() });
    let notes = stage.runner.paths(&job).attempt_dir.join("notes.log");
    let is_noted = || std::fs::read_to_string(&notes).unwrap().contains("ignores the scheme http and the path /app");
    let mut running = stage.start(job).await.unwrap();
    running.in_progress().await;
    assert!(is_noted());
    running.control.as_ref().unwrap().stop(StopMode::Kill);
    running.ended(Some(StopCause::Cancel)).await;
    assert!(is_noted());
}
