//! Searches for the processes of one attempt and kills them: the descendants of its keeper, the
//! processes in its cgroup, the members of its group, and the processes with its marker.
//!
//! A process that drops its environment, its group, its session and its parent is adopted by the
//! keeper. If the keeper was killed, this process adopts it. Such a process is recognizable: it is
//! a child in a foreign session, and only keepers are started that way.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::Instant;

use super::egress;
use super::isolation::Cgroup;
use super::keeper::collect_orphan;
use super::proc_table::{self, Process};

/// The pause between two passes.
pub(super) const PAUSE: Duration = Duration::from_millis(3);
/// After this number of consecutive passes without a find, the attempt counts as cleared. One pass
/// is not enough, because a process has no readable marker for a moment while it executes another
/// program.
const CLEAN_PASSES: u32 = 2;
/// A process that SIGKILL does not end within this time hangs in the kernel. The reaper reports it
/// and continues.
const LIMIT: Duration = Duration::from_secs(10);

/// The result of clearing an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cleared {
    /// The names of the processes that were found alive.
    pub(super) found: BTreeSet<String>,
    /// The number of processes that were found alive.
    pub(super) count: usize,
    /// The number of processes that are still alive.
    pub(super) left: usize,
    /// True if the attempt had a network, and the process that connects it was gone.
    pub(super) is_cut_off: bool,
}

/// The properties that identify an attempt's processes.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    pub(super) group: Pid,
    /// The start time of the leader, in the kernel's ticks. The processes that it starts are never
    /// older.
    pub(super) since: u64,
    pub(super) marker: String,
    /// The keeper, by id and start time. All of its descendants belong to the attempt.
    pub(super) keeper: (i32, u64),
    pub(super) cgroup: Option<Cgroup>,
    /// True if a process of Kastrel connects the attempt's network to the outside.
    pub(super) is_connected: bool,
}

/// The search for one attempt's processes.
pub(super) struct Hunt {
    pub(super) marks: Marks,
    outsiders: HashSet<(i32, u64)>,
    until: Instant,
    clean: u32,
    seen: HashSet<(i32, u64)>,
    /// The process that connects the attempt's network.
    connection: Option<(i32, u64)>,
    pub(super) cleared: Cleared,
}

impl Hunt {
    pub(super) fn new(marks: Marks, outsiders: HashSet<(i32, u64)>) -> Self {
        Self {
            marks,
            outsiders,
            until: Instant::now() + LIMIT,
            clean: 0,
            seen: HashSet::new(),
            connection: None,
            cleared: Cleared::default(),
        }
    }

    /// Returns the attempt's processes in `table`, without the leader and the keeper.
    fn members(&self, table: &[Process], origins: &Origins) -> HashSet<i32> {
        let Marks { group, since, marker, keeper, .. } = &self.marks;
        let id = |process: &Process| process.pid.as_raw_nonzero().get();
        let is_marked = |process: &Process| origins.attempts.get(&process.pid) == Some(marker);
        let seeds = table.iter().filter(|process| process.started >= *since);
        let seeds = seeds.filter(|process| {
            process.group == group.as_raw_nonzero().get()
                || is_marked(process)
                || self.outsiders.contains(&process.identity())
        });
        let mut members: HashSet<i32> = seeds.map(id).collect();
        members.insert(group.as_raw_nonzero().get());
        members.extend(self.marks.cgroup.iter().flat_map(Cgroup::processes));
        if table.iter().any(|process| process.identity() == *keeper && !process.is_zombie) {
            members.insert(keeper.0);
        } else {
            members.extend(strays(table, origins).map(id));
        }
        proc_table::close_over_children(&mut members, table);
        members.remove(&keeper.0);
        members
    }

    /// Kills the attempt's processes in `table`. Returns true if the search is finished.
    pub(super) fn pass(&mut self, table: &[Process], origins: &Origins) -> bool {
        let members = self.members(table, origins);
        for stray in strays(table, origins).filter(|stray| {
            stray.is_zombie && stray.pid != self.marks.group && members.contains(&stray.pid.as_raw_nonzero().get())
        }) {
            collect_orphan(stray.pid);
        }
        let alive =
            table.iter().filter(|process| !process.is_zombie && members.contains(&process.pid.as_raw_nonzero().get()));
        let mut count = 0;
        for process in alive {
            count += 1;
            // With an egress limit, one of the processes is the attempt's connection. It runs until
            // the end and is killed like the others, but does not count as left behind.
            let is_new = self.seen.insert(process.identity());
            if is_new && self.marks.is_connected && self.connection.is_none() && egress::is_connection(&process.name) {
                self.connection = Some(process.identity());
            } else if is_new {
                self.cleared.count += 1;
                self.cleared.found.insert(process.name.clone());
            }
            process.end();
        }
        self.cleared.left = count;
        self.cleared.is_cut_off = self.marks.is_connected && self.connection.is_none();
        self.clean = if count == 0 { self.clean + 1 } else { 0 };
        self.clean >= CLEAN_PASSES || Instant::now() >= self.until
    }
}

/// The origins that processes claim in their environment.
pub(super) struct Origins {
    /// The ids of this process and of its session.
    own: (i32, i32),
    attempts: HashMap<Pid, String>,
    keepers: HashSet<Pid>,
}

