//! Tests of damaged database files: every start has all rows, or is refused with instructions.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::ledger::{Ledger, number};
use crate::product::app::{Ended, TestApp};

#[derive(Debug, Clone, Copy)]
enum Harm {
    Delete,
    Cut(u64),
    Flip(u64),
}

impl Harm {
    fn inflict(self, file: &Path) {
        match self {
            Self::Delete => std::fs::remove_file(file).unwrap(),
            Self::Cut(length) => std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length).unwrap(),
            Self::Flip(at) => {
                let file = std::fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
            }
        }
    }

    /// Returns a deletion, a truncation and some bit flips of a file of this length.
    fn all(length: u64, flips: u64, random: &mut SmallRng) -> Vec<Self> {
        let mut all = vec![Self::Delete];
        if length > 0 {
            all.push(Self::Cut(random.random_range(0..length)));
            all.extend((0..flips).map(|_| Self::Flip(random.random_range(0..length))));
        }
        all
    }
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

fn files(data: &Path) -> Vec<PathBuf> {
    let database = std::fs::read_dir(data.join("database"))
        .unwrap()
        .map(|entry| PathBuf::from("database").join(entry.unwrap().file_name()));
    let mut files: Vec<PathBuf> = database.chain([PathBuf::from("high-water")]).collect();
    files.sort();
    files
}

async fn stop(app: &mut TestApp, kill: bool) {
    if kill {
        app.kill_server().await;
    } else {
        assert_eq!(app.terminate_server().await, Some(0));
    }
}

/// Damages each file of a database that was stopped in this way. `STORAGE_FLIPS` sets the number of
/// single-bit flips per file.
async fn every_start_has_all_rows_or_is_refused(kill: bool) {
    let seed = number("STORAGE_SEED", 1);
    let mut random = SmallRng::seed_from_u64(seed);
    let mut app = TestApp::start().await;
    let mut ledger = Ledger::begin(&app, seed).await;
    // The database has tables and a log, both with rows: a restart moves the rows of the log into a
    // table.
    for _ in 0..2 {
        for _ in 0..15 {
            ledger.step(&app).await;
        }
        stop(&mut app, kill).await;
        app.restart().await;
    }
    for _ in 0..5 {
        ledger.step(&app).await;
    }
    // The record of the latest commit is written within this time.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    stop(&mut app, kill).await;
    let (data, sound) = (app.data(), app.data().with_file_name("sound"));
    copy(&data, &sound);
    let (mut whole, mut refused) = (0, 0);
    for file in files(&sound) {
        let length = sound.join(&file).metadata().unwrap().len();
        for harm in Harm::all(length, number("STORAGE_FLIPS", 1), &mut random) {
            std::fs::remove_dir_all(&data).unwrap();
            copy(&sound, &data);
            harm.inflict(&data.join(&file));
            match app.try_restart().await {
                Ok(()) => {
                    ledger.compare(&app).await;
                    app.kill_server().await;
                    whole += 1;
                }
                Err(Ended { code, stderr, .. }) => {
                    let names_the_way_out =
                        stderr.contains("kastrel restore --latest --replace") && stderr.contains("--accept-loss");
                    assert!(
                        code == Some(5) && names_the_way_out,
                        "{harm:?} {} of {length} bytes: {code:?} {stderr}",
                        file.display()
                    );
                    refused += 1;
                }
            }
        }
    }
    println!("seed {seed}: {whole} starts had all rows, {refused} were refused");
    assert!(whole > 0 && refused > 0);
}

#[tokio::test]
async fn damage_after_a_clean_stop_is_never_silent() {
    every_start_has_all_rows_or_is_refused(false).await;
}

#[tokio::test]
async fn damage_after_a_kill_is_never_silent() {
    every_start_has_all_rows_or_is_refused(true).await;
}

#[tokio::test]
async fn operator_may_accept_a_loss_and_ids_are_not_reused() {
    let mut app = TestApp::start().await;
    let mut ledger = Ledger::begin(&app, 1).await;
    for _ in 0..3 {
        assert!(ledger.submit(&app, 1).await);
    }
    app.terminate_server().await;
    let old = app.data().with_file_name("old");
    copy(&app.data().join("database"), &old);
    app.restart().await;
    for _ in 0..4 {
        assert!(ledger.submit(&app, 1).await);
    }
    app.terminate_server().await;
    // An operator restores an older copy of the database folder.
    std::fs::remove_dir_all(app.data().join("database")).unwrap();
    copy(&old, &app.data().join("database"));
    let refused = app.try_restart().await.unwrap_err();
    assert_eq!(refused.code, Some(5));
    assert!(
        refused.stderr.contains("scan ids up to 7 were given out, but the database ends at 3"),
        "{}",
        refused.stderr
    );
    assert_eq!(app.try_restart().await.unwrap_err().code, Some(5), "a second start is refused as well");
    app.restart_with(&["--accept-loss"]).await;
    assert_eq!(app.json("/api/scans").await["total"], 3);
    assert_eq!(app.submit("after.example.com").await, 8);
    app.terminate_server().await;
    app.restart().await;
    assert_eq!(app.json("/api/scans").await["total"], 4);
}
