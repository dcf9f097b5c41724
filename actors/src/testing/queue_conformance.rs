//! The contract of [`JobQueue`] as tests: one case per promise.
//!
//! An adapter implements [`QueueHarness`] and calls
//! [`queue_conformance_tests!`](crate::queue_conformance_tests) in a test module of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::fixtures;
use crate::model::{Priority, ScanId};
use crate::ports::{Delivery, JobQueue, JobSignal};

/// The timeout for a delivery that is due.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a test waits to verify that nothing is delivered.
const SILENCE: Duration = Duration::from_millis(300);

/// Creates queues for the suite.
#[async_trait]
pub trait QueueHarness: Send + Sync + 'static {
    /// Returns an empty queue.
    async fn new_queue(&self) -> Arc<dyn JobQueue>;

    /// Returns the queue's current time.
    fn now(&self) -> Timestamp;
}

/// Generates one test per promise. The expression creates a [`QueueHarness`]. The
/// tests run under paused time if the attribute says so.
#[macro_export]
macro_rules! queue_conformance_tests {
    ($test:meta, $harness:expr) => {
        $crate::queue_conformance_tests! {
            $test, $harness;
            a_signal_is_delivered_and_ends_with_its_acknowledgement
            nothing_comes_before_it_is_due
            a_waiting_reader_is_woken_at_once
            an_earlier_signal_overtakes_a_reader_that_waits_for_a_later_one
            signals_of_one_priority_come_in_the_order_of_their_due
            higher_priorities_go_first_but_starve_nobody
            the_middle_priority_is_not_starved_either
            a_released_delivery_comes_again_when_it_is_due
            a_delivery_released_without_a_wait_has_its_old_place
            what_is_due_by_another_clock_is_delivered_at_once
            each_signal_goes_to_one_of_many_readers
            a_dropped_wait_loses_nothing
            an_acknowledgement_twice_does_no_harm
            merged_or_not_a_repeated_signal_is_delivered
            a_repeated_signal_keeps_the_earlier_due_and_the_higher_priority
            a_signal_for_a_scan_in_hand_is_delivered_after_it
            a_released_delivery_and_a_new_signal_keep_the_earlier_due
        }
    };
    ($test:meta, $harness:expr; $($case:ident)+) => {
        $(
            #[$test]
            async fn $case() {
                $crate::testing::queue_conformance::$case(&$harness).await;
            }
        )+
    };
}

/// Signals a scan that is due `after` milliseconds from now, or was due in the past if `after` is
/// negative.
async fn send(
    harness: &impl QueueHarness,
    queue: &Arc<dyn JobQueue>,
    id: u64,
    priority: Priority,
    after: i64,
) -> JobSignal {
    let signal = JobSignal {
        id: ScanId(id),
        priority,
        due: harness.now() + SignedDuration::from_millis(after),
        trace: fixtures::trace(),
    };
    queue.signal(signal.clone(), Duration::from_millis(u64::try_from(after).unwrap_or_default())).await.unwrap();
    signal
}

async fn next(queue: &Arc<dyn JobQueue>) -> Delivery {
    tokio::time::timeout(PATIENCE, queue.next()).await.unwrap_or_else(|_| panic!("nothing was delivered")).unwrap()
}

async fn nothing(queue: &Arc<dyn JobQueue>) {
    if let Ok(delivery) = tokio::time::timeout(SILENCE, queue.next()).await {
        panic!("something was delivered: {delivery:?}");
    }
}

async fn take(queue: &Arc<dyn JobQueue>) -> u64 {
    let delivery = next(queue).await;
    queue.acknowledge(&delivery.receipt).await.unwrap();
    delivery.signal.id.0
}

/// A signal is delivered, and its acknowledgement ends the delivery.
pub async fn a_signal_is_delivered_and_ends_with_its_acknowledgement(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    let sent = send(harness, &queue, 1, Priority::High, 0).await;
    assert_eq!(queue.depth().await.unwrap(), 1);
    let delivery = next(&queue).await;
    assert_eq!(
        (delivery.signal.id, delivery.signal.priority, delivery.signal.trace),
        (sent.id, sent.priority, sent.trace)
    );
    assert_eq!(queue.depth().await.unwrap(), 1, "in a reader's hands it still counts");
    queue.acknowledge(&delivery.receipt).await.unwrap();
    assert_eq!(queue.depth().await.unwrap(), 0);
    nothing(&queue).await;
}

