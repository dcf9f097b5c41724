//! Passkeys in memory.

use super::access::AccessRows;
use super::*;
use crate::model::{
    AccountName, Passkey, PasskeyAddition, PasskeyId, PasskeyUse, SecretDigest, Session, SessionRenewal, SignInEnd,
    SignedChallenge,
};
use crate::ports::PasskeyStore;

impl AccessRows {
    fn passkeys_of(&self, account: &AccountName) -> Vec<Passkey> {
        let mut all: Vec<Passkey> =
            self.passkeys.values().filter(|passkey| passkey.account == *account).cloned().collect();
        all.sort_by_key(|passkey| (passkey.created_at, passkey.id.clone()));
        all
    }

    /// Notes in the row of an account whether it has a second factor.
    pub(super) fn count_factors(&mut self, account: &AccountName) {
        let has_factor =
            self.factors.contains_key(account) || self.passkeys.values().any(|passkey| passkey.account == *account);
        if let Some(row) = self.accounts.get_mut(account) {
            row.has_second_factor = has_factor;
        }
    }

    fn is_acceptable(&self, used: &PasskeyUse) -> bool {
        let is_new = !self.challenges.contains_key(&used.challenge.digest);
        let found = self.passkeys.get(&used.id).filter(|passkey| passkey.account == used.account);
        is_new && found.is_some_and(|passkey| passkey.credential == used.before)
    }

    fn note_use(&mut self, used: PasskeyUse) {
        self.challenges.insert(used.challenge.digest, used.challenge.expires_at);
        if let Some(passkey) = self.passkeys.get_mut(&used.id) {
            passkey.credential = used.after;
            passkey.used_at = Some(used.at);
        }
    }
}

#[async_trait]
impl PasskeyStore for MemoryStore {
    async fn passkeys(&self, account: &AccountName) -> Result<Vec<Passkey>, StoreError> {
        Ok(self.state().access.passkeys_of(account))
    }

    async fn passkey(&self, id: &PasskeyId) -> Result<Option<Passkey>, StoreError> {
        Ok(self.state().access.passkeys.get(id).cloned())
    }

    async fn add_passkey(
        &self,
        passkey: Passkey,
        challenge: SignedChallenge,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<PasskeyAddition, StoreError> {
        let mut state = self.state();
        let access = &mut state.access;
        let account = passkey.account.clone();
        if !access.accounts.contains_key(&account) {
            return Ok(PasskeyAddition::NoAccount);
        }
        if access.challenges.contains_key(&challenge.digest) {
            return Ok(PasskeyAddition::Used);
        }
        if access.passkeys.contains_key(&passkey.id) {
            return Ok(PasskeyAddition::Taken);
        }
        if access.passkeys_of(&account).len() >= Passkey::MOST {
            return Ok(PasskeyAddition::TooMany);
        }
        let event = DomainEvent::PasskeyAdded { account: account.clone(), passkey: passkey.id.clone() };
        access.challenges.insert(challenge.digest, challenge.expires_at);
        access.passkeys.insert(passkey.id.clone(), passkey);
        access.count_factors(&account);
        access.end_sign_ins(&account, renewal);
        state.note(self.clock.now(), by.clone(), None, event);
        Ok(PasskeyAddition::Added)
    }

    async fn rename_passkey(
        &self,
        account: &AccountName,
        id: &PasskeyId,
        label: &str,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(passkey) = state.access.passkeys.get_mut(id).filter(|passkey| passkey.account == *account) else {
            return Ok(false);
        };
        if passkey.label != label {
            label.clone_into(&mut passkey.label);
            let event = DomainEvent::PasskeyRenamed { account: account.clone(), passkey: id.clone() };
            state.note(self.clock.now(), by.clone(), None, event);
        }
        Ok(true)
    }

    async fn remove_passkey(
        &self,
        account: &AccountName,
        id: &PasskeyId,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.access.passkeys.get(id).is_none_or(|passkey| passkey.account != *account) {
            return Ok(false);
        }
        state.access.passkeys.remove(id);
        state.access.count_factors(account);
        state.access.end_sign_ins(account, renewal);
        let event = DomainEvent::PasskeyRemoved { account: account.clone(), passkey: id.clone() };
        state.note(self.clock.now(), by.clone(), None, event);
        Ok(true)
    }

    async fn use_passkey(&self, used: PasskeyUse) -> Result<bool, StoreError> {
        let access = &mut self.state().access;
        let is_accepted = access.is_acceptable(&used);
        if is_accepted {
            access.note_use(used);
        }
        Ok(is_accepted)
    }

    async fn sign_in_with_passkey(
        &self,
        used: PasskeyUse,
        pending: Option<SecretDigest>,
        session: Session,
    ) -> Result<SignInEnd, StoreError> {
        let mut state = self.state();
        let account = session.account.clone();
        let access = &mut state.access;
        if let Some(key) = pending
            && access.valid_pending(key, session.created_at).is_none_or(|pending| pending.account != account)
        {
            return Ok(SignInEnd::NoSignIn);
        }
        let is_active = access.accounts.get(&account).is_some_and(|account| !account.is_disabled);
        if !is_active || used.account != account || !access.is_acceptable(&used) {
            return Ok(SignInEnd::Refused);
        }
        if let Some(key) = pending {
            access.pending.remove(&key);
        }
        let event = DomainEvent::PasskeyUsed { account: account.clone(), passkey: used.id.clone() };
        access.note_use(used);
        let signed_in = access.start(session);
        state.note_all(self.clock.now(), &Principal::User(account), [event, signed_in]);
        Ok(SignInEnd::Started)
    }

    async fn remove_all_factors(&self, account: &AccountName, by: &Principal) -> Result<bool, StoreError> {
        let mut state = self.state();
        let access = &mut state.access;
        let mut events = Vec::new();
        if access.factors.contains_key(account) {
            access.remove(account);
            events.push(DomainEvent::SecondFactorRemoved { account: account.clone() });
        }
        for passkey in access.passkeys_of(account) {
            access.passkeys.remove(&passkey.id);
            events.push(DomainEvent::PasskeyRemoved { account: account.clone(), passkey: passkey.id });
        }
        let is_changed = !events.is_empty();
        if is_changed {
            access.count_factors(account);
            access.end_sign_ins(account, None);
        }
        state.note_all(self.clock.now(), by, events);
        Ok(is_changed)
    }
}
