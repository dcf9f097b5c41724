//! `backup`, `restore` and `backups`: what the database keeps.

use std::path::PathBuf;

use clap::Args;

use super::common::{ConfigArgs, ServerArgs};
use crate::config::FlagValue;

/// `kastrel backup`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct BackupArgs {
    /// The file to write; `-` is the standard output
    pub file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel restore`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct RestoreArgs {
    /// The file that `kastrel backup` wrote; `-` is the standard input
    #[arg(required_unless_present = "latest", conflicts_with = "latest")]
    pub file: Option<PathBuf>,
    /// Restore the newest complete automatic backup
    #[arg(long)]
    pub latest: bool,
    /// Replace the database of the data folder; the old one is kept under another name
    #[arg(long)]
    pub replace: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel backups`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct BackupsArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl BackupArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

impl RestoreArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

impl BackupsArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}
