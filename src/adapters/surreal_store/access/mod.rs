//! Accounts, projects and credentials: the ports [`AccessStore`] and [`SecondFactorStore`], and in
//! modules of their own `MailStore`, `PasskeyStore`, `ProviderIdentityStore` and
//! `DeviceLoginStore`.
//!
//! Each change and its entry of the audit log are one transaction. A change that is called again
//! after a lost response recognizes its own earlier effect, each method in its own way:
//!
//! - A row that is created has a key or a `made_by` that no other call shares.
//! - A change to a given value finds that value, and changes nothing.
//! - A deletion whose rows were there before the lost response, and are gone after it, was
//!   committed.
//!
//! Of two transactions that must not both succeed, each writes the same row, so that the engine
//! fails one of them, which is then repeated. That is a row that both change anyway, or one of
//! `counter:admins`, `counter:setup` and `counter:passkeys`.

mod accounts;
mod device_logins;
mod keys;
mod links;
mod mail;
mod passkeys;
mod pending_sign_ins;
mod projects;
mod provider_identities;
mod renewal;
mod second_factors;
mod sessions;
mod tokens;

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::{
    Account, AccountChange, AccountChanged, AccountName, DomainEvent, FactorChange, FactorUse, MemberChanged,
    NewAccount, NewSecondFactor, OneTimeLink, PendingSignIn, Principal, Project, ProjectId, ProjectRole, ScanId,
    SecondFactor, SecretDigest, Session, SessionRenewal, SetUpResult, SignInEnd, TokenId, TokenRecord,
};
use kastrel_actors::ports::{AccessStore, SecondFactorStore, StoreError};
use surrealdb::types::{RecordId, SurrealValue};

use super::calls;
use super::event::{EventRows, write_event};
use super::row;
use super::store::SurrealStore;

/// Whether a change was made.
#[derive(Debug, SurrealValue)]
struct Changed {
    changed: bool,
}

/// The number of deleted rows.
#[derive(Debug, SurrealValue)]
struct Gone {
    gone: i64,
}

/// The row of an account, a session or a token.
#[derive(Debug, Clone, SurrealValue)]
struct Key {
    key: RecordId,
}

