//! Isolates an attempt from the server, from other attempts and from the machine, by its user, its
//! limits, its cgroup and its temporary files.
//!
//! This module starts no processes: the [`keeper`](super::keeper) applies these settings to the
//! scanner that it starts.

mod cgroup;
mod folders;
mod holds;
mod limits;
mod tmp;
mod user;

use std::path::PathBuf;
use std::time::Duration;

use super::egress::EgressLimit;

pub(super) use cgroup::{Cgroup, Cgroups};
pub(super) use folders::{hand_back, let_through, remove_below, share};
pub use holds::{CgroupState, Holds, holds};
pub(super) use holds::{can_run_as, may_mount, not_open, tasks_of};
pub use limits::Limits;
pub(super) use limits::RlimitRule;
pub(super) use tmp::may_be_private;
pub use user::{RunAs, RunAsError};

/// The isolation settings of attempts.
#[derive(Debug, Clone)]
pub struct Isolation {
    /// The program whose `keeper` command supervises the processes of an attempt: this program.
    pub keeper: PathBuf,
    /// The user of the scanners. `None`: the server's user.
    pub run_as: Option<RunAs>,
    /// The resource limits of an attempt.
    pub limits: Limits,
    /// True if an attempt gets its own `/tmp` on machines that allow it.
    pub private_tmp: bool,
    /// The egress limit, with the addresses that an attempt may reach in addition to its target and
    /// the resolvers. `None`: no limit.
    pub egress: Option<EgressLimit>,
    /// The maximum number of concurrent attempts: limits per user are the sum over all of them.
    pub at_once: usize,
    /// The maximum duration of an attempt.
    pub wall_clock: Duration,
    /// Kastrel's folders above those of attempts, which must be passable for another user's
    /// scanner.
    pub own_folders: Vec<PathBuf>,
}

impl Default for Isolation {
    fn default() -> Self {
        Self {
            keeper: super::OURSELVES.into(),
            run_as: None,
            limits: Limits::default(),
            private_tmp: true,
            egress: None,
            at_once: 4,
            wall_clock: Duration::from_secs(3600),
            own_folders: Vec::new(),
        }
    }
}
