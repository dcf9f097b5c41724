//! The set-up of a second factor: a new secret, and the code that confirms it.
//!
//! Between the two, the page has the secret sealed in its form, for the account and the session (or
//! the pending sign-in) in which the set-up began, and for a limited time. So the store has no
//! secret that nobody confirmed.

use std::time::Duration;

use kastrel_actors::model::{AccountKind, AccountName, NewSecondFactor, SecretDigest};
use kastrel_actors::policy::access::Denial;
use kastrel_actors::policy::second_factor::SignInStep;
use zeroize::Zeroizing;

use super::error::CodeFault;
use super::mail_texts::Notice;
use super::service::after;
use super::{AccessService, AccountError, CodeAttempt, CodeError, Confirmation, NewSession, SignedIn};
use crate::identity::recovery_code::RecoveryCode;
use crate::identity::secret::RandomSecret;
use crate::identity::totp::{TotpSecret, step_at};

/// How long a set-up may take.
const SET_UP_FOR: Duration = Duration::from_mins(10);

const EXPIRED: &str = "the set-up has expired: begin again";
const HAS_FACTOR: &str = "this account has an authenticator app: remove it first";

/// A second factor to confirm.
#[derive(Debug)]
pub struct Enrolment {
    /// The account.
    pub account: AccountName,
    /// The secret, for the app.
    pub secret: TotpSecret,
    /// The secret as the form sends it back.
    pub sealed: String,
}

impl AccessService {
    /// Begins the set-up of a second factor for the caller's account. An account with a passkey
    /// confirms it with one.
    ///
    /// # Errors
    /// The change is not confirmed (fields `current_password` and `passkey`), the account has an
    /// authenticator app or none is possible (field `second_factor`), or a failure of the store.
    pub async fn begin_enrolment(
        &self,
        who: &SignedIn,
        confirmation: impl Into<Confirmation>,
    ) -> Result<Enrolment, AccountError> {
        let confirmation = confirmation.into();
        let has_app = self.factors.second_factor(&who.account).await?.is_some();
        if has_app {
            let address = self.check_current(who, &confirmation.current).await?;
            self.current_was_right(&who.account, address).await?;
        } else {
            self.confirm(who, confirmation).await?;
        }
        let account = self.store.account(&who.account).await?.ok_or(AccountError::Denied(Denial::NotVisible))?;
        let session = who.session.filter(|_| account.kind == AccountKind::User);
        match session {
            Some(_) if has_app => Err(AccountError::field("second_factor", HAS_FACTOR)),
            Some(session) => self.new_enrolment(&who.account, session).map_err(no_key),
            None => Err(AccountError::field("second_factor", "only a person has a second factor")),
        }
    }

    /// Confirms a set-up with a code of the app: adds the second factor, and ends the other
    /// sessions. Returns the session with its new secret, and the recovery codes, which are shown
    /// once.
    ///
    /// # Errors
    /// The set-up has expired, or the account has a second factor (field `second_factor`), the code
    /// is wrong (field `code`), or a failure of the store.
    pub async fn confirm_enrolment(
        &self,
        who: &SignedIn,
        sealed: &str,
        code: &str,
    ) -> Result<(NewSession, Vec<RecoveryCode>), AccountError> {
        let Some(enrolment) = who.session.and_then(|session| self.enrolment(&who.account, session, sealed)) else {
            return Err(AccountError::field("second_factor", EXPIRED));
        };
        let Some(step) = self.confirmed(&enrolment, code) else {
            return Err(AccountError::field("code", WRONG_APP_CODE));
        };
        let (factor, codes) = self.new_factor(&enrolment, step).map_err(no_key)?;
        let Some((session, renewal)) = self.renewal(who).await? else {
            return Err(AccountError::field("second_factor", EXPIRED));
        };
        let change = self.cache.change();
        let is_added = self.factors.add_second_factor(factor, Some(renewal), &who.principal).await?;
        drop(change);
        if !is_added {
            return Err(AccountError::field("second_factor", HAS_FACTOR));
        }
        self.notify(&who.account, Notice::FactorAdded).await;
        Ok((session, codes))
    }

