//! Tests of workers that are frozen, killed or terminated.

use std::time::Duration;

use kastrel_actors::model::FencingToken;
use rustix::process::Signal;
use serde_json::json;
use tokio::time::Instant;

use super::harness::{Cluster, LEASE, RESCUE, is_busy_with, node_of, node_where, row, start};
use crate::product::app::{Watched, ends, is_alive};

#[tokio::test]
async fn scan_of_a_frozen_worker_moves_to_another_worker() {
    let mut cluster = Cluster::with_short_lease().await;
    let (web, one, two) = (cluster.web("web"), cluster.worker("one", 2), cluster.worker("two", 2));
    start([&web, &one]).await;
    let id = web.submit("family-stubborn-hangfirst-2000ms-3p.test").await;
    web.until_busy(id).await;
    two.start().await;
    let (first, second) = (node_of(&web, &one).await, node_of(&web, &two).await);
    let old = one.processes_of(id);
    assert_eq!(old.len(), 3, "KAST and two relatives");
    one.signal(Signal::STOP);
    let scan = web.until(id, is_busy_with(2)).await;
    // The worker is still frozen, and the processes of its scan are dead.
    assert!(!old.iter().copied().any(is_alive));
    assert_eq!(
        (ends(&scan), &scan["attempts"][1]["node"]),
        (vec!["node_lost".to_owned(), "running".to_owned()], &second.as_str().into())
    );
    one.signal(Signal::CONT);
    // The worker detects that its lease is lost and registers again. It has finished its writes
    // about the scan by then, or the fencing token rejects them.
    let again = node_where(&web, |node| node["pid"] == one.pid().as_raw_nonzero().get() && node["alive"] == true).await;
    assert_eq!(again["id"], first.as_str(), "it is the same process, with a new lease");
    let scan = web.until_status(id, "completed").await;
    assert_eq!(ends(&scan), ["node_lost", "completed"], "{scan:#}");
    assert_eq!((&scan["attempts"][1]["node"], &scan["failures"]), (&second.as_str().into(), &json!(1)));
    let starts: Vec<_> = cluster.journal(id).iter().map(|line| (line.what.clone(), line.attempt)).collect();
    assert_eq!(starts, [("start".to_owned(), 1), ("start".to_owned(), 2), ("finish".to_owned(), 2)]);
    // Lease, reconcile, lease: each one raised the token, and no write with an old token succeeded
    // afterwards.
    let row = row(&cluster.store().await, id).await;
    let tokens: Vec<FencingToken> = row.attempts.iter().map(|attempt| attempt.token).collect();
    assert_eq!((tokens, row.token), (vec![FencingToken(1), FencingToken(3)], FencingToken(3)));
    // The worker takes new scans again.
    assert_eq!(two.terminate().await, Some(0));
    let next = web.submit("100ms-1p.test").await;
    assert_eq!(web.until_status(next, "completed").await["attempts"][0]["node"], first.as_str());
    assert_eq!(web.scan(id).await, scan, "nothing has changed since");
}

#[tokio::test]
async fn a_killed_workers_scans_run_elsewhere_within_one_lease() {
    let mut cluster = Cluster::with_short_lease().await;
    let (web, one, two) = (cluster.web("web"), cluster.worker("one", 4), cluster.worker("two", 4));
    start([&web, &one]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(web.submit("hangfirst-1000ms-3p.test").await);
    }
    for id in &ids {
        web.until_busy(*id).await;
    }
    two.start().await;
    let second = node_of(&web, &two).await;
    let old: Vec<_> = ids.iter().flat_map(|id| one.processes_of(*id)).collect();
    assert_eq!(old.len(), 3);
    let watched = Watched::of(&old);
    let killed = Instant::now();
    one.kill();
    watched.ended().await;
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
    for id in &ids {
        web.until(*id, |scan| scan["attempt"] == 2).await;
    }
    let took = killed.elapsed();
    assert!(took < LEASE + RESCUE + Duration::from_secs(3), "{took:?}");
    for id in ids {
        let scan = web.until_status(id, "completed").await;
        assert_eq!(
            (ends(&scan), &scan["attempts"][1]["node"]),
            (vec!["node_lost".to_owned(), "completed".to_owned()], &second.as_str().into()),
            "{scan:#}"
        );
    }
}

#[tokio::test]
async fn a_terminated_worker_lets_short_scans_finish_and_hands_long_ones_back() {
    let mut cluster = Cluster::new().await;
    let one = cluster.worker_with("one", 4, &[("KASTREL_SCANS__SHUTDOWN_FINISH_SECONDS", "4")]);
    let (web, two) = (cluster.web("web"), cluster.worker("two", 4));
    start([&web, &one]).await;
    let (short, long) = (web.submit("1500ms-2p.test").await, web.submit("hang-1p.test").await);
    for id in [short, long] {
        web.until_busy(id).await;
    }
    let processes = one.processes_of(long);
    assert_eq!(one.terminate().await, Some(0));
    assert!(!processes.into_iter().any(is_alive));
    assert_eq!(ends(&web.until_status(short, "completed").await), ["completed"]);
    let handed_back = web.until_status(long, "pending").await;
    assert_eq!((ends(&handed_back), &handed_back["failures"]), (vec!["shutdown".to_owned()], &json!(0)));
    assert_eq!(web.json("/api/nodes").await["nodes"], json!([]), "its lease is given back");
    two.start().await;
    let scan = web.until(long, is_busy_with(2)).await;
    assert_eq!(scan["attempts"][1]["node"], node_of(&web, &two).await);
    web.cancel(long).await;
    web.until_status(long, "cancelled").await;
}

/// The data folder's lock proves that the previous worker is dead, so its successor does not wait
/// for the lease to expire. A scan that completed unobserved does not run again.
#[tokio::test]
async fn a_worker_that_starts_on_the_folder_of_a_killed_one_takes_over_at_once() {
    let mut cluster = Cluster::new().await;
    let (web, worker) = (cluster.web("web"), cluster.worker("worker", 4));
    start([&web, &worker]).await;
    let (finished, running) = (web.submit("1000ms-2p.test").await, web.submit("hangfirst-100ms-2p.test").await);
    for id in [finished, running] {
        web.until_busy(id).await;
    }
    let first = node_of(&web, &worker).await;
    let ended = Watched::of(&worker.processes_of(finished));
    worker.signal(Signal::STOP);
    ended.ended().await;
    let killed = Instant::now();
    worker.kill();
    worker.start().await;
    for (id, expected) in [(finished, &["completed"][..]), (running, &["node_lost", "completed"][..])] {
        let scan = web.until_status(id, "completed").await;
        let starts = cluster.journal(id).iter().filter(|line| line.what == "start").count();
        assert_eq!(
            (ends(&scan), starts),
            (expected.iter().map(ToString::to_string).collect(), expected.len()),
            "{scan:#}"
        );
    }
    // A third of the lease of 30 s, on a busy machine.
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    assert_ne!(node_of(&web, &worker).await, first);
}