/// What belongs to an account.
#[derive(Debug, Clone, SurrealValue)]
struct OfAccount {
    name: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct UseArguments {
    key: RecordId,
    used_at: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct RecordArguments {
    event: EventRows,
}

/// Notes the use of a session or a token.
const USE: &str =
    "BEGIN; UPDATE $key SET used_at = $used_at WHERE used_at = NONE OR used_at < $used_at RETURN NONE; COMMIT;";

const RECORD: &str = concat!("BEGIN; ", write_event!(), " COMMIT;");

impl SurrealStore {
    /// The rows of an event of the audit log alone.
    pub(super) fn audited(&self, event: &DomainEvent, by: &Principal) -> Result<EventRows, StoreError> {
        EventRows::new(event, by, None, self.inner.offset())
    }

    async fn note_use(&self, key: RecordId, at: Timestamp) -> Result<(), StoreError> {
        let arguments = UseArguments { key, used_at: row::nanoseconds(at) };
        Ok(calls::execute_again(&self.inner.db, USE, arguments).await?)
    }
}

#[async_trait]
impl AccessStore for SurrealStore {
    async fn create_account(&self, account: NewAccount, at: Timestamp, by: &Principal) -> Result<bool, StoreError> {
        self.add_account(account, at, by).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.all_accounts().await
    }

    async fn has_admin_with_password(&self) -> Result<bool, StoreError> {
        self.find_admin_with_password().await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.read_account(name).await
    }

    async fn password_hash(&self, name: &AccountName) -> Result<Option<String>, StoreError> {
        self.read_password(name).await
    }

    async fn change_account(
        &self,
        name: &AccountName,
        change: AccountChange,
        by: &Principal,
    ) -> Result<AccountChanged, StoreError> {
        self.write_change(name, change, by).await
    }

    async fn set_password(
        &self,
        name: &AccountName,
        hash: &str,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        self.write_password(name, hash, renewal, by).await
    }

    async fn rehash_password(&self, name: &AccountName, old: &str, new: &str) -> Result<(), StoreError> {
        self.replace_hash(name, old, new).await
    }

    async fn create_project(&self, project: Project, by: &Principal) -> Result<bool, StoreError> {
        self.add_project(project, by).await
    }

    async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        self.all_projects().await
    }

    async fn set_member(
        &self,
        project: &ProjectId,
        name: &AccountName,
        role: Option<ProjectRole>,
        by: &Principal,
    ) -> Result<MemberChanged, StoreError> {
        self.write_member(project, name, role, by).await
    }

    async fn create_session(&self, session: Session) -> Result<(), StoreError> {
        self.add_session(session).await
    }

    async fn session(&self, key: SecretDigest) -> Result<Option<(Session, Account)>, StoreError> {
        self.read_session(key).await
    }

    async fn use_session(&self, key: SecretDigest, at: Timestamp) -> Result<(), StoreError> {
        self.note_use(keys::session_key(key), at).await
    }

    async fn sessions(&self, name: &AccountName) -> Result<Vec<Session>, StoreError> {
        self.sessions_of(name).await
    }

    async fn end_sessions(
        &self,
        name: &AccountName,
        only: Option<SecretDigest>,
        keep: Option<SecretDigest>,
        by: &Principal,
    ) -> Result<u64, StoreError> {
        self.delete_sessions(name, only, keep, by).await
    }

    async fn delete_expired(&self, at: Timestamp, idle_since: Timestamp) -> Result<u64, StoreError> {
        self.delete_old_credentials(at, idle_since).await
    }

    async fn create_token(&self, token: TokenRecord, by: &Principal) -> Result<bool, StoreError> {
        self.add_token(token, by).await
    }

    async fn token(&self, id: &TokenId) -> Result<Option<(TokenRecord, Account)>, StoreError> {
        self.read_token(id).await
    }

    async fn use_token(&self, id: &TokenId, at: Timestamp) -> Result<(), StoreError> {
        self.note_use(keys::token_key(id), at).await
    }

    async fn tokens(&self, name: &AccountName) -> Result<Vec<TokenRecord>, StoreError> {
        self.tokens_of(name).await
    }

    async fn revoke_token(&self, name: &AccountName, id: &TokenId, by: &Principal) -> Result<bool, StoreError> {
        self.delete_token(name, id, by).await
    }

    async fn create_link(&self, link: OneTimeLink, by: &Principal) -> Result<(), StoreError> {
        self.add_link(link, by).await
    }

    async fn link(&self, key: SecretDigest, at: Timestamp) -> Result<Option<OneTimeLink>, StoreError> {
        self.read_link(key, at).await
    }

    async fn redeem_password_link(
        &self,
        key: SecretDigest,
        hash: &str,
        at: Timestamp,
    ) -> Result<Option<AccountName>, StoreError> {
        self.use_password_link(key, hash, at).await
    }

    async fn redeem_setup_link(
        &self,
        key: SecretDigest,
        account: NewAccount,
        at: Timestamp,
    ) -> Result<SetUpResult, StoreError> {
        self.use_setup_link(key, account, at).await
    }

    /// After a lost response the entry may be there twice. That is better than not at all.
    async fn record(&self, event: DomainEvent, scan: Option<ScanId>, by: &Principal) -> Result<(), StoreError> {
        let event = self.audited(&event, by)?.about(scan)?;
        Ok(calls::execute_again(&self.inner.db, RECORD, RecordArguments { event }).await?)
    }
}

#[async_trait]
impl SecondFactorStore for SurrealStore {
    async fn second_factor(&self, account: &AccountName) -> Result<Option<SecondFactor>, StoreError> {
        self.read_factor(account).await
    }

    async fn try_second_factor(&self, account: &AccountName) -> Result<Option<SecondFactor>, StoreError> {
        self.count_factor_try(account).await
    }

    async fn add_second_factor(
        &self,
        factor: NewSecondFactor,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        self.add_factor(factor, renewal, by).await
    }

    async fn remove_second_factor(
        &self,
        account: &AccountName,
        used: Option<FactorUse>,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        self.delete_factor(account, used, renewal, by).await
    }

    async fn use_second_factor(
        &self,
        account: &AccountName,
        used: FactorUse,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        self.use_factor(account, used, by).await
    }

    async fn replace_recovery_codes(
        &self,
        account: &AccountName,
        used: FactorUse,
        codes: &[SecretDigest],
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        self.replace_codes(account, used, codes, renewal, by).await
    }

    async fn create_pending_sign_in(&self, pending: PendingSignIn) -> Result<(), StoreError> {
        self.add_pending(pending).await
    }

    async fn pending_sign_in(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PendingSignIn>, StoreError> {
        self.read_pending(key, at).await
    }

    async fn try_sign_in(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PendingSignIn>, StoreError> {
        self.count_sign_in_try(key, at).await
    }

    async fn end_pending_sign_in(&self, key: SecretDigest) -> Result<(), StoreError> {
        self.delete_pending(key).await
    }

    async fn finish_sign_in(
        &self,
        key: SecretDigest,
        used: FactorUse,
        session: Session,
    ) -> Result<SignInEnd, StoreError> {
        self.finish_with_code(key, used, session).await
    }

    async fn finish_enrolment(
        &self,
        key: SecretDigest,
        factor: NewSecondFactor,
        session: Session,
    ) -> Result<SignInEnd, StoreError> {
        self.finish_with_factor(key, factor, session).await
    }
}
