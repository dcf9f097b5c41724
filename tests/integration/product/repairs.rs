//! Tests of temporary faults of a machine: scans wait, lose no attempt, and start by themselves
//! after the repair.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;

use super::app::{TestApp, ends};
use crate::kast_runner::stage::{PATIENCE, fake_kast};

/// A disk in memory. Its drop unmounts it.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        mount(&["-t", "tmpfs", "-o", "size=16m", "tmpfs", at.to_str().unwrap()]);
        Self(at.to_owned())
    }

    fn remount(&self, option: &str) {
        mount(&["-o", &format!("remount,{option}"), self.0.to_str().unwrap()]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A lazy unmount also works if a failed test still has files open.
        let _ = Command::new("umount").args(["--lazy", self.0.to_str().unwrap()]).status();
    }
}

fn mount(args: &[&str]) {
    let done = Command::new("mount").args(args).output().expect("this test needs the program mount");
    assert!(
        done.status.success(),
        "this test needs a user who may mount (root, CAP_SYS_ADMIN): {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Waits until a scan is held back for `kind`, and checks that the API and every page show it.
async fn held_back(app: &TestApp, id: u64, kind: &str, text: &str) {
    let scan = app.until(id, |status| status["waiting"]["reason"] == "held_back").await;
    assert_eq!(scan["waiting"]["kind"], kind, "{scan:#}");
    assert!(scan["waiting"]["detail"].as_str().unwrap().contains(text), "{scan:#}");
    let ready = app.get("/readyz").await;
    assert_eq!(ready.status(), 503);
    let ready: Value = ready.json().await.unwrap();
    let check = ready["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == kind)
        .unwrap_or_else(|| panic!("{ready:#}"))
        .clone();
    assert_eq!((&check["ok"], &check["required"]), (&false.into(), &true.into()));
    for page in ["/", "/scans", "/new", "/supervision", "/settings", &format!("/scans/{id}")] {
        let html = app.text(page).await;
        assert!(html.contains("<strong>Scans are held back.</strong>"), "{page}");
    }
    // The node's row is updated at its next renewal.
    let shown = async {
        while app.json("/api/nodes").await["nodes"][0]["held_back"]["faults"][0]["kind"] != kind {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, shown).await.expect("the node never says that it holds scans back");
}

/// Asserts that all scans complete without a counted failure.
async fn complete_at_no_cost(app: &TestApp, ids: &[u64]) {
    for id in ids {
        let scan = app.until_status(*id, "completed").await;
        assert_eq!(scan["failures"], 0, "{scan:#}");
        let ends = ends(&scan);
        assert!(ends.iter().rev().skip(1).all(|end| end == "infrastructure"), "{ends:?}");
    }
    assert_eq!(app.get("/readyz").await.status(), 200);
    assert!(!app.text("/scans").await.contains("held back"), "the notice is gone with its reason");
}

async fn submit(app: &TestApp, count: usize, target: &str) -> Vec<u64> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(app.submit(target).await);
    }
    ids
}

#[tokio::test]
async fn scans_wait_while_the_scanner_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (program, away) = (folder.path().join("kast"), folder.path().join("away"));
    std::os::unix::fs::symlink(fake_kast(), &away).unwrap();
    // The program does not exist when the server starts.
    let app = TestApp::with(&[("KAST_CLI_PATH", program.to_str().unwrap()), ("KASTREL_SCANS__CONCURRENCY", "4")]).await;
    let mut ids = submit(&app, 20, "50ms-1p.test").await;
    held_back(&app, ids[19], "scanner_program", program.to_str().unwrap()).await;
    assert!(ends(&app.scan(ids[0]).await).is_empty(), "nothing was tried");
    let doctor = app.run(&["doctor"]).await;
    assert_eq!(doctor.code, Some(1));
    assert!(doctor.stdout.contains("failure  node         Starts no scans: the scanner "), "{}", doctor.stdout);
    let nodes = app.run(&["nodes"]).await;
    assert!(
        nodes.stdout.contains("held back") && nodes.stdout.contains("starts no scans: the scanner "),
        "{}",
        nodes.stdout
    );

    std::fs::rename(&away, &program).unwrap();
    app.until_status(ids[0], "completed").await;
    assert!(
        !app.json("/api/plugins").await["plugins"].as_array().unwrap().is_empty(),
        "it was asked for its plugins as soon as it was there"
    );
    ids.extend(submit(&app, 20, "50ms-1p.test").await);
    std::fs::rename(&program, &away).unwrap();
    held_back(&app, ids[39], "scanner_program", program.to_str().unwrap()).await;
    std::fs::rename(&away, &program).unwrap();
    complete_at_no_cost(&app, &ids).await;
}

#[tokio::test]
async fn scans_wait_while_the_results_disk_is_full_read_only_or_not_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    let disk = Disk::mount(&results);
    let app =
        TestApp::with(&[("KAST_RESULTS_DIR", results.to_str().unwrap()), ("KASTREL_SCANS__CONCURRENCY", "4")]).await;

    let ids = submit(&app, 8, "1500ms-3p.test").await;
    app.until_busy(ids[3]).await;
    let filler = results.join("filler");
    // Writes until the disk is full; the error is expected.
    let full = std::fs::write(&filler, vec![0; 32 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    held_back(&app, ids[7], "results_folder", results.to_str().unwrap()).await;
    std::fs::remove_file(&filler).unwrap();
    complete_at_no_cost(&app, &ids).await;

    disk.remount("ro");
    let ids = submit(&app, 8, "20ms-1p.test").await;
    held_back(&app, ids[7], "results_folder", "Read-only file system").await;
    disk.remount("rw");
    complete_at_no_cost(&app, &ids).await;

    drop(disk);
    let ids = submit(&app, 8, "20ms-1p.test").await;
    held_back(&app, ids[7], "results_folder", "is not mounted").await;
    let _disk = Disk::mount(&results);
    complete_at_no_cost(&app, &ids).await;
    drop(app);
}

#[tokio::test]
async fn scans_wait_while_the_results_folder_is_deleted_and_it_is_not_recreated() {
    let app = TestApp::with(&[("KASTREL_SCANS__CONCURRENCY", "4")]).await;
    let ids = submit(&app, 8, "1500ms-3p.test").await;
    app.until_busy(ids[3]).await;
    let (results, away) = (app.data().join("results"), app.data().join("away"));
    std::fs::rename(&results, &away).unwrap();
    held_back(&app, ids[7], "results_folder", results.to_str().unwrap()).await;
    let doctor = app.run(&["doctor"]).await;
    assert!(
        doctor.code == Some(1) && doctor.stdout.contains("it was deleted, or its disk is gone"),
        "{}",
        doctor.stdout
    );
    assert!(!results.exists());
    std::fs::create_dir(&results).unwrap();
    complete_at_no_cost(&app, &ids).await;
}

#[tokio::test]
async fn scans_wait_while_too_many_files_are_open() {
    let app = TestApp::with(&[("KASTREL_SCANS__CONCURRENCY", "4")]).await;
    let ids = submit(&app, 1, "20ms-1p.test").await;
    complete_at_no_cost(&app, &ids).await;
    let server = app.server_pid();
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.as_raw_nonzero())).unwrap().count();
    // Enough descriptors for the pages and the database, and soon too few for a scanner.
    let few = Rlimit { current: Some(u64::try_from(open + 12).unwrap()), ..getrlimit(Resource::Nofile) };
    let before = prlimit(Some(server), Resource::Nofile, few).unwrap();
    let ids = submit(&app, 12, "1000ms-1p.test").await;
    held_back(&app, ids[11], "open_files", "Too many open files").await;
    prlimit(Some(server), Resource::Nofile, before).unwrap();
    complete_at_no_cost(&app, &ids).await;
}