    /// Begins the set-up that a pending sign-in needs. `None`: the pending sign-in has ended, or
    /// needs a code.
    ///
    /// # Errors
    /// A failure of the store, or none can be sealed.
    pub async fn begin_enrolment_at_sign_in(&self, secret: &RandomSecret) -> Result<Option<Enrolment>, CodeError> {
        match self.waiting_sign_in(secret).await? {
            Some(waiting) if waiting.step == SignInStep::Enrolment => {
                Ok(Some(self.new_enrolment(&waiting.account, secret.digest())?))
            }
            _ => Ok(None),
        }
    }

    /// Confirms the set-up that a pending sign-in needs, and starts the session. A wrong code
    /// counts as in [`sign_in_with_code`](Self::sign_in_with_code).
    ///
    /// # Errors
    /// The errors of [`sign_in_with_code`](Self::sign_in_with_code), or the set-up has expired.
    pub async fn sign_in_with_enrolment(
        &self,
        attempt: CodeAttempt,
        sealed: &str,
    ) -> Result<(NewSession, Vec<RecoveryCode>), CodeError> {
        let CodeAttempt { pending, code, address, agent } = attempt;
        let waiting = self.waiting_sign_in(&pending).await?.ok_or(CodeError::Gone)?;
        let Some(enrolment) = self.enrolment(&waiting.account, pending.digest(), sealed) else {
            return Err(CodeError::Expired);
        };
        let tried = self.try_pending(&pending, address).await?;
        let Some(step) = self.confirmed(&enrolment, &code) else {
            return Err(self.refused_code(&tried, address, CodeFault::Wrong).await?);
        };
        let (factor, codes) = self.new_factor(&enrolment, step)?;
        let (new, session) = self.new_session(&tried.account, address, &agent);
        let change = self.cache.change();
        let end = self.factors.finish_enrolment(tried.key, factor, session).await?;
        drop(change);
        self.ended(end, &tried, address).await?;
        self.notify(&tried.account, Notice::FactorAdded).await;
        Ok((new, codes))
    }

    /// Returns the set-up that a form sent back, to show it again; `None` if it has expired or
    /// belongs to another account, session or pending sign-in (`binding`).
    #[must_use]
    pub fn enrolment(&self, account: &AccountName, binding: SecretDigest, sealed: &str) -> Option<Enrolment> {
        let clear = Zeroizing::new(self.sealer.open(&purpose(account, binding), sealed).ok()?);
        let (until, secret) = clear.split_once(' ')?;
        if until.parse::<i64>().ok()? <= self.clock.now().as_second() {
            return None;
        }
        let secret = TotpSecret::parse(secret).ok()?;
        Some(Enrolment { account: account.clone(), secret, sealed: sealed.to_owned() })
    }

    fn new_enrolment(&self, account: &AccountName, binding: SecretDigest) -> Result<Enrolment, CodeFault> {
        let secret = TotpSecret::generate();
        let until = after(self.clock.now(), SET_UP_FOR).as_second();
        let clear = Zeroizing::new(format!("{until} {}", *secret.base32()));
        let sealed = self.sealer.seal(&purpose(account, binding), &clear).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the secret of a second factor was not sealed");
            CodeFault::NoKey
        })?;
        Ok(Enrolment { account: account.clone(), secret, sealed })
    }

    /// Returns the step of the code that confirms a set-up.
    fn confirmed(&self, enrolment: &Enrolment, code: &str) -> Option<u64> {
        enrolment.secret.verify(code, step_at(self.clock.now()), 0)
    }

    fn new_factor(
        &self,
        enrolment: &Enrolment,
        last_step: u64,
    ) -> Result<(NewSecondFactor, Vec<RecoveryCode>), CodeFault> {
        let codes = RecoveryCode::generate_all();
        let factor = NewSecondFactor {
            account: enrolment.account.clone(),
            sealed_secret: self.seal_secret(&enrolment.account, &enrolment.secret)?,
            last_step,
            recovery_codes: codes.iter().map(RecoveryCode::digest).collect(),
            created_at: self.clock.now(),
        };
        Ok((factor, codes))
    }
}

/// The error of a code that does not confirm a set-up.
pub(super) const WRONG_APP_CODE: &str = "this is not the code that the app shows now: check the clock of the device";

