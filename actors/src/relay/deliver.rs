//! One round of deliveries: lease, hand over, settle.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::warn;

use crate::model::{OutboxEntry, OutboxKey, UnreadableEntry};
use crate::policy::delivery::{DELIVERY_LIMIT, LEASE, NextTry, next_try};
use crate::ports::{DeliveryError, EventConsumer, Outbox, StoreError};

/// The most entries of one round.
pub(super) const BATCH: usize = 64;

/// The longest reason of a dead letter, in characters.
const MAX_REASON: usize = 500;

/// An entry that cannot be settled.
struct Failed {
    key: OutboxKey,
    /// How often its delivery had failed before.
    failures: u32,
    accepted_by: Vec<String>,
    reason: String,
    is_permanent: bool,
}

/// Leases entries and delivers them. Returns how many entries were leased; zero means that none is
/// due. After an error, or if the future is dropped, the leased entries are delivered again once
/// their leases have expired.
///
/// # Errors
/// The store failed.
pub async fn deliver(
    outbox: &dyn Outbox,
    consumers: &[Arc<dyn EventConsumer>],
    holder: &str,
) -> Result<usize, StoreError> {
    let mut leased = outbox.lease_entries(holder, BATCH, LEASE).await?;
    let count = leased.len();
    let mut failures: BTreeMap<OutboxKey, (String, DeliveryError)> = BTreeMap::new();
    for consumer in consumers {
        hand_over(consumer.as_ref(), &mut leased.entries, &mut failures).await;
    }
    let (mut accepted, mut failed) = (Vec::new(), Vec::new());
    for OutboxEntry { key, failures: before, accepted_by, .. } in leased.entries {
        match failures.remove(&key) {
            None => accepted.push(key),
            Some((consumer, error)) => failed.push(Failed {
                key,
                failures: before,
                accepted_by,
                reason: format!("{consumer}: {error}"),
                is_permanent: error.is_permanent,
            }),
        }
    }
    failed.extend(leased.unreadable.into_iter().map(unreadable));
    if !accepted.is_empty() {
        outbox.settle(holder, &accepted).await?;
    }
    for entry in failed {
        put_back(outbox, holder, entry).await?;
    }
    Ok(count)
}

/// An event that this version does not know waits for a newer relay, as long as a delivery is
/// repeated. No other event becomes readable.
fn unreadable(UnreadableEntry { key, error, failures, accepted_by }: UnreadableEntry) -> Failed {
    Failed { key, failures, accepted_by, reason: error.to_string(), is_permanent: !error.is_of_newer_version }
}

/// Hands over the entries that a consumer wants: all at once, and after an error one by one, so
/// that an entry that cannot be accepted does not hold up the others.
async fn hand_over(
    consumer: &dyn EventConsumer,
    entries: &mut [OutboxEntry],
    failures: &mut BTreeMap<OutboxKey, (String, DeliveryError)>,
) {
    let name = consumer.name();
    let is_wanted = |entry: &OutboxEntry| {
        consumer.wants(&entry.event) && !entry.accepted_by.iter().any(|accepted| accepted == name)
    };
    let wanted: Vec<OutboxEntry> = entries.iter().filter(|entry| is_wanted(entry)).cloned().collect();
    if wanted.is_empty() {
        return;
    }
    let mut refused = refused(consumer, &wanted).await;
    for entry in entries.iter_mut().filter(|entry| wanted.iter().any(|one| one.key == entry.key)) {
        match refused.remove(&entry.key) {
            None => entry.accepted_by.push(name.to_owned()),
            Some(error) => {
                failures.insert(entry.key, (name.to_owned(), error));
            }
        }
    }
}

/// Hands entries over, and returns those that the consumer did not accept in time, with the reason.
async fn refused(consumer: &dyn EventConsumer, wanted: &[OutboxEntry]) -> BTreeMap<OutboxKey, DeliveryError> {
    let deadline = Instant::now() + DELIVERY_LIMIT;
    let mut refused = BTreeMap::new();
    match (consume_until(deadline, consumer, wanted).await, wanted) {
        (Ok(()), _) => {}
        (Err(error), [one]) => {
            refused.insert(one.key, error);
        }
        (Err(_), _) => {
            for entry in wanted {
                if let Err(error) = consume_until(deadline, consumer, std::slice::from_ref(entry)).await {
                    refused.insert(entry.key, error);
                }
            }
        }
    }
    refused
}

async fn consume_until(
    deadline: Instant,
    consumer: &dyn EventConsumer,
    entries: &[OutboxEntry],
) -> Result<(), DeliveryError> {
    let late =
        || DeliveryError { reason: format!("no answer within {} s", DELIVERY_LIMIT.as_secs()), is_permanent: false };
    if Instant::now() >= deadline {
        return Err(late());
    }
    tokio::time::timeout_at(deadline, consumer.consume(entries)).await.unwrap_or_else(|_| Err(late()))
}

async fn put_back(outbox: &dyn Outbox, holder: &str, entry: Failed) -> Result<(), StoreError> {
    let Failed { key, failures, accepted_by, reason, is_permanent } = entry;
    let tries = failures.saturating_add(1);
    match next_try(tries, is_permanent) {
        NextTry::After(wait) => {
            warn!(
                scan.id = key.scan.0,
                tries,
                wait_s = wait.as_secs(),
                "an event was not delivered and is tried again: {reason}"
            );
            outbox.defer(holder, key, wait, &accepted_by).await
        }
        NextTry::Never => {
            tracing::error!(scan.id = key.scan.0, tries, "an event was not delivered and is given up: {reason}");
            let reason: String = reason.chars().take(MAX_REASON).collect();
            outbox.bury(holder, key, &accepted_by, &reason).await
        }
    }
}
