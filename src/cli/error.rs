//! The errors of commands, and their exit codes.

use std::error::Error;
use std::io;

use kastrel_actors::model::{
    AccountName, Grantee, HostPattern, NodeId, OutboxKey, ProjectId, PublicLinkId, ScanId, TokenId,
};
use kastrel_findings::identity::FindingId;

use super::backend::BackendError;
use super::credentials_error::CredentialsError;
use super::exit::Exit;
use super::text::plain;
use crate::app::{AppError, AppFailure};
use crate::config::ConfigError;
use crate::sentence::sentence;

/// The error of a command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The arguments are invalid.
    #[error("{0}")]
    Usage(String),
    /// The backend refused, or did not respond.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The scan does not exist.
    #[error("there is no scan {0}")]
    NoScan(ScanId),
    /// The findings of the scan were not stored within this time in seconds.
    #[error(
        "the findings of scan {0} were not stored within {1} s, so nothing is known of them; `kastrel dead-letters list` shows why a result could not be stored"
    )]
    NotStored(ScanId, u64),
    /// What the scan saw is not stored yet.
    #[error("scan {0} has no result yet; its findings are stored when it has ended")]
    NoResult(ScanId),
    /// The scan has no earlier one to compare it with.
    #[error("scan {0} has no earlier scan of its target to compare it with")]
    NothingToCompare(ScanId),
    /// The node does not exist.
    #[error("there is no node {0}; `kastrel nodes` lists them")]
    NoNode(NodeId),
    /// The dead letter does not exist.
    #[error("there is no dead letter {0}; `kastrel dead-letters list` lists them")]
    NoDeadLetter(OutboxKey),
    /// The account does not exist.
    #[error("there is no account {0}; `kastrel user list` and `kastrel service-account list` list them")]
    NoAccount(AccountName),
    /// The project does not exist, or may not be seen.
    #[error("there is no project {0}; `kastrel project list` lists them")]
    NoProject(ProjectId),
    /// The project has no such clearance, or may not be seen.
    #[error("there is no clearance of {0} in project {1}; `kastrel clearance list` lists them")]
    NoClearance(HostPattern, ProjectId),
    /// The account has no such token.
    #[error("there is no token {0} of this account; `kastrel token list` lists them")]
    NoToken(TokenId),
    /// The scan has no such public link, or may not be seen.
    #[error("there is no public link {0} of scan {1}; `kastrel link list {1}` lists them")]
    NoLink(PublicLinkId, ScanId),
    /// The stored API tokens cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The finding does not exist, or may not be seen.
    #[error("there is no finding {0}; `kastrel findings list` lists them")]
    NoFinding(FindingId),
    /// The target does not exist, or may not be seen.
    #[error("there is no target {0}; `kastrel target list` lists them")]
    NoTarget(String),
    /// Nobody allowed the login: the server at this address says that it was denied.
    #[error("the login to {0} was denied")]
    LoginDenied(String),
    /// The login to the server at this address was not allowed in time.
    #[error(
        "the login to {0} is not valid any more: nobody allowed it in time, or its token was sent and did not arrive; run `kastrel login` again"
    )]
    LoginExpired(String),
    /// No API token is stored for the server at this address.
    #[error("no API token is stored for {0}")]
    NotLoggedIn(String),
    /// The scan has no share with the grantee, or may not be seen.
    #[error("there is no share of scan {1} with {0}; `kastrel share list {1}` lists them")]
    NoShare(Grantee, ScanId),
    /// The application could not be started, or failed.
    #[error(transparent)]
    App(Box<dyn Error + Send + Sync>),
    /// The database has lost rows or is damaged.
    #[error(transparent)]
    Storage(Box<dyn Error + Send + Sync>),
    /// The working directory was removed, or cannot be read.
    #[error("failed to read the working directory")]
    Directory(#[source] io::Error),
    /// The handlers of the process's signals could not be installed.
    #[error("failed to install the signal handlers")]
    Signals(#[source] io::Error),
    /// The result could not be written.
    #[error("failed to write the output")]
    Output(#[from] io::Error),
}

impl CliError {
    /// Returns the exit code of the error.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Usage(_) | Self::Credentials(_) => Exit::Usage,
            Self::Backend(error) => error.exit(),
            Self::Storage(_) => Exit::Storage,
            Self::NoScan(_)
            | Self::NotStored(..)
            | Self::NoResult(_)
            | Self::NothingToCompare(_)
            | Self::NoNode(_)
            | Self::NoDeadLetter(_)
            | Self::NoAccount(_)
            | Self::NoProject(_)
            | Self::NoClearance(..)
            | Self::NoToken(_)
            | Self::NoLink(..)
            | Self::NoFinding(_)
            | Self::NoTarget(_)
            | Self::LoginDenied(_)
            | Self::LoginExpired(_)
            | Self::NotLoggedIn(_)
            | Self::NoShare(..)
            | Self::App(_)
            | Self::Directory(_)
            | Self::Signals(_)
            | Self::Output(_) => Exit::Failed,
        }
    }
}

impl From<AppError> for CliError {
    fn from(error: AppError) -> Self {
        if error.is_storage() { Self::Storage(error.into()) } else { Self::App(error.into()) }
    }
}

impl From<AppFailure> for CliError {
    fn from(failure: AppFailure) -> Self {
        match failure {
            AppFailure::Storage(_) => Self::Storage(failure.into()),
            AppFailure::Node(_) => Self::App(failure.into()),
        }
    }
}

/// Formats the error and its causes, each once. Text of a server or of the scanned site cannot
/// control the terminal.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let lines = |text: &str| text.lines().map(plain).collect::<Vec<_>>().join("\n");
    let mut text = format!("error: {}", sentence(&lines(&error.to_string())));
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        // Many errors repeat their cause in their own text.
        if !last.contains(&said) {
            text.push_str(&format!("\n  caused by: {}", lines(&said)));
            last = said;
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn link(text: &'static str, source: Option<Link>) -> Link {
        Link { text, source: source.map(Box::new) }
    }

    #[test]
    fn each_cause_is_printed_once() {
        let error = link("failed to open: disk full", Some(link("disk full", Some(link("errno\u{1b}[31m 28", None)))));
        assert_eq!(chain(&error), "error: Failed to open: disk full\n  caused by: errno 28");
    }
}
