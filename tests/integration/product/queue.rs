//! Tests of a full queue.

use std::sync::Arc;

use serde_json::{Value, json};

use super::app::TestApp;

#[tokio::test]
async fn full_queue_refuses_exactly_the_excess_submissions() {
    let app =
        Arc::new(TestApp::with(&[("KASTREL_QUEUE__MAX_WAITING", "5"), ("KASTREL_QUEUE__CLIENT_SHARE", "100")]).await);
    assert_eq!(app.post("/api/queue/pause", &json!({})).await.0, 200);
    let submissions: Vec<_> = (0..40)
        .map(|number| {
            let app = Arc::clone(&app);
            tokio::spawn(async move {
                let key = format!("key-{number}");
                let (status, body) = app.submit_with_key("ok-1p.test", &key).await;
                (key, status, body)
            })
        })
        .collect();
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for submission in submissions {
        match submission.await.unwrap() {
            (key, 201, body) => accepted.push((key, body["scan_id"].as_u64().unwrap())),
            (key, status, body) => {
                assert_eq!((status, &body["type"]), (503, &json!("urn:kastrel:problem:queue-full")), "{body}");
                refused.push(key);
            }
        }
    }
    assert_eq!((accepted.len(), refused.len()), (5, 35));
    let queue = app.json("/api/queue").await;
    assert_eq!((&queue["waiting"], &queue["max_waiting"], &queue["full"]), (&json!(5), &json!(5), &json!(true)));

    // A repeated submission with an accepted key returns its scan.
    for (key, id) in &accepted {
        let (status, body) = app.submit_with_key("ok-1p.test", key).await;
        assert_eq!((status, body["scan_id"].as_u64()), (200, Some(*id)), "{body}");
    }
    let answer =
        app.request(reqwest::Method::POST, "/api/scans").json(&json!({ "target": "ok-1p.test" })).send().await.unwrap();
    let retry_after: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let body: Value = answer.json().await.unwrap();
    assert!(
        (1..=300).contains(&retry_after)
            && body["detail"].as_str().unwrap().contains("5 scans may wait (queue.max_waiting)"),
        "{retry_after} {body}"
    );
    let ended = app.run(&["scan", "ok-1p.test", "--server", &app.url()]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("The queue is full: 5 scans may wait (queue.max_waiting); try again in "),
        "{}",
        ended.stderr
    );

    // A cancelled scan frees capacity, and so does a started scan.
    assert_eq!(app.cancel(accepted[0].1).await.0, 200);
    assert_eq!(app.submit_with_key("ok-1p.test", &refused[0]).await.0, 201);
    assert_eq!(app.submit_with_key("ok-1p.test", &refused[1]).await.0, 503);
    assert_eq!(app.post("/api/queue/resume", &json!({})).await.0, 200);
    for (_, id) in &accepted[1..] {
        app.until_status(*id, "completed").await;
    }
    let (status, body) = app.submit_with_key("ok-1p.test", &refused[1]).await;
    assert_eq!(status, 201, "{body}");
    app.until_status(body["scan_id"].as_u64().unwrap(), "completed").await;
}

#[tokio::test]
async fn client_share_and_queue_limit_hold_after_a_restart() {
    let mut app = TestApp::with(&[("KASTREL_QUEUE__MAX_WAITING", "4"), ("KASTREL_QUEUE__CLIENT_SHARE", "50")]).await;
    assert_eq!(app.post("/api/queue/pause", &json!({})).await.0, 200);
    for _ in 0..2 {
        app.submit("ok-1p.test").await;
    }
    let (status, body) = app.post("/api/scans", &json!({ "target": "ok-1p.test" })).await;
    assert_eq!((status, &body["type"]), (429, &json!("urn:kastrel:problem:client-share")), "{body}");
    app.terminate_server().await;
    app.restart().await;
    // The client's share starts from zero; the queue does not.
    for _ in 0..2 {
        app.submit("ok-1p.test").await;
    }
    let (status, body) = app.post("/api/scans", &json!({ "target": "ok-1p.test" })).await;
    assert_eq!((status, &body["type"]), (503, &json!("urn:kastrel:problem:queue-full")), "{body}");
    app.terminate_server().await;
}
