//! Tests of drain, pause and stop.

use std::time::Duration;

use super::support::{SECOND, always, drain, ends};
use crate::model::{AuditQuery, CancelledBy, NodeActivity, ScanStatus};
use crate::ports::store::prelude::*;
use crate::testing::{Cluster, Script, ScriptedRunner, fixtures};

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
    let registration = cluster.store.all().await.unwrap().remove(0).registration;
    assert_eq!(registration.activity, NodeActivity::Drained);
    assert!(
        registration
            .actors
            .unwrap()
            .children
            .iter()
            .any(|actor| actor.name == "dispatcher" && actor.state == "draining")
    );
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
    let audit = cluster.store.audit(&AuditQuery::newest(9)).await.unwrap().entries;
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
