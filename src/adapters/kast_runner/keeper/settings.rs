//! What a keeper is told once, on its command line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::isolation::{RlimitRule, RunAs};

/// How a keeper starts every scanner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct KeeperSettings {
    /// The user, its first group and its other groups.
    pub(in super::super) user: Option<(u32, u32, Vec<u32>)>,
    pub(in super::super) rlimits: Vec<RlimitRule>,
    /// The keeper's own cgroup, which its attempts are in as well, and where it goes while it kills
    /// that.
    pub(in super::super) cgroup: Option<(PathBuf, PathBuf)>,
    /// Whether attempts get a `/tmp` of their own.
    pub(in super::super) private_tmp: bool,
}

impl KeeperSettings {
    /// With the user as numbers.
    pub(in super::super) fn of_user(user: Option<&RunAs>) -> Option<(u32, u32, Vec<u32>)> {
        user.map(|user| (user.uid, user.gid, user.groups.clone()))
    }
}
