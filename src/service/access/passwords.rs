//! New passwords: their rules, and the change of the own password.

use std::net::IpAddr;

use kastrel_actors::model::{AccountName, DomainEvent, FieldError, SecretDigest};
use kastrel_actors::policy::access::Denial;
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::mail_texts::Notice;
use super::{AccessService, AccountError, NewSession, SignedIn};
use crate::identity::password::{Password, Verified};

impl AccessService {
    /// Changes the password of the caller's account. Its session stays and gets the returned
    /// secret, the others end. A wrong current password counts as an attempt to sign in from the
    /// address of the session.
    ///
    /// # Errors
    /// The caller has no session (a token does not suffice), the current password is wrong, there
    /// were too many attempts, the new password breaks a rule, or a failure of the store.
    pub async fn change_password(
        &self,
        who: &SignedIn,
        current: Password,
        new: Password,
    ) -> Result<NewSession, AccountError> {
        let name = &who.account;
        let address = self.check_current(who, &current).await?;
        self.current_was_right(name, address).await?;
        let mut errors = Vec::new();
        let new = checked_password("new_password", new, name.as_str(), &mut errors).await;
        if !errors.is_empty() {
            return Err(AccountError::Invalid(errors));
        }
        let hash = self.hasher.hash(&new).await;
        let (session, renewal) = self.renewal(who).await?.ok_or_else(no_session)?;
        let change = self.cache.change();
        let is_known = self.store.set_password(name, hash.as_str(), Some(renewal), &who.principal).await?;
        drop(change);
        if !is_known {
            return Err(AccountError::Denied(Denial::NotVisible));
        }
        self.notify(name, Notice::PasswordChanged).await;
        Ok(session)
    }

    /// Checks the current password of the caller's account, as an attempt from the address of the
    /// session. Returns that address; the caller reports the outcome of the attempt.
    ///
    /// # Errors
    /// Those of [`change_password`](Self::change_password) for the current password.
    pub(super) async fn check_current(&self, who: &SignedIn, current: &Password) -> Result<IpAddr, AccountError> {
        let Some(address) = self.address_of(who.session).await? else {
            return Err(no_session());
        };
        let (name, at) = (&who.account, || Instant::now().into_std());
        self.throttle
            .check(name.as_str(), address, at())
            .map_err(|refused| AccountError::field("current_password", refused.to_string()))?;
        let stored = self.store.password_hash(name).await?;
        if self.verify(current, stored.as_deref()).await == Verified::Wrong {
            self.reauthentication_failed(who, address).await;
            return Err(AccountError::field("current_password", "this is not the current password"));
        }
        Ok(address)
    }

    /// Counts a wrong password or code of somebody who has a session, and records it: the session
    /// may be in other hands.
    pub(super) async fn reauthentication_failed(&self, who: &SignedIn, address: IpAddr) {
        self.throttle.failed(who.account.as_str(), address, Instant::now().into_std());
        let event = DomainEvent::SignInFailed { account: Some(who.account.clone()), address: address.to_string() };
        self.record_by(&who.principal, event, None).await;
    }

    /// Reports that the current password was right, and that no code follows it. The failures of an
    /// account with a second factor stay: the password alone allows no more guesses of codes.
    pub(super) async fn current_was_right(&self, name: &AccountName, address: IpAddr) -> Result<(), StoreError> {
        let has_factor = self.store.account(name).await?.is_some_and(|account| account.has_second_factor);
        let at = Instant::now().into_std();
        if has_factor {
            self.throttle.continued(name.as_str(), address, at);
        } else {
            self.throttle.succeeded(name.as_str(), address, at);
        }
        Ok(())
    }

    /// Returns the address of the client at the sign-in of a session.
    async fn address_of(&self, session: Option<SecretDigest>) -> Result<Option<IpAddr>, StoreError> {
        let Some(key) = session else { return Ok(None) };
        let session = self.store.session(key).await?;
        Ok(session.and_then(|(session, _)| session.address.parse().ok()))
    }
}

/// The error of a caller whose session has ended, or who has none.
pub(super) fn no_session() -> AccountError {
    AccountError::field("current_password", "this needs a session: sign in with the password")
}

