//! Tests that a secret setting reaches the scanner only: it is in no page, row, file, log, process
//! list or backup.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::Pid;
use serde_json::json;

use super::app::TestApp;

/// The secret. No file contains it otherwise, and it is long enough for a search.
const SECRET: &str = "hunter2-7f3a9c";

/// Returns the files below a folder that contain the secret.
fn holders(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(holders(&path));
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()))
        {
            found.push(path);
        }
    }
    found
}

/// Returns true if the process list shows the secret.
fn is_listed(pids: &[Pid]) -> bool {
    let shows = |pid: &Pid, file: &str| {
        std::fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero()))
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(SECRET))
    };
    pids.iter().any(|pid| shows(pid, "cmdline") || shows(pid, "environ"))
}

async fn cancel(app: &TestApp, id: u64) {
    app.cancel(id).await;
    app.until_status(id, "cancelled").await;
}

#[tokio::test]
async fn a_secret_reaches_the_scanner_and_nothing_else() {
    let mut app = TestApp::start().await;
    let body = json!({"target": "config-hang.test", "overrides": [format!("zap.remote.api_key={SECRET}"), format!("secret:whatweb.user_agent={SECRET}")]});
    let (status, accepted) = app.post("/api/scans", &body).await;
    assert_eq!(status, 201, "{accepted}");
    let id = accepted["scan_id"].as_u64().unwrap();
    app.until_busy(id).await;
    let given = holders(&app.data());
    assert!(
        given.len() == 1 && given[0].ends_with(".kastrel-config.yaml"),
        "the scanner's configuration alone: {given:?}"
    );
    assert_eq!(given[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let settings: serde_json::Value = serde_json::from_slice(&std::fs::read(&given[0]).unwrap()).unwrap();
    assert_eq!(
        (&settings["plugins"]["zap"]["remote"]["api_key"], &settings["plugins"]["whatweb"]["user_agent"]),
        (&SECRET.into(), &SECRET.into())
    );
    let mut pids = app.processes_of(id);
    pids.push(app.server_pid());
    assert!(!is_listed(&pids));

    // The node dies; the next attempt also receives the secret.
    app.kill_server().await;
    app.restart().await;
    app.until(id, |scan| scan["attempt"] == 2 && scan["status"] == "running").await;
    app.until_busy(id).await;
    let given = holders(&app.data());
    assert!(
        given.len() == 1 && given[0].to_string_lossy().contains("attempt-2"),
        "that of the attempt before is gone: {given:?}"
    );
    cancel(&app, id).await;
    assert_eq!(holders(&app.data()), Vec::<PathBuf>::new());

    // A rerun also receives the secret, and no trace of it is left after the end.
    let (status, again) = app.post(&format!("/api/scans/{id}/rerun"), &json!({})).await;
    assert_eq!(status, 201, "{again}");
    let rerun = again["scan_id"].as_u64().unwrap();
    app.until_busy(rerun).await;
    assert!(holders(&app.data()).iter().any(|path| path.to_string_lossy().contains(&format!("-{rerun}/attempt-1"))));
    let log = app.text(&format!("/scans/{rerun}/log")).await;
    assert!(log.contains("••••••") && !log.contains(SECRET), "the scanner printed it: {log}");
    cancel(&app, rerun).await;
    assert_eq!(holders(&app.data()), Vec::<PathBuf>::new());

    let of_the_scan = ["", "/log", "/files", "/trace"].map(|tail| format!("/scans/{rerun}{tail}"));
    let others = [
        "/scans".to_owned(),
        format!("/new?from={rerun}"),
        format!("/api/scans/{rerun}"),
        "/api/scans".into(),
        "/api/backup".into(),
        "/settings".into(),
    ];
    for path in of_the_scan.into_iter().chain(others) {
        let answer = app.get(&path).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert!(!answer.text().await.unwrap().contains(SECRET), "{path}");
    }
    // The search does not find text in compressed files, so they are extracted.
    let answer = app.get(&format!("/scans/{rerun}/files.zip")).await;
    assert_eq!(answer.status(), 200);
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(answer.bytes().await.unwrap())).unwrap();
    let mut names = Vec::new();
    for at in 0..zip.len() {
        let mut file = zip.by_index(at).unwrap();
        let name = file.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "{name}");
        names.push(name);
    }
    assert!(
        names.iter().any(|name| name.ends_with("kast.log"))
            && !names.iter().any(|name| name.contains("kastrel-config")),
        "{names:?}"
    );
    let shown = app.scan(rerun).await["request"]["overrides"].clone();
    assert_eq!(shown, json!(["zap.remote.api_key=••••••", "whatweb.user_agent=••••••"]));
}

