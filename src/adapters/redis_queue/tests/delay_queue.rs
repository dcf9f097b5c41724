//! Tests of the delay queues and the streams: merging, order, dropped and dead readers.

use std::collections::BTreeMap;

use kastrel_actors::policy::fairness::{Passes, pick};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;

#[tokio::test]
async fn repeated_signals_do_not_make_the_queue_grow() {
    let server = RedisServer::start().await;
    let (one, two) = (connect(&server, "one").await, connect(&server, "two").await);
    for round in 0..20 {
        for id in 1..=5 {
            let reconciler = if round % 2 == 0 { &one } else { &two };
            // Offered, behind it in the delay queue, and not due yet.
            send(&*reconciler.queue, signal(id, Priority::Normal, if id == 5 { 3_600_000 } else { -1000 }))
                .await
                .unwrap();
        }
        assert_eq!(one.queue.depth().await.unwrap(), 5);
    }
    let first = next(&one).await;
    for _ in 0..20 {
        send(&*two.queue, signal(first.signal.id.0, Priority::Normal, 0)).await.unwrap();
    }
    assert_eq!(one.queue.depth().await.unwrap(), 6, "one in hand, and one that waits beside it");
    one.queue.acknowledge(&first.receipt).await.unwrap();
    send(&*two.queue, signal(5, Priority::High, 0)).await.unwrap();
    let mut taken = vec![take(&two).await, take(&one).await, take(&two).await, take(&one).await, take(&two).await];
    assert_eq!(taken.remove(0), 5, "the higher priority and the earlier due of the two signals count");
    taken.sort_unstable();
    assert_eq!(taken, [1, 2, 3, 4]);
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn an_earlier_signal_goes_before_the_one_on_offer() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    for (id, after) in [(10, -1000), (3, -3000), (20, -2000), (2, -3000)] {
        send(
            &*node.queue,
            JobSignal { due: Timestamp::from_millisecond(10_000 + after).unwrap(), ..signal(id, Priority::Low, 0) },
        )
        .await
        .unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(take(&node).await);
    }
    assert_eq!(order, [2, 3, 20, 10], "those of the same due by their number");
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn a_released_delivery_keeps_its_trace_and_priority() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    let sent = JobSignal {
        trace: "00-00000000000000000000000000000abc-0000000000000def-00".parse().unwrap(),
        ..signal(1, Priority::Low, -50)
    };
    send(&*node.queue, sent.clone()).await.unwrap();
    for _ in 0..3 {
        let delivery = next(&node).await;
        assert_eq!((delivery.signal.trace, delivery.signal.priority), (sent.trace, sent.priority));
        node.queue.release(&delivery.receipt, Duration::ZERO).await.unwrap();
    }
    take(&node).await;
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn a_delayed_signal_reaches_a_reader_that_waits_on_time() {
    let server = RedisServer::start().await;
    let (one, two) = (connect(&server, "one").await, connect(&server, "two").await);
    for from in [&one, &two] {
        let caller = waiting(&server, &one).await;
        let sent = signal(1, Priority::Normal, 700);
        send(&*from.queue, sent.clone()).await.unwrap();
        let delivery = tokio::time::timeout(PATIENCE, caller).await.unwrap().unwrap();
        let late = now().duration_since(sent.due);
        assert!(late >= SignedDuration::ZERO && late < SignedDuration::from_millis(300), "{late:?}");
        one.queue.acknowledge(&delivery.receipt).await.unwrap();
    }
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn a_delayed_signal_of_a_node_that_died_comes_as_well() {
    let server = RedisServer::start().await;
    let (one, two) = (connect(&server, "one").await, connect(&server, "two").await);
    let caller = waiting(&server, &one).await;
    let sent = signal(1, Priority::Normal, 500);
    send(&*two.queue, sent.clone()).await.unwrap();
    drop(two);
    tokio::time::timeout(PATIENCE, caller).await.unwrap().unwrap();
    let late = now().duration_since(sent.due);
    assert!(late >= SignedDuration::ZERO && late < SignedDuration::from_secs(2), "{late:?}");
}

#[tokio::test]
async fn signals_due_at_once_reach_one_reader_by_priority() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    let caller = waiting(&server, &node).await;
    // Written to the delay queues directly: the waits of signals that are sent one after the other
    // also end one after the other.
    let due = (now() + SignedDuration::from_millis(300)).as_microsecond();
    let mut at_once = redis::pipe();
    at_once.atomic();
    for (id, line) in [(30, 2), (20, 1), (31, 2), (10, 0), (11, 0)] {
        at_once.zadd(LINES[line], format!("{id:020}"), due).ignore();
        at_once.hset("{kastrel}:traces", format!("{id:020}"), fixtures::trace().to_string()).ignore();
    }
    at_once.exec_async(&mut raw(&server).await).await.unwrap();
    let first = tokio::time::timeout(PATIENCE, caller).await.unwrap().unwrap();
    let mut order = vec![first.signal.id.0];
    node.queue.acknowledge(&first.receipt).await.unwrap();
    for _ in 0..4 {
        order.push(take(&node).await);
    }
    assert_eq!(order, [10, 11, 20, 30, 31]);
    nothing_is_left(&server).await;
}

/// The script chooses like the policy, for any mixture of priorities.
#[tokio::test]
async fn the_script_picks_as_the_policy_does() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    let mut random = SmallRng::seed_from_u64(7);
    let mut expected = BTreeMap::<Priority, usize>::new();
    let mut passes = Passes::default();
    let mut id = 0;
    for _ in 0..300 {
        for _ in 0..random.random_range(0..3) {
            id += 1;
            let priority =
                *[Priority::High, Priority::High, Priority::Normal, Priority::Low].choose(&mut random).unwrap();
            send(&*node.queue, signal(id, priority, -1000)).await.unwrap();
            *expected.entry(priority).or_default() += 1;
        }
        let ready: Vec<Priority> = expected.keys().copied().collect();
        let Some((priority, after)) = pick(&ready, passes) else { continue };
        passes = after;
        let delivery = next(&node).await;
        assert_eq!(delivery.signal.priority, priority, "of {ready:?}");
        node.queue.acknowledge(&delivery.receipt).await.unwrap();
        let left = expected.get_mut(&priority).unwrap();
        *left -= 1;
        if *left == 0 {
            expected.remove(&priority);
        }
    }
}

