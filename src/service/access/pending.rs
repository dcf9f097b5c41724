//! Sign-ins that wait for the second factor, and the code that ends them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use kastrel_actors::model::{AccountName, DomainEvent, PendingSignIn, Principal, SignInEnd};
use kastrel_actors::policy::second_factor::{MOST_TRIES_OF_SIGN_IN, SecondStep, SignInStep, next_step, takes_try};
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::error::CodeFault;
use super::service::after;
use super::{AccessService, CodeError, NewPendingSignIn, NewSession};
use crate::identity::secret::RandomSecret;

/// How long a pending sign-in is valid.
pub(super) const PENDING_FOR: Duration = Duration::from_mins(5);

/// A pending sign-in, as its pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingSignIn {
    /// The account.
    pub account: AccountName,
    /// What the sign-in needs.
    pub step: SignInStep,
    /// What is accepted as the second factor.
    pub takes: SecondStep,
}

/// A code for a pending sign-in. `Debug` does not show the code.
pub struct CodeAttempt {
    /// The secret of the pending sign-in.
    pub pending: RandomSecret,
    /// The code as it was typed: of the app, or a recovery code.
    pub code: String,
    /// The network address of the client.
    pub address: IpAddr,
    /// The `User-Agent` of the client.
    pub agent: String,
}

impl fmt::Debug for CodeAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeAttempt").field("address", &self.address).finish_non_exhaustive()
    }
}

impl AccessService {
    pub(super) async fn start_pending(
        &self,
        account: &AccountName,
        step: SignInStep,
    ) -> Result<NewPendingSignIn, StoreError> {
        let secret = RandomSecret::generate();
        let pending = PendingSignIn {
            key: secret.digest(),
            account: account.clone(),
            expires_at: after(self.clock.now(), PENDING_FOR),
            tries: 0,
        };
        self.factors.create_pending_sign_in(pending).await?;
        Ok(NewPendingSignIn { secret, step, max_age: PENDING_FOR })
    }