#[tokio::test]
async fn the_command_line_takes_a_secret_from_a_file() {
    let app = TestApp::prepare(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let given = format!("zap.remote.api_key={}", file.display());
    let ended = app.run(&["scan", "config-clean-1p.test", "--set-secret", &given]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stdout.contains(SECRET) && !ended.stderr.contains(SECRET));
    assert_eq!(holders(&app.data()), Vec::<PathBuf>::new());
    let log = std::fs::read_dir(app.data().join("results"))
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path()
        .join("attempt-1/kast.log");
    assert!(std::fs::read_to_string(log).unwrap().contains("\"api_key\": \"••••••\""), "the scanner had it");
    let exposed = app.run(&["scan", "clean-1p.test", "--set", &format!("zap.remote.api_key={SECRET}")]).await;
    assert!(
        exposed.stderr.contains("zap.remote.api_key is visible in the process list")
            && !exposed.stderr.contains(SECRET),
        "{}",
        exposed.stderr
    );
    let missing = app.run(&["scan", "clean-1p.test", "--set-secret", "zap.remote.api_key=/missing/file"]).await;
    assert_eq!(missing.code, Some(2), "{}", missing.stderr);
}

/// The server and the local command line, with and without the operator's permission.
#[tokio::test]
async fn locked_settings_are_refused_on_every_way_and_the_operator_may_allow_one() {
    let app = TestApp::start().await;
    let locked = [
        "zap.local.docker_image=x",
        "zap.local.container_name=x",
        "zap.remote.api_url=http://10.0.0.1",
        "zap.zap_config.automation_plan=/etc/passwd",
        "subfinder.proxy=http://10.0.0.1",
        "org_discovery.amass_extra_args=-x",
        "mozilla_observatory.additional_args=-x",
        "ftap.wordlist_path=/etc/passwd",
        "ftap.wordlist_source=http://10.0.0.1",
        "whatweb.user_agent=${KASTREL_DATABASE_URL}",
    ];
    for setting in locked {
        let name = setting.split('=').next().unwrap();
        let (status, body) = app.post("/api/scans", &json!({"target": "ok.test", "overrides": [setting]})).await;
        assert_eq!((status, body["errors"][0]["field"].as_str()), (422, Some("overrides")), "{setting}: {body}");
        assert!(body["errors"][0]["message"].as_str().unwrap().contains(&format!("`{name}` is locked")), "{body}");
    }
    let remote = app.run(&["scan", "clean-1p.test", "--set", locked[0]]).await;
    assert!(
        remote.code == Some(2) && remote.stderr.contains("`zap.local.docker_image` is locked"),
        "{}",
        remote.stderr
    );
    drop(app);
    let alone = TestApp::prepare(&[]);
    let local = alone.run(&["scan", "clean-1p.test", "--set", locked[0]]).await;
    assert!(local.code == Some(2) && local.stderr.contains("`zap.local.docker_image` is locked"), "{}", local.stderr);
    let allowing = TestApp::prepare(&[("KASTREL_OVERRIDES__ALLOW", "*, zap.local.docker_image")]);
    assert_eq!(
        allowing.run(&["scan", "clean-1p.test", "--set", locked[0], "--set", "whatweb.timeout=5"]).await.code,
        Some(0)
    );
    assert_eq!(allowing.run(&["scan", "clean-1p.test", "--set", locked[1]]).await.code, Some(2));
}

/// A queued scan was accepted before its setting was locked.
#[tokio::test]
async fn the_policy_is_asked_again_where_a_scan_starts() {
    let mut app = TestApp::with(&[("KASTREL_OVERRIDES__ALLOW", "zap.local.docker_image")]).await;
    let (status, _) = app.post("/api/queue/pause", &json!({})).await;
    assert!(status < 300, "{status}");
    let (status, accepted) =
        app.post("/api/scans", &json!({"target": "ok.test", "overrides": ["zap.local.docker_image=x"]})).await;
    assert_eq!(status, 201, "{accepted}");
    app.terminate_server().await;
    app.set("KASTREL_OVERRIDES__ALLOW", "");
    app.restart().await;
    app.post("/api/queue/resume", &json!({})).await;
    let scan = app.until_status(accepted["scan_id"].as_u64().unwrap(), "failed").await;
    assert!(scan["error_message"].as_str().unwrap().contains("`zap.local.docker_image` is locked"), "{scan}");
    assert_eq!(scan["attempts"][0]["reason"], "out_of_scope");
}

/// A data folder without its key, as after a restore on another machine.
#[tokio::test]
async fn secret_without_its_key_fails_the_scan_with_a_reason() {
    let mut app = TestApp::start().await;
    app.post("/api/queue/pause", &json!({})).await;
    let (_, accepted) = app
        .post("/api/scans", &json!({"target": "ok.test", "overrides": [format!("zap.remote.api_key={SECRET}")]}))
        .await;
    app.terminate_server().await;
    std::fs::remove_file(app.data().join("secrets.key")).unwrap();
    app.restart().await;
    app.post("/api/queue/resume", &json!({})).await;
    let scan = app.until_status(accepted["scan_id"].as_u64().unwrap(), "failed").await;
    let message = scan["error_message"].as_str().unwrap();
    assert!(message.contains("`zap.remote.api_key`") && message.contains("secrets.key_file"), "{message}");
    assert_eq!(scan["attempts"].as_array().unwrap().len(), 1);
}