impl Origins {
    /// Reads the origins of all processes that are not older than `since`, and of all children of
    /// this process.
    pub(super) fn read(table: &[Process], since: u64) -> Self {
        let own = rustix::process::getpid();
        let session = table.iter().find(|process| process.pid == own).map_or(0, |process| process.session);
        let mut origins =
            Self { own: (own.as_raw_nonzero().get(), session), attempts: HashMap::new(), keepers: HashSet::new() };
        for process in table
            .iter()
            .filter(|process| !process.is_zombie && (process.started >= since || process.parent == origins.own.0))
        {
            let marks = process.marks();
            origins.attempts.extend(marks.attempt.map(|marker| (process.pid, marker)));
            origins.keepers.extend(marks.keeper.map(|_| process.pid));
        }
        origins
    }
}

/// The processes that this process adopted because a keeper was killed: children in a foreign
/// session. This process starts only keepers in a foreign session.
fn strays<'a>(table: &'a [Process], origins: &'a Origins) -> impl Iterator<Item = &'a Process> {
    let (own, session) = origins.own;
    let is_keeper = move |process: &Process| {
        origins.keepers.contains(&process.pid)
            || (process.is_zombie && process.session == process.pid.as_raw_nonzero().get())
    };
    table.iter().filter(move |process| process.parent == own && process.session != session && !is_keeper(process))
}

/// Clears one attempt on the calling thread, which must be allowed to block.
pub(super) fn clear_blocking(marks: Marks, outsiders: HashSet<(i32, u64)>) -> Cleared {
    let (_keep_open, pause) = channel::<()>();
    let since = marks.since;
    let mut hunt = Hunt::new(marks, outsiders);
    loop {
        let table = proc_table::all();
        if hunt.pass(&table, &Origins::read(&table, since)) {
            return hunt.cleared;
        }
        let _timeout = pause.recv_timeout(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32, started: u64, is_zombie: bool) -> Process {
        // Ids above the kernel's maximum, so that the test never refers to a real process.
        Process {
            pid: Pid::from_raw(pid).unwrap(),
            parent,
            group,
            session: group,
            started,
            is_zombie,
            name: format!("p{pid}"),
        }
    }

    #[test]
    fn members_are_found_only_by_group_marker_and_descent() {
        const BASE: i32 = 500_000_000;
        let id = |n: i32| BASE + n;
        let table = [
            process(id(1), 7, id(1), 100, true),      // the leader, not collected yet
            process(id(2), 1, id(1), 101, false),     // in the group
            process(id(3), 1, id(3), 102, false),     // marked, with a group of its own
            process(id(4), id(3), id(4), 103, false), // unmarked child of the marked one
            process(id(5), 1, id(5), 104, false),     // marked by another attempt
            process(id(6), 1, id(1), 99, false),      // older than the leader: an earlier owner of the group's id
            process(id(7), 1, id(1), 105, true),      // dead already
            process(id(8), 1, id(8), 106, false),     // seen outside the group before
            process(id(9), 1, id(9), 107, false),     // has an id that an outsider had
        ];
        let attempts = HashMap::from([(table[2].pid, "d:1:1".to_owned()), (table[4].pid, "d:2:1".to_owned())]);
        let origins = Origins { own: (id(90), id(90)), attempts, keepers: HashSet::new() };
        let marks = Marks {
            group: table[0].pid,
            since: 100,
            marker: "d:1:1".into(),
            keeper: (id(80), 50),
            cgroup: None,
            is_connected: false,
        };
        let mut hunt = Hunt::new(marks, HashSet::from([table[7].identity(), (id(9), 101)]));
        assert!(!hunt.pass(&table, &origins));
        let expected: BTreeSet<String> = [2, 3, 4, 8].map(|n| format!("p{}", id(n))).into();
        assert_eq!(hunt.cleared, Cleared { found: expected, count: 4, left: 4, is_cut_off: false });
        assert!(!hunt.pass(&table[..1], &origins));
        assert!(hunt.pass(&table[..1], &origins), "two clean passes are the end");
        assert_eq!((hunt.cleared.count, hunt.cleared.left), (4, 0));
    }

    #[test]
    fn orphans_are_found_below_the_keeper_or_below_this_process() {
        const BASE: i32 = 500_000_000;
        let id = |n: i32| BASE + n;
        let in_session = |pid, parent, session| Process {
            session: id(session),
            ..process(id(pid), id(parent), id(pid), 100, false)
        };
        let keeper = Process { started: 50, ..in_session(10, 90, 10) };
        let table = [
            keeper.clone(),
            in_session(11, 10, 10), // the leader
            in_session(12, 10, 12), // escaped: only its parent shows its origin
            in_session(13, 12, 13), // its child
            in_session(20, 90, 20), // the keeper of another attempt
            in_session(21, 20, 21), // escaped there
            in_session(30, 90, 90), // a child of this process
            in_session(31, 90, 31), // adopted by this process
            in_session(32, 31, 32), // its child
            in_session(40, 1, 40),  // a foreign process
        ];
        let origins =
            Origins { own: (id(90), id(90)), attempts: HashMap::new(), keepers: [table[0].pid, table[4].pid].into() };
        let marks = Marks {
            group: table[1].pid,
            since: 60,
            marker: "d:1:1".into(),
            keeper: keeper.identity(),
            cgroup: None,
            is_connected: false,
        };
        let members = |table: &[Process]| {
            let mut found: Vec<i32> = Hunt::new(marks.clone(), HashSet::new())
                .members(table, &origins)
                .iter()
                .map(|pid| pid - BASE)
                .collect();
            found.sort_unstable();
            found
        };
        assert_eq!(members(&table), [11, 12, 13]);
        let orphans: Vec<Process> = table[1..]
            .iter()
            .map(|one| if one.parent == id(10) { Process { parent: id(90), ..one.clone() } } else { one.clone() })
            .collect();
        assert_eq!(members(&orphans), [11, 12, 13, 31, 32], "the keeper was killed");
    }
}
