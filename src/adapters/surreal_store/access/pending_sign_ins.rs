//! Sign-ins that wait for a second factor.

use jiff::Timestamp;
use kastrel_actors::model::{
    DomainEvent, FactorUse, NewSecondFactor, PendingSignIn, Principal, SecretDigest, Session, SignInEnd,
};
use kastrel_actors::policy::second_factor::MOST_PENDING_SIGN_INS;
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::super::calls;
use super::super::event::{EventRows, write_event};
use super::super::row;
use super::super::store::SurrealStore;
use super::Key;
use super::keys::{account_key, factor_key, pending_key, session_key};
use super::renewal::{RenewalRow, end_sign_ins};
use super::second_factors::{NewFactorRow, accept_use, tries, use_of, write_events, write_factor, write_use};
use super::sessions::{SessionRow, write_session};

/// The columns of a pending sign-in.
#[derive(Debug, Clone, SurrealValue)]
struct PendingRow {
    digest: String,
    account: String,
    expires_at: i64,
    tries: i64,
}

#[derive(Debug, SurrealValue)]
struct OnePending {
    found: Option<PendingRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct CreateArguments {
    pending: RecordId,
    row: PendingRow,
    others: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct LookArguments {
    pending: RecordId,
    until: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct FinishArguments {
    pending: RecordId,
    until: i64,
    factor: RecordId,
    name: String,
    step: Option<i64>,
    recovery: Option<RecordId>,
    key: RecordId,
    row: SessionRow,
    events: Vec<EventRows>,
}

#[derive(Debug, Clone, SurrealValue)]
struct EnrolArguments {
    pending: RecordId,
    until: i64,
    of_account: RecordId,
    factor: RecordId,
    name: String,
    new: NewFactorRow,
    renewal: Option<RenewalRow>,
    key: RecordId,
    row: SessionRow,
    events: Vec<EventRows>,
}

/// How a sign-in ended.
#[derive(Debug, SurrealValue)]
pub(super) struct EndAnswer {
    has_sign_in: bool,
    is_started: bool,
}

/// The secret of a pending sign-in is random, so a row with its digest is that of an earlier, equal
/// call. The new one stays, and of the others of the account the latest `$others`.
const CREATE: &str = "
    BEGIN;
    IF (SELECT VALUE digest FROM ONLY $pending) = NONE {
        CREATE $pending SET digest = $row.digest, account = $row.account, expires_at = $row.expires_at, tries = $row.tries RETURN NONE;
        LET $rows = SELECT id, expires_at FROM pending_sign_in WHERE account = $row.account AND digest != $row.digest
            ORDER BY expires_at DESC LIMIT 1000 START $others;
        FOR $old IN $rows { DELETE $old.id RETURN NONE; };
    };
    COMMIT;";

const PENDING: &str =
    "RETURN { found: (SELECT digest, account, expires_at, tries FROM ONLY $pending WHERE expires_at > $until) };";

const TRY: &str = "
    BEGIN;
    UPDATE $pending SET tries += 1 WHERE expires_at > $until RETURN NONE;
    RETURN { found: (SELECT digest, account, expires_at, tries FROM ONLY $pending WHERE expires_at > $until) };
    COMMIT;";

const END: &str = "BEGIN; DELETE $key RETURN NONE; COMMIT;";

/// Of two calls with one pending sign-in, both delete it; of two with one code, both write the row
/// of the factor or delete that of the recovery code. The engine fails one of them. A repeated call
/// finds its own session, whose secret is random. What ends the sessions of the account deletes its
/// pending sign-ins too, so a pending sign-in that exists says that neither the password nor the
/// account changed.
const FINISH: &str = concat!(
    "
    BEGIN;
    LET $is_done = (SELECT VALUE digest FROM ONLY $key) != NONE;
    LET $has_sign_in = (SELECT VALUE account FROM ONLY $pending WHERE expires_at > $until) = $name;
    ",
    accept_use!(),
    "
    LET $is_new = !$is_done AND $has_sign_in AND $is_accepted;
    IF $is_new {
        DELETE $pending RETURN NONE;
        ",
    write_use!(),
    write_session!(),
    write_events!(),
    "
    };
    RETURN { has_sign_in: $has_sign_in, is_started: $is_done OR $is_new };
    COMMIT;"
);

/// As for [`FINISH`]. Of two enrolments of an account at once, both create the row of the factor.
const ENROL: &str = concat!(
    "
    BEGIN;
    LET $is_done = (SELECT VALUE digest FROM ONLY $key) != NONE;
    LET $has_sign_in = (SELECT VALUE account FROM ONLY $pending WHERE expires_at > $until) = $name;
    LET $has_account = (SELECT VALUE name FROM ONLY $of_account) != NONE;
    LET $has_factor = (SELECT VALUE account FROM ONLY $factor) != NONE;
    LET $is_new = !$is_done AND $has_sign_in AND $has_account AND !$has_factor;
    IF $is_new {
        ",
    write_factor!(),
    end_sign_ins!(),
    write_session!(),
    write_events!(),
    "
    };
    RETURN { has_sign_in: $has_sign_in, is_started: $is_done OR $is_new };
    COMMIT;"
);

impl PendingRow {
    fn into_pending(self) -> Result<PendingSignIn, StoreError> {
        Ok(PendingSignIn {
            key: self.digest.parse().map_err(row::corrupt)?,
            account: self.account.parse().map_err(row::corrupt)?,
            expires_at: row::timestamp(self.expires_at)?,
            tries: tries(self.tries),
        })
    }
}

impl EndAnswer {
    pub(super) const fn end(&self) -> SignInEnd {
        match self {
            Self { is_started: true, .. } => SignInEnd::Started,
            Self { has_sign_in: true, .. } => SignInEnd::Refused,
            Self { .. } => SignInEnd::NoSignIn,
        }
    }
}

impl SurrealStore {
    pub(super) async fn add_pending(&self, pending: PendingSignIn) -> Result<(), StoreError> {
        let PendingSignIn { key, account, expires_at, tries } = pending;
        let new = PendingRow {
            digest: key.to_string(),
            account: account.to_string(),
            expires_at: row::nanoseconds(expires_at),
            tries: tries.into(),
        };
        let arguments =
            CreateArguments { pending: pending_key(key), row: new, others: row::at_most(MOST_PENDING_SIGN_INS - 1) };
        Ok(calls::execute_again(&self.inner.db, CREATE, arguments).await?)
    }

    pub(super) async fn read_pending(
        &self,
        key: SecretDigest,
        at: Timestamp,
    ) -> Result<Option<PendingSignIn>, StoreError> {
        let arguments = LookArguments { pending: pending_key(key), until: row::nanoseconds(at) };
        let OnePending { found } = calls::call_again(&self.inner.db, PENDING, arguments).await?;
        found.map(PendingRow::into_pending).transpose()
    }

    pub(super) async fn count_sign_in_try(
        &self,
        key: SecretDigest,
        at: Timestamp,
    ) -> Result<Option<PendingSignIn>, StoreError> {
        let arguments = LookArguments { pending: pending_key(key), until: row::nanoseconds(at) };
        let OnePending { found } = calls::call_again(&self.inner.db, TRY, arguments).await?;
        found.map(PendingRow::into_pending).transpose()
    }

    pub(super) async fn delete_pending(&self, key: SecretDigest) -> Result<(), StoreError> {
        Ok(calls::execute_again(&self.inner.db, END, Key { key: pending_key(key) }).await?)
    }

    pub(super) async fn finish_with_code(
        &self,
        key: SecretDigest,
        used: FactorUse,
        session: Session,
    ) -> Result<SignInEnd, StoreError> {
        let by = Principal::User(session.account.clone());
        let parts = use_of(&session.account, used)?;
        let arguments = FinishArguments {
            pending: pending_key(key),
            until: row::nanoseconds(session.created_at),
            factor: factor_key(&session.account),
            name: session.account.to_string(),
            step: parts.step,
            recovery: parts.recovery,
            events: self.all_audited(parts.event.into_iter().chain([session.signed_in()]), &by)?,
            key: session_key(session.key),
            row: SessionRow::new(session),
        };
        let answer: EndAnswer = calls::call_again(&self.inner.db, FINISH, arguments).await?;
        Ok(answer.end())
    }

    pub(super) async fn finish_with_factor(
        &self,
        key: SecretDigest,
        factor: NewSecondFactor,
        session: Session,
    ) -> Result<SignInEnd, StoreError> {
        let by = Principal::User(session.account.clone());
        let added = DomainEvent::SecondFactorAdded { account: session.account.clone() };
        let arguments = EnrolArguments {
            pending: pending_key(key),
            until: row::nanoseconds(session.created_at),
            of_account: account_key(&session.account),
            factor: factor_key(&session.account),
            name: session.account.to_string(),
            new: NewFactorRow::new(factor)?,
            renewal: None,
            events: self.all_audited([added, session.signed_in()], &by)?,
            key: session_key(session.key),
            row: SessionRow::new(session),
        };
        let answer: EndAnswer = calls::call_again(&self.inner.db, ENROL, arguments).await?;
        Ok(answer.end())
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{AccountKind, AccountName, AuditQuery, NewAccount};
    use kastrel_actors::ports::{AccessStore as _, AuditLog as _, SecondFactorStore as _};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    const fn digest(byte: u8) -> SecretDigest {
        SecretDigest::new([byte; 32])
    }

    fn ana() -> AccountName {
        "ana".parse().unwrap()
    }

    fn factor() -> NewSecondFactor {
        NewSecondFactor {
            account: ana(),
            sealed_secret: "sealed".into(),
            last_step: 40,
            recovery_codes: vec![digest(1)],
            created_at: at(0),
        }
    }

    fn session(byte: u8) -> Session {
        Session {
            key: digest(byte),
            account: ana(),
            created_at: at(1),
            used_at: at(1),
            expires_at: at(1000),
            address: "::1".into(),
            agent: String::new(),
            with_provider: false,
        }
    }

    async fn with_pending(keys: &[u8]) -> SurrealStore {
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
        for key in keys {
            let pending = PendingSignIn { key: digest(*key), account: ana(), expires_at: at(300), tries: 0 };
            store.create_pending_sign_in(pending).await.unwrap();
        }
        store
    }

    /// The same calls with the same arguments, as after a lost answer.
    #[tokio::test]
    async fn repeated_end_of_a_sign_in_recognizes_its_own_session() {
        let store = with_pending(&[5, 6]).await;
        let by = Principal::User(ana());
        let enrolment = EnrolArguments {
            pending: pending_key(digest(5)),
            until: row::nanoseconds(at(1)),
            of_account: account_key(&ana()),
            factor: factor_key(&ana()),
            name: "ana".into(),
            new: NewFactorRow::new(factor()).unwrap(),
            renewal: None,
            events: store.all_audited([session(7).signed_in()], &by).unwrap(),
            key: session_key(digest(7)),
            row: SessionRow::new(session(7)),
        };
        for _ in 0..2 {
            let answer: EndAnswer = calls::call_again(&store.inner.db, ENROL, enrolment.clone()).await.unwrap();
            assert_eq!(answer.end(), SignInEnd::Started);
        }
        let pending = PendingSignIn { key: digest(6), account: ana(), expires_at: at(300), tries: 0 };
        store.create_pending_sign_in(pending).await.unwrap();
        let parts = use_of(&ana(), FactorUse::RecoveryCode(digest(1))).unwrap();
        let code = FinishArguments {
            pending: pending_key(digest(6)),
            until: row::nanoseconds(at(1)),
            factor: factor_key(&ana()),
            name: "ana".into(),
            step: parts.step,
            recovery: parts.recovery,
            events: store.all_audited([session(8).signed_in()], &by).unwrap(),
            key: session_key(digest(8)),
            row: SessionRow::new(session(8)),
        };
        for _ in 0..2 {
            let answer: EndAnswer = calls::call_again(&store.inner.db, FINISH, code.clone()).await.unwrap();
            assert_eq!(answer.end(), SignInEnd::Started);
        }
        assert_eq!(store.sessions(&ana()).await.unwrap().len(), 2);
        assert_eq!(
            store.audit(&AuditQuery::newest(9)).await.unwrap().entries.len(),
            3,
            "account_created, and two sign-ins"
        );
    }
}
