//! Sessions, and the end of credentials that have expired.

use std::cmp::Reverse;

use jiff::Timestamp;
use kastrel_actors::model::{Account, AccountName, DomainEvent, Principal, SecretDigest, Session};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::super::calls::{self, Tries};
use super::super::error::Failure;
use super::super::event::{EventRows, write_event};
use super::super::row;
use super::super::store::SurrealStore;
use super::accounts::{AccountRow, account_columns};
use super::keys::session_key;
use super::{Gone, Key, OfAccount};

/// The columns of a session.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct SessionRow {
    digest: String,
    account: String,
    created_at: i64,
    used_at: i64,
    expires_at: i64,
    address: String,
    agent: String,
    /// `None` in rows of earlier versions.
    with_provider: Option<bool>,
}

#[derive(Debug, Clone, SurrealValue)]
struct CreateArguments {
    key: RecordId,
    row: SessionRow,
    event: EventRows,
}

/// The account is missing if the row is damaged.
#[derive(Debug, SurrealValue)]
struct OneSession {
    found: Option<SessionRow>,
    owner: Option<AccountRow>,
}

#[derive(Debug, SurrealValue)]
struct Sessions {
    rows: Vec<SessionRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct EndArguments {
    keys: Vec<RecordId>,
    expected: i64,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct ExpiredArguments {
    until: i64,
    idle_since: i64,
}

macro_rules! session_columns {
    () => {
        "digest, account, created_at, used_at, expires_at, address, agent, with_provider"
    };
}

/// Creates the session `$row` with the key `$key` within a transaction.
macro_rules! write_session {
    () => {
        "CREATE $key SET
            digest = $row.digest, account = $row.account, created_at = $row.created_at, used_at = $row.used_at, expires_at = $row.expires_at,
            address = $row.address, agent = $row.agent, with_provider = $row.with_provider
            RETURN NONE;"
    };
}
pub(super) use write_session;

/// The secret of a session is random, so a row with its digest is that of an earlier, equal call.
const CREATE: &str = concat!(
    "
    BEGIN;
    IF (SELECT VALUE digest FROM ONLY $key) = NONE { ",
    write_session!(),
    write_event!(),
    " };
    COMMIT;"
);

/// Every request of a browser runs this: one read of each row, and one range of memberships.
const SESSION: &str = concat!(
    "RETURN { found: (SELECT ",
    session_columns!(),
    " FROM ONLY $key), owner: (SELECT ",
    account_columns!(),
    " FROM ONLY account:[(SELECT VALUE account FROM ONLY $key)]) };"
);

const SESSIONS: &str =
    concat!("RETURN { rows: (SELECT ", session_columns!(), " FROM session WHERE account = $name) };");

/// The event has the number of sessions, so nothing is deleted if one of them is gone meanwhile.
const END: &str = concat!(
    "
    BEGIN;
    LET $gone = DELETE $keys RETURN BEFORE;
    IF array::len($gone) != $expected { THROW 'a session has ended' };
    ",
    write_event!(),
    "
    RETURN { gone: array::len($gone) };
    COMMIT;"
);

const DELETE_EXPIRED: &str = "
    BEGIN;
    LET $gone = array::union((SELECT VALUE id FROM session WHERE expires_at <= $until), (SELECT VALUE id FROM session WHERE used_at < $idle_since));
    DELETE $gone RETURN NONE;
    DELETE token WHERE expires_at <= $until RETURN NONE;
    DELETE one_time_link WHERE expires_at <= $until RETURN NONE;
    DELETE pending_sign_in WHERE expires_at <= $until RETURN NONE;
    DELETE mail_request WHERE expires_at <= $until RETURN NONE;
    DELETE signed_challenge WHERE expires_at <= $until RETURN NONE;
    DELETE provider_sign_in WHERE expires_at <= $until RETURN NONE;
    DELETE device_login WHERE expires_at <= $until RETURN NONE;
    DELETE public_link WHERE expires_at <= $until RETURN NONE;
    DELETE share WHERE expires_at <= $until RETURN NONE;
    RETURN { gone: array::len($gone) };
    COMMIT;";

impl SessionRow {
    pub(super) fn new(session: Session) -> Self {
        let Session { key, account, created_at, used_at, expires_at, address, agent, with_provider } = session;
        Self {
            digest: key.to_string(),
            account: account.to_string(),
            created_at: row::nanoseconds(created_at),
            used_at: row::nanoseconds(used_at),
            expires_at: row::nanoseconds(expires_at),
            address,
            agent,
            with_provider: Some(with_provider),
        }
    }

    fn into_session(self) -> Result<Session, StoreError> {
        Ok(Session {
            key: self.digest.parse().map_err(row::corrupt)?,
            account: self.account.parse().map_err(row::corrupt)?,
            created_at: row::timestamp(self.created_at)?,
            used_at: row::timestamp(self.used_at)?,
            expires_at: row::timestamp(self.expires_at)?,
            address: self.address,
            agent: self.agent,
            with_provider: self.with_provider.unwrap_or_default(),
        })
    }
}

impl SurrealStore {
    pub(super) async fn add_session(&self, session: Session) -> Result<(), StoreError> {
        let by = Principal::User(session.account.clone());
        let event = self.audited(&session.signed_in(), &by)?;
        let arguments = CreateArguments { key: session_key(session.key), row: SessionRow::new(session), event };
        Ok(calls::execute_again(&self.inner.db, CREATE, arguments).await?)
    }

    pub(super) async fn read_session(&self, key: SecretDigest) -> Result<Option<(Session, Account)>, StoreError> {
        let key = Key { key: session_key(key) };
        let answer: OneSession = calls::call_again(&self.inner.db, SESSION, key).await?;
        let OneSession { found: Some(found), owner: Some(owner) } = answer else { return Ok(None) };
        Ok(Some((found.into_session()?, owner.into_account()?)))
    }

    pub(super) async fn sessions_of(&self, name: &AccountName) -> Result<Vec<Session>, StoreError> {
        let name = OfAccount { name: name.to_string() };
        let Sessions { rows } = calls::call_again(&self.inner.db, SESSIONS, name).await?;
        let mut all = rows.into_iter().map(SessionRow::into_session).collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|session| (Reverse(session.created_at), session.key));
        Ok(all)
    }

    /// A session that begins after the read stays: it began after this call.
    pub(super) async fn delete_sessions(
        &self,
        name: &AccountName,
        only: Option<SecretDigest>,
        keep: Option<SecretDigest>,
        by: &Principal,
    ) -> Result<u64, StoreError> {
        let is_meant = |session: &Session| only.is_none_or(|only| only == session.key) && keep != Some(session.key);
        let mut tries = Tries::default();
        // The sessions of a deletion whose response was lost. If all are missing afterwards, the
        // deletion was committed.
        let mut unanswered: Option<Vec<SecretDigest>> = None;
        loop {
            let sessions = self.sessions_of(name).await?;
            let is_left = |key: &SecretDigest| sessions.iter().any(|session| session.key == *key);
            if let Some(ended) = unanswered.take().filter(|keys| !keys.iter().any(is_left)) {
                return Ok(ended.len() as u64);
            }
            let ended: Vec<SecretDigest> =
                sessions.iter().filter(|session| is_meant(session)).map(|session| session.key).collect();
            let count = ended.len() as u64;
            if count == 0 {
                return Ok(0);
            }
            let event = self.audited(&DomainEvent::SessionsEnded { account: name.clone(), count }, by)?;
            let keys = ended.iter().copied().map(session_key).collect();
            let arguments = EndArguments { keys, expected: row::signed(count)?, event };
            match calls::call::<Gone>(&self.inner.db, END, arguments).await {
                Ok(_) => return Ok(count),
                Err(error) if error.failure() == Failure::Thrown => tries.after_collision().await?,
                Err(error) => {
                    if error.failure() == Failure::Lost {
                        unanswered = Some(ended);
                    }
                    tries.after(error).await?;
                }
            }
        }
    }

    /// After a lost response the number may be too low. It is only for people.
    pub(super) async fn delete_old_credentials(&self, at: Timestamp, idle_since: Timestamp) -> Result<u64, StoreError> {
        let arguments = ExpiredArguments { until: row::nanoseconds(at), idle_since: row::nanoseconds(idle_since) };
        let answer: Gone = calls::call_again(&self.inner.db, DELETE_EXPIRED, arguments).await?;
        row::unsigned(answer.gone)
    }
}
