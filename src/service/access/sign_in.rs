//! Sign-in with a password, and sign-out. With a second factor, the right password starts no
//! session but a pending sign-in (`pending`).

use std::net::IpAddr;

use kastrel_actors::model::{Account, AccountKind, AccountName, DomainEvent, Principal, Session};
use kastrel_actors::policy::second_factor::{SignInStep, next_step};
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::fields::one_line;
use super::service::after;
use super::{AccessService, NewSession, SignInError, SignInStart, SignedIn};
use crate::identity::password::{Password, PasswordHash, Verified};
use crate::identity::secret::RandomSecret;

/// The most that is kept of the `User-Agent`, in characters.
const MOST_OF_AGENT: usize = 120;

/// An attempt to sign in.
#[derive(Debug)]
pub struct SignIn {
    /// The account's name as it was typed. Blanks around it and capital letters do not count.
    pub name: String,
    /// The password.
    pub password: Password,
    /// The network address of the client.
    pub address: IpAddr,
    /// The `User-Agent` of the client.
    pub agent: String,
}

impl AccessService {
    /// Signs in: checks the password and starts a session, or a pending sign-in if a second factor
    /// must follow. The time of a wrong attempt does not depend on whether the account exists: each
    /// one computes a hash. The response to a wrong attempt does not disclose whether the account
    /// has a second factor.
    ///
    /// # Errors
    /// The name or the password is wrong, passwords are not accepted, there were too many attempts,
    /// or a failure of the store.
    pub async fn sign_in(&self, attempt: SignIn) -> Result<SignInStart, SignInError> {
        if !self.allows_passwords() {
            return Err(SignInError::NoPasswords);
        }
        let SignIn { name, password, address, agent } = attempt;
        self.throttle
            .check(&name, address, Instant::now().into_std())
            .map_err(|refused| SignInError::Throttled { retry_after: refused.wait() })?;
        let (account, stored) = self.account_of(&name).await?;
        let usable = account.as_ref().filter(|account| !account.is_disabled && account.kind == AccountKind::User);
        let stored = stored.filter(|_| usable.is_some());
        let verified = self.verify(&password, stored.as_deref()).await;
        let (Some(known), Some(stored), Verified::Right | Verified::RightButOld) = (usable, stored, verified) else {
            return Err(self.refused(&name, account.as_ref(), address).await);
        };
        let rule = self.settings.second_factor;
        let step = next_step(rule, known);
        let started = if step == SignInStep::Session {
            SignInStart::Session(self.start_session(&known.name, address, &agent).await?)
        } else {
            SignInStart::Pending(self.start_pending(&known.name, step).await?)
        };
        // A change of the account, of its password or of its factor that was committed before the
        // session did not end it. The session of a disabled account would begin when the account is
        // enabled again.
        let (now, current) = tokio::try_join!(self.store.account(&known.name), self.store.password_hash(&known.name))?;
        let is_usable = now.is_some_and(|account| !account.is_disabled && next_step(rule, &account) == step);
        let is_changed = current.as_ref() != Some(&stored);
        if !is_usable || (is_changed && self.verify(&password, current.as_deref()).await == Verified::Wrong) {
            let key = started.secret().digest();
            match started {
                SignInStart::Session(_) => {
                    self.store.end_sessions(&known.name, Some(key), None, &known.principal()).await?;
                }
                SignInStart::Pending(_) => self.factors.end_pending_sign_in(key).await?,
            }
            return Err(self.refused(&name, account.as_ref(), address).await);
        }
        match started {
            SignInStart::Session(_) => self.throttle.succeeded(&name, address, Instant::now().into_std()),
            SignInStart::Pending(_) => self.throttle.continued(&name, address, Instant::now().into_std()),
        }
        if verified == Verified::RightButOld {
            self.rehash(&known.name, &stored, &password).await;
        }
        Ok(started)
    }

