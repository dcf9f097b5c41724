//! Sign-in with a passkey: in place of name and password, or as the second step after them.

use std::fmt;
use std::net::IpAddr;

use kastrel_actors::model::{AccountName, DomainEvent, Principal, SignInEnd};
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::confirmation::Verified;
use super::error::CodeFault;
use super::{AccessService, CodeError, NewSession, PasskeyAnswer, SignInError};
use crate::identity::passkey::Answer;
use crate::identity::secret::RandomSecret;

/// An attempt to sign in with a passkey. `Debug` does not show the answer.
pub struct PasskeySignIn {
    /// The answer of the authenticator.
    pub answer: PasskeyAnswer,
    /// The network address of the client.
    pub address: IpAddr,
    /// The `User-Agent` of the client.
    pub agent: String,
}

impl fmt::Debug for PasskeySignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasskeySignIn").field("address", &self.address).finish_non_exhaustive()
    }
}

impl AccessService {
    /// Signs in with a passkey, which is two factors: starts the session without a password and a
    /// code. An unknown passkey, a disabled account and an answer that comes too late are refused
    /// with the same error, and count as a wrong password does.
    ///
    /// # Errors
    /// The passkey is not accepted, there were too many attempts, or a failure of the store.
    pub async fn sign_in_with_passkey(&self, attempt: PasskeySignIn) -> Result<NewSession, SignInError> {
        if !self.allows_passwords() {
            return Err(SignInError::NoPasswords);
        }
        let PasskeySignIn { answer, address, agent } = attempt;
        // The name under which attempts count. No account has an empty one.
        let named = self.account_of_passkey(&answer).await?;
        let name = named.as_ref().map_or("", AccountName::as_str);
        self.throttle
            .check(name, address, Instant::now().into_std())
            .map_err(|refused| SignInError::Throttled { retry_after: refused.wait() })?;
        let refused = match self.verified(&answer, None, &Principal::Anonymous).await? {
            Verified::Wrong(account) => account,
            Verified::Right(used) => {
                let (new, session) = self.new_session(&used.account, address, &agent);
                let account = used.account.clone();
                if self.passkeys.sign_in_with_passkey(used, None, session).await? == SignInEnd::Started {
                    self.throttle.succeeded(account.as_str(), address, Instant::now().into_std());
                    return Ok(new);
                }
                Some(account)
            }
        };
        self.throttle.failed(name, address, Instant::now().into_std());
        let event = DomainEvent::SignInFailed { account: refused.or(named), address: address.to_string() };
        self.record_by(&Principal::Anonymous, event, None).await;
        Err(SignInError::Wrong)
    }

    /// Ends a pending sign-in with a passkey of its account, and starts the session. One that is
    /// not accepted counts as a wrong code does.
    ///
    /// # Errors
    /// The errors of [`sign_in_with_code`](Self::sign_in_with_code).
    pub async fn finish_with_passkey(
        &self,
        pending: &RandomSecret,
        attempt: PasskeySignIn,
    ) -> Result<NewSession, CodeError> {
        let PasskeySignIn { answer, address, agent } = attempt;
        let tried = self.try_pending(pending, address).await?;
        let verified = self.verified(&answer, Some(&tried.account), &Principal::Anonymous).await?;
        let Verified::Right(used) = verified else {
            return Err(self.refused_code(&tried, address, CodeFault::Passkey).await?);
        };
        let (new, session) = self.new_session(&tried.account, address, &agent);
        let end = self.passkeys.sign_in_with_passkey(used, Some(tried.key), session).await?;
        if end == SignInEnd::Refused {
            return Err(self.refused_code(&tried, address, CodeFault::Passkey).await?);
        }
        self.ended(end, &tried, address).await?;
        Ok(new)
    }

