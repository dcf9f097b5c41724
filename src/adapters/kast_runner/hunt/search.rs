//! Decides which processes of a table belong to an attempt, or to the attempts of a run or of a
//! data folder. This file does no I/O.
//!
//! An attempt of this run is found by its group, its marker, its cgroup, and as descendants of its
//! keeper. A process that drops its environment, its group, its session and its parent is adopted
//! by the keeper. If the keeper was killed, this process adopts it. Such a process is recognizable:
//! it is a child in a foreign session, and only keepers are started that way.
//!
//! The attempts of other runs are found by their markers, by the groups that marked processes lead,
//! and as descendants of these or of a keeper with a wanted mark.

use std::collections::{HashMap, HashSet};

use rustix::process::Pid;

use super::super::proc_table::{self, Process};
use super::criterion::{AttemptMarks, Criterion};
use super::table::ProcessTable;

/// The result of a pass.
#[derive(Debug, Default)]
#[must_use]
pub(in super::super) struct Pass {
    /// The living processes that match. Never this process or a keeper that lives.
    pub(in super::super) alive: Vec<Process>,
    /// The dead processes that match and have lost their keeper. This process must collect them.
    pub(in super::super) orphans: Vec<Pid>,
}

/// A search that takes several passes.
#[derive(Debug)]
pub(in super::super) struct Hunt {
    criterion: Criterion,
    /// The process groups that marked processes lead or led, with the start time of the leader. A
    /// process that dropped its environment and lost its parent is still in its group. A group is
    /// removed as soon as a pass finds no process in it, because the kernel may then reuse its id.
    groups: HashMap<i32, u64>,
}

impl Hunt {
    pub(in super::super) fn new(criterion: Criterion) -> Self {
        Self { criterion, groups: HashMap::new() }
    }

    pub(in super::super) const fn criterion(&self) -> &Criterion {
        &self.criterion
    }

    /// Returns the processes of `table` that match.
    pub(in super::super) fn pass(&mut self, table: &ProcessTable) -> Pass {
        let members = match &self.criterion {
            Criterion::Attempt(marks) => of_attempt(marks, table),
            Criterion::AttemptOfAnyRun(_) | Criterion::Run(_) | Criterion::DataDir(_) => self.of_marks(table),
        };
        let is_alive =
            |process: &&Process| !process.is_zombie && process.id() != table.own.0 && members.contains(&process.id());
        let orphans = match &self.criterion {
            Criterion::Attempt(marks) => strays(table)
                .filter(|stray| stray.is_zombie && stray.pid != marks.group && members.contains(&stray.id()))
                .map(|stray| stray.pid)
                .collect(),
            Criterion::AttemptOfAnyRun(_) | Criterion::Run(_) | Criterion::DataDir(_) => Vec::new(),
        };
        Pass { alive: table.processes.iter().filter(is_alive).cloned().collect(), orphans }
    }

    /// Returns the ids of the processes with a wanted marker, of the members of a group that such a
    /// process leads, and of the descendants of these or of a keeper with a wanted mark. A keeper
    /// is not among them: while it lives, it adopts orphaned processes, and it ends with its node.
    fn of_marks(&mut self, table: &ProcessTable) -> HashSet<i32> {
        let (mut members, mut keepers) = (HashSet::new(), HashSet::new());
        for process in table.processes.iter().filter(|process| process.id() != table.own.0) {
            if table.attempt_of(process).is_some_and(|marker| self.criterion.is_wanted(marker)) {
                members.insert(process.id());
            } else if table.keeper_mark_of(process).is_some_and(|mark| self.criterion.is_wanted(mark)) {
                keepers.insert(process.id());
            }
        }
        let processes = &table.processes;
        let leaders =
            processes.iter().filter(|process| process.group == process.id() && members.contains(&process.group));
        self.groups.extend(leaders.map(|leader| (leader.group, leader.started)));
        self.groups.retain(|group, since| {
            processes.iter().any(|process| process.group == *group && process.started >= *since)
        });
        let in_group =
            |process: &&Process| self.groups.get(&process.group).is_some_and(|since| process.started >= *since);
        members.extend(processes.iter().filter(in_group).map(Process::id));
        proc_table::close_over_children(&mut members, processes);
        // A descendant of an attempt or of another keeper is not a keeper, even if it has a
        // keeper's mark.
        let parents: HashMap<i32, i32> = processes.iter().map(|process| (process.id(), process.parent)).collect();
        let claimed = keepers.clone();
        keepers.retain(|keeper| {
            let mut above =
                std::iter::successors(parents.get(keeper), |parent| parents.get(parent)).take(processes.len());
            !members.contains(keeper) && !above.any(|one| claimed.contains(one))
        });
        let mut below = keepers.clone();
        proc_table::close_over_children(&mut below, processes);
        let children = |process: &&Process| keepers.contains(&process.parent);
        members.extend(processes.iter().filter(children).map(Process::id));
        members.extend(below.difference(&keepers));
        members
    }
}

/// Returns the ids of an attempt's processes: of the leader and the cgroup's members even if the
/// table does not list them, and never of the keeper.
fn of_attempt(marks: &AttemptMarks, table: &ProcessTable) -> HashSet<i32> {
    let group = marks.group.as_raw_nonzero().get();
    let seeds = table.processes.iter().filter(|process| process.started >= marks.since).filter(|process| {
        process.group == group
            || table.attempt_of(process) == Some(marks.marker.as_str())
            || marks.outsiders.contains(&process.identity())
    });
    let mut members: HashSet<i32> = seeds.map(Process::id).collect();
    members.insert(group);
    members.extend(marks.cgroup.iter().flat_map(|cgroup| table.in_cgroup(cgroup)));
    if table.processes.iter().any(|process| process.identity() == marks.keeper && !process.is_zombie) {
        members.insert(marks.keeper.0);
    } else {
        members.extend(strays(table).map(Process::id));
    }
    proc_table::close_over_children(&mut members, &table.processes);
    members.remove(&marks.keeper.0);
    members
}

/// The processes that this process adopted because a keeper was killed: children in a foreign
/// session. This process starts only keepers in a foreign session.
fn strays(table: &ProcessTable) -> impl Iterator<Item = &Process> {
    let (own, session) = table.own;
    let is_keeper = |process: &Process| {
        table.keeper_mark_of(process).is_some() || (process.is_zombie && process.session == process.id())
    };
    table
        .processes
        .iter()
        .filter(move |process| process.parent == own && process.session != session && !is_keeper(process))
}
