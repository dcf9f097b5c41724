//! Second factors and recovery codes.
//!
//! Two uses of one code at once both write the row of the factor, or both delete the row of the
//! recovery code, so the engine fails one of them, which then finds that its code was used.

use kastrel_actors::model::{
    AccountName, DomainEvent, FactorChange, FactorUse, NewSecondFactor, Principal, SecondFactor, SecretDigest,
    SessionRenewal,
};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::super::calls;
use super::super::event::{EventRows, write_event};
use super::super::row;
use super::super::store::SurrealStore;
use super::keys::{account_key, factor_key, recovery_key};
use super::renewal::{RenewalRow, end_sign_ins};
use super::{Changed, Key};

/// A second factor as `factor_columns` reads it.
#[derive(Debug, SurrealValue)]
struct FactorRow {
    secret: String,
    created_at: i64,
    last_step: i64,
    tries: i64,
    recovery_codes: i64,
}

#[derive(Debug, SurrealValue)]
struct OneFactor {
    found: Option<FactorRow>,
}

/// A recovery code to create.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct NewCode {
    key: RecordId,
    digest: String,
}

/// A second factor to create, as `$new` of [`write_factor`].
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct NewFactorRow {
    secret: String,
    created_at: i64,
    last_step: i64,
    made_by: String,
    codes: Vec<NewCode>,
}

#[derive(Debug, Clone, SurrealValue)]
struct AddArguments {
    of_account: RecordId,
    factor: RecordId,
    name: String,
    new: NewFactorRow,
    renewal: Option<RenewalRow>,
    events: Vec<EventRows>,
}

#[derive(Debug, Clone, SurrealValue)]
struct RemoveArguments {
    factor: RecordId,
    name: String,
    is_forced: bool,
    step: Option<i64>,
    recovery: Option<RecordId>,
    renewal: Option<RenewalRow>,
    events: Vec<EventRows>,
}

#[derive(Debug, Clone, SurrealValue)]
struct UseArguments {
    factor: RecordId,
    step: Option<i64>,
    recovery: Option<RecordId>,
    events: Vec<EventRows>,
}

#[derive(Debug, Clone, SurrealValue)]
struct ReplaceArguments {
    factor: RecordId,
    name: String,
    step: Option<i64>,
    recovery: Option<RecordId>,
    codes: Vec<NewCode>,
    renewal: Option<RenewalRow>,
    events: Vec<EventRows>,
}

#[derive(Debug, SurrealValue)]
struct ChangeAnswer {
    is_known: bool,
    is_changed: bool,
}

/// The columns of a [`FactorRow`]. `!` is less than each character of an account name, so the range
/// has the codes of this account alone.
macro_rules! factor_columns {
    () => {
        "secret, created_at, last_step, tries,
        array::len((SELECT VALUE digest FROM recovery_code:[$parent.account]..[$parent.account + '!'])) AS recovery_codes"
    };
}

/// Creates the factor `$new` of the account `$name` within a transaction.
macro_rules! write_factor {
    () => {
        "CREATE $factor SET
            account = $name, secret = $new.secret, created_at = $new.created_at, last_step = $new.last_step, tries = 0, made_by = $new.made_by
            RETURN NONE;
        FOR $code IN $new.codes { CREATE $code.key SET account = $name, digest = $code.digest RETURN NONE; };"
    };
}
pub(super) use write_factor;

/// Sets `$is_accepted` within a transaction: whether a use of the factor is accepted. That is a
/// step after the last one, or a recovery code that exists.
macro_rules! accept_use {
    () => {
        "LET $last_step = SELECT VALUE last_step FROM ONLY $factor;
        LET $is_accepted = IF $last_step = NONE { false }
            ELSE IF $recovery != NONE { (SELECT VALUE digest FROM ONLY $recovery) != NONE }
            ELSE IF $step != NONE { $step > $last_step }
            ELSE { false };"
    };
}
pub(super) use accept_use;

/// Writes a use that was accepted, within a transaction.
macro_rules! write_use {
    () => {
        "UPDATE $factor SET last_step = $step ?? $last_step, tries = 0 RETURN NONE;
        IF $recovery != NONE { DELETE $recovery RETURN NONE; };"
    };
}
pub(super) use write_use;

