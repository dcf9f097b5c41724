//! `user`, `service-account`, `project`, `token` and `whoami`: who may do what.

use std::collections::BTreeMap;

use clap::builder::TypedValueParser;
use clap::{Args, Subcommand};
use kastrel_actors::model::{
    AccountKind, AccountName, MailAddress, Network, ProjectId, ProjectRole, ServerRole, TokenId,
};

use super::common::{ReadArgs, names};
use crate::api_types::{NewAccountBody, NewProjectBody, NewTokenBody};

/// The word that stands for no role on the server.
const NO_ROLE: &str = "none";

/// `kastrel user`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Create a user; without a password, print a one-time link that sets it
    Create(UserCreateArgs),
    /// List the users
    List(ReadArgs),
    /// Show an account
    Show(AccountArgs),
    /// Disable an account: its sessions end, its tokens are refused
    Disable(AccountArgs),
    /// Enable a disabled account
    Enable(AccountArgs),
    /// Set the role of an account on the server
    Role(RoleArgs),
    /// Print a one-time link that sets a new password
    ResetPassword(AccountArgs),
    /// Remove the second factor of a user who lost it, with all passkeys: the sessions end
    ResetSecondFactor(AccountArgs),
    /// Set or remove the mail address of a user, for new passwords and notices
    Mail(UserMailArgs),
    /// Link a person of the identity provider to an account: the person signs in to it
    Link(LinkIdentityArgs),
    /// Unlink the person of the identity provider from an account: the sessions end
    Unlink(AccountArgs),
}

/// `kastrel service-account`
#[derive(Debug, Subcommand)]
pub enum ServiceAccountCommand {
    /// Create an account of a program, which has only tokens
    Create(ServiceAccountCreateArgs),
    /// List the service accounts
    List(ReadArgs),
}

/// `kastrel project`
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Create a project
    Create(ProjectCreateArgs),
    /// List the projects
    List(ReadArgs),
    /// List the members of a project
    Members(MembersArgs),
    /// Give an account a role in a project
    Grant(GrantArgs),
    /// Remove an account from a project
    Revoke(RevokeMemberArgs),
}

/// `kastrel token`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create an API token and print it; it is shown only once
    Create(TokenCreateArgs),
    /// List the tokens of an account, newest first
    List(TokenListArgs),
    /// Revoke a token
    Revoke(TokenRevokeArgs),
}

/// The rights of a new account.
#[derive(Debug, Clone, Default, Args)]
pub struct RightsArgs {
    /// May do everything
    #[arg(long, conflicts_with = "auditor")]
    pub admin: bool,
    /// May read everything, including the audit log, and change nothing
    #[arg(long)]
    pub auditor: bool,
    /// Project of --role [default: default]
    #[arg(long, value_name = "ID")]
    pub project: Option<ProjectId>,
    /// Role in the project [default with --project: viewer]
    #[arg(long, value_name = "ROLE", value_parser = project_role())]
    pub role: Option<ProjectRole>,
}

