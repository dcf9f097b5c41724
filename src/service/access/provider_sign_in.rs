//! Sign-in with the identity provider: its two halves, and the account of the person.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use kastrel_actors::model::{
    Account, AccountChange, AccountChanged, AccountKind, AccountName, DomainEvent, LinkResult, MemberChanged,
    NewAccount, Principal, ProviderSignIn,
};
use kastrel_actors::policy::group_roles::roles_of;
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::provider::{Provider, log, request_of};
use super::service::after;
use super::{AccessService, NewSession};
use crate::identity::oidc::{Groups, account_name, groups};
use crate::identity::secret::{RandomSecret, digest_of, is_same};
use crate::ports::{ProviderError, ProviderPerson};

/// How long a sign-in may take at the provider.
const WAIT_FOR: Duration = Duration::from_mins(10);

/// A sign-in that begins.
#[derive(Debug)]
pub struct ProviderStart {
    /// The secret, for the cookie.
    pub secret: RandomSecret,
    /// The address of the provider to which the browser is sent.
    pub url: String,
    /// How long the sign-in is valid.
    pub max_age: Duration,
}

/// What the provider sent with the browser. `Debug` shows no secret.
pub struct ProviderCallback {
    /// The secret of the browser's cookie.
    pub secret: Option<RandomSecret>,
    /// The parameter `state`.
    pub state: String,
    /// The parameter `code`.
    pub code: Option<String>,
    /// The parameter `error`.
    pub error: Option<String>,
    /// The parameter `iss` (RFC 9207).
    pub issuer: Option<String>,
    /// The network address of the client.
    pub address: IpAddr,
    /// The `User-Agent` of the client.
    pub agent: String,
}

