//! A large in-memory cluster under paused time, which verifies the arithmetic of docs/scaling.md.
//!
//! By default it runs a hundredth of the size. `KASTREL_SIMULATION=full` runs 1,000 nodes and
//! 100,000 scans, best in a release build: `make simulate`.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::live::SnapshotCache;
use kastrel_actors::model::{FailureKind, ListQuery, PendingReason, ProjectFilter, ScanId, ScanState, ScanStatus};
use kastrel_actors::node::{self, NodeHandle};
use kastrel_actors::ports::NoLiveFeed;
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::testing::{Cluster, Script, ScriptedRunner};
use kastrel_actors::{NodeConfig, NodePorts};
use tokio::time::Instant;

/// The number of slots of a node.
const CAPACITY: usize = 4;
/// The duration of a scan.
const SCAN: Duration = Duration::from_secs(60);
/// One in this many nodes dies halfway.
const DEATHS: usize = 20;

struct Size {
    nodes: usize,
    scans: usize,
}

fn size() -> Size {
    match std::env::var("KASTREL_SIMULATION").as_deref() {
        Ok("full") => Size { nodes: 1_000, scans: 100_000 },
        _ => Size { nodes: 50, scans: 1_000 },
    }
}

async fn start(cluster: &Cluster, number: usize) -> NodeHandle {
    let ports = NodePorts {
        snapshots: Arc::new(SnapshotCache::default()),
        feed: Arc::new(NoLiveFeed::default()),
        ..cluster.ports()
    };
    let config = NodeConfig::new(format!("node-{number}").parse().unwrap(), CAPACITY);
    node::start(config, ports).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn large_cluster_costs_what_the_arithmetic_says() {
    let Size { nodes, scans } = size();
    let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Quiet(SCAN)));
    cluster.store.forget_history();
    for _ in 0..scans {
        cluster.submit().await;
    }
    let began = Instant::now();
    let mut handles = Vec::new();
    for number in 0..nodes {
        handles.push(start(&cluster, number).await);
    }
    // Some nodes die in the middle of their second round.
    tokio::time::sleep(SCAN + SCAN / 2).await;
    let dead = nodes / DEATHS;
    for handle in handles.drain(..dead) {
        handle.crash().await;
    }
    let died = Instant::now();
    tokio::time::sleep(Duration::from_secs(120)).await;
    let lost_for = rescued_after(&cluster, died).await;
    while cluster.store.stats(&ProjectFilter::All).await.unwrap().completed < scans as u64 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let took = began.elapsed();
    let calls = cluster.store.calls();
    let per_second = |call: &str| calls.get(call).copied().unwrap_or_default() as f64 / took.as_secs_f64();
    let per_scan = |call: &str| calls.get(call).copied().unwrap_or_default() as f64 / scans as f64;
    let rounds = (scans as f64 / (nodes * CAPACITY) as f64).ceil();
    let ideal = SCAN.mul_f64(rounds);
    report(&[
        ("nodes, each with 4 scans at once", nodes as f64),
        ("scans of 60 s", scans as f64),
        ("nodes that died", dead as f64),
        ("time for all, of what it would ideally be without deaths", took.as_secs_f64() / ideal.as_secs_f64()),
        ("longest wait of a dead node's scan for its takeover, s", lost_for.as_secs_f64()),
        ("writes a scan: submit", per_scan("submit")),
        ("writes a scan: lease", per_scan("lease")),
        ("writes a scan: progress", per_scan("progress")),
        ("writes a scan: finish", per_scan("finish")),
        ("calls a second: renewals", per_second("renew_node")),
        ("calls a second: own rows", per_second("running_on")),
        ("calls a second: whose turn it is to look at the cluster", per_second("claim_turn")),
        ("calls a second: rows of the cluster (orphans and due, each)", per_second("orphans")),
    ]);
    assert!(took <= ideal.mul_f64(1.0 + 2.0 / rounds) + Duration::from_secs(90), "{took:?} instead of {ideal:?}");
    assert!(lost_for <= Duration::from_secs(45), "{lost_for:?}");
    assert!(per_scan("lease") < 1.2 && per_scan("finish") < 1.1 && per_scan("progress") < 3.0);
    assert!(per_second("renew_node") < 0.15 * nodes as f64);
    assert!(per_second("orphans") < 0.4, "the nodes take turns in looking at the whole cluster");
    for handle in handles {
        handle.shutdown(Duration::ZERO, Duration::from_secs(1)).await;
    }
}

/// Returns how long after `died` the last scan of a dead node was taken over.
async fn rescued_after(cluster: &Cluster, died: Instant) -> Duration {
    let query = ListQuery { limit: usize::MAX, ..ListQuery::default() };
    let rows = cluster.store.list(query).await.unwrap().scans;
    let now = Instant::now();
    let clock_now = cluster.now();
    let mut longest = Duration::ZERO;
    for row in &rows {
        for attempt in &row.attempts {
            if let Some(kastrel_actors::model::AttemptEnd::Failed(failure)) = &attempt.end
                && failure.kind == FailureKind::NodeLost
            {
                let ago = Duration::try_from(clock_now.duration_since(attempt.ended_at.unwrap())).unwrap();
                longest = longest.max((now - ago).saturating_duration_since(died));
            }
        }
        let retries = matches!(&row.state, ScanState::Pending { reason: PendingReason::Retry { .. }, .. });
        assert!(!retries || row.failures > 0, "{}", row.id);
    }
    let lost: Vec<ScanId> = rows.iter().filter(|row| row.status() == ScanStatus::Failed).map(|row| row.id).collect();
    assert!(lost.is_empty(), "a node's death costs no scan: {lost:?}");
    assert!(longest > Duration::ZERO, "the dead nodes ran something");
    longest
}

#[expect(clippy::print_stdout, reason = "the numbers of docs/scaling.md")]
fn report(lines: &[(&str, f64)]) {
    for (what, value) in lines {
        println!("{value:>12.2}  {what}");
    }
}