/// `kastrel user create`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct UserCreateArgs {
    /// Name, such as ana or ana@example.com
    pub name: AccountName,
    #[command(flatten)]
    pub rights: RightsArgs,
    /// File with the password; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<String>,
    /// Mail address, for new passwords and notices
    #[arg(long, value_name = "ADDRESS")]
    pub mail: Option<MailAddress>,
    /// Mail the one-time link to --mail and do not print it
    #[arg(long, requires = "mail", conflicts_with = "password_file")]
    pub send_link: bool,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel user mail`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct UserMailArgs {
    /// Name of the account
    pub name: AccountName,
    /// New address
    #[arg(value_name = "ADDRESS", required_unless_present = "remove")]
    pub address: Option<MailAddress>,
    /// Remove the address
    #[arg(long, conflicts_with = "address")]
    pub remove: bool,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel service-account create`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ServiceAccountCreateArgs {
    /// Name, such as ci
    pub name: AccountName,
    #[command(flatten)]
    pub rights: RightsArgs,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// A command about one account.
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct AccountArgs {
    /// Name of the account
    pub name: AccountName,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel user link`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct LinkIdentityArgs {
    /// Name of the account
    pub name: AccountName,
    /// Id of the person at the provider (the claim `sub`), which is no name and no mail address
    #[arg(long, value_name = "SUBJECT")]
    pub subject: String,
    /// Issuer of the provider [default: oidc.issuer]
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel user role`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct RoleArgs {
    /// Name of the account
    pub name: AccountName,
    /// New role on the server
    #[arg(value_parser = names(server_roles()))]
    pub role: String,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel project create`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ProjectCreateArgs {
    /// Id, such as web-shop
    pub id: ProjectId,
    /// Title for people [default: the id]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel project members`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct MembersArgs {
    /// Id of the project
    pub id: ProjectId,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel project grant`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct GrantArgs {
    /// Id of the project
    pub id: ProjectId,
    /// Name of the account
    pub name: AccountName,
    /// New role in the project
    #[arg(value_parser = project_role())]
    pub role: ProjectRole,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel project revoke`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct RevokeMemberArgs {
    /// Id of the project
    pub id: ProjectId,
    /// Name of the account
    pub name: AccountName,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel token create`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct TokenCreateArgs {
    /// Account whose rights the token has [default: your own]
    #[arg(long, value_name = "NAME")]
    pub account: Option<AccountName>,
    /// What the token is for
    #[arg(long, value_name = "TEXT")]
    pub label: String,
    /// Highest role in a project [default: viewer]
    #[arg(long, value_name = "ROLE", value_parser = project_role())]
    pub role: Option<ProjectRole>,
    /// Only project [default: all of the account]
    #[arg(long, value_name = "ID")]
    pub project: Option<ProjectId>,
    /// Days until it expires [default: 90]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=366))]
    pub days: Option<u32>,
    /// Give it the account's role on the server too
    #[arg(long)]
    pub server_role: bool,
    /// Network from which it is accepted, as an address or a range (192.0.2.0/24); may be given
    /// several times [default: everywhere]
    #[arg(long = "network", value_name = "NETWORK")]
    pub networks: Vec<Network>,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel token list`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct TokenListArgs {
    /// Account of the tokens [default: your own]
    #[arg(long, value_name = "NAME")]
    pub account: Option<AccountName>,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel token revoke`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct TokenRevokeArgs {
    /// Id of the token, as `kastrel token list` shows it
    pub id: TokenId,
    /// Account of the token [default: your own]
    #[arg(long, value_name = "NAME")]
    pub account: Option<AccountName>,
    #[command(flatten)]
    pub common: ReadArgs,
}

impl RightsArgs {
    /// Returns the account to create, without a password.
    fn account(&self, name: &AccountName, kind: AccountKind) -> NewAccountBody {
        let server_role = match (self.admin, self.auditor) {
            (true, _) => Some(ServerRole::Admin),
            (false, true) => Some(ServerRole::Auditor),
            (false, false) => None,
        };
        let mut memberships = BTreeMap::new();
        if self.project.is_some() || self.role.is_some() {
            memberships.insert(self.project.clone().unwrap_or_default(), self.role.unwrap_or(ProjectRole::Viewer));
        }
        NewAccountBody {
            name: name.to_string(),
            kind: Some(kind),
            server_role,
            memberships,
            ..NewAccountBody::default()
        }
    }
}

impl UserCreateArgs {
    /// Returns the account to create, without its password.
    #[must_use]
    pub fn account(&self) -> NewAccountBody {
        let mail = self.mail.as_ref().map(ToString::to_string);
        NewAccountBody { mail, send_link: self.send_link, ..self.rights.account(&self.name, AccountKind::User) }
    }
}

impl ServiceAccountCreateArgs {
    /// Returns the account to create.
    #[must_use]
    pub fn account(&self) -> NewAccountBody {
        self.rights.account(&self.name, AccountKind::Service)
    }
}

impl RoleArgs {
    /// Returns the new role on the server; `None` removes it.
    #[must_use]
    pub fn server_role(&self) -> Option<ServerRole> {
        self.role.parse().ok()
    }
}

impl ProjectCreateArgs {
    /// Returns the project to create.
    #[must_use]
    pub fn project(&self) -> NewProjectBody {
        NewProjectBody { id: self.id.to_string(), title: self.title.clone() }
    }
}

impl TokenCreateArgs {
    /// Returns the token to create.
    #[must_use]
    pub fn token(&self) -> NewTokenBody {
        NewTokenBody {
            label: self.label.clone(),
            role: self.role,
            project: self.project.clone(),
            server_role: self.server_role,
            networks: self.networks.iter().map(ToString::to_string).collect(),
            days: self.days,
        }
    }
}

fn server_roles() -> impl Iterator<Item = &'static str> {
    ServerRole::ALL.iter().map(|one| one.as_str()).chain([NO_ROLE])
}

pub(super) fn project_role() -> impl TypedValueParser<Value = ProjectRole> {
    names(ProjectRole::ALL.iter().map(|one| one.as_str())).try_map(|text| text.parse::<ProjectRole>())
}
