//! Passkeys and the challenges that they signed: the port [`PasskeyStore`].
//!
//! Two additions at once both write `counter:passkeys`, and two uses of one challenge both create
//! its row, so the engine fails one of them, which is then repeated and finds the effect of the
//! other. A call that is repeated after a lost response finds its own effect by `made_by`, or by
//! its session.

use async_trait::async_trait;
use kastrel_actors::model::{
    AccountName, DomainEvent, Passkey, PasskeyAddition, PasskeyId, PasskeyUse, Principal, SecretDigest, Session,
    SessionRenewal, SignInEnd, SignedChallenge,
};
use kastrel_actors::ports::{PasskeyStore, StoreError};
use surrealdb::types::{RecordId, SurrealValue};

use super::super::calls::{self, Tries};
use super::super::error::Failure;
use super::super::event::{EventRows, write_event};
use super::super::row;
use super::super::store::SurrealStore;
use super::keys::{account_key, challenge_key, factor_key, passkey_key, passkey_owner_key, pending_key, session_key};
use super::pending_sign_ins::EndAnswer;
use super::renewal::{RenewalRow, end_sign_ins};
use super::second_factors::write_events;
use super::sessions::{SessionRow, write_session};
use super::{Changed, Gone, OfAccount};

/// The columns of a passkey.
#[derive(Debug, Clone, SurrealValue)]
struct PasskeyRow {
    name: String,
    account: String,
    label: String,
    user_handle: String,
    credential: String,
    created_at: i64,
    used_at: Option<i64>,
}

