//! Who makes a request: the account of a session or of an API token, with its rights now.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use kastrel_actors::model::{Account, Grants, SecretDigest, Session, TokenId};
use kastrel_actors::policy::second_factor::may_have_session;
use kastrel_actors::ports::StoreError;

use super::identity_cache::Known;
use super::service::after;
use super::{AccessService, SignedIn};
use crate::identity::secret::{RandomSecret, is_same};
use crate::identity::token::ApiToken;

impl AccessService {
    /// Returns who has the session with this secret. `None`: there is no such session, it reached a
    /// limit, or its account is disabled or lacks the second factor that it must have. A session
    /// that began with the identity provider needs none.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn by_session(&self, secret: &RandomSecret) -> Result<Option<SignedIn>, StoreError> {
        let key = secret.digest();
        Ok(self.still_valid(self.cache.get(key, || self.clone().read_session(key)).await?))
    }

    /// Returns whose API token this is, with the account's rights within the limits of the token.
    /// `address` is the client's. `None`: the text is no token, there is no such token, it expired,
    /// it is not accepted from this address, or its account is disabled.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn by_token(&self, text: &str, address: Option<IpAddr>) -> Result<Option<SignedIn>, StoreError> {
        let Ok(token) = ApiToken::parse(text) else { return Ok(None) };
        let Ok(id) = token.id().parse::<TokenId>() else { return Ok(None) };
        let key = token.digest();
        let known = self.cache.get(key, || self.clone().read_token(id, key)).await?;
        Ok(self.still_valid(known.filter(|known| known.is_accepted_from(address))))
    }

    async fn read_session(self, key: SecretDigest) -> Result<Option<Known>, StoreError> {
        let Some((session, account)) = self.store.session(key).await? else { return Ok(None) };
        let (valid_until, now) = (self.end_of(&session), self.clock.now());
        // The second factor of a sign-in with the identity provider is that of the provider.
        let has_factor = (session.with_provider && self.provider.is_some())
            || may_have_session(self.settings.second_factor, &account);
        if account.is_disabled || !has_factor || valid_until <= now {
            return Ok(None);
        }
        if self.cache.is_note_due(key, Some(session.used_at), now) {
            let store = Arc::clone(&self.store);
            note(async move { store.use_session(key, now).await });
        }
        let grants = self.rights(&account, None).await?;
        let signed_in = SignedIn { session: Some(key), ..identity(&account, grants) };
        Ok(Some(Known { signed_in, networks: Vec::new(), valid_until }))
    }

    /// Reads a token. A client that knows the id alone presents another digest and is refused.
    async fn read_token(self, id: TokenId, key: SecretDigest) -> Result<Option<Known>, StoreError> {
        let Some((record, account)) = self.store.token(&id).await? else { return Ok(None) };
        let now = self.clock.now();
        if !is_same(&record.digest, &key) || account.is_disabled || record.expires_at <= now {
            return Ok(None);
        }
        if self.cache.is_note_due(key, record.used_at, now) {
            let (store, id) = (Arc::clone(&self.store), id.clone());
            note(async move { store.use_token(&id, now).await });
        }
        let grants = self.rights(&account, Some(&record.scope)).await?;
        let signed_in = SignedIn { token: Some(id), ..identity(&account, grants) };
        Ok(Some(Known { signed_in, networks: record.networks, valid_until: record.expires_at }))
    }

    /// Returns the time at which a session ends if it is not used.
    pub(super) fn end_of(&self, session: &Session) -> Timestamp {
        after(session.used_at, self.settings.session_idle).min(session.expires_at)
    }

    /// Returns the identity unless its credential ended since it was read.
    fn still_valid(&self, known: Option<Known>) -> Option<SignedIn> {
        known.filter(|known| self.clock.now() < known.valid_until).map(|known| known.signed_in)
    }
}

/// Returns the identity of an account with these rights, without a credential.
fn identity(account: &Account, grants: Grants) -> SignedIn {
    SignedIn {
        account: account.name.clone(),
        principal: account.principal(),
        grants: Arc::new(grants),
        session: None,
        token: None,
    }
}

