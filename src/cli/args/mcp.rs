//! `mcp`: the tools for assistants on standard input and output.

use clap::Args;

use super::common::{ConfigArgs, ScannerArgs, ServerArgs};
use crate::config::FlagValue;

/// `kastrel mcp`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct McpArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub scanner: ScannerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl McpArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags().into_iter().chain(self.scanner.flags()).collect()
    }
}