#[tokio::test]
async fn each_signal_goes_to_one_reader_of_many_nodes() {
    const SIGNALS: u64 = 300;
    let server = RedisServer::start().await;
    let mut readers = JoinSet::new();
    let mut nodes = Vec::new();
    for name in ["one", "two", "three"] {
        let node = connect(&server, name).await;
        for _ in 0..2 {
            let queue = Arc::clone(&node.queue);
            readers.spawn(async move {
                let mut seen = Vec::new();
                // Silence means that all signals were taken; the count below verifies it.
                while let Ok(delivery) = tokio::time::timeout(Duration::from_secs(2), queue.next()).await {
                    let delivery = delivery.unwrap();
                    queue.acknowledge(&delivery.receipt).await.unwrap();
                    seen.push(delivery.signal.id.0);
                }
                seen
            });
        }
        nodes.push(node);
    }
    for id in 1..=SIGNALS {
        let priority = Priority::ALL[usize::try_from(id % 3).unwrap()];
        send(&*nodes[usize::try_from(id % 2).unwrap()].queue, signal(id, priority, 0)).await.unwrap();
    }
    let mut seen = readers.join_all().await.concat();
    seen.sort_unstable();
    assert_eq!(seen, (1..=SIGNALS).collect::<Vec<_>>());
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nothing_with_it() {
    let server = RedisServer::start().await;
    let (one, two) = (connect(&server, "one").await, connect(&server, "two").await);
    for id in 1..=30 {
        // The reader of the first node blocks in Redis without a caller; it receives the signal and
        // gives it back.
        let caller = waiting(&server, &one).await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        send(&*two.queue, signal(id, Priority::Normal, 0)).await.unwrap();
        let began = Instant::now();
        assert_eq!(take(if id % 2 == 0 { &one } else { &two }).await, id);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn the_signal_of_a_dead_reader_is_delivered_again_but_not_that_of_a_living_one() {
    let server = RedisServer::start().await;
    let impatient = RedisOptions { reclaim_after: Duration::from_millis(1500), ..RedisOptions::default() };
    let (dead, alive) = (open(&server.url(), "dead", &impatient), open(&server.url(), "alive", &impatient));
    send(&*dead.queue, signal(1, Priority::Low, -50)).await.unwrap();
    let began = Instant::now();
    let lost = next(&dead).await;
    drop(dead);
    nothing_comes(&alive).await;
    let again = next(&alive).await;
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
    assert_eq!(
        (again.signal.id, again.signal.priority, again.signal.due),
        (lost.signal.id, lost.signal.priority, lost.signal.due)
    );
    assert_ne!(again.receipt, lost.receipt);
    // The "dead" reader was only slow: its acknowledgement and its release do not affect the new
    // delivery.
    alive.queue.acknowledge(&lost.receipt).await.unwrap();
    alive.queue.release(&lost.receipt, Duration::ZERO).await.unwrap();
    assert_eq!(alive.queue.depth().await.unwrap(), 1);
    alive.queue.acknowledge(&again.receipt).await.unwrap();
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn consumers_of_nodes_that_are_gone_are_forgotten_unless_they_hold_something() {
    let server = RedisServer::start().await;
    let (one, two) = (connect(&server, "one").await, connect(&server, "two").await);
    for (id, node) in [(1, &one), (2, &two)] {
        send(&*node.queue, signal(id, Priority::High, 0)).await.unwrap();
        let delivery = next(node).await;
        if id == 1 {
            node.queue.acknowledge(&delivery.receipt).await.unwrap();
        }
    }
    let mut sweep = one.link.scripts.sweep();
    sweep.arg(-1);
    one.link.run(&sweep).await.unwrap();
    let consumers: Vec<BTreeMap<String, redis::Value>> = redis::cmd("XINFO")
        .arg("CONSUMERS")
        .arg(STREAMS[0])
        .arg("workers")
        .query_async(&mut raw(&server).await)
        .await
        .unwrap();
    assert_eq!(
        consumers.iter().map(|consumer| consumer["name"].clone()).collect::<Vec<_>>(),
        [redis::Value::BulkString(b"two".to_vec())]
    );
}

#[tokio::test]
async fn entries_that_are_not_signals_are_removed() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    let mut raw = raw(&server).await;
    for poison in [
        &[&b"hello"[..], b"world"][..],
        &[b"\xff\xfe", b"\xff"],
        &[b"scan", b"x", b"due", b"1", b"trace", b"t"],
        &[b"scan", b"1", b"due", b"nan", b"trace", b""],
    ] {
        redis::cmd("XADD").arg(STREAMS[1]).arg("*").arg(poison).exec_async(&mut raw).await.unwrap();
    }
    redis::cmd("ZADD").arg(LINES[0]).arg(5).arg("not a scan").exec_async(&mut raw).await.unwrap();
    send(&*node.queue, signal(1, Priority::Low, 0)).await.unwrap();
    assert_eq!(take(&node).await, 1);
    let caller = waiting(&server, &node).await;
    redis::cmd("XADD").arg(STREAMS[2]).arg("*").arg(b"\xff").arg(b"\xff").exec_async(&mut raw).await.unwrap();
    send(&*node.queue, signal(2, Priority::Low, 0)).await.unwrap();
    let delivery = tokio::time::timeout(PATIENCE, caller).await.unwrap().unwrap();
    assert_eq!(delivery.signal.id, ScanId(2));
    node.queue.acknowledge(&delivery.receipt).await.unwrap();
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn a_receipt_of_another_queue_is_refused() {
    let server = RedisServer::start().await;
    let node = connect(&server, "one").await;
    let error = node.queue.acknowledge(&kastrel_actors::ports::Receipt("7".into())).await.unwrap_err();
    assert_eq!(error.0.to_string(), "`7` is no receipt of this queue");
}
