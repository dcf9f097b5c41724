//! One round of deliveries: lease, hand over, settle.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::warn;

use crate::model::{OutboxEntry, OutboxKey};
use crate::policy::delivery::{LEASE, NextTry, next_try};
use crate::ports::{DeliveryError, EventConsumer, Outbox, StoreError};

/// The most entries of one round.
pub(super) const BATCH: usize = 64;

/// The longest reason of a dead letter, in characters.
const MAX_REASON: usize = 500;

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
    let mut entries = outbox.lease_entries(holder, BATCH, LEASE).await?;
    let mut failures: BTreeMap<OutboxKey, (&'static str, DeliveryError)> = BTreeMap::new();
    for consumer in consumers {
        hand_over(consumer.as_ref(), &mut entries, &mut failures).await;
    }
    let (failed, accepted): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| failures.contains_key(&entry.key));
    if !accepted.is_empty() {
        let keys: Vec<OutboxKey> = accepted.iter().map(|entry| entry.key).collect();
        outbox.settle(holder, &keys).await?;
    }
    for entry in failed {
        if let Some((consumer, error)) = failures.get(&entry.key) {
            put_back(outbox, holder, entry, consumer, error).await?;
        }
    }
    Ok(entries.len())
}

/// Hands over the entries that a consumer wants: all at once, and after an error one by one, so
/// that an entry that cannot be accepted does not hold up the others.
async fn hand_over(
    consumer: &dyn EventConsumer,
    entries: &mut [OutboxEntry],
    failures: &mut BTreeMap<OutboxKey, (&'static str, DeliveryError)>,
) {
    let name = consumer.name();
    let is_wanted = |entry: &OutboxEntry| {
        consumer.wants(&entry.event) && !entry.accepted_by.iter().any(|accepted| accepted == name)
    };
    let wanted: Vec<OutboxEntry> = entries.iter().filter(|entry| is_wanted(entry)).cloned().collect();
    if wanted.is_empty() {
        return;
    }
    let mut refused: BTreeMap<OutboxKey, DeliveryError> = BTreeMap::new();
    if let Err(error) = consumer.consume(&wanted).await {
        if let [one] = wanted.as_slice() {
            refused.insert(one.key, error);
        } else {
            for entry in &wanted {
                if let Err(error) = consumer.consume(std::slice::from_ref(entry)).await {
                    refused.insert(entry.key, error);
                }
            }
        }
    }
    for entry in entries.iter_mut().filter(|entry| wanted.iter().any(|one| one.key == entry.key)) {
        match refused.remove(&entry.key) {
            None => entry.accepted_by.push(name.to_owned()),
            Some(error) => {
                failures.insert(entry.key, (name, error));
            }
        }
    }
}

async fn put_back(
    outbox: &dyn Outbox,
    holder: &str,
    entry: &OutboxEntry,
    consumer: &str,
    error: &DeliveryError,
) -> Result<(), StoreError> {
    let tries = entry.failures.saturating_add(1);
    match next_try(tries, error.is_permanent) {
        NextTry::After(wait) => {
            warn!(
                scan.id = entry.key.scan.0,
                consumer,
                tries,
                wait_s = wait.as_secs(),
                "an event was not delivered and is tried again: {error}"
            );
            outbox.defer(holder, entry.key, wait, &entry.accepted_by).await
        }
        NextTry::Never => {
            tracing::error!(
                scan.id = entry.key.scan.0,
                consumer,
                tries,
                "an event was not delivered and is given up: {error}"
            );
            let reason: String = format!("{consumer}: {error}").chars().take(MAX_REASON).collect();
            outbox.bury(holder, entry.key, &entry.accepted_by, &reason).await
        }
    }
}
