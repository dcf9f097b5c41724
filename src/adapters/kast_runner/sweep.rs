//! Finds and kills processes of attempts that have no owner any more, by the marker in their
//! environment. At boot, these are the processes that earlier runs on this data folder left behind.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::time::Duration;

use tokio::time::Instant;

use super::proc_table::{self, Process};
use super::{container, environment, run};

/// The pause between two passes.
pub(super) const PAUSE: Duration = Duration::from_millis(5);
/// The number of consecutive passes without a find that end a sweep. One pass is not enough,
/// because a process has no readable marker for a moment while it executes another program.
pub(super) const CLEAN_PASSES: u32 = 2;

/// The result of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// The number of processes that were found and killed.
    pub killed: usize,
    /// The number of processes that were still alive at the timeout.
    pub left: usize,
}

/// Kills every process with the marker of an attempt of this data folder, and all its descendants.
/// Then removes the containers of these attempts.
///
/// Call it before the first attempt starts, and never later: it does not distinguish attempts of
/// this run from attempts of earlier runs. `wait` is the timeout.
pub async fn sweep_leftovers(data_dir_id: &str, wait: Duration) -> Swept {
    let until = Instant::now() + wait;
    let mut hunt = Hunt::default();
    let mut seen = HashSet::new();
    let mut clean = 0;
    loop {
        let wanted = data_dir_id.to_owned();
        let pass = move || {
            let found = hunt.find(&proc_table::all(), |marker| run::is_of_data_dir(&wanted, marker));
            found.iter().for_each(Process::end);
            (hunt, found)
        };
        let found;
        (hunt, found) = tokio::task::spawn_blocking(pass).await.unwrap_or_default();
        clean = if found.is_empty() { clean + 1 } else { 0 };
        let left = found.len();
        seen.extend(found.iter().map(Process::identity));
        if clean == CLEAN_PASSES || Instant::now() >= until {
            let own: Vec<(OsString, OsString)> = environment::base(std::env::vars_os(), &[], &[]);
            container::remove_leftovers(data_dir_id, |_| true, &own).await;
            return Swept { killed: seen.len() - left, left };
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Counts the processes of attempts of this data folder. If no Kastrel runs on the folder, they are
/// leftovers.
pub async fn count_leftovers(data_dir_id: &str) -> usize {
    let wanted = data_dir_id.to_owned();
    let look = move || Hunt::default().find(&proc_table::all(), |marker| run::is_of_data_dir(&wanted, marker)).len();
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// A search that takes several passes.
#[derive(Debug, Default)]
pub(super) struct Hunt {
    /// The process groups that marked processes lead or led, with the start time of the leader. A
    /// process that dropped its environment and lost its parent is still in its group. A group is
    /// removed as soon as a pass finds no process in it, because the kernel may then reuse its id.
    groups: HashMap<i32, u64>,
}

impl Hunt {
    /// Returns the living processes of `table` that belong to the search: processes with a wanted
    /// marker, members of a group that such a process leads, and descendants of these or of a
    /// keeper with a wanted mark. Never returns this process or a keeper: while a keeper lives, it
    /// adopts orphaned processes, and it ends with its node.
    pub(super) fn find(&mut self, table: &[Process], is_wanted: impl Fn(&str) -> bool) -> Vec<Process> {
        let own = rustix::process::getpid();
        let (mut marked, mut keepers) = (HashSet::new(), HashSet::new());
        for process in table.iter().filter(|process| process.pid != own && !process.is_zombie) {
            let marks = process.marks();
            let id = process.pid.as_raw_nonzero().get();
            if marks.attempt.is_some_and(|marker| is_wanted(&marker)) {
                marked.insert(id);
            } else if marks.keeper.is_some_and(|mark| is_wanted(&mark)) {
                keepers.insert(id);
            }
        }
        let members = self.members(table, marked, keepers);
        let alive = table.iter().filter(|process| {
            !process.is_zombie && process.pid != own && members.contains(&process.pid.as_raw_nonzero().get())
        });
        alive.cloned().collect()
    }

    fn members(&mut self, table: &[Process], marked: HashSet<i32>, mut keepers: HashSet<i32>) -> HashSet<i32> {
        let leaders = table
            .iter()
            .filter(|process| process.group == process.pid.as_raw_nonzero().get() && marked.contains(&process.group));
        self.groups.extend(leaders.map(|leader| (leader.group, leader.started)));
        self.groups
            .retain(|group, since| table.iter().any(|process| process.group == *group && process.started >= *since));
        let in_group =
            |process: &&Process| self.groups.get(&process.group).is_some_and(|since| process.started >= *since);
        let mut members = marked;
        members.extend(table.iter().filter(in_group).map(|process| process.pid.as_raw_nonzero().get()));
        proc_table::close_over_children(&mut members, table);
        // A descendant of an attempt or of another keeper is not a keeper, even if it has a
        // keeper's mark.
        let parents: HashMap<i32, i32> =
            table.iter().map(|process| (process.pid.as_raw_nonzero().get(), process.parent)).collect();
        let claimed = keepers.clone();
        keepers.retain(|keeper| {
            let mut above = std::iter::successors(parents.get(keeper), |parent| parents.get(parent)).take(table.len());
            !members.contains(keeper) && !above.any(|one| claimed.contains(one))
        });
        let mut below = keepers.clone();
        proc_table::close_over_children(&mut below, table);
        let children = |process: &&Process| keepers.contains(&process.parent);
        members.extend(table.iter().filter(children).map(|process| process.pid.as_raw_nonzero().get()));
        members.extend(below.difference(&keepers));
        members
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::Pid;

    use super::*;

    // Ids above the kernel's maximum, so that the test never refers to a real process.
    const BASE: i32 = 500_000_000;

    fn process(pid: i32, parent: i32, group: i32, started: u64) -> Process {
        Process {
            pid: Pid::from_raw(BASE + pid).unwrap(),
            parent: BASE + parent,
            group: BASE + group,
            session: BASE + group,
            started,
            is_zombie: false,
            name: String::new(),
        }
    }

    fn members(hunt: &mut Hunt, table: &[Process], marked: &[i32]) -> Vec<i32> {
        below(hunt, table, marked, &[])
    }

    fn below(hunt: &mut Hunt, table: &[Process], marked: &[i32], keepers: &[i32]) -> Vec<i32> {
        let ids = |pids: &[i32]| pids.iter().map(|pid| BASE + pid).collect::<HashSet<i32>>();
        let mut found: Vec<i32> = hunt.members(table, ids(marked), ids(keepers)).iter().map(|pid| pid - BASE).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn process_without_a_mark_is_found_by_its_group_and_its_parent() {
        let mut hunt = Hunt::default();
        let table = [
            process(10, 9, 10, 100),  // the leader, marked
            process(11, 1, 10, 101),  // in its group
            process(12, 10, 12, 102), // its child in a group of its own
            process(13, 1, 13, 103),  // marked, and in a group of a stranger
            process(14, 1, 14, 104),  // a stranger
            process(15, 1, 10, 99),   // older than the leader
        ];
        assert_eq!(members(&mut hunt, &table, &[10, 13]), [10, 11, 12, 13]);
        assert_eq!(members(&mut hunt, &table[1..2], &[]), [11], "the leader is gone, its group is not");
        assert_eq!(members(&mut hunt, &table[4..5], &[]), [0; 0]);
        assert_eq!(
            members(&mut hunt, &[process(11, 1, 10, 101)], &[]),
            [0; 0],
            "an empty group is forgotten: another may get its id"
        );
    }

    #[test]
    fn marked_member_does_not_make_its_group_a_match() {
        let table = [process(20, 1, 20, 50), process(21, 1, 20, 100)];
        assert_eq!(members(&mut Hunt::default(), &table, &[21]), [21]);
    }

    #[test]
    fn orphans_are_found_below_their_keeper_and_keepers_are_spared() {
        let table = [
            process(30, 9, 30, 100),  // a keeper
            process(31, 30, 31, 101), // its scanner, marked
            process(32, 30, 32, 102), // escaped, without any mark
            process(33, 32, 33, 103), // its child, which calls itself a keeper
            process(34, 33, 34, 104), // the child of that
            process(35, 1, 35, 105),  // a stranger
        ];
        assert_eq!(below(&mut Hunt::default(), &table, &[31], &[30, 33]), [31, 32, 33, 34]);
        assert_eq!(below(&mut Hunt::default(), &table[..1], &[], &[30]), [0; 0]);
    }
}
