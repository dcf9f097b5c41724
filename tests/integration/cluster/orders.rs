//! Tests of operator commands: draining a node, pausing the queue.

use serde_json::json;

use super::harness::{Cluster, is_busy_with, node_of, node_where, start};
use crate::client::Client;
use crate::product::app::{Ended, ends};

async fn until_activity(web: &Client, node: &str, activity: &str) {
    node_where(web, |listed| listed["id"] == node && listed["activity"] == activity).await;
}

fn succeeded(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}

#[tokio::test]
async fn drained_worker_finishes_running_scans_and_takes_no_new_ones() {
    let mut cluster = Cluster::new().await;
    let (web, one, two) = (cluster.web("web"), cluster.worker("one", 4), cluster.worker("two", 4));
    start([&web, &one]).await;
    let running = web.submit("3000ms-3p.test").await;
    web.until_busy(running).await;
    let first = node_of(&web, &one).await;
    let (status, body) = web.post(&format!("/api/nodes/{first}/drain"), &json!({})).await;
    assert_eq!((status, body["activity"].as_str()), (200, Some("draining")), "{body}");
    let new = web.submit("100ms-1p.test").await;
    two.start().await;
    let second = node_of(&web, &two).await;
    assert_eq!(web.until_status(new, "completed").await["attempts"][0]["node"], second.as_str());
    let finished = web.until_status(running, "completed").await;
    assert_eq!(
        (ends(&finished), &finished["attempts"][0]["node"]),
        (vec!["completed".to_owned()], &first.as_str().into())
    );
    until_activity(&web, &first, "drained").await;
    // Undo the drain, and drain the other node instead, by commands.
    succeeded(&cluster.run(&["drain", &first, "--undo"]).await);
    until_activity(&web, &first, "active").await;
    succeeded(&cluster.run(&["drain", &second, "--server", &web.url()]).await);
    until_activity(&web, &second, "drained").await;
    let new = web.submit("100ms-1p.test").await;
    assert_eq!(web.until_status(new, "completed").await["attempts"][0]["node"], first.as_str());
    let listed = cluster.run(&["nodes"]).await;
    succeeded(&listed);
    for (node, state) in [(&first, "active"), (&second, "drained")] {
        assert!(
            listed.stdout.lines().any(|line| line.contains(node.as_str()) && line.contains(state)),
            "{}",
            listed.stdout
        );
    }
    let nobody = cluster.run(&["drain", "nobody"]).await;
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("There is no node nobody"), "{}", nobody.stderr);
}

#[tokio::test]
async fn unfinished_scan_of_a_draining_worker_runs_elsewhere_without_a_failure() {
    let mut cluster = Cluster::new().await;
    let (web, one, two) = (cluster.web("web"), cluster.worker("one", 2), cluster.worker("two", 2));
    start([&web, &one]).await;
    let id = web.submit("hang-1p.test").await;
    web.until_busy(id).await;
    two.start().await;
    let (first, second) = (node_of(&web, &one).await, node_of(&web, &two).await);
    succeeded(&cluster.run(&["drain", &first, "--within", "1"]).await);
    let scan = web.until(id, is_busy_with(2)).await;
    assert_eq!(
        (ends(&scan), &scan["failures"]),
        (vec!["drained".to_owned(), "running".to_owned()], &json!(0)),
        "{scan:#}"
    );
    assert_eq!(
        (&scan["attempts"][0]["node"], &scan["attempts"][1]["node"]),
        (&first.as_str().into(), &second.as_str().into())
    );
    until_activity(&web, &first, "drained").await;
    web.cancel(id).await;
    web.until_status(id, "cancelled").await;
}

#[tokio::test]
async fn paused_queue_starts_nothing_and_running_scans_continue() {
    let mut cluster = Cluster::new().await;
    let (web, worker) = (cluster.web("web"), cluster.worker("worker", 4));
    start([&web, &worker]).await;
    for by_command in [true, false] {
        let running = web.submit("1000ms-2p.test").await;
        web.until_busy(running).await;
        if by_command {
            succeeded(&cluster.run(&["pause", "--reason", "an upgrade"]).await);
        } else {
            assert_eq!(web.post("/api/queue/pause", &json!({ "reason": "an upgrade" })).await.0, 200);
        }
        let waiting = web.submit("100ms-1p.test").await;
        // Another scan ends long after the new one would have started.
        assert_eq!(ends(&web.until_status(running, "completed").await), ["completed"]);
        let queue = web.json("/api/queue").await;
        assert_eq!(
            (&queue["paused"], &queue["reason"], &queue["waiting"]),
            (&json!(true), &json!("an upgrade"), &json!(1))
        );
        assert_eq!(web.scan(waiting).await["attempt"], 0);
        if by_command {
            assert_eq!(web.post("/api/queue/resume", &json!({})).await.0, 200);
        } else {
            succeeded(&cluster.run(&["resume", "--server", &web.url()]).await);
        }
        assert_eq!(ends(&web.until_status(waiting, "completed").await), ["completed"]);
    }
}
