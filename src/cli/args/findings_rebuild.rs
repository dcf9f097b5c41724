//! `findings rebuild`: findings from the files of old scans.

use clap::Args;
use kastrel_actors::model::ProjectId;
use kastrel_findings::place::Origin;

use super::common::ConfigArgs;
use crate::config::FlagValue;

/// `kastrel findings rebuild`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct FindingsRebuildArgs {
    /// Only the target with the scheme, host and port of this URL
    #[arg(long, value_name = "URL", value_parser = origin)]
    pub target: Option<Origin>,
    /// Only the targets of this project
    #[arg(long, value_name = "ID")]
    pub project: Option<ProjectId>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl FindingsRebuildArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

fn origin(text: &str) -> Result<Origin, String> {
    Origin::of_target(text).map_err(|fault| format!("expected an address such as https://shop.example: {fault}"))
}
