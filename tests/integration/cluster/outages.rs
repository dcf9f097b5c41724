//! Tests of outages of Redis and of the database.

use kastrel_actors::model::ScanStatus;
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Cluster, node_of, poll, row, start};
use crate::client::Client;
use crate::product::app::{Watched, ends};
use crate::redis_server::Data;

/// Waits until `/readyz` has this status and this result of the named check. Returns the detail of
/// the check.
async fn until_ready(member: &Client, status: u16, check: &str, ok: bool) -> String {
    let look = async || {
        let answer = member.get("/readyz").await;
        let code = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        let named = body["checks"].as_array().unwrap().iter().find(|one| one["name"] == check).unwrap();
        ((code, named["ok"].as_bool()) == (status, Some(ok))).then(|| named["detail"].as_str().unwrap().to_owned())
    };
    poll("the readiness is as wanted", look).await
}

#[tokio::test]
async fn scan_submitted_without_redis_is_accepted_and_starts_later() {
    let mut cluster = Cluster::new().await;
    let (web, worker) = (cluster.web("web"), cluster.worker("worker", 1));
    start([&web, &worker]).await;
    let store = cluster.store().await;
    let node = node_of(&web, &worker).await;
    for data in [Data::Kept, Data::Lost] {
        // The signal of this scan is in Redis, and the scan waits for a slot.
        let blocker = web.submit("hang-1p.test").await;
        web.until_busy(blocker).await;
        let signalled = web.submit("100ms-1p.test").await;
        cluster.redis.kill().await;
        let (status, body) = web.post("/api/scans", &json!({ "target": "200ms-1p.test" })).await;
        assert_eq!(status, 201, "{body}");
        let warning = body["warning"].as_str().unwrap_or_default();
        assert!(
            warning.contains("The job queue is unavailable: Redis at 127.0.0.1:")
                && warning.contains("starts when the queue is back"),
            "{body}"
        );
        let unsignalled = body["scan_id"].as_u64().unwrap();
        assert_eq!(row(&store, unsignalled).await.status(), ScanStatus::Pending);
        for member in [&web, &worker] {
            let said = until_ready(member, 200, "queue", false).await;
            assert!(said.contains("Redis at 127.0.0.1:") && said.contains("down since"), "{said}");
        }
        cluster.redis.restart(data).await;
        for member in [&web, &worker] {
            until_ready(member, 200, "queue", true).await;
        }
        web.cancel(blocker).await;
        for id in [signalled, unsignalled] {
            let scan = web.until_status(id, "completed").await;
            assert_eq!(
                (ends(&scan), &scan["attempts"][0]["node"]),
                (vec!["completed".to_owned()], &node.as_str().into()),
                "the same worker lives on"
            );
        }
    }
}

#[tokio::test]
async fn running_scans_are_unaffected_by_a_redis_restart() {
    let mut cluster = Cluster::new().await;
    let (web, worker) = (cluster.web("web"), cluster.worker("worker", 4));
    start([&web, &worker]).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(web.submit("4000ms-3p.test").await);
    }
    for id in &ids {
        web.until_busy(*id).await;
    }
    for data in [Data::Kept, Data::Lost] {
        cluster.redis.restart(data).await;
    }
    for id in ids {
        let scan = web.until_status(id, "completed").await;
        assert_eq!(ends(&scan), ["completed"], "{scan:#}");
        assert_eq!(cluster.journal(id).len(), 2, "one process started and finished");
    }
}

/// Submits a scan with a key, and repeats this while the database is unavailable.
async fn submit_until_accepted(web: &Client, target: &str, key: &str) -> u64 {
    loop {
        let answer = web
            .request(Method::POST, "/api/scans")
            .header("idempotency-key", key)
            .json(&json!({ "target": target }))
            .send()
            .await
            .unwrap();
        let (status, kind) = (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap().to_owned());
        let body: Value = answer.json().await.unwrap();
        if matches!(status, 200 | 201) {
            return body["scan_id"].as_u64().unwrap();
        }
        assert_eq!(
            (status, kind.as_str(), body["type"].as_str()),
            (503, "application/problem+json", Some("urn:kastrel:problem:store-unavailable")),
            "{body}"
        );
    }
}

async fn stored(web: &Client, target: &str) -> Value {
    web.json(&format!("/api/scans?target={target}")).await["total"].clone()
}

