//! `audit` and `dead-letters`: what happened, and what could not be delivered.

use clap::{Args, Subcommand};
use kastrel_actors::model::{OutboxKey, ScanId};

use super::common::ReadArgs;
use super::scans::scan_number;

/// `kastrel audit`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List the entries of the audit log, newest first
    List(AuditArgs),
}

/// `kastrel audit list`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct AuditArgs {
    /// Only the entries of the scan with this number
    #[arg(long, value_name = "NUMBER", value_parser = scan_number)]
    pub scan: Option<ScanId>,
    /// Maximum number of entries
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel dead-letters`
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// List the dead letters, newest first
    List(ReadArgs),
    /// Deliver a dead letter again, to the consumers that have not accepted it
    Resend(ResendArgs),
}

/// `kastrel dead-letters resend`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ResendArgs {
    /// The dead letter's id
    #[arg(value_parser = id)]
    pub id: OutboxKey,
    #[command(flatten)]
    pub common: ReadArgs,
}

fn id(text: &str) -> Result<OutboxKey, String> {
    text.parse().map_err(|_| "expected an id, such as 12-3; `kastrel dead-letters list` shows them".into())
}
