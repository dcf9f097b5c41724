//! Errors of opening the store, and of database calls.

use std::path::PathBuf;
use std::time::Duration;

use kastrel_actors::ports::StoreError;
use surrealdb::types::QueryError;

use super::embedded::{Damage, Loss};
use super::steps::MIGRATED;
use crate::config::AuthLevel;

/// The options of an operator after loss or damage.
const WAYS_OUT: &str = "restore a backup with `kastrel restore --latest --replace`, or start with `--accept-loss` to continue with what is left";

/// The reason why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store in this process, holds the data folder.
    #[error("the data folder {} is in use{}", folder.display(), pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The process id of the lock holder, if it could be read.
        pid: Option<u32>,
    },
    /// The path contains characters that the database address does not support.
    #[error("the path of the data folder {} must be UTF-8 text without `?`", .0.display())]
    Path(PathBuf),
    /// The folder could not be created, or its lock file could not be written.
    #[error("failed to prepare the data folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A newer version has migrated the database.
    #[error(
        "the database has schema version {found}, but this program knows versions up to {known}: run the newer program, or restore a backup"
    )]
    TooNew {
        /// The schema version of the database.
        found: i64,
        /// The newest schema version that this program supports.
        known: i64,
    },
    /// An applied migration differs from the migration with the same number in this program.
    #[error("migration {version} of the database differs from this program's: the database was made by another build")]
    Checksum {
        /// The migration.
        version: i64,
    },
    /// The database of an earlier version could not be converted. The old database is unchanged.
    #[error("failed to convert the database of an earlier version; it is unchanged")]
    Convert(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The files of the database are damaged.
    #[error("the database is damaged: {0}; {WAYS_OUT}")]
    Damaged(Damage),
    /// The database has lost committed rows.
    #[error("the database has lost rows: {0}; {WAYS_OUT}")]
    Lost(Loss),
    /// A restore into this database was interrupted.
    #[error("the database holds an unfinished restore, begun at {begun}: restore the backup again")]
    HalfRestored {
        /// The start time of the restore, by the database's clock.
        begun: jiff::Timestamp,
    },
    /// The hook that runs before a migration failed, so the schema has not changed.
    #[error(
        "failed to back the database up before its schema changes from version {schema}; with `backup.enabled = false` it changes without a backup"
    )]
    BeforeMigration {
        /// The schema version of the database.
        schema: i64,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A restore that replaces the database was stopped while it moved the new one into place.
    #[error(
        "a restore was stopped while it put the new database in its place: run `kastrel restore` with `--replace` again"
    )]
    HalfReplaced,
    /// The database is not the one that was used before the connection broke.
    #[error(
        "the database {}: restore a backup into it, or start all servers and workers anew to use it as it is",
        if *is_empty { "has been emptied" } else { "is another one than before" }
    )]
    Replaced {
        /// True if the database is empty; false if it is a different installation.
        is_empty: bool,
    },
    /// The database server uses a storage engine that loses rows.
    #[error(
        "the database server runs on surrealkv://, which loses committed rows at a restart: move its data to a server on rocksdb:// (`kastrel backup`, then `kastrel restore` there); \
         `database.allow_unsafe_engine = true` uses it all the same"
    )]
    UnsafeEngine,
    /// The connection to the database server failed.
    #[error("failed to connect to the database server")]
    Connect(#[from] ConnectError),
    /// The database returned an error or failed.
    #[error("failed to {doing}")]
    Database {
        /// The operation, to complete "failed to …".
        doing: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The reason why the connection to a database server failed. No message contains the password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing listens at the address, or the server is not ready.
    #[error("the server cannot be reached")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke during preparation.
    #[error("the connection broke at once")]
    Broke,
    /// The server was not ready in time.
    #[error("the server was not ready for work within {} s", .0.as_secs())]
    Slow(Duration),
    /// The server is not a SurrealDB.
    #[error("what answers there is not a SurrealDB of version 3: {0}")]
    NotADatabase(String),
    /// An unsupported SurrealDB version.
    #[error("the server is SurrealDB {found}, but this program knows version {known}")]
    Version {
        /// The server's version.
        found: String,
        /// The supported major version.
        known: u64,
    },
    /// The certificate is not trusted, or the server does not support TLS.
    #[error("the server's TLS was refused")]
    Handshake(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The trusted authorities could not be read.
    #[error("failed to read the trusted authorities{}", ca.as_ref().map(|file| format!(" from {}", file.display())).unwrap_or_default())]
    Tls {
        /// The file, if one was configured.
        ca: Option<PathBuf>,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The user or the password is wrong, or the user is defined at another level.
    #[error("the server refused the user `{user}` as a {} user: check user, password and `auth` in the address", level.as_str())]
    SignIn {
        /// The user.
        user: String,
        /// The level of the sign-in.
        level: AuthLevel,
        /// The error of the server.
        #[source]
        source: Box<surrealdb::Error>,
    },
}

impl OpenError {
    /// True if a retry may succeed soon.
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

/// The reason why a database call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CallError {
    /// The call timed out. A write may have been committed.
    #[error("the database gave no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The connection broke before the response. A write may have been committed.
    #[error("the connection to the database broke before its answer")]
    Lost,
    /// There is no connection, and the wait for one timed out. Nothing was sent.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The database returned an error.
    #[error("the database failed")]
    Failed(#[source] surrealdb::Error),
    /// The response has a different shape than the query returns.
    #[error("the database's answer could not be read: {0}")]
    Shape(String),
    /// The task of the call ended without a response.
    #[error("the database call was abandoned")]
    Abandoned,
    /// Every attempt lost against concurrent writers.
    #[error("gave up after {} s against concurrent writers", .0.as_secs())]
    Contended(Duration),
}

/// The kind of a failed call, which determines the reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Failure {
    /// Nothing was written; a retry may succeed.
    Conflict,
    /// Nothing was written: the adapter's own transaction ran `THROW`.
    Thrown,
    /// Nothing was written: a newer program has migrated the database.
    Outdated,
    /// Nothing was written: a row with that id exists.
    Exists,
    /// Nothing was written, because nothing was sent.
    Unsent,
    /// The response is missing: the write may have been committed, or may still be.
    Lost,
    /// Any other error of the database.
    Unknown,
}

impl CallError {
    /// True if the namespace, the database or the table does not exist.
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
        // The text is checked too, because a conflict at COMMIT may arrive wrapped in another
        // error.
        if matches!(error.query_details(), Some(QueryError::TransactionConflict))
            || error.message().contains("can be retried")
        {
            Failure::Conflict
        } else if error.message().contains(MIGRATED) {
            Failure::Outdated
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
            _ if error.failure() == Failure::Outdated => Self::Outdated,
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
