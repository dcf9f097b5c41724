//! Tables for the search: which processes a criterion matches, and when nothing is left.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use rustix::process::Pid;

use super::super::isolation::Cgroup;
use super::super::proc_table::{Marks, Process};
use super::super::run::Run;
use super::clearing::{Cleared, Count};
use super::{AttemptMarks, CleanStreak, Criterion, Hunt, ProcessTable};

/// Ids above the kernel's maximum, so that a test never refers to a real process.
const BASE: i32 = 500_000_000;
/// This process, in the tables.
const OWN: i32 = 90;

fn process(pid: i32, parent: i32, group: i32, started: u64) -> Process {
    Process {
        pid: Pid::from_raw(BASE + pid).unwrap(),
        parent: BASE + parent,
        group: BASE + group,
        session: BASE + group,
        started,
        is_zombie: false,
        name: format!("p{pid}"),
    }
}

fn zombie(process: Process) -> Process {
    Process { is_zombie: true, ..process }
}

/// A table with the markers of attempts and the marks of keepers.
fn table(processes: &[Process], attempts: &[(i32, &str)], keepers: &[(i32, &str)]) -> ProcessTable {
    let mut marks: HashMap<i32, Marks> = HashMap::new();
    for (pid, marker) in attempts {
        marks.entry(BASE + pid).or_default().attempt = Some((*marker).to_owned());
    }
    for (pid, mark) in keepers {
        marks.entry(BASE + pid).or_default().keeper = Some((*mark).to_owned());
    }
    ProcessTable { own: (BASE + OWN, BASE + OWN), processes: processes.to_vec(), marks, cgroups: HashMap::new() }
}

fn found(hunt: &mut Hunt, table: &ProcessTable) -> Vec<i32> {
    let mut alive: Vec<i32> = hunt.pass(table).alive.iter().map(|process| process.id() - BASE).collect();
    alive.sort_unstable();
    alive
}

fn of_attempt(leader: i32, since: u64) -> AttemptMarks {
    AttemptMarks {
        group: Pid::from_raw(BASE + leader).unwrap(),
        since,
        marker: "d:1:1:aa".into(),
        keeper: (BASE + 80, 50),
        cgroup: None,
        outsiders: HashSet::new(),
        is_connected: false,
    }
}

#[test]
fn attempt_is_found_only_by_group_marker_outsiders_and_descent() {
    let processes = [
        zombie(process(1, 60, 1, 100)), // the leader, not collected yet
        process(2, 60, 1, 101),         // in the group
        process(3, 60, 3, 102),         // marked, with a group of its own
        process(4, 3, 4, 103),          // unmarked child of the marked one
        process(5, 60, 5, 104),         // marked by another attempt
        process(6, 60, 1, 99),          // older than the leader: an earlier owner of the group's id
        zombie(process(7, 1, 1, 105)),  // dead already
        process(8, 60, 8, 106),         // seen outside the group before
        process(9, 60, 9, 107),         // has an id that an outsider had
        process(10, 60, 10, 98),        // marked, but older than the leader: the marker is forged
    ];
    let markers = [(3, "d:1:1:aa"), (5, "d:2:1:aa"), (10, "d:1:1:aa")];
    let outsiders = HashSet::from([processes[7].identity(), (BASE + 9, 101)]);
    let mut hunt = Hunt::new(Criterion::Attempt(AttemptMarks { outsiders, ..of_attempt(1, 100) }));
    let seen = table(&processes, &markers, &[]);
    assert_eq!(found(&mut hunt, &seen), [2, 3, 4, 8]);
    assert!(hunt.pass(&seen).orphans.is_empty(), "only its parent collects the leader");
    assert_eq!(found(&mut hunt, &table(&processes[..1], &[], &[])), [0; 0]);
}

