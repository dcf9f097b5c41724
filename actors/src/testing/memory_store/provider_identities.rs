//! Identities of an identity provider, and sign-ins that wait for it, in memory.

use super::*;
use crate::model::{
    AccountKind, AccountName, LinkResult, LinkedIdentity, NewAccount, ProviderIdentity, ProviderSignIn, SecretDigest,
};
use crate::ports::ProviderIdentityStore;

/// The rows of identities and of sign-ins that wait for the provider.
#[derive(Default)]
pub(super) struct IdentityRows {
    identities: BTreeMap<AccountName, LinkedIdentity>,
    pub(super) waiting: BTreeMap<SecretDigest, ProviderSignIn>,
}

impl IdentityRows {
    fn account_of(&self, identity: &ProviderIdentity) -> Option<AccountName> {
        self.identities.values().find(|linked| linked.identity == *identity).map(|linked| linked.account.clone())
    }

    fn link(&mut self, account: &AccountName, identity: &ProviderIdentity, at: Timestamp) -> DomainEvent {
        let linked = LinkedIdentity { account: account.clone(), identity: identity.clone(), linked_at: at };
        self.identities.insert(account.clone(), linked);
        DomainEvent::IdentityLinked {
            account: account.clone(),
            issuer: identity.issuer().to_owned(),
            subject: identity.subject().to_owned(),
        }
    }
}

#[async_trait]
impl ProviderIdentityStore for MemoryStore {
    async fn account_of_identity(&self, identity: &ProviderIdentity) -> Result<Option<AccountName>, StoreError> {
        Ok(self.state().identities.account_of(identity))
    }

    async fn identity_of(&self, account: &AccountName) -> Result<Option<LinkedIdentity>, StoreError> {
        Ok(self.state().identities.identities.get(account).cloned())
    }

    async fn create_with_identity(
        &self,
        account: NewAccount,
        identity: &ProviderIdentity,
        at: Timestamp,
        by: &Principal,
    ) -> Result<LinkResult, StoreError> {
        let mut state = self.state();
        if state.identities.account_of(identity).is_some() {
            return Ok(LinkResult::IdentityTaken);
        }
        let name = account.name.clone();
        let Some(created) = state.access.create(account, at) else { return Ok(LinkResult::AccountTaken) };
        let linked = state.identities.link(&name, identity, at);
        for event in [created, linked] {
            state.note(self.clock.now(), by.clone(), None, event);
        }
        Ok(LinkResult::Linked)
    }

    async fn link_identity(
        &self,
        account: &AccountName,
        identity: &ProviderIdentity,
        at: Timestamp,
        by: &Principal,
    ) -> Result<LinkResult, StoreError> {
        let mut state = self.state();
        if state.access.accounts.get(account).is_none_or(|account| account.kind != AccountKind::User) {
            return Ok(LinkResult::NoAccount);
        }
        if let Some(of) = state.identities.account_of(identity) {
            return Ok(if of == *account { LinkResult::Linked } else { LinkResult::IdentityTaken });
        }
        if state.identities.identities.contains_key(account) {
            return Ok(LinkResult::AccountTaken);
        }
        let event = state.identities.link(account, identity, at);
        state.note(self.clock.now(), by.clone(), None, event);
        Ok(LinkResult::Linked)
    }

    async fn unlink_identity(&self, account: &AccountName, by: &Principal) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.identities.identities.remove(account).is_none() {
            return Ok(false);
        }
        state.access.end_sign_ins(account, None);
        let event = DomainEvent::IdentityUnlinked { account: account.clone() };
        state.note(self.clock.now(), by.clone(), None, event);
        Ok(true)
    }

    async fn create_provider_sign_in(&self, waiting: ProviderSignIn) -> Result<(), StoreError> {
        self.state().identities.waiting.insert(waiting.key, waiting);
        Ok(())
    }

    async fn take_provider_sign_in(
        &self,
        key: SecretDigest,
        at: Timestamp,
    ) -> Result<Option<ProviderSignIn>, StoreError> {
        Ok(self.state().identities.waiting.remove(&key).filter(|waiting| waiting.expires_at > at))
    }
}
