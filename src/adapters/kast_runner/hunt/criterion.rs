//! The criteria of a hunt: the marks by which the processes of attempts are recognized.

use std::collections::HashSet;

use rustix::process::Pid;

use super::super::isolation::Cgroup;
use super::super::run::{self, Run};

/// The processes that a hunt searches for.
#[derive(Debug, Clone)]
pub(in super::super) enum Criterion {
    /// One attempt of this process, whose leader is not collected yet.
    Attempt(AttemptMarks),
    /// One attempt, in any run: the text with which its markers begin.
    AttemptOfAnyRun(String),
    /// All attempts of one run.
    Run(Run),
    /// All attempts of a data folder, in any run.
    DataDir(String),
}

/// The properties that identify the processes of an attempt of this process.
#[derive(Debug, Clone)]
pub(in super::super) struct AttemptMarks {
    pub(in super::super) group: Pid,
    /// The start time of the leader, in the kernel's ticks. The processes that it starts are never
    /// older.
    pub(in super::super) since: u64,
    pub(in super::super) marker: String,
    /// The keeper, by id and start time. All of its descendants belong to the attempt.
    pub(in super::super) keeper: (i32, u64),
    pub(in super::super) cgroup: Option<Cgroup>,
    /// Descendants that were seen outside the group, by id and start time.
    pub(in super::super) outsiders: HashSet<(i32, u64)>,
    /// True if a process of Kastrel connects the attempt's network to the outside.
    pub(in super::super) is_connected: bool,
}

impl Criterion {
    /// The start time of the oldest process that may match.
    pub(super) const fn since(&self) -> u64 {
        match self {
            Self::Attempt(marks) => marks.since,
            Self::AttemptOfAnyRun(_) | Self::Run(_) | Self::DataDir(_) => 0,
        }
    }

    /// The cgroup whose members match.
    pub(super) const fn cgroup(&self) -> Option<&Cgroup> {
        match self {
            Self::Attempt(marks) => marks.cgroup.as_ref(),
            Self::AttemptOfAnyRun(_) | Self::Run(_) | Self::DataDir(_) => None,
        }
    }

    /// Returns true if the marker of a process, or the mark of a keeper, matches.
    pub(super) fn is_wanted(&self, mark: &str) -> bool {
        match self {
            Self::Attempt(marks) => mark == marks.marker,
            Self::AttemptOfAnyRun(start) => mark.starts_with(start),
            Self::Run(run) => run.owns(mark),
            Self::DataDir(id) => run::is_of_data_dir(id, mark),
        }
    }
}
