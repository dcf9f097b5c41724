//! `share` and `transfer`: with whom a scan is shared, and its transfer to another project.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use kastrel_actors::model::{Grantee, ProjectId, ScanId, ShareRight};

use super::common::ReadArgs;
use super::scans::scan_number;
use crate::api_types::NewShareBody;

/// `kastrel share`
#[derive(Debug, Subcommand)]
pub enum ShareCommand {
    /// Share a scan with a user or with the members of a project
    Create(ShareCreateArgs),
    /// List the shares of a scan, newest first
    List(ShareListArgs),
    /// Revoke a share: it gives no right any more
    Revoke(ShareRevokeArgs),
}

/// `kastrel share create`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ShareCreateArgs {
    /// The scan's number
    #[arg(value_parser = scan_number)]
    pub scan: ScanId,
    /// Who gets the right: `user:NAME` or `project:ID`
    pub grantee: Grantee,
    /// Right; `edit` is also to cancel the scan and to regenerate its report [default: view]
    #[arg(long, value_name = "RIGHT", value_parser = PossibleValuesParser::new(ShareRight::ALL.iter().map(|right| right.as_str())))]
    pub right: Option<String>,
    /// Days until it expires [default: it does not]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=365))]
    pub days: Option<u32>,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel share list`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ShareListArgs {
    /// The scan's number
    #[arg(value_parser = scan_number)]
    pub scan: ScanId,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel share revoke`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ShareRevokeArgs {
    /// The scan's number
    #[arg(value_parser = scan_number)]
    pub scan: ScanId,
    /// Who has the right: `user:NAME` or `project:ID`
    pub grantee: Grantee,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel transfer`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct TransferArgs {
    /// The scan's number
    #[arg(value_parser = scan_number)]
    pub scan: ScanId,
    /// Id of the project to which the scan goes
    pub project: ProjectId,
    #[command(flatten)]
    pub common: ReadArgs,
}

impl ShareCreateArgs {
    /// Returns the share to create.
    #[must_use]
    pub fn share(&self) -> NewShareBody {
        NewShareBody { grantee: self.grantee.to_string(), right: self.right.clone(), days: self.days }
    }
}
