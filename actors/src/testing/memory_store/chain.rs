//! The chain of the audit log in memory.

use super::*;
use crate::model::{
    ChainHead, EntryKey, LooseEntry, LoosePage, Pruning, Seal, SealContent, SealKey, SealedEntry, SealingState,
    StoredEntry, Unsealed,
};
use crate::policy::audit_chain::seal_digest;
use crate::ports::AuditChain;

/// The rows of the chain.
#[derive(Default)]
pub(super) struct ChainRows {
    /// The numbers of the entries of the audit log, which are their nonces.
    numbers: Vec<u64>,
    next: u64,
    pruned: u64,
    seals: Vec<(Seal, Vec<SealedEntry>)>,
    sealed: BTreeMap<EntryKey, u64>,
    keys: Vec<SealKey>,
}

impl MemoryStore {
    /// Replaces the event of an entry of the audit log, as somebody does who can write to the
    /// database. `place` counts from the oldest entry, from 0.
    pub fn overwrite_audit(&self, place: usize, event: DomainEvent) {
        self.state().audit[place].event = event;
    }

    /// Makes a seal look pruned, as somebody does who can write to the database. Its entries stay.
    ///
    /// # Panics
    /// There is no such seal.
    pub fn pretend_pruned(&self, number: u64) {
        let at = self.clock.now();
        let mut state = self.state();
        let (seal, entries) = state.chain.seals.iter_mut().find(|(seal, _)| seal.number == number).unwrap();
        seal.pruned_at = Some(at);
        entries.clear();
    }
}

impl State {
    /// Returns all entries of the audit log, in the order in which they were written.
    fn stored(&mut self) -> Vec<StoredEntry> {
        while self.chain.numbers.len() < self.audit.len() {
            self.chain.numbers.push(self.chain.next);
            self.chain.next += 1;
        }
        let entries = self.audit.iter().zip(&self.chain.numbers);
        entries
            .map(|(entry, number)| StoredEntry {
                key: EntryKey { at: entry.at, nonce: format!("{number:08}") },
                principal: entry.principal.to_string(),
                scan: entry.scan.map(|scan| i64::try_from(scan.0).unwrap()),
                event: serde_json::to_string(&entry.event).unwrap(),
            })
            .collect()
    }

    fn chain_head(&self) -> ChainHead {
        let last = self.chain.seals.last();
        last.map_or_else(ChainHead::default, |(seal, _)| ChainHead {
            number: seal.number,
            digest: seal_digest(seal),
            pruned: self.chain.pruned,
        })
    }

    fn waiting_entries(&mut self) -> Vec<StoredEntry> {
        let mut waiting = self.stored();
        waiting.retain(|entry| !self.chain.sealed.contains_key(&entry.key));
        waiting.sort_by(|one, other| one.key.cmp(&other.key));
        waiting
    }
}

#[async_trait]
impl AuditChain for MemoryStore {
    async fn unsealed(&self, limit: usize) -> Result<Unsealed, StoreError> {
        let mut state = self.state();
        let mut entries = state.waiting_entries();
        entries.truncate(limit);
        Ok(Unsealed { head: state.chain_head(), entries })
    }

    async fn add_seal(&self, seal: &Seal, entries: &[SealedEntry]) -> Result<bool, StoreError> {
        let mut state = self.state();
        let head = state.chain_head();
        if (head.number + 1, head.digest) != (seal.number, seal.previous) {
            return Ok(head.digest == seal_digest(seal));
        }
        state.chain.sealed.extend(entries.iter().map(|entry| (entry.key.clone(), seal.number)));
        state.chain.seals.push((seal.clone(), entries.to_vec()));
        Ok(true)
    }

    async fn seals(&self, after: u64, limit: usize) -> Result<Vec<SealContent>, StoreError> {
        let mut state = self.state();
        let rows: BTreeMap<EntryKey, StoredEntry> =
            state.stored().into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        let next = state.chain.seals.iter().filter(|(seal, _)| seal.number > after).take(limit);
        let content = |(seal, entries): &(Seal, Vec<SealedEntry>)| SealContent {
            seal: seal.clone(),
            entries: entries.iter().map(|entry| (entry.clone(), rows.get(&entry.key).cloned())).collect(),
        };
        Ok(next.map(content).collect())
    }

    async fn loose_entries(&self, upto: u64, after: Option<EntryKey>, limit: usize) -> Result<LoosePage, StoreError> {
        let mut state = self.state();
        let mut all = state.stored();
        all.sort_by(|one, other| other.key.cmp(&one.key));
        all.retain(|entry| after.as_ref().is_none_or(|after| entry.key < *after));
        let there_is_more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().map(|entry| entry.key.clone()).filter(|_| there_is_more);
        all.retain(|entry| state.chain.sealed.get(&entry.key).is_none_or(|seal| *seal > upto));
        Ok(LoosePage { entries: all.into_iter().map(|entry| LooseEntry { entry, waits: true }).collect(), next })
    }

    async fn add_seal_key(&self, key: &SealKey, _at: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.chain.keys.contains(key) {
            state.chain.keys.push(*key);
        }
        Ok(())
    }

    async fn seal_keys(&self) -> Result<Vec<SealKey>, StoreError> {
        Ok(self.state().chain.keys.clone())
    }

    async fn oldest_seals(&self, limit: usize) -> Result<Vec<Seal>, StoreError> {
        let state = self.state();
        let seals = state.chain.seals.iter().map(|(seal, _)| seal);
        Ok(seals.filter(|seal| seal.number > state.chain.pruned).take(limit).cloned().collect())
    }

    async fn prune_entries(&self, pruning: &Pruning) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.chain.pruned != pruning.after {
            return Ok(state.chain.pruned == pruning.through);
        }
        state.chain.pruned = pruning.through;
        let kept: Vec<bool> = {
            let stored = state.stored();
            let seal_of = |entry: &StoredEntry| state.chain.sealed.get(&entry.key).copied();
            stored.iter().map(|entry| seal_of(entry).is_none_or(|seal| seal > pruning.through)).collect()
        };
        let mut of_audit = kept.iter();
        state.audit.retain(|_| *of_audit.next().unwrap());
        let mut of_numbers = kept.iter();
        state.chain.numbers.retain(|_| *of_numbers.next().unwrap());
        for (seal, entries) in &mut state.chain.seals {
            if seal.number > pruning.after && seal.number <= pruning.through {
                seal.pruned_at = Some(pruning.at);
                entries.clear();
            }
        }
        let event = DomainEvent::AuditPruned { through: pruning.through, entries: pruning.count };
        state.note(now, Principal::System, None, event);
        Ok(true)
    }

    async fn sealing_state(&self) -> Result<SealingState, StoreError> {
        let mut state = self.state();
        let waiting = state.waiting_entries();
        let oldest = waiting.first().map(|entry| entry.key.at);
        Ok(SealingState { seals: state.chain_head().number, waiting: waiting.len() as u64, oldest })
    }
}
