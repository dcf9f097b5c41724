//! Device logins: a command line gets an API token after its user allowed that in a browser
//! (RFC 8628, the device authorization grant of OAuth 2.0).

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::SignedDuration;
use kastrel_actors::model::{
    AccountKind, AccountName, DeviceDecision, DeviceLogin, DeviceLoginCreated, DeviceLoginState, DevicePolls,
    DeviceTokenRequest, FieldError, ProjectRole, TokenRecord, TokenScope,
};
use kastrel_actors::policy::device_login::{INTERVAL, LIFETIME, LIMITS, PollStep, poll_step, wait_for_room};
use kastrel_actors::policy::second_factor::may_have_session;
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::fields::one_line;
use super::service::after;
use super::tokens::{DEFAULT_DAYS, MOST_DAYS, id_of};
use super::{AccessService, DeviceCodeError, DeviceLoginError, SignedIn};
use crate::identity::secret::RandomSecret;
use crate::identity::throttle::network_of;
use crate::identity::token::ApiToken;
use crate::identity::user_code::UserCode;

/// The longest label of a device login, in characters. The label of its token has more words.
const MOST_OF_LABEL: usize = 64;
/// How many user codes are tried until one is free.
const CODE_TRIES: u32 = 3;

/// What a command line requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRequest {
    /// The machine, for the person who allows it: 1 to 64 characters.
    pub label: String,
    /// The highest role in a project of the token; `operator` if not given.
    pub role: Option<ProjectRole>,
    /// True if the token has the account's role on the server.
    pub has_server_role: bool,
    /// The days until the token expires: 1 to 366, 90 if not given.
    pub days: Option<u32>,
    /// The network address of the command line.
    pub address: IpAddr,
}

/// A new device login. `Debug` shows no device code.
pub struct NewDeviceLogin {
    /// The code with which the command line polls, which nobody else gets.
    pub device_code: RandomSecret,
    /// The code that the user compares and enters.
    pub user_code: UserCode,
    /// How long both are valid.
    pub lifetime: Duration,
    /// The least time between two polls, in seconds.
    pub interval: u32,
}

impl fmt::Debug for NewDeviceLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewDeviceLogin").field("user_code", &self.user_code).finish_non_exhaustive()
    }
}

/// The answer to a poll.
#[derive(Debug)]
pub enum DevicePoll {
    /// The token. It is returned once.
    Token(ApiToken, Box<TokenRecord>),
    /// Nothing was decided.
    Pending,
    /// The poll came too early.
    SlowDown {
        /// The least time between two polls from now on, in seconds.
        interval: u32,
    },
    /// An account denied it, or the account that allowed it may not have a token any more.
    Denied,
    /// The device login does not exist, was used or has expired.
    Expired,
}

impl AccessService {
    /// Creates a device login, for any client.
    ///
    /// # Errors
    /// Fields are invalid (`label`, `days`), there are too many device logins, or a failure of the
    /// store.
    pub async fn start_device_login(&self, request: DeviceRequest) -> Result<NewDeviceLogin, DeviceLoginError> {
        let DeviceRequest { label, role, has_server_role, days, address } = request;
        let mut errors = Vec::new();
        let label = one_line(&label);
        if !(1..=MOST_OF_LABEL).contains(&label.chars().count()) {
            errors.push(FieldError::new("label", format!("expected 1 to {MOST_OF_LABEL} characters")));
        }
        let days = days.unwrap_or(DEFAULT_DAYS);
        if !(1..=MOST_DAYS).contains(&days) {
            errors.push(FieldError::new("days", format!("expected a number from 1 to {MOST_DAYS}")));
        }
        if !errors.is_empty() {
            return Err(DeviceLoginError::Invalid(errors));
        }
        let request = DeviceTokenRequest { role: role.unwrap_or(ProjectRole::Operator), has_server_role, days };
        let _turn = self.creates_device_login.lock().await;
        for _ in 0..CODE_TRIES {
            let (device_code, user_code, now) = (RandomSecret::generate(), UserCode::generate(), self.clock.now());
            let login = DeviceLogin {
                key: device_code.digest(),
                user_code: user_code.digest(),
                label: label.clone(),
                address: address.to_canonical().to_string(),
                network: network_of(address).to_string(),
                request,
                created_at: now,
                expires_at: after(now, LIFETIME),
                state: DeviceLoginState::Pending,
                polls: DevicePolls { last_at: None, interval: INTERVAL },
            };
            match self.device_logins.create_device_login(login, LIMITS).await? {
                DeviceLoginCreated::Created => {
                    return Ok(NewDeviceLogin { device_code, user_code, lifetime: LIFETIME, interval: INTERVAL });
                }
                DeviceLoginCreated::CodeTaken => {}
                DeviceLoginCreated::Full { free_at } => {
                    return Err(DeviceLoginError::Full { retry_after: wait_for_room(free_at, now) });
                }
            }
        }
        Err(StoreError::Unavailable("every user code was in use".into()).into())
    }

