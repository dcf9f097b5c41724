//! The outbox: events that wait for their consumers.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{
    AuditPage, AuditQuery, DeadLetter, DeliveryBacklog, LeasedEntries, OutboxEntry, OutboxKey, Principal,
};

/// Keeps the events that were committed with their changes until every consumer has accepted them:
/// a transactional outbox. Delivery is at least once.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Leases up to `limit` entries to `holder` for this time, in the order of their keys. An entry
    /// whose lease has expired can be leased again. An entry whose event cannot be read is leased
    /// like the others.
    async fn lease_entries(&self, holder: &str, limit: usize, lease: Duration) -> Result<LeasedEntries, StoreError>;

    /// Removes entries that all consumers have accepted. An entry that `holder` no longer holds
    /// stays.
    async fn settle(&self, holder: &str, keys: &[OutboxKey]) -> Result<(), StoreError>;

    /// Returns an entry to the outbox after a failed delivery. It can be leased again after `wait`.
    /// `accepted_by` names the consumers that have accepted it.
    async fn defer(
        &self,
        holder: &str,
        key: OutboxKey,
        wait: Duration,
        accepted_by: &[String],
    ) -> Result<(), StoreError>;

    /// Makes a dead letter of an entry.
    async fn bury(&self, holder: &str, key: OutboxKey, accepted_by: &[String], reason: &str) -> Result<(), StoreError>;

    /// Returns the newest dead letters.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError>;

    /// Returns a dead letter to the outbox, to be delivered at once to the consumers that have not
    /// accepted it. Returns `false` if there is no such dead letter.
    async fn resend(&self, key: OutboxKey, by: &Principal) -> Result<bool, StoreError>;

    /// Counts the entries that wait, and the dead letters.
    async fn backlog(&self) -> Result<DeliveryBacklog, StoreError>;

    /// Returns a value that changes when this process has written an entry. Entries of other
    /// processes are only found by leasing.
    fn writes(&self) -> watch::Receiver<()>;

    /// Adds ended and deleted scans to the outcomes of their days. An entry that is counted already
    /// is not counted again, so that the outcomes stay true after a second delivery.
    async fn count_outcomes(&self, entries: &[OutboxEntry]) -> Result<(), StoreError>;
}

#[async_trait]
impl<S: Outbox + ?Sized, H: CallHook> Outbox for Hooked<S, H> {
    async fn lease_entries(&self, holder: &str, limit: usize, lease: Duration) -> Result<LeasedEntries, StoreError> {
        self.hook.around("outbox_lease", self.inner.lease_entries(holder, limit, lease)).await
    }

    async fn settle(&self, holder: &str, keys: &[OutboxKey]) -> Result<(), StoreError> {
        self.hook.around("outbox_settle", self.inner.settle(holder, keys)).await
    }

    async fn defer(
        &self,
        holder: &str,
        key: OutboxKey,
        wait: Duration,
        accepted_by: &[String],
    ) -> Result<(), StoreError> {
        self.hook.around("outbox_defer", self.inner.defer(holder, key, wait, accepted_by)).await
    }

    async fn bury(&self, holder: &str, key: OutboxKey, accepted_by: &[String], reason: &str) -> Result<(), StoreError> {
        self.hook.around("outbox_bury", self.inner.bury(holder, key, accepted_by, reason)).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.hook.around("dead_letters", self.inner.dead_letters(limit)).await
    }

    async fn resend(&self, key: OutboxKey, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("outbox_resend", self.inner.resend(key, by)).await
    }

    async fn backlog(&self) -> Result<DeliveryBacklog, StoreError> {
        self.hook.around("outbox_backlog", self.inner.backlog()).await
    }

    fn writes(&self) -> watch::Receiver<()> {
        self.inner.writes()
    }

    async fn count_outcomes(&self, entries: &[OutboxEntry]) -> Result<(), StoreError> {
        self.hook.around("count_outcomes", self.inner.count_outcomes(entries)).await
    }
}

/// Reads the audit log. The other ports write it, in the transactions of their changes.
#[async_trait]
pub trait AuditLog: Send + Sync + 'static {
    /// Returns a page of the entries that match, newest first. A search for entries that are rare
    /// stops after a bounded number of others, with a partial page. An entry that cannot be read,
    /// such as one of a newer version, is left out.
    async fn audit(&self, query: &AuditQuery) -> Result<AuditPage, StoreError>;
}

#[async_trait]
impl<S: AuditLog + ?Sized, H: CallHook> AuditLog for Hooked<S, H> {
    async fn audit(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        self.hook.around("audit", self.inner.audit(query)).await
    }
}
