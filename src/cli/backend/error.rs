//! The errors of a backend.

use kastrel_actors::model::FieldError;
use kastrel_actors::ports::StoreError;
use kastrel_actors::service::CommandError;

use crate::api_types::ProblemBody;
use crate::cli::exit::Exit;
use crate::cli::text::plain;

/// The errors of a backend.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// All invalid fields of a submission.
    #[error("the scan was not accepted:{}", .0.iter().map(|error| format!("\n  {}: {}", plain(&error.field), plain(&error.message))).collect::<String>())]
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
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Any other error, as text.
    #[error("{0}")]
    Other(String),
}

impl BackendError {
    /// Returns true if the same request may succeed later: the server did not respond, is
    /// overloaded or failed.
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 500..),
            Self::Invalid(_) | Self::Strange { .. } | Self::Store(_) | Self::Other(_) => false,
        }
    }

    /// Returns the exit code of the error.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Invalid(_) => Exit::Usage,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Problem(_) | Self::Strange { .. } | Self::Store(_) | Self::Other(_) => Exit::Failed,
        }
    }
}

impl From<CommandError> for BackendError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Invalid(error) => Self::Invalid(vec![error]),
            CommandError::Store(error) => error.into(),
        }
    }
}

impl From<ProblemBody> for BackendError {
    fn from(problem: ProblemBody) -> Self {
        if problem.errors.is_empty() { Self::Problem(Box::new(problem)) } else { Self::Invalid(problem.errors) }
    }
}