/// Checks a new password for an account, and returns it. A broken rule is an error of `field`. The
/// check takes milliseconds of computation, so it runs on a thread for blocking work.
pub(super) async fn checked_password(
    field: &str,
    password: Password,
    account: &str,
    errors: &mut Vec<FieldError>,
) -> Password {
    let account = account.to_owned();
    let check = tokio::task::spawn_blocking(move || {
        let fault = password.check_new(&[account.as_str()]).err();
        (password, fault)
    });
    match check.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok((password, fault)) => {
            errors.extend(fault.map(|fault| FieldError::new(field, fault.to_string())));
            password
        }
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime shuts down, and with it the caller.
        Err(Err(_)) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::ports::AccessStore as _;

    use super::super::testing::{Fixture, OTHER_PASSWORD, PASSWORD, fields, password};
    use super::*;

    async fn change(all: &Fixture, who: &SignedIn, current: &str, new: &str) -> Result<NewSession, AccountError> {
        all.service.change_password(who, password(current), password(new)).await
    }

    #[tokio::test(start_paused = true)]
    async fn changed_password_ends_the_other_sessions_at_once() {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let (own, other) = (all.session(&ana).await, all.session(&ana).await);
        let who = all.service.by_session(&own).await.unwrap().unwrap();
        assert!(all.service.by_session(&other).await.unwrap().is_some());
        tokio::time::advance(std::time::Duration::from_hours(6)).await;
        let new = change(&all, &who, PASSWORD, OTHER_PASSWORD).await.unwrap();
        assert_eq!(new.max_age, std::time::Duration::from_hours(7 * 24 - 6), "the limits of the session stay");
        for ended in [&own, &other] {
            assert_eq!(all.service.by_session(ended).await.unwrap(), None);
        }
        let expected = SignedIn { session: Some(new.secret.digest()), ..who };
        assert_eq!(all.service.by_session(&new.secret).await.unwrap(), Some(expected));
        assert!(all.sign_in("ana", PASSWORD).await.is_err());
        all.sign_in("ana", OTHER_PASSWORD).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn session_that_ended_during_a_change_does_not_come_back() {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let secret = all.session(&ana).await;
        let who = all.service.by_session(&secret).await.unwrap().unwrap();
        let (store, name, key) = (std::sync::Arc::clone(&all.store), ana.clone(), secret.digest());
        all.calls.run_before("set_password", async move {
            store.end_sessions(&name, Some(key), None, &kastrel_actors::model::Principal::System).await.unwrap();
        });
        let new = change(&all, &who, PASSWORD, OTHER_PASSWORD).await.unwrap();
        assert_eq!(all.service.by_session(&new.secret).await.unwrap(), None);
        assert_eq!(fields(change(&all, &who, OTHER_PASSWORD, PASSWORD).await), ["current_password"]);
        all.sign_in("ana", OTHER_PASSWORD).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn change_needs_a_session_the_current_password_and_a_good_new_one() {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let secret = all.session(&ana).await;
        let who = all.service.by_session(&secret).await.unwrap().unwrap();
        let before = all.store.password_hash(&ana).await.unwrap();
        let with_token = SignedIn { session: None, ..who.clone() };
        assert_eq!(fields(change(&all, &with_token, PASSWORD, OTHER_PASSWORD).await), ["current_password"]);
        assert_eq!(fields(change(&all, &who, OTHER_PASSWORD, OTHER_PASSWORD).await), ["current_password"]);
        for new in ["", "too short", "password1234", "ana"] {
            assert_eq!(fields(change(&all, &who, PASSWORD, new).await), ["new_password"], "{new}");
        }
        assert_eq!(all.store.password_hash(&ana).await.unwrap(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_of_the_current_password_must_wait_like_those_of_a_sign_in() {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let secret = all.session(&ana).await;
        let who = all.service.by_session(&secret).await.unwrap().unwrap();
        for _ in 0..3 {
            assert_eq!(fields(change(&all, &who, OTHER_PASSWORD, OTHER_PASSWORD).await), ["current_password"]);
        }
        let refused = change(&all, &who, PASSWORD, OTHER_PASSWORD).await.unwrap_err();
        let AccountError::Invalid(errors) = refused else { panic!("{refused:?}") };
        assert!(errors[0].message.contains("Too many attempts"), "{errors:?}");
        let failed = DomainEvent::SignInFailed { account: Some(ana.clone()), address: "192.0.2.1".into() };
        let recorded = all.audit().await.into_iter().filter(|entry| *entry == (who.principal.clone(), failed.clone()));
        assert_eq!(recorded.count(), 3, "an attempt that must wait is not looked at");
        tokio::time::advance(std::time::Duration::from_secs(30)).await;
        change(&all, &who, PASSWORD, OTHER_PASSWORD).await.unwrap();
    }
}
