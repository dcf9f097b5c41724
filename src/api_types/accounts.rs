//! Accounts, projects, members and API tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kastrel_actors::model::{
    Account, AccountChange, AccountKind, AccountName, FieldError, MailAddress, Project, ProjectId, ProjectRole,
    RequestContext, ServerRole, TokenId, TokenRecord,
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::moment::Moment;
use crate::identity::password::Password;
use crate::identity::secret::RandomSecret;
use crate::service::access::{AccountRequest, TokenRequest};

/// A secret in a request or a response. `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// An account: a person or a program that uses the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Account)]
pub struct AccountBody {
    /// The name, which identifies the account.
    pub name: String,
    /// What it belongs to.
    pub kind: AccountKind,
    /// The role on the server; null if it has none.
    pub server_role: Option<ServerRole>,
    /// A disabled account cannot sign in, and its tokens are refused.
    pub disabled: bool,
    /// Whether it can sign in with a password.
    pub has_password: bool,
    /// Whether the account has a second factor: an authenticator app, or a passkey.
    #[serde(default)]
    pub has_second_factor: bool,
    /// The mail address, to which links for a new password and notices are sent; null if it has
    /// none.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub mail: Option<MailAddress>,
    /// When it was created.
    pub created_at: Moment,
    /// Its role in each project of which it is a member.
    #[schema(value_type = BTreeMap<String, ProjectRole>)]
    pub memberships: BTreeMap<ProjectId, ProjectRole>,
}

impl From<&Account> for AccountBody {
    fn from(account: &Account) -> Self {
        Self {
            name: account.name.to_string(),
            kind: account.kind,
            server_role: account.server_role,
            disabled: account.is_disabled,
            has_password: account.has_password,
            has_second_factor: account.has_second_factor,
            mail: account.mail.clone(),
            created_at: Moment::of(account.created_at),
            memberships: account.memberships.clone(),
        }
    }
}

/// Which accounts to list. Clients write it; the server reads the query by hand, so that each wrong
/// parameter is named.
#[derive(Debug, Clone, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AccountParams {
    /// Only the accounts of people, or only those of programs.
    #[param(inline)]
    pub kind: Option<AccountKind>,
}

/// The accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountList {
    /// The accounts, ordered by name.
    pub accounts: Vec<AccountBody>,
}

impl AccountList {
    /// Shows the accounts of a kind, or all.
    #[must_use]
    pub fn of(accounts: &[Account], kind: Option<AccountKind>) -> Self {
        let shown = accounts.iter().filter(|account| kind.is_none_or(|kind| account.kind == kind));
        Self { accounts: shown.map(Into::into).collect() }
    }
}

/// An account to create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAccount)]
pub struct NewAccountBody {
    /// The name: 1 to 64 characters of a-z, 0-9 and `.`, `_`, `-`, `@`, `+`. It begins with a
    /// letter or a digit. It cannot be changed.
    #[serde(default)]
    #[schema(required = true)]
    pub name: String,
    /// What it belongs to; `user` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<AccountKind>,
    /// The role on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_role: Option<ServerRole>,
    /// The password of a user. Without it, the response has a one-time link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub password: Option<SecretText>,
    /// The mail address of a user. It counts without a confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// Whether the one-time link is mailed, and left out of the response. It needs `mail`, no
    /// `password`, and a server that sends mails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub send_link: bool,
    /// The role in each project.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, ProjectRole>)]
    pub memberships: BTreeMap<ProjectId, ProjectRole>,
}

impl From<NewAccountBody> for AccountRequest {
    fn from(body: NewAccountBody) -> Self {
        Self {
            name: body.name,
            kind: body.kind.unwrap_or(AccountKind::User),
            server_role: body.server_role,
            password: body.password.map(|password| Password::new(password.0)),
            mail: body.mail,
            send_link: body.send_link,
            memberships: body.memberships,
        }
    }
}

/// A new account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedAccount {
    /// The account.
    pub account: AccountBody,
    /// The one-time link with which its user sets a password; null for an account with a password,
    /// for a program, and for a link that was mailed. If the mail server did not accept the mail,
    /// the link is here.
    pub link: Option<PasswordLink>,
}

/// A one-time link with which a user sets a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PasswordLink {
    /// The path of the page, to append to the address of the server. It contains the secret of the
    /// link.
    #[schema(value_type = String)]
    pub path: SecretText,
    /// How long the link is valid.
    pub lifetime_seconds: u64,
}

impl PasswordLink {
    /// Shows a link with this secret.
    #[must_use]
    pub fn of(secret: &RandomSecret, lifetime: Duration) -> Self {
        let path = SecretText::new(format!("/set-password?link={}", secret.expose()));
        Self { path, lifetime_seconds: lifetime.as_secs() }
    }
}

