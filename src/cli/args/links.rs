//! `link`: the public links of a scan.

use clap::{Args, Subcommand};
use kastrel_actors::model::{PublicLinkId, ScanId};

use super::common::ReadArgs;
use super::scans::scan_number;
use crate::api_types::NewPublicLinkBody;

/// `kastrel link`
#[derive(Debug, Subcommand)]
pub enum LinkCommand {
    /// Create a public link of a scan and print it; it is shown only once
    Create(LinkCreateArgs),
    /// List the public links of a scan, newest first
    List(LinkListArgs),
    /// Revoke a public link: it opens nothing any more
    Revoke(LinkRevokeArgs),
}

/// `kastrel link create`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct LinkCreateArgs {
    /// The scan's number
    #[arg(value_parser = scan_number)]
    pub scan: ScanId,
    /// What the link is for; visitors do not see it
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Days until it expires [default: 7]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=365))]
    pub days: Option<u32>,
    /// File with a password that visitors must enter; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<String>,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel link list`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct LinkListArgs {
    /// The scan's number
    #[arg(value_parser = scan_number)]
    pub scan: ScanId,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel link revoke`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct LinkRevokeArgs {
    /// The scan's number
    #[arg(value_parser = scan_number)]
    pub scan: ScanId,
    /// Id of the link, as `kastrel link list` shows it
    pub link: PublicLinkId,
    #[command(flatten)]
    pub common: ReadArgs,
}

impl LinkCreateArgs {
    /// Returns the link to create, without its password.
    #[must_use]
    pub fn link(&self) -> NewPublicLinkBody {
        NewPublicLinkBody { label: self.label.clone(), days: self.days, password: None }
    }
}