#[test]
fn attempt_is_found_by_its_cgroup() {
    let cgroup = Cgroup::at(PathBuf::from("/c/1"), PathBuf::from("/c/keepers"));
    let marks = AttemptMarks { cgroup: Some(cgroup), ..of_attempt(1, 100) };
    let mut seen = table(&[process(2, 60, 2, 50), process(3, 2, 3, 101), process(4, 60, 4, 101)], &[], &[]);
    seen.cgroups.insert(PathBuf::from("/c/1"), vec![BASE + 2]);
    seen.cgroups.insert(PathBuf::from("/c/2"), vec![BASE + 4]);
    assert_eq!(found(&mut Hunt::new(Criterion::Attempt(marks)), &seen), [2, 3], "whatever its age is");
}

#[test]
fn orphans_of_an_attempt_are_found_below_the_keeper_or_below_this_process() {
    let keeper = Process { started: 50, ..process(10, OWN, 10, 100) };
    let processes = [
        keeper.clone(),
        process(11, 10, 10, 100),          // the leader
        process(12, 10, 12, 100),          // escaped: only its parent shows its origin
        process(13, 12, 13, 100),          // its child
        process(20, OWN, 20, 100),         // the keeper of another attempt
        process(21, 20, 21, 100),          // escaped there
        process(30, OWN, OWN, 100),        // a child of this process
        process(31, OWN, 31, 100),         // adopted by this process
        process(32, 31, 32, 100),          // its child
        process(40, 60, 40, 100),          // a foreign process
        zombie(process(33, OWN, 31, 100)), // adopted, and dead
        zombie(process(34, OWN, 34, 100)), // dead, and in its own session: a keeper
    ];
    let keepers = [(10, "d:keeper:aa"), (20, "d:keeper:aa")];
    let marks = AttemptMarks { keeper: keeper.identity(), ..of_attempt(11, 60) };
    let mut hunt = Hunt::new(Criterion::Attempt(marks));
    assert_eq!(found(&mut hunt, &table(&processes, &[], &keepers)), [11, 12, 13]);
    let adopted: Vec<Process> = processes[1..]
        .iter()
        .map(|one| if one.parent == BASE + 10 { Process { parent: BASE + OWN, ..one.clone() } } else { one.clone() })
        .collect();
    let adopted = table(&adopted, &[], &keepers);
    assert_eq!(found(&mut hunt, &adopted), [11, 12, 13, 31, 32], "the keeper was killed");
    let orphans: Vec<i32> = hunt.pass(&adopted).orphans.iter().map(|pid| pid.as_raw_nonzero().get() - BASE).collect();
    assert_eq!(orphans, [33]);
}

#[test]
fn markers_match_the_attempt_the_run_or_the_data_folder() {
    let processes = [process(1, 60, 1, 1), process(2, 60, 2, 1), process(3, 60, 3, 1), process(4, 60, 4, 1)];
    let markers = [(1, "d:7:3:aa"), (2, "d:7:3:bb"), (3, "d:7:30:aa"), (4, "dd:7:3:aa"), (OWN, "d:7:3:aa")];
    let run = Run { data_dir_id: "d".into(), id: "aa".into() };
    for (criterion, expected) in [
        (Criterion::AttemptOfAnyRun("d:7:3:".into()), vec![1, 2]),
        (Criterion::Run(run), vec![1, 3]),
        (Criterion::DataDir("d".into()), vec![1, 2, 3]),
        (Criterion::DataDir("x".into()), vec![]),
    ] {
        let seen = table(&processes, &markers, &[]);
        assert_eq!(found(&mut Hunt::new(criterion.clone()), &seen), expected, "{criterion:?}");
    }
}

#[test]
fn this_process_is_never_found() {
    let processes = [process(OWN, 60, OWN, 100), process(2, OWN, OWN, 101), process(1, 60, 1, 100)];
    let seen = table(&processes, &[(OWN, "d:7:3:aa"), (1, "d:7:3:aa")], &[]);
    assert_eq!(found(&mut Hunt::new(Criterion::DataDir("d".into())), &seen), [1]);
    let outsiders = HashSet::from([processes[0].identity()]);
    let marks = AttemptMarks { outsiders, ..of_attempt(1, 100) };
    assert_eq!(found(&mut Hunt::new(Criterion::Attempt(marks)), &seen), [1, 2]);
}

