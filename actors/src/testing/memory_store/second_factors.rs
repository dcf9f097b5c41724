//! Second factors and pending sign-ins in memory.

use std::cmp::Reverse;

use super::access::AccessRows;
use super::*;
use crate::model::{
    AccountName, FactorChange, FactorUse, NewSecondFactor, PendingSignIn, SecondFactor, SecretDigest, Session,
    SessionRenewal, SignInEnd,
};
use crate::policy::second_factor::MOST_PENDING_SIGN_INS;
use crate::ports::SecondFactorStore;

impl AccessRows {
    fn factor(&self, account: &AccountName) -> Option<SecondFactor> {
        let codes = self.recovery_codes.iter().filter(|(of, _)| of == account).count();
        self.factors.get(account).map(|factor| SecondFactor { recovery_codes: codes as u64, ..factor.clone() })
    }

    /// Accepts a use of a factor, or refuses it. Returns the events of the use.
    fn accept(&mut self, account: &AccountName, used: FactorUse) -> Option<Vec<DomainEvent>> {
        let factor = self.factors.get_mut(account)?;
        match used {
            FactorUse::Step(step) if step > factor.last_step => {
                factor.last_step = step;
                factor.tries = 0;
                Some(Vec::new())
            }
            FactorUse::Step(_) => None,
            FactorUse::RecoveryCode(digest) => {
                let account = account.clone();
                let is_there = self.recovery_codes.remove(&(account.clone(), digest));
                is_there.then(|| {
                    factor.tries = 0;
                    vec![DomainEvent::RecoveryCodeUsed { account }]
                })
            }
        }
    }

    /// Adds a factor, unless the account has one or does not exist.
    fn add(&mut self, new: NewSecondFactor) -> Option<DomainEvent> {
        let NewSecondFactor { account, sealed_secret, last_step, recovery_codes, created_at } = new;
        if !self.accounts.contains_key(&account) || self.factors.contains_key(&account) {
            return None;
        }
        let factor = SecondFactor { sealed_secret, created_at, last_step, tries: 0, recovery_codes: 0 };
        self.factors.insert(account.clone(), factor);
        self.count_factors(&account);
        self.recovery_codes.extend(recovery_codes.into_iter().map(|digest| (account.clone(), digest)));
        Some(DomainEvent::SecondFactorAdded { account })
    }

    pub(super) fn remove(&mut self, account: &AccountName) {
        self.factors.remove(account);
        self.recovery_codes.retain(|(of, _)| of != account);
        self.count_factors(account);
    }

    pub(super) fn valid_pending(&mut self, key: SecretDigest, at: Timestamp) -> Option<&mut PendingSignIn> {
        self.pending.get_mut(&key).filter(|pending| pending.expires_at > at)
    }

    pub(super) fn start(&mut self, session: Session) -> DomainEvent {
        let event = session.signed_in();
        self.sessions.insert(session.key, session);
        event
    }
}

impl State {
    pub(super) fn note_all(&mut self, now: Timestamp, by: &Principal, events: impl IntoIterator<Item = DomainEvent>) {
        for event in events {
            self.note(now, by.clone(), None, event);
        }
    }
}

#[async_trait]
impl SecondFactorStore for MemoryStore {
    async fn second_factor(&self, account: &AccountName) -> Result<Option<SecondFactor>, StoreError> {
        Ok(self.state().access.factor(account))
    }

    async fn try_second_factor(&self, account: &AccountName) -> Result<Option<SecondFactor>, StoreError> {
        let access = &mut self.state().access;
        if let Some(factor) = access.factors.get_mut(account) {
            factor.tries += 1;
        }
        Ok(access.factor(account))
    }

    async fn add_second_factor(
        &self,
        factor: NewSecondFactor,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let account = factor.account.clone();
        let Some(event) = state.access.add(factor) else { return Ok(false) };
        state.access.end_sign_ins(&account, renewal);
        state.note_all(self.clock.now(), by, [event]);
        Ok(true)
    }

