//! The errors of starting the application.

use std::path::PathBuf;

use kastrel_actors::node::NodeStartError;
use kastrel_actors::ports::StoreError;

use crate::adapters::artifacts::ConnectError;
use crate::adapters::kast_runner::{KastConfigError, RunAsError};
use crate::adapters::mail::SmtpError;
use crate::adapters::surreal_store::OpenError;
use crate::config::{AddressError, ConfigError, RedisUrlError};
use crate::ports::ProviderError;

/// The application could not be started.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration lacks a value that the role needs.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process holds the data folder.
    #[error("the data folder {} is in use by another Kastrel{}", dir.display(), pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    DataDirLocked {
        /// The folder.
        dir: PathBuf,
        /// The process that holds the lock, if known.
        pid: Option<u32>,
    },
    /// The database could not be opened.
    #[error("failed to open the database in {}", dir.display())]
    Database {
        /// The folder.
        dir: PathBuf,
        /// The cause.
        source: OpenError,
    },
    /// There is no database to back up.
    #[error("there is no database in the data folder {}", dir.display())]
    NoDatabase {
        /// The folder.
        dir: PathBuf,
    },
    /// A database on a server cannot be replaced: its server has its own ways to move it aside.
    #[error(
        "--replace works on the embedded database: for one on a server, name a new namespace or database in KASTREL_DATABASE_URL"
    )]
    ReplaceRemote,
    /// The database URL is invalid.
    #[error("database.url cannot be used")]
    DatabaseUrl(#[from] AddressError),
    /// The database on a server cannot be used.
    #[error("failed to open the database at {url}")]
    RemoteDatabase {
        /// The URL without the password.
        url: String,
        /// The cause.
        source: OpenError,
    },
    /// The database did not respond.
    #[error("failed to read the installation id of the database")]
    Installation(#[from] StoreError),
    /// The mail server or the sender cannot be used.
    #[error("mail.smtp_url or mail.from cannot be used")]
    Mail(#[from] SmtpError),
    /// The Redis URL is invalid.
    #[error("redis.url or redis.prefix cannot be used")]
    RedisUrl(#[from] RedisUrlError),
    /// A folder or file could not be created.
    #[error("failed to prepare {}", path.display())]
    Folder {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The key that signs the seals of the audit log cannot be used.
    #[error("failed to read the key of the audit log in {}", path.display())]
    AuditKey {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file with the client secret cannot be read.
    #[error("oidc.client_secret_file: failed to read {}", path.display())]
    ClientSecret {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The identity provider cannot be used.
    #[error("the settings of the identity provider (oidc) cannot be used")]
    Provider(#[source] ProviderError),
    /// `kast.scanner` is `kast`, but KAST is missing.
    #[error("kast.scanner is `kast`, but no KAST was found: set KAST_CLI_PATH, or put `kast` on the PATH")]
    NoKast,
    /// Processes of scans of an earlier run are still alive; new attempts of these scans must not
    /// run beside them.
    #[error(
        "{0} processes of scans that an earlier run left behind cannot be killed; find them by KASTREL_ATTEMPT in their environment (`kastrel doctor` shows details), then start again"
    )]
    Leftovers(usize),
    /// The configuration of KAST is unusable, which KAST itself does not report.
    #[error(transparent)]
    KastConfig(#[from] KastConfigError),
    /// The scanner does not list its plugins.
    #[error("failed to list the scanner's plugins: {0}")]
    Scanner(String),
    /// The user of `scans.run_as` cannot be used.
    #[error(transparent)]
    RunAs(#[from] RunAsError),
    /// The scan runner could not be started.
    #[error("failed to start the runner of scans")]
    Runner(#[source] std::io::Error),
    /// The watchdog could not be started: the second process, which ends the scans of a node that
    /// cannot do so itself.
    #[error("failed to start the watchdog of the scans")]
    Watchdog(#[source] std::io::Error),
    /// The files of scans are configured to be stored in a bucket that cannot be used.
    #[error(transparent)]
    Artifacts(#[from] ConnectError),
    /// The node could not be started.
    #[error("failed to start the node")]
    Node(#[from] NodeStartError),
}

impl AppError {
    /// Returns whether the database has lost committed rows, or cannot be read.
    #[must_use]
    pub const fn is_storage(&self) -> bool {
        matches!(self, Self::Database { source: OpenError::Lost(_) | OpenError::Damaged(_), .. })
    }
}
