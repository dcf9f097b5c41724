//! Device logins in memory.

use super::*;
use crate::model::{
    AccountName, DeviceDecision, DeviceLogin, DeviceLoginCreated, DeviceLoginLimits, DeviceLoginState, DevicePolls,
    SecretDigest, TokenRecord,
};
use crate::ports::DeviceLoginStore;

#[async_trait]
impl DeviceLoginStore for MemoryStore {
    async fn create_device_login(
        &self,
        login: DeviceLogin,
        limits: DeviceLoginLimits,
    ) -> Result<DeviceLoginCreated, StoreError> {
        let logins = &mut self.state().access.device_logins;
        let valid = || logins.values().filter(|other| other.expires_at > login.created_at);
        let of_network = || valid().filter(|other| other.network == login.network);
        let ends = |is_full: bool, first: Option<Timestamp>| first.filter(|_| is_full);
        let free_at =
            ends(of_network().count() >= limits.of_network as usize, of_network().map(|other| other.expires_at).min())
                .or_else(|| {
                    ends(valid().count() >= limits.total as usize, valid().map(|other| other.expires_at).min())
                });
        if let Some(free_at) = free_at {
            return Ok(DeviceLoginCreated::Full { free_at });
        }
        if valid().any(|other| other.user_code == login.user_code) {
            return Ok(DeviceLoginCreated::CodeTaken);
        }
        logins.insert(login.key, login);
        Ok(DeviceLoginCreated::Created)
    }

    async fn device_login(&self, key: SecretDigest, at: Timestamp) -> Result<Option<DeviceLogin>, StoreError> {
        Ok(self.state().access.device_logins.get(&key).filter(|login| login.expires_at > at).cloned())
    }

    async fn device_login_of_code(
        &self,
        user_code: SecretDigest,
        at: Timestamp,
    ) -> Result<Option<DeviceLogin>, StoreError> {
        let is_meant = |login: &&DeviceLogin| {
            login.user_code == user_code && login.expires_at > at && login.state == DeviceLoginState::Pending
        };
        Ok(self.state().access.device_logins.values().find(is_meant).cloned())
    }

    async fn note_device_poll(&self, key: SecretDigest, polls: DevicePolls) -> Result<(), StoreError> {
        if let Some(login) = self.state().access.device_logins.get_mut(&key) {
            login.polls = polls;
        }
        Ok(())
    }

    async fn decide_device_login(
        &self,
        login: &DeviceLogin,
        account: &AccountName,
        decision: DeviceDecision,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let found = state.access.device_logins.get_mut(&login.key);
        let Some(found) = found.filter(|found| found.expires_at > at && found.state == DeviceLoginState::Pending)
        else {
            return Ok(false);
        };
        found.state = match decision {
            DeviceDecision::Allow => DeviceLoginState::Allowed(account.clone()),
            DeviceDecision::Deny => DeviceLoginState::Denied,
        };
        let event = DomainEvent::of_device_decision(login, account, decision);
        state.note(self.clock.now(), Principal::User(account.clone()), None, event);
        Ok(true)
    }

    async fn finish_device_login(&self, key: SecretDigest, token: TokenRecord) -> Result<bool, StoreError> {
        let mut state = self.state();
        let allowed = DeviceLoginState::Allowed(token.account.clone());
        let is_allowed = state
            .access
            .device_logins
            .get(&key)
            .is_some_and(|login| login.expires_at > token.created_at && login.state == allowed);
        let is_active = state.access.accounts.get(&token.account).is_some_and(|account| !account.is_disabled);
        if !is_allowed || !is_active {
            return Ok(false);
        }
        state.access.device_logins.remove(&key);
        let (by, now) = (Principal::User(token.account.clone()), self.clock.now());
        let event = DomainEvent::TokenCreated { account: token.account.clone(), token: token.id.clone() };
        state.access.tokens.insert(token.id.clone(), token);
        state.note(now, by, None, event);
        Ok(true)
    }

    async fn end_device_login(&self, key: SecretDigest) -> Result<(), StoreError> {
        self.state().access.device_logins.remove(&key);
        Ok(())
    }
}
