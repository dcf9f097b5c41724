//! What the tests of the service share: a service on a store in memory, whose clock follows tokio's
//! paused time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kastrel_actors::model::{
    Account, AccountKind, AccountName, AuditQuery, Command, DomainEvent, FieldError, Grants, Network, NewAccount,
    NewScan, NewSecondFactor, Principal, Project, ProjectId, ProjectRole, RequestContext, ServerRole, Session,
    Submitted, TokenRecord, TokenScope,
};
use kastrel_actors::ports::{
    AccessStore, Applied, AuditLog as _, CallHook, Clock, SecondFactorStore as _, StoreError, Stores,
};
use kastrel_actors::testing::{MemoryStore, PausedClock, TestSealer, fixtures};

use super::{
    AccessService, AccessSettings, AccountError, CodeAttempt, CodeError, Confirmation, NewPendingSignIn, NewSession,
    PasskeyAnswer, PasskeySignIn, SignIn, SignInError, SignInStart, SignedIn,
};
use crate::identity::passkey::RelyingParty;
use crate::identity::passkey::testing::Authenticator;
use crate::identity::password::Password;
use crate::identity::recovery_code::RecoveryCode;
use crate::identity::secret::RandomSecret;
use crate::identity::token::ApiToken;
use crate::identity::totp::{TotpSecret, step_at};

/// A password that obeys the rules.
pub(super) const PASSWORD: &str = "seven lamps behind the harbour";
/// Another one.
pub(super) const OTHER_PASSWORD: &str = "a violet tram climbs slowly";
/// The origin of the pages.
pub(super) const ORIGIN: &str = "https://scans.example.com";

pub(super) fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

pub(super) fn project(id: &str) -> ProjectId {
    id.parse().unwrap()
}

/// Returns the invalid fields of a refused operation.
pub(super) fn fields<T: std::fmt::Debug>(result: Result<T, AccountError>) -> Vec<String> {
    match result.unwrap_err() {
        AccountError::Invalid(errors) => errors.into_iter().map(|FieldError { field, .. }| field).collect(),
        other => panic!("{other:?}"),
    }
}

/// Counts the calls of the store, delays them, and runs something once before a certain call.
#[derive(Default)]
pub(super) struct Calls {
    names: Mutex<Vec<&'static str>>,
    delay: Duration,
    before: Mutex<Option<(&'static str, BoxFuture<'static, ()>)>>,
}

impl Calls {
    pub(super) fn slow(delay: Duration) -> Arc<Self> {
        Arc::new(Self { delay, ..Self::default() })
    }

    /// Returns how often a method was called.
    pub(super) fn of(&self, name: &str) -> usize {
        self.names.lock().unwrap().iter().filter(|called| **called == name).count()
    }

    pub(super) fn run_before(&self, name: &'static str, action: impl Future<Output = ()> + Send + 'static) {
        *self.before.lock().unwrap() = Some((name, Box::pin(action)));
    }
}

impl CallHook for Calls {
    type Submission = ();
    type Change = ();

    async fn around<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.names.lock().unwrap().push(operation);
        let action = self.before.lock().unwrap().take_if(|(name, _)| *name == operation);
        if let Some((_, action)) = action {
            action.await;
        }
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        call.await
    }

    fn before_submit(&self, _scan: &mut NewScan) {}

    fn after_submit(&self, (): (), _answer: &Result<Submitted, StoreError>) {}

    fn before_apply(&self, _command: &Command) {}

    fn after_apply(&self, (): (), _answer: &Result<Applied, StoreError>) {}
}

/// The second factor of an account.
pub(super) struct Factor {
    pub(super) secret: TotpSecret,
    pub(super) codes: Vec<RecoveryCode>,
}

