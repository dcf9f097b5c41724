//! One-time links: for the set-up of the first administrator, and for a password.

use jiff::Timestamp;
use kastrel_actors::model::{
    AccountName, DomainEvent, LinkPurpose, NewAccount, OneTimeLink, Principal, SecretDigest, SetUpResult,
};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::super::calls;
use super::super::event::{EventRows, write_event};
use super::super::row;
use super::super::store::SurrealStore;
use super::Changed;
use super::accounts::{NewAccountRow, write_account, write_password};
use super::keys::{account_key, link_key};
use super::renewal::{RenewalRow, end_sign_ins};

#[derive(Debug, Clone, SurrealValue)]
struct SetUpLinkArguments {
    link: RecordId,
    digest: String,
    expires_at: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct PasswordLinkArguments {
    link: RecordId,
    digest: String,
    account: String,
    expires_at: i64,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct LookArguments {
    link: RecordId,
    until: i64,
}

#[derive(Debug, SurrealValue)]
struct LinkRow {
    digest: String,
    account: Option<String>,
    expires_at: i64,
}

#[derive(Debug, SurrealValue)]
struct OneLink {
    found: Option<LinkRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct PasswordArguments {
    link: RecordId,
    until: i64,
    key: RecordId,
    name: String,
    hash: String,
    renewal: Option<RenewalRow>,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct SetUpArguments {
    link: RecordId,
    until: i64,
    key: RecordId,
    row: NewAccountRow,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct SetUpAnswer {
    is_done: bool,
    has_link: bool,
}

/// Two links that are made at once do not see each other, so each also writes `counter:setup`: the
/// engine fails the later one, which then replaces the earlier one. The secret of a link is random,
/// so a row with its digest is that of an earlier, equal call.
const SET_UP_LINK: &str = "
    BEGIN;
    UPSERT counter:setup SET value = (value ?? 0) + 1 RETURN NONE;
    DELETE one_time_link WHERE account = NONE RETURN NONE;
    UPSERT $link SET digest = $digest, expires_at = $expires_at RETURN NONE;
    COMMIT;";

const PASSWORD_LINK: &str = concat!(
    "
    BEGIN;
    IF (SELECT VALUE digest FROM ONLY $link) = NONE {
        CREATE $link SET digest = $digest, account = $account, expires_at = $expires_at RETURN NONE;
        ",
    write_event!(),
    "
    };
    COMMIT;"
);

const LINK: &str = "RETURN { found: (SELECT digest, account, expires_at FROM ONLY $link WHERE expires_at > $until) };";

/// Of two calls with one link, both write the account and delete the link, so the engine fails one
/// of them, which then finds no link. A repeated call recognizes its password by the hash, as each
/// hash has a salt of its own.
const REDEEM_PASSWORD: &str = concat!(
    "
    BEGIN;
    LET $found = SELECT name, password FROM ONLY $key;
    LET $is_done = $found != NONE AND $found.password = $hash;
    LET $is_valid = $found != NONE AND !$is_done AND (SELECT VALUE account FROM ONLY $link WHERE expires_at > $until) = $name;
    IF $is_valid { ",
    write_password!(),
    write_event!(),
    " };
    RETURN { changed: $is_done OR $is_valid };
    COMMIT;"
);

/// Of two calls with the link, both delete it, so the engine fails one of them, which then finds no
/// link. A repeated call finds its own account by `made_by`.
const REDEEM_SET_UP: &str = concat!(
    "
    BEGIN;
    LET $maker = SELECT VALUE made_by FROM ONLY $key;
    LET $found = SELECT digest, account FROM ONLY $link WHERE expires_at > $until;
    LET $has_link = $found != NONE AND $found.account = NONE;
    IF $has_link AND $maker = NONE {
        DELETE $link RETURN NONE;
        ",
    write_account!(),
    write_event!(),
    "
    };
    RETURN { is_done: ($has_link AND $maker = NONE) OR $maker = $event.nonce, has_link: $has_link };
    COMMIT;"
);

impl LinkRow {
    fn into_link(self) -> Result<OneTimeLink, StoreError> {
        let account = self.account.map(|name| name.parse::<AccountName>()).transpose().map_err(row::corrupt)?;
        Ok(OneTimeLink {
            key: self.digest.parse().map_err(row::corrupt)?,
            purpose: account.map_or(LinkPurpose::SetUp, LinkPurpose::SetPassword),
            expires_at: row::timestamp(self.expires_at)?,
        })
    }
}

impl SurrealStore {
    pub(super) async fn add_link(&self, link: OneTimeLink, by: &Principal) -> Result<(), StoreError> {
        let OneTimeLink { key, purpose, expires_at } = link;
        let (link, digest, expires_at) = (link_key(key), key.to_string(), row::nanoseconds(expires_at));
        let db = &self.inner.db;
        match purpose {
            LinkPurpose::SetUp => {
                calls::execute_again(db, SET_UP_LINK, SetUpLinkArguments { link, digest, expires_at }).await?;
            }
            LinkPurpose::SetPassword(name) => {
                let account = name.to_string();
                let event = self.audited(&DomainEvent::PasswordLinkCreated { account: name }, by)?;
                let arguments = PasswordLinkArguments { link, digest, account, expires_at, event };
                calls::execute_again(db, PASSWORD_LINK, arguments).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn read_link(&self, key: SecretDigest, at: Timestamp) -> Result<Option<OneTimeLink>, StoreError> {
        let arguments = LookArguments { link: link_key(key), until: row::nanoseconds(at) };
        let OneLink { found } = calls::call_again(&self.inner.db, LINK, arguments).await?;
        found.map(LinkRow::into_link).transpose()
    }

    /// The first read says only whose link it is; the transaction decides whether it is valid.
    pub(super) async fn use_password_link(
        &self,
        key: SecretDigest,
        hash: &str,
        at: Timestamp,
    ) -> Result<Option<AccountName>, StoreError> {
        let Some(OneTimeLink { purpose: LinkPurpose::SetPassword(name), .. }) = self.read_link(key, at).await? else {
            return Ok(None);
        };
        let by = Principal::User(name.clone());
        let arguments = PasswordArguments {
            link: link_key(key),
            until: row::nanoseconds(at),
            key: account_key(&name),
            name: name.to_string(),
            hash: hash.to_owned(),
            renewal: None,
            event: self.audited(&DomainEvent::PasswordChanged { account: name.clone() }, &by)?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, REDEEM_PASSWORD, arguments).await?;
        Ok(answer.changed.then_some(name))
    }

    pub(super) async fn use_setup_link(
        &self,
        key: SecretDigest,
        account: NewAccount,
        at: Timestamp,
    ) -> Result<SetUpResult, StoreError> {
        let by = Principal::User(account.name.clone());
        let (row, event) = NewAccountRow::new(account, at);
        let arguments = SetUpArguments {
            link: link_key(key),
            until: row::nanoseconds(at),
            key: row.key().clone(),
            row,
            event: self.audited(&event, &by)?,
        };
        let answer: SetUpAnswer = calls::call_again(&self.inner.db, REDEEM_SET_UP, arguments).await?;
        Ok(match answer {
            SetUpAnswer { is_done: true, .. } => SetUpResult::Done,
            SetUpAnswer { has_link: true, .. } => SetUpResult::NameTaken,
            SetUpAnswer { .. } => SetUpResult::NoLink,
        })
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{AccountKind, AuditQuery};
    use kastrel_actors::ports::{AccessStore as _, AuditLog as _};

    use super::*;

    /// The same calls with the same arguments, as after a lost answer.
    #[tokio::test]
    async fn repeated_use_of_a_link_recognizes_its_own_effect() {
        let store = SurrealStore::in_memory().await.unwrap();
        let (at, until) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(9).unwrap());
        let key = |byte| SecretDigest::new([byte; 32]);
        let link = |byte, purpose| OneTimeLink { key: key(byte), purpose, expires_at: until };
        store.create_link(link(1, LinkPurpose::SetUp), &Principal::System).await.unwrap();
        let new = NewAccount {
            name: "ana".parse().unwrap(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: std::collections::BTreeMap::new(),
        };
        let (row, event) = NewAccountRow::new(new, at);
        let arguments = SetUpArguments {
            link: link_key(key(1)),
            until: row::nanoseconds(at),
            key: row.key().clone(),
            row,
            event: store.audited(&event, &Principal::System).unwrap(),
        };
        for _ in 0..2 {
            let answer: SetUpAnswer =
                calls::call_again(&store.inner.db, REDEEM_SET_UP, arguments.clone()).await.unwrap();
            assert!(answer.is_done);
        }
        let ana: AccountName = "ana".parse().unwrap();
        store.create_link(link(2, LinkPurpose::SetPassword(ana.clone())), &Principal::System).await.unwrap();
        let event = DomainEvent::PasswordChanged { account: ana.clone() };
        let arguments = PasswordArguments {
            link: link_key(key(2)),
            until: row::nanoseconds(at),
            key: account_key(&ana),
            name: ana.to_string(),
            hash: "$hash".into(),
            renewal: None,
            event: store.audited(&event, &Principal::System).unwrap(),
        };
        for _ in 0..2 {
            let answer: Changed = calls::call_again(&store.inner.db, REDEEM_PASSWORD, arguments.clone()).await.unwrap();
            assert!(answer.changed);
        }
        assert_eq!(
            store.audit(&AuditQuery::newest(9)).await.unwrap().entries.len(),
            3,
            "account_created, password_link_created, password_changed"
        );
    }
}
