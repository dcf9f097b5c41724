//! `status`, `cancel` and `list`: the scans that are there.

use clap::Args;
use kastrel_actors::model::{ScanId, ScanStatus};

use super::common::{ConfigArgs, ServerArgs, names};
use crate::config::FlagValue;

/// The states as people call them. The API's word for a queued scan is read as well.
const STATES: [(&str, ScanStatus); 6] = [
    ("queued", ScanStatus::Pending),
    ("running", ScanStatus::Running),
    ("completed", ScanStatus::Completed),
    ("failed", ScanStatus::Failed),
    ("cancelled", ScanStatus::Cancelled),
    ("pending", ScanStatus::Pending),
];

pub(super) fn scan_number(text: &str) -> Result<ScanId, String> {
    text.parse()
        .ok()
        .filter(|id: &ScanId| id.0 > 0)
        .ok_or_else(|| "expected a scan number, such as 12; `kastrel list` shows them".into())
}

/// `kastrel status` and `kastrel cancel`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct OneScanArgs {
    /// The scan's number
    #[arg(value_parser = scan_number)]
    pub id: ScanId,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel list`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ListArgs {
    /// Only scans in this state
    #[arg(long, value_name = "STATUS", value_parser = names(STATES.iter().map(|(name, _)| *name)))]
    pub status: Option<String>,
    /// Only scans whose target contains this text
    #[arg(long, value_name = "TEXT")]
    pub target: Option<String>,
    /// Only scans with this tag
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Only the scans that are shared with your account, which other lists do not have
    #[arg(long, conflicts_with_all = ["status", "target", "tag"])]
    pub shared: bool,
    /// Maximum number of scans
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl OneScanArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

impl ListArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

impl ListArgs {
    /// The state of `--status`.
    #[must_use]
    pub fn status(&self) -> Option<ScanStatus> {
        let wanted = self.status.as_deref()?;
        STATES.iter().find(|(name, _)| *name == wanted).map(|(_, status)| *status)
    }
}
