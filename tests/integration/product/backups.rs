//! Tests of backups of a running server and of their restore on another machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use notify::Watcher as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use super::app::{Ended, TestApp, ends};
use crate::kast_runner::stage::PATIENCE;

async fn run(app: &TestApp, args: &[&str]) -> Value {
    let ended = app.run(args).await;
    assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test]
async fn scans_of_all_states_are_restored_unchanged() {
    let mut app = TestApp::with(&[("KASTREL_SCANS__MAX_ATTEMPTS", "2")]).await;
    let completed = app.submit("ok-2p.test").await;
    let failed = app.submit("usage.test").await;
    let cancelled = app.submit("hang-1p.test").await;
    app.until_status(completed, "completed").await;
    app.until_status(failed, "failed").await;
    app.until_busy(cancelled).await;
    assert_eq!(app.post(&format!("/api/scans/{cancelled}/cancel"), &json!({})).await.0, 202);
    app.until_status(cancelled, "cancelled").await;
    let running = app.submit("hang-2p.test").await;
    app.until_busy(running).await;
    assert_eq!(app.post("/api/queue/pause", &json!({ "reason": "moving house" })).await.0, 200);
    let (status, accepted) = app.submit_with_key("ok-1p.test", "the-key").await;
    assert_eq!(status, 201);
    let pending = accepted["scan_id"].as_u64().unwrap();

    // The server locks the data folder, so the server itself writes the backup.
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("kastrel.backup");
    let name = file.to_str().unwrap();
    let written = run(&app, &["backup", name, "--json"]).await;
    assert_eq!(
        (&written["scans"], &written["last_scan_id"], &written["queue_paused"]),
        (&json!(5), &json!(5), &json!(true))
    );
    assert_eq!(written["bytes"], file.metadata().unwrap().len());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let again = app.run(&["backup", name]).await;
    assert_eq!(
        (again.code, again.stderr.contains("exists; `--force` replaces it")),
        (Some(2), true),
        "{}",
        again.stderr
    );
    let named = app.run(&["backup", name, "--force", "--server", &app.url()]).await;
    assert_eq!(named.code, Some(0), "{}", named.stderr);
    assert!(
        named.stdout.starts_with("Backed up 5 scans (")
            && named.stdout.contains("the server's results folder or bucket"),
        "{}",
        named.stdout
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");

    let mut other = TestApp::prepare(&[("KASTREL_SCANS__MAX_ATTEMPTS", "2")]);
    let restored = run(&other, &["restore", name, "--json"]).await;
    let counts = ["pending", "running", "completed", "failed", "cancelled"].map(|state| restored[state].as_u64());
    assert_eq!(counts, [Some(1); 5], "{restored:#}");
    assert!(restored["files"].as_str().unwrap().ends_with("data/results"));
    other.restart().await;
    for id in [completed, failed, cancelled, pending] {
        assert_eq!(other.status(id).await, app.status(id).await);
    }
    // The lease of the attempt has no holder on this machine: the attempt is lost, and the scan
    // waits for another attempt.
    let handed_back = other.until_status(running, "pending").await;
    assert_eq!(ends(&handed_back), ["node_lost"]);
    assert_eq!(
        app.until_status(running, "running").await["attempts"].as_array().unwrap().len(),
        1,
        "the original goes on"
    );

    // The queue is paused there as well. Ids continue, and idempotency keys are still valid.
    let queue: Value = other.get("/api/queue").await.json().await.unwrap();
    assert_eq!((&queue["paused"], &queue["reason"]), (&json!(true), &json!("moving house")));
    let (status, known) = other.submit_with_key("ok-1p.test", "the-key").await;
    assert_eq!((status, known["scan_id"].as_u64()), (200, Some(pending)));
    let new = other.submit("ok-3p.test").await;
    assert_eq!(new, pending + 1);
    assert_eq!(other.post("/api/queue/resume", &json!({})).await.0, 200);
    other.until_status(pending, "completed").await;
    other.until_status(new, "completed").await;
    let second = other.until(running, |scan| scan["attempt"] == 2 && scan["status"] == "running").await;
    assert_eq!(second["status"], "running");
    other.until_busy(running).await;
    assert_eq!(other.post(&format!("/api/scans/{running}/cancel"), &json!({})).await.0, 202);
    other.until_status(running, "cancelled").await;
    assert_eq!(other.terminate_server().await, Some(0));
    assert_eq!(app.terminate_server().await, Some(0));
}

#[tokio::test]
async fn backup_without_a_server_reads_the_folder_and_supports_pipes() {
    let mut app = TestApp::start().await;
    let id = app.submit("ok-1p.test").await;
    app.until_status(id, "completed").await;
    let status = app.status(id).await;
    app.terminate_server().await;
    let piped = app.command(&["backup", "-"]).output().await.unwrap();
    let told = String::from_utf8(piped.stderr).unwrap();
    assert!(piped.status.success() && told.contains("Backed up 1 scan (") && told.contains("results folder"), "{told}");

    let mut other = TestApp::prepare(&[]);
    let restored = pipe(&other, &["restore", "-"], &piped.stdout).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert!(
        restored.stdout.contains("1 completed") && restored.stdout.contains("new scans have numbers above 1"),
        "{}",
        restored.stdout
    );
    other.restart().await;
    assert_eq!(other.status(id).await, status);
    other.terminate_server().await;
}

/// Runs a command such as `kastrel restore -` with a file as its standard input.
async fn pipe(app: &TestApp, args: &[&str], file: &[u8]) -> Ended {
    let mut child =
        app.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that refuses its input does not read it to the end.
    let _ = stdin.write_all(file).await;
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[tokio::test]
async fn invalid_backups_and_restores_are_refused_with_a_reason() {
    let mut app = TestApp::start().await;
    let id = app.submit("ok-1p.test").await;
    app.until_status(id, "completed").await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("whole");
    let path = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(app.run(&["backup", &path("whole")]).await.code, Some(0));
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(path("cut"), &whole[..whole.len() - 30]).unwrap();
    std::fs::write(path("foreign"), "{\"scans\": []}\n").unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    std::fs::write(path("newer"), text.replacen("\"kastrel_backup\":2", "\"kastrel_backup\":3", 1)).unwrap();

    let other = TestApp::prepare(&[]);
    for (name, code, expected) in [
        ("cut", 1, "The backup is cut off after line "),
        ("foreign", 1, "The file is not a backup of Kastrel"),
        ("newer", 1, "The backup has format 3, but this program reads formats up to 2"),
        ("missing", 1, "No such file or directory"),
    ] {
        let ended = other.run(&["restore", &path(name)]).await;
        assert_eq!(ended.code, Some(code), "{name}");
        assert!(ended.stderr.contains(expected), "{name}: {}", ended.stderr);
        assert!(!other.data().exists(), "{name}: nothing was touched");
    }
    assert_refused(&other.run(&["backup", &path("new")]).await, 1, "There is no database in the data folder");
    assert_refused(
        &other.run(&["backup", &path("new"), "--server", "http://127.0.0.1:1"]).await,
        4,
        "Failed to reach the server",
    );
    assert!(!Path::new(&path("new")).exists());

    // The backup from the pipe was incomplete: the database reports this until a complete one is
    // restored.
    assert_refused(&pipe(&other, &["restore", "-"], &whole[..whole.len() - 30]).await, 1, "The backup is cut off");
    assert_refused(
        &other.run(&["serve", "--listen", "127.0.0.1:0"]).await,
        1,
        "the database holds an unfinished restore",
    );
    assert_eq!(pipe(&other, &["restore", "-"], &whole).await.code, Some(0));

    assert_refused(&app.run(&["restore", &path("whole")]).await, 1, "is in use by another Kastrel (process ");
    app.terminate_server().await;
    assert_refused(
        &app.run(&["restore", &path("whole")]).await,
        1,
        "the database is not empty: it has given out scan ids up to 1",
    );
}

/// Watches the backup folder of a data folder for automatic backups.
struct Appearing {
    names: tokio::sync::mpsc::UnboundedReceiver<String>,
    _watcher: notify::RecommendedWatcher,
}

impl Appearing {
    fn in_folder_of(app: &TestApp) -> Self {
        let folder = app.data().join("backups");
        std::fs::create_dir_all(&folder).unwrap();
        let (sender, names) = tokio::sync::mpsc::unbounded_channel();
        let tell = move |event: notify::Result<notify::Event>| {
            for path in event.unwrap().paths {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                if name.ends_with(".backup") {
                    let _ = sender.send(name);
                }
            }
        };
        let mut watcher = notify::recommended_watcher(tell).unwrap();
        watcher.watch(&folder, notify::RecursiveMode::NonRecursive).unwrap();
        Self { names, _watcher: watcher }
    }

    async fn next(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.names.recv()).await.expect("no backup was made").unwrap()
    }
}

/// Overwrites every file of the database with garbage.
fn damage(database: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(database).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += damage(&path);
        } else {
            let length = usize::try_from(path.metadata().unwrap().len()).unwrap();
            std::fs::write(&path, vec![0xa5; length.max(16)]).unwrap();
            files += 1;
        }
    }
    files
}

