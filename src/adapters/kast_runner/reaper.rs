//! Sees to it that nothing an attempt started survives it: the members of its group, the processes that carry its marker, and their descendants.
//!
//! One thread serves all attempts of a runner: each pass over `/proc` looks for all attempts that end at that time, so that ending 500 at once costs
//! little more than ending one. What drops every mark of its origin before
//! its parent ends by itself (environment, group and session) cannot be found.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::proc_table::{self, Process};
use super::process::Leader;

/// The pause between two passes.
const PAUSE: Duration = Duration::from_millis(3);
/// After this many passes in a row without a find the attempt counts as cleared: a process is invisible for a moment while it replaces its program.
const CLEAN_PASSES: u32 = 2;
/// A process that SIGKILL does not end within this time hangs in the kernel; we report it and go on.
const LIMIT: Duration = Duration::from_secs(10);

/// What was cleared away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cleared {
    /// The names of the processes that were found alive.
    pub(super) found: BTreeSet<String>,
    /// How many were found alive.
    pub(super) count: usize,
    /// How many are alive still.
    pub(super) left: usize,
}

struct Request {
    leader: Arc<Leader>,
    done: oneshot::Sender<Cleared>,
    hunt: Hunt,
}

/// The search for one attempt's processes.
struct Hunt {
    group: i32,
    since: u64,
    marker: String,
    outsiders: HashSet<(i32, u64)>,
    until: Instant,
    clean: u32,
    seen: HashSet<(i32, u64)>,
    cleared: Cleared,
}

impl Hunt {
    fn new(group: Pid, since: u64, marker: &str, outsiders: HashSet<(i32, u64)>) -> Self {
        Self {
            group: group.as_raw_nonzero().get(),
            since,
            marker: marker.to_owned(),
            outsiders,
            until: Instant::now() + LIMIT,
            clean: 0,
            seen: HashSet::new(),
            cleared: Cleared::default(),
        }
    }

    /// Kills the attempt's processes in `table`; tells whether the search is over.
    fn pass(&mut self, table: &[Process], markers: &HashMap<Pid, String>) -> bool {
        let mut members: HashSet<i32> = table
            .iter()
            .filter(|process| process.started >= self.since)
            .filter(|process| process.group == self.group || markers.get(&process.pid) == Some(&self.marker) || self.outsiders.contains(&process.identity()))
            .map(|process| process.pid.as_raw_nonzero().get())
            .collect();
        members.insert(self.group);
        proc_table::close_over_children(&mut members, table);
        let alive = table.iter().filter(|process| !process.is_zombie && members.contains(&process.pid.as_raw_nonzero().get()));
        let mut count = 0;
        for process in alive {
            count += 1;
            if self.seen.insert(process.identity()) {
                self.cleared.count += 1;
                self.cleared.found.insert(process.name.clone());
            }
            process.kill();
        }
        self.cleared.left = count;
        self.clean = if count == 0 { self.clean + 1 } else { 0 };
        self.clean >= CLEAN_PASSES || Instant::now() >= self.until
    }
}

/// The markers of all processes that are not older than `since`.
fn markers(table: &[Process], since: u64) -> HashMap<Pid, String> {
    table.iter().filter(|process| process.started >= since && !process.is_zombie).filter_map(|process| Some((process.pid, process.marker()?))).collect()
}

/// The thread's other end.
#[derive(Debug, Clone)]
pub(super) struct Reaper(Sender<Request>);

impl Reaper {
    /// Starts the thread; it ends with the last clone.
    pub(super) fn start() -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        std::thread::Builder::new().name("kast-reaper".into()).spawn(move || serve(&receiver))?;
        Ok(Self(sender))
    }

    /// Kills whatever is left of the attempt of an ended leader, which must not be collected before.
    pub(super) async fn clear(&self, leader: &Arc<Leader>) -> Cleared {
        let (done, answer) = oneshot::channel();
        let hunt = Hunt::new(leader.pid(), leader.started(), leader.marker(), leader.outsiders());
        if self.0.send(Request { leader: Arc::clone(leader), done, hunt }).is_err() {
            return Cleared::default();
        }
        answer.await.unwrap_or_default()
    }
}

fn serve(requests: &Receiver<Request>) {
    let mut open: Vec<Request> = Vec::new();
    loop {
        if open.is_empty() {
            let Ok(request) = requests.recv() else { return };
            open.push(request);
        }
        open.extend(requests.try_iter());
        let table = proc_table::all();
        let markers = markers(&table, open.iter().map(|request| request.hunt.since).min().unwrap_or(0));
        let mut still_open = Vec::new();
        for mut request in open {
            if request.hunt.pass(&table, &markers) {
                let _nobody_waits = request.done.send(request.hunt.cleared);
            } else {
                // At once and as one, so that no member can start another between two kills.
                request.leader.signal_group(Signal::KILL);
                still_open.push(request);
            }
        }
        open = still_open;
        if !open.is_empty() {
            match requests.recv_timeout(PAUSE) {
                Ok(request) => open.push(request),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }
}

/// The same for one attempt on the calling thread, which must be one that may block.
pub(super) fn clear_blocking(group: Pid, since: u64, marker: &str, outsiders: HashSet<(i32, u64)>) -> Cleared {
    let (_keep_open, pause) = channel::<()>();
    let mut hunt = Hunt::new(group, since, marker, outsiders);
    loop {
        let table = proc_table::all();
        if hunt.pass(&table, &markers(&table, since)) {
            return hunt.cleared;
        }
        let _timeout = pause.recv_timeout(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32, started: u64, is_zombie: bool) -> Process {
        // Ids beyond the kernel's largest, so that no real process is ever meant.
        Process { pid: Pid::from_raw(pid).unwrap(), parent, group, started, is_zombie, name: format!("p{pid}") }
    }

    #[test]
    fn members_are_found_by_group_marker_and_descent_and_nobody_else() {
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
        let markers = HashMap::from([(table[2].pid, "d:1:1".to_owned()), (table[4].pid, "d:2:1".to_owned())]);
        let mut hunt = Hunt::new(table[0].pid, 100, "d:1:1", HashSet::from([table[7].identity(), (id(9), 101)]));
        assert!(!hunt.pass(&table, &markers));
        let expected: BTreeSet<String> = [2, 3, 4, 8].map(|n| format!("p{}", id(n))).into();
        assert_eq!(hunt.cleared, Cleared { found: expected, count: 4, left: 4 });
        assert!(!hunt.pass(&table[..1], &markers));
        assert!(hunt.pass(&table[..1], &markers), "two clean passes are the end");
        assert_eq!((hunt.cleared.count, hunt.cleared.left), (4, 0));
    }
}