/// A service and its store, which tests change directly, as another process does.
pub(super) struct Fixture {
    pub(super) store: Arc<MemoryStore>,
    pub(super) calls: Arc<Calls>,
    pub(super) service: AccessService,
    pub(super) clock: Arc<PausedClock>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::with(AccessSettings::default(), Arc::default())
    }

    pub(super) fn with(settings: AccessSettings, calls: Arc<Calls>) -> Self {
        let clock = Arc::new(PausedClock::default());
        let store = Arc::new(MemoryStore::new(Arc::<PausedClock>::clone(&clock)));
        let hooked = Stores::of(&store).hooked(&calls);
        let service = AccessService::new(&hooked, Arc::<PausedClock>::clone(&clock), Arc::new(TestSealer), settings)
            .with_passkeys(RelyingParty::new(ORIGIN));
        Self { store, calls, service, clock }
    }

    /// Creates an account without a password.
    pub(super) async fn account(
        &self,
        name: &str,
        kind: AccountKind,
        server_role: Option<ServerRole>,
        memberships: &[(&str, ProjectRole)],
    ) -> AccountName {
        let memberships: BTreeMap<_, _> = memberships.iter().map(|(id, role)| (project(id), *role)).collect();
        let name: AccountName = name.parse().unwrap();
        let new = NewAccount { name: name.clone(), kind, server_role, password_hash: None, mail: None, memberships };
        assert!(self.store.create_account(new, self.clock.now(), &Principal::System).await.unwrap());
        name
    }

    /// Creates a user without a password.
    pub(super) async fn user(&self, name: &str, memberships: &[(&str, ProjectRole)]) -> AccountName {
        self.account(name, AccountKind::User, None, memberships).await
    }

    /// Creates a user who signs in with [`PASSWORD`].
    pub(super) async fn user_with_password(&self, name: &str) -> AccountName {
        let name = self.user(name, &[]).await;
        self.set_password(&name, PASSWORD).await;
        name
    }

    pub(super) async fn set_password(&self, name: &AccountName, text: &str) {
        let hash = self.service.hasher.hash(&password(text)).await;
        assert!(self.store.set_password(name, hash.as_str(), None, &Principal::System).await.unwrap());
    }

    pub(super) async fn project(&self, id: &str) -> ProjectId {
        let new = Project { id: project(id), title: id.to_owned(), created_at: self.clock.now() };
        assert!(self.store.create_project(new, &Principal::System).await.unwrap());
        project(id)
    }

    /// Starts a session of an account that ends after a week.
    pub(super) async fn session(&self, account: &AccountName) -> RandomSecret {
        let (secret, now) = (RandomSecret::generate(), self.clock.now());
        let session = Session {
            key: secret.digest(),
            account: account.clone(),
            created_at: now,
            used_at: now,
            expires_at: super::service::after(now, Duration::from_hours(7 * 24)),
            address: "192.0.2.1".into(),
            agent: "test".into(),
            with_provider: false,
        };
        self.store.create_session(session).await.unwrap();
        secret
    }

    /// Creates a token with these limits that expires after a day.
    pub(super) async fn token(&self, account: &AccountName, scope: TokenScope) -> ApiToken {
        self.token_for(account, scope, Vec::new()).await
    }

    /// Creates a token that is accepted from these networks alone.
    pub(super) async fn token_for(&self, account: &AccountName, scope: TokenScope, networks: Vec<Network>) -> ApiToken {
        let (token, now) = (ApiToken::generate(), self.clock.now());
        let record = TokenRecord {
            id: token.id().parse().unwrap(),
            digest: token.digest(),
            account: account.clone(),
            label: "test".into(),
            scope,
            networks,
            created_at: now,
            expires_at: super::service::after(now, Duration::from_hours(24)),
            used_at: None,
        };
        assert!(self.store.create_token(record, &Principal::System).await.unwrap());
        token
    }

    /// Returns the context of an account with its rights now.
    pub(super) async fn context(&self, name: &AccountName) -> RequestContext {
        let account = self.read(name).await;
        RequestContext { principal: account.principal(), grants: Arc::new(account.grants()), ..fixtures::context() }
    }

    /// Creates a user with this role on the server, and returns its context.
    pub(super) async fn context_of(&self, name: &str, role: ServerRole) -> RequestContext {
        let name = self.account(name, AccountKind::User, Some(role), &[]).await;
        self.context(&name).await
    }

    pub(super) async fn read(&self, name: &AccountName) -> Account {
        self.store.account(name).await.unwrap().unwrap()
    }

    /// Signs in to an account without a second factor.
    pub(super) async fn sign_in(&self, name: &str, text: &str) -> Result<NewSession, SignInError> {
        match self.service.sign_in(attempt(name, text)).await? {
            SignInStart::Session(session) => Ok(session),
            SignInStart::Pending(pending) => panic!("{pending:?}"),
        }
    }

    /// Adds a second factor to an account.
    pub(super) async fn factor(&self, name: &AccountName) -> Factor {
        let (secret, codes) = (TotpSecret::generate(), RecoveryCode::generate_all());
        let new = NewSecondFactor {
            account: name.clone(),
            sealed_secret: self.service.seal_secret(name, &secret).unwrap(),
            last_step: 0,
            recovery_codes: codes.iter().map(RecoveryCode::digest).collect(),
            created_at: self.clock.now(),
        };
        assert!(self.store.add_second_factor(new, None, &Principal::System).await.unwrap());
        Factor { secret, codes }
    }

    /// Returns who has a new session of an account.
    pub(super) async fn signed_in(&self, account: &AccountName) -> SignedIn {
        let session = self.session(account).await;
        self.service.by_session(&session).await.unwrap().unwrap()
    }

    /// Adds a passkey to an account that has [`PASSWORD`] and no other factor.
    pub(super) async fn passkey(&self, who: &mut SignedIn) -> Authenticator {
        self.passkey_confirmed(who, password(PASSWORD).into(), Authenticator::new(ORIGIN)).await
    }

    /// Adds the passkey of a device. The session gets its new secret.
    pub(super) async fn passkey_confirmed(
        &self,
        who: &mut SignedIn,
        confirmation: Confirmation,
        mut device: Authenticator,
    ) -> Authenticator {
        let asked = self.service.begin_passkey(who, confirmation, "Phone").await.unwrap();
        let created = PasskeyAnswer { answer: device.create(&asked.options), state: asked.state };
        let session = self.service.finish_passkey(who, &created).await.unwrap();
        *who = self.service.by_session(&session.secret).await.unwrap().unwrap();
        device
    }

    /// Has a device sign a new request.
    pub(super) fn answer(&self, device: &mut Authenticator) -> PasskeyAnswer {
        let asked = self.service.passkey_request().unwrap();
        PasskeyAnswer { answer: device.sign(&asked.options), state: asked.state }
    }

    /// Signs in with the passkey of a device.
    pub(super) async fn enter_passkey(&self, device: &mut Authenticator) -> Result<NewSession, SignInError> {
        let answer = self.answer(device);
        self.service.sign_in_with_passkey(passkey_attempt(answer)).await
    }

    /// Returns the code that an app shows now.
    pub(super) fn code(&self, secret: &TotpSecret) -> String {
        secret.code(step_at(self.clock.now())).to_string()
    }

    /// Returns a code that is not accepted now.
    pub(super) fn wrong_code(&self, secret: &TotpSecret) -> String {
        let now = step_at(self.clock.now());
        let mut codes = (100..).map(|ahead| secret.code(now + ahead).to_string());
        codes.find(|code| secret.verify(code, now, 0).is_none()).unwrap()
    }

    /// Enters the right password of an account that needs a second factor.
    pub(super) async fn pending(&self, name: &str) -> NewPendingSignIn {
        match self.service.sign_in(attempt(name, PASSWORD)).await.unwrap() {
            SignInStart::Pending(pending) => pending,
            SignInStart::Session(session) => panic!("{session:?}"),
        }
    }

    /// Enters a code in a pending sign-in.
    pub(super) async fn enter(&self, pending: &NewPendingSignIn, code: &str) -> Result<NewSession, CodeError> {
        self.service.sign_in_with_code(code_attempt(&pending.secret, code)).await
    }

    /// Returns the audit log, oldest first.
    pub(super) async fn audit(&self) -> Vec<(Principal, DomainEvent)> {
        let mut entries = self.store.audit(&AuditQuery::newest(usize::MAX)).await.unwrap().entries;
        entries.reverse();
        entries.into_iter().map(|entry| (entry.principal, entry.event)).collect()
    }

    /// Returns the operations that were denied to an account.
    pub(super) async fn denied(&self, context: &RequestContext) -> Vec<String> {
        let denied = |(by, event)| match event {
            DomainEvent::AccessDenied { operation, .. } if by == context.principal => Some(operation),
            _ => None,
        };
        self.audit().await.into_iter().filter_map(denied).collect()
    }
}

