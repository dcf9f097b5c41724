//! The accounts: list, create, change.

use std::collections::BTreeMap;

use kastrel_actors::model::{
    Account, AccountChange, AccountChanged, AccountKind, AccountName, FieldError, MailAddress, NewAccount, Operation,
    ProjectId, ProjectRole, RequestContext, ServerRole,
};

use super::mail_addresses::OF_A_PROGRAM;
use super::mail_worker::NO_MAIL;
use super::passwords::checked_password;
use super::{AccessService, AccountError};
use crate::identity::password::Password;
use crate::identity::secret::RandomSecret;

/// An account to create.
#[derive(Debug)]
pub struct AccountRequest {
    /// Its name.
    pub name: String,
    /// What it belongs to.
    pub kind: AccountKind,
    /// Its role on the server. Service accounts can have one too.
    pub server_role: Option<ServerRole>,
    /// Its password. A user without one gets a one-time link; a service account has none.
    pub password: Option<Password>,
    /// Its mail address, as it was typed. It counts without a confirmation.
    pub mail: Option<String>,
    /// Whether the one-time link of a user without a password is mailed and not returned.
    pub send_link: bool,
    /// Its role in each project of which it is a member.
    pub memberships: BTreeMap<ProjectId, ProjectRole>,
}

impl AccessService {
    /// Returns all accounts, by name.
    ///
    /// # Errors
    /// The caller lacks [`Operation::ReadAccounts`], or a failure of the store.
    pub async fn accounts(&self, context: &RequestContext) -> Result<Vec<Account>, AccountError> {
        self.allow(context, Operation::ReadAccounts, None).await?;
        Ok(self.store.accounts().await?)
    }

    /// Returns an account. Everybody may read the own one; others need
    /// [`Operation::ReadAccounts`].
    ///
    /// # Errors
    /// The caller may not read it, or a failure of the store.
    pub async fn account(&self, context: &RequestContext, name: &AccountName) -> Result<Option<Account>, AccountError> {
        self.allow_own(context, name, Operation::ReadAccounts).await?;
        Ok(self.store.account(name).await?)
    }

    /// Creates an account. A user without a password gets a one-time link: its secret is returned,
    /// or with `send_link` mailed. If the mail server does not accept the mail, the secret is
    /// returned all the same.
    ///
    /// # Errors
    /// The caller lacks [`Operation::ManageAccounts`], a failure of the store, or fields are
    /// invalid: `name` (its form, or it is taken), `password` (it breaks a rule, or the account is
    /// a service account), `mail` (its form, or the account is a service account), `send_link` (the
    /// server sends no mails, or there is no address or no need of a link), `project` (there is no
    /// such project).
    pub async fn create_account(
        &self,
        context: &RequestContext,
        request: AccountRequest,
    ) -> Result<(Account, Option<RandomSecret>), AccountError> {
        self.allow(context, Operation::ManageAccounts, None).await?;
        let AccountRequest { name, kind, server_role, password, mail, send_link, memberships } = request;
        let mut errors = Vec::new();
        let parsed = self.new_name(&name, &mut errors).await?;
        let password = match (kind, password) {
            (AccountKind::User, Some(password)) => {
                Some(checked_password("password", password, &name, &mut errors).await)
            }
            (AccountKind::Service, Some(_)) => {
                errors.push(FieldError::new("password", "a service account has no password, it uses tokens"));
                None
            }
            (_, None) => None,
        };
        let mail = new_mail(kind, mail, &mut errors);
        if send_link {
            self.check_send_link(kind, mail.is_some(), password.is_some(), &mut errors);
        }
        if !memberships.is_empty() {
            let known = self.store.projects().await?;
            let unknown = memberships.keys().filter(|id| known.iter().all(|project| project.id != **id));
            errors.extend(unknown.map(|id| FieldError::new("project", format!("no such project: `{id}`"))));
        }
        let Some(name) = parsed.filter(|_| errors.is_empty()) else { return Err(AccountError::Invalid(errors)) };
        let password_hash = match &password {
            Some(password) => Some(self.hasher.hash(password).await.as_str().to_owned()),
            None => None,
        };
        let created_at = self.clock.now();
        let account = Account {
            name: name.clone(),
            kind,
            server_role,
            is_disabled: false,
            has_password: password_hash.is_some(),
            has_second_factor: false,
            mail: mail.clone(),
            created_at,
            memberships: memberships.clone(),
        };
        let new = NewAccount { name, kind, server_role, password_hash, mail, memberships };
        let change = self.cache.change();
        let is_created = self.store.create_account(new, created_at, &context.principal).await?;
        drop(change);
        if !is_created {
            return Err(AccountError::Invalid(vec![name_taken()]));
        }
        let needs_link = account.kind == AccountKind::User && !account.has_password;
        if let (true, Some(mails), Some(to)) = (send_link && needs_link, &self.mails, &account.mail)
            && self.mail_first_link(context, mails, &account.name, to).await?
        {
            return Ok((account, None));
        }
        let link = if needs_link { Some(self.new_password_link(context, &account.name).await?) } else { None };
        Ok((account, link))
    }

