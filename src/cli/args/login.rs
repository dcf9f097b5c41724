//! `login` and `logout`: an API token for the commands of this user.

use clap::Args;
use kastrel_actors::model::ProjectRole;

use super::accounts::project_role;
use super::common::ConfigArgs;
use crate::api_types::NewDeviceLoginBody;
use crate::config::FlagValue;

const SERVER_HELP: &str = "Address of the server, such as https://scans.example.com [env: KASTREL_SERVER]";

/// `kastrel login`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct LoginArgs {
    #[arg(long, value_name = "URL", help = SERVER_HELP)]
    pub server: Option<String>,
    /// Highest role of the token in a project [default: operator]
    #[arg(long, value_name = "ROLE", value_parser = project_role())]
    pub role: Option<ProjectRole>,
    /// Give the token the account's role on the server too
    #[arg(long)]
    pub server_role: bool,
    /// Days until the token expires [default: 90]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=366))]
    pub days: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel logout`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct LogoutArgs {
    #[arg(long, value_name = "URL", help = SERVER_HELP)]
    pub server: Option<String>,
    /// Only remove the token from this machine, and do not revoke it on the server
    #[arg(long)]
    pub forget: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl LoginArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }

    /// Returns the request of a machine with this label.
    #[must_use]
    pub fn request(&self, label: String) -> NewDeviceLoginBody {
        NewDeviceLoginBody { label, role: self.role, server_role: self.server_role, days: self.days }
    }
}

impl LogoutArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}
