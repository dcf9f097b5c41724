//! The exit codes of the commands, for scripts.

use std::process::ExitCode;

use kastrel_actors::model::ScanStatus;

use super::gate::Judgement;

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Success. A followed scan completed.
    Done,
    /// The scan failed, or the command failed.
    Failed,
    /// The command line, the request or the configuration is invalid.
    Usage,
    /// The scan was cancelled by another user or program.
    Cancelled,
    /// The server does not respond.
    Unreachable,
    /// The database has lost rows or is damaged, and is not used.
    Storage,
    /// The scan found an issue at or above the severity of `--fail-on`.
    Found,
    /// Checks that `--require-coverage` requires did not run.
    Uncovered,
    /// The command was interrupted: it cancelled the scan.
    Interrupted,
}

impl Exit {
    /// All exits, in the order of their codes.
    pub const ALL: &'static [Self] = &[
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Cancelled,
        Self::Unreachable,
        Self::Storage,
        Self::Found,
        Self::Uncovered,
        Self::Interrupted,
    ];

    /// Returns the exit code.
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
            Self::Uncovered => 11,
            Self::Interrupted => 130,
        }
    }

    /// Returns the meaning of the code, for the help text.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "success; a followed scan completed and passed its gate",
            Self::Failed => {
                "the scan failed, or nothing could be checked, and no gate set another code; or the command failed"
            }
            Self::Usage => "wrong arguments, request or configuration",
            Self::Cancelled => "the scan was cancelled elsewhere",
            Self::Unreachable => "the server does not answer",
            Self::Storage => "the database has lost rows or is damaged; the message states the next step",
            Self::Found => "the scan found an issue at or above --fail-on, or of unknown severity",
            Self::Uncovered => "coverage is incomplete: not every check of --require-coverage ran",
            Self::Interrupted => "interrupted by Ctrl-C, SIGTERM or SIGHUP; the scan was cancelled",
        }
    }

    /// Returns the exit of a command that waited for the end of a scan. A failed scan never passes,
    /// but the gate has the more specific code. A cancelled scan has its own code.
    #[must_use]
    pub const fn of_scan(status: ScanStatus, interrupted: bool, judgement: &Judgement) -> Self {
        match status {
            ScanStatus::Completed => judgement.exit(),
            ScanStatus::Cancelled if interrupted => Self::Interrupted,
            ScanStatus::Cancelled => Self::Cancelled,
            ScanStatus::Failed => match judgement.exit() {
                Self::Done => Self::Failed,
                refused => refused,
            },
            // Unfinished scans have no exit; if called with one, it did not complete.
            ScanStatus::Pending | ScanStatus::Running => Self::Failed,
        }
    }

    /// Returns the section of `--help` that lists the codes.
    #[must_use]
    pub fn help() -> String {
        Self::ALL
            .iter()
            .fold(String::from("Exit codes:"), |text, exit| format!("{text}\n  {:>3}  {}", exit.code(), exit.meaning()))
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

    #[test]
    fn only_a_scan_that_completed_can_pass() {
        use ScanStatus as S;
        let pass = Judgement::default();
        let found = Judgement { found: 2, ..Judgement::default() };
        let uncovered = Judgement { uncovered: vec!["Failed: testssl".into()], ..Judgement::default() };
        let both = Judgement { found: 1, ..uncovered.clone() };
        for (status, interrupted, judgement, expected) in [
            (S::Completed, false, &pass, 0),
            (S::Completed, true, &pass, 0),
            (S::Completed, false, &found, 10),
            (S::Completed, false, &uncovered, 11),
            (S::Completed, false, &both, 10),
            (S::Failed, false, &pass, 1),
            (S::Failed, true, &found, 10),
            (S::Failed, false, &uncovered, 11),
            (S::Failed, false, &both, 10),
            (S::Cancelled, false, &pass, 3),
            (S::Cancelled, true, &pass, 130),
            (S::Cancelled, false, &both, 3),
            (S::Pending, false, &pass, 1),
            (S::Running, false, &pass, 1),
        ] {
            assert_eq!(
                Exit::of_scan(status, interrupted, judgement).code(),
                expected,
                "{status} {interrupted} {judgement:?}"
            );
        }
    }

    #[test]
    fn documented_exit_codes_match_the_code() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md")).unwrap();
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(page.contains(&row), "docs/cli.md does not say: {row}");
        }
        assert_eq!(
            page.lines()
                .filter(|line| line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit()))
                .count(),
            Exit::ALL.len()
        );
    }
}
