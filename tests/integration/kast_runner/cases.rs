//! Tests of complete attempts whose scanner writes unusual files, as real scanners and their tools
//! do.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kastrel_actors::model::{PluginStatus, ScanRequestDraft};
use kastrel_actors::policy::classify::StopCause;
use kastrel_actors::ports::{AttemptEvent, StartError, StopMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::stage::{Ended, Stage};

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases").join(name)
}

/// Runs an attempt that writes exactly these files.
async fn replay(files: &[(&str, &str)]) -> Ended {
    replay_at("ok.test", files).await
}

/// Runs an attempt at this target that writes exactly these files.
async fn replay_at(target: &str, files: &[(&str, &str)]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    for (name, source) in files {
        std::fs::copy(case(source), folder.path().join(name)).unwrap();
    }
    let path = folder.path().to_owned();
    let stage = Stage::with(|config| config.env_extra = vec![("FAKE_KAST_REPLAY".into(), path.into())]).await;
    stage.play(target).await
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_result_does_not_count_as_passed() {
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
        assert!(
            status == PluginStatus::Completed || whatweb.message.as_deref().unwrap().contains("cannot be read"),
            "{file}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_target_fails_the_scan_despite_reported_success() {
    for (testssl, reason) in
        [("testssl-fatal.json", "Can't connect to ok.test:443"), ("testssl-empty.json", "without any test")]
    {
        let testssl = format!("unchecked/{testssl}");
        let ended = replay(&[
            ("kast_info.json", "unchecked/info.json"),
            ("whatweb_processed.json", "unchecked/whatweb-nothing.json"),
            ("wafw00f_processed.json", "unchecked/wafw00f-down.json"),
            ("testssl_processed.json", testssl.as_str()),
            ("cors_analyzer_processed.json", "unchecked/cors-nothing.json"),
            ("script_detection_processed.json", "unchecked/script-refused.json"),
            ("ai_surface_detection_processed.json", "unchecked/ai-nothing.json"),
        ])
        .await;
        assert_eq!(ended.name, "nothing_checked", "{}", ended.detail());
        assert_eq!(ended.report.plugins.len(), 6);
        for (plugin, reason) in ended.report.plugins.iter().zip([
            "No findings were produced by whatweb.",
            "the target did not answer",
            reason,
            "the target did not answer",
            "connection refused",
            "Had nothing to look at",
        ]) {
            assert_eq!((plugin.status, plugin.issues_count()), (PluginStatus::Failed, 0), "{plugin:?}");
            assert!(plugin.message.as_deref().unwrap().contains(reason), "{plugin:?}");
        }
    }
}

/// Starts a TLS web server with an untrusted certificate. Returns its address.
async fn tls_server() -> SocketAddr {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = acceptor.accept(stream).await.unwrap();
            assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    });
    address
}

/// KAST's CORS check reports success even if all of its requests failed. If it runs alone, no other
/// plugin shows whether the target responded.
#[tokio::test(flavor = "multi_thread")]
async fn single_plugin_without_findings_counts_only_if_the_target_answers() {
    let files = [
        ("cors_analyzer_processed.json", "unchecked/cors-nothing.json"),
        ("kast_info.json", "unchecked/info-of-cors.json"),
    ];
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    for (target, reason) in
        [(closed.as_str(), "Connection refused"), ("no-such-host.invalid", "the name does not resolve")]
    {
        let ended = replay_at(target, &files).await;
        assert_eq!(ended.name, "nothing_checked", "{target}: {}", ended.detail());
        let cors = ended.report.plugins.iter().find(|plugin| plugin.name == "cors_analyzer").unwrap();
        assert!(cors.status == PluginStatus::Failed && cors.message.as_deref().unwrap().contains(reason), "{cors:?}");
        let live = ended
            .events
            .iter()
            .filter_map(|event| if let AttemptEvent::Plugins(plugins) = event { Some(plugins) } else { None })
            .flatten();
        assert!(live.into_iter().all(|plugin| plugin.status != PluginStatus::Completed), "it was never green");
    }
    let ended = replay_at(&tls_server().await.to_string(), &files).await;
    assert_eq!(ended.name, "completed", "{}", ended.detail());
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
        let whatweb: Vec<_> =
            ended.report.plugins.iter().filter(|plugin| plugin.name.eq_ignore_ascii_case("whatweb")).collect();
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
    let job = || {
        stage.draft(ScanRequestDraft {
            target: "http://ok.test/app".into(),
            overrides: overrides.clone(),
            ..ScanRequestDraft::default()
        })
    };
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
async fn ignored_target_parts_are_noted_while_the_scan_runs() {
    let stage = Stage::with(|_| {}).await;
    let job = stage.draft(ScanRequestDraft { target: "http://hang.test/app".into(), ..ScanRequestDraft::default() });
    let notes = stage.runner.paths(&job).attempt_dir.join("notes.log");
    let is_noted = || std::fs::read_to_string(&notes).unwrap().contains("ignores the scheme http and the path /app");
    let mut running = stage.start(job).await.unwrap();
    running.in_progress().await;
    assert!(is_noted());
    running.control.as_ref().unwrap().stop(StopMode::Kill);
    running.ended(Some(StopCause::Cancel)).await;
    assert!(is_noted());
}
