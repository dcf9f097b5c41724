//! Accounts, projects and credentials.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{
    Account, AccountChange, AccountChanged, AccountName, DomainEvent, MemberChanged, NewAccount, OneTimeLink,
    Principal, Project, ProjectId, ProjectRole, ScanId, SecretDigest, Session, SessionRenewal, SetUpResult, TokenId,
    TokenRecord,
};

/// Keeps accounts, projects, memberships, sessions, tokens and one-time links. Each change writes
/// its entry of the audit log in the same transaction; a change that changes nothing writes none.
///
/// The callers give the times, by their own clocks; the store compares none with the clock of the
/// database.
#[async_trait]
pub trait AccessStore: Send + Sync + 'static {
    /// Creates an account. Returns `false`, and changes nothing, if the name is taken.
    async fn create_account(&self, account: NewAccount, at: Timestamp, by: &Principal) -> Result<bool, StoreError>;

    /// Returns all accounts, by name.
    async fn accounts(&self) -> Result<Vec<Account>, StoreError>;

    /// Returns true if an active administrator exists who has a password.
    async fn has_admin_with_password(&self) -> Result<bool, StoreError>;

    /// Returns an account.
    async fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError>;

    /// Returns the hash of an account's password.
    async fn password_hash(&self, name: &AccountName) -> Result<Option<String>, StoreError>;

    /// Changes an account, and ends its sessions unless it is enabled. The last active
    /// administrator is neither disabled nor demoted, also when two such changes meet.
    async fn change_account(
        &self,
        name: &AccountName,
        change: AccountChange,
        by: &Principal,
    ) -> Result<AccountChanged, StoreError>;

    /// Sets the password of an account, ends its sessions except the one of `renewal`, which gets
    /// its new secret, and deletes its one-time links. Returns `false` if there is no such account.
    async fn set_password(
        &self,
        name: &AccountName,
        hash: &str,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError>;

    /// Replaces the hash of a password that did not change, without an entry in the audit log.
    async fn rehash_password(&self, name: &AccountName, old: &str, new: &str) -> Result<(), StoreError>;

    /// Creates a project. Returns `false`, and changes nothing, if the id is taken. The default
    /// project always exists.
    async fn create_project(&self, project: Project, by: &Principal) -> Result<bool, StoreError>;

    /// Returns all projects, by id; the default project is among them.
    async fn projects(&self) -> Result<Vec<Project>, StoreError>;

    /// Sets the role of an account in a project; `None` ends the membership.
    async fn set_member(
        &self,
        project: &ProjectId,
        name: &AccountName,
        role: Option<ProjectRole>,
        by: &Principal,
    ) -> Result<MemberChanged, StoreError>;

    /// Stores a session. The entry of the audit log says that its account signed in.
    async fn create_session(&self, session: Session) -> Result<(), StoreError>;

    /// Returns a session and its account.
    async fn session(&self, key: SecretDigest) -> Result<Option<(Session, Account)>, StoreError>;

    /// Notes the use of a session. A later use that is already noted stays.
    async fn use_session(&self, key: SecretDigest, at: Timestamp) -> Result<(), StoreError>;

    /// Returns the sessions of an account, newest first.
    async fn sessions(&self, name: &AccountName) -> Result<Vec<Session>, StoreError>;

    /// Ends the sessions of an account that are `only`, or all except `keep`. Returns how many
    /// there were.
    async fn end_sessions(
        &self,
        name: &AccountName,
        only: Option<SecretDigest>,
        keep: Option<SecretDigest>,
        by: &Principal,
    ) -> Result<u64, StoreError>;

    /// Deletes what expired before `at`: sessions, tokens, links, public links, shares, pending
    /// sign-ins, sign-ins that wait for the identity provider, device logins, mail addresses that
    /// wait for their confirmation, and used challenges. Deletes also the sessions that were not
    /// used since `idle_since`. Returns how many sessions there were.
    async fn delete_expired(&self, at: Timestamp, idle_since: Timestamp) -> Result<u64, StoreError>;

    /// Stores a token. Returns `false` if there is no such account.
    async fn create_token(&self, token: TokenRecord, by: &Principal) -> Result<bool, StoreError>;

    /// Returns a token and its account.
    async fn token(&self, id: &TokenId) -> Result<Option<(TokenRecord, Account)>, StoreError>;

    /// Notes the use of a token. A later use that is already noted stays.
    async fn use_token(&self, id: &TokenId, at: Timestamp) -> Result<(), StoreError>;

    /// Returns the tokens of an account, newest first.
    async fn tokens(&self, name: &AccountName) -> Result<Vec<TokenRecord>, StoreError>;

    /// Deletes a token of an account. Returns `false` if the account has no such token.
    async fn revoke_token(&self, name: &AccountName, id: &TokenId, by: &Principal) -> Result<bool, StoreError>;

    /// Stores a one-time link. A link for a password has an entry in the audit log. A link for the
    /// set-up replaces earlier ones.
    async fn create_link(&self, link: OneTimeLink, by: &Principal) -> Result<(), StoreError>;

    /// Returns a one-time link that has not expired at `at`.
    async fn link(&self, key: SecretDigest, at: Timestamp) -> Result<Option<OneTimeLink>, StoreError>;

    /// Uses a link for a password: sets it, ends the sessions of the account, and deletes its
    /// links. Returns the account, or `None` if there is no such link.
    async fn redeem_password_link(
        &self,
        key: SecretDigest,
        hash: &str,
        at: Timestamp,
    ) -> Result<Option<AccountName>, StoreError>;

    /// Uses the link for the set-up: creates the account and deletes the link.
    async fn redeem_setup_link(
        &self,
        key: SecretDigest,
        account: NewAccount,
        at: Timestamp,
    ) -> Result<SetUpResult, StoreError>;

    /// Writes an entry of the audit log for something that changed no row.
    async fn record(&self, event: DomainEvent, scan: Option<ScanId>, by: &Principal) -> Result<(), StoreError>;
}