    /// Changes an account, and ends its sessions unless it is enabled. Returns `false` if there is
    /// no such account.
    ///
    /// # Errors
    /// The caller lacks [`Operation::ManageAccounts`], the account is the last administrator, or a
    /// failure of the store.
    pub async fn change_account(
        &self,
        context: &RequestContext,
        name: &AccountName,
        change: AccountChange,
    ) -> Result<bool, AccountError> {
        self.allow(context, Operation::ManageAccounts, None).await?;
        let _change = self.cache.change();
        match self.store.change_account(name, change, &context.principal).await? {
            AccountChanged::Changed => Ok(true),
            AccountChanged::Missing => Ok(false),
            AccountChanged::LastAdmin => Err(AccountError::LastAdmin),
        }
    }

    /// Checks whether the link of a new account can be mailed, or adds the error of the field.
    fn check_send_link(&self, kind: AccountKind, has_mail: bool, has_password: bool, errors: &mut Vec<FieldError>) {
        let fault = if self.mails.is_none() {
            NO_MAIL
        } else if kind == AccountKind::Service || has_password {
            "there is no link to send: only a user without a password gets one"
        } else if !has_mail {
            "the account has no mail address to which the link could be sent"
        } else {
            return;
        };
        errors.push(FieldError::new("send_link", fault));
    }

    /// Returns the name of a new account, or adds the error of its field.
    async fn new_name(&self, text: &str, errors: &mut Vec<FieldError>) -> Result<Option<AccountName>, AccountError> {
        let name = match text.parse::<AccountName>() {
            Ok(name) => name,
            Err(error) => {
                errors.push(FieldError::new("name", error.to_string()));
                return Ok(None);
            }
        };
        if self.store.account(&name).await?.is_some() {
            errors.push(name_taken());
        }
        Ok(Some(name))
    }
}

/// Returns the mail address of a new account, or adds the error of its field.
fn new_mail(kind: AccountKind, typed: Option<String>, errors: &mut Vec<FieldError>) -> Option<MailAddress> {
    let typed = typed.filter(|text| !text.trim().is_empty())?;
    if kind == AccountKind::Service {
        errors.push(FieldError::new("mail", OF_A_PROGRAM));
        return None;
    }
    match typed.trim().parse::<MailAddress>() {
        Ok(mail) => Some(mail),
        Err(error) => {
            errors.push(FieldError::new("mail", error.to_string()));
            None
        }
    }
}