impl fmt::Debug for ProviderCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderCallback").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A sign-in with the provider that started no session.
#[derive(Debug, thiserror::Error)]
pub enum ProviderSignInError {
    /// There is no identity provider.
    #[error("sign-in with an identity provider is turned off")]
    Off,
    /// One network began too many sign-ins.
    #[error("too many attempts: try again in {:.0} s", .retry_after.as_secs_f64().ceil())]
    Throttled {
        /// The time after which an attempt is let through; never zero.
        retry_after: Duration,
    },
    /// The sign-in was not begun in this browser, was finished already, or has expired.
    #[error("this sign-in has ended: sign in again")]
    Gone,
    /// The provider did not respond.
    #[error("the identity provider does not respond")]
    NoResponse,
    /// The sign-in was refused.
    #[error(transparent)]
    Refused(#[from] ProviderRefusal),
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a sign-in with the provider was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderRefusal {
    /// The person did not agree.
    #[error("it was cancelled at the identity provider")]
    Cancelled,
    /// The provider reports an error.
    #[error("the identity provider reported an error")]
    Reported,
    /// The response is not valid.
    #[error("the response of the identity provider is not valid")]
    Invalid,
    /// Accounts are not created, and the person has none.
    #[error("this person has no account, and accounts are not created here")]
    NoAccount,
    /// The claims have no name.
    #[error("the identity provider sent no name from which an account can be made")]
    NoName,
    /// The name belongs to another account.
    #[error("the account `{0}` exists already and is not linked to this person")]
    NameTaken(AccountName),
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
}

impl AccessService {
    /// Begins a sign-in with the provider, which leads to the path `next`.
    ///
    /// # Errors
    /// There is no provider, it does not respond, one network began too many sign-ins, or a failure
    /// of the store.
    pub async fn start_provider_sign_in(
        &self,
        next: &str,
        address: IpAddr,
    ) -> Result<ProviderStart, ProviderSignInError> {
        let provider = self.provider.as_ref().ok_or(ProviderSignInError::Off)?;
        let secret = RandomSecret::generate();
        let key = secret.digest();
        provider
            .throttle
            .check(&key.to_string(), address, Instant::now().into_std())
            .map_err(|refused| ProviderSignInError::Throttled { retry_after: refused.wait() })?;
        let url = provider.adapter.sign_in_url(&request_of(&secret)).await.map_err(|error| {
            log(&error, "a sign-in with the identity provider could not begin");
            ProviderSignInError::NoResponse
        })?;
        let expires_at = after(self.clock.now(), WAIT_FOR);
        self.identities.create_provider_sign_in(ProviderSignIn { key, next: next.to_owned(), expires_at }).await?;
        Ok(ProviderStart { secret, url, max_age: WAIT_FOR })
    }

    /// Finishes a sign-in with what the provider sent with the browser, and starts a session.
    /// Returns it with the path to which it leads. Each sign-in is finished once, in the browser
    /// that began it, on any server of the database.
    ///
    /// # Errors
    /// The sign-in has ended or is refused, the provider does not respond, or a failure of the
    /// store.
    pub async fn finish_provider_sign_in(
        &self,
        callback: ProviderCallback,
    ) -> Result<(NewSession, String), ProviderSignInError> {
        let provider = self.provider.as_ref().ok_or(ProviderSignInError::Off)?;
        // A wrong state ends nothing: a page of another site could send it.
        let secret = callback.secret.as_ref().ok_or(ProviderSignInError::Gone)?;
        if !is_same_text(&callback.state, &request_of(secret).state) {
            return Err(ProviderSignInError::Gone);
        }
        let key = secret.digest();
        let waiting = self.identities.take_provider_sign_in(key, self.clock.now()).await?;
        let waiting = waiting.ok_or(ProviderSignInError::Gone)?;
        let (name, now) = (key.to_string(), || Instant::now().into_std());
        match self.session_of(provider, secret, &callback).await {
            Ok(session) => {
                provider.throttle.succeeded(&name, callback.address, now());
                Ok((session, waiting.next))
            }
            Err(error) => {
                provider.throttle.failed(&name, callback.address, now());
                Err(error)
            }
        }
    }

    /// Verifies who signed in, and starts the session.
    async fn session_of(
        &self,
        provider: &Provider,
        secret: &RandomSecret,
        callback: &ProviderCallback,
    ) -> Result<NewSession, ProviderSignInError> {
        let person = match person_of(provider, secret, callback).await {
            Ok(person) => person,
            Err(ProviderSignInError::Refused(refusal)) => {
                return Err(self.refuse(None, refusal, callback.address).await);
            }
            Err(error) => return Err(error),
        };
        let account = match self.account_of_person(provider, &person).await? {
            Ok(account) => account,
            Err(refusal) => {
                // With the subject an administrator links an account. Some providers show it
                // nowhere.
                tracing::warn!(
                    subject = person.identity.subject(),
                    "a person of the identity provider got no session: {refusal}"
                );
                return Err(self.refuse(None, refusal, callback.address).await);
            }
        };
        let name = account.name.clone();
        if account.is_disabled || account.kind != AccountKind::User {
            return Err(self.refuse(Some(name), ProviderRefusal::Disabled, callback.address).await);
        }
        self.set_roles(provider, &account, &person).await?;
        let (new, mut session) = self.new_session(&name, callback.address, &callback.agent);
        session.with_provider = true;
        self.store.create_session(session).await?;
        // A change of the account, or of its identity, that was committed before the session did
        // not end it.
        let (now, owner) =
            tokio::try_join!(self.store.account(&name), self.identities.account_of_identity(&person.identity))?;
        if now.is_none_or(|account| account.is_disabled) || owner.as_ref() != Some(&name) {
            let key = Some(new.secret.digest());
            self.store.end_sessions(&name, key, None, &account.principal()).await?;
            return Err(self.refuse(Some(name), ProviderRefusal::Disabled, callback.address).await);
        }
        Ok(new)
    }

    /// Returns the account of a person, which is created at the first sign-in. An account that
    /// exists is never attached to a person by its name: names at a provider can be chosen.
    async fn account_of_person(
        &self,
        provider: &Provider,
        person: &ProviderPerson,
    ) -> Result<Result<Account, ProviderRefusal>, StoreError> {
        let identity = &person.identity;
        let name = match self.identities.account_of_identity(identity).await? {
            Some(name) => name,
            None => {
                if !provider.settings.creates_accounts {
                    return Ok(Err(ProviderRefusal::NoAccount));
                }
                let Some(name) = account_name(&person.claims, &provider.settings.account_claim) else {
                    return Ok(Err(ProviderRefusal::NoName));
                };
                let new = NewAccount {
                    name: name.clone(),
                    kind: AccountKind::User,
                    server_role: None,
                    password_hash: None,
                    mail: None,
                    memberships: BTreeMap::new(),
                };
                let _change = self.cache.change();
                let at = self.clock.now();
                match self.identities.create_with_identity(new, identity, at, &Principal::System).await? {
                    LinkResult::Linked => name,
                    // Another sign-in of the person has created it meanwhile.
                    LinkResult::IdentityTaken => match self.identities.account_of_identity(identity).await? {
                        Some(name) => name,
                        None => return Ok(Err(ProviderRefusal::NoAccount)),
                    },
                    LinkResult::AccountTaken | LinkResult::NoAccount => {
                        return Ok(Err(ProviderRefusal::NameTaken(name)));
                    }
                }
            }
        };
        Ok(self.store.account(&name).await?.ok_or(ProviderRefusal::NoAccount))
    }

    /// Sets the roles that the groups of a person give. Other roles stay as they are. What cannot
    /// be set is logged, and does not end the sign-in.
    async fn set_roles(
        &self,
        provider: &Provider,
        account: &Account,
        person: &ProviderPerson,
    ) -> Result<(), StoreError> {
        let settings = &provider.settings;
        if settings.rules.is_empty() {
            return Ok(());
        }
        let name = &account.name;
        let found = groups(&person.claims, &settings.groups_claim);
        match found {
            Groups::Known(_) => {}
            Groups::Missing => tracing::warn!(
                account = %name,
                claim = settings.groups_claim.as_str(),
                "the identity provider sent no groups: the roles that groups give are taken away"
            ),
            Groups::TooMany => tracing::warn!(
                account = %name,
                claim = settings.groups_claim.as_str(),
                "the person is in too many groups for a token: the roles that groups give are taken away; let the provider send only groups that are assigned to the application"
            ),
        }
        let roles = roles_of(&settings.rules, found.names());
        let by = Principal::System;
        let _change = self.cache.change();
        if let Some(role) = roles.server_role.filter(|role| *role != account.server_role)
            && self.store.change_account(name, AccountChange::SetServerRole(role), &by).await?
                == AccountChanged::LastAdmin
        {
            tracing::warn!(account = %name, "the groups of the last administrator do not give the role `admin`: it stays");
        }
        for (project, role) in &roles.projects {
            if account.memberships.get(project).copied() == *role {
                continue;
            }
            if self.store.set_member(project, name, *role, &by).await? == MemberChanged::NoProject && role.is_some() {
                tracing::warn!(account = %name, %project, "a group gives a role in a project that does not exist");
            }
        }
        Ok(())
    }

    /// Records a refusal.
    async fn refuse(
        &self,
        account: Option<AccountName>,
        refusal: ProviderRefusal,
        address: IpAddr,
    ) -> ProviderSignInError {
        let event =
            DomainEvent::ProviderSignInFailed { account, reason: refusal.to_string(), address: address.to_string() };
        self.record_by(&Principal::Anonymous, event, None).await;
        refusal.into()
    }
}

/// Returns the person of a callback.
async fn person_of(
    provider: &Provider,
    secret: &RandomSecret,
    callback: &ProviderCallback,
) -> Result<ProviderPerson, ProviderSignInError> {
    // A response of another provider that was mixed in (RFC 9207).
    if callback.issuer.as_ref().is_some_and(|issuer| issuer != provider.adapter.issuer()) {
        tracing::warn!("the response of another identity provider was refused");
        return Err(ProviderRefusal::Invalid.into());
    }
    if let Some(error) = &callback.error {
        // The codes of errors are words of the protocol; anything else is not logged.
        let code: String = error.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect();
        tracing::warn!(code = code.as_str(), "the identity provider reported an error for a sign-in");
        let is_cancelled = code == "access_denied";
        return Err(if is_cancelled { ProviderRefusal::Cancelled } else { ProviderRefusal::Reported }.into());
    }
    let code = callback.code.as_deref().filter(|code| !code.is_empty()).ok_or(ProviderRefusal::Invalid)?;
    let settings = &provider.settings;
    let wanted: &[&str] = if settings.rules.is_empty() {
        &[settings.account_claim.as_str()]
    } else {
        &[settings.account_claim.as_str(), settings.groups_claim.as_str()]
    };
    provider.adapter.redeem(code, &request_of(secret), wanted).await.map_err(|error| {
        log(&error, "a sign-in with the identity provider failed");
        match error {
            ProviderError::NoResponse(_) => ProviderSignInError::NoResponse,
            ProviderError::Invalid(_) => ProviderRefusal::Invalid.into(),
        }
    })
}

/// Compares two texts in a time that does not depend on them.
fn is_same_text(one: &str, other: &str) -> bool {
    is_same(&digest_of(one), &digest_of(other))
}
