//! The sealing of the audit log: a task that seals new entries, and deletes old ones.
//!
//! - **Owns** one task of a server. Several servers of one database may have it: of two seals that
//!   meet one is added, and the other server continues behind it.
//! - **Twice a second** it seals the entries that wait, oldest first.
//! - **Once an hour** it deletes the entries that are older than the configured time, if one is
//!   configured. The seals stay.
//! - **When the store fails**, it logs the error once and tries again with the next turn.
//! - **On shutdown** the application seals what is left ([`AuditSealer::seal`]).
//! - **Never** delays a change: no other transaction writes the rows that it writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use crate::model::Pruning;
use crate::policy::audit_chain::{MOST_ENTRIES, prunable, seal_of};
use crate::ports::store::AuditChain;
use crate::ports::{Clock, SealSigner, StoreError};

/// How often new entries are sealed.
pub const SEAL_EVERY: Duration = Duration::from_millis(500);

/// How often old entries are deleted.
const PRUNE_EVERY: Duration = Duration::from_hours(1);

/// How many seals are read at once to find old entries, and how many entries are deleted at once.
const PRUNED_SEALS: usize = 200;
const PRUNED_ENTRIES: u64 = 1000;

/// Seals the audit log. See the module documentation.
#[derive(Clone)]
pub struct AuditSealer {
    chain: Arc<dyn AuditChain>,
    signer: Arc<dyn SealSigner>,
    clock: Arc<dyn Clock>,
    /// How long entries are kept; `None` means for ever.
    keep: Option<Duration>,
    is_known: Arc<AtomicBool>,
}

impl AuditSealer {
    /// Creates the sealer. Entries that are older than `keep` are deleted.
    #[must_use]
    pub fn new(
        chain: Arc<dyn AuditChain>,
        signer: Arc<dyn SealSigner>,
        clock: Arc<dyn Clock>,
        keep: Option<Duration>,
    ) -> Self {
        Self { chain, signer, clock, keep, is_known: Arc::default() }
    }

    /// Starts the task. It ends when the handle is dropped, or if a newer program has migrated the
    /// store.
    #[must_use = "the task ends when its handle is dropped"]
    pub fn start(&self) -> AbortOnDropHandle<()> {
        let sealer = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move { sealer.run().await }))
    }

    async fn run(&self) {
        let mut turns = tokio::time::interval(SEAL_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut has_failed, mut pruned) = (false, None::<Instant>);
        loop {
            turns.tick().await;
            let is_due = pruned.is_none_or(|at| at.elapsed() >= PRUNE_EVERY);
            let outcome = async {
                self.seal().await?;
                if is_due {
                    self.prune().await?;
                }
                Ok::<(), StoreError>(())
            };
            match outcome.await {
                Ok(()) if is_due => pruned = Some(Instant::now()),
                Ok(()) => {}
                Err(StoreError::Outdated) => return,
                Err(error) => {
                    // A restore deletes the keys, and refuses seals meanwhile.
                    self.is_known.store(false, Ordering::Relaxed);
                    if !has_failed {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "new entries of the audit log are not sealed; trying again"
                        );
                    }
                    has_failed = true;
                    continue;
                }
            }
            has_failed = false;
        }
    }

    /// Seals all entries that wait. Returns how many this call has sealed.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn seal(&self) -> Result<u64, StoreError> {
        let mut sealed = 0;
        loop {
            let unsealed = self.chain.unsealed(MOST_ENTRIES).await?;
            let (key, now) = (self.signer.key(), self.clock.now());
            let Some((seal, entries)) =
                seal_of(&unsealed.head, &unsealed.entries, now, key.id(), |bytes| self.signer.sign(bytes))
            else {
                return Ok(sealed);
            };
            if !self.is_known.load(Ordering::Relaxed) {
                self.chain.add_seal_key(&key, now).await?;
                self.is_known.store(true, Ordering::Relaxed);
            }
            if self.chain.add_seal(&seal, &entries).await? {
                sealed += seal.count;
            }
            if unsealed.entries.len() < MOST_ENTRIES {
                return Ok(sealed);
            }
        }
    }

    /// Deletes the entries that are older than the configured time. Returns how many.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let Some(keep) = self.keep else { return Ok(0) };
        let now = self.clock.now();
        let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
        let before = now.saturating_sub(keep).unwrap_or(Timestamp::MIN);
        let mut deleted = 0;
        loop {
            let seals = self.chain.oldest_seals(PRUNED_SEALS).await?;
            let old = &seals[..prunable(&seals, before, PRUNED_ENTRIES)];
            let (Some(first), Some(last)) = (old.first(), old.last()) else { return Ok(deleted) };
            let count = old.iter().map(|seal| seal.count).sum();
            let pruning = Pruning { after: first.number - 1, through: last.number, count, at: now };
            // Otherwise another server deletes at this moment.
            if !self.chain.prune_entries(&pruning).await? {
                return Ok(deleted);
            }
            deleted += count;
            tracing::info!(through = last.number, entries = count, "deleted old entries of the audit log");
        }
    }
}