#[tokio::test]
async fn a_short_outage_of_the_database_costs_nothing() {
    let mut cluster = Cluster::new().await;
    let (web, worker) = (cluster.web("web"), cluster.worker("worker", 4));
    start([&web, &worker]).await;
    let running = web.submit("4000ms-3p.test").await;
    web.until_busy(running).await;
    let node = node_of(&web, &worker).await;
    cluster.database.kill();
    let (submitted, ()) =
        tokio::join!(submit_until_accepted(&web, "100ms-1p.test", "during-the-outage"), cluster.database.restart());
    assert_eq!(stored(&web, "100ms-1p.test").await, 1);
    for id in [running, submitted] {
        let scan = web.until_status(id, "completed").await;
        assert_eq!(
            (ends(&scan), &scan["attempts"][0]["node"]),
            (vec!["completed".to_owned()], &node.as_str().into()),
            "{scan:#}"
        );
    }
    assert_eq!(node_of(&web, &worker).await, node);
}

#[tokio::test]
async fn a_long_outage_of_the_database_interrupts_scans_and_loses_none() {
    let mut cluster = Cluster::with_short_lease().await;
    let (web, worker) = (cluster.web("web"), cluster.worker("worker", 4));
    start([&web, &worker]).await;
    let running = web.submit("family-stubborn-hangfirst-500ms-2p.test").await;
    web.until_busy(running).await;
    let processes = worker.processes_of(running);
    let watched = Watched::of(&processes);
    cluster.database.kill();
    watched.ended().await;
    let refused = web.post("/api/scans", &json!({ "target": "refused.test" })).await;
    assert_eq!(
        (refused.0, refused.1["type"].as_str()),
        (503, Some("urn:kastrel:problem:store-unavailable")),
        "{}",
        refused.1
    );
    until_ready(&web, 503, "store", false).await;
    for member in [&web, &worker] {
        assert_eq!(member.get("/livez").await.status(), 200);
    }
    // The submission is accepted once when the database is back, despite repeated requests.
    let (submitted, ()) =
        tokio::join!(submit_until_accepted(&web, "100ms-1p.test", "the-same-again"), cluster.database.restart());
    assert_eq!((stored(&web, "100ms-1p.test").await, stored(&web, "refused.test").await), (json!(1), json!(0)));
    assert_eq!(ends(&web.until_status(submitted, "completed").await), ["completed"]);
    let scan = web.until_status(running, "completed").await;
    // The end of the first attempt could not be written during the outage. The node retries for
    // some seconds; after that its reconciler ends the attempt without an owner.
    let ends = ends(&scan);
    assert!(
        matches!(ends[0].as_str(), "lease_lost" | "unowned")
            && ends[1..] == ["completed".to_owned()]
            && scan["failures"] == 0,
        "{scan:#}"
    );
    for member in [&web, &worker] {
        until_ready(member, 200, "store", true).await;
    }
}

/// The result of a scan that ends during a database outage is written after the outage, even if the
/// lease was lost in the meantime.
#[tokio::test]
async fn a_scan_that_ends_while_the_database_is_away_runs_once() {
    let mut cluster = Cluster::with_short_lease().await;
    let (web, worker) = (cluster.web("web"), cluster.worker("worker", 8));
    start([&web, &worker]).await;
    let (mut finished, mut running) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        running.push(web.submit("stubborn-hangfirst-300ms-2p.test").await);
    }
    for id in &running {
        web.until_busy(*id).await;
    }
    let wild: Vec<_> = running.iter().flat_map(|id| worker.processes_of(*id)).collect();
    let killed = Watched::of(&wild);
    for _ in 0..4 {
        finished.push(web.submit("1000ms-2p.test").await);
    }
    for id in &finished {
        web.until_busy(*id).await;
    }
    let scanners: Vec<_> = finished.iter().flat_map(|id| worker.processes_of(*id)).collect();
    let ended = Watched::of(&scanners);
    cluster.database.kill();
    ended.ended().await;
    // By then both leases are lost as well.
    killed.ended().await;
    cluster.database.restart().await;
    for id in finished {
        let scan = web.until_status(id, "completed").await;
        let starts = cluster.journal(id).iter().filter(|line| line.what == "start").count();
        assert_eq!((ends(&scan), starts), (vec!["completed".to_owned()], 1), "{scan:#}");
    }
    for id in running {
        let scan = web.until_status(id, "completed").await;
        assert_eq!(
            (ends(&scan).last().map(String::as_str), &scan["failures"]),
            (Some("completed"), &json!(0)),
            "{scan:#}"
        );
    }
}
