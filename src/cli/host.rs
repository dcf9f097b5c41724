//! The application, as far as commands need it in their own process. It is handed in, so that
//! commands can be tested without one.

use async_trait::async_trait;

use super::backend::{LocalBackend, PluginList};
use super::error::CliError;
use crate::app::AppFailure;
use crate::config::Config;

pub use crate::app::Role;

/// Starts the application.
#[async_trait]
pub trait AppHost: Send + Sync {
    /// Sets up logging; called once, before anything is started.
    ///
    /// # Errors
    /// There is already another.
    fn init_logging(&self, config: &Config, role: Role) -> Result<(), CliError>;

    /// Starts it. When this returns `Ok` for [`Role::Serve`], it answers requests.
    async fn start(&self, config: &Config, role: Role) -> Result<Box<dyn RunningApp>, CliError>;

    /// Asks the scanner that this configuration leads to for its plugins.
    async fn scanner(&self, config: &Config) -> Result<PluginList, CliError>;
}

/// The application while it runs. Dropping it kills what it runs at once.
#[async_trait]
pub trait RunningApp: Send + Sync {
    /// Its scans.
    fn backend(&self) -> LocalBackend;

    /// The address of its dashboard, if it has one.
    fn url(&self) -> Option<String>;

    /// Waits until it can no longer work, and says why.
    async fn failed(&self) -> AppFailure;

    /// Ends it in good order: running scans are put back, no process is left.
    async fn stop(self: Box<Self>);
}