/// The error of a name that belongs to another account, also to a disabled one.
fn name_taken() -> FieldError {
    FieldError::new("name", "this name is taken")
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{LinkPurpose, Principal};
    use kastrel_actors::ports::AccessStore as _;

    use super::super::testing::{Fixture, PASSWORD, fields, password, project};
    use super::*;

    fn request(name: &str) -> AccountRequest {
        AccountRequest {
            name: name.into(),
            kind: AccountKind::User,
            server_role: None,
            password: None,
            mail: None,
            send_link: false,
            memberships: BTreeMap::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn created_account_is_as_requested() {
        let all = Fixture::new();
        let admin = all.context_of("root", ServerRole::Admin).await;
        all.project("web").await;
        let memberships = BTreeMap::from([(project("web"), ProjectRole::Scanner)]);
        let asked = AccountRequest {
            server_role: Some(ServerRole::Auditor),
            password: Some(password(PASSWORD)),
            memberships: memberships.clone(),
            ..request("ana")
        };
        let (account, link) = all.service.create_account(&admin, asked).await.unwrap();
        assert!(link.is_none(), "it has a password");
        assert_eq!(all.read(&account.name).await, account);
        assert!(account.has_password && !account.is_disabled);
        assert_eq!((account.server_role, account.memberships), (Some(ServerRole::Auditor), memberships));
        all.sign_in("ana", PASSWORD).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn user_without_a_password_gets_a_link_and_a_service_account_gets_none() {
        let all = Fixture::new();
        let admin = all.context_of("root", ServerRole::Admin).await;
        let (account, link) = all.service.create_account(&admin, request("ana")).await.unwrap();
        let purpose = all.service.link(&link.unwrap()).await.unwrap();
        assert_eq!(purpose, Some(LinkPurpose::SetPassword(account.name)));
        for server_role in [None, Some(ServerRole::Auditor), Some(ServerRole::Admin)] {
            let name = format!("robot-{}", server_role.map_or("none", ServerRole::as_str));
            let asked = AccountRequest { kind: AccountKind::Service, server_role, ..request(&name) };
            let (account, link) = all.service.create_account(&admin, asked).await.unwrap();
            assert!(link.is_none());
            assert_eq!((account.kind, account.server_role), (AccountKind::Service, server_role));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_wrong_fields_of_a_new_account_are_named_at_once() {
        let all = Fixture::new();
        let admin = all.context_of("root", ServerRole::Admin).await;
        let ana = all.user("ana", &[]).await;
        all.store.change_account(&ana, AccountChange::Disable, &Principal::System).await.unwrap();
        let memberships: BTreeMap<_, _> =
            ["default", "a", "b"].map(|id| (project(id), ProjectRole::Viewer)).into_iter().collect();
        let create = async |name: &str, kind, text: Option<&str>, memberships: &BTreeMap<ProjectId, ProjectRole>| {
            let asked = AccountRequest {
                kind,
                password: text.map(password),
                memberships: memberships.clone(),
                ..request(name)
            };
            fields(all.service.create_account(&admin, asked).await)
        };
        let none = BTreeMap::new();
        let expected = ["name", "password", "project", "project"];
        assert_eq!(create("No Name", AccountKind::User, Some("short"), &memberships).await, expected);
        assert_eq!(create("ana", AccountKind::Service, Some(PASSWORD), &memberships).await, expected);
        assert_eq!(create("ana", AccountKind::User, None, &none).await, ["name"], "a disabled account keeps its name");
        assert_eq!(create("bo", AccountKind::User, Some("bo"), &none).await, ["password"]);
        assert_eq!(create("bo", AccountKind::Service, Some(PASSWORD), &none).await, ["password"]);
        assert_eq!(all.store.accounts().await.unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn name_that_was_taken_meanwhile_is_an_invalid_field() {
        let all = Fixture::new();
        let admin = all.context_of("root", ServerRole::Admin).await;
        let store = std::sync::Arc::clone(&all.store);
        all.calls.run_before("create_account", async move {
            let new = NewAccount {
                name: "ana".parse().unwrap(),
                kind: AccountKind::User,
                server_role: None,
                password_hash: None,
                mail: None,
                memberships: BTreeMap::new(),
            };
            store.create_account(new, jiff::Timestamp::UNIX_EPOCH, &Principal::System).await.unwrap();
        });
        assert_eq!(fields(all.service.create_account(&admin, request("ana")).await), ["name"]);
        assert_eq!(all.calls.of("create_link"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_are_read_by_auditors_and_changed_by_admins() {
        let all = Fixture::new();
        let admin = all.context_of("root", ServerRole::Admin).await;
        let auditor = all.context_of("eve", ServerRole::Auditor).await;
        let ana = all.user("ana", &[("default", ProjectRole::Owner)]).await;
        let own = all.context(&ana).await;
        let root = "root".parse().unwrap();
        for context in [&admin, &auditor] {
            assert_eq!(all.service.accounts(context).await.unwrap().len(), 3);
            assert_eq!(all.service.account(context, &ana).await.unwrap().unwrap().name, ana);
            assert_eq!(all.service.account(context, &"nobody".parse().unwrap()).await.unwrap(), None);
        }
        assert_eq!(all.service.account(&own, &ana).await.unwrap().unwrap().name, ana);
        for denied in [
            all.service.accounts(&own).await.err(),
            all.service.account(&own, &root).await.err(),
            all.service.create_account(&own, request("bo")).await.err(),
            all.service.change_account(&own, &ana, AccountChange::Enable).await.err(),
            all.service.password_link(&own, &ana).await.err(),
            all.service.create_account(&auditor, request("bo")).await.err(),
            all.service.change_account(&auditor, &ana, AccountChange::Disable).await.err(),
            all.service.password_link(&auditor, &ana).await.err(),
        ] {
            assert!(matches!(denied, Some(AccountError::Denied(_))), "{denied:?}");
        }
        let changes = ["manage_accounts"; 3];
        assert_eq!(all.denied(&own).await, [&["read_accounts"; 2][..], &changes].concat());
        assert_eq!(all.denied(&auditor).await, changes);
    }

    #[tokio::test(start_paused = true)]
    async fn change_takes_effect_at_once_but_not_on_the_last_admin() {
        let all = Fixture::new();
        let admin = all.context_of("root", ServerRole::Admin).await;
        let ana = all.user("ana", &[]).await;
        let secret = all.session(&ana).await;
        assert!(all.service.by_session(&secret).await.unwrap().is_some());
        assert!(all.service.change_account(&admin, &ana, AccountChange::Disable).await.unwrap());
        assert_eq!(all.service.by_session(&secret).await.unwrap(), None);
        let nobody = "nobody".parse().unwrap();
        assert!(!all.service.change_account(&admin, &nobody, AccountChange::Disable).await.unwrap());
        let root = "root".parse().unwrap();
        let refused = all.service.change_account(&admin, &root, AccountChange::SetServerRole(None)).await;
        assert!(matches!(refused, Err(AccountError::LastAdmin)), "{refused:?}");
    }
}
