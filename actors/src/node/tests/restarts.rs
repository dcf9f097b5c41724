//! Tests of actors that fail, and of the restart budget.

use std::time::Duration;

use super::support::{SECOND, always, ends};
use crate::model::ScanStatus;
use crate::node::NodeExit;
use crate::node_config::NodeConfig;
use crate::policy::restart::Intensity;
use crate::testing::{Cluster, Script, ScriptedRunner};

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