#[derive(Debug, SurrealValue)]
struct Rows {
    rows: Vec<PasskeyRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct LookArguments {
    owner: RecordId,
    id: String,
}

#[derive(Debug, SurrealValue)]
struct OnePasskey {
    found: Option<PasskeyRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct AddArguments {
    of_account: RecordId,
    key: RecordId,
    owner: RecordId,
    name: String,
    row: PasskeyRow,
    challenge: RecordId,
    expires_at: i64,
    most: i64,
    made_by: String,
    renewal: Option<RenewalRow>,
    events: Vec<EventRows>,
}

#[derive(Debug, SurrealValue)]
struct AddAnswer {
    is_added: bool,
    has_account: bool,
    is_used: bool,
    is_taken: bool,
}

#[derive(Debug, Clone, SurrealValue)]
struct RenameArguments {
    key: RecordId,
    label: String,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct RemoveArguments {
    key: RecordId,
    owner: RecordId,
    name: String,
    renewal: Option<RenewalRow>,
    events: Vec<EventRows>,
}

#[derive(Debug, Clone, SurrealValue)]
struct UseArguments {
    passkey: RecordId,
    challenge: RecordId,
    expires_at: i64,
    before: String,
    after: String,
    used_at: i64,
    made_by: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct SignInArguments {
    passkey: RecordId,
    challenge: RecordId,
    expires_at: i64,
    before: String,
    after: String,
    used_at: i64,
    made_by: String,
    of_account: RecordId,
    name: String,
    pending: Option<RecordId>,
    until: i64,
    key: RecordId,
    row: SessionRow,
    events: Vec<EventRows>,
}

#[derive(Debug, Clone, SurrealValue)]
struct RemoveAllArguments {
    name: String,
    factor: RecordId,
    factors: i64,
    keys: Vec<RecordId>,
    owners: Vec<RecordId>,
    count: i64,
    renewal: Option<RenewalRow>,
    events: Vec<EventRows>,
}

macro_rules! passkey_columns {
    () => {
        "name, account, label, user_handle, credential, created_at, used_at"
    };
}

/// Notes the use `$passkey`, `$challenge` within a transaction.
macro_rules! write_passkey_use {
    () => {
        "CREATE $challenge SET expires_at = $expires_at, made_by = $made_by RETURN NONE;
        UPDATE $passkey SET credential = $after, used_at = $used_at RETURN NONE;"
    };
}

/// `!` is less than each character of an account name, so the range has the passkeys of this
/// account alone.
const OF_ACCOUNT: &str =
    concat!("RETURN { rows: (SELECT ", passkey_columns!(), " FROM passkey:[$name]..[$name + '!']) };");

const PASSKEY: &str = concat!(
    "RETURN { found: (SELECT ",
    passkey_columns!(),
    " FROM ONLY passkey:[(SELECT VALUE account FROM ONLY $owner), $id]) };"
);

/// Two additions see the same number of passkeys, so each of them also writes `counter:passkeys`.
const ADD: &str = concat!(
    "
    BEGIN;
    LET $is_done = (SELECT VALUE made_by FROM ONLY $key) = $made_by;
    LET $has_account = (SELECT VALUE name FROM ONLY $of_account) != NONE;
    LET $is_used = (SELECT VALUE made_by FROM ONLY $challenge) != NONE;
    LET $is_taken = (SELECT VALUE account FROM ONLY $owner) != NONE;
    LET $others = SELECT VALUE name FROM passkey:[$name]..[$name + '!'];
    LET $is_new = !$is_done AND $has_account AND !$is_used AND !$is_taken AND array::len($others) < $most;
    IF $is_new {
        UPSERT counter:passkeys SET value = (value ?? 0) + 1 RETURN NONE;
        CREATE $challenge SET expires_at = $expires_at, made_by = $made_by RETURN NONE;
        CREATE $owner SET account = $name RETURN NONE;
        CREATE $key SET
            name = $row.name, account = $row.account, label = $row.label, user_handle = $row.user_handle, credential = $row.credential,
            created_at = $row.created_at, used_at = $row.used_at, made_by = $made_by
            RETURN NONE;
        ",
    end_sign_ins!(),
    write_events!(),
    "
    };
    RETURN { is_added: $is_done OR $is_new, has_account: $has_account, is_used: $is_used, is_taken: $is_taken };
    COMMIT;"
);

const RENAME: &str = concat!(
    "
    BEGIN;
    LET $before = SELECT VALUE label FROM ONLY $key;
    IF $before != NONE AND $before != $label {
        UPDATE $key SET label = $label RETURN NONE;
        ",
    write_event!(),
    "
    };
    RETURN { changed: $before != NONE };
    COMMIT;"
);

const REMOVE: &str = concat!(
    "
    BEGIN;
    LET $gone = DELETE $key RETURN BEFORE;
    IF array::len($gone) > 0 {
        DELETE $owner RETURN NONE;
        ",
    end_sign_ins!(),
    write_events!(),
    "
    };
    RETURN { gone: array::len($gone) };
    COMMIT;"
);

const USE: &str = concat!(
    "
    BEGIN;
    LET $maker = SELECT VALUE made_by FROM ONLY $challenge;
    LET $is_new = $maker = NONE AND (SELECT VALUE credential FROM ONLY $passkey) = $before;
    IF $is_new { ",
    write_passkey_use!(),
    " };
    RETURN { changed: $is_new OR $maker = $made_by };
    COMMIT;"
);

/// FOR UPDATE makes the commit fail if the account is disabled in the meantime.
const SIGN_IN: &str = concat!(
    "
    BEGIN;
    LET $is_done = (SELECT VALUE digest FROM ONLY $key) != NONE;
    LET $has_sign_in = IF $pending = NONE { true }
        ELSE { (SELECT VALUE account FROM ONLY $pending WHERE expires_at > $until) = $name };
    LET $is_active = (SELECT VALUE is_disabled FROM ONLY $of_account FOR UPDATE) = false;
    LET $is_unused = (SELECT VALUE made_by FROM ONLY $challenge) = NONE;
    LET $is_same = (SELECT VALUE credential FROM ONLY $passkey) = $before;
    LET $is_new = !$is_done AND $has_sign_in AND $is_active AND $is_unused AND $is_same;
    IF $is_new {
        IF $pending != NONE { DELETE $pending RETURN NONE; };
        ",
    write_passkey_use!(),
    write_session!(),
    write_events!(),
    "
    };
    RETURN { has_sign_in: $has_sign_in, is_started: $is_done OR $is_new };
    COMMIT;"
);

/// The events name what was there at the read, so nothing is deleted if that has changed.
const REMOVE_ALL: &str = concat!(
    "
    BEGIN;
    LET $gone = DELETE $keys RETURN BEFORE;
    LET $gone_factor = DELETE $factor RETURN BEFORE;
    IF array::len($gone) != $count OR array::len($gone_factor) != $factors { THROW 'the factors have changed' };
    DELETE $owners RETURN NONE;
    DELETE recovery_code:[$name]..[$name + '!'] RETURN NONE;
    ",
    end_sign_ins!(),
    write_events!(),
    "
    RETURN { changed: true };
    COMMIT;"
);

impl PasskeyRow {
    fn new(passkey: Passkey) -> Self {
        let Passkey { id, account, label, user_handle, credential, created_at, used_at } = passkey;
        Self {
            name: id.to_string(),
            account: account.to_string(),
            label,
            user_handle,
            credential,
            created_at: row::nanoseconds(created_at),
            used_at: used_at.map(row::nanoseconds),
        }
    }

    fn into_passkey(self) -> Result<Passkey, StoreError> {
        Ok(Passkey {
            id: self.name.parse().map_err(row::corrupt)?,
            account: self.account.parse().map_err(row::corrupt)?,
            label: self.label,
            user_handle: self.user_handle,
            credential: self.credential,
            created_at: row::timestamp(self.created_at)?,
            used_at: self.used_at.map(row::timestamp).transpose()?,
        })
    }
}

impl AddAnswer {
    const fn addition(&self) -> PasskeyAddition {
        match self {
            Self { is_added: true, .. } => PasskeyAddition::Added,
            Self { has_account: false, .. } => PasskeyAddition::NoAccount,
            Self { is_used: true, .. } => PasskeyAddition::Used,
            Self { is_taken: true, .. } => PasskeyAddition::Taken,
            Self { .. } => PasskeyAddition::TooMany,
        }
    }
}

impl UseArguments {
    fn new(used: PasskeyUse) -> Self {
        let PasskeyUse { id, account, challenge, before, after, at } = used;
        Self {
            passkey: passkey_key(&account, &id),
            challenge: challenge_key(challenge.digest),
            expires_at: row::nanoseconds(challenge.expires_at),
            before,
            after,
            used_at: row::nanoseconds(at),
            made_by: uuid::Uuid::new_v4().to_string(),
        }
    }
}

impl SurrealStore {
    async fn passkeys_of(&self, account: &AccountName) -> Result<Vec<Passkey>, StoreError> {
        let name = OfAccount { name: account.to_string() };
        let Rows { rows } = calls::call_again(&self.inner.db, OF_ACCOUNT, name).await?;
        let mut all = rows.into_iter().map(PasskeyRow::into_passkey).collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|passkey| (passkey.created_at, passkey.id.clone()));
        Ok(all)
    }
}

#[async_trait]
impl PasskeyStore for SurrealStore {
    async fn passkeys(&self, account: &AccountName) -> Result<Vec<Passkey>, StoreError> {
        self.passkeys_of(account).await
    }