#[test]
fn process_without_a_mark_is_found_by_its_group_and_its_parent() {
    let mut hunt = Hunt::new(Criterion::DataDir("d".into()));
    let processes = [
        process(10, 9, 10, 100),  // the leader, marked
        process(11, 60, 10, 101), // in its group
        process(12, 10, 12, 102), // its child in a group of its own
        process(13, 60, 13, 103), // marked, and in a group of a stranger
        process(14, 60, 14, 104), // a stranger
        process(15, 60, 10, 99),  // older than the leader
    ];
    assert_eq!(found(&mut hunt, &table(&processes, &[(10, "d:1:1:aa"), (13, "d:1:1:aa")], &[])), [10, 11, 12, 13]);
    assert_eq!(found(&mut hunt, &table(&processes[1..2], &[], &[])), [11], "the leader is gone, its group is not");
    assert_eq!(found(&mut hunt, &table(&processes[4..5], &[], &[])), [0; 0]);
    assert_eq!(
        found(&mut hunt, &table(&[process(11, 60, 10, 101)], &[], &[])),
        [0; 0],
        "an empty group is forgotten: another may get its id"
    );
}

#[test]
fn marked_member_does_not_make_its_group_a_match() {
    let processes = [process(20, 60, 20, 50), process(21, 60, 20, 100)];
    let seen = table(&processes, &[(21, "d:1:1:aa")], &[]);
    assert_eq!(found(&mut Hunt::new(Criterion::DataDir("d".into())), &seen), [21]);
}

#[test]
fn orphans_of_other_runs_are_found_below_their_keeper_and_keepers_are_spared() {
    let processes = [
        process(30, 9, 30, 100),  // a keeper
        process(31, 30, 31, 101), // its scanner, marked
        process(32, 30, 32, 102), // escaped, without any mark
        process(33, 32, 33, 103), // its child, which calls itself a keeper
        process(34, 33, 34, 104), // the child of that
        process(35, 60, 35, 105), // a stranger
        process(36, 9, 36, 106),  // a keeper of another data folder
        process(37, 36, 37, 107), // its scanner
    ];
    let keepers = [(30, "d:keeper:aa"), (33, "d:keeper:aa"), (36, "e:keeper:aa")];
    let markers = [(31, "d:1:1:aa"), (37, "e:1:1:aa")];
    let hunt = || Hunt::new(Criterion::DataDir("d".into()));
    assert_eq!(found(&mut hunt(), &table(&processes, &markers, &keepers)), [31, 32, 33, 34]);
    assert_eq!(found(&mut hunt(), &table(&processes[..1], &[], &keepers[..1])), [0; 0]);
}

#[test]
fn two_clean_passes_in_a_row_end_a_hunt() {
    let one = [process(1, 60, 1, 100)];
    let other = [process(1, 60, 1, 101)];
    let mut streak = CleanStreak::default();
    for (found, is_clean, stuck) in [
        (&[][..], false, 0),
        (&one, false, 0),
        (&one, false, 1),
        (&one, false, 2),
        (&other, false, 0),
        (&[], false, 0),
        (&other, false, 0),
        (&[], false, 0),
        (&[], true, 0),
        (&[], true, 0),
        (&one, false, 0),
    ] {
        streak.count(found);
        assert_eq!((streak.is_clean(), streak.stuck()), (is_clean, stuck), "{found:?} {streak:?}");
    }
}

#[test]
fn clearing_counts_each_process_once_and_not_the_connection() {
    let named = |pid, name: &str| Process { name: name.into(), ..process(pid, 60, pid, 100) };
    let found = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let mut count = Count::new(false);
    count.add(&[named(1, "a"), named(2, "b")]);
    count.add(&[named(1, "a")]);
    let expected = Cleared { found: found(&["a", "b"]), count: 2, left: 1, is_cut_off: false };
    assert_eq!(count.cleared, expected);

    let mut connected = Count::new(true);
    connected.add(&[named(1, "a")]);
    assert!(connected.cleared.is_cut_off);
    connected.add(&[named(2, "pasta.avx2"), named(3, "pasta.avx2")]);
    let expected = Cleared { found: found(&["a", "pasta.avx2"]), count: 2, left: 2, is_cut_off: false };
    assert_eq!(connected.cleared, expected, "a second connection is not the attempt's");
}
