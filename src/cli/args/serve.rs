//! `serve`, `worker` and `ready`: processes that run until they are stopped, and whether they do
//! their work.

use clap::Args;

use super::common::{ConfigArgs, ScannerArgs, text};
use crate::config::FlagValue;

/// `kastrel serve`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ServeArgs {
    /// The address to listen on [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Allow targets in private, loopback and other special ranges
    #[arg(long)]
    pub allow_private_targets: bool,
    /// Number of slots: how many scans run at the same time [default: 4]
    #[arg(long, value_name = "NUMBER")]
    pub concurrency: Option<String>,
    #[command(flatten)]
    pub scanner: ScannerArgs,
    /// Run no scans in this process; workers run them
    #[arg(long)]
    pub no_worker: bool,
    /// Start a database that has lost rows or is damaged, with what is left
    #[arg(long)]
    pub accept_loss: bool,
}

/// `kastrel worker`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct WorkerArgs {
    /// Number of slots: how many scans run at the same time [default: 4]
    #[arg(long, value_name = "NUMBER")]
    pub concurrency: Option<String>,
    /// The address of the health checks and metrics [default: 127.0.0.1:5001]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Allow targets in private, loopback and other special ranges
    #[arg(long)]
    pub allow_private_targets: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub scanner: ScannerArgs,
}

/// `kastrel ready`
#[derive(Debug, Clone, Default, Args)]
pub struct ReadyArgs {
    /// The address of a server or a worker
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5000")]
    pub server: String,
}

impl ServeArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        let private =
            self.allow_private_targets.then(|| FlagValue { key: "scope.allow_private", value: "true".into() });
        let loss = self.accept_loss.then(|| FlagValue { key: "database.accept_loss", value: "true".into() });
        let own = text("server.listen", self.listen.as_ref())
            .into_iter()
            .chain(text("scans.concurrency", self.concurrency.as_ref()))
            .chain(private);
        own.chain(loss).chain(self.config.flags()).chain(self.scanner.flags()).collect()
    }
}

impl WorkerArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        let own = text("worker.listen", self.listen.as_ref())
            .into_iter()
            .chain(text("scans.concurrency", self.concurrency.as_ref()));
        let private =
            self.allow_private_targets.then(|| FlagValue { key: "scope.allow_private", value: "true".into() });
        own.chain(private).chain(self.config.flags()).chain(self.scanner.flags()).collect()
    }
}