fn no_key(fault: CodeFault) -> AccountError {
    AccountError::field("second_factor", fault.to_string())
}

/// The purpose of a sealed set-up: one account, and one session or pending sign-in.
fn purpose(account: &AccountName, binding: SecretDigest) -> String {
    format!("second factor to confirm\n{account}\n{binding}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kastrel_actors::model::{AccountChange, DomainEvent, Principal, ServerRole, SignInEnd};
    use kastrel_actors::policy::second_factor::FactorRule;
    use kastrel_actors::ports::{AccessStore as _, SecondFactorStore as _};
    use tokio::time::advance;

    use super::super::AccessSettings;
    use super::super::testing::{Fixture, OTHER_PASSWORD, PASSWORD, code_attempt, fields, password};
    use super::*;

    fn requiring(rule: FactorRule) -> Fixture {
        Fixture::with(AccessSettings { second_factor: rule, ..AccessSettings::default() }, Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn set_up_needs_the_password_and_a_code_and_ends_the_other_sessions() {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let (own, other) = (all.session(&ana).await, all.session(&ana).await);
        let who = all.service.by_session(&own).await.unwrap().unwrap();
        assert!(all.service.by_session(&other).await.unwrap().is_some());
        let begin = async |who: &SignedIn, text: &str| all.service.begin_enrolment(who, password(text)).await;
        let with_token = SignedIn { session: None, ..who.clone() };
        assert_eq!(fields(begin(&with_token, PASSWORD).await), ["current_password"]);
        assert_eq!(fields(begin(&who, OTHER_PASSWORD).await), ["current_password"]);
        let enrolment = begin(&who, PASSWORD).await.unwrap();
        let confirm = async |code: &str| all.service.confirm_enrolment(&who, &enrolment.sealed, code).await;
        assert_eq!(fields(confirm(&all.wrong_code(&enrolment.secret)).await), ["code"]);
        assert_eq!(fields(confirm("").await), ["code"]);
        assert!(!all.read(&ana).await.has_second_factor, "it is not confirmed");
        let (renewed, codes) = confirm(&all.code(&enrolment.secret)).await.unwrap();
        assert_eq!(codes.len(), 10);
        assert!(all.read(&ana).await.has_second_factor);
        for ended in [&own, &other] {
            assert_eq!(all.service.by_session(ended).await.unwrap(), None);
        }
        let with_old = confirm(&all.code(&enrolment.secret)).await;
        assert_eq!(fields(with_old), ["second_factor"], "the session has another secret");
        let who = all.service.by_session(&renewed.secret).await.unwrap().unwrap();
        assert_eq!(who.account, ana);
        let added = DomainEvent::SecondFactorAdded { account: ana.clone() };
        assert_eq!(all.audit().await.last(), Some(&(Principal::User(ana), added)));
        assert_eq!(fields(begin(&who, PASSWORD).await), ["second_factor"], "it has one");
        let pending = all.pending("ana").await;
        let replayed = all.enter(&pending, &all.code(&enrolment.secret)).await;
        assert!(replayed.is_err(), "the code that confirmed it was used: {replayed:?}");
        all.enter(&pending, codes[0].expose()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn set_up_belongs_to_its_account_and_session_for_10_minutes() {
        let all = Fixture::new();
        let (ana, bo) = (all.user_with_password("ana").await, all.user_with_password("bo").await);
        let of = async |name: &AccountName| all.service.by_session(&all.session(name).await).await.unwrap().unwrap();
        let (who, again, other) = (of(&ana).await, of(&ana).await, of(&bo).await);
        let enrolment = all.service.begin_enrolment(&who, password(PASSWORD)).await.unwrap();
        let code = all.code(&enrolment.secret);
        for who in [&again, &other] {
            let refused = all.service.confirm_enrolment(who, &enrolment.sealed, &code).await;
            assert_eq!(fields(refused), ["second_factor"]);
        }
        for sealed in ["", "x", &enrolment.sealed[1..], &all.service.seal_secret(&ana, &enrolment.secret).unwrap()] {
            assert_eq!(fields(all.service.confirm_enrolment(&who, sealed, &code).await), ["second_factor"], "{sealed}");
        }
        let shown = all.service.enrolment(&ana, who.session.unwrap(), &enrolment.sealed).unwrap();
        assert_eq!(shown.secret.base32(), enrolment.secret.base32());
        advance(SET_UP_FOR).await;
        let late = all.service.confirm_enrolment(&who, &enrolment.sealed, &all.code(&enrolment.secret)).await;
        assert_eq!(fields(late), ["second_factor"]);
        assert!(!all.read(&ana).await.has_second_factor);
    }

    #[tokio::test(start_paused = true)]
    async fn account_that_must_have_a_factor_gets_no_session_before_it_is_confirmed() {
        let all = requiring(FactorRule::All);
        let ana = all.user_with_password("ana").await;
        let pending = all.pending("ana").await;
        assert_eq!(pending.step, SignInStep::Enrolment);
        assert!(all.store.sessions(&ana).await.unwrap().is_empty());
        let refused = all.enter(&pending, "123456").await;
        assert!(refused.is_err(), "it has no factor whose code could be right: {refused:?}");
        let enrolment = all.service.begin_enrolment_at_sign_in(&pending.secret).await.unwrap().unwrap();
        let confirm = async |pending: &RandomSecret, code: &str| {
            all.service.sign_in_with_enrolment(code_attempt(pending, code), &enrolment.sealed).await
        };
        let wrong = confirm(&pending.secret, &all.wrong_code(&enrolment.secret)).await;
        assert!(matches!(wrong, Err(CodeError::Refused(CodeFault::Wrong))), "{wrong:?}");
        let other = all.pending("ana").await;
        let foreign = confirm(&other.secret, &all.code(&enrolment.secret)).await;
        assert!(matches!(foreign, Err(CodeError::Expired)), "it is of another sign-in: {foreign:?}");
        let (new, codes) = confirm(&pending.secret, &all.code(&enrolment.secret)).await.unwrap();
        assert_eq!(all.service.by_session(&new.secret).await.unwrap().unwrap().account, ana);
        let gone = confirm(&pending.secret, &all.code(&enrolment.secret)).await;
        assert!(matches!(gone, Err(CodeError::Gone)), "{gone:?}");
        let next = all.pending("ana").await;
        assert_eq!(next.step, SignInStep::Code);
        assert!(all.service.begin_enrolment_at_sign_in(&next.secret).await.unwrap().is_none());
        all.enter(&next, codes[9].expose()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn rule_is_for_its_accounts_and_ends_sessions_without_a_factor() {
        let all = requiring(FactorRule::Admins);
        let ana = all.user_with_password("ana").await;
        all.sign_in("ana", PASSWORD).await.unwrap();
        let session = all.session(&ana).await;
        assert!(all.service.by_session(&session).await.unwrap().is_some());
        let role = AccountChange::SetServerRole(Some(ServerRole::Admin));
        all.store.change_account(&ana, role, &Principal::System).await.unwrap();
        // A session from before the rule was turned on.
        let session = all.session(&ana).await;
        assert_eq!(all.service.by_session(&session).await.unwrap(), None);
        assert_eq!(all.pending("ana").await.step, SignInStep::Enrolment);
        all.factor(&ana).await;
        let session = all.session(&ana).await;
        assert!(all.service.by_session(&session).await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn two_enrolments_at_once_add_one_factor() {
        let all = requiring(FactorRule::All);
        let ana = all.user_with_password("ana").await;
        let (one, other) = (all.pending("ana").await, all.pending("ana").await);
        let mut ended = 0;
        for pending in [&one, &other] {
            let (_, session) = all.service.new_session(&ana, "192.0.2.1".parse().unwrap(), "test");
            let enrolment = all.service.new_enrolment(&ana, pending.secret.digest()).unwrap();
            let (factor, _) = all.service.new_factor(&enrolment, 1).unwrap();
            let end = all.store.finish_enrolment(pending.secret.digest(), factor, session).await.unwrap();
            ended += usize::from(end == SignInEnd::Started);
        }
        assert_eq!((ended, all.store.sessions(&ana).await.unwrap().len()), (1, 1));
    }
}
