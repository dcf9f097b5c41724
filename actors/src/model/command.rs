//! What can be asked of a row. [`crate::policy::transition`] says what each command does in each
//! state.

use std::time::Duration;

use super::{Failure, FencingToken, Interruption, NodeId, PluginResult, ScannerInfo, Verdict};

named_enum! {
    /// Who asked for a cancel.
    pub enum CancelledBy {
        /// A user, in a browser, by API or on the command line.
        User = "user",
        /// Ctrl-C at `kastrel scan`.
        Interrupt = "interrupt",
    }
}

/// What becomes of a scan when one of its attempts ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Done.
    Complete(Verdict),
    /// Done, as the files of the attempt say, which nobody ran any more when they were read. A
    /// cancel that was asked for by then comes first.
    Adopt(Verdict),
    /// The attempt failed and the scan is tried again; counts as a failure.
    Retry {
        /// How it failed.
        failure: Failure,
        /// How long after the end of this attempt the next may start at the earliest. A time and
        /// not a moment: the store counts it from its own now, whatever this node's clock says.
        after: Duration,
    },
    /// The attempt failed and the scan with it.
    Fail(Failure),
    /// We interrupted the attempt; the scan is due at once and no failure is counted.
    Requeue(Interruption),
    /// The node lacked something that every scan needs, here in words for a person; the scan is due
    /// at once and no failure is counted.
    HoldBack(String),
    /// A user's cancel took effect.
    Cancel(CancelledBy),
}

/// A change that is asked of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Grants the next attempt to `node`.
    Lease {
        /// The node; its own lease must be good.
        node: NodeId,
    },
    /// Records the plugins' state of a running attempt.
    Progress {
        /// The attempt's token.
        token: FencingToken,
        /// Which scanner runs.
        scanner: Option<ScannerInfo>,
        /// All plugins.
        plugins: Vec<PluginResult>,
    },
    /// Ends a running attempt.
    Finish {
        /// The attempt's token.
        token: FencingToken,
        /// What becomes of the scan.
        resolution: Resolution,
        /// The plugins' last state, kept also when the attempt failed; `None` keeps what was
        /// recorded.
        plugins: Option<Vec<PluginResult>>,
    },
    /// Asks for the scan's end.
    Cancel {
        /// Who asked.
        by: CancelledBy,
    },
    /// Takes a running scan from a node whose lease has ended, or that is known to be dead.
    Rescue {
        /// The node that must still be the scan's.
        from: NodeId,
        /// The attempt's token, as the reconciler saw it.
        token: FencingToken,
        /// What becomes of the scan.
        resolution: Resolution,
    },
}
