//! One-time links: the password of an account, and the set-up of the first administrator.

use std::collections::BTreeMap;

use kastrel_actors::model::{
    Account, AccountKind, AccountName, FieldError, LinkPurpose, NewAccount, OneTimeLink, Operation, Principal,
    RequestContext, ServerRole, SetUpResult,
};
use kastrel_actors::ports::StoreError;

use super::mail_texts::Notice;
use super::passwords::checked_password;
use super::service::after;
use super::{AccessService, AccountError};
use crate::identity::password::Password;
use crate::identity::secret::RandomSecret;

impl AccessService {
    /// Creates a one-time link with which the password of an account can be set, and returns its
    /// secret. `None`: there is no such account.
    ///
    /// # Errors
    /// The caller lacks [`Operation::ManageAccounts`], a failure of the store, or the account is a
    /// service account (field `name`).
    pub async fn password_link(
        &self,
        context: &RequestContext,
        name: &AccountName,
    ) -> Result<Option<RandomSecret>, AccountError> {
        self.allow(context, Operation::ManageAccounts, None).await?;
        match self.store.account(name).await? {
            None => Ok(None),
            Some(Account { kind: AccountKind::Service, .. }) => {
                Err(AccountError::field("name", "a service account has no password, it uses tokens"))
            }
            Some(_) => Ok(Some(self.new_password_link(context, name).await?)),
        }
    }

