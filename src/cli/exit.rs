//! Exit codes: what a script learns from a command.

use std::process::ExitCode;

use kastrel_actors::model::{ScanStatus, Severity};

use super::view::ScanView;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; a scan that was followed completed.
    Done,
    /// The scan failed, or the command could not do its work.
    Failed,
    /// The command line, the request or the configuration is wrong.
    Usage,
    /// The scan was cancelled by somebody else.
    Cancelled,
    /// The server does not answer.
    Unreachable,
    /// The database has lost rows or is damaged; nothing is done with it.
    Storage,
    /// The scan completed and found an issue that `--fail-on` names.
    Found,
    /// Interrupted: the scan was cancelled from here.
    Interrupted,
}

impl Exit {
    /// All, in the order of their codes.
    pub const ALL: &'static [Self] =
        &[Self::Done, Self::Failed, Self::Usage, Self::Cancelled, Self::Unreachable, Self::Storage, Self::Found, Self::Interrupted];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Cancelled => 3,
            Self::Unreachable => 4,
            Self::Storage => 5,
            Self::Found => 10,
            Self::Interrupted => 130,
        }
    }

    /// What it means, for the help text.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; a scan that was waited for completed",
            Self::Failed => "the scan failed, or the command could not do its work",
            Self::Usage => "wrong arguments, request or configuration",
            Self::Cancelled => "the scan was cancelled by somebody else",
            Self::Unreachable => "the server does not answer",
            Self::Storage => "the database has lost rows or is damaged; the message says what to do",
            Self::Found => "the scan completed with an issue at or above --fail-on",
            Self::Interrupted => "interrupted by Ctrl-C, SIGTERM or SIGHUP; the scan was cancelled",
        }
    }

    /// The exit of a command that waited for a scan's end.
    #[must_use]
    pub fn of_scan(scan: &ScanView, interrupted: bool, fail_on: Option<Severity>) -> Self {
        match scan.status {
            ScanStatus::Completed if fail_on.is_some_and(|least| scan.has_issue_at_least(least)) => Self::Found,
            ScanStatus::Completed => Self::Done,
            ScanStatus::Cancelled if interrupted => Self::Interrupted,
            ScanStatus::Cancelled => Self::Cancelled,
            // Unfinished scans are not asked for their exit; if one is, it did not complete.
            ScanStatus::Failed | ScanStatus::Pending | ScanStatus::Running => Self::Failed,
        }
    }

    /// The part of `--help` that lists the codes.
    #[must_use]
    pub fn help() -> String {
        Self::ALL.iter().fold(String::from("Exit codes:"), |text, exit| format!("{text}\n  {:>3}  {}", exit.code(), exit.meaning()))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::view::tests::{one, view};

    #[test]
    fn the_outcome_decides() {
        let with = |status, severity: Option<Severity>| {
            let mut scan = view(status);
            scan.severities = severity.map(one).unwrap_or_default();
            scan
        };
        use ScanStatus as S;
        use Severity as V;
        for (status, issue, interrupted, fail_on, expected) in [
            (S::Completed, None, false, None, 0),
            (S::Completed, Some(V::Critical), false, None, 0),
            (S::Completed, Some(V::High), false, Some(V::High), 10),
            (S::Completed, Some(V::Critical), false, Some(V::High), 10),
            (S::Completed, Some(V::Medium), false, Some(V::High), 0),
            (S::Completed, Some(V::Unknown), false, Some(V::Informational), 0),
            (S::Completed, Some(V::Unknown), false, Some(V::Unknown), 10),
            (S::Completed, None, true, None, 0),
            (S::Failed, Some(V::High), false, Some(V::High), 1),
            (S::Failed, None, true, None, 1),
            (S::Cancelled, None, false, None, 3),
            (S::Cancelled, None, true, None, 130),
        ] {
            assert_eq!(Exit::of_scan(&with(status, issue), interrupted, fail_on).code(), expected, "{status} {issue:?} {interrupted} {fail_on:?}");
        }
    }
}
