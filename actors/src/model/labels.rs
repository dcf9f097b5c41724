//! The short names of outcomes: labels of metrics and spans, and words of the API and the pages.

use super::{AttemptEnd, ExitKind};

named_enum! {
    /// How an attempt ended, without its details.
    pub enum AttemptOutcome {
        /// It ran to its end.
        Completed = "completed",
        /// It failed.
        Failed = "failed",
        /// Kastrel interrupted it.
        Interrupted = "interrupted",
        /// A user cancelled it.
        Cancelled = "cancelled",
    }
}

named_enum! {
    /// How a scanner's process ended, in few classes.
    pub enum ExitClass {
        /// With exit code 0.
        Success = "success",
        /// With exit code 2: it refused its arguments.
        Usage = "usage",
        /// With another exit code.
        Error = "error",
        /// By a signal.
        Signal = "signal",
        /// The system did not report how.
        Unknown = "unknown",
    }
}

named_enum! {
    /// The result of a request for a node's lease, or for its renewal.
    pub enum LeaseResult {
        /// The node has the lease.
        Granted = "granted",
        /// Another node ended the lease.
        Refused = "refused",
        /// The store did not respond.
        Error = "error",
    }
}

impl AttemptEnd {
    /// Returns how the attempt ended, without its details.
    #[must_use]
    pub const fn outcome(&self) -> AttemptOutcome {
        match self {
            Self::Completed(_) => AttemptOutcome::Completed,
            Self::Failed(_) => AttemptOutcome::Failed,
            Self::Interrupted { .. } => AttemptOutcome::Interrupted,
            Self::Cancelled => AttemptOutcome::Cancelled,
        }
    }

    /// Returns the kind of failure or interruption, if there was one.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Failed(failure) => Some(failure.kind.as_str()),
            Self::Interrupted { why, .. } => Some(why.as_str()),
            Self::Completed(_) | Self::Cancelled => None,
        }
    }

    /// Returns the failure, or the cause of the interruption, in words.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Failed(failure) => Some(&failure.detail),
            Self::Interrupted { detail, .. } => detail.as_deref(),
            Self::Completed(_) | Self::Cancelled => None,
        }
    }
}

impl ExitKind {
    /// Returns the class of the exit.
    #[must_use]
    pub const fn class(self) -> ExitClass {
        match self {
            Self::Code(0) => ExitClass::Success,
            Self::Code(2) => ExitClass::Usage,
            Self::Code(_) => ExitClass::Error,
            Self::Signal(_) => ExitClass::Signal,
            Self::Unknown => ExitClass::Unknown,
        }
    }
}
