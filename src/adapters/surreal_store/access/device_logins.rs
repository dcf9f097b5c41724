//! Device logins: the port [`DeviceLoginStore`].
//!
//! A call that is repeated after a lost response finds its own row by the digest of a random code,
//! its own decision by `made_by`, and its own token by the digest of the token. What ends the
//! sessions of an account deletes the device logins that it allowed.

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::{
    AccountName, DeviceDecision, DeviceLogin, DeviceLoginCreated, DeviceLoginLimits, DeviceLoginState, DevicePolls,
    DeviceTokenRequest, DomainEvent, Principal, SecretDigest, TokenRecord,
};
use kastrel_actors::ports::{DeviceLoginStore, StoreError};
use surrealdb::types::{RecordId, SurrealValue};

use super::super::calls;
use super::super::event::{EventRows, write_event};
use super::super::row;
use super::super::store::SurrealStore;
use super::keys::{account_key, device_login_key, token_key};
use super::tokens::{TokenRow, write_token};
use super::{Changed, Key};

const PENDING: &str = "pending";
const ALLOWED: &str = "allowed";
const DENIED: &str = "denied";

/// The columns of a device login.
#[derive(Debug, Clone, SurrealValue)]
struct LoginRow {
    digest: String,
    user_code: String,
    label: String,
    address: String,
    network: String,
    role: String,
    has_server_role: bool,
    days: i64,
    created_at: i64,
    expires_at: i64,
    state: String,
    account: Option<String>,
    polled_at: Option<i64>,
    wait: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct CreateArguments {
    key: RecordId,
    row: LoginRow,
    most_of_network: i64,
    most: i64,
}

#[derive(Debug, SurrealValue)]
struct CreateAnswer {
    is_done: bool,
    free_at: Option<i64>,
}

#[derive(Debug, Clone, SurrealValue)]
struct LookArguments {
    key: RecordId,
    until: i64,
}

#[derive(Debug, SurrealValue)]
struct OneLogin {
    found: Option<LoginRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct CodeArguments {
    code: String,
    until: i64,
}

#[derive(Debug, SurrealValue)]
struct Logins {
    rows: Vec<LoginRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct PollArguments {
    key: RecordId,
    polled_at: Option<i64>,
    wait: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct DecideArguments {
    key: RecordId,
    until: i64,
    state: String,
    account: Option<String>,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct FinishArguments {
    login: RecordId,
    until: i64,
    of_account: RecordId,
    key: RecordId,
    row: TokenRow,
    event: EventRows,
}

macro_rules! login_columns {
    () => {
        "digest, user_code, label, address, network, role, has_server_role, days, created_at, expires_at, state, account, polled_at, wait"
    };
}

/// The device code is random, so a row with its digest is that of an earlier, equal call.
const CREATE: &str = "
    BEGIN;
    LET $is_again = (SELECT VALUE digest FROM ONLY $key) != NONE;
    LET $of_network = SELECT VALUE expires_at FROM device_login WHERE network = $row.network AND expires_at > $row.created_at;
    LET $all = SELECT VALUE expires_at FROM device_login WHERE expires_at > $row.created_at;
    LET $of_code = SELECT VALUE digest FROM device_login WHERE user_code = $row.user_code AND expires_at > $row.created_at;
    LET $free_at = IF array::len($of_network) >= $most_of_network { array::min($of_network) }
        ELSE IF array::len($all) >= $most { array::min($all) }
        ELSE { NONE };
    LET $is_new = !$is_again AND $free_at = NONE AND array::len($of_code) = 0;
    IF $is_new {
        CREATE $key SET
            digest = $row.digest, user_code = $row.user_code, label = $row.label, address = $row.address, network = $row.network,
            role = $row.role, has_server_role = $row.has_server_role, days = $row.days, created_at = $row.created_at,
            expires_at = $row.expires_at, state = $row.state, account = $row.account, polled_at = $row.polled_at, wait = $row.wait
            RETURN NONE;
    };
    RETURN { is_done: $is_again OR $is_new, free_at: $free_at };
    COMMIT;";

const LOGIN: &str =
    concat!("RETURN { found: (SELECT ", login_columns!(), " FROM ONLY $key WHERE expires_at > $until) };");

const OF_CODE: &str = concat!(
    "RETURN { rows: (SELECT ",
    login_columns!(),
    " FROM device_login WHERE user_code = $code AND expires_at > $until AND state = 'pending' LIMIT 2) };"
);

const POLL: &str = "BEGIN; UPDATE $key SET polled_at = $polled_at, wait = $wait RETURN NONE; COMMIT;";

/// Of two decisions, both write the row, so the engine fails one of them, which then finds that
/// something was decided.
const DECIDE: &str = concat!(
    "
    BEGIN;
    LET $found = SELECT state, made_by FROM ONLY $key WHERE expires_at > $until;
    LET $is_done = $found != NONE AND $found.made_by = $event.nonce;
    LET $is_new = $found != NONE AND !$is_done AND $found.state = 'pending';
    IF $is_new {
        UPDATE $key SET state = $state, account = $account, made_by = $event.nonce RETURN NONE;
        ",
    write_event!(),
    "
    };
    RETURN { changed: $is_done OR $is_new };
    COMMIT;"
);

/// Of two calls with one device login, both delete it, and so does a change that ends the sessions
/// of the account. The engine fails one of them.
const FINISH: &str = concat!(
    "
    BEGIN;
    LET $is_done = (SELECT VALUE digest FROM ONLY $key) = $row.digest;
    LET $found = SELECT state, account FROM ONLY $login WHERE expires_at > $until;
    LET $is_active = (SELECT VALUE is_disabled FROM ONLY $of_account) = false;
    LET $is_new = !$is_done AND $is_active AND $found != NONE AND $found.state = 'allowed' AND $found.account = $row.account;
    IF $is_new {
        DELETE $login RETURN NONE;
        ",
    write_token!(),
    write_event!(),
    "
    };
    RETURN { changed: $is_done OR $is_new };
    COMMIT;"
);

const END: &str = "BEGIN; DELETE $key RETURN NONE; COMMIT;";

impl LoginRow {
    fn new(login: DeviceLogin) -> Self {
        let DeviceLogin { key, user_code, label, address, network, request, created_at, expires_at, state, polls } =
            login;
        let (state, account) = match state {
            DeviceLoginState::Pending => (PENDING, None),
            DeviceLoginState::Allowed(account) => (ALLOWED, Some(account.to_string())),
            DeviceLoginState::Denied => (DENIED, None),
        };
        Self {
            digest: key.to_string(),
            user_code: user_code.to_string(),
            label,
            address,
            network,
            role: request.role.to_string(),
            has_server_role: request.has_server_role,
            days: request.days.into(),
            created_at: row::nanoseconds(created_at),
            expires_at: row::nanoseconds(expires_at),
            state: state.into(),
            account,
            polled_at: polls.last_at.map(row::nanoseconds),
            wait: polls.interval.into(),
        }
    }

    fn into_login(self) -> Result<DeviceLogin, StoreError> {
        let state = match (self.state.as_str(), self.account) {
            (PENDING, None) => DeviceLoginState::Pending,
            (ALLOWED, Some(account)) => DeviceLoginState::Allowed(account.parse().map_err(row::corrupt)?),
            (DENIED, None) => DeviceLoginState::Denied,
            _ => return Err(row::corrupt(format!("a device login has the state `{}`", self.state))),
        };
        Ok(DeviceLogin {
            key: self.digest.parse().map_err(row::corrupt)?,
            user_code: self.user_code.parse().map_err(row::corrupt)?,
            label: self.label,
            address: self.address,
            network: self.network,
            request: DeviceTokenRequest {
                role: self.role.parse().map_err(row::corrupt)?,
                has_server_role: self.has_server_role,
                days: u32::try_from(self.days).map_err(row::corrupt)?,
            },
            created_at: row::timestamp(self.created_at)?,
            expires_at: row::timestamp(self.expires_at)?,
            state,
            polls: DevicePolls {
                last_at: self.polled_at.map(row::timestamp).transpose()?,
                interval: u32::try_from(self.wait).map_err(row::corrupt)?,
            },
        })
    }
}

#[async_trait]
impl DeviceLoginStore for SurrealStore {
    async fn create_device_login(
        &self,
        login: DeviceLogin,
        limits: DeviceLoginLimits,
    ) -> Result<DeviceLoginCreated, StoreError> {
        let arguments = CreateArguments {
            key: device_login_key(login.key),
            row: LoginRow::new(login),
            most_of_network: limits.of_network.into(),
            most: limits.total.into(),
        };
        let answer: CreateAnswer = calls::call_again(&self.inner.db, CREATE, arguments).await?;
        Ok(match answer {
            CreateAnswer { is_done: true, .. } => DeviceLoginCreated::Created,
            CreateAnswer { free_at: Some(free_at), .. } => {
                DeviceLoginCreated::Full { free_at: row::timestamp(free_at)? }
            }
            CreateAnswer { free_at: None, .. } => DeviceLoginCreated::CodeTaken,
        })
    }

    async fn device_login(&self, key: SecretDigest, at: Timestamp) -> Result<Option<DeviceLogin>, StoreError> {
        let arguments = LookArguments { key: device_login_key(key), until: row::nanoseconds(at) };
        let OneLogin { found } = calls::call_again(&self.inner.db, LOGIN, arguments).await?;
        found.map(LoginRow::into_login).transpose()
    }

    /// Two creations that met could have the same code. Neither is returned then.
    async fn device_login_of_code(
        &self,
        user_code: SecretDigest,
        at: Timestamp,
    ) -> Result<Option<DeviceLogin>, StoreError> {
        let arguments = CodeArguments { code: user_code.to_string(), until: row::nanoseconds(at) };
        let Logins { mut rows } = calls::call_again(&self.inner.db, OF_CODE, arguments).await?;
        let only = rows.pop().filter(|_| rows.is_empty());
        only.map(LoginRow::into_login).transpose()
    }

    async fn note_device_poll(&self, key: SecretDigest, polls: DevicePolls) -> Result<(), StoreError> {
        let arguments = PollArguments {
            key: device_login_key(key),
            polled_at: polls.last_at.map(row::nanoseconds),
            wait: polls.interval.into(),
        };
        Ok(calls::execute_again(&self.inner.db, POLL, arguments).await?)
    }

    async fn decide_device_login(
        &self,
        login: &DeviceLogin,
        account: &AccountName,
        decision: DeviceDecision,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let event = DomainEvent::of_device_decision(login, account, decision);
        let (state, allowed_by) = match decision {
            DeviceDecision::Allow => (ALLOWED, Some(account.to_string())),
            DeviceDecision::Deny => (DENIED, None),
        };
        let arguments = DecideArguments {
            key: device_login_key(login.key),
            until: row::nanoseconds(at),
            state: state.into(),
            account: allowed_by,
            event: self.audited(&event, &Principal::User(account.clone()))?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, DECIDE, arguments).await?;
        Ok(answer.changed)
    }

    async fn finish_device_login(&self, key: SecretDigest, token: TokenRecord) -> Result<bool, StoreError> {
        let event = DomainEvent::TokenCreated { account: token.account.clone(), token: token.id.clone() };
        let arguments = FinishArguments {
            login: device_login_key(key),
            until: row::nanoseconds(token.created_at),
            of_account: account_key(&token.account),
            key: token_key(&token.id),
            event: self.audited(&event, &Principal::User(token.account.clone()))?,
            row: TokenRow::new(token),
        };
        let answer: Changed = calls::call_again(&self.inner.db, FINISH, arguments).await?;
        Ok(answer.changed)
    }

    async fn end_device_login(&self, key: SecretDigest) -> Result<(), StoreError> {
        Ok(calls::execute_again(&self.inner.db, END, Key { key: device_login_key(key) }).await?)
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{AccountKind, AuditQuery, NewAccount, ProjectRole, TokenScope};
    use kastrel_actors::ports::{AccessStore as _, AuditLog as _};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn ana() -> AccountName {
        "ana".parse().unwrap()
    }

    fn login() -> DeviceLogin {
        DeviceLogin {
            key: SecretDigest::new([1; 32]),
            user_code: SecretDigest::new([2; 32]),
            label: "laptop".into(),
            address: "::1".into(),
            network: "::".into(),
            request: DeviceTokenRequest { role: ProjectRole::Viewer, has_server_role: false, days: 1 },
            created_at: at(0),
            expires_at: at(600),
            state: DeviceLoginState::Pending,
            polls: DevicePolls { last_at: None, interval: 5 },
        }
    }

    /// The same calls with the same arguments, as after a lost answer.
    #[tokio::test]
    async fn repeated_calls_about_a_device_login_recognize_their_own_effect() {
        let store = SurrealStore::in_memory().await.unwrap();
        let new = NewAccount {
            name: ana(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: std::collections::BTreeMap::new(),
        };
        assert!(store.create_account(new, at(0), &Principal::System).await.unwrap());
        for _ in 0..2 {
            let limits = DeviceLoginLimits { of_network: 1, total: 1 };
            assert_eq!(store.create_device_login(login(), limits).await.unwrap(), DeviceLoginCreated::Created);
        }
        let by = Principal::User(ana());
        let event = DomainEvent::of_device_decision(&login(), &ana(), DeviceDecision::Allow);
        let decision = DecideArguments {
            key: device_login_key(login().key),
            until: row::nanoseconds(at(1)),
            state: ALLOWED.into(),
            account: Some("ana".into()),
            event: store.audited(&event, &by).unwrap(),
        };
        for _ in 0..2 {
            let answer: Changed = calls::call_again(&store.inner.db, DECIDE, decision.clone()).await.unwrap();
            assert!(answer.changed);
        }
        let token = TokenRecord {
            id: "a1B2c3D4e5".parse().unwrap(),
            digest: SecretDigest::new([3; 32]),
            account: ana(),
            label: "laptop".into(),
            scope: TokenScope { role: ProjectRole::Viewer, project: None, has_server_role: false },
            networks: Vec::new(),
            created_at: at(2),
            expires_at: at(100),
            used_at: None,
        };
        for _ in 0..2 {
            assert!(store.finish_device_login(login().key, token.clone()).await.unwrap());
        }
        assert_eq!(store.tokens(&ana()).await.unwrap(), [token]);
        let entries = store.audit(&AuditQuery::newest(9)).await.unwrap().entries;
        assert_eq!(entries.len(), 3, "account_created, device_login_allowed, token_created");
    }
}