#[async_trait]
impl<S: AccessStore + ?Sized, H: CallHook> AccessStore for Hooked<S, H> {
    async fn create_account(&self, account: NewAccount, at: Timestamp, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("create_account", self.inner.create_account(account, at, by)).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.hook.around("accounts", self.inner.accounts()).await
    }

    async fn has_admin_with_password(&self) -> Result<bool, StoreError> {
        self.hook.around("has_admin_with_password", self.inner.has_admin_with_password()).await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.hook.around("account", self.inner.account(name)).await
    }

    async fn password_hash(&self, name: &AccountName) -> Result<Option<String>, StoreError> {
        self.hook.around("password_hash", self.inner.password_hash(name)).await
    }

    async fn change_account(
        &self,
        name: &AccountName,
        change: AccountChange,
        by: &Principal,
    ) -> Result<AccountChanged, StoreError> {
        self.hook.around("change_account", self.inner.change_account(name, change, by)).await
    }

    async fn set_password(
        &self,
        name: &AccountName,
        hash: &str,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        self.hook.around("set_password", self.inner.set_password(name, hash, renewal, by)).await
    }

    async fn rehash_password(&self, name: &AccountName, old: &str, new: &str) -> Result<(), StoreError> {
        self.hook.around("rehash_password", self.inner.rehash_password(name, old, new)).await
    }

    async fn create_project(&self, project: Project, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("create_project", self.inner.create_project(project, by)).await
    }

    async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        self.hook.around("projects", self.inner.projects()).await
    }

    async fn set_member(
        &self,
        project: &ProjectId,
        name: &AccountName,
        role: Option<ProjectRole>,
        by: &Principal,
    ) -> Result<MemberChanged, StoreError> {
        self.hook.around("set_member", self.inner.set_member(project, name, role, by)).await
    }

    async fn create_session(&self, session: Session) -> Result<(), StoreError> {
        self.hook.around("create_session", self.inner.create_session(session)).await
    }

    async fn session(&self, key: SecretDigest) -> Result<Option<(Session, Account)>, StoreError> {
        self.hook.around("session", self.inner.session(key)).await
    }

    async fn use_session(&self, key: SecretDigest, at: Timestamp) -> Result<(), StoreError> {
        self.hook.around("use_session", self.inner.use_session(key, at)).await
    }

    async fn sessions(&self, name: &AccountName) -> Result<Vec<Session>, StoreError> {
        self.hook.around("sessions", self.inner.sessions(name)).await
    }

    async fn end_sessions(
        &self,
        name: &AccountName,
        only: Option<SecretDigest>,
        keep: Option<SecretDigest>,
        by: &Principal,
    ) -> Result<u64, StoreError> {
        self.hook.around("end_sessions", self.inner.end_sessions(name, only, keep, by)).await
    }

    async fn delete_expired(&self, at: Timestamp, idle_since: Timestamp) -> Result<u64, StoreError> {
        self.hook.around("delete_expired", self.inner.delete_expired(at, idle_since)).await
    }

    async fn create_token(&self, token: TokenRecord, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("create_token", self.inner.create_token(token, by)).await
    }

    async fn token(&self, id: &TokenId) -> Result<Option<(TokenRecord, Account)>, StoreError> {
        self.hook.around("token", self.inner.token(id)).await
    }

    async fn use_token(&self, id: &TokenId, at: Timestamp) -> Result<(), StoreError> {
        self.hook.around("use_token", self.inner.use_token(id, at)).await
    }

    async fn tokens(&self, name: &AccountName) -> Result<Vec<TokenRecord>, StoreError> {
        self.hook.around("tokens", self.inner.tokens(name)).await
    }

    async fn revoke_token(&self, name: &AccountName, id: &TokenId, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("revoke_token", self.inner.revoke_token(name, id, by)).await
    }

    async fn create_link(&self, link: OneTimeLink, by: &Principal) -> Result<(), StoreError> {
        self.hook.around("create_link", self.inner.create_link(link, by)).await
    }

    async fn link(&self, key: SecretDigest, at: Timestamp) -> Result<Option<OneTimeLink>, StoreError> {
        self.hook.around("link", self.inner.link(key, at)).await
    }

    async fn redeem_password_link(
        &self,
        key: SecretDigest,
        hash: &str,
        at: Timestamp,
    ) -> Result<Option<AccountName>, StoreError> {
        self.hook.around("redeem_password_link", self.inner.redeem_password_link(key, hash, at)).await
    }

    async fn redeem_setup_link(
        &self,
        key: SecretDigest,
        account: NewAccount,
        at: Timestamp,
    ) -> Result<SetUpResult, StoreError> {
        self.hook.around("redeem_setup_link", self.inner.redeem_setup_link(key, account, at)).await
    }

    async fn record(&self, event: DomainEvent, scan: Option<ScanId>, by: &Principal) -> Result<(), StoreError> {
        self.hook.around("audit_record", self.inner.record(event, scan, by)).await
    }
}
