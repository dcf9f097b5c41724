//! Tests that every acknowledged command has its effect after a stop, for any number of earlier
//! rotations of the engine's memory table and log.
//!
//! The short form is one round of each test. `STORAGE_ROUNDS=50` sets the number of rounds;
//! `STORAGE_SEED` repeats one.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::{Signal, kill_process};

use super::ledger::{Ledger, Rotations, number};
use crate::product::app::TestApp;
use crate::surreal_server::SurrealServer;

/// The number of the engine's rotations in a round.
const ROTATIONS: usize = 5;

/// The maximum number of further commands before the stop, so that the stop falls at any point
/// between two rotations.
const MORE: usize = 40;

async fn embedded(kill: bool) {
    let seed = number("STORAGE_SEED", 1);
    for round in 0..number("STORAGE_ROUNDS", 1) {
        let mut app = TestApp::start().await;
        let mut ledger = Ledger::begin(&app, seed + round).await;
        let (folder, mut rotations) = (app.data().join("database"), Rotations::default());
        let mut random = SmallRng::seed_from_u64(seed + round);
        let more = random.random_range(0..MORE);
        while rotations.look(&folder) < ROTATIONS {
            ledger.step(&app).await;
        }
        for _ in 0..more {
            ledger.step(&app).await;
        }
        if kill {
            // The kill falls at a random moment of a submission.
            let moment = Duration::from_millis(random.random_range(0..200));
            let pid = app.server_pid();
            let killer = tokio::spawn(async move {
                tokio::time::sleep(moment).await;
                kill_process(pid, Signal::KILL).unwrap();
            });
            ledger.submit_until_gone(&app).await;
            killer.await.unwrap();
            app.kill_server().await;
        } else {
            assert_eq!(app.terminate_server().await, Some(0));
        }
        app.restart().await;
        ledger.compare(&app).await;
        // The ids continue after the last assigned one.
        ledger.step(&app).await;
        ledger.compare(&app).await;
        println!("round {round}, seed {}: {} acknowledged, all there", seed + round, ledger.acknowledged());
    }
}

#[tokio::test]
async fn clean_stop_loses_no_acknowledged_command() {
    embedded(false).await;
}

#[tokio::test]
async fn killed_server_loses_no_acknowledged_command() {
    embedded(true).await;
}

#[tokio::test]
async fn killed_database_server_loses_no_acknowledged_command() {
    let seed = number("STORAGE_SEED", 1);
    for round in 0..number("STORAGE_ROUNDS", 1) {
        let mut database = SurrealServer::on_disk().await;
        let app = TestApp::with(&[("KASTREL_DATABASE_URL", &database.url("kastrel", "kastrel"))]).await;
        let mut ledger = Ledger::begin(&app, seed + round).await;
        let (folder, mut rotations) = (database.folder(), Rotations::default());
        while rotations.look(&folder) < ROTATIONS {
            ledger.step(&app).await;
        }
        database.kill();
        database.restart().await;
        ledger.compare(&app).await;
        println!("round {round}, seed {}: {} acknowledged, all there", seed + round, ledger.acknowledged());
    }
}
