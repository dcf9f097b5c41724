//! Tests that after any kill no accepted scan is lost and no process is left.

use std::time::Duration;

use rustix::process::{Signal, kill_process};

use super::app::{TestApp, Watched, ends, is_alive, keepers_of};
use crate::kast_runner::stage::PATIENCE;

#[tokio::test]
async fn killed_server_loses_no_scan_and_leaves_no_process() {
    let mut app = TestApp::start().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(app.submit("8000ms-2p.test").await);
    }
    for id in &ids {
        app.until_busy(*id).await;
    }
    let old: Vec<_> = ids.iter().flat_map(|id| app.processes_of(*id)).collect();
    assert_eq!(old.len(), 20);
    let watched = Watched::of(&old);
    app.kill_server().await;
    watched.ended().await;
    app.restart().await;
    for id in &ids {
        let scan = app.until_status(*id, "completed").await;
        assert_eq!(ends(&scan), ["node_lost", "completed"], "{scan:#}");
    }
    assert!(app.processes().is_empty());
}

/// The sweep at boot, in case the watchdog and the keepers are killed together with their server.
#[tokio::test]
async fn leftover_processes_are_killed_before_the_next_server_listens() {
    let mut app = TestApp::start().await;
    let id = app.submit("family-hang-stubborn.test").await;
    app.until_busy(id).await;
    let (old, watchdog) = (app.processes_of(id), app.watchdog());
    // The server is frozen first, because it would otherwise start another watchdog immediately.
    app.signal_server(Signal::STOP);
    let guards: Vec<_> = keepers_of(&app.data()).into_iter().chain([watchdog]).collect();
    assert!(guards.len() > 1, "a keeper and the watchdog");
    let dead = Watched::of(&guards);
    guards.iter().for_each(|guard| kill_process(*guard, Signal::KILL).unwrap());
    dead.ended().await;
    app.kill_server().await;
    assert!(old.len() == 3 && old.iter().copied().all(is_alive), "nobody is there to end them");
    app.restart().await;
    assert!(!old.iter().copied().any(is_alive), "the old processes are gone before the server listens");
    app.until_busy(id).await;
    app.post(&format!("/api/scans/{id}/cancel"), &serde_json::json!({})).await;
    assert_eq!(ends(&app.until_status(id, "cancelled").await), ["node_lost", "cancelled"]);
}

#[tokio::test]
async fn killed_scanner_is_retried_alone() {
    let app = TestApp::start().await;
    let (victim, other) = (app.submit("2000ms-2p.test").await, app.submit("2000ms-2p.test").await);
    app.until_busy(victim).await;
    app.until_busy(other).await;
    for pid in app.processes_of(victim) {
        kill_process(pid, Signal::KILL).unwrap();
    }
    assert_eq!(ends(&app.until_status(victim, "completed").await), ["killed_by_signal", "completed"]);
    assert_eq!(ends(&app.until_status(other, "completed").await), ["completed"]);
}

#[tokio::test]
async fn terminated_server_requeues_its_scans_without_a_failure() {
    let mut app = TestApp::start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(app.submit("2000ms-2p.test").await);
    }
    for id in &ids {
        app.until_busy(*id).await;
    }
    assert_eq!(app.terminate_server().await, Some(0));
    assert!(app.processes().is_empty(), "a server that has stopped leaves no process");
    let listed = app.run(&["list", "--status", "pending", "--json"]).await;
    let document: serde_json::Value = serde_json::from_str(&listed.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", listed.stdout, listed.stderr));
    assert_eq!(document["total"], 5);
    app.restart().await;
    for id in &ids {
        let scan = app.until_status(*id, "completed").await;
        assert_eq!(
            (ends(&scan), &scan["failures"]),
            (vec!["shutdown".to_owned(), "completed".to_owned()], &serde_json::json!(0))
        );
    }
}

#[tokio::test]
async fn second_server_on_the_same_folder_is_refused_with_a_reason() {
    let app = TestApp::start().await;
    let second = app.run(&["serve", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("in use by another Kastrel"), "{}", second.stderr);
}

/// Ends are counted by the relay, from the outbox. A killed server leaves some uncounted, and may
/// have counted some without settling them.
#[tokio::test]
async fn each_end_is_counted_once_however_often_the_server_is_killed() {
    let mut app = TestApp::with(&[("KASTREL_SCANS__CONCURRENCY", "4")]).await;
    let mut ended = 0;
    for round in 0..4 {
        let mut ids = Vec::new();
        for _ in 0..6 {
            ids.push(app.submit("ok-2p.test").await);
        }
        // The last scans of a round end while the server is killed, or after its restart.
        for id in ids.iter().take(3 + round) {
            app.until_status(*id, "completed").await;
        }
        app.kill_server().await;
        app.restart().await;
        for id in ids {
            app.until_status(id, "completed").await;
            ended += 1;
        }
    }
    let counted = async {
        loop {
            let counted = counted_ends(&app.text("/").await);
            assert!(counted <= ended, "{counted} of {ended}");
            if counted == ended {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.expect("each end is counted");
}

/// The sum of the table of scans per day.
fn counted_ends(overview: &str) -> usize {
    let panel = overview.split("id=\"outcomes\"").nth(1).unwrap().split("</section>").next().unwrap();
    let numbers = panel.split("<td class=\"num\">").skip(1).map(|cell| cell.split('<').next().unwrap());
    numbers.map(|number| number.replace(',', "").parse::<usize>().unwrap()).sum()
}
