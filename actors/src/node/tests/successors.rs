//! Tests of a node that stops or is killed, and of the node that continues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::support::{SECOND, always, ends};
use crate::model::{Interruption, ScanStatus};
use crate::node::start;
use crate::node_config::NodeConfig;
use crate::ports::store::prelude::*;
use crate::testing::{Cluster, Script, ScriptedRunner};

#[tokio::test(start_paused = true)]
async fn shutdown_costs_no_attempt_and_the_next_node_continues() {
    let endless = Arc::new(AtomicBool::new(true));
    let chooser = Arc::clone(&endless);
    let cluster = Cluster::new(ScriptedRunner::new(move |_| {
        if chooser.load(Ordering::Relaxed) { Script::Busy } else { Script::Complete(SECOND) }
    }));
    let first = cluster.node("a", 4).await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(cluster.submit().await);
    }
    cluster.until_status(ids[3], ScanStatus::Running).await;
    first.shutdown(Duration::ZERO, 10 * SECOND).await;
    assert_eq!(cluster.runner.alive(), 0);
    for id in &ids {
        let row = cluster.row(*id).await;
        assert_eq!((row.status(), row.failures), (ScanStatus::Pending, 0));
    }
    assert!(cluster.store.all().await.unwrap().is_empty(), "the lease is given back");
    endless.store(false, Ordering::Relaxed);
    let _second = cluster.node("b", 4).await;
    for (index, id) in ids.iter().enumerate() {
        let row = cluster.until_status(*id, ScanStatus::Completed).await;
        let expected: &[&str] = if index < 4 { &["shutdown", "completed"] } else { &["completed"] };
        assert_eq!((ends(&row), row.failures), (expected.iter().map(ToString::to_string).collect(), 0));
    }
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn shutdown_kills_scans_that_do_not_end_in_time() {
    let cluster = Cluster::new(always(Script::Stubborn(1000 * SECOND)));
    let node = cluster.node("a", 1).await;
    let id = cluster.submit().await;
    cluster.until_status(id, ScanStatus::Running).await;
    tokio::time::sleep(SECOND).await;
    let asked = tokio::time::Instant::now();
    node.shutdown(Duration::ZERO, 10 * SECOND).await;
    assert!(asked.elapsed() < 20 * SECOND);
    assert_eq!(cluster.runner.alive(), 0);
    let row = cluster.row(id).await;
    assert_eq!((row.status(), row.failures), (ScanStatus::Pending, 0));
    assert_eq!(ends(&row), [Interruption::Shutdown.as_str()], "the lease was good");
}

#[tokio::test(start_paused = true)]
async fn a_dead_nodes_scans_run_elsewhere_within_one_lease() {
    let cluster =
        Cluster::new(ScriptedRunner::new(
            |job| if job.attempt.0 == 1 { Script::Busy } else { Script::Complete(SECOND) },
        ));
    let first = cluster.node("a", 2).await;
    let id = cluster.submit().await;
    cluster.until_status(id, ScanStatus::Running).await;
    let _second = cluster.node("b", 2).await;
    first.crash().await;
    let died = tokio::time::Instant::now();
    let row = cluster.until(id, |row| row.attempts.len() == 2).await;
    assert!(died.elapsed() <= Duration::from_secs(30 + 5 + 3), "{:?}", died.elapsed());
    assert_eq!(ends(&row)[0], "node_lost");
    assert!(
        matches!(&cluster.until_status(id, ScanStatus::Completed).await.attempts[1], attempt if attempt.node.as_str() == "b")
    );
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn a_sole_node_does_not_wait_for_the_lease_of_its_predecessor() {
    let cluster =
        Cluster::new(ScriptedRunner::new(
            |job| if job.attempt.0 == 1 { Script::Busy } else { Script::Complete(SECOND) },
        ));
    let first = cluster.node("a", 2).await;
    let id = cluster.submit().await;
    cluster.until_status(id, ScanStatus::Running).await;
    first.crash().await;
    // The application kills what a crashed predecessor left behind before it starts a node; here
    // that takes the runner some seconds.
    tokio::time::sleep(4 * SECOND).await;
    let started = tokio::time::Instant::now();
    let _second = cluster.start(NodeConfig { sole_node: true, ..NodeConfig::new("b".parse().unwrap(), 2) }).await;
    cluster.until_status(id, ScanStatus::Completed).await;
    assert!(started.elapsed() < 5 * SECOND, "{:?}", started.elapsed());
    cluster.check();
}

/// How a node ended before its successor started, and what the successor shares with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The node was killed, and only the successor uses the store.
    KilledAlone,
    /// The node was killed. Other nodes share the store, and the successor has its data folder.
    KilledShared,
    /// The node stopped in order. Other nodes share the store.
    Stopped,
}