#[tokio::test]
async fn one_command_restores_the_latest_automatic_backup_into_a_damaged_folder() {
    let mut app = TestApp::start().await;
    let completed = app.submit("ok-2p.test").await;
    app.until_status(completed, "completed").await;
    assert_eq!(app.post("/api/queue/pause", &json!({})).await.0, 200);
    let (status, accepted) = app.submit_with_key("ok-1p.test", "the-key").await;
    assert_eq!(status, 201);
    let pending = accepted["scan_id"].as_u64().unwrap();
    assert_eq!(app.terminate_server().await, Some(0));
    // No backup exists yet, so one is due when the server starts.
    let mut appearing = Appearing::in_folder_of(&app);
    app.restart().await;
    let name = appearing.next().await;
    assert!(name.starts_with("kastrel-000001-"), "{name}");
    let before = [app.status(completed).await, app.status(pending).await];
    let listed = run(&app, &["backups", "--json"]).await;
    let file = app.data().join("backups").join(&name);
    assert_eq!(
        (&listed["backups"][0]["file"], &listed["backups"][0]["bytes"]),
        (&json!(file), &json!(file.metadata().unwrap().len()))
    );
    assert_refused(&app.run(&["restore", "--latest", "--replace"]).await, 1, "is in use by another Kastrel (process ");
    assert_eq!(app.terminate_server().await, Some(0));

    let database = app.data().join("database");
    assert!(damage(&database) >= 3);
    let refused = app.run(&["serve", "--listen", "127.0.0.1:0"]).await;
    assert_ne!(refused.code, Some(0), "{}", refused.stderr);
    let spoilt = app.data().join("backups/kastrel-000002-20990101T000000Z.backup");
    std::fs::write(&spoilt, "{}\n").unwrap();
    let ended = app.run(&["restore", "--latest", "--replace", "--json"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("kastrel-000002-20990101T000000Z.backup cannot be used: the file is not a backup of Kastrel"),
        "{}",
        ended.stderr
    );
    let restored: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&restored["file"], &restored["scans"], &restored["missing"]), (&json!(file), &json!(2), &json!([])));
    let aside = Path::new(restored["put_aside"][0].as_str().unwrap());
    assert!(
        aside.file_name().unwrap().to_str().unwrap().starts_with("database.replaced-") && aside.is_dir(),
        "{restored:#}"
    );

    app.restart().await;
    assert_eq!([app.status(completed).await, app.status(pending).await], before);
    let (status, known) = app.submit_with_key("ok-1p.test", "the-key").await;
    assert_eq!((status, known["scan_id"].as_u64()), (200, Some(pending)));
    assert_eq!(app.submit("ok-3p.test").await, pending + 1, "numbers go on");
    assert_eq!(app.post("/api/queue/resume", &json!({})).await.0, 200);
    app.until_status(pending, "completed").await;
    app.until_status(pending + 1, "completed").await;
    assert_eq!(app.terminate_server().await, Some(0));
}

