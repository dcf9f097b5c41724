//! The commands that change a row. [`crate::policy::transition`] defines the effect of each command
//! in each state.

use std::time::Duration;

use super::{Failure, FencingToken, Interruption, NodeId, PluginResult, Principal, ProjectId, ScannerInfo, Verdict};

named_enum! {
    /// The origin of a cancel.
    pub enum CancelledBy {
        /// A user, in a browser, by API or on the command line.
        User = "user",
        /// Ctrl-C at `kastrel scan`.
        Interrupt = "interrupt",
    }
}

/// The effect on a scan when one of its attempts ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The scan is completed.
    Complete(Verdict),
    /// The scan is completed according to the files of an attempt that no process supervised any
    /// more when the files were read. A cancel that was requested before takes precedence.
    Adopt(Verdict),
    /// The attempt failed and the scan is retried; counts as a failure.
    Retry {
        /// The failure of this attempt.
        failure: Failure,
        /// The minimum delay between the end of this attempt and the start of the next. A duration
        /// and not a point in time: the store adds it to its own clock, so this node's clock does
        /// not matter.
        after: Duration,
    },
    /// The attempt failed, and the scan fails with it.
    Fail(Failure),
    /// Kastrel interrupted the attempt. The scan is due at once and no failure is counted.
    Requeue(Interruption),
    /// The node lacked something that every scan needs; the text says what, for people. The scan is
    /// due at once and no failure is counted.
    HoldBack(String),
    /// A user's cancel took effect.
    Cancel(CancelledBy),
}

/// A change of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Grants the lease of the next attempt to `node`.
    Lease {
        /// The node; its own lease must be valid.
        node: NodeId,
    },
    /// Records the plugins' state of a running attempt.
    Progress {
        /// The attempt's token.
        token: FencingToken,
        /// The scanner that runs.
        scanner: Option<ScannerInfo>,
        /// All plugins.
        plugins: Vec<PluginResult>,
    },
    /// Ends a running attempt.
    Finish {
        /// The attempt's token.
        token: FencingToken,
        /// The effect on the scan.
        resolution: Resolution,
        /// The plugins' last state, kept even if the attempt failed. `None` keeps the recorded
        /// state.
        plugins: Option<Vec<PluginResult>>,
    },
    /// Requests the end of the scan.
    Cancel {
        /// The origin of the request.
        by: CancelledBy,
        /// Who requests it.
        principal: Principal,
    },
    /// Transfers a scan that has ended to another project.
    Transfer {
        /// The project in which it must still be: the right to transfer it was decided there.
        from: ProjectId,
        /// The project in which it is then.
        to: ProjectId,
        /// Who requests it.
        principal: Principal,
    },
    /// Takes a running scan from a node whose lease has ended, or that is known to be dead.
    Rescue {
        /// The node that must still run the scan.
        from: NodeId,
        /// The attempt's token, as the reconciler read it.
        token: FencingToken,
        /// The effect on the scan.
        resolution: Resolution,
    },
}

impl Command {
    /// The name of the command, in metrics and spans.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lease { .. } => "lease",
            Self::Progress { .. } => "progress",
            Self::Finish { .. } => "finish",
            Self::Cancel { .. } => "cancel",
            Self::Transfer { .. } => "transfer",
            Self::Rescue { .. } => "rescue",
        }
    }
}