    /// Returns a pending sign-in. `None`: it does not exist, was used, has expired or had too many
    /// wrong codes, or its account needs no second factor any more.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn waiting_sign_in(&self, secret: &RandomSecret) -> Result<Option<WaitingSignIn>, StoreError> {
        let Some(pending) = self.factors.pending_sign_in(secret.digest(), self.clock.now()).await? else {
            return Ok(None);
        };
        let account = self.store.account(&pending.account).await?.filter(|account| !account.is_disabled);
        let step = account.map_or(SignInStep::Session, |account| next_step(self.settings.second_factor, &account));
        if step == SignInStep::Session {
            return Ok(None);
        }
        let takes = self.second_step(&pending.account).await?;
        Ok(Some(WaitingSignIn { account: pending.account, step, takes }))
    }

    /// Ends a pending sign-in with a code of the second factor, and starts the session. A wrong
    /// code counts as a wrong password does, and the fifth one ends the pending sign-in.
    ///
    /// # Errors
    /// The pending sign-in has ended, the code is wrong, there were too many attempts, or a failure
    /// of the store.
    pub async fn sign_in_with_code(&self, attempt: CodeAttempt) -> Result<NewSession, CodeError> {
        let CodeAttempt { pending, code, address, agent } = attempt;
        let tried = self.try_pending(&pending, address).await?;
        let used = match self.read_use(&tried.account, &code).await? {
            Ok(used) => used,
            Err(fault) => return Err(self.refused_code(&tried, address, fault).await?),
        };
        let (new, session) = self.new_session(&tried.account, address, &agent);
        let end = self.factors.finish_sign_in(tried.key, used, session).await?;
        self.ended(end, &tried, address).await?;
        Ok(new)
    }

    /// Lets a try of a code through and counts it.
    pub(super) async fn try_pending(&self, secret: &RandomSecret, address: IpAddr) -> Result<PendingSignIn, CodeError> {
        let (key, now) = (secret.digest(), self.clock.now());
        let found = self.factors.pending_sign_in(key, now).await?.ok_or(CodeError::Gone)?;
        let name = found.account.as_str();
        self.throttle
            .check(name, address, Instant::now().into_std())
            .map_err(|refused| CodeError::Throttled { retry_after: refused.wait() })?;
        match self.factors.try_sign_in(key, now).await? {
            Some(tried) if takes_try(tried.tries) => Ok(tried),
            _ => {
                self.throttle.continued(name, address, Instant::now().into_std());
                Err(CodeError::Gone)
            }
        }
    }

    /// Reports the end of a pending sign-in.
    pub(super) async fn ended(&self, end: SignInEnd, tried: &PendingSignIn, address: IpAddr) -> Result<(), CodeError> {
        let name = tried.account.as_str();
        match end {
            SignInEnd::Started => {
                self.throttle.succeeded(name, address, Instant::now().into_std());
                Ok(())
            }
            SignInEnd::NoSignIn => {
                self.throttle.continued(name, address, Instant::now().into_std());
                Err(CodeError::Gone)
            }
            SignInEnd::Refused => Err(self.refused_code(tried, address, CodeFault::Wrong).await?),
        }
    }

    /// Counts and records a wrong code. The last one that a pending sign-in takes ends it.
    pub(super) async fn refused_code(
        &self,
        tried: &PendingSignIn,
        address: IpAddr,
        fault: CodeFault,
    ) -> Result<CodeError, StoreError> {
        self.throttle.failed(tried.account.as_str(), address, Instant::now().into_std());
        let event = DomainEvent::SignInFailed { account: Some(tried.account.clone()), address: address.to_string() };
        self.record_by(&Principal::Anonymous, event, None).await;
        if tried.tries >= MOST_TRIES_OF_SIGN_IN {
            self.factors.end_pending_sign_in(tried.key).await?;
            return Ok(CodeError::Gone);
        }
        Ok(fault.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kastrel_actors::model::{AccountChange, FactorChange, NewSecondFactor};
    use kastrel_actors::ports::{AccessStore as _, Clock as _, SecondFactorStore as _};
    use tokio::time::advance;

    use super::super::testing::{Factor, Fixture, OTHER_PASSWORD, PASSWORD, attempt, code_attempt, password};
    use super::super::{SignInError, SignInStart};
    use super::*;

    async fn with_factor() -> (Fixture, AccountName, Factor) {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let factor = all.factor(&ana).await;
        (all, ana, factor)
    }

    fn is_wrong(result: &Result<NewSession, CodeError>) -> bool {
        matches!(result, Err(CodeError::Refused(CodeFault::Wrong)))
    }

    fn is_gone(result: &Result<NewSession, CodeError>) -> bool {
        matches!(result, Err(CodeError::Gone))
    }

    #[tokio::test(start_paused = true)]
    async fn session_of_an_account_with_a_factor_starts_only_with_the_code() {
        let (all, ana, factor) = with_factor().await;
        let before = all.audit().await.len();
        let pending = all.pending(" Ana ").await;
        assert_eq!((pending.step, pending.max_age), (SignInStep::Code, Duration::from_mins(5)));
        let waiting = all.service.waiting_sign_in(&pending.secret).await.unwrap();
        assert_eq!(
            waiting,
            Some(WaitingSignIn { account: ana.clone(), step: SignInStep::Code, takes: SecondStep::Code })
        );
        assert_eq!(all.service.by_session(&pending.secret).await.unwrap(), None, "it is no session");
        assert_eq!((all.store.sessions(&ana).await.unwrap(), all.audit().await.len()), (Vec::new(), before));
        let new = all.enter(&pending, &all.code(&factor.secret)).await.unwrap();
        assert_ne!(new.secret.expose(), pending.secret.expose());
        assert_eq!(all.service.by_session(&new.secret).await.unwrap().unwrap().account, ana);
        let signed_in = DomainEvent::SignedIn { account: ana.clone(), address: "192.0.2.1".into() };
        assert_eq!(all.audit().await[before..], [(Principal::User(ana), signed_in)]);
        assert!(is_gone(&all.enter(&pending, factor.codes[0].expose()).await), "it was used");
        assert_eq!(all.service.waiting_sign_in(&pending.secret).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn response_to_a_wrong_password_does_not_disclose_a_factor() {
        let (all, _, _) = with_factor().await;
        all.user_with_password("bo").await;
        for name in ["ana", "bo", "nobody"] {
            let refused = all.service.sign_in(attempt(name, OTHER_PASSWORD)).await;
            assert!(matches!(refused, Err(SignInError::Wrong)), "{name}: {refused:?}");
        }
        assert_eq!(all.calls.of("create_pending_sign_in"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_codes_are_throttled_and_recorded_and_the_fifth_ends_the_sign_in() {
        let (all, ana, factor) = with_factor().await;
        let pending = all.pending("ana").await;
        let before = all.audit().await.len();
        for _ in 0..3 {
            assert!(is_wrong(&all.enter(&pending, &all.wrong_code(&factor.secret)).await));
        }
        let waits = all.enter(&pending, &all.code(&factor.secret)).await;
        assert!(matches!(waits, Err(CodeError::Throttled { .. })), "{waits:?}");
        assert!(matches!(all.service.sign_in(attempt("ana", PASSWORD)).await, Err(SignInError::Throttled { .. })));
        advance(Duration::from_secs(1)).await;
        assert!(is_wrong(&all.enter(&pending, "no code").await));
        advance(Duration::from_secs(2)).await;
        assert!(is_gone(&all.enter(&pending, &all.wrong_code(&factor.secret)).await), "the fifth one");
        advance(Duration::from_secs(30)).await;
        assert!(is_gone(&all.enter(&pending, &all.code(&factor.secret)).await));
        let failed = DomainEvent::SignInFailed { account: Some(ana), address: "192.0.2.1".into() };
        assert_eq!(all.audit().await[before..], vec![(Principal::Anonymous, failed); 5]);
        let again = all.pending("ana").await;
        all.enter(&again, &all.code(&factor.secret)).await.unwrap();
        assert!(is_wrong(&all.enter(&all.pending("ana").await, "000").await), "the success ended the wait");
    }

    #[tokio::test(start_paused = true)]
    async fn code_of_a_step_is_accepted_once() {
        let (all, ana, factor) = with_factor().await;
        let code = all.code(&factor.secret);
        all.enter(&all.pending("ana").await, &code).await.unwrap();
        let second = all.pending("ana").await;
        assert!(is_wrong(&all.enter(&second, &code).await));
        advance(Duration::from_secs(30)).await;
        assert!(is_wrong(&all.enter(&second, &code).await), "it would be in the window");
        all.enter(&second, &all.code(&factor.secret)).await.unwrap();
        assert_eq!(all.store.sessions(&ana).await.unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn recovery_code_signs_in_once() {
        let (all, ana, factor) = with_factor().await;
        let typed = factor.codes[3].expose().to_uppercase().replace('-', " ");
        all.enter(&all.pending("ana").await, &typed).await.unwrap();
        let entries = all.audit().await;
        let used = DomainEvent::RecoveryCodeUsed { account: ana.clone() };
        assert_eq!(entries[entries.len() - 2], (Principal::User(ana.clone()), used));
        assert!(is_wrong(&all.enter(&all.pending("ana").await, &typed).await));
        assert_eq!(all.store.second_factor(&ana).await.unwrap().unwrap().recovery_codes, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn pending_sign_in_is_valid_for_5_minutes() {
        let (all, _, factor) = with_factor().await;
        let pending = all.pending("ana").await;
        advance(PENDING_FOR - Duration::from_millis(1)).await;
        assert!(all.service.waiting_sign_in(&pending.secret).await.unwrap().is_some());
        advance(Duration::from_millis(1)).await;
        assert_eq!(all.service.waiting_sign_in(&pending.secret).await.unwrap(), None);
        assert!(is_gone(&all.enter(&pending, &all.code(&factor.secret)).await));
        assert!(is_gone(
            &all.service.sign_in_with_code(code_attempt(&RandomSecret::generate(), &all.code(&factor.secret))).await
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn change_of_the_password_or_the_account_ends_the_pending_sign_in() {
        let (all, ana, factor) = with_factor().await;
        let pending = all.pending("ana").await;
        all.set_password(&ana, OTHER_PASSWORD).await;
        assert!(is_gone(&all.enter(&pending, &all.code(&factor.secret)).await));
        all.set_password(&ana, PASSWORD).await;
        let pending = all.pending("ana").await;
        all.store.change_account(&ana, AccountChange::Disable, &Principal::System).await.unwrap();
        assert!(is_gone(&all.enter(&pending, &all.code(&factor.secret)).await));
        assert!(all.store.sessions(&ana).await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn password_or_factor_that_changes_during_the_sign_in_starts_nothing() {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let (store, name) = (Arc::clone(&all.store), ana.clone());
        let new = NewSecondFactor {
            account: ana.clone(),
            sealed_secret: "sealed".into(),
            last_step: 0,
            recovery_codes: Vec::new(),
            created_at: all.clock.now(),
        };
        all.calls.run_before("create_session", async move {
            assert!(store.add_second_factor(new, None, &Principal::System).await.unwrap());
        });
        assert!(matches!(all.service.sign_in(attempt("ana", PASSWORD)).await, Err(SignInError::Wrong)));
        assert!(all.store.sessions(&ana).await.unwrap().is_empty());
        let hash = all.service.hasher.hash(&password(OTHER_PASSWORD)).await;
        let store = Arc::clone(&all.store);
        all.calls.run_before("create_pending_sign_in", async move {
            store.set_password(&name, hash.as_str(), None, &Principal::System).await.unwrap();
        });
        assert!(matches!(all.service.sign_in(attempt("ana", PASSWORD)).await, Err(SignInError::Wrong)));
        assert_eq!(all.calls.of("end_pending_sign_in"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn after_100_tries_in_a_row_only_recovery_codes_are_accepted() {
        let (all, ana, factor) = with_factor().await;
        for _ in 0..100 {
            all.store.try_second_factor(&ana).await.unwrap();
        }
        let pending = all.pending("ana").await;
        let refused = all.enter(&pending, &all.code(&factor.secret)).await;
        assert!(matches!(refused, Err(CodeError::Refused(CodeFault::TooMany))), "{refused:?}");
        all.enter(&pending, factor.codes[0].expose()).await.unwrap();
        all.enter(&all.pending("ana").await, &all.code(&factor.secret)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn secret_of_another_key_leaves_the_recovery_codes() {
        let (all, ana, factor) = with_factor().await;
        let removed = all.store.remove_second_factor(&ana, None, None, &Principal::System).await.unwrap();
        assert_eq!(removed, FactorChange::Changed);
        let new = NewSecondFactor {
            account: ana.clone(),
            sealed_secret: all.service.seal_secret(&"bo".parse().unwrap(), &factor.secret).unwrap(),
            last_step: 0,
            recovery_codes: vec![factor.codes[0].digest()],
            created_at: all.clock.now(),
        };
        assert!(all.store.add_second_factor(new, None, &Principal::System).await.unwrap());
        let pending = all.pending("ana").await;
        let refused = all.enter(&pending, &all.code(&factor.secret)).await;
        assert!(matches!(refused, Err(CodeError::Refused(CodeFault::Unreadable))), "{refused:?}");
        all.enter(&pending, factor.codes[0].expose()).await.unwrap();
    }

    #[test]
    fn debug_output_has_no_code() {
        let attempt = code_attempt(&RandomSecret::generate(), "287082");
        assert_eq!(format!("{attempt:?}"), "CodeAttempt { address: 192.0.2.1, .. }");
    }

    #[tokio::test(start_paused = true)]
    async fn account_without_a_factor_signs_in_with_the_password_alone() {
        let all = Fixture::new();
        all.user_with_password("ana").await;
        let started = all.service.sign_in(attempt("ana", PASSWORD)).await.unwrap();
        assert!(matches!(started, SignInStart::Session(_)), "{started:?}");
        assert_eq!(all.calls.of("create_pending_sign_in"), 0);
    }
}
