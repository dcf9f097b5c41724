//! Tests that a compromised scanner that runs as another user cannot access the server.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::Pid;

use super::app::{TestApp, Watched, is_alive};
use super::watchdog::parent;
use crate::kast_runner::stage::{fake_kast_at, link_or_copy};

/// A user id that exists on no machine.
const USER: &str = "64331";

/// Creates an app whose scanners run as another user, with a KAST at a path that this user can
/// reach, independent of the build folder.
fn prepare() -> (tempfile::TempDir, TestApp) {
    assert!(rustix::process::geteuid().is_root(), "these tests start scanners as another user, and must run as root");
    let tools = tempfile::tempdir().unwrap();
    std::fs::set_permissions(tools.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let kast = tools.path().join("kast");
    fake_kast_at(&kast);
    let kast = kast.display().to_string();
    let app = TestApp::prepare(&[("KAST_CLI_PATH", kast.as_str()), ("KASTREL_SCANS__RUN_AS", USER)]);
    // Kastrel must not change the permissions of the folder above the data folder.
    std::fs::set_permissions(app.data().parent().unwrap(), std::fs::Permissions::from_mode(0o711)).unwrap();
    (tools, app)
}

fn log(data: &Path) -> Vec<String> {
    let scan = std::fs::read_dir(data.join("results")).unwrap().next().unwrap().unwrap().path();
    std::fs::read_to_string(scan.join("attempt-1/kast.log")).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_scanner_of_another_user_gets_at_nothing_of_the_server() {
    let (_tools, mut app) = prepare();
    spied(&mut app).await;
}

/// As in the unit files and the image: the server runs as its own user, with the capabilities to
/// start scanners as another user.
#[tokio::test]
async fn a_server_without_root_runs_scanners_as_another_user() {
    let (tools, mut app) = prepare();
    let kastrel = tools.path().join("kastrel");
    link_or_copy(Path::new(env!("CARGO_BIN_EXE_kastrel")), &kastrel);
    std::os::unix::fs::chown(app.data().parent().unwrap(), Some(64_330), Some(64_330)).unwrap();
    let rights = "-all,+setuid,+setgid,+kill";
    let (inherited, ambient, groups) =
        (format!("--inh-caps={rights}"), format!("--ambient-caps={rights}"), format!("--groups={USER}"));
    let user = [
        "setpriv",
        "--reuid=64330",
        "--regid=64330",
        &groups,
        &inherited,
        &ambient,
        "--no-new-privs",
        kastrel.to_str().unwrap(),
    ];
    app.run_by(&user);
    spied(&mut app).await;
    let id = app.submit("closed-look-2p.test").await;
    app.until_status(id, "completed").await;
    let files = app.get(&format!("/scans/{id}/attempts/1/files/deep/file")).await;
    assert_eq!(files.status().as_u16(), 200, "what the scanner closed is given back");
    let id = app.submit("escape-family-hang-stubborn.test").await;
    app.until_busy(id).await;
    app.post(&format!("/api/scans/{id}/cancel"), &serde_json::json!({})).await;
    app.until_status(id, "cancelled").await;
    let of_user = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.metadata().is_ok_and(|found| found.uid().to_string() == USER));
    let alive: Vec<_> = of_user
        .filter_map(|entry| {
            is_alive(Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?).then(|| entry.file_name())
        })
        .collect();
    assert!(alive.is_empty(), "{alive:?}");
    // Without the capabilities the server does not start, and names the missing ones.
    assert_eq!(app.terminate_server().await, Some(0));
    app.run_by(&["setpriv", "--reuid=64330", "--regid=64330", &groups, "--inh-caps=-all", kastrel.to_str().unwrap()]);
    let Err(ended) = app.try_restart().await else { panic!("it started") };
    assert!(ended.stderr.contains("it lacks CAP_SETUID, CAP_SETGID, CAP_KILL"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_scanner_inherits_no_descriptor_of_whoever_started_the_server() {
    let mut app = TestApp::prepare(&[]).after("exec 9</etc/hostname");
    app.restart().await;
    let id = app.submit("look-1p.test").await;
    app.until_status(id, "completed").await;
    let lines = log(&app.data());
    assert!(lines.iter().any(|line| line.starts_with("look core")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.starts_with("look open")), "{lines:#?}");
}

/// Starts the server, and runs a scanner that tries forbidden access.
async fn spied(app: &mut TestApp) {
    let data = app.data().display().to_string();
    let spied = ["@server", "@keeper", "/proc/@server/environ", "/proc/@server/mem", "/proc/@keeper/environ"]
        .map(str::to_owned);
    let files = ["", "/id", "/server.json", "/server.key", "/database", "/cache"].map(|name| format!("{data}{name}"));
    app.set("FAKE_KAST_SPY", &spied.iter().chain(&files).cloned().collect::<Vec<_>>().join(","));
    app.set("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_SPY");
    app.restart().await;
    let id = app.submit("spy-look-1p.test").await;
    app.until_status(id, "completed").await;
    let lines = log(&app.data());
    let tried: Vec<&String> = lines.iter().filter(|line| line.starts_with("spy ")).collect();
    assert_eq!(tried.len(), spied.len() + files.len(), "{lines:#?}");
    assert!(tried.iter().all(|line| line.ends_with(" PermissionDenied")), "{tried:#?}");
    assert!(lines.contains(&format!("look Uid: {USER} {USER} {USER} {USER}")), "{lines:#?}");
    assert!(lines.contains(&"look CapPrm: 0000000000000000".to_owned()), "{lines:#?}");
    // The files of the scan are available to users of the server.
    let report = app.get(&format!("/scans/{id}/attempts/1/files/kast_report.html")).await;
    assert_eq!((report.status().as_u16(), report.text().await.unwrap().as_str()), (200, "<h1>a report</h1>"));
}

/// Only the keeper is left to close the folder.
#[tokio::test]
async fn the_folder_of_a_killed_servers_attempt_is_closed_to_later_scanners() {
    let (_tools, mut app) = prepare();
    app.restart().await;
    let id = app.submit("hang-1p.test").await;
    app.until_busy(id).await;
    let scan = std::fs::read_dir(app.data().join("results")).unwrap().next().unwrap().unwrap().path();
    let mode = || std::fs::metadata(scan.join("attempt-1")).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(), 0o1770, "the scanner fills it");
    let scanner = app.processes_of(id)[0];
    let watched = Watched::of(&[scanner, parent(scanner)]);
    app.kill_server().await;
    watched.ended().await;
    assert_eq!(mode(), 0o700);
}

#[tokio::test]
async fn invalid_scanner_user_is_reported_at_the_start_and_by_doctor() {
    for (user, expected) in [
        ("nobody-of-this-name", "there is no user nobody-of-this-name"),
        ("root", "root is root"),
        ("0:5", "0:5 is root"),
    ] {
        let mut app = TestApp::prepare(&[("KASTREL_SCANS__RUN_AS", user)]);
        let Err(ended) = app.try_restart().await else { panic!("{user}: it started") };
        assert!(ended.stderr.contains("scans.run_as") && ended.stderr.contains(expected), "{user}: {}", ended.stderr);
        let doctor = app.run(&["doctor"]).await;
        assert!(
            doctor.code == Some(1) && doctor.stdout.contains("isolation") && doctor.stdout.contains(expected),
            "{user}: {}",
            doctor.stdout
        );
    }
}

#[tokio::test]
async fn doctor_reports_the_scanner_user() {
    assert!(rustix::process::geteuid().is_root(), "this test starts scanners as another user, and must run as root");
    let app = TestApp::prepare(&[("KASTREL_SCANS__RUN_AS", USER)]);
    let doctor = app.run(&["doctor"]).await;
    assert!(doctor.stdout.contains("Scanners run as 64331, without new privileges"), "{}", doctor.stdout);
}
