//! What keeps an attempt apart from the server, from other attempts and from the machine: its user,
//! its limits, its cgroup and its temporary files.
//!
//! Nothing here starts a process: the [`keeper`](super::keeper) applies what is decided here to the
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

/// How attempts are kept apart.
#[derive(Debug, Clone)]
pub struct Isolation {
    /// The program whose `keeper` command holds the processes of an attempt together: this one.
    pub keeper: PathBuf,
    /// The user that scanners run as; `None`: the server's.
    pub run_as: Option<RunAs>,
    /// What an attempt may take.
    pub limits: Limits,
    /// Whether an attempt gets a `/tmp` of its own where that can be had.
    pub private_tmp: bool,
    /// Whether an attempt reaches its target and the resolvers alone, and what else.
    pub egress: Option<EgressLimit>,
    /// How many attempts run at once at most: limits that count per user are for all of them.
    pub at_once: usize,
    /// The longest that an attempt may take.
    pub wall_clock: Duration,
    /// Folders of ours that lie above those of attempts, which another user's scanner must be let
    /// through.
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