    /// Answers a poll of a command line. One that was allowed gets its token here, once, if the
    /// account may still have one.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn poll_device_login(&self, code: &RandomSecret) -> Result<DevicePoll, StoreError> {
        let (key, now) = (code.digest(), self.clock.now());
        let login = self.device_logins.device_login(key, now).await?;
        let step = poll_step(login.as_ref(), now);
        let Some(login) = login else { return Ok(DevicePoll::Expired) };
        match step {
            PollStep::Gone => Ok(DevicePoll::Expired),
            PollStep::Denied => Ok(DevicePoll::Denied),
            PollStep::Allowed(account) => self.create_device_token(login, account).await,
            PollStep::Pending(polls) => {
                self.device_logins.note_device_poll(key, polls).await?;
                Ok(DevicePoll::Pending)
            }
            PollStep::TooEarly(polls) => {
                if polls != login.polls {
                    self.device_logins.note_device_poll(key, polls).await?;
                }
                Ok(DevicePoll::SlowDown { interval: polls.interval })
            }
        }
    }

    /// Ends a device login that its command line gave up. An unknown one has no effect.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn cancel_device_login(&self, code: &RandomSecret) -> Result<(), StoreError> {
        self.device_logins.end_device_login(code.digest()).await
    }

    /// Returns the device login with a user code that somebody typed. Wrong codes are throttled by
    /// the account and the network.
    ///
    /// # Errors
    /// The code is not valid, there were too many attempts, or a failure of the store.
    pub async fn waiting_device_login(
        &self,
        who: &SignedIn,
        typed: &str,
        address: IpAddr,
    ) -> Result<(UserCode, DeviceLogin), DeviceCodeError> {
        // A text of another form is a mistake and no guess.
        let Ok(code) = UserCode::parse(typed) else { return Err(DeviceCodeError::NotValid) };
        let (name, at) = (who.account.as_str(), || Instant::now().into_std());
        self.device_throttle
            .check(name, address, at())
            .map_err(|refused| DeviceCodeError::Throttled { retry_after: refused.wait() })?;
        let found = self.device_logins.device_login_of_code(code.digest(), self.clock.now()).await;
        match found {
            Ok(None) => {
                self.device_throttle.failed(name, address, at());
                Err(DeviceCodeError::NotValid)
            }
            // Anybody can create a device login and enter its code, so a right code forgives no
            // wrong one.
            Ok(Some(login)) => {
                self.device_throttle.continued(name, address, at());
                Ok((code, login))
            }
            Err(error) => {
                self.device_throttle.continued(name, address, at());
                Err(error.into())
            }
        }
    }

    /// Allows or denies the device login with a user code, for the account of a session. Returns
    /// the device login as it was.
    ///
    /// # Errors
    /// The code is not valid, also because something was decided about it before; there were too
    /// many attempts, or a failure of the store.
    pub async fn decide_device_login(
        &self,
        who: &SignedIn,
        typed: &str,
        decision: DeviceDecision,
        address: IpAddr,
    ) -> Result<DeviceLogin, DeviceCodeError> {
        // A token leads to no other credential.
        if who.session.is_none() {
            return Err(DeviceCodeError::NotValid);
        }
        let (_, login) = self.waiting_device_login(who, typed, address).await?;
        let now = self.clock.now();
        if self.device_logins.decide_device_login(&login, &who.account, decision, now).await? {
            Ok(login)
        } else {
            Err(DeviceCodeError::NotValid)
        }
    }

    /// Creates the token of a device login that an account allowed.
    async fn create_device_token(&self, login: DeviceLogin, name: AccountName) -> Result<DevicePoll, StoreError> {
        let account = self.store.account(&name).await?;
        // An account that must have a second factor and has none was allowed in a session that
        // began with the identity provider.
        let has_identity = self.provider.is_some() && self.identities.identity_of(&name).await?.is_some();
        let may_have_one = account.is_some_and(|account| {
            let may_sign_in = has_identity || may_have_session(self.settings.second_factor, &account);
            account.kind == AccountKind::User && !account.is_disabled && may_sign_in
        });
        if !may_have_one {
            self.device_logins.end_device_login(login.key).await?;
            return Ok(DevicePoll::Denied);
        }
        let DeviceTokenRequest { role, has_server_role, days } = login.request;
        let (token, now) = (ApiToken::generate(), self.clock.now());
        let record = TokenRecord {
            id: id_of(&token),
            digest: token.digest(),
            account: name,
            label: format!("kastrel login on {}", login.label),
            scope: TokenScope { role, project: None, has_server_role },
            networks: Vec::new(),
            created_at: now,
            expires_at: now + SignedDuration::from_hours(24 * i64::from(days)),
            used_at: None,
        };
        let _change = self.cache.change();
        if self.device_logins.finish_device_login(login.key, record.clone()).await? {
            Ok(DevicePoll::Token(token, Box::new(record)))
        } else {
            Ok(DevicePoll::Expired)
        }
    }
}

#[cfg(test)]
mod tests;