impl std::fmt::Debug for AuditSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditSealer").field("keep", &self.keep).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AuditQuery, DomainEvent, Principal};
    use crate::ports::store::prelude::*;
    use crate::testing::{Fault, Faults, MemoryStore, PausedClock, TestSigner};

    struct Stage {
        store: Arc<MemoryStore>,
        clock: Arc<PausedClock>,
    }

    impl Stage {
        fn new() -> Self {
            let clock = Arc::new(PausedClock::default());
            Self { store: Arc::new(MemoryStore::new(Arc::<PausedClock>::clone(&clock))), clock }
        }

        fn sealer(&self, byte: u8, keep: Option<Duration>) -> AuditSealer {
            let (store, clock) = (Arc::<MemoryStore>::clone(&self.store), Arc::<PausedClock>::clone(&self.clock));
            AuditSealer::new(store, Arc::new(TestSigner::new(byte)), clock, keep)
        }

        async fn write(&self, count: usize) {
            for _ in 0..count {
                self.store.record(DomainEvent::ScansExported, None, &Principal::System).await.unwrap();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn entries_are_sealed_within_a_second_also_after_a_failure() {
        let stage = Stage::new();
        let _task = stage.sealer(1, None).start();
        for round in 1..=3 {
            stage.write(2).await;
            tokio::time::sleep(2 * SEAL_EVERY).await;
            let state = stage.store.sealing_state().await.unwrap();
            assert_eq!((state.seals, state.waiting), (round, 0));
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(stage.store.sealing_state().await.unwrap().seals, 3, "no entry, no seal");

        let stage = Stage::new();
        let is_down = Arc::new(AtomicBool::new(true));
        let down = Arc::clone(&is_down);
        let faults = Faults::new(move || if down.load(Ordering::Relaxed) { Fault::Unreachable } else { Fault::None });
        let chain = crate::ports::Stores::of(&stage.store).hooked(&faults).chain;
        let clock = Arc::<PausedClock>::clone(&stage.clock);
        let sealer = AuditSealer::new(chain, Arc::new(TestSigner::new(1)), clock, None);
        let _task = sealer.start();
        stage.write(1).await;
        tokio::time::sleep(2 * SEAL_EVERY).await;
        assert_eq!(stage.store.sealing_state().await.unwrap().waiting, 1);
        is_down.store(false, Ordering::Relaxed);
        tokio::time::sleep(2 * SEAL_EVERY).await;
        assert_eq!(stage.store.sealing_state().await.unwrap().waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn many_entries_become_several_seals() {
        let stage = Stage::new();
        stage.write(2 * MOST_ENTRIES + 1).await;
        assert_eq!(stage.sealer(1, None).seal().await.unwrap(), 2 * MOST_ENTRIES as u64 + 1);
        let counts: Vec<u64> =
            stage.store.seals(0, 9).await.unwrap().iter().map(|content| content.seal.count).collect();
        assert_eq!(counts, [500, 500, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_server_has_its_key_in_the_log() {
        let stage = Stage::new();
        for byte in [1, 2, 1] {
            stage.write(1).await;
            stage.sealer(byte, None).seal().await.unwrap();
        }
        let keys = [1, 2].map(|byte| TestSigner::new(byte).key());
        assert_eq!(stage.store.seal_keys().await.unwrap(), keys);
        let by: Vec<_> = stage.store.seals(0, 9).await.unwrap().iter().map(|content| content.seal.key).collect();
        assert_eq!(by, [keys[0].id(), keys[1].id(), keys[0].id()]);
    }

    #[tokio::test(start_paused = true)]
    async fn old_entries_are_deleted_only_with_a_limit() {
        let day = Duration::from_hours(24);
        let stage = Stage::new();
        let (keeping, deleting) = (stage.sealer(1, None), stage.sealer(1, Some(30 * day)));
        for _ in 0..3 {
            stage.write(2).await;
            keeping.seal().await.unwrap();
            tokio::time::advance(20 * day).await;
        }
        assert_eq!(keeping.prune().await.unwrap(), 0);
        assert_eq!(deleting.prune().await.unwrap(), 4, "those of 60 and 40 days");
        assert_eq!(deleting.prune().await.unwrap(), 0);
        let audit = stage.store.audit(&AuditQuery::newest(9)).await.unwrap().entries;
        assert_eq!(audit[0].event, DomainEvent::AuditPruned { through: 2, entries: 4 });
        assert_eq!(audit.len(), 3);
    }
}
