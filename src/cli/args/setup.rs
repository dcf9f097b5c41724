//! `plugins`, `doctor` and `config`: what this machine has; `completions` and `man`: what it gets.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;
use kastrel_actors::model::MailAddress;

use super::common::{ConfigArgs, ScannerArgs, ServerArgs};
use super::serve::ServeArgs;
use crate::config::FlagValue;

/// `kastrel plugins`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct PluginsArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub scanner: ScannerArgs,
}

/// `kastrel doctor`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Read every row of the database too; takes minutes for a large one
    #[arg(long)]
    pub deep: bool,
    /// Send a test mail to this address
    #[arg(long, value_name = "ADDRESS")]
    pub mail: Option<MailAddress>,
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// `kastrel config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every key, its value and where it came from
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// The flags of `serve`, to see what they change.
        #[command(flatten)]
        serve: ServeArgs,
    },
}

/// `kastrel completions`
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// Shell that reads the script
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// `kastrel man`
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Folder of the pages; created if it is missing
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
}

impl PluginsArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags().into_iter().chain(self.scanner.flags()).collect()
    }
}