/// Returns a context with these rights and no account.
pub(super) fn anonymous(grants: Grants) -> RequestContext {
    RequestContext { principal: Principal::Anonymous, grants: Arc::new(grants), ..fixtures::context() }
}

pub(super) fn attempt(name: &str, text: &str) -> SignIn {
    SignIn { name: name.into(), password: password(text), address: "192.0.2.1".parse().unwrap(), agent: "test".into() }
}

pub(super) fn code_attempt(pending: &RandomSecret, code: &str) -> CodeAttempt {
    CodeAttempt {
        pending: pending.clone(),
        code: code.into(),
        address: "192.0.2.1".parse().unwrap(),
        agent: "test".into(),
    }
}

pub(super) fn passkey_attempt(answer: PasskeyAnswer) -> PasskeySignIn {
    PasskeySignIn { answer, address: "192.0.2.1".parse().unwrap(), agent: "test".into() }
}

/// The right password with a passkey.
pub(super) fn with_passkey(answer: PasskeyAnswer) -> Confirmation {
    Confirmation { passkey: Some(answer), ..password(PASSWORD).into() }
}

/// The right password with a code.
pub(super) fn with_code(code: &str) -> Confirmation {
    Confirmation { code: code.into(), ..password(PASSWORD).into() }
}

/// Lets the tasks run that were spawned.
pub(super) async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}
