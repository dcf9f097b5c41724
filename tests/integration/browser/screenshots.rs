//! Creates the README's pictures: `make screenshots` writes them to `docs/images`.
//!
//! They show the fake KAST's demo: scans that have just run, and two weeks of copies of them,
//! restored from a backup that this module writes.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::seed::DEMO;
use super::stage::Stage;
use crate::browser_driver::Browser;
use crate::kast_runner::stage::fake_kast;
use crate::product::app::TestApp;

const TARGETS: &[&str] = &[
    "www.example.com",
    "shop.example.com",
    "api.example.com",
    "login.example.com",
    "blog.example.org",
    "files.example.org:8443",
    "status.example.org",
    "https://portal.example.net/",
    "mail.example.net",
    "cdn.example.net",
];
/// The number of earlier scans, and the interval between them.
const HISTORY: i64 = 140;
const APART: SignedDuration = SignedDuration::from_mins(143);

#[tokio::test]
#[ignore = "writes pictures: `make screenshots`"]
async fn screenshots() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    std::fs::create_dir_all(&folder).unwrap();
    // A symbolic link hides the build path in the shown command of the scanner.
    let place = tempfile::tempdir().unwrap();
    let kast = place.path().join("kast");
    std::os::unix::fs::symlink(fake_kast(), &kast).unwrap();
    let stage = with_history(kast.to_str().unwrap()).await;
    let fresh = stage.submit("www.example.com").await;
    let partly = stage.submit("intranet.example.com").await;
    for id in [fresh, partly] {
        stage.until_status(id, "completed").await;
    }
    let mut running = Vec::new();
    for target in ["staging.example.com", "staging.example.org"] {
        running.push(stage.submit(target).await);
    }
    for id in &running {
        stage
            .until(*id, |scan| {
                scan["results"]
                    .as_array()
                    .is_some_and(|all| all.iter().filter(|one| one["status"] == "completed").count() >= 4)
            })
            .await;
    }
    stage.browser.system_prefers("light").await;
    stage.browser.viewport(1200, 680).await;
    for (name, path) in [
        ("overview", "/".to_owned()),
        ("new-scan", "/new".to_owned()),
        ("scans", "/scans".to_owned()),
        ("scan-running", format!("/scans/{}", running[0])),
    ] {
        shoot(&stage, &folder, name, &path).await;
    }
    stage.browser.system_prefers("dark").await;
    shoot(&stage, &folder, "overview-dark", "/").await;
    stage.browser.viewport(360, 760).await;
    shoot(&stage, &folder, "scan-narrow-dark", &format!("/scans/{partly}")).await;
    for id in running {
        stage.cancel(id).await;
        stage.until_status(id, "cancelled").await;
    }
}

async fn shoot(stage: &Stage, folder: &Path, name: &str, path: &str) {
    stage.open(path).await;
    stage
        .browser
        .until("document.readyState === 'complete' && document.querySelectorAll('.js[hidden]').length === 0")
        .await;
    // A focused field has an outline and a blinking cursor.
    stage.browser.js("document.activeElement.blur()").await;
    std::fs::write(folder.join(format!("{name}.png")), stage.browser.client().screenshot().await.unwrap()).unwrap();
}

/// Starts a server with two weeks of scans.
async fn with_history(kast: &str) -> Stage {
    let mut variables = DEMO.to_vec();
    variables.extend([("KASTREL_NODE__NAME", "scanner-1"), ("KAST_CLI_PATH", kast)]);
    let mut patterns = TestApp::with(&variables).await;
    for (target, status) in [
        ("www.example.com", "completed"),
        ("legacy.example.com", "failed"),
        ("staging.example.com", "running"),
        ("intranet.example.com", "completed"),
    ] {
        let id = patterns.submit(target).await;
        if status == "running" {
            patterns.until_busy(id).await;
            patterns.cancel(id).await;
            patterns.until_status(id, "cancelled").await;
        } else {
            patterns.until_status(id, status).await;
        }
    }
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kastrel.backup");
    let name = file.to_str().unwrap();
    let written = patterns.run(&["backup", name]).await;
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    patterns.terminate_server().await;
    std::fs::write(&file, two_weeks(&std::fs::read_to_string(&file).unwrap())).unwrap();
    let mut app = TestApp::prepare(&variables);
    let restored = app.run(&["restore", name]).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    app.restart().await;
    Stage::of(Browser::start().await, app).await
}

/// Repeats the rows of a backup with other times and other targets.
fn two_weeks(backup: &str) -> String {
    let mut lines = backup.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut header = lines.next().unwrap();
    let now: Timestamp = header["written_at"].as_str().unwrap().parse().unwrap();
    let rows: Vec<Value> = lines.filter_map(|mut line| line.get_mut("scan").map(Value::take)).collect();
    header["last_scan"] = json!(HISTORY);
    let mut text = format!("{header}\n");
    for id in 1..=HISTORY {
        // Most scans complete, some of them with a failed plugin; one in nine failed, one in
        // seventeen was cancelled.
        let pattern = match id {
            id if id % 17 == 5 => 2,
            id if id % 9 == 4 => 1,
            id if id % 5 == 2 => 3,
            _ => 0,
        };
        let mut row = rows[pattern].clone();
        row["id"] = json!(id);
        let target = TARGETS[usize::try_from(id * 7 % 10).unwrap()];
        if pattern == 0 || pattern == 2 {
            row["request"]["target"] = json!(target);
        }
        let created: Timestamp = row["created_at"].as_str().unwrap().parse().unwrap();
        let wanted = now - APART * i32::try_from(HISTORY - id).unwrap() - SignedDuration::from_mins(9 + id * 37 % 61);
        // Seconds become minutes.
        move_times(&mut row, created, wanted, i32::try_from(90 + id * 53 % 140).unwrap());
        text.push_str(&format!("{}\n", json!({ "scan": row })));
    }
    let hash = Sha256::digest(text.as_bytes());
    format!("{text}{}\n", json!({ "end": { "scans": HISTORY, "sha256": format!("{hash:x}") } }))
}

/// Moves every time in a row so that it begins at `wanted` and takes `stretch` times as long.
fn move_times(value: &mut Value, created: Timestamp, wanted: Timestamp, stretch: i32) {
    match value {
        Value::String(text) => {
            if let Ok(at) = text.parse::<Timestamp>() {
                *text = (wanted + at.duration_since(created) * stretch).to_string();
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| move_times(one, created, wanted, stretch)),
        Value::Object(fields) => fields.values_mut().for_each(|one| move_times(one, created, wanted, stretch)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
