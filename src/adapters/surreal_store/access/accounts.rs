//! Accounts and their passwords.

use jiff::Timestamp;
use kastrel_actors::model::{
    Account, AccountChange, AccountChanged, AccountName, DomainEvent, MailAddress, NewAccount, Principal, ServerRole,
    SessionRenewal,
};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::super::calls::{self, Nothing};
use super::super::event::{EventRows, write_event};
use super::super::row;
use super::super::store::SurrealStore;
use super::keys::account_key;
use super::projects::{MemberRow, NewMember, new_members};
use super::renewal::{RenewalRow, end_sign_ins};
use super::{Changed, Key};

/// An account to create, as `$row` of [`write_account`].
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct NewAccountRow {
    key: RecordId,
    name: String,
    kind: String,
    server_role: Option<String>,
    password: Option<String>,
    mail: Option<String>,
    created_at: i64,
    members: Vec<NewMember>,
}

/// An account as [`account_columns`] reads it.
#[derive(Debug, SurrealValue)]
pub(super) struct AccountRow {
    name: String,
    kind: String,
    server_role: Option<String>,
    is_disabled: bool,
    has_password: bool,
    has_second_factor: bool,
    mail: Option<String>,
    created_at: i64,
    members: Vec<MemberRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct CreateArguments {
    row: NewAccountRow,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct Accounts {
    rows: Vec<AccountRow>,
}

#[derive(Debug, SurrealValue)]
struct OneAccount {
    found: Option<AccountRow>,
}

#[derive(Debug, SurrealValue)]
struct Found {
    is_found: bool,
}

#[derive(Debug, SurrealValue)]
struct Password {
    password: Option<String>,
}

#[derive(Debug, Clone, SurrealValue)]
struct ChangeArguments {
    key: RecordId,
    name: String,
    /// `None` leaves it as it is.
    is_disabled: Option<bool>,
    sets_role: bool,
    server_role: Option<String>,
    ends_sessions: bool,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct ChangeAnswer {
    is_known: bool,
    is_last: bool,
}

#[derive(Debug, Clone, SurrealValue)]
struct PasswordArguments {
    key: RecordId,
    name: String,
    hash: String,
    renewal: Option<RenewalRow>,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct RehashArguments {
    key: RecordId,
    old: String,
    new: String,
}

/// The columns of an [`AccountRow`]. `!` is less than each character of an account name, so the
/// ranges have the memberships and the passkeys of this account alone.
macro_rules! account_columns {
    () => {
        "name, kind, server_role, is_disabled, password != NONE AS has_password, mail, created_at,
        ((SELECT VALUE account FROM ONLY second_factor:[$parent.name]) != NONE
            OR array::len((SELECT VALUE name FROM passkey:[$parent.name]..[$parent.name + '!'])) > 0) AS has_second_factor,
        (SELECT project, role FROM membership:[$parent.name]..[$parent.name + '!']) AS members"
    };
}
pub(super) use account_columns;

/// Creates the account `$row` within a transaction.
macro_rules! write_account {
    () => {
        "CREATE $row.key SET
            name = $row.name, kind = $row.kind, server_role = $row.server_role, is_disabled = false, password = $row.password,
            mail = $row.mail, created_at = $row.created_at, made_by = $event.nonce
            RETURN NONE;
        FOR $member IN $row.members {
            CREATE $member.key SET account = $row.name, project = $member.project, role = $member.role RETURN NONE;
        };"
    };
}
pub(super) use write_account;

/// Sets the password of the account `$key`, whose name is `$name`, within a block of a transaction.
macro_rules! write_password {
    () => {
        concat!(
            "UPDATE $key SET password = $hash RETURN NONE;",
            end_sign_ins!(),
            "DELETE one_time_link WHERE account = $name RETURN NONE;
            DELETE mail_request WHERE account = $name RETURN NONE;"
        )
    };
}
pub(super) use write_password;

/// A repeated call finds its own row by `made_by`.
const CREATE: &str = concat!(
    "
    BEGIN;
    LET $maker = SELECT VALUE made_by FROM ONLY $row.key;
    IF $maker = NONE { ",
    write_account!(),
    write_event!(),
    " };
    RETURN { changed: $maker = NONE OR $maker = $event.nonce };
    COMMIT;"
);

const ACCOUNTS: &str = concat!("RETURN { rows: (SELECT ", account_columns!(), " FROM account ORDER BY name) };");

/// The sign-in page of everybody asks this, so it ends at the first one.
const ADMIN_WITH_PASSWORD: &str = "
    LET $found = SELECT VALUE name FROM account
        WHERE kind = 'user' AND server_role = 'admin' AND is_disabled = false AND password != NONE LIMIT 1;
    RETURN { is_found: array::len($found) > 0 };";

const ACCOUNT: &str = concat!("RETURN { found: (SELECT ", account_columns!(), " FROM ONLY $key) };");

const PASSWORD: &str = "RETURN { password: (SELECT VALUE password FROM ONLY $key) };";

/// Two changes that each take away one of two administrators see the other administrator, so each
/// of them also writes `counter:admins`: the engine fails the later one, which then sees the
/// effect of the earlier one. A change that is called again finds that the account is as requested.
const CHANGE: &str = concat!(
    "
    BEGIN;
    LET $found = SELECT kind, server_role, is_disabled FROM ONLY $key;
    LET $disabled = $is_disabled ?? $found.is_disabled;
    LET $role = IF $sets_role { $server_role } ELSE { $found.server_role };
    LET $is_changed = $found != NONE AND ($disabled != $found.is_disabled OR $role != $found.server_role);
    LET $ends_admin = $found.kind = 'user' AND $found.server_role = 'admin' AND $found.is_disabled = false AND ($disabled OR $role != 'admin');
    LET $others = IF $ends_admin {
        (SELECT VALUE name FROM account WHERE kind = 'user' AND server_role = 'admin' AND is_disabled = false AND id != $key LIMIT 1)
    } ELSE { [] };
    LET $is_last = $ends_admin AND array::len($others) = 0;
    IF $is_changed AND !$is_last {
        IF $ends_admin { UPSERT counter:admins SET value = (value ?? 0) + 1 RETURN NONE; };
        UPDATE $key SET is_disabled = $disabled, server_role = $role RETURN NONE;
        IF $ends_sessions {
            DELETE session WHERE account = $name RETURN NONE;
            DELETE pending_sign_in WHERE account = $name RETURN NONE;
            DELETE device_login WHERE account = $name RETURN NONE;
        };
        IF $disabled { DELETE mail_request WHERE account = $name RETURN NONE; };
        ",
    write_event!(),
    "
    };
    RETURN { is_known: $found != NONE, is_last: $is_last };
    COMMIT;"
);

/// Each hash has a salt of its own, so a repeated call recognizes its password by the hash.
const SET_PASSWORD: &str = concat!(
    "
    BEGIN;
    LET $found = SELECT name, password FROM ONLY $key;
    IF $found != NONE AND $found.password != $hash { ",
    write_password!(),
    write_event!(),
    " };
    RETURN { changed: $found != NONE };
    COMMIT;"
);

const REHASH: &str = "BEGIN; UPDATE $key SET password = $new WHERE password = $old RETURN NONE; COMMIT;";

impl NewAccountRow {
    pub(super) fn new(account: NewAccount, at: Timestamp) -> (Self, DomainEvent) {
        let NewAccount { name, kind, server_role, password_hash, mail, memberships } = account;
        let row = Self {
            key: account_key(&name),
            name: name.to_string(),
            kind: kind.to_string(),
            server_role: server_role.map(|role| role.to_string()),
            password: password_hash,
            mail: mail.map(|mail| mail.to_string()),
            created_at: row::nanoseconds(at),
            members: new_members(&name, &memberships),
        };
        (row, DomainEvent::AccountCreated { account: name, kind, role: server_role })
    }

    /// The key of the row.
    pub(super) const fn key(&self) -> &RecordId {
        &self.key
    }
}

impl AccountRow {
    pub(super) fn into_account(self) -> Result<Account, StoreError> {
        Ok(Account {
            name: self.name.parse().map_err(row::corrupt)?,
            kind: self.kind.parse().map_err(row::corrupt)?,
            server_role: self.server_role.map(|role| role.parse::<ServerRole>()).transpose().map_err(row::corrupt)?,
            is_disabled: self.is_disabled,
            has_password: self.has_password,
            has_second_factor: self.has_second_factor,
            mail: self.mail.map(|mail| mail.parse::<MailAddress>()).transpose().map_err(row::corrupt)?,
            created_at: row::timestamp(self.created_at)?,
            memberships: self.members.into_iter().map(MemberRow::into_membership).collect::<Result<_, _>>()?,
        })
    }
}

impl SurrealStore {
    pub(super) async fn add_account(
        &self,
        account: NewAccount,
        at: Timestamp,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let (row, event) = NewAccountRow::new(account, at);
        let arguments = CreateArguments { row, event: self.audited(&event, by)? };
        let answer: Changed = calls::call_again(&self.inner.db, CREATE, arguments).await?;
        Ok(answer.changed)
    }

    pub(super) async fn all_accounts(&self) -> Result<Vec<Account>, StoreError> {
        let Accounts { rows } = calls::call_again(&self.inner.db, ACCOUNTS, Nothing {}).await?;
        rows.into_iter().map(AccountRow::into_account).collect()
    }

    pub(super) async fn find_admin_with_password(&self) -> Result<bool, StoreError> {
        let found: Found = calls::call_again(&self.inner.db, ADMIN_WITH_PASSWORD, Nothing {}).await?;
        Ok(found.is_found)
    }

    pub(super) async fn read_account(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        let key = Key { key: account_key(name) };
        let OneAccount { found } = calls::call_again(&self.inner.db, ACCOUNT, key).await?;
        found.map(AccountRow::into_account).transpose()
    }

    pub(super) async fn read_password(&self, name: &AccountName) -> Result<Option<String>, StoreError> {
        let key = Key { key: account_key(name) };
        let answer: Password = calls::call_again(&self.inner.db, PASSWORD, key).await?;
        Ok(answer.password)
    }

    pub(super) async fn write_change(
        &self,
        name: &AccountName,
        change: AccountChange,
        by: &Principal,
    ) -> Result<AccountChanged, StoreError> {
        let account = name.clone();
        let (is_disabled, role, event) = match change {
            AccountChange::Disable => (Some(true), None, DomainEvent::AccountDisabled { account }),
            AccountChange::Enable => (Some(false), None, DomainEvent::AccountEnabled { account }),
            AccountChange::SetServerRole(role) => (None, role, DomainEvent::ServerRoleChanged { account, role }),
        };
        let arguments = ChangeArguments {
            key: account_key(name),
            name: name.to_string(),
            is_disabled,
            sets_role: is_disabled.is_none(),
            server_role: role.map(|role| role.to_string()),
            ends_sessions: change != AccountChange::Enable,
            event: self.audited(&event, by)?,
        };
        let answer: ChangeAnswer = calls::call_again(&self.inner.db, CHANGE, arguments).await?;
        Ok(match answer {
            ChangeAnswer { is_last: true, .. } => AccountChanged::LastAdmin,
            ChangeAnswer { is_known: true, .. } => AccountChanged::Changed,
            ChangeAnswer { .. } => AccountChanged::Missing,
        })
    }

    pub(super) async fn write_password(
        &self,
        name: &AccountName,
        hash: &str,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let arguments = PasswordArguments {
            key: account_key(name),
            name: name.to_string(),
            hash: hash.to_owned(),
            renewal: renewal.map(RenewalRow::from),
            event: self.audited(&DomainEvent::PasswordChanged { account: name.clone() }, by)?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, SET_PASSWORD, arguments).await?;
        Ok(answer.changed)
    }

    pub(super) async fn replace_hash(&self, name: &AccountName, old: &str, new: &str) -> Result<(), StoreError> {
        let arguments = RehashArguments { key: account_key(name), old: old.to_owned(), new: new.to_owned() };
        Ok(calls::execute_again(&self.inner.db, REHASH, arguments).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kastrel_actors::model::{AccountKind, AuditQuery};
    use kastrel_actors::ports::AccessStore as _;

    use super::*;

    /// The slower one has read both administrators when the other is committed.
    #[tokio::test]
    async fn later_of_two_changes_that_meet_fails_and_sees_the_earlier_one_when_it_is_repeated() {
        let store = SurrealStore::in_memory().await.unwrap();
        let names = ["ana", "bob"].map(|text| text.parse::<AccountName>().unwrap());
        for name in &names {
            let account = NewAccount {
                name: name.clone(),
                kind: AccountKind::User,
                server_role: Some(ServerRole::Admin),
                password_hash: None,
                mail: None,
                memberships: BTreeMap::new(),
            };
            assert!(store.create_account(account, Timestamp::UNIX_EPOCH, &Principal::System).await.unwrap());
        }
        let [ana, bob] = &names;
        let slow = CHANGE.replacen("RETURN { is_known", "SLEEP 300ms; RETURN { is_known", 1);
        assert!(slow.contains("SLEEP"));
        let event = store.audited(&DomainEvent::AccountDisabled { account: ana.clone() }, &Principal::System).unwrap();
        let arguments = ChangeArguments {
            key: account_key(ana),
            name: ana.to_string(),
            is_disabled: Some(true),
            sets_role: false,
            server_role: None,
            ends_sessions: true,
            event,
        };
        let (slower, other) = tokio::join!(
            calls::execute(&store.inner.db, slow, arguments),
            store.change_account(bob, AccountChange::Disable, &Principal::System),
        );
        let active: Vec<AccountName> =
            store.accounts().await.unwrap().into_iter().filter(Account::is_active_admin).map(|one| one.name).collect();
        match slower {
            Ok(()) => assert_eq!((active, other.unwrap()), (vec![bob.clone()], AccountChanged::LastAdmin)),
            Err(error) => {
                assert_eq!(error.failure(), super::super::super::error::Failure::Conflict, "{error:?}");
                assert_eq!((active, other.unwrap()), (vec![ana.clone()], AccountChanged::Changed));
            }
        }
    }

    /// The same call with the same arguments, as after a lost answer: the browser has the new
    /// cookie in any case.
    #[tokio::test]
    async fn repeated_change_of_a_password_renews_the_session_once() {
        use kastrel_actors::model::{SecretDigest, Session};
        use kastrel_actors::ports::AuditLog as _;

        let store = SurrealStore::in_memory().await.unwrap();
        let ana: AccountName = "ana".parse().unwrap();
        let new = NewAccount {
            name: ana.clone(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: BTreeMap::new(),
        };
        assert!(store.create_account(new, Timestamp::UNIX_EPOCH, &Principal::System).await.unwrap());
        let session = |byte| Session {
            key: SecretDigest::new([byte; 32]),
            account: ana.clone(),
            created_at: Timestamp::UNIX_EPOCH,
            used_at: Timestamp::from_second(1).unwrap(),
            expires_at: Timestamp::from_second(1000).unwrap(),
            address: "::1".into(),
            agent: "Browser".into(),
            with_provider: false,
        };
        for byte in [1, 2] {
            store.create_session(session(byte)).await.unwrap();
        }
        let event = DomainEvent::PasswordChanged { account: ana.clone() };
        let arguments = PasswordArguments {
            key: account_key(&ana),
            name: ana.to_string(),
            hash: "$hash".into(),
            renewal: Some(RenewalRow::from(SessionRenewal { old: session(1).key, new: session(3).key })),
            event: store.audited(&event, &Principal::System).unwrap(),
        };
        for _ in 0..2 {
            let answer: Changed = calls::call_again(&store.inner.db, SET_PASSWORD, arguments.clone()).await.unwrap();
            assert!(answer.changed);
            assert_eq!(store.sessions(&ana).await.unwrap(), [session(3)]);
        }
        assert_eq!(
            store.audit(&AuditQuery::newest(9)).await.unwrap().entries.len(),
            4,
            "account_created, two times signed_in, password_changed"
        );
    }

    #[tokio::test]
    async fn repeated_creation_finds_its_own_account_and_is_audited_once() {
        use kastrel_actors::ports::AuditLog as _;

        let store = SurrealStore::in_memory().await.unwrap();
        let new = NewAccount {
            name: "ana".parse().unwrap(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: BTreeMap::new(),
        };
        let (row, event) = NewAccountRow::new(new, Timestamp::UNIX_EPOCH);
        let arguments = CreateArguments { row, event: store.audited(&event, &Principal::System).unwrap() };
        for _ in 0..2 {
            let answer: Changed = calls::call_again(&store.inner.db, CREATE, arguments.clone()).await.unwrap();
            assert!(answer.changed, "the call whose answer was lost has created it");
        }
        assert_eq!(store.audit(&AuditQuery::newest(9)).await.unwrap().entries.len(), 1);
        let other = CreateArguments { event: store.audited(&event, &Principal::System).unwrap(), ..arguments };
        let answer: Changed = calls::call_again(&store.inner.db, CREATE, other).await.unwrap();
        assert!(!answer.changed, "another call has not");
    }
}