#[tokio::test(start_paused = true)]
async fn a_restarted_node_starts_what_waits_at_once() {
    for before in [Before::KilledAlone, Before::KilledShared, Before::Stopped] {
        let cluster = Cluster::new(ScriptedRunner::new(|job| {
            if job.scan.0 == 1 { Script::Busy } else { Script::Complete(60 * SECOND) }
        }));
        let first = cluster.node("a", 1).await;
        let running = cluster.submit().await;
        cluster.until_status(running, ScanStatus::Running).await;
        let waiting = cluster.submit().await;
        tokio::time::sleep(SECOND).await;
        if before == Before::Stopped {
            first.shutdown(Duration::ZERO, 10 * SECOND).await;
        } else {
            first.crash().await;
        }
        let restarted = tokio::time::Instant::now();
        let config = NodeConfig {
            sole_node: before == Before::KilledAlone,
            previous: if before == Before::KilledShared { vec!["a".parse().unwrap()] } else { Vec::new() },
            ..NodeConfig::new("b".parse().unwrap(), 2)
        };
        let _second = start(config, cluster.ports_after_restart()).await.unwrap();
        cluster.until_status(waiting, ScanStatus::Running).await;
        assert!(restarted.elapsed() < SECOND / 10, "{before:?}: {:?}", restarted.elapsed());
        let row = cluster.until(running, |row| row.attempts.len() == 2).await;
        assert_eq!(ends(&row)[0], if before == Before::Stopped { "shutdown" } else { "node_lost" }, "{before:?}");
        assert!(restarted.elapsed() < 4 * SECOND, "{before:?}: {:?}", restarted.elapsed());
    }
}

/// However many nodes start at once, only one of them reconciles the cluster.
#[tokio::test(start_paused = true)]
async fn only_one_of_many_nodes_started_together_reconciles_the_cluster() {
    let cluster = Cluster::new(always(Script::Busy));
    let mut nodes = Vec::new();
    for number in 0..50 {
        nodes.push(
            start(NodeConfig::new(format!("node-{number}").parse().unwrap(), 1), cluster.ports_elsewhere())
                .await
                .unwrap(),
        );
    }
    tokio::time::sleep(SECOND).await;
    let calls = cluster.store.calls();
    assert_eq!((calls["claim_turn"], calls["orphans"], calls["due"]), (50, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_one_shot_node_leaves_the_waiting_scans_of_others_alone() {
    let cluster = Cluster::new(ScriptedRunner::new(|job| {
        if job.attempt.0 == 1 { Script::Crash(SECOND) } else { Script::Complete(SECOND) }
    }));
    let id = cluster.submit().await;
    // The signal is lost with the process that had received it.
    let delivery = cluster.queue().next().await.unwrap();
    cluster.queue().acknowledge(&delivery.receipt).await.unwrap();
    let _node = cluster.start(NodeConfig { adopts_waiting: false, ..NodeConfig::new("a".parse().unwrap(), 2) }).await;
    let own = cluster.submit().await;
    cluster.until_status(own, ScanStatus::Completed).await;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(cluster.row(id).await.status(), ScanStatus::Pending);
}
