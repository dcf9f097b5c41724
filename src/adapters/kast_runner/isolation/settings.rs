//! The isolation settings of attempts.

use std::path::PathBuf;
use std::time::Duration;

use super::super::egress::EgressLimit;
use super::super::own_program::OURSELVES;
use super::{Limits, RunAs};

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
            keeper: OURSELVES.into(),
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
