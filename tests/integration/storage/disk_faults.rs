//! Tests of disk faults during submissions: every accepted scan exists afterwards, and no refused
//! scan does.
//!
//! The short form is one round for each fault. `STORAGE_ROUNDS=50` sets the number of rounds;
//! `STORAGE_SEED` repeats one.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::failing_disk::{FailingDisk, Fault};
use super::ledger::{Ledger, number};
use crate::product::app::TestApp;

/// Waits until the server is ready, or not ready.
async fn until_ready(app: &TestApp, ready: bool) {
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while (app.get("/readyz").await.status() == 200) != ready {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("the server never became {}ready", if ready { "" } else { "un" }));
}

async fn nothing_is_lost_and_nothing_refused_runs(fault: Fault) {
    let seed = number("STORAGE_SEED", 1);
    for round in 0..number("STORAGE_ROUNDS", 1) {
        let mut random = SmallRng::seed_from_u64(seed + round);
        let disk = FailingDisk::new(fault);
        let mut app = disk.start().await;
        let mut ledger = Ledger::begin(&app, seed + round).await;
        for _ in 0..random.random_range(1..10) {
            assert!(ledger.submit(&app, 1).await);
        }
        disk.fail(&app);
        let mut refused = 0;
        // The log file has preallocated space, so a full disk takes effect only when this space is
        // used up.
        while refused < 3 {
            refused += u32::from(!ledger.submit(&app, 100).await);
        }
        assert_eq!(app.get("/readyz").await.status(), 503);
        for _ in 0..random.random_range(0..30) {
            refused += u32::from(!ledger.submit(&app, 100).await);
        }
        let is_repaired_first = random.random();
        if is_repaired_first {
            disk.repair(&app);
            until_ready(&app, true).await;
            ledger.compare(&app).await;
            assert!(ledger.submit(&app, 1).await);
        }
        if random.random() {
            app.kill_server().await;
        } else {
            app.terminate_server().await;
        }
        if !is_repaired_first {
            disk.repair_stopped();
        }
        app.restart().await;
        ledger.compare(&app).await;
        assert!(ledger.submit(&app, 1).await);
        ledger.compare(&app).await;
        app.terminate_server().await;
        println!(
            "{fault:?} round {round}, seed {}: {} acknowledged, all there; {refused} refused, none there",
            seed + round,
            ledger.acknowledged()
        );
    }
}

#[tokio::test]
async fn full_disk_refuses_submissions_and_loses_nothing() {
    nothing_is_lost_and_nothing_refused_runs(Fault::Full).await;
}

#[tokio::test]
async fn file_size_limit_refuses_submissions_and_loses_nothing() {
    nothing_is_lost_and_nothing_refused_runs(Fault::FileSizeLimit).await;
}

#[tokio::test]
async fn failed_writes_refuse_submissions_and_lose_nothing() {
    nothing_is_lost_and_nothing_refused_runs(Fault::WriteError).await;
}

#[tokio::test]
async fn failed_syncs_refuse_submissions_and_lose_nothing() {
    nothing_is_lost_and_nothing_refused_runs(Fault::SyncError).await;
}

#[tokio::test]
async fn read_only_disk_refuses_submissions_and_loses_nothing() {
    nothing_is_lost_and_nothing_refused_runs(Fault::ReadOnly).await;
}

#[tokio::test]
async fn removed_data_folder_is_reported_and_waited_for() {
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