/// A change of an account: exactly one of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountChange)]
pub struct AccountChangeBody {
    /// Disables the account, or enables it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Sets the role on the server; null removes it.
    // A field that is null is not a field that is left out.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<ServerRole>)]
    pub server_role: Option<Option<ServerRole>>,
    /// Sets the mail address of a user, which counts without a confirmation; null removes it. The
    /// earlier address gets a notice.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub mail: Option<Option<String>>,
}

/// The one change that a body requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedChange {
    /// A change of the account's state or role.
    Account(AccountChange),
    /// A change of its mail address.
    Mail(Option<String>),
}

impl AccountChangeBody {
    /// Returns the change.
    ///
    /// # Errors
    /// The body has none of the fields, or several.
    pub fn change(&self) -> Result<RequestedChange, FieldError> {
        match (self.disabled, self.server_role, &self.mail) {
            (Some(true), None, None) => Ok(RequestedChange::Account(AccountChange::Disable)),
            (Some(false), None, None) => Ok(RequestedChange::Account(AccountChange::Enable)),
            (None, Some(role), None) => Ok(RequestedChange::Account(AccountChange::SetServerRole(role))),
            (None, None, Some(mail)) => Ok(RequestedChange::Mail(mail.clone())),
            _ => Err(FieldError::new("disabled", "send exactly one of `disabled`, `server_role` and `mail`")),
        }
    }
}

/// Reads a field that is present, so that null differs from a missing field.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// An API token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenBody {
    /// The public part, which identifies the token.
    #[schema(value_type = String)]
    pub id: TokenId,
    /// The account whose rights it has.
    pub account: String,
    /// What it is for, in the words of its owner.
    pub label: String,
    /// The highest role that it has in a project.
    pub role: ProjectRole,
    /// The only project; null means all projects of the account.
    #[schema(value_type = Option<String>)]
    pub project: Option<ProjectId>,
    /// Whether it has the account's role on the server.
    pub server_role: bool,
    /// The networks from which it is accepted, in CIDR notation; an empty list means from
    /// everywhere.
    #[serde(default)]
    #[schema(required = true)]
    pub networks: Vec<String>,
    /// When it was created.
    pub created_at: Moment,
    /// When it expires.
    pub expires_at: Moment,
    /// Its last known use, correct to a minute; null if it was not used.
    pub used_at: Option<Moment>,
}

impl From<&TokenRecord> for TokenBody {
    fn from(token: &TokenRecord) -> Self {
        Self {
            id: token.id.clone(),
            account: token.account.to_string(),
            label: token.label.clone(),
            role: token.scope.role,
            project: token.scope.project.clone(),
            server_role: token.scope.has_server_role,
            networks: token.networks.iter().map(ToString::to_string).collect(),
            created_at: Moment::of(token.created_at),
            expires_at: Moment::of(token.expires_at),
            used_at: token.used_at.map(Moment::of),
        }
    }
}

/// The tokens of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// The tokens, newest first.
    pub tokens: Vec<TokenBody>,
}

impl TokenList {
    /// Shows tokens.
    #[must_use]
    pub fn of(tokens: &[TokenRecord]) -> Self {
        Self { tokens: tokens.iter().map(Into::into).collect() }
    }
}

/// A token to create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken)]
pub struct NewTokenBody {
    /// What it is for.
    #[serde(default)]
    #[schema(required = true)]
    pub label: String,
    /// The highest role that it has in a project; `viewer` if left out. It never has more rights
    /// than its account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<ProjectRole>,
    /// The only project; all projects of the account if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub project: Option<ProjectId>,
    /// Whether it has the account's role on the server.
    #[serde(default)]
    pub server_role: bool,
    /// The networks from which it is accepted, up to 32: addresses, and ranges in CIDR notation.
    /// From everywhere if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 32, example = json!(["192.0.2.0/24"]))]
    pub networks: Vec<String>,
    /// How many days it is valid; 90 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 366)]
    pub days: Option<u32>,
}

impl NewTokenBody {
    /// Returns the request for a token of an account.
    #[must_use]
    pub fn request(self, account: AccountName) -> TokenRequest {
        TokenRequest {
            account,
            label: self.label,
            role: self.role.unwrap_or(ProjectRole::Viewer),
            project: self.project,
            has_server_role: self.server_role,
            networks: self.networks,
            days: self.days,
        }
    }
}

/// A new token with its secret, which is shown only here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The complete token, for the header `Authorization: Bearer`.
    #[schema(value_type = String)]
    pub secret: SecretText,
    /// The token.
    pub token: TokenBody,
}

/// A project: the boundary of what its members may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Project)]
pub struct ProjectBody {
    /// The id.
    #[schema(value_type = String)]
    pub id: ProjectId,
    /// The title, for people.
    pub title: String,
    /// When it was created; null for the default project, which always exists.
    pub created_at: Option<Moment>,
}

impl From<&Project> for ProjectBody {
    fn from(project: &Project) -> Self {
        let created_at = (!project.id.is_default()).then(|| Moment::of(project.created_at));
        Self { id: project.id.clone(), title: project.title.clone(), created_at }
    }
}

