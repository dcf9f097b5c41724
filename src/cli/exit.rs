//! The exit codes of the commands, for scripts.

use std::process::ExitCode;

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
    /// The server needs an API token, or refuses the given one.
    Unauthorized,
    /// The audit log fails its verification.
    Tampered,
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
        Self::Unauthorized,
        Self::Tampered,
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
            Self::Unauthorized => 6,
            Self::Tampered => 7,
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
                "the scan failed or nothing could be checked, and no gate set a code; or the command failed"
            }
            Self::Usage => "wrong arguments, request or configuration",
            Self::Cancelled => "the scan was cancelled elsewhere",
            Self::Unreachable => "the server does not answer",
            Self::Storage => "the database has lost rows or is damaged; the message states the next step",
            Self::Unauthorized => "the server needs an API token, or refuses the given one",
            Self::Tampered => "the audit log is not as it was sealed, or not by the required keys",
            Self::Found => "the scan found an issue at or above --fail-on, or of unknown severity",
            Self::Uncovered => "coverage is incomplete: not every check of --require-coverage ran",
            Self::Interrupted => "interrupted by Ctrl-C, SIGTERM or SIGHUP; the scan was cancelled",
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
