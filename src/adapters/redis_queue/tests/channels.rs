//! Tests of the bus and the feed while Redis stops and restarts.

use kastrel_actors::ports::Control;
use redis_server::Data;
use tokio::time::Instant;

use super::*;
use crate::adapters::redis_queue::CallObserver;

#[tokio::test]
async fn channels_are_subscribed_to_again_after_a_restart() {
    let mut server = RedisServer::start().await;
    let (one, two) = (connect(&server, "one").await, connect(&server, "two").await);
    let (mut control, mut live) = (two.bus.subscribe(), snapshots(&two).await);
    server.restart(Data::Lost).await;
    for node in [&one, &two] {
        listening(node, 2).await;
        connected(node).await;
    }
    let heard = async {
        // The sender may not have detected yet that its connection is broken.
        loop {
            one.bus.publish(Control::Cancel(ScanId(7))).await;
            if let Ok(message) = tokio::time::timeout(SILENCE, control.recv()).await {
                return message.unwrap();
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, heard).await.unwrap(), Control::Cancel(ScanId(7)));
    one.feed.publish(ScanSnapshot::of(fixtures::record(3, now())));
    assert_eq!(tokio::time::timeout(PATIENCE, live.recv()).await.unwrap().unwrap().record.id, ScanId(3));
}

/// The number of connections that subscribe to a channel.
async fn listeners(server: &RedisServer, channel: &str) -> u64 {
    let counts: Vec<(String, u64)> =
        redis::cmd("PUBSUB").arg("NUMSUB").arg(channel).query_async(&mut raw(server).await).await.unwrap();
    counts[0].1
}

#[tokio::test]
async fn snapshots_are_sent_only_to_processes_that_read_them() {
    let server = RedisServer::start().await;
    let (worker, web) = (connect(&server, "worker").await, connect(&server, "web").await);
    assert_eq!((listeners(&server, "{kastrel}:control").await, listeners(&server, "{kastrel}:live").await), (2, 0));
    let mut live = snapshots(&web).await;
    drop(snapshots(&web).await);
    assert_eq!(listeners(&server, "{kastrel}:live").await, 1);
    worker.feed.publish(ScanSnapshot::of(fixtures::record(7, now())));
    assert_eq!(tokio::time::timeout(PATIENCE, live.recv()).await.unwrap().unwrap().record.id, ScanId(7));
}

#[tokio::test]
async fn without_redis_a_node_hears_itself_and_never_waits() {
    let server = RedisServer::stopped();
    let node = open(&server.url(), "one", &RedisOptions::default());
    down(&node).await;
    let mut control = node.bus.subscribe();
    let began = Instant::now();
    node.bus.publish(Control::Follow(ScanId(1))).await;
    for id in 0..100 {
        node.feed.publish(ScanSnapshot::of(fixtures::record(id, now())));
    }
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(control.try_recv().unwrap(), Control::Follow(ScanId(1)));
    let dropped = async {
        while node.feed.dropped() < 100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, dropped).await.expect("what cannot be sent is dropped and counted");
}

#[tokio::test]
async fn published_messages_and_their_failures_are_measured() {
    let server = RedisServer::start().await;
    let gone = RedisServer::stopped();
    for (url, error) in [(server.url(), None), (gone.url(), Some("unavailable"))] {
        let (told, mut calls) = tokio::sync::mpsc::unbounded_channel();
        let observer = CallObserver::new(move |operation, error, took| told.send((operation, error, took)).unwrap());
        let node = open(&url, "one", &RedisOptions { calls: observer, ..RedisOptions::default() });
        if error.is_none() {
            connected(&node).await
        } else {
            down(&node).await
        };
        node.bus.publish(Control::RefreshDirectives(None)).await;
        node.feed.publish(ScanSnapshot::of(fixtures::record(1, now())));
        for operation in ["publish_control", "publish_live"] {
            let (seen, failed, took) = tokio::time::timeout(PATIENCE, calls.recv()).await.unwrap().unwrap();
            assert_eq!((seen, failed), (operation, error));
            assert!(took < PATIENCE);
        }
    }
}

#[tokio::test]
async fn a_snapshot_that_is_too_large_is_not_sent() {
    let server = RedisServer::start().await;
    let (one, two) = (connect(&server, "one").await, connect(&server, "two").await);
    let mut live = snapshots(&two).await;
    let mut large = ScanSnapshot::of(fixtures::record(1, now()));
    large.plugins = vec![kastrel_actors::model::PluginResult::new(
        "x".repeat(65 * 1024),
        kastrel_actors::model::PluginStatus::Completed,
    )];
    one.feed.publish(large);
    one.feed.publish(ScanSnapshot::of(fixtures::record(2, now())));
    assert_eq!(tokio::time::timeout(PATIENCE, live.recv()).await.unwrap().unwrap().record.id, ScanId(2));
    assert_eq!(one.feed.dropped(), 1);
}

#[tokio::test]
async fn messages_that_cannot_be_read_are_ignored() {
    let server = RedisServer::start().await;
    let (one, two) = (connect(&server, "one").await, connect(&server, "two").await);
    let mut control = two.bus.subscribe();
    let mut raw = raw(&server).await;
    for message in [&b"\xff"[..], b"{}", br#"{"from":"one","body":{"dance":1}}"#] {
        redis::cmd("PUBLISH").arg("{kastrel}:control").arg(message).exec_async(&mut raw).await.unwrap();
    }
    one.bus.publish(Control::RefreshDirectives(None)).await;
    assert_eq!(
        tokio::time::timeout(PATIENCE, control.recv()).await.unwrap().unwrap(),
        Control::RefreshDirectives(None)
    );
}