/// `kastrel doctor --deep` reads every row, through the server that locks the folder and from the
/// folder itself.
#[tokio::test]
async fn doctor_reads_every_row() {
    let mut app = TestApp::start().await;
    for number in 1..=3 {
        app.submit(&format!("ok-{number}p.test")).await;
    }
    let rows = |ended: &Ended| {
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap().clone();
        checks
            .into_iter()
            .find(|check| check["name"] == "rows")
            .map(|check| check["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(rows(&app.run(&["doctor", "--json"]).await), None);
    assert_eq!(rows(&app.run(&["doctor", "--deep", "--json"]).await).as_deref(), Some("3 scans read"));
    assert_eq!(app.terminate_server().await, Some(0));
    let message = rows(&app.run(&["doctor", "--deep", "--json"]).await).unwrap();
    assert!(message.starts_with("3 scans read (") && message.ends_with(" keys)"), "{message}");
}

/// A failed restore leaves the existing database unchanged.
#[tokio::test]
async fn failed_restore_with_replace_changes_nothing() {
    let mut app = TestApp::start().await;
    let id = app.submit("ok-1p.test").await;
    app.until_status(id, "completed").await;
    let status = app.status(id).await;
    app.terminate_server().await;
    let piped = app.command(&["backup", "-"]).output().await.unwrap();
    let cut = &piped.stdout[..piped.stdout.len() - 30];
    assert_refused(&pipe(&app, &["restore", "-", "--replace"], cut).await, 1, "The backup is cut off");
    app.restart().await;
    assert_eq!(app.status(id).await, status);
    app.terminate_server().await;
    let again = pipe(&app, &["restore", "-", "--replace"], &piped.stdout).await;
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(again.stdout.contains("The previous database is kept: "), "{}", again.stdout);
    app.restart().await;
    assert_eq!(app.status(id).await, status);
    app.terminate_server().await;
    let none = TestApp::prepare(&[]);
    assert_refused(&none.run(&["restore", "--latest"]).await, 1, "There is no automatic backup in ");
    assert_refused(&none.run(&["restore"]).await, 2, "<FILE>");
    assert!(!none.data().exists(), "nothing was touched");
}

fn assert_refused(ended: &Ended, code: i32, expected: &str) {
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}
