//! Accounts, projects and credentials in memory.

use super::*;
use crate::model::{
    Account, AccountChange, AccountChanged, AccountName, DeviceLogin, DeviceLoginState, LinkPurpose, MailRequest,
    MemberChanged, NewAccount, OneTimeLink, Passkey, PasskeyId, PendingSignIn, Project, ProjectId, ProjectRole,
    SecondFactor, SecretDigest, Session, SessionRenewal, SetUpResult, TokenId, TokenRecord,
};
use crate::ports::AccessStore;

/// The rows of accounts, projects and credentials.
#[derive(Default)]
pub(super) struct AccessRows {
    pub(super) accounts: BTreeMap<AccountName, Account>,
    passwords: BTreeMap<AccountName, String>,
    /// The projects except the default one.
    projects: BTreeMap<ProjectId, Project>,
    pub(super) sessions: BTreeMap<SecretDigest, Session>,
    pub(super) tokens: BTreeMap<TokenId, TokenRecord>,
    pub(super) links: BTreeMap<SecretDigest, OneTimeLink>,
    /// The links that were mailed.
    pub(super) mailed: BTreeSet<SecretDigest>,
    /// The mail addresses that wait for their confirmation.
    pub(super) mail_requests: BTreeMap<SecretDigest, MailRequest>,
    /// The second factors; the number of recovery codes is counted.
    pub(super) factors: BTreeMap<AccountName, SecondFactor>,
    pub(super) recovery_codes: BTreeSet<(AccountName, SecretDigest)>,
    pub(super) pending: BTreeMap<SecretDigest, PendingSignIn>,
    pub(super) passkeys: BTreeMap<PasskeyId, Passkey>,
    /// The challenges that were used, with the time at which they expire.
    pub(super) challenges: BTreeMap<SecretDigest, Timestamp>,
    pub(super) device_logins: BTreeMap<SecretDigest, DeviceLogin>,
}

impl AccessRows {
    /// Creates an account unless its name is taken.
    pub(super) fn create(&mut self, account: NewAccount, at: Timestamp) -> Option<DomainEvent> {
        let NewAccount { name, kind, server_role, password_hash, mail, memberships } = account;
        if self.accounts.contains_key(&name) {
            return None;
        }
        let has_password = password_hash.is_some();
        self.passwords.extend(password_hash.map(|hash| (name.clone(), hash)));
        let account = Account {
            name: name.clone(),
            kind,
            server_role,
            is_disabled: false,
            has_password,
            has_second_factor: false,
            mail,
            created_at: at,
            memberships,
        };
        self.accounts.insert(name.clone(), account);
        Some(DomainEvent::AccountCreated { account: name, kind, role: server_role })
    }

    /// Sets a password, ends the other sessions and deletes the links of an account.
    fn set_password(&mut self, name: &AccountName, hash: &str, renewal: Option<SessionRenewal>) -> bool {
        let Some(account) = self.accounts.get_mut(name) else { return false };
        account.has_password = true;
        self.passwords.insert(name.clone(), hash.to_owned());
        self.end_sign_ins(name, renewal);
        self.links.retain(|_, link| link.purpose != LinkPurpose::SetPassword(name.clone()));
        self.mail_requests.retain(|_, request| request.account != *name);
        true
    }

    /// Ends the pending sign-ins of an account, the device logins that it allowed, and its sessions
    /// except the one of `renewal`, which gets its new secret.
    pub(super) fn end_sign_ins(&mut self, name: &AccountName, renewal: Option<SessionRenewal>) {
        let kept = renewal.and_then(|SessionRenewal { old, new }| {
            let session = self.sessions.get(&old).filter(|session| session.account == *name)?;
            Some(Session { key: new, ..session.clone() })
        });
        self.sessions.retain(|_, session| session.account != *name);
        self.sessions.extend(kept.map(|session| (session.key, session)));
        self.pending.retain(|_, pending| pending.account != *name);
        self.device_logins.retain(|_, login| login.state != DeviceLoginState::Allowed(name.clone()));
    }

