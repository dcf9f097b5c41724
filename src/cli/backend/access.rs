//! The accounts, projects and API tokens of a backend.

use async_trait::async_trait;
use kastrel_actors::model::{AccountKind, AccountName, ProjectId, ProjectRole, TokenId};
use kastrel_actors::policy::access::Denial;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::error::BackendError;
use super::local::{LocalBackend, context};
use super::remote::{RemoteBackend, is_json};
use crate::api_types::{
    AccountBody, AccountChangeBody, AccountList, AccountParams, CreatedAccount, CreatedToken, MemberList,
    MemberRoleBody, NewAccountBody, NewProjectBody, NewTokenBody, PasswordLink, ProjectBody, ProjectList,
    RequestedChange, SecretText, TokenBody, TokenList, Whoami,
};
use crate::service::access::AccountError;

/// The accounts, projects and API tokens of a backend.
#[async_trait]
pub trait AccessBackend: Send + Sync {
    /// Returns the accounts of a kind.
    async fn accounts(&self, kind: AccountKind) -> Result<AccountList, BackendError>;

    /// Returns an account; `None` if it does not exist.
    async fn account(&self, name: &AccountName) -> Result<Option<AccountBody>, BackendError>;

    /// Creates an account.
    async fn create_account(&self, account: NewAccountBody) -> Result<CreatedAccount, BackendError>;

    /// Changes an account; `None` if it does not exist.
    async fn change_account(
        &self,
        name: &AccountName,
        change: AccountChangeBody,
    ) -> Result<Option<AccountBody>, BackendError>;

    /// Creates a one-time link with which a user sets a password; `None` if there is no such
    /// account.
    async fn password_link(&self, name: &AccountName) -> Result<Option<PasswordLink>, BackendError>;

    /// Removes the second factor of an account. Returns `false` if it does not exist or has none.
    async fn reset_second_factor(&self, name: &AccountName) -> Result<bool, BackendError>;

    /// Returns the projects.
    async fn projects(&self) -> Result<ProjectList, BackendError>;

    /// Creates a project.
    async fn create_project(&self, project: NewProjectBody) -> Result<ProjectBody, BackendError>;

    /// Returns the members of a project; `None` if it does not exist.
    async fn members(&self, project: &ProjectId) -> Result<Option<MemberList>, BackendError>;

    /// Sets the role of an account in a project, or ends its membership (`None`). Returns `false`
    /// if the project does not exist.
    async fn set_member(
        &self,
        project: &ProjectId,
        name: &AccountName,
        role: Option<ProjectRole>,
    ) -> Result<bool, BackendError>;

    /// Returns the tokens of an account; `None` if it does not exist.
    async fn tokens(&self, account: &AccountName) -> Result<Option<TokenList>, BackendError>;

    /// Creates a token of an account.
    async fn create_token(&self, account: &AccountName, token: NewTokenBody) -> Result<CreatedToken, BackendError>;

    /// Revokes a token. Returns `false` if the account has no such token.
    async fn revoke_token(&self, account: &AccountName, id: &TokenId) -> Result<bool, BackendError>;

    /// Returns who makes the requests.
    async fn whoami(&self) -> Result<Whoami, BackendError>;
}

/// Returns the result of an operation on a project or a scan; `None` if it does not exist.
pub(super) fn visible<T>(result: Result<T, AccountError>) -> Result<Option<T>, BackendError> {
    match result {
        Err(AccountError::Denied(Denial::NotVisible)) => Ok(None),
        result => Ok(Some(result?)),
    }
}

#[async_trait]
impl AccessBackend for LocalBackend {
    async fn accounts(&self, kind: AccountKind) -> Result<AccountList, BackendError> {
        Ok(AccountList::of(&self.access.accounts(&context()).await?, Some(kind)))
    }

    async fn account(&self, name: &AccountName) -> Result<Option<AccountBody>, BackendError> {
        Ok(self.access.account(&context(), name).await?.as_ref().map(Into::into))
    }

    async fn create_account(&self, account: NewAccountBody) -> Result<CreatedAccount, BackendError> {
        let (account, secret) = self.access.create_account(&context(), account.into()).await?;
        let link = secret.map(|secret| PasswordLink::of(&secret, self.access.link_lifetime()));
        Ok(CreatedAccount { account: (&account).into(), link })
    }

    async fn change_account(
        &self,
        name: &AccountName,
        change: AccountChangeBody,
    ) -> Result<Option<AccountBody>, BackendError> {
        let change = change.change().map_err(|error| BackendError::Invalid(vec![error]))?;
        let is_known = match change {
            RequestedChange::Account(change) => self.access.change_account(&context(), name, change).await?,
            RequestedChange::Mail(mail) => self.access.set_mail(&context(), name, mail.as_deref()).await?,
        };
        if is_known { self.account(name).await } else { Ok(None) }
    }

    async fn password_link(&self, name: &AccountName) -> Result<Option<PasswordLink>, BackendError> {
        let secret = self.access.password_link(&context(), name).await?;
        Ok(secret.map(|secret| PasswordLink::of(&secret, self.access.link_lifetime())))
    }

    async fn reset_second_factor(&self, name: &AccountName) -> Result<bool, BackendError> {
        Ok(self.access.reset_second_factor(&context(), name).await?)
    }

