//! Counts the passes of a hunt that found nothing, or nothing new.

use std::collections::HashSet;

use super::super::proc_table::Process;

/// After this number of consecutive passes without a find, nothing is left. One pass is not enough,
/// because a process has no readable marker for a moment while it executes another program.
const CLEAN_PASSES: u32 = 2;

/// The counters of a hunt's passes.
#[derive(Debug, Default)]
pub(in super::super) struct CleanStreak {
    /// The number of consecutive passes that found nothing.
    clean: u32,
    /// The number of consecutive passes that found only processes which the pass before had found
    /// and killed.
    stuck: u32,
    last: HashSet<(i32, u64)>,
}

impl CleanStreak {
    /// Counts a pass that found these processes, and killed them.
    pub(in super::super) fn count(&mut self, found: &[Process]) {
        let found: HashSet<(i32, u64)> = found.iter().map(Process::identity).collect();
        self.clean = if found.is_empty() { self.clean.saturating_add(1) } else { 0 };
        self.stuck = if !found.is_empty() && found.is_subset(&self.last) { self.stuck.saturating_add(1) } else { 0 };
        self.last = found;
    }

    /// Returns true if enough consecutive passes found nothing.
    pub(in super::super) const fn is_clean(&self) -> bool {
        self.clean >= CLEAN_PASSES
    }

    /// The number of consecutive passes that found no new process, but some that do not die.
    pub(in super::super) const fn stuck(&self) -> u32 {
        self.stuck
    }
}
