//! The facts about this machine and the checks that follow from them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kastrel_actors::model::ScanId;
use kastrel_actors::policy::backups::BackupMark;
use serde::Serialize;

use crate::adapters::kast_runner::{Holds, Surroundings};
use crate::adapters::secret_box::KeyFile;
use crate::cli::backend::PluginList;
use crate::telemetry::Signal;
use crate::telemetry::variables::Silence;
use crate::tls::{PairError, Validity};

/// A writable folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) free: u64,
}

/// The result of writing a row and reading it back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Probe {
    /// The minimum difference between this machine's clock and the database's, in seconds; `None`
    /// if the database uses this machine's clock.
    pub(super) skew: Option<f64>,
}

/// The facts that Redis reports about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RedisFacts {
    pub(super) version: Option<String>,
    /// Whether Redis writes an append-only file.
    pub(super) keeps_a_log: Option<bool>,
    pub(super) eviction: Option<String>,
}

/// A test export to a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tried {
    pub(super) signal: Signal,
    pub(super) endpoint: String,
    pub(super) answer: Result<(), String>,
}

/// The telemetry export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Collector {
    /// The test exports.
    pub(super) tried: Vec<Tried>,
    /// Why nothing is exported, if so.
    pub(super) silence: Option<Silence>,
    /// The errors in the telemetry variables.
    pub(super) warnings: Vec<String>,
}

/// The engine of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Engine {
    /// The engine embedded in this program.
    Embedded,
    /// A database server, with its version if it reports one.
    Server(Option<String>),
}

/// The state of the database.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Store {
    Opens { probe: Result<Probe, String>, engine: Engine },
    Held { url: String, ready: bool },
    Fails(String),
}

/// The automatic backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackupFacts {
    /// The existing backups.
    pub(super) files: Result<Vec<BackupMark>, String>,
    /// The failure of the last backup, as the running server reports it.
    pub(super) failure: Option<String>,
}

/// The state of the listen address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listen {
    Free,
    OurServer,
    Taken(String),
}

/// The state of the file with the URL of a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerFileFact {
    /// The file does not exist, or its server has proven itself.
    Fits,
    /// The server of the file has ended.
    Stale,
    /// The process of the file runs, but has not proven that it holds the data folder.
    Unproven {
        /// The process id.
        pid: u32,
    },
}

/// Why a running node starts no scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Whether the node has a fault, and not only too many failed attempts.
    pub(super) is_fault: bool,
    pub(super) text: String,
}

/// All facts.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) data: Result<Folder, String>,
    /// The permissions of the data folder, if other users have too many.
    pub(super) data_rights: Option<u32>,
    pub(super) results: Result<Folder, String>,
    /// The same permissions of the results folder and the backup folder, if they are outside the
    /// data folder.
    pub(super) results_rights: Option<u32>,
    pub(super) backups_rights: Option<u32>,
    pub(super) store: Store,
    pub(super) backups: BackupFacts,
    /// The result of reading every row; `None` without `--deep`.
    pub(super) rows: Option<Result<Rows, String>>,
    pub(super) scanner: Result<PluginList, String>,
    pub(super) listen: Listen,
    /// The certificate pair of the server; `None` if it has no TLS.
    pub(super) tls: Option<Result<Validity, PairError>>,
    /// The limit of open files; `None` means no limit.
    pub(super) open_files: Option<u64>,
    pub(super) processes: Option<u64>,
    pub(super) now: Timestamp,
    pub(super) server_file: ServerFileFact,
    /// The facts about Redis; `None` if no Redis is configured.
    pub(super) redis: Option<Result<RedisFacts, String>>,
    /// The result of the mail server's check, and of a test mail if one was requested; `None` if no
    /// mail server is configured.
    pub(super) mail: Option<Result<(), String>>,
    /// Whether the identity provider responds; `None` without one.
    pub(super) provider: Option<Result<(), String>>,
    pub(super) collector: Collector,
    /// The number of scan processes that no node owns.
    pub(super) leftovers: usize,
    /// The tools that KAST finds; `None` if the scanner is not KAST.
    pub(super) surroundings: Option<Surroundings>,
    /// The isolation of attempts from the server; `None` if this process runs none.
    pub(super) isolation: Option<Result<Holds, String>>,
    /// The holds of the running nodes.
    pub(super) held: Vec<Held>,
    /// The number of dead letters; `None` if it could not be read.
    pub(super) dead_letters: Option<u64>,
    /// Whether there are users, but no administrator who can sign in; `None` if it could not be
    /// read.
    pub(super) lacks_admin: Option<bool>,
    /// The key for secrets; `None` if the file does not exist.
    pub(super) key: Result<Option<KeyFile>, String>,
    /// The names of the keys that sealed the secrets of stored scans, as far as the newest scans
    /// show.
    pub(super) sealed_with: BTreeSet<String>,
}

/// The result of reading every row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rows {
    /// How many scans are readable.
    pub(super) scans: u64,
    /// The scans that are not readable.
    pub(super) unreadable: Vec<ScanId>,
    /// How many keys the engine's files contain, for rows and indexes. They are read only if this
    /// process opens the files.
    pub(super) keys: Option<u64>,
}

/// The level of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Ok,
    Warning,
    Failure,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) level: Level,
    pub(super) message: String,
    /// How to fix the problem.
    pub(super) fix: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, message: message.into(), fix: None }
    }

    pub(super) fn warning(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Warning, message: message.into(), fix: Some(fix.into()) }
    }

    pub(super) fn failure(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Failure, message: message.into(), fix: Some(fix.into()) }
    }
}