    /// Signs out: ends the session of the request. A request with a token has none.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn sign_out(&self, who: &SignedIn) -> Result<(), StoreError> {
        if let Some(key) = who.session {
            let _change = self.cache.change();
            self.store.end_sessions(&who.account, Some(key), None, &who.principal).await?;
        }
        Ok(())
    }

    /// Returns the account with the typed name and its stored hash.
    async fn account_of(&self, typed: &str) -> Result<(Option<Account>, Option<String>), StoreError> {
        match typed.trim().to_ascii_lowercase().parse::<AccountName>() {
            Ok(name) => tokio::try_join!(self.store.account(&name), self.store.password_hash(&name)),
            Err(_) => Ok((None, None)),
        }
    }

    /// Counts and records a wrong attempt.
    async fn refused(&self, typed: &str, account: Option<&Account>, address: IpAddr) -> SignInError {
        self.throttle.failed(typed, address, Instant::now().into_std());
        let account = account.map(|account| account.name.clone());
        let event = DomainEvent::SignInFailed { account, address: address.to_string() };
        self.record_by(&Principal::Anonymous, event, None).await;
        SignInError::Wrong
    }

    /// Compares a password with a stored hash, in the same time without one.
    pub(super) async fn verify(&self, password: &Password, stored: Option<&str>) -> Verified {
        let hash = stored.and_then(|text| {
            PasswordHash::parse(text)
                .inspect_err(|error| {
                    tracing::error!(error = error as &dyn std::error::Error, "a stored password hash is unusable");
                })
                .ok()
        });
        self.hasher.verify(password, hash.as_ref()).await
    }

    async fn start_session(
        &self,
        account: &AccountName,
        address: IpAddr,
        agent: &str,
    ) -> Result<NewSession, StoreError> {
        let (new, session) = self.new_session(account, address, agent);
        self.store.create_session(session).await?;
        Ok(new)
    }

    /// Returns a session that begins now and is not stored yet.
    pub(super) fn new_session(&self, account: &AccountName, address: IpAddr, agent: &str) -> (NewSession, Session) {
        let (secret, now) = (RandomSecret::generate(), self.clock.now());
        let session = Session {
            key: secret.digest(),
            account: account.clone(),
            created_at: now,
            used_at: now,
            expires_at: after(now, self.settings.session_lifetime),
            address: address.to_string(),
            agent: one_line(agent).chars().take(MOST_OF_AGENT).collect(),
            with_provider: false,
        };
        (NewSession { secret, account: account.clone(), max_age: self.settings.session_lifetime }, session)
    }

    /// Replaces an old hash of a password that is known now. A failure of the store is logged: the
    /// next sign-in tries again.
    async fn rehash(&self, account: &AccountName, old: &str, password: &Password) {
        let new = self.hasher.hash(password).await;
        if let Err(error) = self.store.rehash_password(account, old, new.as_str()).await {
            tracing::warn!(
                %account,
                error = &error as &dyn std::error::Error,
                "an old password hash could not be replaced"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use jiff::SignedDuration;
    use kastrel_actors::model::AccountChange;
    use kastrel_actors::ports::{AccessStore as _, Clock as _};
    use tokio::time::advance;

    use super::super::AccessSettings;
    use super::super::testing::{Fixture, OTHER_PASSWORD, PASSWORD, attempt, password};
    use super::*;

    /// A hash that kast-web stored, of `Kastrel-Test-1`.
    const OF_KAST_WEB: &str = "pbkdf2:sha1:1000$AbCdEf0123456789$98bc0a7443f806e12ecce906ddac13907b506f0f";

    fn is_wrong(result: &Result<NewSession, SignInError>) -> bool {
        matches!(result, Err(SignInError::Wrong))
    }

    #[tokio::test(start_paused = true)]
    async fn right_password_starts_a_session() {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let agent = format!("Browser\u{1b}[31m\n{}", "é".repeat(200));
        let started = all.service.sign_in(SignIn { agent, ..attempt(" ANA ", PASSWORD) }).await.unwrap();
        let SignInStart::Session(new) = started else { panic!("{started:?}") };
        assert_eq!((&new.account, new.max_age), (&ana, AccessSettings::default().session_lifetime));
        let who = all.service.by_session(&new.secret).await.unwrap().unwrap();
        assert_eq!((who.account, who.session), (ana.clone(), Some(new.secret.digest())));
        let now = all.clock.now();
        let expected = Session {
            key: new.secret.digest(),
            account: ana.clone(),
            created_at: now,
            used_at: now,
            expires_at: now + SignedDuration::from_hours(7 * 24),
            address: "192.0.2.1".into(),
            agent: format!("Browser {}", "é".repeat(112)),
            with_provider: false,
        };
        assert_eq!(all.store.sessions(&ana).await.unwrap(), [expected]);
        let signed_in = DomainEvent::SignedIn { account: ana.clone(), address: "192.0.2.1".into() };
        assert_eq!(all.audit().await.last(), Some(&(Principal::User(ana), signed_in)));
    }

    #[tokio::test(start_paused = true)]
    async fn each_sign_in_has_a_new_secret() {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let one = all.sign_in("ana", PASSWORD).await.unwrap();
        let other = all.sign_in("ana", PASSWORD).await.unwrap();
        assert_ne!(one.secret.expose(), other.secret.expose());
        assert_eq!(all.store.sessions(&ana).await.unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_sign_in_says_nothing_about_the_account_and_always_computes_a_hash() {
        let all = Fixture::new();
        all.user_with_password("ana").await;
        let bo = all.user_with_password("bo").await;
        all.store.change_account(&bo, AccountChange::Disable, &Principal::System).await.unwrap();
        let robot = all.account("robot", AccountKind::Service, None, &[]).await;
        all.set_password(&robot, PASSWORD).await;
        all.user("new", &[]).await;
        let broken = all.user("broken", &[]).await;
        all.store.set_password(&broken, "no hash", None, &Principal::System).await.unwrap();
        for (typed, text, account) in [
            ("ana", OTHER_PASSWORD, Some("ana")),
            ("ana", "", Some("ana")),
            ("bo", PASSWORD, Some("bo")),
            ("robot", PASSWORD, Some("robot")),
            ("new", "", Some("new")),
            ("broken", PASSWORD, Some("broken")),
            ("nobody", PASSWORD, None),
            ("no name", PASSWORD, None),
            ("", "", None),
        ] {
            let mut refused = Box::pin(all.sign_in(typed, text));
            // The store answers at once, so only the computation of a hash can take longer.
            assert!(refused.as_mut().now_or_never().is_none(), "{typed}");
            let refused = refused.await;
            assert!(is_wrong(&refused), "{typed}: {refused:?}");
            let account = account.map(|name| name.parse().unwrap());
            let event = DomainEvent::SignInFailed { account, address: "192.0.2.1".into() };
            assert_eq!(all.audit().await.last(), Some(&(Principal::Anonymous, event)), "{typed}");
        }
        assert_eq!(all.calls.of("create_session"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_attempts_must_wait_and_are_not_looked_at() {
        let all = Fixture::new();
        all.user_with_password("ana").await;
        for _ in 0..3 {
            assert!(is_wrong(&all.sign_in("ana", OTHER_PASSWORD).await));
        }
        let entries = all.audit().await.len();
        let refused = all.sign_in("ana", PASSWORD).now_or_never().expect("no hash is computed");
        let Err(SignInError::Throttled { retry_after }) = refused else { panic!("{refused:?}") };
        assert_eq!(all.audit().await.len(), entries, "not recorded");
        advance(retry_after).await;
        all.sign_in("ana", PASSWORD).await.unwrap();
        assert!(is_wrong(&all.sign_in("ana", OTHER_PASSWORD).await), "the success ended the wait");
    }

    #[tokio::test(start_paused = true)]
    async fn old_hash_is_replaced_at_a_sign_in() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        all.store.set_password(&ana, OF_KAST_WEB, None, &Principal::System).await.unwrap();
        assert!(is_wrong(&all.sign_in("ana", "Kastrel-Test-2").await));
        assert_eq!(all.store.password_hash(&ana).await.unwrap().as_deref(), Some(OF_KAST_WEB));
        all.sign_in("ana", "Kastrel-Test-1").await.unwrap();
        let new = all.store.password_hash(&ana).await.unwrap().unwrap();
        assert!(new.starts_with("$argon2id$"), "{new}");
        all.sign_in("ana", "Kastrel-Test-1").await.unwrap();
        assert_eq!(all.store.password_hash(&ana).await.unwrap(), Some(new), "a new hash stays");
    }

    #[tokio::test(start_paused = true)]
    async fn password_that_was_changed_during_the_sign_in_starts_no_session() {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        for (text, is_refused) in [(OTHER_PASSWORD, true), (OTHER_PASSWORD, false)] {
            let hash = all.service.hasher.hash(&password(text)).await;
            let (store, name) = (Arc::clone(&all.store), ana.clone());
            all.calls.run_before("create_session", async move {
                store.set_password(&name, hash.as_str(), None, &Principal::System).await.unwrap();
            });
            let typed = if is_refused { PASSWORD } else { OTHER_PASSWORD };
            assert_eq!(is_wrong(&all.sign_in("ana", typed).await), is_refused);
            assert_eq!(all.store.sessions(&ana).await.unwrap().len(), usize::from(!is_refused));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn account_that_was_disabled_during_the_sign_in_gets_no_session() {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let (store, name) = (Arc::clone(&all.store), ana.clone());
        all.calls.run_before("create_session", async move {
            store.change_account(&name, AccountChange::Disable, &Principal::System).await.unwrap();
        });
        assert!(is_wrong(&all.sign_in("ana", PASSWORD).await));
        assert!(all.store.sessions(&ana).await.unwrap().is_empty(), "it would begin when the account is enabled");
    }

    #[tokio::test(start_paused = true)]
    async fn sign_out_ends_the_session_at_once_and_no_other_one() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let (one, other) = (all.session(&ana).await, all.session(&ana).await);
        let who = all.service.by_session(&one).await.unwrap().unwrap();
        all.service.sign_out(&who).await.unwrap();
        assert_eq!(all.service.by_session(&one).await.unwrap(), None);
        assert!(all.service.by_session(&other).await.unwrap().is_some());
        all.service.sign_out(&SignedIn { session: None, ..who }).await.unwrap();
        assert!(all.service.by_session(&other).await.unwrap().is_some(), "a token has no session to end");
    }
}
