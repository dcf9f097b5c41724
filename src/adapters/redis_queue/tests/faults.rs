//! Tests with a Redis that dies, restarts, loses its data, freezes, or was never reachable.

use std::error::Error as _;

use kastrel_actors::ports::QueueError;
use redis_server::Data;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::*;

fn why(error: &QueueError) -> String {
    error.source().unwrap().to_string()
}

/// Repeats a signal until Redis accepts it, like the reconciler.
async fn signalled(node: &RedisConnections, id: u64) {
    let sent = async {
        while send(&*node.queue, signal(id, Priority::Normal, 0)).await.is_err() {
            connected(node).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, sent).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_is_down_at_the_start_is_waited_for() {
    let mut server = RedisServer::stopped();
    let node = open(&server.url(), "one", &RedisOptions::default());
    let RedisState::Down { since, error } = down(&node).await else { panic!() };
    assert_eq!(error, "Connection refused (os error 111)");
    assert!(since <= now());
    let began = Instant::now();
    let error = send(&*node.queue, signal(1, Priority::Normal, 0)).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    assert_eq!(
        why(&error),
        format!("no connection to Redis at 127.0.0.1:{}/0: Connection refused (os error 111)", server.port())
    );
    let queue = Arc::clone(&node.queue);
    let caller = tokio::spawn(async move { queue.next().await.unwrap() });
    server.restart(Data::Kept).await;
    let RedisState::Connected { version } = connected(&node).await else { panic!() };
    assert!(version.starts_with("Redis ") || version.starts_with("Valkey "), "{version}");
    send(&*node.queue, signal(1, Priority::Normal, 0)).await.unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, caller).await.unwrap().unwrap().signal.id, ScanId(1));
}

#[tokio::test]
async fn a_first_signal_waits_for_the_first_connection() {
    let server = RedisServer::start().await;
    let node = open(&server.url(), "one", &RedisOptions::default());
    send(&*node.queue, signal(1, Priority::Normal, 0)).await.unwrap();
    assert_eq!(take(&node).await, 1);
}

