//! The index of all targets and findings in memory, from which lists are answered.
//!
//! The store keeps each finding as one document. A list over all targets with counts for each
//! facet would read all of them, so each process keeps what lists need: one [`Row`](row::Row) a
//! finding, about 300 bytes with its texts. 200,000 findings take about 60 MB. The texts that many
//! findings share (plugins, issues, titles, categories, owners) are there once.
//!
//! The index is loaded when the server starts (`FindingService::preload`), or else with the first
//! question. Before each answer it reads the changes after its
//! mark, so an answer has everything that was committed before the question, by any process. One
//! read serves all questions that wait for one.
//!
//! An answer is one pass over the rows, target by target, without an allocation for a row that does
//! not match. What depends on the clock (an acceptance that has expired, a time to fix that is
//! over) is computed in the pass. The times to fix are read at most every five seconds.
//!
//! A finding whose target is not stored yet is left out: the first scan of a target stores it
//! last.

mod asked;
mod counts;
mod groups;
mod list;
mod matcher;
mod names;
mod pass;
mod row;
mod table;
mod targets;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use kastrel_actors::ports::{FindingStore, StoreError};
use tokio::time::Instant;

pub(super) use self::asked::{Asked, Policies};
pub(super) use self::table::Table;

/// How many changes one read of the store returns.
const CHANGES_AT_ONCE: usize = 1_000;
/// How long the times to fix are used before they are read again.
const POLICY_AGE: Duration = Duration::from_secs(5);

/// The index with its connection to the store. The services share it.
pub(super) struct FindingIndex {
    store: Arc<dyn FindingStore>,
    table: RwLock<Table>,
    /// The number of the newest refresh that is complete.
    complete: tokio::sync::Mutex<u64>,
    /// The number of refreshes that were begun.
    begun: AtomicU64,
    policies: Mutex<Option<(Instant, Arc<Policies>)>>,
}

impl FindingIndex {
    pub(super) fn new(store: Arc<dyn FindingStore>) -> Self {
        Self {
            store,
            table: RwLock::default(),
            complete: tokio::sync::Mutex::default(),
            begun: AtomicU64::new(0),
            policies: Mutex::default(),
        }
    }

    /// Answers a question from the current rows, with the current times to fix.
    ///
    /// # Errors
    /// A failure of the store.
    pub(super) async fn ask<T>(&self, question: impl FnOnce(&Table, &Policies) -> T) -> Result<T, StoreError> {
        self.refresh().await?;
        let policies = self.policies().await?;
        Ok(question(&self.table.read().unwrap_or_else(PoisonError::into_inner), &policies))
    }

    /// Takes over all changes that were committed before this call.
    pub(super) async fn refresh(&self) -> Result<(), StoreError> {
        let seen = self.begun.load(Ordering::Acquire);
        let mut complete = self.complete.lock().await;
        if *complete > seen {
            // A refresh that was begun after this call is complete.
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        loop {
            let mark = self.table.read().unwrap_or_else(PoisonError::into_inner).mark();
            let changes = self.store.changes(mark, CHANGES_AT_ONCE).await?;
            let has_more = changes.has_more && changes.mark > mark;
            // If this call is dropped here, the next one continues after the last mark.
            self.table.write().unwrap_or_else(PoisonError::into_inner).apply(changes);
            if !has_more {
                break;
            }
        }
        *complete = number;
        Ok(())
    }

    /// Returns the times to fix of all projects that have a target.
    async fn policies(&self) -> Result<Arc<Policies>, StoreError> {
        let projects = self.table.read().unwrap_or_else(PoisonError::into_inner).projects().clone();
        let known = self.policies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((read_at, policies)) = known
            && read_at.elapsed() < POLICY_AGE
            && policies.len() == projects.len()
        {
            return Ok(policies);
        }
        let read_at = Instant::now();
        let mut policies = Policies::default();
        for project in projects {
            let policy = self.store.sla_policy(&project).await?;
            policies.insert(project, policy);
        }
        let policies = Arc::new(policies);
        *self.policies.lock().unwrap_or_else(PoisonError::into_inner) = Some((read_at, Arc::clone(&policies)));
        Ok(policies)
    }

    /// Forgets the times to fix, because those of a project were set.
    pub(super) fn forget_policies(&self) {
        *self.policies.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl std::fmt::Debug for FindingIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FindingIndex").finish_non_exhaustive()
    }
}
