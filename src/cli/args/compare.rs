//! `compare`: what changed between two scans of a target.

use clap::Args;
use kastrel_actors::model::ScanId;

use super::common::ReadArgs;
use super::scans::scan_number;

/// `kastrel compare`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct CompareArgs {
    /// The number of the earlier scan. Alone: the scan that is compared with the newest earlier one
    /// of its target
    #[arg(value_name = "A", value_parser = scan_number)]
    pub first: ScanId,
    /// The number of the later scan; of the two, the one that ended first counts as the earlier one
    #[arg(value_name = "B", value_parser = scan_number)]
    pub second: Option<ScanId>,
    /// Also list the findings that both scans saw
    #[arg(long)]
    pub unchanged: bool,
    #[command(flatten)]
    pub common: ReadArgs,
}

impl CompareArgs {
    /// Returns the later scan, and the earlier one if it is named.
    #[must_use]
    pub const fn scans(&self) -> (ScanId, Option<ScanId>) {
        match self.second {
            Some(second) => (second, Some(self.first)),
            None => (self.first, None),
        }
    }
}