/// The projects that the caller may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectList {
    /// The projects, ordered by id.
    pub projects: Vec<ProjectBody>,
}

impl ProjectList {
    /// Shows projects.
    #[must_use]
    pub fn of(projects: &[Project]) -> Self {
        Self { projects: projects.iter().map(Into::into).collect() }
    }
}

/// A project to create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProject)]
pub struct NewProjectBody {
    /// The id: 1 to 40 characters of a-z, 0-9 and `-`. It cannot be changed.
    #[serde(default)]
    #[schema(required = true)]
    pub id: String,
    /// The title, for people; the id if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl NewProjectBody {
    /// Returns the title.
    #[must_use]
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.id)
    }
}

/// A member of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberBody {
    /// The name of the account.
    pub name: String,
    /// What the account belongs to.
    pub kind: AccountKind,
    /// The role in the project.
    pub role: ProjectRole,
    /// Whether the account is disabled.
    pub disabled: bool,
}

/// The members of a project. Accounts with a role on the server have rights in every project
/// without being members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberList {
    /// The members, ordered by name.
    pub members: Vec<MemberBody>,
}

impl MemberList {
    /// Shows the accounts that are members of a project.
    #[must_use]
    pub fn of(accounts: &[Account], project: &ProjectId) -> Self {
        let member = |account: &Account| {
            let role = *account.memberships.get(project)?;
            let name = account.name.to_string();
            Some(MemberBody { name, kind: account.kind, role, disabled: account.is_disabled })
        };
        Self { members: accounts.iter().filter_map(member).collect() }
    }
}

/// The role of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberRole)]
pub struct MemberRoleBody {
    /// The role in the project.
    #[schema(value_type = ProjectRole, required = true)]
    pub role: Option<ProjectRole>,
}

/// Who makes the request, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// `user:NAME`, `service:NAME`, `anonymous` on a server without accounts, or `system` for a
    /// command of the data folder.
    pub principal: String,
    /// The name of the account, if there is one.
    pub account: Option<String>,
    /// The id of the token of the request, if there is one.
    #[schema(value_type = Option<String>)]
    pub token: Option<TokenId>,
    /// The role on the server.
    pub server_role: Option<ServerRole>,
    /// The role in each project that the caller may see. That of a role on the server counts.
    #[schema(value_type = BTreeMap<String, ProjectRole>)]
    pub projects: BTreeMap<ProjectId, ProjectRole>,
}

impl Whoami {
    /// Shows a principal and its rights in the projects that it may see.
    #[must_use]
    pub fn of(context: &RequestContext, token: Option<TokenId>, projects: &[Project]) -> Self {
        let role = |project: &Project| Some((project.id.clone(), context.grants.role_in(&project.id)?));
        Self {
            principal: context.principal.to_string(),
            account: context.principal.account().map(ToString::to_string),
            token,
            server_role: context.grants.server_role(),
            projects: projects.iter().filter_map(role).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn change_has_exactly_one_field_and_null_removes_the_role_or_the_address() {
        let read = |body| serde_json::from_value::<AccountChangeBody>(body).unwrap();
        for (body, change) in [
            (json!({ "disabled": true }), RequestedChange::Account(AccountChange::Disable)),
            (json!({ "disabled": false }), RequestedChange::Account(AccountChange::Enable)),
            (
                json!({ "server_role": "auditor" }),
                RequestedChange::Account(AccountChange::SetServerRole(Some(ServerRole::Auditor))),
            ),
            (json!({ "server_role": null }), RequestedChange::Account(AccountChange::SetServerRole(None))),
            (json!({ "mail": "ana@example.com" }), RequestedChange::Mail(Some("ana@example.com".into()))),
            (json!({ "mail": null }), RequestedChange::Mail(None)),
        ] {
            let read = read(body.clone());
            assert_eq!(read.change().unwrap(), change);
            assert_eq!(serde_json::to_value(&read).unwrap(), body, "it is written as it is read");
        }
        for body in
            [json!({}), json!({ "disabled": true, "server_role": null }), json!({ "disabled": true, "mail": null })]
        {
            assert!(read(body.clone()).change().is_err(), "{body}");
        }
        assert!(serde_json::from_value::<AccountChangeBody>(json!({ "role": "admin" })).is_err());
    }

    #[test]
    fn debug_output_has_no_secret() {
        let account = NewAccountBody { password: Some(SecretText::new("hunter2")), ..NewAccountBody::default() };
        let link = PasswordLink { path: SecretText::new("/set-password?link=hunter2"), lifetime_seconds: 1 };
        assert!(!format!("{account:?}{link:?}").contains("hunter2"));
        assert_eq!(serde_json::to_value(&link).unwrap()["path"], "/set-password?link=hunter2");
    }

    #[test]
    fn token_has_few_rights_unless_more_are_requested() {
        let request = NewTokenBody::default().request("ana".parse().unwrap());
        assert_eq!((request.role, request.has_server_role, request.days), (ProjectRole::Viewer, false, None));
    }
}
