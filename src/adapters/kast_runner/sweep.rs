//! Finds and kills the processes of attempts that have no owner any more, by the marker in their
//! environment: at boot, those that earlier runs of this data folder left behind.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::time::Duration;

use tokio::time::Instant;

use super::proc_table::{self, Process};
use super::{container, environment, process, run};

/// The pause between two passes.
pub(super) const PAUSE: Duration = Duration::from_millis(5);
/// After this many passes in a row without a find nothing is left: a process is invisible for a
/// moment while it replaces its program.
pub(super) const CLEAN_PASSES: u32 = 2;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Processes that were found and killed.
    pub killed: usize,
    /// Processes that were still there when the time was over.
    pub left: usize,
}

/// Kills every process that carries the marker of an attempt of this data folder, and what descends
/// from one; then removes their containers.
///
/// Call it before the first attempt starts and never later: it cannot tell an attempt of this run
/// from one of the last. `wait` bounds it.
pub async fn sweep_leftovers(data_dir_id: &str, wait: Duration) -> Swept {
    let until = Instant::now() + wait;
    let mut hunt = Hunt::default();
    let mut seen = HashSet::new();
    let mut clean = 0;
    loop {
        let wanted = data_dir_id.to_owned();
        let pass = move || {
            let found = hunt.find(&proc_table::all(), |marker| run::is_of_data_dir(&wanted, marker));
            found.iter().for_each(process::end);
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

/// How many processes of attempts of this data folder there are. Where no Kastrel runs on it, they
/// are leftovers.
pub async fn count_leftovers(data_dir_id: &str) -> usize {
    let wanted = data_dir_id.to_owned();
    let look = move || Hunt::default().find(&proc_table::all(), |marker| run::is_of_data_dir(&wanted, marker)).len();
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// A search in several passes.
#[derive(Debug, Default)]
pub(super) struct Hunt {
    /// The groups that marked processes lead or led, with the start of their leader: what dropped
    /// its environment and lost its parent is still in its group. A group is forgotten as soon as a
    /// pass sees nobody in it, as from then on its id may be given to others.
    groups: HashMap<i32, u64>,
}

impl Hunt {
    /// The living processes of `table` that are marked so, that are in a group which such a process
    /// leads, or that descend from one of these or from a keeper that is marked so; never
    /// ourselves, and no keeper: as long as it lives, whatever escapes falls to it, and it ends
    /// with its node.
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
        // What descends from an attempt or from another keeper is no keeper, whatever it says.
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

    // Ids beyond the kernel's largest, so that no real process is ever meant.
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
    fn what_lost_its_mark_is_found_by_its_group_and_its_parent() {
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
    fn a_marked_member_does_not_make_its_group_ours() {
        let table = [process(20, 1, 20, 50), process(21, 1, 20, 100)];
        assert_eq!(members(&mut Hunt::default(), &table, &[21]), [21]);
    }

    #[test]
    fn what_escaped_is_found_below_its_keeper_and_no_keeper_is_ended() {
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
