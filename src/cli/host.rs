//! The application as the commands need it in their own process. The traits here allow tests of
//! commands without the application.

use async_trait::async_trait;

use super::backend::{LocalBackend, PluginList};
use super::error::CliError;
use crate::app::AppFailure;
use crate::config::Config;
use crate::service::findings::ingest::FindingRebuild;

pub use crate::config::Role;

/// Starts the application.
#[async_trait]
pub trait AppHost: Send + Sync {
    /// Sets up logging. Called once, before anything is started.
    ///
    /// # Errors
    /// The environment variables cannot be read.
    fn init_logging(&self, config: &Config, role: Role) -> Result<(), CliError>;

    /// Starts the application. If this returns `Ok` for [`Role::Serve`], the application responds
    /// to requests.
    async fn start(&self, config: &Config, role: Role) -> Result<Box<dyn RunningApp>, CliError>;

    /// Returns the plugins of the configured scanner.
    async fn scanner(&self, config: &Config) -> Result<PluginList, CliError>;
}

/// The running application. Dropping it kills its scans at once.
#[async_trait]
pub trait RunningApp: Send + Sync {
    /// Returns the backend of its scans.
    fn backend(&self) -> LocalBackend;

    /// Returns the rebuild of findings; `None` if this application has none.
    fn rebuild(&self) -> Option<FindingRebuild> {
        None
    }

    /// Returns the URL of its dashboard, if it has one.
    fn url(&self) -> Option<String>;

    /// Waits until the application fails permanently, and returns why.
    async fn failed(&self) -> AppFailure;

    /// Stops the application in order: running scans return to the queue, and no process is left.
    async fn stop(self: Box<Self>);
}
