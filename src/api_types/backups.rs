//! The automatic backups.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::moment::Moment;
use crate::backup::{BackupFailure, BackupFile};

/// The automatic backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Backups)]
pub struct BackupsBody {
    /// Whether this process makes automatic backups.
    pub enabled: bool,
    /// Newest first.
    pub backups: Vec<BackupBody>,
    /// The last failure; null once a backup has succeeded.
    #[serde(default)]
    pub failure: Option<BackupFailureBody>,
}

/// An automatic backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Backup)]
pub struct BackupBody {
    /// The name of the file; in the output of the command line, its path.
    pub file: String,
    /// When the backup was made.
    pub made_at: Moment,
    /// The size of the file.
    pub bytes: u64,
    /// How many scans are missing because their rows could not be read.
    pub missing: u64,
    /// The schema version of the database, if the backup was made before a migration.
    #[serde(default)]
    pub before_migration_of: Option<i64>,
}

/// A failed backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BackupFailure)]
pub struct BackupFailureBody {
    /// The time of the failure.
    pub at: Moment,
    /// The reason of the failure.
    pub why: String,
    /// How many backups failed in a row.
    pub failures: u32,
}

impl BackupBody {
    /// Shows a backup whose file is called `file`.
    #[must_use]
    pub fn of(backup: &BackupFile, file: String) -> Self {
        Self {
            file,
            made_at: Moment::of(backup.mark.made_at),
            bytes: backup.bytes,
            missing: backup.mark.missing,
            before_migration_of: backup.mark.before_migration_of,
        }
    }
}

impl From<&BackupFailure> for BackupFailureBody {
    fn from(failure: &BackupFailure) -> Self {
        Self { at: Moment::of(failure.at), why: failure.why.clone(), failures: failure.failures }
    }
}
