//! `drain`, `pause` and `resume`: who runs scans, and whether any scan starts.

use clap::Args;
use kastrel_actors::model::NodeId;
use kastrel_actors::policy::operator::{MAX_DRAIN_SECONDS, pause_reason};

use super::common::{ConfigArgs, ReadArgs, ServerArgs};
use crate::config::FlagValue;

/// `kastrel drain`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct DrainArgs {
    /// The node's id, as `kastrel nodes` shows it
    pub node: NodeId,
    /// Seconds that running scans may take [default: scans.drain_limit_seconds]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=MAX_DRAIN_SECONDS), conflicts_with = "undo")]
    pub within: Option<u64>,
    /// Undo: take new scans again
    #[arg(long)]
    pub undo: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel pause`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct PauseArgs {
    /// Reason, shown to everybody
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel resume`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ResumeArgs {
    #[command(flatten)]
    pub common: ReadArgs,
}

/// Checks a reason before anything is opened.
fn reason(text: &str) -> Result<String, String> {
    pause_reason(text).map(Option::unwrap_or_default).map_err(|error| error.message)
}

impl DrainArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}
