//! `findings export`: which findings, and in which format.

use std::path::PathBuf;

use clap::Args;

use super::common::{ReadArgs, names};
use crate::exports::Format;

/// `kastrel findings export`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct FindingExportArgs {
    /// Filter: tokens such as severity:high,critical status:any plugin:testssl target:shop.example,
    /// and words [default: open and confirmed findings]. For openvex: target, project and tag only,
    /// in all states
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Format of the export
    #[arg(long, value_name = "FORMAT", value_parser = names(Format::OF_FINDINGS.iter().map(|one| one.name())))]
    pub format: String,
    /// File to write [default: the standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    pub force: bool,
    #[command(flatten)]
    pub common: ReadArgs,
}

impl FindingExportArgs {
    /// Returns the filter as one line of tokens.
    #[must_use]
    pub fn filter(&self) -> String {
        self.filter.join(" ")
    }

    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> Format {
        // The parser of the argument knows no other names.
        self.format.parse().unwrap_or(Format::JsonLines)
    }
}