    /// Returns what a link allows now. `None`: there is no such link, or it expired, or it is for a
    /// set-up that is not needed any more.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn link(&self, secret: &RandomSecret) -> Result<Option<LinkPurpose>, StoreError> {
        let link = self.store.link(secret.digest(), self.clock.now()).await?;
        match link.map(|link| link.purpose) {
            Some(LinkPurpose::SetUp) if !self.needs_set_up().await? => Ok(None),
            purpose => Ok(purpose),
        }
    }

    /// Uses a link for a password: sets it, and ends the sessions of the account. Returns the
    /// account, or `None` if the link allows that no more.
    ///
    /// # Errors
    /// The password breaks a rule (field `password`), or a failure of the store.
    pub async fn set_password_by_link(
        &self,
        secret: &RandomSecret,
        new: Password,
    ) -> Result<Option<AccountName>, AccountError> {
        let Some(LinkPurpose::SetPassword(name)) = self.link(secret).await? else { return Ok(None) };
        let mut errors = Vec::new();
        let new = checked_password("password", new, name.as_str(), &mut errors).await;
        if !errors.is_empty() {
            return Err(AccountError::Invalid(errors));
        }
        let hash = self.hasher.hash(&new).await;
        let change = self.cache.change();
        let name = self.store.redeem_password_link(secret.digest(), hash.as_str(), self.clock.now()).await?;
        drop(change);
        if let Some(name) = &name {
            self.notify(name, Notice::PasswordChanged).await;
        }
        Ok(name)
    }

    /// Uses the link for the set-up: creates the first administrator.
    ///
    /// # Errors
    /// Fields are invalid (`name`, `password`), or a failure of the store.
    pub async fn set_up(
        &self,
        secret: &RandomSecret,
        name: &str,
        password: Password,
    ) -> Result<SetUpResult, AccountError> {
        if self.link(secret).await? != Some(LinkPurpose::SetUp) {
            return Ok(SetUpResult::NoLink);
        }
        let mut errors = Vec::new();
        let parsed = match name.parse::<AccountName>() {
            Ok(name) => Some(name),
            Err(error) => {
                errors.push(FieldError::new("name", error.to_string()));
                None
            }
        };
        let password = checked_password("password", password, name, &mut errors).await;
        let Some(name) = parsed.filter(|_| errors.is_empty()) else { return Err(AccountError::Invalid(errors)) };
        let account = NewAccount {
            name,
            kind: AccountKind::User,
            server_role: Some(ServerRole::Admin),
            password_hash: Some(self.hasher.hash(&password).await.as_str().to_owned()),
            mail: None,
            memberships: BTreeMap::new(),
        };
        let _change = self.cache.change();
        Ok(self.store.redeem_setup_link(secret.digest(), account, self.clock.now()).await?)
    }

    /// Returns true while no active administrator exists who can sign in, with a password or with
    /// the identity provider. Where passwords are not accepted, a set-up would help nobody.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn needs_set_up(&self) -> Result<bool, StoreError> {
        if !self.allows_passwords() || self.store.has_admin_with_password().await? {
            return Ok(false);
        }
        if self.provider.is_some() {
            for account in self.store.accounts().await?.iter().filter(|account| account.is_active_admin()) {
                if self.identities.identity_of(&account.name).await?.is_some() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Creates the link for the set-up, and returns its secret. Earlier ones end.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn new_set_up_link(&self) -> Result<RandomSecret, StoreError> {
        self.new_link(LinkPurpose::SetUp, &Principal::System).await
    }

    pub(super) async fn new_password_link(
        &self,
        context: &RequestContext,
        name: &AccountName,
    ) -> Result<RandomSecret, StoreError> {
        self.new_link(LinkPurpose::SetPassword(name.clone()), &context.principal).await
    }

    async fn new_link(&self, purpose: LinkPurpose, by: &Principal) -> Result<RandomSecret, StoreError> {
        let secret = RandomSecret::generate();
        let expires_at = after(self.clock.now(), self.settings.link_lifetime);
        self.store.create_link(OneTimeLink { key: secret.digest(), purpose, expires_at }, by).await?;
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{AccountChange, DomainEvent};
    use kastrel_actors::ports::AccessStore as _;
    use tokio::time::advance;

    use super::super::testing::{Fixture, OTHER_PASSWORD, PASSWORD, fields, password};
    use super::*;

    async fn set(all: &Fixture, secret: &RandomSecret, text: &str) -> Result<Option<AccountName>, AccountError> {
        all.service.set_password_by_link(secret, password(text)).await
    }

    async fn set_up(all: &Fixture, secret: &RandomSecret, name: &str, text: &str) -> Result<SetUpResult, AccountError> {
        all.service.set_up(secret, name, password(text)).await
    }

    #[tokio::test(start_paused = true)]
    async fn password_link_sets_the_password_once_and_ends_the_sessions_at_once() {
        let all = Fixture::new();
        let admin = all.context_of("root", ServerRole::Admin).await;
        let ana = all.user_with_password("ana").await;
        let session = all.session(&ana).await;
        assert!(all.service.by_session(&session).await.unwrap().is_some());
        let link = all.service.password_link(&admin, &ana).await.unwrap().unwrap();
        let created = DomainEvent::PasswordLinkCreated { account: ana.clone() };
        assert_eq!(all.audit().await.last(), Some(&(admin.principal.clone(), created)));
        assert_eq!(all.service.link(&link).await.unwrap(), Some(LinkPurpose::SetPassword(ana.clone())));
        assert_eq!(fields(set(&all, &link, "ana").await), ["password"]);
        assert_eq!(set(&all, &link, OTHER_PASSWORD).await.unwrap(), Some(ana));
        assert_eq!(all.service.by_session(&session).await.unwrap(), None);
        all.sign_in("ana", OTHER_PASSWORD).await.unwrap();
        assert_eq!(all.service.link(&link).await.unwrap(), None, "it was used");
        assert_eq!(set(&all, &link, PASSWORD).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn link_expires_after_a_day() {
        let all = Fixture::new();
        let admin = all.context_of("root", ServerRole::Admin).await;
        let ana = all.user("ana", &[]).await;
        let links = [
            all.service.password_link(&admin, &ana).await.unwrap().unwrap(),
            all.service.new_set_up_link().await.unwrap(),
        ];
        let day = all.service.settings.link_lifetime;
        advance(day - std::time::Duration::from_millis(1)).await;
        for link in &links {
            assert!(all.service.link(link).await.unwrap().is_some());
        }
        advance(std::time::Duration::from_millis(1)).await;
        for link in &links {
            assert_eq!(all.service.link(link).await.unwrap(), None);
        }
        assert_eq!(set(&all, &links[0], PASSWORD).await.unwrap(), None);
        assert_eq!(set_up(&all, &links[1], "boss", PASSWORD).await.unwrap(), SetUpResult::NoLink);
    }

    #[tokio::test(start_paused = true)]
    async fn only_users_that_exist_get_a_password_link() {
        let all = Fixture::new();
        let admin = all.context_of("root", ServerRole::Admin).await;
        let robot = all.account("robot", AccountKind::Service, None, &[]).await;
        assert!(all.service.password_link(&admin, &"nobody".parse().unwrap()).await.unwrap().is_none());
        assert_eq!(fields(all.service.password_link(&admin, &robot).await), ["name"]);
    }

    #[tokio::test(start_paused = true)]
    async fn set_up_creates_the_first_administrator_once() {
        let all = Fixture::new();
        assert!(all.service.needs_set_up().await.unwrap());
        let (replaced, link) =
            (all.service.new_set_up_link().await.unwrap(), all.service.new_set_up_link().await.unwrap());
        assert_eq!(all.service.link(&replaced).await.unwrap(), None);
        assert_eq!(all.service.link(&link).await.unwrap(), Some(LinkPurpose::SetUp));
        assert_eq!(set(&all, &link, PASSWORD).await.unwrap(), None, "it sets no password");
        assert_eq!(fields(set_up(&all, &link, "No Name", "short").await), ["name", "password"]);
        all.user("ana", &[]).await;
        assert_eq!(set_up(&all, &link, "ana", PASSWORD).await.unwrap(), SetUpResult::NameTaken);
        assert_eq!(set_up(&all, &link, "boss", PASSWORD).await.unwrap(), SetUpResult::Done);
        assert!(all.read(&"boss".parse().unwrap()).await.is_active_admin());
        assert!(!all.service.needs_set_up().await.unwrap());
        all.sign_in("boss", PASSWORD).await.unwrap();
        assert_eq!(set_up(&all, &link, "second", PASSWORD).await.unwrap(), SetUpResult::NoLink);
    }

    #[tokio::test(start_paused = true)]
    async fn set_up_link_has_no_effect_while_an_administrator_can_sign_in() {
        let all = Fixture::new();
        let link = all.service.new_set_up_link().await.unwrap();
        // Neither an administrator without a password, nor a service account, can sign in.
        let boss = all.account("boss", AccountKind::User, Some(ServerRole::Admin), &[]).await;
        all.account("robot", AccountKind::Service, Some(ServerRole::Admin), &[]).await;
        assert!(all.service.needs_set_up().await.unwrap());
        all.set_password(&boss, PASSWORD).await;
        assert!(!all.service.needs_set_up().await.unwrap());
        assert_eq!(all.service.link(&link).await.unwrap(), None);
        assert_eq!(set_up(&all, &link, "other", PASSWORD).await.unwrap(), SetUpResult::NoLink);
        all.account("spare", AccountKind::User, Some(ServerRole::Admin), &[]).await;
        all.store.change_account(&boss, AccountChange::Disable, &Principal::System).await.unwrap();
        assert!(all.service.needs_set_up().await.unwrap());
        assert_eq!(all.service.link(&link).await.unwrap(), Some(LinkPurpose::SetUp));
    }
}