#[tokio::test]
async fn a_restart_with_its_data_loses_nothing() {
    let mut server = RedisServer::durable().await;
    let node = connect(&server, "one").await;
    send(&*node.queue, signal(1, Priority::Normal, -100)).await.unwrap();
    let in_hand = next(&node).await;
    send(&*node.queue, signal(2, Priority::Normal, -100)).await.unwrap();
    send(&*node.queue, signal(3, Priority::Low, 1000)).await.unwrap();
    server.kill().await;
    down(&node).await;
    assert!(node.queue.acknowledge(&in_hand.receipt).await.is_err());
    server.restart(Data::Kept).await;
    connected(&node).await;
    assert_eq!(node.queue.depth().await.unwrap(), 3);
    node.queue.acknowledge(&in_hand.receipt).await.unwrap();
    assert_eq!([take(&node).await, take(&node).await], [2, 3]);
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn a_restart_without_its_data_heals_by_new_signals() {
    let mut server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    send(&*node.queue, signal(1, Priority::Normal, -100)).await.unwrap();
    let in_hand = next(&node).await;
    let caller = waiting(&server, &node).await;
    let began = Instant::now();
    server.restart(Data::Lost).await;
    connected(&node).await;
    caller.abort();
    // This call may reach the new server or detect the broken connection. In both cases no entry is
    // pending any more.
    let _ = node.queue.acknowledge(&in_hand.receipt).await;
    signalled(&node, 1).await;
    let again = async {
        loop {
            if let Ok(delivery) = node.queue.next().await {
                return delivery;
            }
        }
    };
    let delivery = tokio::time::timeout(PATIENCE, again).await.unwrap();
    assert_eq!(delivery.signal.id, ScanId(1));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    node.queue.acknowledge(&delivery.receipt).await.unwrap();
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn an_emptied_redis_heals_while_a_reader_waits() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    for id in 1..=3 {
        let caller = waiting(&server, &node).await;
        redis::cmd("FLUSHALL").exec_async(&mut raw(&server).await).await.unwrap();
        send(&*node.queue, signal(id, Priority::Normal, 0)).await.unwrap();
        let delivery = tokio::time::timeout(Duration::from_secs(10), caller).await.unwrap().unwrap();
        assert_eq!(delivery.signal.id, ScanId(id));
        node.queue.acknowledge(&delivery.receipt).await.unwrap();
    }
    assert!(node.health().is_connected(), "the connection was good all the time");
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn a_group_that_was_destroyed_is_made_again_and_delivers_what_was_in_hand() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    send(&*node.queue, signal(1, Priority::Normal, 0)).await.unwrap();
    let first = next(&node).await;
    redis::cmd("XGROUP")
        .arg("DESTROY")
        .arg(STREAMS[1])
        .arg("workers")
        .exec_async(&mut raw(&server).await)
        .await
        .unwrap();
    let again = next(&node).await;
    assert_eq!(again.signal, first.signal);
    node.queue.acknowledge(&again.receipt).await.unwrap();
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn a_caller_does_not_notice_that_its_connections_were_cut() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    let caller = waiting(&server, &node).await;
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec_async(&mut raw(&server).await).await.unwrap();
    signalled(&node, 1).await;
    assert_eq!(tokio::time::timeout(PATIENCE, caller).await.unwrap().unwrap().signal.id, ScanId(1));
}

#[tokio::test]
async fn a_frozen_redis_is_found_out_and_used_again_when_it_thaws() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    let pid = Pid::from_raw(i32::try_from(server.pid().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let began = Instant::now();
    let error = send(&*node.queue, signal(1, Priority::Normal, 0)).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(why(&error).contains("no answer"), "{error:?}");
    down(&node).await;
    let began = Instant::now();
    assert!(send(&*node.queue, signal(1, Priority::Normal, 0)).await.is_err());
    assert!(began.elapsed() < Duration::from_millis(200), "it is known to be down: {:?}", began.elapsed());
    kill_process(pid, Signal::CONT).unwrap();
    connected(&node).await;
    send(&*node.queue, signal(1, Priority::Normal, 0)).await.unwrap();
    assert_eq!(take(&node).await, 1);
}

async fn configure(server: &RedisServer, key: &str, value: &str) {
    redis::cmd("CONFIG").arg("SET").arg(key).arg(value).exec_async(&mut raw(server).await).await.unwrap();
}

#[tokio::test]
async fn a_redis_without_memory_refuses_signals_and_says_so() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    send(&*node.queue, signal(1, Priority::Normal, 0)).await.unwrap();
    send(&*node.queue, signal(2, Priority::Normal, 0)).await.unwrap();
    configure(&server, "maxmemory", "1").await;
    let error = send(&*node.queue, signal(3, Priority::Normal, 0)).await.unwrap_err();
    assert!(why(&error).contains("OOM command not allowed"), "{error:?}");
    assert!(refusing(&node).await.contains("OOM command not allowed"));
    assert!(
        node.queue
            .trouble()
            .unwrap()
            .starts_with(&format!("Redis at 127.0.0.1:{}/0: OOM command not allowed", server.port()))
    );
    assert_eq!([take(&node).await, take(&node).await], [1, 2], "what is there still goes out");
    assert!(node.queue.trouble().is_some(), "that says nothing of new ones");
    configure(&server, "maxmemory", "0").await;
    connected(&node).await;
    assert_eq!(node.queue.trouble(), None);
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn refusals_are_detected_without_signals() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    for (key, bad, good, word) in [("maxmemory", "1", "0", "OOM"), ("min-replicas-to-write", "3", "0", "NOREPLICAS")] {
        configure(&server, key, bad).await;
        let error = failing(&node).await;
        assert!(error.contains(word), "{key}: {error}");
        assert!(node.queue.trouble().is_some_and(|trouble| trouble.contains(word)), "{key}");
        configure(&server, key, good).await;
        connected(&node).await;
        send(&*node.queue, signal(1, Priority::Normal, 0)).await.unwrap();
        assert_eq!(take(&node).await, 1, "{key}");
    }
}

#[tokio::test]
async fn a_redis_that_cannot_write_to_its_disk_or_became_a_replica_takes_no_signals() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg("9").exec_async(&mut raw(&server).await).await.unwrap();
    let error = failing(&node).await;
    assert!(error.contains("READONLY") || error.contains("read only replica"), "{error}");
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut raw(&server).await).await.unwrap();
    connected(&node).await;

    // Makes a snapshot fail by removing its folder.
    let mut raw = raw(&server).await;
    let (_, folder): (String, String) = redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut raw).await.unwrap();
    redis::cmd("CONFIG").arg("SET").arg("save").arg("3600 1").exec_async(&mut raw).await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    redis::cmd("BGSAVE").exec_async(&mut raw).await.unwrap();
    let error = failing(&node).await;
    assert!(error.contains("MISCONF"), "{error}");
    std::fs::create_dir(&folder).unwrap();
}

#[tokio::test]
async fn a_node_that_redis_has_no_room_for_gets_no_signals_and_says_so() {
    let server = RedisServer::start().await;
    let mut admin = raw(&server).await;
    let node = connect(&server, "one").await;
    listening(&node, 1).await;
    // The existing connections stay open; the reader has none yet.
    redis::cmd("CONFIG").arg("SET").arg("maxclients").arg(1).exec_async(&mut admin).await.unwrap();
    let queue = Arc::clone(&node.queue);
    let caller = tokio::spawn(async move { queue.next().await });
    let error = failing(&node).await;
    assert!(error.contains("this node gets no signals"), "{error}");
    assert!(caller.await.unwrap().is_err());
    redis::cmd("CONFIG").arg("SET").arg("maxclients").arg(1000).exec_async(&mut admin).await.unwrap();
    send(&*node.queue, signal(1, Priority::Normal, 0)).await.unwrap();
    assert_eq!(take(&node).await, 1);
    connected(&node).await;
}
