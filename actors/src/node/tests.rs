//! Tests of the complete actor tree under paused time, with a scripted runner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::NodeExit;
use crate::Client;
use crate::model::{
    AttemptEnd, CancelledBy, FailureKind, Interruption, NodeActivity, ScanRecord, ScanRequestDraft, ScanState,
    ScanStatus, ScannerKind,
};
use crate::node_config::NodeConfig;
use crate::policy::deadline::Limits;
use crate::policy::restart::Intensity;
use crate::ports::store::prelude::*;
use crate::ports::{LeaseGuard, Stores};
use crate::service::CancelOutcome;
use crate::testing::{Cluster, Fault, Faults, Recorder, Script, ScriptedRunner, fixtures};

const SECOND: Duration = Duration::from_secs(1);

fn always(script: Script) -> ScriptedRunner {
    ScriptedRunner::new(move |_| script)
}

pub(super) fn ends(row: &ScanRecord) -> Vec<String> {
    row.attempts
        .iter()
        .map(|attempt| match &attempt.end {
            None => "running".into(),
            Some(AttemptEnd::Completed(_)) => "completed".into(),
            Some(AttemptEnd::Failed(failure)) => failure.kind.to_string(),
            Some(AttemptEnd::Interrupted { why, .. }) => why.to_string(),
            Some(AttemptEnd::Cancelled) => "cancelled".into(),
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_scan_runs_to_its_end() {
    let cluster = Cluster::new(always(Script::Complete(3 * SECOND)));
    let node = cluster.node("a", 2).await;
    let id = cluster.submit().await;
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(ends(&row), ["completed"]);
    assert_eq!(row.plugins.len(), 1);
    assert!(row.attempts[0].scanner.is_some(), "the row says which scanner ran");
    node.shutdown(Duration::ZERO, SECOND).await;
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn crashed_attempt_is_retried_after_its_backoff() {
    let cluster = Cluster::new(ScriptedRunner::new(|job| {
        if job.attempt.0 < 3 { Script::Crash(SECOND) } else { Script::Complete(SECOND) }
    }));
    let _node = cluster.node("a", 2).await;
    let id = cluster.submit().await;
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(ends(&row), ["crashed", "crashed", "completed"]);
    assert_eq!(row.failures, 2);
    let waits: Vec<f64> = row
        .attempts
        .windows(2)
        .map(|pair| pair[1].started_at.duration_since(pair[0].ended_at.unwrap()).as_secs_f64())
        .collect();
    assert!((1.0..=2.2).contains(&waits[0]) && (2.0..=4.2).contains(&waits[1]), "{waits:?}");
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn scan_fails_when_its_attempts_run_out() {
    let cluster = Cluster::new(always(Script::Crash(SECOND)));
    let _node = cluster.node("a", 2).await;
    let id = cluster.submit().await;
    let row = cluster.until_status(id, ScanStatus::Failed).await;
    assert_eq!(ends(&row), ["crashed", "crashed", "crashed"]);
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn a_start_that_the_scan_itself_prevents_fails_at_once() {
    let cluster = Cluster::new(always(Script::Refused));
    let _node = cluster.node("a", 2).await;
    let id = cluster.submit().await;
    assert_eq!(ends(&cluster.until_status(id, ScanStatus::Failed).await), ["not_started"]);
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn node_runs_no_more_scans_than_it_has_slots() {
    let cluster = Cluster::new(always(Script::Complete(10 * SECOND)));
    let _node = cluster.node("a", 3).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(cluster.submit().await);
    }
    cluster.until(ids[0], |row| row.status() == ScanStatus::Running).await;
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(cluster.runner.alive(), 3);
    for id in ids {
        cluster.until_status(id, ScanStatus::Completed).await;
    }
    let runs = cluster.runner.runs();
    for run in &runs {
        let overlapping = runs.iter().filter(|other| other.from <= run.from && other.to.unwrap() > run.from).count();
        assert!(overlapping <= 3, "{overlapping} at once");
    }
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn cancel_ends_a_waiting_and_a_running_scan() {
    let cluster = Cluster::new(always(Script::Stubborn(7 * SECOND)));
    let _node = cluster.node("a", 1).await;
    let running = cluster.submit().await;
    let waiting = cluster.submit().await;
    cluster.until_status(running, ScanStatus::Running).await;
    tokio::time::sleep(SECOND).await;
    assert!(matches!(
        cluster.service.cancel(&fixtures::context(), waiting, CancelledBy::User).await.unwrap(),
        CancelOutcome::Cancelled(_)
    ));
    assert!(matches!(
        cluster.service.cancel(&fixtures::context(), running, CancelledBy::User).await.unwrap(),
        CancelOutcome::Requested(_)
    ));
    assert_eq!(cluster.runner.alive(), 1, "the state is not cancelled before the process is gone");
    let row = cluster.until_status(running, ScanStatus::Cancelled).await;
    assert_eq!(ends(&row), ["cancelled"]);
    assert_eq!((cluster.runner.alive(), cluster.runner.runs().len()), (0, 1));
    assert!(matches!(
        cluster.service.cancel(&fixtures::context(), running, CancelledBy::User).await.unwrap(),
        CancelOutcome::AlreadyEnded(_)
    ));
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn a_cancel_whose_message_is_lost_comes_with_the_lease() {
    let cluster = Cluster::new(always(Script::Busy));
    let _node = cluster.node("a", 1).await;
    let id = cluster.submit().await;
    cluster.until_status(id, ScanStatus::Running).await;
    tokio::time::sleep(3 * SECOND).await;
    // Only change the row, as if the node's message had been lost.
    cluster
        .store
        .apply(
            id,
            crate::model::Command::Cancel { by: CancelledBy::User, principal: crate::model::Principal::Anonymous },
        )
        .await
        .unwrap();
    let asked = tokio::time::Instant::now();
    cluster.until_status(id, ScanStatus::Cancelled).await;
    assert!(asked.elapsed() <= 12 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn attempt_silence_and_run_time_have_limits() {
    let limits = Limits { wall_clock: 100 * SECOND, no_progress: 30 * SECOND };
    for (script, kind, attempts) in [(Script::Hang, FailureKind::Stalled, 3), (Script::Busy, FailureKind::TimedOut, 1)]
    {
        let cluster = Cluster::new(always(script));
        let _node = cluster.start(NodeConfig { limits, ..NodeConfig::new("a".parse().unwrap(), 1) }).await;
        let id = cluster.submit().await;
        let row = cluster.until_status(id, ScanStatus::Failed).await;
        assert_eq!(row.last_failure().unwrap().kind, kind);
        assert_eq!(row.attempts.len(), attempts, "{kind}");
        assert_eq!(cluster.runner.alive(), 0);
    }
}

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
        let _second = super::start(config, cluster.ports_after_restart()).await.unwrap();
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
            super::start(NodeConfig::new(format!("node-{number}").parse().unwrap(), 1), cluster.ports_elsewhere())
                .await
                .unwrap(),
        );
    }
    tokio::time::sleep(SECOND).await;
    let calls = cluster.store.calls();
    assert_eq!((calls["claim_turn"], calls["orphans"], calls["due"]), (50, 1, 1));
}

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
    let _isolated = super::start(NodeConfig::new("a".parse().unwrap(), 2), ports).await.unwrap();
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
    let _node = super::start(NodeConfig::new("a".parse().unwrap(), 2), ports).await.unwrap();
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
async fn a_failed_actor_of_a_scan_is_an_attempt_that_failed() {
    let cluster =
        Cluster::new(ScriptedRunner::new(
            |job| if job.attempt.0 == 1 { Script::Busy } else { Script::Complete(SECOND) },
        ));
    let node = cluster.node("a", 1).await;
    let id = cluster.submit().await;
    cluster.until_status(id, ScanStatus::Running).await;
    tokio::time::sleep(SECOND).await;
    let scan = node.children().iter().flat_map(ractor::ActorCell::get_children).next().unwrap();
    scan.kill();
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(ends(&row), ["actor_crashed", "completed"]);
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn every_actor_below_the_node_is_restarted_and_the_scans_end() {
    for index in 0..5 {
        let cluster = Cluster::new(ScriptedRunner::new(|job| {
            if job.attempt.0 == 1 { Script::Complete(20 * SECOND) } else { Script::Complete(SECOND) }
        }));
        let node = cluster.node("a", 2).await;
        let first = cluster.submit().await;
        cluster.until_status(first, ScanStatus::Running).await;
        tokio::time::sleep(SECOND).await;
        let mut children = node.children();
        children.sort_by_key(ractor::ActorCell::get_id);
        children[index].kill();
        let second = cluster.submit().await;
        for id in [first, second] {
            cluster.until_status(id, ScanStatus::Completed).await;
        }
        let tree = cluster.snapshots.supervision(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(tree.children.iter().map(|child| child.restarts).sum::<u32>(), 1, "the tree shows the restart");
        node.shutdown(Duration::ZERO, SECOND).await;
        cluster.check();
    }
}

#[tokio::test(start_paused = true)]
async fn node_fails_when_its_restart_budget_is_used_up() {
    let cluster = Cluster::new(always(Script::Busy));
    let node = cluster
        .start(NodeConfig {
            actor_intensity: Intensity { max: 2, within: 60 * SECOND },
            ..NodeConfig::new("a".parse().unwrap(), 1)
        })
        .await;
    let id = cluster.submit().await;
    cluster.until_status(id, ScanStatus::Running).await;
    for _ in 0..3 {
        if let Some(child) = node.children().first() {
            child.kill();
        }
        tokio::time::sleep(SECOND).await;
    }
    assert!(matches!(node.exited().await, NodeExit::Failed(_)));
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(cluster.runner.alive(), 0, "no process outlives its node");
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
    let _node = super::start(NodeConfig::new("a".parse().unwrap(), 2), ports).await.unwrap();
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
    let node = super::start(NodeConfig::new("a".parse().unwrap(), 3), ports.clone()).await.unwrap();
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
    let _node = super::start(NodeConfig::new("a".parse().unwrap(), 2), ports).await.unwrap();
    tokio::time::sleep(SECOND).await;
    lose.store(true, Ordering::Relaxed);
    let id = cluster.submit().await;
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(ends(&row), ["unowned", "completed"]);
    assert_eq!(row.failures, 0);
    cluster.check();
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

#[tokio::test(start_paused = true)]
async fn a_draining_node_finishes_what_it_runs_and_takes_nothing_new() {
    // The duration is not a multiple of the renewal interval.
    let cluster = Cluster::new(always(Script::Complete(Duration::from_millis(63_500))));
    let _node = cluster.node("a", 2).await;
    let running = cluster.submit().await;
    cluster.until_status(running, ScanStatus::Running).await;
    assert!(drain(&cluster, Some(600 * SECOND)).await);
    // The node gets the order at once, not with the next renewal.
    tokio::time::sleep(SECOND).await;
    let waiting = cluster.submit().await;
    let ended = cluster.until_status(running, ScanStatus::Completed).await;
    assert_eq!(ends(&ended), ["completed"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        cluster.store.all().await.unwrap()[0].registration.activity,
        NodeActivity::Drained,
        "it says so at once"
    );
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(cluster.row(waiting).await.attempts.len(), 0);
    let told = cluster.store.all().await.unwrap().remove(0).registration;
    assert_eq!(told.activity, NodeActivity::Drained);
    assert!(told.actors.unwrap().children.iter().any(|actor| actor.name == "dispatcher" && actor.state == "draining"));
    assert!(drain(&cluster, None).await);
    cluster.until_status(waiting, ScanStatus::Running).await;
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn scan_that_outlasts_a_drain_moves_to_another_node_at_no_cost() {
    let cluster = Cluster::new(always(Script::Busy));
    let _a = cluster.node("a", 2).await;
    let id = cluster.submit().await;
    cluster.until_status(id, ScanStatus::Running).await;
    let _b = cluster.node("b", 2).await;
    drain(&cluster, Some(20 * SECOND)).await;
    let row = cluster.until(id, |row| row.attempts.len() == 2).await;
    assert_eq!((ends(&row), row.failures), (vec!["drained".to_owned(), "running".into()], 0));
    assert_eq!(row.attempts[1].node.as_str(), "b");
    let took = row.attempts[0].ended_at.unwrap().duration_since(row.attempts[0].started_at);
    assert!((19..=23).contains(&took.as_secs()), "{took}");
    cluster.service.cancel(&fixtures::context(), id, CancelledBy::User).await.unwrap();
    cluster.until_status(id, ScanStatus::Cancelled).await;
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn a_paused_queue_starts_nothing_until_it_is_resumed() {
    let cluster = Cluster::new(always(Script::Complete(5 * SECOND)));
    let _nodes = (cluster.node("a", 1).await, cluster.node("b", 1).await);
    let running = cluster.submit().await;
    cluster.until_status(running, ScanStatus::Running).await;
    cluster.services.queue.pause(&fixtures::context(), Some("maintenance")).await.unwrap();
    let waiting: Vec<_> = [cluster.submit().await, cluster.submit().await].into();
    cluster.until_status(running, ScanStatus::Completed).await;
    tokio::time::sleep(60 * SECOND).await;
    for id in &waiting {
        assert_eq!(cluster.row(*id).await.status(), ScanStatus::Pending);
    }
    let resumed = tokio::time::Instant::now();
    assert!(cluster.services.queue.resume(&fixtures::context()).await.unwrap());
    for id in waiting {
        cluster.until_status(id, ScanStatus::Completed).await;
    }
    assert!(resumed.elapsed() < 7 * SECOND, "{:?}", resumed.elapsed());
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn directive_with_a_lost_message_arrives_with_the_next_renewal() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let _node = cluster.node("a", 1).await;
    tokio::time::sleep(SECOND).await;
    cluster
        .store
        .order_drain(&"a".parse().unwrap(), Some(600 * SECOND), &crate::model::Principal::System)
        .await
        .unwrap();
    assert_eq!(
        cluster.store.all().await.unwrap()[0].registration.activity,
        NodeActivity::Active,
        "it has heard nothing"
    );
    tokio::time::sleep(11 * SECOND).await;
    assert_eq!(
        cluster.store.all().await.unwrap()[0].registration.activity,
        NodeActivity::Drained,
        "it says so as soon as it knows"
    );
}

#[tokio::test(start_paused = true)]
async fn node_delivers_the_ends_of_scans_to_its_consumers() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let recorder = Arc::new(Recorder::default());
    let ports = crate::NodePorts { consumers: vec![Arc::clone(&recorder) as _], ..cluster.ports() };
    let _node = super::start(NodeConfig::new("a".parse().unwrap(), 1), ports).await.unwrap();
    let ended = cluster.until_status(cluster.submit().await, ScanStatus::Completed).await;
    tokio::time::sleep(SECOND).await;
    let key = crate::policy::events::key_of(&ended);
    assert_eq!(recorder.seen().into_iter().collect::<Vec<_>>(), [(key, 1)]);
    assert_eq!(cluster.store.backlog().await.unwrap().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn node_that_registers_again_keeps_its_drain_order_and_audits_it_once() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let _node = cluster.node("a", 1).await;
    tokio::time::sleep(SECOND).await;
    assert!(drain(&cluster, Some(600 * SECOND)).await);
    tokio::time::sleep(SECOND).await;
    cluster.store.remove(&"a".parse().unwrap()).await.unwrap();
    tokio::time::sleep(60 * SECOND).await;
    let node = cluster.store.all().await.unwrap().remove(0);
    assert!(node.drain_by.is_some(), "the row has the order again");
    assert_eq!(node.registration.activity, NodeActivity::Drained);
    let audit = cluster.store.audit(None, 9).await.unwrap();
    let entries: Vec<_> = audit.iter().map(|entry| (entry.event.action(), &entry.principal)).collect();
    assert_eq!(entries, [("drain_ordered", &fixtures::context().principal)]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_can_wait_for_scans_to_finish() {
    let cluster =
        Cluster::new(ScriptedRunner::new(
            |job| if job.scan.0 == 1 { Script::Complete(20 * SECOND) } else { Script::Busy },
        ));
    let node = cluster.node("a", 2).await;
    let (short, long) = (cluster.submit().await, cluster.submit().await);
    cluster.until_status(long, ScanStatus::Running).await;
    node.shutdown(30 * SECOND, 10 * SECOND).await;
    assert_eq!(ends(&cluster.row(short).await), ["completed"]);
    assert_eq!(ends(&cluster.row(long).await), ["shutdown"]);
    cluster.check();
}

/// Drains the node `a` within this time, or ends its drain. Returns true if the node exists.
async fn drain(cluster: &Cluster, within: Option<Duration>) -> bool {
    let (nodes, context, id) = (&cluster.services.nodes, fixtures::context(), "a".parse().unwrap());
    let node = match within {
        Some(within) => nodes.drain(&context, &id, Some(within)).await.unwrap(),
        None => nodes.undo_drain(&context, &id).await.unwrap(),
    };
    node.is_some()
}

/// Returns the ports of a node whose scanner has these plugins.
fn with_scanner(cluster: &Cluster, kind: ScannerKind, plugins: &[&str]) -> crate::NodePorts {
    let offer = tokio::sync::watch::channel(Some(Arc::new(fixtures::offer(kind, plugins)))).1;
    crate::NodePorts { offer, ..cluster.ports() }
}

async fn submit_with(cluster: &Cluster, plugins: &[&str]) -> crate::service::Accepted {
    let draft = ScanRequestDraft {
        target: "example.com".into(),
        plugins: plugins.iter().map(ToString::to_string).collect(),
        ..ScanRequestDraft::default()
    };
    cluster.service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_scan_goes_to_a_node_whose_scanner_has_its_plugins() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let start = |name: &str, ports| super::start(NodeConfig::new(name.parse().unwrap(), 2), ports);
    let _small = start("small", with_scanner(&cluster, ScannerKind::Builtin, &["tls"])).await.unwrap();
    let _old = start("old", with_scanner(&cluster, ScannerKind::Kast, &["tls", "whatweb"])).await.unwrap();
    let _new = start("new", with_scanner(&cluster, ScannerKind::Kast, &["tls", "whatweb", "zap"])).await.unwrap();
    let mut bounced = 0;
    for _ in 0..20 {
        let id = submit_with(&cluster, &["zap"]).await.scan.record.id;
        let row = cluster.until_status(id, ScanStatus::Completed).await;
        let (last, before) = row.attempts.split_last().unwrap();
        assert_eq!((last.node.as_str(), row.failures), ("new", 0));
        // A node with the built-in scanner reads the row first. Any other node does so after the
        // first scan that it has to release.
        assert!(before.iter().all(|attempt| attempt.node.as_str() == "old"), "{row:#?}");
        bounced += before.len();
    }
    assert!(bounced <= 1, "{bounced}");
    // A plugin that all nodes have runs on any of them.
    for _ in 0..10 {
        let id = submit_with(&cluster, &["tls"]).await.scan.record.id;
        assert_eq!(cluster.until_status(id, ScanStatus::Completed).await.attempts.len(), 1);
    }
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_no_node_can_run_waits_for_one_and_then_fails_with_the_plugin_and_the_nodes() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let start = |name: &str, ports| super::start(NodeConfig::new(name.parse().unwrap(), 2), ports);
    let _small = start("small", with_scanner(&cluster, ScannerKind::Builtin, &["tls"])).await.unwrap();
    tokio::time::sleep(SECOND).await;
    let accepted = submit_with(&cluster, &["zap"]).await;
    assert!(accepted.warning().unwrap().contains("small (built-in scanner 1) has no zap"), "{:?}", accepted.warning());
    let id = accepted.scan.record.id;
    tokio::time::sleep(58 * SECOND).await;
    assert_eq!(cluster.row(id).await.status(), ScanStatus::Pending);
    let row = cluster.until_status(id, ScanStatus::Failed).await;
    let failure = row.last_failure().unwrap();
    assert_eq!(failure.kind, FailureKind::UsageError);
    assert!(failure.detail.contains("small (built-in scanner 1) has no zap"), "{}", failure.detail);
    assert_eq!(cluster.runner.runs().len(), 0);

    // A capable node that connects in time runs it.
    let id = submit_with(&cluster, &["zap"]).await.scan.record.id;
    tokio::time::sleep(40 * SECOND).await;
    let _able = start("able", with_scanner(&cluster, ScannerKind::Kast, &["zap"])).await.unwrap();
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!((ends(&row), row.attempts[0].node.as_str()), (vec!["completed".to_owned()], "able"));
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn submission_result_names_what_keeps_the_scan_from_starting() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let web = cluster.services_elsewhere().scans;
    let draft = ScanRequestDraft { target: "example.com".into(), ..ScanRequestDraft::default() };
    let warning = async |service: &crate::service::ScanService| {
        service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap().warning()
    };
    assert_eq!(
        warning(&web).await.unwrap(),
        "Scan accepted and stored. No worker connected. Starts when a worker connects."
    );
    let _node = cluster.node("a", 1).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(warning(&web).await, None);
    cluster.services.queue.pause(&fixtures::context(), Some("an upgrade")).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(
        warning(&web).await.unwrap(),
        "Scan accepted and stored. The queue is paused (an upgrade). Starts when the queue is resumed."
    );
    cluster.services.queue.resume(&fixtures::context()).await.unwrap();
    drain(&cluster, Some(600 * SECOND)).await;
    tokio::time::sleep(6 * SECOND).await;
    assert!(
        warning(&web).await.unwrap().contains("No worker takes new scans: 1 connected worker is draining or stopping"),
        "a node that drains takes none"
    );
}
