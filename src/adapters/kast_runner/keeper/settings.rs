//! The settings of a keeper, which it gets once, on its command line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::isolation::{RlimitRule, RunAs};

/// How a keeper starts every scanner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct KeeperSettings {
    /// The ids of the user, its first group and its other groups.
    pub(in super::super) user: Option<(u32, u32, Vec<u32>)>,
    pub(in super::super) rlimits: Vec<RlimitRule>,
    /// The cgroup of the keeper and its attempts, and the cgroup to which the keeper moves while it
    /// kills the first one.
    pub(in super::super) cgroup: Option<(PathBuf, PathBuf)>,
    /// True if attempts get their own `/tmp`.
    pub(in super::super) private_tmp: bool,
}

impl KeeperSettings {
    /// The ids of a user.
    pub(in super::super) fn of_user(user: Option<&RunAs>) -> Option<(u32, u32, Vec<u32>)> {
        user.map(|user| (user.uid, user.gid, user.groups.clone()))
    }
}
