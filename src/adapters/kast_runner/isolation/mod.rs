//! Isolates an attempt from the server, from other attempts and from the machine, by its user, its
//! limits, its cgroup and its temporary files.
//!
//! This module starts no processes: the [`keeper`](super::keeper) applies these settings to the
//! scanner that it starts.

mod cgroup;
mod controllers;
mod folders;
mod holds;
mod limits;
mod settings;
mod tmp;
mod user;

pub(super) use cgroup::{Cgroup, Cgroups};
pub(super) use folders::{hand_back, let_through, remove_below, share};
pub use holds::{CgroupState, Holds, holds};
pub(super) use holds::{can_run_as, may_mount, not_open, tasks_of};
pub use limits::Limits;
pub(super) use limits::RlimitRule;
pub use settings::Isolation;
pub(super) use tmp::may_be_private;
pub use user::{RunAs, RunAsError};
