//! Tests of leases that end while scans run: a store that does not respond, and a machine that
//! slept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::support::{SECOND, always, ends};
use crate::model::{CancelledBy, ScanRecord, ScanState, ScanStatus};
use crate::node::start;
use crate::node_config::NodeConfig;
use crate::ports::store::prelude::*;
use crate::ports::{LeaseGuard, Stores};
use crate::testing::{Cluster, Fault, Faults, Script, ScriptedRunner};

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_renew_kills_its_scans_before_another_may_start_them() {
    let cluster =
        Cluster::new(ScriptedRunner::new(
            |job| if job.attempt.0 == 1 { Script::Busy } else { Script::Complete(SECOND) },
        ));
    let cut_off = Arc::new(AtomicBool::new(false));
    let chooser = Arc::clone(&cut_off);
    let faulty = Faults::new(move || if chooser.load(Ordering::Relaxed) { Fault::Unreachable } else { Fault::None });
    let ports = crate::NodePorts { store: Stores::of(&cluster.store).hooked(&faulty), ..cluster.ports() };
    let _isolated = start(NodeConfig::new("a".parse().unwrap(), 2), ports).await.unwrap();
    let id = cluster.submit().await;
    cluster.until_status(id, ScanStatus::Running).await;
    let _other = cluster.node("b", 2).await;
    cut_off.store(true, Ordering::Relaxed);
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(ends(&row), ["node_lost", "completed"]);
    cluster.check();
    // Reconnected to the store, the node gets a new lease and runs scans again.
    cut_off.store(false, Ordering::Relaxed);
    let nodes = || cluster.store.all();
    while nodes().await.unwrap().len() < 2 {
        tokio::time::sleep(SECOND).await;
    }
}

/// A guard whose clock keeps running while the machine sleeps; the test's clock does not.
struct SleepyGuard {
    start: tokio::time::Instant,
    slept_s: AtomicU32,
}

impl LeaseGuard for SleepyGuard {
    fn now(&self) -> Duration {
        self.start.elapsed() + SECOND * self.slept_s.load(Ordering::Relaxed)
    }

    fn trust_until(&self, _: Duration) {}

    fn disarm(&self) {}
}

#[tokio::test(start_paused = true)]
async fn scan_killed_by_the_guard_after_a_machine_sleep_costs_no_attempt() {
    // The guard kills the process as soon as the machine wakes; the node sees that like any other
    // crash.
    let cluster = Cluster::new(ScriptedRunner::new(|job| {
        if job.attempt.0 == 1 { Script::Crash(13 * SECOND) } else { Script::Complete(SECOND) }
    }));
    let guard = Arc::new(SleepyGuard { start: tokio::time::Instant::now(), slept_s: AtomicU32::new(0) });
    let ports = crate::NodePorts { guard: Arc::clone(&guard) as _, ..cluster.ports() };
    let _node = start(NodeConfig::new("a".parse().unwrap(), 2), ports).await.unwrap();
    let id = cluster.submit().await;
    cluster.until_status(id, ScanStatus::Running).await;
    tokio::time::sleep(12 * SECOND).await;
    guard.slept_s.store(25, Ordering::Relaxed);
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!((ends(&row), row.failures), (vec!["lease_lost".to_owned(), "completed".into()], 0));
    assert!(guard.start.elapsed() < 30 * SECOND, "the node has a new lease soon: {:?}", guard.start.elapsed());
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn an_end_waits_for_a_store_that_does_not_answer() {
    let cluster = Cluster::new(always(Script::Complete(3 * SECOND)));
    let calls = Arc::new(AtomicU32::new(0));
    let down = Arc::new(AtomicBool::new(false));
    let (counted, chooser) = (Arc::clone(&calls), Arc::clone(&down));
    let faulty = Faults::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        if chooser.load(Ordering::Relaxed) { Fault::LostAnswer } else { Fault::None }
    });
    let ports = crate::NodePorts { store: Stores::of(&cluster.store).hooked(&faulty), ..cluster.ports() };
    let _node = start(NodeConfig::new("a".parse().unwrap(), 2), ports).await.unwrap();
    let id = cluster.submit().await;
    cluster.until_status(id, ScanStatus::Running).await;
    down.store(true, Ordering::Relaxed);
    tokio::time::sleep(10 * SECOND).await;
    down.store(false, Ordering::Relaxed);
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert!(matches!(row.state, ScanState::Completed { .. }) && row.attempts.len() == 1);
    cluster.check();
}

