//! Tests of how attempts end, and of what follows.

use std::sync::Arc;
use std::time::Duration;

use super::support::{SECOND, always, ends};
use crate::model::{CancelledBy, FailureKind, ScanStatus};
use crate::node::start;
use crate::node_config::NodeConfig;
use crate::policy::deadline::Limits;
use crate::ports::store::prelude::*;
use crate::service::CancelOutcome;
use crate::testing::{Cluster, Recorder, Script, ScriptedRunner, fixtures};

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
async fn node_delivers_the_ends_of_scans_to_its_consumers() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let recorder = Arc::new(Recorder::default());
    let ports = crate::NodePorts { consumers: vec![Arc::clone(&recorder) as _], ..cluster.ports() };
    let _node = start(NodeConfig::new("a".parse().unwrap(), 1), ports).await.unwrap();
    let ended = cluster.until_status(cluster.submit().await, ScanStatus::Completed).await;
    tokio::time::sleep(SECOND).await;
    let key = crate::policy::events::key_of(&ended);
    assert_eq!(recorder.seen().into_iter().collect::<Vec<_>>(), [(key, 1)]);
    assert_eq!(cluster.store.backlog().await.unwrap().waiting, 0);
}