    fn valid_link(&self, key: SecretDigest, at: Timestamp) -> Option<OneTimeLink> {
        self.links.get(&key).filter(|link| link.expires_at > at).cloned()
    }
}

#[async_trait]
impl AccessStore for MemoryStore {
    async fn create_account(&self, account: NewAccount, at: Timestamp, by: &Principal) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(event) = state.access.create(account, at) else { return Ok(false) };
        state.note(self.clock.now(), by.clone(), None, event);
        Ok(true)
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        Ok(self.state().access.accounts.values().cloned().collect())
    }

    async fn has_admin_with_password(&self) -> Result<bool, StoreError> {
        Ok(self.state().access.accounts.values().any(|account| account.is_active_admin() && account.has_password))
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        Ok(self.state().access.accounts.get(name).cloned())
    }

    async fn password_hash(&self, name: &AccountName) -> Result<Option<String>, StoreError> {
        Ok(self.state().access.passwords.get(name).cloned())
    }

    async fn change_account(
        &self,
        name: &AccountName,
        change: AccountChange,
        by: &Principal,
    ) -> Result<AccountChanged, StoreError> {
        let mut state = self.state();
        let Some(before) = state.access.accounts.get(name).cloned() else { return Ok(AccountChanged::Missing) };
        let mut after = before.clone();
        let event = match change {
            AccountChange::Disable => {
                after.is_disabled = true;
                DomainEvent::AccountDisabled { account: name.clone() }
            }
            AccountChange::Enable => {
                after.is_disabled = false;
                DomainEvent::AccountEnabled { account: name.clone() }
            }
            AccountChange::SetServerRole(role) => {
                after.server_role = role;
                DomainEvent::ServerRoleChanged { account: name.clone(), role }
            }
        };
        let admins = state.access.accounts.values().filter(|account| account.is_active_admin()).count();
        if before.is_active_admin() && !after.is_active_admin() && admins == 1 {
            return Ok(AccountChanged::LastAdmin);
        }
        if after != before {
            state.access.accounts.insert(name.clone(), after);
            if change == AccountChange::Disable {
                state.access.mail_requests.retain(|_, request| request.account != *name);
            }
            if change != AccountChange::Enable {
                state.access.end_sign_ins(name, None);
            }
            state.note(self.clock.now(), by.clone(), None, event);
        }
        Ok(AccountChanged::Changed)
    }

    async fn set_password(
        &self,
        name: &AccountName,
        hash: &str,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let is_known = state.access.set_password(name, hash, renewal);
        if is_known {
            state.note(self.clock.now(), by.clone(), None, DomainEvent::PasswordChanged { account: name.clone() });
        }
        Ok(is_known)
    }

    async fn rehash_password(&self, name: &AccountName, old: &str, new: &str) -> Result<(), StoreError> {
        if let Some(hash) = self.state().access.passwords.get_mut(name).filter(|hash| *hash == old) {
            new.clone_into(hash);
        }
        Ok(())
    }

    async fn create_project(&self, project: Project, by: &Principal) -> Result<bool, StoreError> {
        let mut state = self.state();
        if project.id.is_default() || state.access.projects.contains_key(&project.id) {
            return Ok(false);
        }
        let event = DomainEvent::ProjectCreated { project: project.id.clone() };
        state.access.projects.insert(project.id.clone(), project);
        state.note(self.clock.now(), by.clone(), None, event);
        Ok(true)
    }

    async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        let mut all: Vec<Project> = self.state().access.projects.values().cloned().collect();
        all.push(Project::default());
        all.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(all)
    }

    async fn set_member(
        &self,
        project: &ProjectId,
        name: &AccountName,
        role: Option<ProjectRole>,
        by: &Principal,
    ) -> Result<MemberChanged, StoreError> {
        let mut state = self.state();
        if !project.is_default() && !state.access.projects.contains_key(project) {
            return Ok(MemberChanged::NoProject);
        }
        let Some(account) = state.access.accounts.get_mut(name) else { return Ok(MemberChanged::NoAccount) };
        let before = match role {
            Some(role) => account.memberships.insert(project.clone(), role),
            None => account.memberships.remove(project),
        };
        if before != role {
            let event = DomainEvent::MemberChanged { project: project.clone(), account: name.clone(), role };
            state.note(self.clock.now(), by.clone(), None, event);
        }
        Ok(MemberChanged::Changed)
    }

    async fn create_session(&self, session: Session) -> Result<(), StoreError> {
        let mut state = self.state();
        let (by, event) = (Principal::User(session.account.clone()), session.signed_in());
        state.access.sessions.insert(session.key, session);
        state.note(self.clock.now(), by, None, event);
        Ok(())
    }

    async fn session(&self, key: SecretDigest) -> Result<Option<(Session, Account)>, StoreError> {
        let state = self.state();
        let session = state.access.sessions.get(&key).cloned();
        Ok(session.and_then(|session| {
            let account = state.access.accounts.get(&session.account).cloned()?;
            Some((session, account))
        }))
    }

    async fn use_session(&self, key: SecretDigest, at: Timestamp) -> Result<(), StoreError> {
        if let Some(session) = self.state().access.sessions.get_mut(&key) {
            session.used_at = session.used_at.max(at);
        }
        Ok(())
    }

    async fn sessions(&self, name: &AccountName) -> Result<Vec<Session>, StoreError> {
        let mut all: Vec<Session> =
            self.state().access.sessions.values().filter(|session| session.account == *name).cloned().collect();
        all.sort_by_key(|session| (std::cmp::Reverse(session.created_at), session.key));
        Ok(all)
    }

    async fn end_sessions(
        &self,
        name: &AccountName,
        only: Option<SecretDigest>,
        keep: Option<SecretDigest>,
        by: &Principal,
    ) -> Result<u64, StoreError> {
        let mut state = self.state();
        let before = state.access.sessions.len();
        state.access.sessions.retain(|key, session| {
            session.account != *name || only.is_some_and(|only| only != *key) || keep == Some(*key)
        });
        let count = (before - state.access.sessions.len()) as u64;
        if count > 0 {
            let event = DomainEvent::SessionsEnded { account: name.clone(), count };
            state.note(self.clock.now(), by.clone(), None, event);
        }
        Ok(count)
    }

    async fn delete_expired(&self, at: Timestamp, idle_since: Timestamp) -> Result<u64, StoreError> {
        let mut state = self.state();
        state.public_links.retain(|_, link| link.expires_at > at);
        state.identities.waiting.retain(|_, waiting| waiting.expires_at > at);
        state.shares.retain(|_, share| share.is_current(at));
        let AccessRows { sessions, tokens, links, pending, mail_requests, challenges, device_logins, .. } =
            &mut state.access;
        let before = sessions.len();
        sessions.retain(|_, session| session.expires_at > at && session.used_at >= idle_since);
        tokens.retain(|_, token| token.expires_at > at);
        links.retain(|_, link| link.expires_at > at);
        pending.retain(|_, pending| pending.expires_at > at);
        mail_requests.retain(|_, request| request.expires_at > at);
        challenges.retain(|_, expires_at| *expires_at > at);
        device_logins.retain(|_, login| login.expires_at > at);
        Ok((before - sessions.len()) as u64)
    }

    async fn create_token(&self, token: TokenRecord, by: &Principal) -> Result<bool, StoreError> {
        let mut state = self.state();
        if !state.access.accounts.contains_key(&token.account) {
            return Ok(false);
        }
        let event = DomainEvent::TokenCreated { account: token.account.clone(), token: token.id.clone() };
        state.access.tokens.insert(token.id.clone(), token);
        state.note(self.clock.now(), by.clone(), None, event);
        Ok(true)
    }

    async fn token(&self, id: &TokenId) -> Result<Option<(TokenRecord, Account)>, StoreError> {
        let state = self.state();
        let token = state.access.tokens.get(id).cloned();
        Ok(token.and_then(|token| {
            let account = state.access.accounts.get(&token.account).cloned()?;
            Some((token, account))
        }))
    }

    async fn use_token(&self, id: &TokenId, at: Timestamp) -> Result<(), StoreError> {
        if let Some(token) = self.state().access.tokens.get_mut(id) {
            token.used_at = token.used_at.max(Some(at));
        }
        Ok(())
    }

    async fn tokens(&self, name: &AccountName) -> Result<Vec<TokenRecord>, StoreError> {
        let mut all: Vec<TokenRecord> =
            self.state().access.tokens.values().filter(|token| token.account == *name).cloned().collect();
        all.sort_by_key(|token| (std::cmp::Reverse(token.created_at), token.id.clone()));
        Ok(all)
    }

    async fn revoke_token(&self, name: &AccountName, id: &TokenId, by: &Principal) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.access.tokens.get(id).is_none_or(|token| token.account != *name) {
            return Ok(false);
        }
        state.access.tokens.remove(id);
        let event = DomainEvent::TokenRevoked { account: name.clone(), token: id.clone() };
        state.note(self.clock.now(), by.clone(), None, event);
        Ok(true)
    }

    async fn create_link(&self, link: OneTimeLink, by: &Principal) -> Result<(), StoreError> {
        let mut state = self.state();
        match &link.purpose {
            LinkPurpose::SetUp => state.access.links.retain(|_, link| link.purpose != LinkPurpose::SetUp),
            LinkPurpose::SetPassword(account) => {
                let event = DomainEvent::PasswordLinkCreated { account: account.clone() };
                state.note(self.clock.now(), by.clone(), None, event);
            }
        }
        state.access.links.insert(link.key, link);
        Ok(())
    }

    async fn link(&self, key: SecretDigest, at: Timestamp) -> Result<Option<OneTimeLink>, StoreError> {
        Ok(self.state().access.valid_link(key, at))
    }

    async fn redeem_password_link(
        &self,
        key: SecretDigest,
        hash: &str,
        at: Timestamp,
    ) -> Result<Option<AccountName>, StoreError> {
        let mut state = self.state();
        let Some(OneTimeLink { purpose: LinkPurpose::SetPassword(name), .. }) = state.access.valid_link(key, at) else {
            return Ok(None);
        };
        if !state.access.set_password(&name, hash, None) {
            return Ok(None);
        }
        let by = Principal::User(name.clone());
        state.note(self.clock.now(), by, None, DomainEvent::PasswordChanged { account: name.clone() });
        Ok(Some(name))
    }

    async fn redeem_setup_link(
        &self,
        key: SecretDigest,
        account: NewAccount,
        at: Timestamp,
    ) -> Result<SetUpResult, StoreError> {
        let mut state = self.state();
        if state.access.valid_link(key, at).is_none_or(|link| link.purpose != LinkPurpose::SetUp) {
            return Ok(SetUpResult::NoLink);
        }
        let by = Principal::User(account.name.clone());
        let Some(event) = state.access.create(account, at) else { return Ok(SetUpResult::NameTaken) };
        state.access.links.remove(&key);
        state.note(self.clock.now(), by, None, event);
        Ok(SetUpResult::Done)
    }

    async fn record(&self, event: DomainEvent, scan: Option<ScanId>, by: &Principal) -> Result<(), StoreError> {
        let mut state = self.state();
        let at = self.clock.now();
        if !state.forgetful {
            state.audit.push(AuditEntry { at, principal: by.clone(), scan, event });
        }
        Ok(())
    }
}