    async fn remove_second_factor(
        &self,
        account: &AccountName,
        used: Option<FactorUse>,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        let mut state = self.state();
        if !state.access.factors.contains_key(account) {
            return Ok(FactorChange::NoFactor);
        }
        let accepted = used.map_or(Some(Vec::new()), |used| state.access.accept(account, used));
        let Some(mut events) = accepted else { return Ok(FactorChange::Refused) };
        state.access.remove(account);
        state.access.end_sign_ins(account, renewal);
        events.push(DomainEvent::SecondFactorRemoved { account: account.clone() });
        state.note_all(self.clock.now(), by, events);
        Ok(FactorChange::Changed)
    }

    async fn use_second_factor(
        &self,
        account: &AccountName,
        used: FactorUse,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        let mut state = self.state();
        if !state.access.factors.contains_key(account) {
            return Ok(FactorChange::NoFactor);
        }
        let Some(events) = state.access.accept(account, used) else { return Ok(FactorChange::Refused) };
        state.note_all(self.clock.now(), by, events);
        Ok(FactorChange::Changed)
    }

    async fn replace_recovery_codes(
        &self,
        account: &AccountName,
        used: FactorUse,
        codes: &[SecretDigest],
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        let mut state = self.state();
        if !state.access.factors.contains_key(account) {
            return Ok(FactorChange::NoFactor);
        }
        let Some(mut events) = state.access.accept(account, used) else { return Ok(FactorChange::Refused) };
        state.access.recovery_codes.retain(|(of, _)| of != account);
        state.access.recovery_codes.extend(codes.iter().map(|digest| (account.clone(), *digest)));
        state.access.end_sign_ins(account, renewal);
        events.push(DomainEvent::RecoveryCodesCreated { account: account.clone() });
        state.note_all(self.clock.now(), by, events);
        Ok(FactorChange::Changed)
    }

    async fn create_pending_sign_in(&self, pending: PendingSignIn) -> Result<(), StoreError> {
        let rows = &mut self.state().access.pending;
        let is_other = |row: &&PendingSignIn| row.account == pending.account && row.key != pending.key;
        let mut others: Vec<_> = rows.values().filter(is_other).map(|row| (Reverse(row.expires_at), row.key)).collect();
        others.sort_unstable();
        for (_, key) in others.into_iter().skip(MOST_PENDING_SIGN_INS - 1) {
            rows.remove(&key);
        }
        rows.insert(pending.key, pending);
        Ok(())
    }

    async fn pending_sign_in(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PendingSignIn>, StoreError> {
        Ok(self.state().access.valid_pending(key, at).cloned())
    }

    async fn try_sign_in(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PendingSignIn>, StoreError> {
        let access = &mut self.state().access;
        let Some(pending) = access.valid_pending(key, at) else { return Ok(None) };
        pending.tries += 1;
        Ok(Some(pending.clone()))
    }

    async fn end_pending_sign_in(&self, key: SecretDigest) -> Result<(), StoreError> {
        self.state().access.pending.remove(&key);
        Ok(())
    }

    async fn finish_sign_in(
        &self,
        key: SecretDigest,
        used: FactorUse,
        session: Session,
    ) -> Result<SignInEnd, StoreError> {
        let mut state = self.state();
        let account = session.account.clone();
        if state.access.valid_pending(key, session.created_at).is_none_or(|pending| pending.account != account) {
            return Ok(SignInEnd::NoSignIn);
        }
        let Some(mut events) = state.access.accept(&account, used) else { return Ok(SignInEnd::Refused) };
        state.access.pending.remove(&key);
        events.push(state.access.start(session));
        state.note_all(self.clock.now(), &Principal::User(account), events);
        Ok(SignInEnd::Started)
    }

    async fn finish_enrolment(
        &self,
        key: SecretDigest,
        factor: NewSecondFactor,
        session: Session,
    ) -> Result<SignInEnd, StoreError> {
        let mut state = self.state();
        let account = session.account.clone();
        if state.access.valid_pending(key, session.created_at).is_none_or(|pending| pending.account != account) {
            return Ok(SignInEnd::NoSignIn);
        }
        let Some(added) = state.access.add(factor) else { return Ok(SignInEnd::Refused) };
        state.access.end_sign_ins(&account, None);
        let signed_in = state.access.start(session);
        state.note_all(self.clock.now(), &Principal::User(account), [added, signed_in]);
        Ok(SignInEnd::Started)
    }
}
