//! The errors of a backend.

use kastrel_actors::model::FieldError;
use kastrel_actors::ports::StoreError;
use kastrel_actors::service::CommandError;

use crate::api_types::ProblemBody;
use crate::cli::exit::Exit;
use crate::cli::text::plain;
use crate::service::access::AccountError;

/// The errors of a backend.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// All invalid fields of a submission or of another request.
    #[error("the request was not accepted:{}", .0.iter().map(|error| format!("\n  {}: {}", plain(&error.field), plain(&error.message))).collect::<String>())]
    Invalid(Vec<FieldError>),
    /// The server does not respond.
    #[error("failed to reach the server at {url}; is it running? (`kastrel serve`)")]
    Unreachable {
        /// The URL of the server.
        url: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The server responded with a problem.
    #[error("the server refused: {0}")]
    Problem(Box<ProblemBody>),
    /// The response is not one of a Kastrel server.
    #[error("unexpected response from the server at {url}: {what}")]
    Strange {
        /// The URL of the server.
        url: String,
        /// What is unexpected in the response.
        what: String,
    },
    /// The server does not know who makes the request.
    #[error("the server at {url} {}", .sent.text(.url))]
    Unauthorized {
        /// The URL of the server.
        url: String,
        /// What it got.
        sent: SentCredential,
    },
    /// A token would cross a network without encryption. It was not sent.
    #[error("the API token is not sent to {url}: without https, others on the network could read it")]
    OpenToken {
        /// The URL of the server.
        url: String,
    },
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Any other error, as text.
    #[error("{0}")]
    Other(String),
}

/// What a server got that does not know who makes the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentCredential {
    /// Nothing.
    None,
    /// An API token.
    Token,
    /// An API token that `kastrel login` stored.
    Stored,
    /// The proof of a command of its data folder.
    Folder,
}

impl SentCredential {
    /// Formats what the server at `url` says about it, and what to do.
    fn text(self, url: &str) -> String {
        match self {
            Self::None => format!(
                "needs an API token: run `kastrel login --server {url}`, set KASTREL_TOKEN, or name a file with --token-file"
            ),
            Self::Token => {
                "does not accept the API token of KASTREL_TOKEN or --token-file: it has expired or was revoked, or its account is disabled".into()
            }
            Self::Stored => format!(
                "does not accept the stored API token: it has expired or was revoked, or its account is disabled; run `kastrel login --server {url}` again"
            ),
            Self::Folder => "does not accept commands of its data folder: restart it, and try again".into(),
        }
    }
}

impl BackendError {
    /// Returns true if the same request may succeed later: the server did not respond, is
    /// overloaded or failed.
    pub(in crate::cli) const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 500..),
            Self::Invalid(_)
            | Self::Strange { .. }
            | Self::Unauthorized { .. }
            | Self::OpenToken { .. }
            | Self::Store(_)
            | Self::Other(_) => false,
        }
    }

    /// Returns the exit code of the error.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Invalid(_) | Self::OpenToken { .. } => Exit::Usage,
            Self::Unauthorized { .. } => Exit::Unauthorized,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Problem(_) | Self::Strange { .. } | Self::Store(_) | Self::Other(_) => Exit::Failed,
        }
    }
}

impl From<CommandError> for BackendError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Invalid(error) => Self::Invalid(vec![error]),
            CommandError::Denied(denial) => Self::Other(denial.to_string()),
            CommandError::Store(error) => error.into(),
        }
    }
}

impl From<AccountError> for BackendError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Invalid(errors) => Self::Invalid(errors),
            AccountError::Store(error) => error.into(),
            error @ (AccountError::Denied(_) | AccountError::LastAdmin) => Self::Other(error.to_string()),
        }
    }
}

impl From<ProblemBody> for BackendError {
    fn from(problem: ProblemBody) -> Self {
        if problem.errors.is_empty() { Self::Problem(Box::new(problem)) } else { Self::Invalid(problem.errors) }
    }
}
