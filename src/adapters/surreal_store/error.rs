//! What can go wrong: on opening, and in a call.

use std::path::PathBuf;
use std::time::Duration;

use kastrel_actors::ports::StoreError;
use surrealdb::types::QueryError;

use super::address::AuthLevel;
use super::embedded::{Damage, Loss};

/// What an operator can do about a database that lost rows or is damaged.
const WAYS_OUT: &str = "restore a backup with `kastrel restore --latest --replace`, or start with `--accept-loss` to continue with what is left";

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
    #[error(
        "the database has schema version {found}, but this program knows versions up to {known}: run the newer program, or restore a backup"
    )]
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
    /// A database of an earlier version could not be brought into the format of this one. The old
    /// one is as it was.
    #[error("failed to convert the database of an earlier version; it is unchanged")]
    Convert(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The files of the database are damaged.
    #[error("the database is damaged: {0}; {WAYS_OUT}")]
    Damaged(Damage),
    /// The database has lost rows that were committed.
    #[error("the database has lost rows: {0}; {WAYS_OUT}")]
    Lost(Loss),
    /// A restore into this database began and did not come to its end.
    #[error("the database holds an unfinished restore, begun at {begun}: restore the backup again")]
    HalfRestored {
        /// When it began, by the database's clock.
        begun: jiff::Timestamp,
    },
    /// What must be done before the schema changes was not done, so the schema has not changed.
    #[error(
        "failed to back the database up before its schema changes from version {schema}; with `backup.enabled = false` it changes without a backup"
    )]
    BeforeMigration {
        /// The database's version.
        schema: i64,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A restore that replaces the database was stopped while it put the new one in its place.
    #[error(
        "a restore was stopped while it put the new database in its place: run `kastrel restore` with `--replace` again"
    )]
    HalfReplaced,
    /// The database is not the one that was used before its connection broke.
    #[error(
        "the database {}: restore a backup into it, or start all servers and workers anew to use it as it is",
        if *is_empty { "has been emptied" } else { "is another one than before" }
    )]
    Replaced {
        /// Whether nothing is there, rather than another installation.
        is_empty: bool,
    },
    /// The database server stores its rows with an engine that loses some of them.
    #[error(
        "the database server runs on surrealkv://, which loses committed rows at a restart: move its data to a server on rocksdb:// (`kastrel backup`, then `kastrel restore` there); \
         `database.allow_unsafe_engine = true` uses it all the same"
    )]
    UnsafeEngine,
    /// The database server could not be used.
    #[error("failed to connect to the database server")]
    Connect(#[from] ConnectError),
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

/// Why a database server could not be used. No text of it holds the password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing listens there, or it is not ready.
    #[error("the server cannot be reached")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke while it was made ready.
    #[error("the connection broke at once")]
    Broke,
    /// It took too long.
    #[error("the server was not ready for work within {} s", .0.as_secs())]
    Slow(Duration),
    /// Something else listens there.
    #[error("what answers there is not a SurrealDB of version 3: {0}")]
    NotADatabase(String),
    /// A SurrealDB that this program does not know.
    #[error("the server is SurrealDB {found}, but this program knows version {known}")]
    Version {
        /// The server's version.
        found: String,
        /// The major version that this program knows.
        known: u64,
    },
    /// The certificate is not trusted, or the server speaks no TLS.
    #[error("the server's TLS was refused")]
    Handshake(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The trusted authorities cannot be read.
    #[error("failed to read the trusted authorities{}", ca.as_ref().map(|file| format!(" from {}", file.display())).unwrap_or_default())]
    Tls {
        /// The file, if one was named.
        ca: Option<PathBuf>,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// User or password are wrong, or the user is defined at another level.
    #[error("the server refused the user `{user}` as a {} user: check user, password and `auth` in the address", level.as_str())]
    SignIn {
        /// The user.
        user: String,
        /// Where the user was looked for.
        level: AuthLevel,
        /// What the server said.
        #[source]
        source: Box<surrealdb::Error>,
    },
}

impl OpenError {
    /// Whether the same may work in a moment.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Connect(ConnectError::Refused(_) | ConnectError::Broke | ConnectError::Slow(_)) => true,
            Self::Connect(ConnectError::SignIn { source, .. }) => !source.is_not_allowed(),
            Self::Database { source, .. } => {
                source.downcast_ref::<CallError>().is_some_and(|error| error.failure() == Failure::Lost)
            }
            _ => false,
        }
    }
}

/// Why a call of the database brought no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CallError {
    /// The answer took too long. A write may have been made.
    #[error("the database gave no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The connection broke before the answer. A write may have been made.
    #[error("the connection to the database broke before its answer")]
    Lost,
    /// There is no connection, and waiting for one has brought none. Nothing was sent.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
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
    #[error("gave up after {} s against concurrent writers", .0.as_secs())]
    Contended(Duration),
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
    /// Nothing was written, because nothing was sent.
    Unsent,
    /// The answer is missing: nobody knows whether it was written, or whether it will yet be.
    Lost,
    /// The database refused or failed for another reason.
    Unknown,
}

impl CallError {
    /// Whether the namespace, the database or the table is not there (any more).
    pub(super) fn is_missing_ground(&self) -> bool {
        use surrealdb::types::NotFoundError;
        let Self::Failed(error) = self else { return false };
        matches!(
            error.not_found_details(),
            Some(NotFoundError::Namespace { .. } | NotFoundError::Database { .. } | NotFoundError::Table { .. })
        )
    }

    pub(super) fn failure(&self) -> Failure {
        let error = match self {
            Self::Failed(error) => error,
            Self::TimedOut(_) | Self::Lost => return Failure::Lost,
            Self::Unreachable(_) => return Failure::Unsent,
            Self::Shape(_) | Self::Abandoned | Self::Contended(_) => return Failure::Unknown,
        };
        // The text is looked at as well because a conflict that surfaces at COMMIT may arrive
        // wrapped.
        if matches!(error.query_details(), Some(QueryError::TransactionConflict))
            || error.message().contains("can be retried")
        {
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
            CallError::TimedOut(_)
            | CallError::Lost
            | CallError::Unreachable(_)
            | CallError::Failed(_)
            | CallError::Abandoned
            | CallError::Contended(_) => Self::Unavailable(Box::new(error)),
        }
    }
}
