//! Measures how close workers come to the ideal time for a full queue.
//!
//! The short form runs with all tests. `THROUGHPUT=8x400` measures 8 workers on 400 scans instead;
//! the result of a release build is the reference.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio::time::Instant;

use super::harness::{Cluster, node_where, poll_within};

/// The duration of one scan.
const SCAN: Duration = Duration::from_secs(1);

/// The result of a measurement.
#[derive(Debug)]
struct Measured {
    /// The time if only the scans took time.
    ideal: Duration,
    took: Duration,
}

/// Measures workers of concurrency 1 with a queue that is full before they start.
async fn measure(workers: usize, scans: usize) -> Measured {
    let mut cluster = Cluster::new().await;
    let web = cluster.web("web");
    let workers: Vec<_> = (0..workers).map(|number| cluster.worker(&format!("worker-{number}"), 1)).collect();
    web.start().await;
    futures_util::future::join_all(workers.iter().map(|worker| worker.start())).await;
    for worker in &workers {
        node_where(&web, |node| node["pid"] == worker.pid().as_raw_nonzero().get()).await;
    }
    assert_eq!(web.post("/api/queue/pause", &json!({})).await.0, 200);
    let target = format!("{}ms-1p.test", SCAN.as_millis());
    futures_util::stream::iter(0..scans)
        .for_each_concurrent(8, |_| async { assert_ne!(web.submit(&target).await, 0) })
        .await;
    assert_eq!(web.post("/api/queue/resume", &json!({})).await.0, 200);
    let begun = Instant::now();
    let rounds = u32::try_from(scans.div_ceil(workers.len())).unwrap();
    poll_within(SCAN * rounds * 4, "all scans are completed", async || {
        let counts = web.json("/api/stats").await["scans"].clone();
        (counts["completed"] == scans).then_some(())
    })
    .await;
    let took = begun.elapsed();
    Measured { ideal: SCAN * rounds, took }
}

#[tokio::test]
async fn workers_are_never_idle_while_scans_wait() {
    let wanted = std::env::var("THROUGHPUT").ok();
    let (workers, scans) = wanted.as_deref().unwrap_or("2x10").split_once('x').expect("THROUGHPUT is like 8x400");
    let measured = measure(workers.parse().unwrap(), scans.parse().unwrap()).await;
    let over = measured.took.as_secs_f64() / measured.ideal.as_secs_f64() - 1.0;
    println!(
        "{workers} workers, {scans} scans of {SCAN:?}: {:.2?}, ideal {:?}, {:+.1} %",
        measured.took,
        measured.ideal,
        over * 100.0
    );
    // A debug build on a busy machine: the limit is far above the reference, and low enough to
    // detect a worker that waits for a timer.
    assert!(over < 0.5, "{measured:?}");
}
