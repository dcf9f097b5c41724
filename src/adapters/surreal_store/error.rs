//! What can go wrong: on opening, and in a call.

use std::path::PathBuf;
use std::time::Duration;

use kastrel_actors::ports::StoreError;
use surrealdb::types::QueryError;

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this one, holds the data folder.
    #[error("the data folder {} is in use{}", folder.display(), pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// Who holds it, where that could be read.
        pid: Option<u32>,
    },
    /// The folder's path holds something that the database's address cannot carry.
    #[error("the path of the data folder {} must be UTF-8 text without `?`", .0.display())]
    Path(PathBuf),
    /// The folder could not be made, or its lock file not be written.
    #[error("failed to prepare the data folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A newer program has changed the database's schema.
    #[error("the database has schema version {found}, but this program knows versions up to {known}: run the newer program, or restore a backup")]
    TooNew {
        /// The database's version.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// A step that was applied differs from the step of the same number in this program.
    #[error("migration {version} of the database differs from this program's: the database was made by another build")]
    Checksum {
        /// The step.
        version: i64,
    },
    /// The database refused or failed.
    #[error("failed to {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a call of the database brought no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CallError {
    /// The answer took too long. A write may have been made.
    #[error("the database gave no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The database said no, or broke.
    #[error("the database failed")]
    Failed(#[source] surrealdb::Error),
    /// The answer had another shape than the query asks for.
    #[error("the database's answer could not be read: {0}")]
    Shape(String),
    /// The task that made the call ended without an answer.
    #[error("the database call was abandoned")]
    Abandoned,
    /// Every try lost against other writers.
    #[error("gave up after {0} tries against concurrent writers")]
    Contended(u32),
}

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Failure {
    /// Nothing was written; the same call may well work now.
    Conflict,
    /// Nothing was written: our own transaction said so with `THROW`.
    Thrown,
    /// Nothing was written: a row of that id exists.
    Exists,
    /// Nobody knows whether it was written.
    Unknown,
}

impl CallError {
    pub(super) fn failure(&self) -> Failure {
        let Self::Failed(error) = self else { return Failure::Unknown };
        // The text is looked at as well because a conflict that surfaces at COMMIT may arrive wrapped.
        if matches!(error.query_details(), Some(QueryError::TransactionConflict)) || error.message().contains("can be retried") {
            Failure::Conflict
        } else if error.is_thrown() {
            Failure::Thrown
        } else if error.is_already_exists() {
            Failure::Exists
        } else {
            Failure::Unknown
        }
    }
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Shape(_) => Self::Corrupt(Box::new(error)),
            CallError::TimedOut(_) | CallError::Failed(_) | CallError::Abandoned | CallError::Contended(_) => Self::Unavailable(Box::new(error)),
        }
    }
}
