//! The contract of [`ControlBus`] as tests. An adapter implements [`BusHarness`] and calls
//! [`bus_conformance_tests!`](crate::bus_conformance_tests).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use crate::model::ScanId;
use crate::ports::{Control, ControlBus};

/// The timeout for a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// Creates buses for the suite.
#[async_trait]
pub trait BusHarness: Send + Sync + 'static {
    /// Returns the buses of two connected nodes. If there is only one process, both are the same
    /// bus.
    async fn nodes(&self) -> [Arc<dyn ControlBus>; 2];
}

/// Generates one test per promise. The expression creates a [`BusHarness`].
#[macro_export]
macro_rules! bus_conformance_tests {
    ($test:meta, $harness:expr) => {
        $crate::bus_conformance_tests! {
            $test, $harness;
            a_message_reaches_every_node_once_and_its_sender_too
            every_subscriber_of_a_process_hears_it
            every_kind_of_message_arrives_as_it_was_sent
            nobody_needs_to_listen
        }
    };
    ($test:meta, $harness:expr; $($case:ident)+) => {
        $(
            #[$test]
            async fn $case() {
                $crate::testing::bus_conformance::$case(&$harness).await;
            }
        )+
    };
}

async fn heard(subscriber: &mut broadcast::Receiver<Control>) -> Control {
    tokio::time::timeout(PATIENCE, subscriber.recv()).await.unwrap_or_else(|_| panic!("nothing was heard")).unwrap()
}

/// Each message arrives once at every node, including the sender: a copy of the first message would
/// arrive before the last one.
pub async fn a_message_reaches_every_node_once_and_its_sender_too(harness: &impl BusHarness) {
    let [one, two] = harness.nodes().await;
    let mut subscribers = [one.subscribe(), two.subscribe()];
    for id in 1..=3 {
        one.publish(Control::Cancel(ScanId(id))).await;
    }
    for subscriber in &mut subscribers {
        for id in 1..=3 {
            assert_eq!(heard(subscriber).await, Control::Cancel(ScanId(id)));
        }
    }
    two.publish(Control::RefreshDirectives(None)).await;
    for subscriber in &mut subscribers {
        assert_eq!(heard(subscriber).await, Control::RefreshDirectives(None));
        assert_eq!(subscriber.try_recv(), Err(TryRecvError::Empty));
    }
}

/// Every subscriber of a process receives each message.
pub async fn every_subscriber_of_a_process_hears_it(harness: &impl BusHarness) {
    let [one, two] = harness.nodes().await;
    let mut subscribers = [two.subscribe(), two.subscribe()];
    one.publish(Control::Follow(ScanId(1))).await;
    for subscriber in &mut subscribers {
        assert_eq!(heard(subscriber).await, Control::Follow(ScanId(1)));
    }
}

/// Every kind of message arrives unchanged.
pub async fn every_kind_of_message_arrives_as_it_was_sent(harness: &impl BusHarness) {
    let [one, two] = harness.nodes().await;
    let mut subscriber = two.subscribe();
    let node = "node-1.example_2".parse().unwrap();
    for control in [
        Control::Cancel(ScanId(u64::MAX)),
        Control::RefreshDirectives(None),
        Control::RefreshDirectives(Some(node)),
        Control::Follow(ScanId(0)),
    ] {
        one.publish(control.clone()).await;
        assert_eq!(heard(&mut subscriber).await, control);
    }
}

/// Publishing works without a subscriber.
pub async fn nobody_needs_to_listen(harness: &impl BusHarness) {
    let [one, two] = harness.nodes().await;
    one.publish(Control::Cancel(ScanId(1))).await;
    let mut later = one.subscribe();
    two.publish(Control::Cancel(ScanId(2))).await;
    assert_eq!(heard(&mut later).await, Control::Cancel(ScanId(2)), "what was published before is not heard");
}
