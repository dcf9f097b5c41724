//! The application of this program, as commands start it.

use async_trait::async_trait;

use super::backend::PluginList;
use super::error::CliError;
use super::host::{AppHost, Role, RunningApp};
use crate::config::Config;

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct KastrelHost;

#[async_trait]
impl AppHost for KastrelHost {
    fn init_logging(&self, _: &Config, _: Role) -> Result<(), CliError> {
        Ok(())
    }

    async fn start(&self, _: &Config, _: Role) -> Result<Box<dyn RunningApp>, CliError> {
        Err(CliError::Usage("the application is not part of this build".into()))
    }

    async fn scanner(&self, _: &Config) -> Result<PluginList, CliError> {
        Err(CliError::Usage("the application is not part of this build".into()))
    }
}