/// The effect on scans that ended while the store was unavailable for longer than the lease: one
/// with a complete result, one that was still running, and one with a cancel in the meantime.
async fn ends_after_an_outage(then: AfterTheOutage) -> (Cluster, Vec<ScanRecord>) {
    let first_takes = |scan: u64| if scan == 2 { Script::Busy } else { Script::Complete(10 * SECOND) };
    let cluster = Cluster::new(ScriptedRunner::new(move |job| {
        if job.attempt.0 == 1 { first_takes(job.scan.0) } else { Script::Complete(SECOND) }
    }));
    let is_away = Arc::new(AtomicBool::new(false));
    let chooser = Arc::clone(&is_away);
    let faulty = Faults::new(move || if chooser.load(Ordering::Relaxed) { Fault::Unreachable } else { Fault::None });
    let ports = crate::NodePorts { store: Stores::of(&cluster.store).hooked(&faulty), ..cluster.ports() };
    let node = start(NodeConfig::new("a".parse().unwrap(), 3), ports.clone()).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(cluster.submit().await);
    }
    for id in &ids {
        cluster.until_status(*id, ScanStatus::Running).await;
    }
    tokio::time::sleep(SECOND).await;
    is_away.store(true, Ordering::Relaxed);
    cluster
        .store
        .apply(
            ids[2],
            crate::model::Command::Cancel { by: CancelledBy::User, principal: crate::model::Principal::Anonymous },
        )
        .await
        .unwrap();
    tokio::time::sleep(60 * SECOND).await;
    assert!(cluster.row(ids[0]).await.attempts[0].end.is_none(), "nobody could write its end");
    let _nodes = match then {
        AfterTheOutage::Recovers => {
            is_away.store(false, Ordering::Relaxed);
            // Its peer reconnects at the same time and reconciles the scans of dead nodes.
            vec![node, cluster.node("b", 1).await]
        }
        AfterTheOutage::IsReplaced { sole_node } => {
            node.crash().await;
            tokio::time::sleep(4 * SECOND).await;
            let previous = if sole_node { Vec::new() } else { vec!["a".parse().unwrap()] };
            vec![cluster.start(NodeConfig { sole_node, previous, ..NodeConfig::new("b".parse().unwrap(), 3) }).await]
        }
    };
    let mut rows = Vec::new();
    for id in ids {
        rows.push(cluster.until(id, |row| row.status().is_terminal()).await);
    }
    (cluster, rows)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterTheOutage {
    /// The node lives and the store is available again.
    Recovers,
    /// The node was killed, and another one replaces it on the same data folder.
    IsReplaced { sole_node: bool },
}

#[tokio::test(start_paused = true)]
async fn finished_work_outlives_the_lease_and_the_node() {
    for then in [
        AfterTheOutage::Recovers,
        AfterTheOutage::IsReplaced { sole_node: true },
        AfterTheOutage::IsReplaced { sole_node: false },
    ] {
        let (cluster, rows) = ends_after_an_outage(then).await;
        assert_eq!(ends(&rows[0]), ["completed"], "{then:?}: it ran once");
        assert_eq!(rows[0].plugins.len(), 1, "{then:?}");
        assert_eq!((ends(&rows[1]).last().unwrap().as_str(), rows[1].attempts.len()), ("completed", 2), "{then:?}");
        assert_eq!(
            (rows[2].status(), rows[2].attempts.len()),
            (ScanStatus::Cancelled, 1),
            "{then:?}: {:?}",
            ends(&rows[2])
        );
        let runs = |id| cluster.runner.runs().iter().filter(|run| run.scan == id).count();
        assert_eq!(rows.iter().map(|row| runs(row.id)).collect::<Vec<_>>(), [1, 2, 1], "{then:?}");
        cluster.check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_answer_was_lost_is_handed_back_and_runs() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let lose = Arc::new(AtomicBool::new(false));
    let chooser = Arc::clone(&lose);
    let faulty =
        Faults::new(move || if chooser.swap(false, Ordering::Relaxed) { Fault::LostAnswer } else { Fault::None });
    let ports = crate::NodePorts { store: Stores::of(&cluster.store).hooked(&faulty), ..cluster.ports() };
    let _node = start(NodeConfig::new("a".parse().unwrap(), 2), ports).await.unwrap();
    tokio::time::sleep(SECOND).await;
    lose.store(true, Ordering::Relaxed);
    let id = cluster.submit().await;
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(ends(&row), ["unowned", "completed"]);
    assert_eq!(row.failures, 0);
    cluster.check();
}