    async fn passkey(&self, id: &PasskeyId) -> Result<Option<Passkey>, StoreError> {
        let arguments = LookArguments { owner: passkey_owner_key(id), id: id.to_string() };
        let OnePasskey { found } = calls::call_again(&self.inner.db, PASSKEY, arguments).await?;
        found.map(PasskeyRow::into_passkey).transpose()
    }

    async fn add_passkey(
        &self,
        passkey: Passkey,
        challenge: SignedChallenge,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<PasskeyAddition, StoreError> {
        let (account, id) = (passkey.account.clone(), passkey.id.clone());
        let arguments = AddArguments {
            of_account: account_key(&account),
            key: passkey_key(&account, &id),
            owner: passkey_owner_key(&id),
            name: account.to_string(),
            row: PasskeyRow::new(passkey),
            challenge: challenge_key(challenge.digest),
            expires_at: row::nanoseconds(challenge.expires_at),
            most: row::at_most(Passkey::MOST),
            made_by: uuid::Uuid::new_v4().to_string(),
            renewal: renewal.map(RenewalRow::from),
            events: self.all_audited([DomainEvent::PasskeyAdded { account, passkey: id }], by)?,
        };
        let answer: AddAnswer = calls::call_again(&self.inner.db, ADD, arguments).await?;
        Ok(answer.addition())
    }

    async fn rename_passkey(
        &self,
        account: &AccountName,
        id: &PasskeyId,
        label: &str,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let event = DomainEvent::PasskeyRenamed { account: account.clone(), passkey: id.clone() };
        let arguments = RenameArguments {
            key: passkey_key(account, id),
            label: label.to_owned(),
            event: self.audited(&event, by)?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, RENAME, arguments).await?;
        Ok(answer.changed)
    }

    async fn remove_passkey(
        &self,
        account: &AccountName,
        id: &PasskeyId,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        if !self.passkeys_of(account).await?.iter().any(|passkey| passkey.id == *id) {
            return Ok(false);
        }
        let event = DomainEvent::PasskeyRemoved { account: account.clone(), passkey: id.clone() };
        let arguments = RemoveArguments {
            key: passkey_key(account, id),
            owner: passkey_owner_key(id),
            name: account.to_string(),
            renewal: renewal.map(RenewalRow::from),
            events: self.all_audited([event], by)?,
        };
        let (answer, is_unanswered) = calls::call_again_noting_loss::<Gone>(&self.inner.db, REMOVE, arguments).await?;
        Ok(answer.gone > 0 || is_unanswered)
    }

    async fn use_passkey(&self, used: PasskeyUse) -> Result<bool, StoreError> {
        let answer: Changed = calls::call_again(&self.inner.db, USE, UseArguments::new(used)).await?;
        Ok(answer.changed)
    }

    async fn sign_in_with_passkey(
        &self,
        used: PasskeyUse,
        pending: Option<SecretDigest>,
        session: Session,
    ) -> Result<SignInEnd, StoreError> {
        // The key of the passkey's row has the account of the use.
        if used.account != session.account {
            return Ok(SignInEnd::Refused);
        }
        let by = Principal::User(session.account.clone());
        let event = DomainEvent::PasskeyUsed { account: session.account.clone(), passkey: used.id.clone() };
        let UseArguments { passkey, challenge, expires_at, before, after, used_at, made_by } = UseArguments::new(used);
        let arguments = SignInArguments {
            passkey,
            challenge,
            expires_at,
            before,
            after,
            used_at,
            made_by,
            of_account: account_key(&session.account),
            name: session.account.to_string(),
            pending: pending.map(pending_key),
            until: row::nanoseconds(session.created_at),
            events: self.all_audited([event, session.signed_in()], &by)?,
            key: session_key(session.key),
            row: SessionRow::new(session),
        };
        let answer: EndAnswer = calls::call_again(&self.inner.db, SIGN_IN, arguments).await?;
        Ok(answer.end())
    }

    async fn remove_all_factors(&self, account: &AccountName, by: &Principal) -> Result<bool, StoreError> {
        let (mut tries, mut is_unanswered) = (Tries::default(), false);
        loop {
            let (factor, passkeys) = tokio::try_join!(self.read_factor(account), self.passkeys_of(account))?;
            let of_factor = factor.is_some().then(|| DomainEvent::SecondFactorRemoved { account: account.clone() });
            if of_factor.is_none() && passkeys.is_empty() {
                return Ok(is_unanswered);
            }
            let factors = i64::from(of_factor.is_some());
            let removed = |passkey: &Passkey| DomainEvent::PasskeyRemoved {
                account: account.clone(),
                passkey: passkey.id.clone(),
            };
            let events = of_factor.into_iter().chain(passkeys.iter().map(removed));
            let arguments = RemoveAllArguments {
                name: account.to_string(),
                factor: factor_key(account),
                factors,
                keys: passkeys.iter().map(|passkey| passkey_key(account, &passkey.id)).collect(),
                owners: passkeys.iter().map(|passkey| passkey_owner_key(&passkey.id)).collect(),
                count: row::at_most(passkeys.len()),
                renewal: None,
                events: self.all_audited(events, by)?,
            };
            match calls::call::<Changed>(&self.inner.db, REMOVE_ALL, arguments).await {
                Ok(_) => return Ok(true),
                Err(error) if error.failure() == Failure::Thrown => tries.after_collision().await?,
                Err(error) => {
                    is_unanswered |= error.failure() == Failure::Lost;
                    tries.after(error).await?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_actors::model::{AccountKind, AuditQuery, NewAccount};
    use kastrel_actors::ports::{AccessStore as _, AuditLog as _};

    use super::*;

    /// The same calls with the same arguments, as after a lost answer.
    #[tokio::test]
    async fn repeated_change_of_a_passkey_recognizes_its_own_effect() {
        let store = SurrealStore::in_memory().await.unwrap();
        let ana: AccountName = "ana".parse().unwrap();
        let id: PasskeyId = "0".repeat(32).parse().unwrap();
        let new = NewAccount {
            name: ana.clone(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: std::collections::BTreeMap::new(),
        };
        assert!(store.create_account(new, Timestamp::UNIX_EPOCH, &Principal::System).await.unwrap());
        let passkey = Passkey {
            id: id.clone(),
            account: ana.clone(),
            label: "Phone".into(),
            user_handle: "handle".into(),
            credential: "{}".into(),
            created_at: Timestamp::UNIX_EPOCH,
            used_at: None,
        };
        let added = DomainEvent::PasskeyAdded { account: ana.clone(), passkey: id.clone() };
        let arguments = AddArguments {
            of_account: account_key(&ana),
            key: passkey_key(&ana, &id),
            owner: passkey_owner_key(&id),
            name: "ana".into(),
            row: PasskeyRow::new(passkey),
            challenge: challenge_key(SecretDigest::new([1; 32])),
            expires_at: 300,
            most: 1,
            made_by: "this call".into(),
            renewal: None,
            events: store.all_audited([added], &Principal::System).unwrap(),
        };
        for _ in 0..2 {
            let answer: AddAnswer = calls::call_again(&store.inner.db, ADD, arguments.clone()).await.unwrap();
            assert_eq!(answer.addition(), PasskeyAddition::Added);
        }
        let used = UseArguments::new(PasskeyUse {
            id: id.clone(),
            account: ana.clone(),
            challenge: SignedChallenge {
                digest: SecretDigest::new([2; 32]),
                expires_at: Timestamp::from_second(300).unwrap(),
            },
            before: "{}".into(),
            after: "{\"counter\":1}".into(),
            at: Timestamp::UNIX_EPOCH,
        });
        for _ in 0..2 {
            let answer: Changed = calls::call_again(&store.inner.db, USE, used.clone()).await.unwrap();
            assert!(answer.changed);
        }
        let other = UseArguments { made_by: "another call".into(), ..used };
        let answer: Changed = calls::call_again(&store.inner.db, USE, other).await.unwrap();
        assert!(!answer.changed);
        assert_eq!(store.passkeys(&ana).await.unwrap().len(), 1);
        assert_eq!(store.audit(&AuditQuery::newest(9)).await.unwrap().entries.len(), 2);
    }
}
