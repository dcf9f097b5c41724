//! Reads processes from `/proc`: their identity, their parents, and the markers of attempts in
//! their environment.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal};

use super::environment::{KEEPER_VARIABLE, MARKER_VARIABLE, marker_of_connection};

/// The maximum number of bytes of an environment that are searched for the marker.
const MOST_ENVIRONMENT: u64 = 2 << 20;
/// The maximum number of descendants that a search follows.
const MOST_DESCENDANTS: usize = 4_096;

/// A process at one point in time. The id and the start time together are unique, because the
/// kernel reuses ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// The start time in clock ticks since the machine's boot.
    pub(super) started: u64,
    /// True if the process is dead and its parent has not collected it yet.
    pub(super) is_zombie: bool,
    /// The short name, which the program may have chosen itself.
    pub(super) name: String,
}

/// The origin that a process claims. A scanner can claim anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The marker of the process's attempt.
    pub(super) attempt: Option<String>,
    /// The mark of a keeper.
    pub(super) keeper: Option<String>,
}

impl Process {
    /// Reads one process. Returns `None` if it does not exist.
    pub(super) fn read(pid: i32) -> Option<Self> {
        parse_stat(&String::from_utf8_lossy(&read_bounded(Path::new(&format!("/proc/{pid}/stat")), 4096)?))
    }

    /// The process id as a number.
    pub(super) fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// The pair of id and start time, which is unique.
    pub(super) fn identity(&self) -> (i32, u64) {
        (self.id(), self.started)
    }

    /// Reads the marks in the environment.
    pub(super) fn marks(&self) -> Marks {
        let read = read_bounded(Path::new(&format!("/proc/{}/environ", self.pid.as_raw_nonzero())), MOST_ENVIRONMENT);
        let environment = read.unwrap_or_default();
        let value = |name: &str| {
            environment.split(|byte| *byte == 0).find_map(|variable| {
                let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
                Some(String::from_utf8_lossy(value).into_owned())
            })
        };
        Marks {
            attempt: value(MARKER_VARIABLE).or_else(|| self.marker_of_connection()),
            keeper: value(KEEPER_VARIABLE),
        }
    }

    /// Reads the marker of a process that connects an attempt's network. Its environment is not
    /// readable for its own user, so the marker is part of its name.
    fn marker_of_connection(&self) -> Option<String> {
        let line = read_bounded(Path::new(&format!("/proc/{}/cmdline", self.pid.as_raw_nonzero())), MOST_ENVIRONMENT)?;
        let name = String::from_utf8_lossy(line.split(|byte| *byte == 0).next()?).into_owned();
        marker_of_connection(&name).map(str::to_owned)
    }

    /// Kills exactly this process, and never another one with a reused id.
    pub(super) fn kill(&self) {
        let Ok(handle) = rustix::process::pidfd_open(self.pid, PidfdFlags::empty()) else { return };
        // The handle refers to the process that had the id when it was opened. If that is still
        // this process now, the signal reaches it and no other.
        if Self::read(self.id()).is_some_and(|now| now.started == self.started) {
            let _gone_already = rustix::process::pidfd_send_signal(handle, Signal::KILL);
        }
    }

    /// Kills the process like [`kill`](Self::kill). First sets its process limit to 0, so that it
    /// cannot start another process, unless limits do not apply to its user.
    pub(super) fn end(&self) {
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        if Self::read(self.id()).is_some_and(|now| now.started == self.started) {
            let _not_ours = rustix::process::prlimit(Some(self.pid), Resource::Nproc, none);
        }
        self.kill();
    }
}

/// Returns all visible processes.
pub(super) fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Returns the descendants of a living process, including zombies, by the kernel's lists of
/// children. Empty if the kernel has no such lists.
pub(super) fn descendants(pid: Pid) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    // A process that gets another parent meanwhile may be found twice.
    let mut next = vec![pid.as_raw_nonzero().get()];
    while let Some(parent) = next.pop() {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{parent}/task")) else { continue };
        for thread in threads.flatten() {
            let Some(list) = read_bounded(&thread.path().join("children"), 1 << 20) else { continue };
            for child in
                String::from_utf8_lossy(&list).split_ascii_whitespace().filter_map(|text| text.parse::<i32>().ok())
            {
                if found.len() >= MOST_DESCENDANTS {
                    return found;
                }
                if let Some(process) = Process::read(child) {
                    found.push(process);
                    next.push(child);
                }
            }
        }
    }
    found
}

/// Adds all processes of `table` that descend from a member to `members`.
pub(super) fn close_over_children(members: &mut HashSet<i32>, table: &[Process]) {
    loop {
        let before = members.len();
        for process in table {
            if members.contains(&process.parent) {
                members.insert(process.id());
            }
        }
        if members.len() == before {
            return;
        }
    }
}

fn read_bounded(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(1024);
    std::fs::File::open(path).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Parses a line of `/proc/<pid>/stat`: `pid (name) state ppid pgrp …`, with the start time as
/// field 22. The name may contain any character, including `)`.
fn parse_stat(line: &str) -> Option<Process> {
    let (pid, rest) = line.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Process {
        pid: Pid::from_raw(pid.parse().ok()?)?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        is_zombie: matches!(*fields.first()?, "Z" | "X" | "x"),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_name_cannot_forge_the_other_fields() {
        let process =
            parse_stat("42 (a) Z 1 1 (x) S 7 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2 3").unwrap();
        assert_eq!(
            (process.pid.as_raw_nonzero().get(), process.parent, process.group, process.session, process.started),
            (42, 7, 40, 39, 12345)
        );
        assert_eq!((process.name.as_str(), process.is_zombie), ("a) Z 1 1 (x", false));
        assert!(parse_stat("42 (sh) Z 7 40 39 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9").unwrap().is_zombie);
        for bad in ["", "42", "42 (x", "42 (x) S", "0 (x) S 7 40 39 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9"] {
            assert_eq!(parse_stat(bad), None, "{bad}");
        }
    }

    #[test]
    fn process_list_contains_this_process() {
        let own = rustix::process::getpid();
        let found = all().into_iter().find(|process| process.pid == own).unwrap();
        assert_eq!(Process::read(own.as_raw_nonzero().get()).unwrap().started, found.started);
    }

    #[test]
    fn descendants_are_found_in_any_order() {
        let of = |pid: i32, parent: i32| Process {
            pid: Pid::from_raw(pid).unwrap(),
            parent,
            group: 1,
            session: 1,
            started: 0,
            is_zombie: false,
            name: String::new(),
        };
        let table = [of(50, 40), of(40, 30), of(30, 20), of(60, 1)];
        let mut members = HashSet::from([20]);
        close_over_children(&mut members, &table);
        assert_eq!(members, HashSet::from([20, 30, 40, 50]));
    }
}
