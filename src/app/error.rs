//! Why the application could not be started.

use std::path::PathBuf;

use kastrel_actors::node::NodeStartError;
use kastrel_actors::ports::StoreError;

use crate::adapters::artifacts::ConnectError;
use crate::adapters::kast_runner::{KastConfigError, RunAsError};
use crate::adapters::redis_queue::RedisUrlError;
use crate::adapters::surreal_store::{AddressError, OpenError};
use crate::config::ConfigError;

/// The application could not be started.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration lacks what the role needs.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process holds the data folder.
    #[error("the data folder {} is in use by another Kastrel{}", dir.display(), pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    DataDirLocked {
        /// The folder.
        dir: PathBuf,
        /// The holder, where known.
        pid: Option<u32>,
    },
    /// The database could not be opened.
    #[error("failed to open the database in {}", dir.display())]
    Database {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// There is nothing to back up.
    #[error("there is no database in the data folder {}", dir.display())]
    NoDatabase {
        /// The folder.
        dir: PathBuf,
    },
    /// A database on a server has its own ways to be put aside.
    #[error(
        "--replace works on the embedded database: for one on a server, name a new namespace or database in KASTREL_DATABASE_URL"
    )]
    ReplaceRemote,
    /// The address of the database is none.
    #[error("database.url cannot be used")]
    DatabaseUrl(#[from] AddressError),
    /// The database elsewhere could not be used.
    #[error("failed to open the database at {url}")]
    RemoteDatabase {
        /// Where, without the password.
        url: String,
        /// Why.
        source: OpenError,
    },
    /// The database did not answer.
    #[error("failed to read the installation id of the database")]
    Installation(#[from] StoreError),
    /// The address of Redis is none.
    #[error("redis.url or redis.prefix cannot be used")]
    RedisUrl(#[from] RedisUrlError),
    /// A folder or file could not be made.
    #[error("failed to prepare {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `kast.scanner` is `kast`, and there is none.
    #[error("kast.scanner is `kast`, but no KAST was found: set KAST_CLI_PATH, or put `kast` on the PATH")]
    NoKast,
    /// Scans of an earlier run are still alive; their successors must not run beside them.
    #[error(
        "{0} processes of scans that an earlier run left behind cannot be killed; find them by KASTREL_ATTEMPT in their environment (`kastrel doctor` shows details), then start again"
    )]
    Leftovers(usize),
    /// KAST's configuration cannot be used, which KAST itself would not say.
    #[error(transparent)]
    KastConfig(#[from] KastConfigError),
    /// The scanner does not say what it offers.
    #[error("failed to list the scanner's plugins: {0}")]
    Scanner(String),
    /// Nobody can be run as.
    #[error(transparent)]
    RunAs(#[from] RunAsError),
    /// The runner could not be started.
    #[error("failed to start the runner of scans")]
    Runner(#[source] std::io::Error),
    /// The second process, which ends the scans of a node that cannot, could not be started.
    #[error("failed to start the watchdog of the scans")]
    Watchdog(#[source] std::io::Error),
    /// The files of scans are to be kept in a bucket that cannot be used.
    #[error(transparent)]
    Artifacts(#[from] ConnectError),
    /// The node could not be started.
    #[error("failed to start the node")]
    Node(#[from] NodeStartError),
}

impl AppError {
    /// Whether the database lacks something that was committed, or cannot be read.
    #[must_use]
    pub const fn is_storage(&self) -> bool {
        matches!(self, Self::Database { source: OpenError::Lost(_) | OpenError::Damaged(_), .. })
    }
}