    async fn projects(&self) -> Result<ProjectList, BackendError> {
        Ok(ProjectList::of(&self.access.projects(&context()).await?))
    }

    async fn create_project(&self, project: NewProjectBody) -> Result<ProjectBody, BackendError> {
        let created = self.access.create_project(&context(), &project.id, project.title()).await?;
        Ok((&created).into())
    }

    async fn members(&self, project: &ProjectId) -> Result<Option<MemberList>, BackendError> {
        let members = visible(self.access.members(&context(), project).await)?;
        Ok(members.map(|members| MemberList::of(&members, project)))
    }

    async fn set_member(
        &self,
        project: &ProjectId,
        name: &AccountName,
        role: Option<ProjectRole>,
    ) -> Result<bool, BackendError> {
        let set = visible(self.access.set_member(&context(), project, name.as_str(), role).await)?;
        Ok(set.is_some())
    }

    async fn tokens(&self, account: &AccountName) -> Result<Option<TokenList>, BackendError> {
        if self.access.account(&context(), account).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(TokenList::of(&self.access.tokens(&context(), account).await?)))
    }

    async fn create_token(&self, account: &AccountName, token: NewTokenBody) -> Result<CreatedToken, BackendError> {
        let (token, record) = self.access.create_token(&context(), token.request(account.clone())).await?;
        Ok(CreatedToken { secret: SecretText::new(token.expose()), token: TokenBody::from(&record) })
    }

    async fn revoke_token(&self, account: &AccountName, id: &TokenId) -> Result<bool, BackendError> {
        Ok(self.access.revoke_token(&context(), account, id).await?)
    }

    async fn whoami(&self) -> Result<Whoami, BackendError> {
        let context = context();
        let projects = self.access.projects(&context).await?;
        Ok(Whoami::of(&context, None, &projects))
    }
}

#[async_trait]
impl AccessBackend for RemoteBackend {
    async fn accounts(&self, kind: AccountKind) -> Result<AccountList, BackendError> {
        self.read_at("api/accounts", &AccountParams { kind: Some(kind) }).await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<AccountBody>, BackendError> {
        self.get_json(&format!("api/accounts/{name}"), &[]).await
    }

    async fn create_account(&self, account: NewAccountBody) -> Result<CreatedAccount, BackendError> {
        let created = self.order(Method::POST, "api/accounts", &account).await?;
        created.ok_or_else(|| self.strange("it has no accounts; it is an older version, or a worker"))
    }

    async fn change_account(
        &self,
        name: &AccountName,
        change: AccountChangeBody,
    ) -> Result<Option<AccountBody>, BackendError> {
        self.order(Method::PATCH, &format!("api/accounts/{name}"), &change).await
    }

    async fn password_link(&self, name: &AccountName) -> Result<Option<PasswordLink>, BackendError> {
        self.order(Method::POST, &format!("api/accounts/{name}/password-link"), &json!({})).await
    }

    async fn reset_second_factor(&self, name: &AccountName) -> Result<bool, BackendError> {
        self.done(Method::DELETE, &format!("api/accounts/{name}/second-factor"), &json!({})).await
    }

    async fn projects(&self) -> Result<ProjectList, BackendError> {
        self.read_at("api/projects", &()).await
    }

    async fn create_project(&self, project: NewProjectBody) -> Result<ProjectBody, BackendError> {
        let created = self.order(Method::POST, "api/projects", &project).await?;
        created.ok_or_else(|| self.strange("it has no projects; it is an older version, or a worker"))
    }

    async fn members(&self, project: &ProjectId) -> Result<Option<MemberList>, BackendError> {
        self.get_json(&format!("api/projects/{project}/members"), &[]).await
    }

    async fn set_member(
        &self,
        project: &ProjectId,
        name: &AccountName,
        role: Option<ProjectRole>,
    ) -> Result<bool, BackendError> {
        let path = format!("api/projects/{project}/members/{name}");
        match role {
            Some(_) => self.done(Method::PUT, &path, &MemberRoleBody { role }).await,
            None => self.done(Method::DELETE, &path, &json!({})).await,
        }
    }

    async fn tokens(&self, account: &AccountName) -> Result<Option<TokenList>, BackendError> {
        self.get_json(&format!("api/accounts/{account}/tokens"), &[]).await
    }

    async fn create_token(&self, account: &AccountName, token: NewTokenBody) -> Result<CreatedToken, BackendError> {
        let created = self.order(Method::POST, &format!("api/accounts/{account}/tokens"), &token).await?;
        created.ok_or_else(|| self.strange("it has no API tokens; it is an older version, or a worker"))
    }

    async fn revoke_token(&self, account: &AccountName, id: &TokenId) -> Result<bool, BackendError> {
        self.done(Method::DELETE, &format!("api/accounts/{account}/tokens/{id}"), &json!({})).await
    }

    async fn whoami(&self) -> Result<Whoami, BackendError> {
        self.read_at("api/whoami", &()).await
    }
}

impl RemoteBackend {
    /// Sends a command whose response has no body. Returns `false` if its object does not exist.
    pub(super) async fn done(
        &self,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<bool, BackendError> {
        let response = self.send(method, path, body).await?;
        match response.status() {
            StatusCode::NOT_FOUND if is_json(&response) => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.problem(response).await),
        }
    }
}