    /// Returns the account of the passkey that an answer names, before anything is checked.
    async fn account_of_passkey(&self, sent: &PasskeyAnswer) -> Result<Option<AccountName>, StoreError> {
        let Ok(answer) = Answer::parse(&sent.answer) else { return Ok(None) };
        Ok(self.passkeys.passkey(&answer.id()).await?.map(|passkey| passkey.account))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use kastrel_actors::model::AccountChange;
    use kastrel_actors::policy::second_factor::{FactorRule, SecondStep, SignInStep};
    use kastrel_actors::ports::{AccessStore as _, Clock as _, PasskeyStore as _};
    use tokio::time::advance;

    use super::super::testing::{Fixture, ORIGIN, PASSWORD, attempt, passkey_attempt, password, with_code};
    use super::super::{AccessSettings, SignInStart, WaitingSignIn};
    use super::*;
    use crate::identity::passkey::NoPasskeys;
    use crate::identity::passkey::testing::{Authenticator, Trick};

    async fn with_passkey() -> (Fixture, AccountName, Authenticator) {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let mut who = all.signed_in(&ana).await;
        let device = all.passkey(&mut who).await;
        (all, ana, device)
    }

    fn is_wrong(result: &Result<NewSession, SignInError>) -> bool {
        matches!(result, Err(SignInError::Wrong))
    }

    #[tokio::test(start_paused = true)]
    async fn passkey_starts_a_session_without_password_and_code() {
        for rule in [FactorRule::Off, FactorRule::All] {
            let settings = AccessSettings { second_factor: rule, ..AccessSettings::default() };
            let (mut all, ana, mut device) = with_passkey().await;
            all.service.settings = settings;
            let before = all.audit().await.len();
            let new = all.enter_passkey(&mut device).await.unwrap();
            assert_eq!((&new.account, new.max_age), (&ana, settings.session_lifetime));
            assert_eq!(all.service.by_session(&new.secret).await.unwrap().unwrap().account, ana);
            let passkey = all.store.passkeys(&ana).await.unwrap().remove(0);
            assert_eq!(passkey.used_at, Some(all.clock.now()));
            let used = DomainEvent::PasskeyUsed { account: ana.clone(), passkey: passkey.id };
            let signed_in = DomainEvent::SignedIn { account: ana.clone(), address: "192.0.2.1".into() };
            let by = Principal::User(ana.clone());
            assert_eq!(all.audit().await[before..], [(by.clone(), used), (by, signed_in)]);
            assert_ne!(all.enter_passkey(&mut device).await.unwrap().secret.expose(), new.secret.expose());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answer_signs_in_once_and_within_five_minutes() {
        for counts in [true, false] {
            let all = Fixture::new();
            let ana = all.user_with_password("ana").await;
            let mut who = all.signed_in(&ana).await;
            let device = Authenticator { counts, ..Authenticator::new(ORIGIN) };
            let mut device = all.passkey_confirmed(&mut who, password(PASSWORD).into(), device).await;
            let answer = all.answer(&mut device);
            all.service.sign_in_with_passkey(passkey_attempt(answer.clone())).await.unwrap();
            assert!(is_wrong(&all.service.sign_in_with_passkey(passkey_attempt(answer)).await), "it was used");
            let answer = all.answer(&mut device);
            advance(Duration::from_secs(299)).await;
            all.service.sign_in_with_passkey(passkey_attempt(answer)).await.unwrap();
            let answer = all.answer(&mut device);
            advance(Duration::from_mins(5)).await;
            assert!(is_wrong(&all.service.sign_in_with_passkey(passkey_attempt(answer)).await), "the time is over");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refused_passkey_says_nothing_about_the_account_and_is_recorded() {
        let (all, ana, device) = with_passkey().await;
        let mut unknown = Authenticator { trick: None, ..Authenticator::new(ORIGIN) };
        let who = all.signed_in(&all.user_with_password("bo").await).await;
        let begun = all.service.begin_passkey(&who, password(PASSWORD).into(), "Key").await.unwrap();
        unknown.create(&begun.options);
        let failed = |account: Option<&AccountName>| {
            (Principal::Anonymous, DomainEvent::SignInFailed { account: account.cloned(), address: "192.0.2.1".into() })
        };
        assert!(is_wrong(&all.enter_passkey(&mut unknown).await));
        assert_eq!(all.audit().await.last(), Some(&failed(None)));
        for trick in Trick::ALL {
            let mut device = Authenticator { trick: Some(trick), ..device.clone() };
            assert!(is_wrong(&all.enter_passkey(&mut device).await), "{trick:?}");
            assert_eq!(all.audit().await.last(), Some(&failed(Some(&ana))), "{trick:?}");
            advance(Duration::from_secs(60)).await;
        }
        let mut nameless = Authenticator { tells_handle: false, ..device.clone() };
        assert!(is_wrong(&all.enter_passkey(&mut nameless).await), "it does not name the account");
        advance(Duration::from_secs(60)).await;
        let state = all.service.passkey_request().unwrap().state;
        for (answer, state) in [("", ""), ("{}", state.as_str()), ("null", "x")] {
            let sent = PasskeyAnswer { answer: answer.into(), state: state.into() };
            assert!(is_wrong(&all.service.sign_in_with_passkey(passkey_attempt(sent)).await), "{answer}");
            advance(Duration::from_secs(60)).await;
        }
        all.store.change_account(&ana, AccountChange::Disable, &Principal::System).await.unwrap();
        assert!(is_wrong(&all.enter_passkey(&mut device.clone()).await));
        assert_eq!(all.audit().await.last(), Some(&failed(Some(&ana))));
        assert!(all.store.sessions(&ana).await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn many_refused_passkeys_must_wait() {
        let (all, _, mut device) = with_passkey().await;
        let mut wrong = Authenticator { trick: Some(Trick::Signature), ..device.clone() };
        for _ in 0..3 {
            assert!(is_wrong(&all.enter_passkey(&mut wrong).await));
        }
        let refused = all.enter_passkey(&mut device).await;
        let Err(SignInError::Throttled { retry_after }) = refused else { panic!("{refused:?}") };
        let by_password = all.service.sign_in(attempt("ana", PASSWORD)).await;
        assert!(matches!(by_password, Err(SignInError::Throttled { .. })), "{by_password:?}");
        advance(retry_after).await;
        all.enter_passkey(&mut device).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn counter_that_goes_back_is_refused_and_recorded() {
        let (all, ana, mut device) = with_passkey().await;
        let mut copy = device.clone();
        all.enter_passkey(&mut device).await.unwrap();
        assert!(is_wrong(&all.enter_passkey(&mut copy).await));
        let id = all.store.passkeys(&ana).await.unwrap().remove(0).id;
        let entries = all.audit().await;
        let refused = DomainEvent::PasskeyRefused { account: ana, passkey: id };
        assert_eq!(entries[entries.len() - 2], (Principal::Anonymous, refused));
        all.enter_passkey(&mut device).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn later_use_on_another_server_refuses_an_answer_that_was_verified_before() {
        let (all, ana, mut device) = with_passkey().await;
        let first = all.answer(&mut device);
        let later = all.answer(&mut device);
        let other = all.service.clone();
        all.calls.run_before("sign_in_with_passkey", async move {
            other.sign_in_with_passkey(passkey_attempt(later)).await.unwrap();
        });
        assert!(is_wrong(&all.service.sign_in_with_passkey(passkey_attempt(first)).await));
        assert_eq!(all.store.sessions(&ana).await.unwrap().len(), 2, "the one that added it, and the later one");
    }

    #[tokio::test(start_paused = true)]
    async fn account_that_was_disabled_during_the_sign_in_gets_no_session() {
        let (all, ana, mut device) = with_passkey().await;
        let (store, name) = (Arc::clone(&all.store), ana.clone());
        all.calls.run_before("sign_in_with_passkey", async move {
            store.change_account(&name, AccountChange::Disable, &Principal::System).await.unwrap();
        });
        assert!(is_wrong(&all.enter_passkey(&mut device).await));
        assert!(all.store.sessions(&ana).await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn password_of_an_account_with_a_passkey_is_followed_by_the_passkey() {
        let (all, ana, mut device) = with_passkey().await;
        let pending = all.pending("ana").await;
        let waiting = all.service.waiting_sign_in(&pending.secret).await.unwrap();
        let expected = WaitingSignIn { account: ana.clone(), step: SignInStep::Code, takes: SecondStep::Passkey };
        assert_eq!(waiting, Some(expected));
        assert!(
            all.service.begin_enrolment_at_sign_in(&pending.secret).await.unwrap().is_none(),
            "no app in its place"
        );
        assert!(all.enter(&pending, "123456").await.is_err());
        let mut nameless = Authenticator { tells_handle: false, ..device.clone() };
        let answer = passkey_attempt(all.answer(&mut nameless));
        let new = all.service.finish_with_passkey(&pending.secret, answer).await.unwrap();
        assert_eq!(all.service.by_session(&new.secret).await.unwrap().unwrap().account, ana);
        device = nameless;
        let again = all.service.finish_with_passkey(&pending.secret, passkey_attempt(all.answer(&mut device))).await;
        assert!(matches!(again, Err(CodeError::Gone)), "{again:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn passkey_of_another_account_ends_no_sign_in_and_the_fifth_one_ends_it() {
        let (all, _, _) = with_passkey().await;
        let bo = all.user_with_password("bo").await;
        let mut who = all.signed_in(&bo).await;
        let mut foreign = all.passkey(&mut who).await;
        let pending = all.pending("ana").await;
        for round in 1..=5 {
            let answer = passkey_attempt(all.answer(&mut foreign));
            let refused = all.service.finish_with_passkey(&pending.secret, answer).await;
            let is_expected = match round {
                5 => matches!(refused, Err(CodeError::Gone)),
                _ => matches!(refused, Err(CodeError::Refused(CodeFault::Passkey))),
            };
            assert!(is_expected, "{round}: {refused:?}");
            advance(Duration::from_secs(60)).await;
        }
        assert_eq!(all.store.sessions(&bo).await.unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn account_with_an_app_and_a_passkey_takes_either() {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let factor = all.factor(&ana).await;
        let mut who = all.signed_in(&ana).await;
        let confirmation = with_code(factor.codes[0].expose());
        let mut device = all.passkey_confirmed(&mut who, confirmation, Authenticator::new(ORIGIN)).await;
        let pending = all.pending("ana").await;
        let waiting = all.service.waiting_sign_in(&pending.secret).await.unwrap().unwrap();
        assert_eq!(waiting.takes, SecondStep::CodeOrPasskey);
        all.enter(&pending, &all.code(&factor.secret)).await.unwrap();
        let pending = all.pending("ana").await;
        let answer = passkey_attempt(all.answer(&mut device));
        all.service.finish_with_passkey(&pending.secret, answer).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn server_without_an_address_accepts_no_passkey() {
        let (all, _, mut device) = with_passkey().await;
        let answer = all.answer(&mut device);
        let service = all.service.clone().with_passkeys(Err(NoPasskeys::NoAddress));
        assert!(is_wrong(&service.sign_in_with_passkey(passkey_attempt(answer)).await));
        let SignInStart::Pending(pending) = service.sign_in(attempt("ana", PASSWORD)).await.unwrap() else {
            panic!("the password alone does not suffice");
        };
        let waiting = service.waiting_sign_in(&pending.secret).await.unwrap().unwrap();
        assert_eq!(waiting.takes, SecondStep::Nothing);
    }
}
