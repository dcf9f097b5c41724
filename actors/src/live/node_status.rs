//! The status of this process's node: the actor tree and the restart budgets, for readers that must
//! never wait for an actor. Actors publish to it; nothing here decides.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::model::{ActorFailure, ActorView, AttemptEnd, ScanSnapshot};
use crate::policy::restart::RestartBudget;

/// The status of the node.
#[derive(Debug, Default)]
pub struct NodeStatus {
    actors: Mutex<BTreeMap<&'static str, ActorView>>,
    budgets: Mutex<BTreeMap<&'static str, RestartBudget>>,
}

impl NodeStatus {
    /// Changes the view of an infrastructure actor.
    pub fn actor(&self, name: &'static str, now: Timestamp, change: impl FnOnce(&mut ActorView)) {
        let mut actors = self.actors();
        let view = actors.entry(name).or_insert_with(|| ActorView {
            name: name.into(),
            state: "starting".into(),
            since: now,
            restarts: 0,
            last_failure: None,
            children: Vec::new(),
        });
        let before = view.state.clone();
        change(view);
        if view.state != before {
            view.since = now;
        }
    }

    /// Sets the current state of a budget of failures.
    pub fn budget(&self, name: &'static str, budget: &RestartBudget) {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner).insert(name, budget.clone());
    }

    /// Returns how much of each budget is left.
    #[must_use]
    pub fn budgets(&self, now: Instant) -> Vec<(&'static str, usize)> {
        self.budgets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(name, budget)| (*name, budget.left(now)))
            .collect()
    }

    /// Returns the current actor tree without the actors of scans.
    #[must_use]
    pub fn infrastructure(&self, now: Timestamp) -> ActorView {
        let mut actors = self.actors().clone();
        let mut root = actors.remove("node").unwrap_or_else(|| ActorView {
            name: "node".into(),
            state: "not running".into(),
            since: now,
            restarts: 0,
            last_failure: None,
            children: Vec::new(),
        });
        root.children = actors.into_values().collect();
        root
    }

    fn actors(&self) -> MutexGuard<'_, BTreeMap<&'static str, ActorView>> {
        self.actors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the view of the actor of a running attempt.
pub(super) fn scan_view(snapshot: &ScanSnapshot) -> Option<ActorView> {
    let phase = snapshot.phase?;
    let attempt = snapshot.record.last_attempt()?;
    let failure = snapshot.record.attempts.iter().rev().find_map(|attempt| match (&attempt.end, attempt.ended_at) {
        (Some(AttemptEnd::Failed(failure)), Some(at)) => {
            Some(ActorFailure { at, reason: format!("{}: {}", failure.kind, failure.detail) })
        }
        _ => None,
    });
    Some(ActorView {
        name: format!("scan-{}", snapshot.record.id),
        state: phase.to_string(),
        since: attempt.started_at,
        restarts: snapshot.record.failures,
        last_failure: failure,
        children: Vec::new(),
    })
}
