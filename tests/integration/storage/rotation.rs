//! Every acknowledged command is there after a stop, however often the engine has begun a new
//! memory table and log before.
//!
//! The short form is one round each. `STORAGE_ROUNDS=50` makes it as many; `STORAGE_SEED` repeats
//! one.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::{Signal, kill_process};

use super::ledger::{Ledger, Rotations, number};
use crate::product::app::TestApp;
use crate::surreal_server::SurrealServer;

/// How often the engine rotates in a round.
const ROTATIONS: usize = 5;

/// How many commands may follow before the stop: the stop comes at any place between two rotations.
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
            // Amid submissions, at any moment of one.
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
        // The ids go on behind the last one that was given out.
        ledger.step(&app).await;
        ledger.compare(&app).await;
        println!("round {round}, seed {}: {} acknowledged, all there", seed + round, ledger.acknowledged());
    }
}

#[tokio::test]
async fn a_clean_stop_loses_no_acknowledged_command() {
    embedded(false).await;
}

#[tokio::test]
async fn a_killed_server_loses_no_acknowledged_command() {
    embedded(true).await;
}

#[tokio::test]
async fn a_killed_database_server_loses_no_acknowledged_command() {
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
