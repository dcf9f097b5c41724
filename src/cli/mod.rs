//! The command line: its grammar, its commands, and their output.
//!
//! [`Command`] lists the commands, and [`args`] has their arguments. Each command has its own file
//! and works with a [`context::Context`], which tests create from test doubles. [`backend`] is the
//! access to the scans, of this process or of a server. [`host`] is the part of the application
//! that commands need in their own process.

mod accounts;
mod app_host;
pub mod args;
mod ask;
mod audit;
mod audit_file;
pub mod backend;
mod backup;
mod backups;
mod cancel;
mod clearances;
mod compare;
mod config;
pub mod context;
mod credentials;
mod credentials_error;
mod dead_letters;
mod doctor;
pub mod error;
pub mod exit;
mod findings;
mod findings_export;
mod findings_rebuild;
pub mod gate;
mod gate_findings;
pub mod host;
mod identities;
pub mod interrupt;
mod links;
mod list;
mod login;
mod manual;
mod mcp;
mod new_file;
mod nodes;
mod notes;
pub mod output;
mod plugins;
pub mod progress;
mod projects;
mod queue;
mod ready;
mod restore;
mod scan;
mod scan_batch;
mod scan_exports;
mod scan_request;
mod secret_file;
mod serve;
mod shares;
mod show;
mod status;
pub mod summary;
pub mod table;
mod targets;
pub mod text;
mod tokens;
pub mod view;
mod whoami;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

pub use app_host::KastrelHost;
use args::{
    AuditCommand, BackupArgs, BackupsArgs, ClearanceCommand, CompareArgs, CompletionsArgs, ConfigCommand,
    DeadLettersCommand, DoctorArgs, DrainArgs, FindingsCommand, LinkCommand, ListArgs, LoginArgs, LogoutArgs, ManArgs,
    McpArgs, OneScanArgs, PauseArgs, PluginsArgs, ProjectCommand, ReadArgs, ReadyArgs, RestoreArgs, ResumeArgs,
    ScanArgs, ScanNoteArgs, ScanTagArgs, ServeArgs, ServiceAccountCommand, ShareCommand, TargetCommand, TokenCommand,
    TransferArgs, UserCommand, WorkerArgs,
};
use clap::{CommandFactory as _, Parser, Subcommand};
use context::Context;
use error::{CliError, chain};
use exit::Exit;
use host::AppHost;
use interrupt::Interrupts;
use output::Output;

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
    /// Compare two scans of a target: new, fixed with proof, not checked
    Compare(CompareArgs),
    /// Show or replace the notes of a scan
    Note(ScanNoteArgs),
    /// Add and remove tags of a scan
    Tag(ScanTagArgs),
    /// List the scanner's plugins
    Plugins(PluginsArgs),
    /// List the workers
    Nodes(ReadArgs),
    /// Drain a node: take no new scans, requeue what does not finish in time
    Drain(DrainArgs),
    /// Pause the queue on all nodes
    Pause(PauseArgs),
    /// Resume the queue
    Resume(ResumeArgs),
    /// Show who did what, and verify that the log is as it was written
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show the events that could not be delivered, and send one again
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Manage the accounts of people
    #[command(subcommand)]
    User(UserCommand),
    /// Manage the accounts of programs
    #[command(subcommand)]
    ServiceAccount(ServiceAccountCommand),
    /// Manage projects and their members
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Manage the clearances of targets, which active scans need where accounts are on
    #[command(subcommand)]
    Clearance(ClearanceCommand),
    /// Manage API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Manage the public links of a scan, which open it without an account
    #[command(subcommand)]
    Link(LinkCommand),
    /// Get an API token for a server, which its page in a browser allows, and store it
    Login(LoginArgs),
    /// Revoke the stored API token of a server and remove it
    Logout(LogoutArgs),
    /// Manage the shares of a scan with users and projects
    #[command(subcommand)]
    Share(ShareCommand),
    /// Transfer a scan that has ended to another project
    Transfer(TransferArgs),
    /// List findings, decide about them, and set the times to fix
    #[command(subcommand)]
    Findings(FindingsCommand),
    /// List targets, change their tags and notes, and check them again
    #[command(subcommand)]
    Target(TargetCommand),
    /// Offer Kastrel's tools to an assistant: the Model Context Protocol on standard input and
    /// output
    Mcp(McpArgs),
    /// Show the account and the rights of your commands
    Whoami(ReadArgs),
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
    /// Print the completion script for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder; packages contain them
    #[command(hide = true)]
    Man(ManArgs),
    /// Run the built-in scanner, which takes KAST's arguments
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Scanner {
        /// KAST's arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
}