/// Writes `$events` within a transaction.
macro_rules! write_events {
    () => {
        concat!("FOR $event IN $events { ", write_event!(), " };")
    };
}
pub(super) use write_events;

const FACTOR: &str = concat!("RETURN { found: (SELECT ", factor_columns!(), " FROM ONLY $key) };");

const TRY: &str = concat!(
    "
    BEGIN;
    UPDATE $key SET tries += 1 RETURN NONE;
    RETURN { found: (SELECT ",
    factor_columns!(),
    " FROM ONLY $key) };
    COMMIT;"
);

/// A repeated call finds its own row by `made_by`.
const ADD: &str = concat!(
    "
    BEGIN;
    LET $has_account = (SELECT VALUE name FROM ONLY $of_account) != NONE;
    LET $maker = SELECT VALUE made_by FROM ONLY $factor;
    LET $is_new = $has_account AND $maker = NONE;
    IF $is_new { ",
    write_factor!(),
    end_sign_ins!(),
    write_events!(),
    " };
    RETURN { changed: $is_new OR $maker = $new.made_by };
    COMMIT;"
);

const REMOVE: &str = concat!(
    "
    BEGIN;
    ",
    accept_use!(),
    "
    LET $is_changed = $last_step != NONE AND ($is_forced OR $is_accepted);
    IF $is_changed {
        DELETE $factor RETURN NONE;
        DELETE recovery_code:[$name]..[$name + '!'] RETURN NONE;
        ",
    end_sign_ins!(),
    write_events!(),
    "
    };
    RETURN { is_known: $last_step != NONE, is_changed: $is_changed };
    COMMIT;"
);

const USE: &str = concat!(
    "
    BEGIN;
    ",
    accept_use!(),
    "
    IF $is_accepted { ",
    write_use!(),
    write_events!(),
    " };
    RETURN { is_known: $last_step != NONE, is_changed: $is_accepted };
    COMMIT;"
);

/// The digests of the new codes are random, so a repeated call finds its effect by the first of
/// them.
const REPLACE: &str = concat!(
    "
    BEGIN;
    LET $is_done = array::len($codes) > 0 AND (SELECT VALUE digest FROM ONLY $codes[0].key) != NONE;
    ",
    accept_use!(),
    "
    IF !$is_done AND $is_accepted {
        ",
    write_use!(),
    "
        DELETE recovery_code:[$name]..[$name + '!'] RETURN NONE;
        FOR $code IN $codes { CREATE $code.key SET account = $name, digest = $code.digest RETURN NONE; };
        ",
    end_sign_ins!(),
    write_events!(),
    "
    };
    RETURN { is_known: $last_step != NONE, is_changed: $is_done OR $is_accepted };
    COMMIT;"
);

/// The arguments of the use of a factor: its step, or the key of its recovery code; and its event.
pub(super) fn use_of(account: &AccountName, used: FactorUse) -> Result<UseParts, StoreError> {
    Ok(match used {
        FactorUse::Step(step) => UseParts { step: Some(row::signed(step)?), recovery: None, event: None },
        FactorUse::RecoveryCode(code) => UseParts {
            step: None,
            recovery: Some(recovery_key(account, code)),
            event: Some(DomainEvent::RecoveryCodeUsed { account: account.clone() }),
        },
    })
}

/// See [`use_of`].
#[derive(Debug, Default)]
pub(super) struct UseParts {
    pub(super) step: Option<i64>,
    pub(super) recovery: Option<RecordId>,
    pub(super) event: Option<DomainEvent>,
}

fn new_codes(account: &AccountName, codes: &[SecretDigest]) -> Vec<NewCode> {
    codes.iter().map(|code| NewCode { key: recovery_key(account, *code), digest: code.to_string() }).collect()
}

impl NewFactorRow {
    pub(super) fn new(factor: NewSecondFactor) -> Result<Self, StoreError> {
        let NewSecondFactor { account, sealed_secret, last_step, recovery_codes, created_at } = factor;
        Ok(Self {
            secret: sealed_secret,
            created_at: row::nanoseconds(created_at),
            last_step: row::signed(last_step)?,
            made_by: uuid::Uuid::new_v4().to_string(),
            codes: new_codes(&account, &recovery_codes),
        })
    }
}

impl FactorRow {
    fn into_factor(self) -> Result<SecondFactor, StoreError> {
        Ok(SecondFactor {
            sealed_secret: self.secret,
            created_at: row::timestamp(self.created_at)?,
            last_step: row::unsigned(self.last_step)?,
            tries: tries(self.tries),
            recovery_codes: row::unsigned(self.recovery_codes)?,
        })
    }
}

impl ChangeAnswer {
    /// `is_unanswered` is true after a lost response: the factor that is gone was removed by this
    /// call.
    const fn change(&self, is_unanswered: bool) -> FactorChange {
        match self {
            Self { is_changed: true, .. } => FactorChange::Changed,
            Self { is_known: false, .. } if is_unanswered => FactorChange::Changed,
            Self { is_known: false, .. } => FactorChange::NoFactor,
            Self { .. } => FactorChange::Refused,
        }
    }
}

/// Returns a number of tries as it is stored.
pub(super) fn tries(stored: i64) -> u32 {
    u32::try_from(stored.max(0)).unwrap_or(u32::MAX)
}

impl SurrealStore {
    /// The rows of several events of the audit log.
    pub(super) fn all_audited(
        &self,
        events: impl IntoIterator<Item = DomainEvent>,
        by: &Principal,
    ) -> Result<Vec<EventRows>, StoreError> {
        events.into_iter().map(|event| self.audited(&event, by)).collect()
    }

    pub(super) async fn read_factor(&self, account: &AccountName) -> Result<Option<SecondFactor>, StoreError> {
        let key = Key { key: factor_key(account) };
        let OneFactor { found } = calls::call_again(&self.inner.db, FACTOR, key).await?;
        found.map(FactorRow::into_factor).transpose()
    }

    pub(super) async fn count_factor_try(&self, account: &AccountName) -> Result<Option<SecondFactor>, StoreError> {
        let key = Key { key: factor_key(account) };
        let OneFactor { found } = calls::call_again(&self.inner.db, TRY, key).await?;
        found.map(FactorRow::into_factor).transpose()
    }

    pub(super) async fn add_factor(
        &self,
        factor: NewSecondFactor,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let account = factor.account.clone();
        let arguments = AddArguments {
            of_account: account_key(&account),
            factor: factor_key(&account),
            name: account.to_string(),
            new: NewFactorRow::new(factor)?,
            renewal: renewal.map(RenewalRow::from),
            events: self.all_audited([DomainEvent::SecondFactorAdded { account }], by)?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, ADD, arguments).await?;
        Ok(answer.changed)
    }

    pub(super) async fn delete_factor(
        &self,
        account: &AccountName,
        used: Option<FactorUse>,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        let is_forced = used.is_none();
        let parts = used.map(|used| use_of(account, used)).transpose()?.unwrap_or_default();
        let removed = DomainEvent::SecondFactorRemoved { account: account.clone() };
        let arguments = RemoveArguments {
            factor: factor_key(account),
            name: account.to_string(),
            is_forced,
            step: parts.step,
            recovery: parts.recovery,
            renewal: renewal.map(RenewalRow::from),
            events: self.all_audited(parts.event.into_iter().chain([removed]), by)?,
        };
        let (answer, is_unanswered) =
            calls::call_again_noting_loss::<ChangeAnswer>(&self.inner.db, REMOVE, arguments).await?;
        Ok(answer.change(is_unanswered))
    }

    pub(super) async fn use_factor(
        &self,
        account: &AccountName,
        used: FactorUse,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        let UseParts { step, recovery, event } = use_of(account, used)?;
        let events = self.all_audited(event, by)?;
        let arguments = UseArguments { factor: factor_key(account), step, recovery, events };
        let answer: ChangeAnswer = calls::call_again(&self.inner.db, USE, arguments).await?;
        Ok(answer.change(false))
    }

    pub(super) async fn replace_codes(
        &self,
        account: &AccountName,
        used: FactorUse,
        codes: &[SecretDigest],
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        let parts = use_of(account, used)?;
        let created = DomainEvent::RecoveryCodesCreated { account: account.clone() };
        let arguments = ReplaceArguments {
            factor: factor_key(account),
            name: account.to_string(),
            step: parts.step,
            recovery: parts.recovery,
            codes: new_codes(account, codes),
            renewal: renewal.map(RenewalRow::from),
            events: self.all_audited(parts.event.into_iter().chain([created]), by)?,
        };
        let answer: ChangeAnswer = calls::call_again(&self.inner.db, REPLACE, arguments).await?;
        Ok(answer.change(false))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_actors::model::{AccountKind, AuditQuery, NewAccount, Session};
    use kastrel_actors::ports::{AccessStore as _, AuditLog as _, SecondFactorStore as _};

    use super::*;

    fn session(account: &AccountName, byte: u8) -> Session {
        Session {
            key: SecretDigest::new([byte; 32]),
            account: account.clone(),
            created_at: Timestamp::UNIX_EPOCH,
            used_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::from_second(1000).unwrap(),
            address: "::1".into(),
            agent: "Browser".into(),
            with_provider: false,
        }
    }

    /// The same calls with the same arguments, as after a lost answer.
    #[tokio::test]
    async fn repeated_change_of_a_factor_recognizes_its_own_effect() {
        let store = SurrealStore::in_memory().await.unwrap();
        let ana: AccountName = "ana".parse().unwrap();
        let new = NewAccount {
            name: ana.clone(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: std::collections::BTreeMap::new(),
        };
        assert!(store.create_account(new, Timestamp::UNIX_EPOCH, &Principal::System).await.unwrap());
        let factor = NewSecondFactor {
            account: ana.clone(),
            sealed_secret: "sealed".into(),
            last_step: 40,
            recovery_codes: vec![SecretDigest::new([1; 32])],
            created_at: Timestamp::UNIX_EPOCH,
        };
        store.create_session(session(&ana, 7)).await.unwrap();
        let renewal = |old, new| {
            let key = |byte| SecretDigest::new([byte; 32]);
            Some(RenewalRow::from(SessionRenewal { old: key(old), new: key(new) }))
        };
        let added = DomainEvent::SecondFactorAdded { account: ana.clone() };
        let arguments = AddArguments {
            of_account: account_key(&ana),
            factor: factor_key(&ana),
            name: "ana".into(),
            new: NewFactorRow::new(factor).unwrap(),
            renewal: renewal(7, 8),
            events: store.all_audited([added], &Principal::System).unwrap(),
        };
        for _ in 0..2 {
            let answer: Changed = calls::call_again(&store.inner.db, ADD, arguments.clone()).await.unwrap();
            assert!(answer.changed);
        }
        let created = DomainEvent::RecoveryCodesCreated { account: ana.clone() };
        let arguments = ReplaceArguments {
            factor: factor_key(&ana),
            name: "ana".into(),
            step: Some(41),
            recovery: None,
            codes: new_codes(&ana, &[SecretDigest::new([2; 32]), SecretDigest::new([3; 32])]),
            renewal: renewal(8, 9),
            events: store.all_audited([created], &Principal::System).unwrap(),
        };
        for _ in 0..2 {
            let answer: ChangeAnswer = calls::call_again(&store.inner.db, REPLACE, arguments.clone()).await.unwrap();
            assert_eq!(answer.change(false), FactorChange::Changed);
        }
        assert_eq!(store.second_factor(&ana).await.unwrap().unwrap().recovery_codes, 2);
        assert_eq!(
            store.audit(&AuditQuery::newest(9)).await.unwrap().entries.len(),
            4,
            "account_created, signed_in, and one entry of each change"
        );
        assert_eq!(store.sessions(&ana).await.unwrap(), [session(&ana, 9)], "it was renewed once by each change");
        let gone = ChangeAnswer { is_known: false, is_changed: false };
        assert_eq!((gone.change(true), gone.change(false)), (FactorChange::Changed, FactorChange::NoFactor));
    }
}
