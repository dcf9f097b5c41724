//! Clears one attempt at its end: searches for its processes and kills them, pass after pass, until
//! none is left.

use std::collections::{BTreeSet, HashSet};
use std::sync::mpsc::channel;
use std::time::Duration;

use tokio::time::Instant;

use super::super::egress;
use super::super::keeper::collect_orphan;
use super::super::proc_table::Process;
use super::criterion::{AttemptMarks, Criterion};
use super::search::Hunt;
use super::streak::CleanStreak;
use super::table::ProcessTable;

/// The pause between two passes.
pub(in super::super) const PAUSE: Duration = Duration::from_millis(3);
/// A process that SIGKILL does not end within this time hangs in the kernel. The clearing reports
/// it and ends.
const LIMIT: Duration = Duration::from_secs(10);

/// The result of clearing an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Cleared {
    /// The names of the processes that were found alive.
    pub(in super::super) found: BTreeSet<String>,
    /// The number of processes that were found alive.
    pub(in super::super) count: usize,
    /// The number of processes that are still alive.
    pub(in super::super) left: usize,
    /// True if the attempt had a network, and the process that connects it was gone.
    pub(in super::super) is_cut_off: bool,
}

/// The clearing of one attempt.
pub(in super::super) struct Clearing {
    hunt: Hunt,
    streak: CleanStreak,
    until: Instant,
    pub(super) count: Count,
}

impl Clearing {
    pub(in super::super) fn new(marks: AttemptMarks) -> Self {
        let count = Count::new(marks.is_connected);
        Self {
            hunt: Hunt::new(Criterion::Attempt(marks)),
            streak: CleanStreak::default(),
            until: Instant::now() + LIMIT,
            count,
        }
    }

    /// The criterion, for reading the table of the next pass.
    pub(in super::super) const fn criterion(&self) -> &Criterion {
        self.hunt.criterion()
    }

    /// The result so far.
    pub(in super::super) const fn cleared(&self) -> &Cleared {
        &self.count.cleared
    }

    /// Kills the attempt's processes in `table`. Returns true if the clearing has ended.
    pub(in super::super) fn pass(&mut self, table: &ProcessTable) -> bool {
        let pass = self.hunt.pass(table);
        for orphan in pass.orphans {
            collect_orphan(orphan);
        }
        pass.alive.iter().for_each(Process::end);
        self.count.add(&pass.alive);
        self.streak.count(&pass.alive);
        self.streak.is_clean() || Instant::now() >= self.until
    }

    /// Returns the result.
    pub(in super::super) fn into_cleared(self) -> Cleared {
        self.count.cleared
    }
}

/// Counts the processes that the passes found.
#[derive(Debug)]
pub(super) struct Count {
    is_connected: bool,
    seen: HashSet<(i32, u64)>,
    /// True if the process that connects the attempt's network was found.
    has_connection: bool,
    pub(super) cleared: Cleared,
}

impl Count {
    pub(super) fn new(is_connected: bool) -> Self {
        Self { is_connected, seen: HashSet::new(), has_connection: false, cleared: Cleared::default() }
    }

    pub(super) fn add(&mut self, alive: &[Process]) {
        for process in alive {
            // With an egress limit, one of the processes is the attempt's connection. It runs until
            // the end and is killed like the others, but does not count as left behind.
            let is_new = self.seen.insert(process.identity());
            if is_new && self.is_connected && !self.has_connection && egress::is_connection(&process.name) {
                self.has_connection = true;
            } else if is_new {
                self.cleared.count += 1;
                self.cleared.found.insert(process.name.clone());
            }
        }
        self.cleared.left = alive.len();
        self.cleared.is_cut_off = self.is_connected && !self.has_connection;
    }
}

/// Clears one attempt on the calling thread, which must be allowed to block.
pub(in super::super) fn clear_blocking(marks: AttemptMarks) -> Cleared {
    let (_keep_open, pause) = channel::<()>();
    let mut clearing = Clearing::new(marks);
    while !clearing.pass(&ProcessTable::read(std::iter::once(clearing.criterion()))) {
        let _timeout = pause.recv_timeout(PAUSE);
    }
    clearing.into_cleared()
}