/// Runs the command line with the environment of this process.
pub async fn run(args: Vec<OsString>, host: Arc<dyn AppHost>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" too; clap provides their stream and exit code. A closed
            // pipe is not an error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code()));
        }
    };
    let env = match crate::config::process_environment(std::env::vars_os()) {
        Ok(env) => env,
        Err(error) => {
            let mut output = Output::standard(&std::collections::BTreeMap::new());
            return finish(Err(error.into()), &mut output).into();
        }
    };
    let mut output = Output::standard(&env);
    let world = std::env::current_dir().map_err(CliError::Directory).and_then(|directory| {
        let signals = interrupt::let_large_writes_fail().and_then(|()| Interrupts::of_process());
        signals.map(|interrupts| (directory, interrupts)).map_err(CliError::Signals)
    });
    let (directory, interrupts) = match world {
        Ok(world) => world,
        Err(error) => return finish(Err(error), &mut output).into(),
    };
    let mut context = Context { env, directory, output, interrupts, host };
    let result = dispatch(cli.command, &mut context).await;
    finish(result, &mut context.output).into()
}

/// Prints an error that keeps every command from starting.
#[must_use]
pub fn refuse(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    Output::standard(&std::collections::BTreeMap::new()).note(&chain(error));
    Exit::Failed.into()
}

/// Runs one command.
///
/// # Errors
/// The error of the command.
pub async fn dispatch(command: Command, context: &mut Context) -> Result<Exit, CliError> {
    match command {
        Command::Serve(args) => serve::run(&args, context).await,
        Command::Worker(args) => serve::worker(&args, context).await,
        Command::Scan(args) => scan::run(&args, context).await,
        Command::Status(args) => status::run(&args, context).await,
        Command::Cancel(args) => cancel::run(&args, context).await,
        Command::List(args) => list::run(&args, context).await,
        Command::Compare(args) => compare::run(&args, context).await,
        Command::Note(args) => notes::note(&args, context).await,
        Command::Tag(args) => notes::tag(&args, context).await,
        Command::Plugins(args) => plugins::run(&args, context).await,
        Command::Backup(args) => backup::run(&args, context).await,
        Command::Restore(args) => restore::run(&args, context).await,
        Command::Backups(args) => backups::run(&args, context),
        Command::Ready(args) => ready::run(&args, context).await,
        Command::Nodes(args) => nodes::list(&args, context).await,
        Command::Drain(args) => nodes::drain(&args, context).await,
        Command::Pause(args) => queue::pause(&args, context).await,
        Command::Resume(args) => queue::resume(&args, context).await,
        Command::Audit(AuditCommand::List(args)) => audit::list(&args, context).await,
        Command::Audit(AuditCommand::Export(args)) => audit_file::export(&args, context).await,
        Command::Audit(AuditCommand::Verify(args)) => audit_file::verify(&args, context).await,
        Command::DeadLetters(DeadLettersCommand::List(args)) => dead_letters::list(&args, context).await,
        Command::DeadLetters(DeadLettersCommand::Resend(args)) => dead_letters::resend(&args, context).await,
        Command::User(command) => accounts::user(&command, context).await,
        Command::ServiceAccount(command) => accounts::service_account(&command, context).await,
        Command::Project(command) => projects::run(&command, context).await,
        Command::Clearance(command) => clearances::run(&command, context).await,
        Command::Token(command) => tokens::run(&command, context).await,
        Command::Link(command) => links::run(&command, context).await,
        Command::Login(args) => login::login(&args, context).await,
        Command::Logout(args) => login::logout(&args, context).await,
        Command::Share(command) => shares::run(&command, context).await,
        Command::Transfer(args) => shares::transfer(&args, context).await,
        Command::Findings(command) => findings::run(&command, context).await,
        Command::Target(command) => targets::run(&command, context).await,
        Command::Mcp(args) => mcp::run(&args, context).await,
        Command::Whoami(args) => whoami::run(&args, context).await,
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Config(ConfigCommand::Show { json, serve }) => config::show(&serve, json, context),
        Command::Completions(args) => manual::completions(&args, Cli::command(), context),
        Command::Man(args) => manual::pages(&args, Cli::command()),
        // Only reached if something is in front of the word; otherwise main passes all arguments on
        // to the scanner.
        Command::Scanner { .. } => Err(CliError::Usage("`scanner` must be the first argument".into())),
    }
}

/// Prints an error once, with its causes.
fn finish(result: Result<Exit, CliError>, output: &mut Output) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(error) => {
            output.note(&chain(&error));
            error.exit()
        }
    }
}
