//! The command line's grammar, and what it asks for: a file for each group of commands.

mod cluster;
mod common;
mod data;
mod events;
mod scan;
mod scans;
mod serve;
mod setup;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use super::exit::Exit;

pub use cluster::{DrainArgs, NodesArgs, PauseArgs, ResumeArgs};
pub use common::{ConfigArgs, ScannerArgs, ServerArgs};
pub use data::{BackupArgs, BackupsArgs, RestoreArgs};
pub use events::{AuditArgs, AuditCommand, DeadLettersCommand, ResendArgs};
pub use scan::ScanArgs;
pub use scans::{ListArgs, OneScanArgs};
pub use serve::{ReadyArgs, ServeArgs, WorkerArgs};
pub use setup::{ConfigCommand, DoctorArgs, PluginsArgs};

/// Runs KAST security scans: in this terminal, or for a team on a server
#[derive(Debug, Parser)]
#[command(name = "kastrel", version, propagate_version = true, after_help = Exit::help())]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the dashboard, the API and a worker
    Serve(ServeArgs),
    /// Run a worker that shares Redis and the database with other processes
    Worker(WorkerArgs),
    /// Scan a target and wait for the result
    #[command(after_help = Exit::help())]
    Scan(Box<ScanArgs>),
    /// Show a scan
    Status(OneScanArgs),
    /// Cancel a scan
    Cancel(OneScanArgs),
    /// List scans, newest first
    List(ListArgs),
    /// List the scanner's plugins
    Plugins(PluginsArgs),
    /// List the workers
    Nodes(NodesArgs),
    /// Drain a node: take no new scans, requeue what does not finish in time
    Drain(DrainArgs),
    /// Pause the queue on all nodes
    Pause(PauseArgs),
    /// Resume the queue
    Resume(ResumeArgs),
    /// Show who did what
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show the events that could not be delivered, and send one again
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Back up the database to a file
    Backup(BackupArgs),
    /// Restore a backup into an empty database, or in place of a damaged one
    Restore(RestoreArgs),
    /// List the automatic backups, newest first
    Backups(BackupsArgs),
    /// Health check: exit 0 when ready
    Ready(ReadyArgs),
    /// Diagnose the setup and suggest fixes
    Doctor(DoctorArgs),
    /// Inspect the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Run the built-in scanner, which takes KAST's arguments
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Scanner {
        /// KAST's arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
}

/// The arguments of the built-in scanner, with a program name before them, if the command line asks
/// for it.
///
/// Looked at before the command line is parsed, so that nothing of what is the scanner's is taken
/// for ours.
#[must_use]
pub fn scanner_arguments(args: &[OsString]) -> Option<Vec<OsString>> {
    let [_, command, rest @ ..] = args else { return None };
    (command == "scanner")
        .then(|| std::iter::once(OsString::from("kastrel scanner")).chain(rest.iter().cloned()).collect())
}

#[cfg(test)]
mod tests;
