//! The contract of a [`LiveFeed`] between processes as tests. An adapter implements
//! [`FeedHarness`] and calls [`feed_conformance_tests!`](crate::feed_conformance_tests).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::fixtures;
use crate::model::{AttemptPhase, PluginResult, PluginStatus, ScanSnapshot};
use crate::ports::LiveFeed;

/// The timeout for a snapshot.
const PATIENCE: Duration = Duration::from_secs(10);

/// Creates feeds for the suite.
#[async_trait]
pub trait FeedHarness: Send + Sync + 'static {
    /// Returns the feeds of two connected processes.
    async fn processes(&self) -> [Arc<dyn LiveFeed>; 2];
}

/// Generates one test per promise. The expression creates a [`FeedHarness`].
#[macro_export]
macro_rules! feed_conformance_tests {
    ($test:meta, $harness:expr) => {
        $crate::feed_conformance_tests! {
            $test, $harness;
            a_snapshot_reaches_the_others_as_it_was
            snapshots_of_one_sender_come_in_order_and_once
            a_process_does_not_hear_itself
        }
    };
    ($test:meta, $harness:expr; $($case:ident)+) => {
        $(
            #[$test]
            async fn $case() {
                $crate::testing::feed_conformance::$case(&$harness).await;
            }
        )+
    };
}

fn snapshot(id: u64) -> ScanSnapshot {
    ScanSnapshot::of(fixtures::record(id, Timestamp::UNIX_EPOCH))
}

async fn heard(subscriber: &mut broadcast::Receiver<ScanSnapshot>) -> ScanSnapshot {
    tokio::time::timeout(PATIENCE, subscriber.recv()).await.unwrap_or_else(|_| panic!("nothing was heard")).unwrap()
}

/// A snapshot reaches the other processes unchanged.
pub async fn a_snapshot_reaches_the_others_as_it_was(harness: &impl FeedHarness) {
    let [one, two] = harness.processes().await;
    let mut subscriber = two.subscribe();
    let mut sent = snapshot(7);
    sent.sequence = 12;
    sent.phase = Some(AttemptPhase::Running);
    sent.pid = Some(4711);
    sent.last_progress_at = Some(Timestamp::from_second(9).unwrap());
    sent.plugins = vec![PluginResult::new("a\0 \u{1b}[31m\u{10ffff}", PluginStatus::InProgress)];
    one.publish(sent.clone());
    assert_eq!(heard(&mut subscriber).await, sent);
}

/// The snapshots of one sender arrive in order and once.
pub async fn snapshots_of_one_sender_come_in_order_and_once(harness: &impl FeedHarness) {
    let [one, two] = harness.processes().await;
    let mut subscriber = two.subscribe();
    for id in 1..=100 {
        one.publish(snapshot(id));
    }
    for id in 1..=100 {
        assert_eq!(heard(&mut subscriber).await.record.id.0, id);
    }
}

/// A process does not receive its own snapshots.
pub async fn a_process_does_not_hear_itself(harness: &impl FeedHarness) {
    let [one, two] = harness.processes().await;
    let (mut own, mut other) = (one.subscribe(), two.subscribe());
    one.publish(snapshot(1));
    assert_eq!(heard(&mut other).await.record.id.0, 1);
    two.publish(snapshot(2));
    assert_eq!(heard(&mut own).await.record.id.0, 2, "its own would have come before");
    assert!(matches!(own.try_recv(), Err(TryRecvError::Empty)));
}
