//! `clearance`: what may be done to targets in a project.

use clap::builder::TypedValueParser;
use clap::{Args, Subcommand};
use kastrel_actors::model::{ClearanceLevel, HostPattern, ProjectId};

use super::common::{ReadArgs, names};
use crate::api_types::NewClearanceBody;

/// `kastrel clearance`
#[derive(Debug, Subcommand)]
pub enum ClearanceCommand {
    /// List the clearances of a project
    List(ClearanceListArgs),
    /// Set the clearance of a host, or of all names below a domain
    Set(ClearanceSetArgs),
    /// Remove a clearance
    Remove(ClearanceRemoveArgs),
}

/// `kastrel clearance list`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ClearanceListArgs {
    /// Id of the project
    #[arg(long, value_name = "ID", default_value_t)]
    pub project: ProjectId,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel clearance set`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ClearanceSetArgs {
    /// Host, such as example.com or 192.0.2.1, or '*.example.com' for all names below a domain
    #[arg(value_name = "HOST")]
    pub pattern: HostPattern,
    /// What may be done to it
    #[arg(value_parser = level())]
    pub level: ClearanceLevel,
    /// Who gave the permission to attack it, and where that is written; required for active
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// End of the level active: a day, which it includes, in UTC, such as 2026-12-31; or a time
    /// such as 2026-12-31T18:00:00Z [default: it does not end]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Id of the project
    #[arg(long, value_name = "ID", default_value_t)]
    pub project: ProjectId,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel clearance remove`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ClearanceRemoveArgs {
    /// Host or '*.' and a domain, as `kastrel clearance list` shows it
    #[arg(value_name = "HOST")]
    pub pattern: HostPattern,
    /// Id of the project
    #[arg(long, value_name = "ID", default_value_t)]
    pub project: ProjectId,
    #[command(flatten)]
    pub common: ReadArgs,
}

impl ClearanceSetArgs {
    /// Returns the clearance to set.
    #[must_use]
    pub fn clearance(&self) -> NewClearanceBody {
        NewClearanceBody { level: Some(self.level), until: self.until.clone(), text: self.text.clone() }
    }
}

fn level() -> impl TypedValueParser<Value = ClearanceLevel> {
    names(ClearanceLevel::ALL.iter().map(|one| one.as_str())).try_map(|text| text.parse::<ClearanceLevel>())
}