/// A signal is not delivered before it is due.
pub async fn nothing_comes_before_it_is_due(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    let sent = send(harness, &queue, 1, Priority::Normal, 700).await;
    nothing(&queue).await;
    let delivery = next(&queue).await;
    assert!(harness.now() >= sent.due, "delivered {:?} early", sent.due.duration_since(harness.now()));
    queue.acknowledge(&delivery.receipt).await.unwrap();
}

/// A new signal wakes a waiting reader at once.
pub async fn a_waiting_reader_is_woken_at_once(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    let reader = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { take(&queue).await }
    });
    tokio::task::yield_now().await;
    send(harness, &queue, 7, Priority::Low, 0).await;
    assert_eq!(reader.await.unwrap(), 7);
}

/// A reader that waits for a later signal gets an earlier one that arrives meanwhile.
pub async fn an_earlier_signal_overtakes_a_reader_that_waits_for_a_later_one(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    send(harness, &queue, 1, Priority::Normal, 3_600_000).await;
    let reader = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { take(&queue).await }
    });
    tokio::task::yield_now().await;
    send(harness, &queue, 2, Priority::Normal, 0).await;
    assert_eq!(reader.await.unwrap(), 2);
}

/// Signals of one priority are delivered in the order of their due times.
pub async fn signals_of_one_priority_come_in_the_order_of_their_due(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    for (id, after) in [(1, -100), (2, -300), (3, -200)] {
        send(harness, &queue, id, Priority::Normal, after).await;
    }
    assert_eq!([take(&queue).await, take(&queue).await, take(&queue).await], [2, 3, 1]);
}

/// Higher priorities go first, but lower ones do not starve.
pub async fn higher_priorities_go_first_but_starve_nobody(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    for id in 1..=3 {
        send(harness, &queue, id, Priority::Low, -500).await;
    }
    for id in 101..=160 {
        send(harness, &queue, id, Priority::High, -100).await;
    }
    let mut passed = 0;
    let mut positions = BTreeMap::new();
    for position in 0..63 {
        let id = take(&queue).await;
        if id > 100 {
            passed += 1;
            assert!(passed <= 8 || positions.len() == 3, "{passed} high ones in a row passed a waiting low one");
        } else {
            passed = 0;
            positions.insert(id, position);
        }
    }
    assert!(positions[&1] > 0, "a high one goes first");
}

/// The middle priority does not starve either.
pub async fn the_middle_priority_is_not_starved_either(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    for id in 0..30 {
        send(harness, &queue, 100 + id, Priority::High, -100).await;
        send(harness, &queue, 200 + id, Priority::Normal, -100).await;
        send(harness, &queue, 300 + id, Priority::Low, -100).await;
    }
    let mut passed = BTreeMap::from([(2, 0), (3, 0)]);
    for _ in 0..30 {
        let delivered = take(&queue).await / 100;
        for (level, passed) in &mut passed {
            match delivered.cmp(level) {
                std::cmp::Ordering::Less => *passed += 1,
                std::cmp::Ordering::Equal => *passed = 0,
                std::cmp::Ordering::Greater => {}
            }
            assert!(*passed <= 8, "{passed} deliveries in a row passed priority {level} by");
        }
    }
}

/// A released delivery is delivered again when it is due.
pub async fn a_released_delivery_comes_again_when_it_is_due(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    send(harness, &queue, 1, Priority::Normal, 0).await;
    let delivery = next(&queue).await;
    let due = harness.now() + SignedDuration::from_millis(600);
    queue.release(&delivery.receipt, Duration::from_millis(600)).await.unwrap();
    nothing(&queue).await;
    let again = next(&queue).await;
    assert!(harness.now() >= due);
    assert_eq!(again.signal.id, delivery.signal.id);
    queue.acknowledge(&again.receipt).await.unwrap();
}

/// A delivery that is released without a wait keeps its position.
pub async fn a_delivery_released_without_a_wait_has_its_old_place(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    for (id, after) in [(1, -300), (2, -200), (3, -100)] {
        send(harness, &queue, id, Priority::Normal, after).await;
    }
    let first = next(&queue).await;
    assert_eq!(first.signal.id, ScanId(1));
    queue.release(&first.receipt, Duration::ZERO).await.unwrap();
    assert_eq!([take(&queue).await, take(&queue).await, take(&queue).await], [1, 2, 3]);
}

