//! All processes of the machine at one point in time, with what a hunt needs to know of them.

use std::collections::HashMap;
use std::path::PathBuf;

use super::super::isolation::Cgroup;
use super::super::proc_table::{self, Marks, Process};
use super::criterion::Criterion;

/// The processes, their marks and the members of cgroups.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct ProcessTable {
    /// The ids of this process and of its session.
    pub(super) own: (i32, i32),
    pub(super) processes: Vec<Process>,
    /// The marks that living processes claim, by process id. This process has none.
    pub(super) marks: HashMap<i32, Marks>,
    /// The members of the cgroups of the hunts, by the cgroup's folder.
    pub(super) cgroups: HashMap<PathBuf, Vec<i32>>,
}

impl ProcessTable {
    /// Reads what passes of hunts with these criteria need. Blocks.
    pub(in super::super) fn read<'a>(criteria: impl Iterator<Item = &'a Criterion> + Clone) -> Self {
        let processes = proc_table::all();
        let pid = rustix::process::getpid();
        let own = pid.as_raw_nonzero().get();
        let session = processes.iter().find(|process| process.pid == pid).map_or(0, |process| process.session);
        let since = criteria.clone().map(Criterion::since).min().unwrap_or(0);
        // A child of this process may be a keeper, which is older than its attempt.
        let may_be_marked = |process: &&Process| {
            process.pid != pid && !process.is_zombie && (process.started >= since || process.parent == own)
        };
        let marks = processes.iter().filter(may_be_marked).map(|process| (process.id(), process.marks())).collect();
        let cgroups = criteria.filter_map(Criterion::cgroup);
        let cgroups = cgroups.map(|cgroup| (cgroup.paths().0.to_owned(), cgroup.processes())).collect();
        Self { own: (own, session), processes, marks, cgroups }
    }

    /// The marker of the attempt to which a process claims to belong.
    pub(super) fn attempt_of(&self, process: &Process) -> Option<&str> {
        self.marks.get(&process.id())?.attempt.as_deref()
    }

    /// The mark of a process that claims to be a keeper.
    pub(super) fn keeper_mark_of(&self, process: &Process) -> Option<&str> {
        self.marks.get(&process.id())?.keeper.as_deref()
    }

    /// The ids of the processes in a cgroup.
    pub(super) fn in_cgroup(&self, cgroup: &Cgroup) -> impl Iterator<Item = i32> {
        self.cgroups.get(cgroup.paths().0).into_iter().flatten().copied()
    }
}
