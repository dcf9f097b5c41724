//! Tests that every web node shows the work of any worker live.

use std::time::Duration;

use kastrel_actors::model::PluginStatus;
use serde_json::Value;
use tokio::time::Instant;

use super::harness::{Cluster, node_of, row, start};
use crate::client::Client;
use crate::product::app::{ends, is_alive};
use crate::redis_server::Data;

/// A target whose scanner and its two relatives ignore SIGINT and SIGTERM. One relative has left
/// the process group.
const WILD: &str = "family-hang-stubborn.test";

/// Returns the number of plugins in this state.
fn count(status: &Value, state: &str) -> usize {
    status["results"].as_array().unwrap().iter().filter(|plugin| plugin["status"] == state).count()
}

#[tokio::test]
async fn scan_is_shown_live_on_every_web_node() {
    let mut cluster = Cluster::new().await;
    let (a, b, worker) = (cluster.web("web-a"), cluster.web("web-b"), cluster.worker("worker", 2));
    start([&a, &b, &worker]).await;
    let id = a.submit("1500ms-3p.test").await;
    let (mut events, mut seen) = (b.events(id).await, Vec::new());
    while let Some(status) = events.next().await {
        seen.push(status);
    }
    for (done, working) in [(0, 1), (1, 1), (2, 1)] {
        let is_there = |status: &Value| {
            status["status"] == "running"
                && (count(status, "completed"), count(status, "in_progress")) == (done, working)
        };
        assert!(seen.iter().any(is_there), "{done} plugins done and {working} at work was never told: {seen:#?}");
    }
    let last = seen.last().unwrap();
    assert_eq!((&last["status"], count(last, "completed")), (&"completed".into(), 3));
    // A web node that starts later shows the same.
    let late = cluster.web("web-c");
    late.start().await;
    let scan = a.scan(id).await;
    assert_eq!(scan["attempts"][0]["node"], node_of(&a, &worker).await);
    for web in [&a, &b, &late] {
        assert_eq!(web.scan(id).await, scan);
        assert_eq!(&web.json(&format!("/api/scans/{id}/status")).await, last);
        assert_eq!(web.text(&format!("/scans/{id}/attempts/1/files/kast_report.html")).await, "<h1>a report</h1>");
        assert!(web.text(&format!("/scans/{id}/files")).await.contains("whatweb_processed.json"));
        assert!(web.text(&format!("/scans/{id}")).await.contains("Running whatweb"));
    }
}

/// The properties of a scan that only grow: ended, attempts, completed plugins.
type Progress = (bool, u64, usize);

/// Compares the row with a web node's status API until the scan has ended. Returns the largest
/// delay of the API.
async fn lag(cluster: &Cluster, web: &Client, id: u64) -> Duration {
    let store = cluster.store().await;
    let (mut newest, mut untold, mut worst) = (None, Vec::new(), Duration::ZERO);
    loop {
        let row = row(&store, id).await;
        let done = row.plugins.iter().filter(|plugin| plugin.status == PluginStatus::Completed).count();
        let now: Progress = (row.status().is_terminal(), row.attempts.len() as u64, done);
        if newest.is_none_or(|newest| newest < now) {
            newest = Some(now);
            untold.push((now, Instant::now()));
        }
        let status = web.json(&format!("/api/scans/{id}/status")).await;
        let ended = status["completed_at"].is_string();
        let shown: Progress = (ended, status["attempt"].as_u64().unwrap(), count(&status, "completed"));
        let (told, rest): (Vec<_>, Vec<_>) = untold.into_iter().partition(|(progress, _)| *progress <= shown);
        worst = told.iter().map(|(_, since): &(Progress, Instant)| since.elapsed()).fold(worst, Duration::max);
        untold = rest;
        if ended {
            return worst;
        }
    }
}

#[tokio::test]
async fn status_on_another_web_node_is_never_far_behind_the_row() {
    let mut cluster = Cluster::new().await;
    let (a, b, worker) = (cluster.web("web-a"), cluster.web("web-b"), cluster.worker("worker", 2));
    start([&a, &b, &worker]).await;
    let id = a.submit("3000ms-6p.test").await;
    let behind = lag(&cluster, &b, id).await;
    assert!(behind < Duration::from_secs(2), "{behind:?}");
    // Without Redis the web nodes receive no notifications.
    let id = a.submit("3000ms-6p.test").await;
    a.until_busy(id).await;
    cluster.redis.kill().await;
    let (behind, seen) = tokio::join!(lag(&cluster, &b, id), a.until_status(id, "completed"));
    assert!(behind < Duration::from_secs(2), "{behind:?}");
    assert_eq!(ends(&seen), ["completed"]);
    cluster.redis.restart(Data::Kept).await;
}

#[tokio::test]
async fn cancel_on_another_web_node_ends_all_processes() {
    let mut cluster = Cluster::new().await;
    let (a, b, worker) = (cluster.web("web-a"), cluster.web("web-b"), cluster.worker("worker", 2));
    start([&a, &b, &worker]).await;
    let id = a.submit(WILD).await;
    a.until_busy(id).await;
    let wild = worker.processes_of(id);
    assert_eq!(wild.len(), 3, "KAST and two relatives");
    let (status, body) = b.cancel(id).await;
    assert_eq!(status, 202, "{body}");
    for web in [&a, &b] {
        let scan = web.until_status(id, "cancelled").await;
        assert_eq!(ends(&scan), ["cancelled"]);
        assert!(!wild.iter().copied().any(is_alive), "cancelled means that nothing is left");
        assert_eq!(web.cancel(id).await.0, 409);
    }
}