/// Notes the use of a credential without a wait for it. A failure is logged.
fn note(call: impl Future<Output = Result<(), StoreError>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = call.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the use of a session or of a token could not be noted"
            );
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use kastrel_actors::model::{
        AccountChange, AccountKind, AccountName, Principal, ProjectRole, ServerRole, TokenScope,
    };
    use kastrel_actors::ports::{AccessStore as _, Clock as _};
    use tokio::time::advance;

    use super::super::AccessSettings;
    use super::super::testing::{Calls, Fixture, project, settle};
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const MAX_AGE: Duration = Duration::from_millis(500);
    const ALL: TokenScope = TokenScope { role: ProjectRole::Owner, project: None, has_server_role: true };

    async fn grants(service: &AccessService, secret: &RandomSecret) -> Option<Grants> {
        service.by_session(secret).await.unwrap().map(|who| Grants::clone(&who.grants))
    }

    #[tokio::test(start_paused = true)]
    async fn session_says_who_it_is_with_which_rights() {
        let all = Fixture::new();
        let ana = all.user("ana", &[("default", ProjectRole::Scanner)]).await;
        let secret = all.session(&ana).await;
        let expected = SignedIn {
            account: ana.clone(),
            principal: Principal::User(ana.clone()),
            grants: Arc::new(all.read(&ana).await.grants()),
            session: Some(secret.digest()),
            token: None,
        };
        assert_eq!(all.service.by_session(&secret).await.unwrap(), Some(expected));
        assert_eq!(all.service.by_session(&RandomSecret::generate()).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn session_ends_when_it_is_not_used() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let secret = all.session(&ana).await;
        let idle = AccessSettings::default().session_idle;
        for _ in 0..3 {
            advance(idle - Duration::from_secs(1)).await;
            assert!(all.service.by_session(&secret).await.unwrap().is_some());
            settle().await;
        }
        advance(idle).await;
        assert_eq!(all.service.by_session(&secret).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn session_ends_after_its_lifetime_in_spite_of_its_use_and_of_the_cache() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let secret = all.session(&ana).await;
        for _ in 1..7 * 24 {
            advance(HOUR).await;
            assert!(all.service.by_session(&secret).await.unwrap().is_some());
            settle().await;
        }
        advance(HOUR - Duration::from_millis(1)).await;
        assert!(all.service.by_session(&secret).await.unwrap().is_some());
        advance(Duration::from_millis(1)).await;
        assert_eq!(all.service.by_session(&secret).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn change_in_another_process_takes_effect_within_500_ms() {
        let all = Fixture::new();
        let ana = all.user("ana", &[("default", ProjectRole::Owner)]).await;
        let secret = all.session(&ana).await;
        let before = all.read(&ana).await.grants();
        assert_eq!(grants(&all.service, &secret).await, Some(before.clone()));
        all.store.set_member(&project("default"), &ana, None, &Principal::System).await.unwrap();
        advance(MAX_AGE - Duration::from_millis(1)).await;
        assert_eq!(grants(&all.service, &secret).await, Some(before), "the cache has an effect");
        advance(Duration::from_millis(1)).await;
        assert_eq!(grants(&all.service, &secret).await, Some(Grants::none()));
        all.store.end_sessions(&ana, None, None, &Principal::System).await.unwrap();
        advance(MAX_AGE).await;
        assert_eq!(grants(&all.service, &secret).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn disabled_account_has_neither_session_nor_token() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let token = all.token(&ana, ALL).await;
        assert!(all.service.by_token(token.expose(), None).await.unwrap().is_some());
        all.store.change_account(&ana, AccountChange::Disable, &Principal::System).await.unwrap();
        // A session that was stored right after the account was disabled.
        let secret = all.session(&ana).await;
        advance(MAX_AGE).await;
        assert_eq!(all.service.by_session(&secret).await.unwrap(), None);
        assert_eq!(all.service.by_token(token.expose(), None).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn token_has_its_limits_and_the_rights_of_its_account_at_the_moment_of_use() {
        let all = Fixture::new();
        all.project("web").await;
        let memberships = [("web", ProjectRole::Operator), ("default", ProjectRole::Owner)];
        let robot = all.account("robot", AccountKind::Service, Some(ServerRole::Admin), &memberships).await;
        let scope = TokenScope { role: ProjectRole::Scanner, project: Some(project("web")), has_server_role: true };
        let (limited, full) = (all.token(&robot, scope.clone()).await, all.token(&robot, ALL).await);
        let of = async |token: &ApiToken| all.service.by_token(token.expose(), None).await.unwrap().unwrap();
        let who = of(&limited).await;
        let expected = SignedIn {
            account: robot.clone(),
            principal: Principal::Service(robot.clone()),
            grants: Arc::new(all.read(&robot).await.grants().within(&scope)),
            session: None,
            token: Some(limited.id().parse().unwrap()),
        };
        assert_eq!(who, expected);
        assert_eq!(of(&full).await.grants.server_role(), Some(ServerRole::Admin));

        let demotion = AccountChange::SetServerRole(None);
        all.store.change_account(&robot, demotion, &Principal::System).await.unwrap();
        all.store.set_member(&project("web"), &robot, Some(ProjectRole::Viewer), &Principal::System).await.unwrap();
        advance(MAX_AGE).await;
        assert_eq!(of(&full).await.grants.server_role(), None);
        assert_eq!(of(&limited).await.grants.role_in(&project("web")), Some(ProjectRole::Viewer));
    }

    #[tokio::test(start_paused = true)]
    async fn token_ends_when_it_expires_in_spite_of_the_cache() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let token = all.token(&ana, ALL).await;
        advance(24 * HOUR - Duration::from_millis(1)).await;
        assert!(all.service.by_token(token.expose(), None).await.unwrap().is_some());
        advance(Duration::from_millis(1)).await;
        assert_eq!(all.service.by_token(token.expose(), None).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn token_with_the_id_of_another_one_is_refused() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let token = all.token(&ana, ALL).await;
        let forged = ApiToken::generate();
        let (mut record, _) = all.store.token(&token.id().parse().unwrap()).await.unwrap().unwrap();
        record.id = forged.id().parse().unwrap();
        all.store.create_token(record, &Principal::System).await.unwrap();
        assert_eq!(all.service.by_token(forged.expose(), None).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn token_is_accepted_from_its_networks_alone_in_spite_of_the_cache() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let networks = ["192.0.2.0/24", "2001:db8::7"].map(|text| text.parse().unwrap()).to_vec();
        let token = all.token_for(&ana, ALL, networks).await;
        for (address, is_accepted) in [
            (Some("192.0.2.9"), true),
            (Some("::ffff:192.0.2.9"), true),
            (Some("192.0.3.9"), false),
            (Some("2001:db8::7"), true),
            (Some("2001:db8::8"), false),
            (None, false),
        ] {
            let address = address.map(|text| text.parse().unwrap());
            let who = all.service.by_token(token.expose(), address).await.unwrap();
            assert_eq!(who.is_some(), is_accepted, "{address:?}");
        }
        assert_eq!(all.calls.of("token"), 1, "the other requests were decided from the cache");
    }

    #[tokio::test(start_paused = true)]
    async fn text_that_is_no_token_costs_no_read() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let token = all.token(&ana, ALL).await;
        let typing_error = token.expose().replacen('_', "-", 2);
        for text in ["", "kst_", typing_error.as_str(), &token.expose()[1..]] {
            assert_eq!(all.service.by_token(text, None).await.unwrap(), None, "{text}");
        }
        assert_eq!(all.calls.of("token"), 0);
        assert_eq!(all.service.by_token(ApiToken::generate().expose(), None).await.unwrap(), None);
        assert_eq!(all.calls.of("token"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn use_is_noted_once_a_minute_without_a_wait() {
        let all = Fixture::new();
        let ana: AccountName = all.user("ana", &[]).await;
        let (secret, token) = (all.session(&ana).await, all.token(&ana, ALL).await);
        for _ in 0..180 {
            advance(Duration::from_secs(1)).await;
            assert!(all.service.by_session(&secret).await.unwrap().is_some());
            assert!(all.service.by_token(token.expose(), None).await.unwrap().is_some());
            settle().await;
        }
        // The session was new, so its first note is due after a minute; the token's at once.
        assert_eq!((all.calls.of("use_session"), all.calls.of("use_token")), (3, 3));
        let noted = all.store.sessions(&ana).await.unwrap()[0].used_at;
        assert_eq!(noted, all.clock.now());
        let noted = all.store.tokens(&ana).await.unwrap()[0].used_at.unwrap();
        assert_eq!(all.clock.now().duration_since(noted), jiff::SignedDuration::from_secs(59));
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_requests_with_one_credential_cost_one_read() {
        let all = Fixture::with(AccessSettings::default(), Calls::slow(Duration::from_millis(100)));
        let ana = all.user("ana", &[]).await;
        let (secret, token) = (all.session(&ana).await, all.token(&ana, ALL).await);
        let sessions = join_all((0..50).map(|_| all.service.by_session(&secret))).await;
        let tokens = join_all((0..50).map(|_| all.service.by_token(token.expose(), None))).await;
        assert!(sessions.into_iter().chain(tokens).all(|answer| answer.unwrap().is_some()));
        assert_eq!((all.calls.of("session"), all.calls.of("token")), (1, 1));
    }
}