/// A signal whose due time is in the future of the queue's clock is delivered at once: the store's
/// clock may be ahead.
pub async fn what_is_due_by_another_clock_is_delivered_at_once(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    let due = harness.now() + SignedDuration::from_hours(1);
    queue
        .signal(JobSignal { id: ScanId(1), priority: Priority::Normal, due, trace: fixtures::trace() }, Duration::ZERO)
        .await
        .unwrap();
    let delivery = next(&queue).await;
    assert!(delivery.signal.due <= harness.now());
    queue.acknowledge(&delivery.receipt).await.unwrap();
}

/// Each signal goes to exactly one of many readers.
pub async fn each_signal_goes_to_one_of_many_readers(harness: &impl QueueHarness) {
    const SIGNALS: usize = 60;
    let queue = harness.new_queue().await;
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..SIGNALS {
        let queue = Arc::clone(&queue);
        readers.spawn(async move { take(&queue).await });
    }
    for id in 1..=SIGNALS as u64 {
        send(harness, &queue, id, Priority::Normal, 0).await;
    }
    let mut seen: Vec<u64> = readers.join_all().await;
    seen.sort_unstable();
    assert_eq!(seen, (1..=SIGNALS as u64).collect::<Vec<_>>());
}

/// Dropping a waiting reader loses no signal.
pub async fn a_dropped_wait_loses_nothing(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    for _ in 0..5 {
        let wait = queue.next();
        // Poll once, so that the reader is registered, then drop it.
        let _ = tokio::time::timeout(Duration::from_millis(1), wait).await;
    }
    send(harness, &queue, 1, Priority::Normal, 0).await;
    assert_eq!(take(&queue).await, 1);
}

/// A second acknowledgement does no harm.
pub async fn an_acknowledgement_twice_does_no_harm(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    send(harness, &queue, 1, Priority::Normal, 0).await;
    let delivery = next(&queue).await;
    queue.acknowledge(&delivery.receipt).await.unwrap();
    queue.acknowledge(&delivery.receipt).await.unwrap();
    queue.release(&delivery.receipt, Duration::ZERO).await.unwrap();
    nothing(&queue).await;
}

/// A repeated signal is delivered, whether or not it is merged.
pub async fn merged_or_not_a_repeated_signal_is_delivered(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    send(harness, &queue, 1, Priority::Normal, 3_600_000).await;
    send(harness, &queue, 1, Priority::Normal, 0).await;
    assert_eq!(take(&queue).await, 1, "the earlier due counts");
}

/// A repeated signal keeps the earlier due time and the higher priority.
pub async fn a_repeated_signal_keeps_the_earlier_due_and_the_higher_priority(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    send(harness, &queue, 1, Priority::Low, -500).await;
    send(harness, &queue, 2, Priority::High, -400).await;
    send(harness, &queue, 1, Priority::High, 3_600_000).await;
    assert_eq!([take(&queue).await, take(&queue).await], [1, 2]);
}

/// The acknowledgement of the first delivery must not remove a signal that was added after it: the
/// row may have been requeued between the two.
pub async fn a_signal_for_a_scan_in_hand_is_delivered_after_it(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    send(harness, &queue, 1, Priority::Normal, 0).await;
    let first = next(&queue).await;
    for _ in 0..3 {
        send(harness, &queue, 1, Priority::Normal, 0).await;
    }
    queue.acknowledge(&first.receipt).await.unwrap();
    let second = next(&queue).await;
    assert_eq!(second.signal.id, first.signal.id);
    assert_ne!(second.receipt, first.receipt);
    queue.acknowledge(&first.receipt).await.unwrap();
    queue.release(&second.receipt, Duration::ZERO).await.unwrap();
    assert_eq!(take(&queue).await, 1, "an old receipt ends nothing but its own delivery");
}

/// A released delivery that is merged with a new signal keeps the earlier due time.
pub async fn a_released_delivery_and_a_new_signal_keep_the_earlier_due(harness: &impl QueueHarness) {
    let queue = harness.new_queue().await;
    send(harness, &queue, 1, Priority::Normal, 0).await;
    let first = next(&queue).await;
    send(harness, &queue, 1, Priority::Normal, 0).await;
    queue.release(&first.receipt, Duration::from_secs(3600)).await.unwrap();
    assert_eq!(take(&queue).await, 1);
}
