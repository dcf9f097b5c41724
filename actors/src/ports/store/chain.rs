//! The chain of the audit log.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{EntryKey, LoosePage, Pruning, Seal, SealContent, SealKey, SealedEntry, SealingState, Unsealed};

/// Keeps the seals of the audit log. The other ports write the entries, in the transactions of
/// their changes; each new entry waits for its seal from then on.
#[async_trait]
pub trait AuditChain: Send + Sync + 'static {
    /// Returns the end of the chain, and the oldest entries that wait for their seal. A store that
    /// still prepares the entries of an earlier version returns none.
    async fn unsealed(&self, limit: usize) -> Result<Unsealed, StoreError>;

    /// Adds a seal to the end of the chain. Returns `false`, and changes nothing, if the chain has
    /// another end by now.
    async fn add_seal(&self, seal: &Seal, entries: &[SealedEntry]) -> Result<bool, StoreError>;

    /// Returns the next seals after this number, oldest first, with their entries as they are
    /// stored now. There are at most `limit` seals; none means that the chain has no more. A store
    /// may return fewer, to keep the answer small.
    async fn seals(&self, after: u64, limit: usize) -> Result<Vec<SealContent>, StoreError>;

    /// Returns entries that no seal up to `upto` lists: reads at most `limit` entries of the log
    /// after `after`, newest first.
    async fn loose_entries(&self, upto: u64, after: Option<EntryKey>, limit: usize) -> Result<LoosePage, StoreError>;

    /// Adds a key that signs seals from now on. A known key stays as it is.
    async fn add_seal_key(&self, key: &SealKey, at: Timestamp) -> Result<(), StoreError>;

    /// Returns all keys that ever signed seals, oldest first.
    async fn seal_keys(&self) -> Result<Vec<SealKey>, StoreError>;

    /// Returns the oldest seals whose entries exist, oldest first.
    async fn oldest_seals(&self, limit: usize) -> Result<Vec<Seal>, StoreError>;

    /// Deletes the entries of the oldest seals, and writes an entry that says so. The seals stay.
    /// Returns `false`, and changes nothing, if others are the oldest ones by now.
    async fn prune_entries(&self, pruning: &Pruning) -> Result<bool, StoreError>;

    /// Returns how far the sealing is.
    async fn sealing_state(&self) -> Result<SealingState, StoreError>;
}

#[async_trait]
impl<S: AuditChain + ?Sized, H: CallHook> AuditChain for Hooked<S, H> {
    async fn unsealed(&self, limit: usize) -> Result<Unsealed, StoreError> {
        self.hook.around("audit_unsealed", self.inner.unsealed(limit)).await
    }

    async fn add_seal(&self, seal: &Seal, entries: &[SealedEntry]) -> Result<bool, StoreError> {
        self.hook.around("audit_seal", self.inner.add_seal(seal, entries)).await
    }

    async fn seals(&self, after: u64, limit: usize) -> Result<Vec<SealContent>, StoreError> {
        self.hook.around("audit_seals", self.inner.seals(after, limit)).await
    }

    async fn loose_entries(&self, upto: u64, after: Option<EntryKey>, limit: usize) -> Result<LoosePage, StoreError> {
        self.hook.around("audit_loose", self.inner.loose_entries(upto, after, limit)).await
    }

    async fn add_seal_key(&self, key: &SealKey, at: Timestamp) -> Result<(), StoreError> {
        self.hook.around("audit_add_key", self.inner.add_seal_key(key, at)).await
    }

    async fn seal_keys(&self) -> Result<Vec<SealKey>, StoreError> {
        self.hook.around("audit_keys", self.inner.seal_keys()).await
    }

    async fn oldest_seals(&self, limit: usize) -> Result<Vec<Seal>, StoreError> {
        self.hook.around("audit_oldest_seals", self.inner.oldest_seals(limit)).await
    }

    async fn prune_entries(&self, pruning: &Pruning) -> Result<bool, StoreError> {
        self.hook.around("audit_prune", self.inner.prune_entries(pruning)).await
    }

    async fn sealing_state(&self) -> Result<SealingState, StoreError> {
        self.hook.around("audit_sealing_state", self.inner.sealing_state()).await
    }
}
