//! A disk that fills up, becomes read-only or vanishes amid submissions: what was accepted is there afterwards, and what was refused never comes to be.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::ledger::{Ledger, number};
use crate::product::app::TestApp;

/// A small file system of its own. Root may mount one; nobody else can fill a disk without filling the machine's.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    fn mount(folder: &Path) -> Self {
        std::fs::create_dir(folder).unwrap();
        let folder = folder.to_owned();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(&folder), "this test mounts a small tmpfs, which only root may do");
        Self { folder }
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.folder.join("fill")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.folder.join("fill")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The server of a failed test may still hold it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

fn run(command: &mut Command, why: &str) {
    let status = command.status().unwrap_or_else(|error| panic!("{why}: {error}"));
    assert!(status.success(), "{why}: {status}");
}

/// Waits until the server says that it is ready, or that it is not.
async fn until_ready(app: &TestApp, ready: bool) {
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while (app.get("/readyz").await.status() == 200) != ready {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("the server never became {}ready", if ready { "" } else { "un" }));
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing() {
    let seed = number("STORAGE_SEED", 1);
    for round in 0..number("STORAGE_ROUNDS", 2) {
        let mut random = SmallRng::seed_from_u64(seed + round);
        let folder = tempfile::tempdir().unwrap();
        let disk = SmallDisk::mount(&folder.path().join("small"));
        let data = disk.folder.join("data");
        let mut app =
            TestApp::with(&[("KASTREL_DATA_DIR", data.to_str().unwrap()), ("KAST_RESULTS_DIR", folder.path().join("results").to_str().unwrap())]).await;
        let mut ledger = Ledger::begin(&app, seed + round).await;
        for _ in 0..random.random_range(1..10) {
            assert!(ledger.submit(&app, 1).await);
        }
        disk.fill();
        let mut refused = 0;
        // The log's file was given its space before, so the disk is felt only when that is used up.
        while refused < 3 {
            refused += u32::from(!ledger.submit(&app, 100).await);
        }
        assert_eq!(app.get("/readyz").await.status(), 503);
        for _ in 0..random.random_range(0..30) {
            ledger.submit(&app, 100).await;
        }
        disk.free();
        let comes_back_first = random.random();
        if comes_back_first {
            until_ready(&app, true).await;
            ledger.compare(&app).await;
            assert!(ledger.submit(&app, 1).await);
        }
        if random.random() {
            app.kill_server().await;
        } else {
            app.terminate_server().await;
        }
        app.restart().await;
        ledger.compare(&app).await;
        assert!(ledger.submit(&app, 1).await);
        ledger.compare(&app).await;
        app.terminate_server().await;
        println!("round {round}, seed {}: {} acknowledged, all there", seed + round, ledger.acknowledged());
    }
}

#[tokio::test]
async fn a_folder_that_vanishes_is_noticed_and_waited_for() {
    let mut app = TestApp::start().await;
    let mut ledger = Ledger::begin(&app, 1).await;
    assert!(ledger.submit(&app, 1).await);
    let (folder, aside) = (app.data().join("database"), app.data().join("elsewhere"));
    std::fs::rename(&folder, &aside).unwrap();
    until_ready(&app, false).await;
    assert!(!ledger.submit(&app, 1).await, "nothing is accepted without a database");
    std::fs::rename(&aside, &folder).unwrap();
    until_ready(&app, true).await;
    ledger.compare(&app).await;
    app.terminate_server().await;
    app.restart().await;
    ledger.compare(&app).await;
}
