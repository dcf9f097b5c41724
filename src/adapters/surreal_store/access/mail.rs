//! The mail addresses of accounts: the port [`MailStore`].

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::{AccountName, DomainEvent, MailAddress, MailRequest, MailedLink, Principal, SecretDigest};
use kastrel_actors::ports::{MailStore, StoreError};
use surrealdb::types::{RecordId, SurrealValue};

use super::super::calls;
use super::super::event::{EventRows, write_event};
use super::super::row;
use super::super::store::SurrealStore;
use super::Changed;
use super::keys::{account_key, link_key, mail_request_key};

#[derive(Debug, Clone, SurrealValue)]
struct SetArguments {
    key: RecordId,
    name: String,
    mail: Option<String>,
    event: EventRows,
}

/// The columns of a waiting address.
#[derive(Debug, Clone, SurrealValue)]
struct RequestRow {
    digest: String,
    account: String,
    mail: String,
    expires_at: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct RequestArguments {
    key: RecordId,
    waiting: RecordId,
    row: RequestRow,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct LookArguments {
    waiting: RecordId,
    until: i64,
}

#[derive(Debug, SurrealValue)]
struct OneRequest {
    found: Option<RequestRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct ConfirmArguments {
    key: RecordId,
    name: String,
    waiting: RecordId,
    mail: String,
    until: i64,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct LinkArguments {
    key: RecordId,
    name: String,
    link: RecordId,
    digest: String,
    mail: String,
    expires_at: i64,
    most: i64,
    now: i64,
    event: EventRows,
}

/// Ends what depends on the earlier address of an account.
macro_rules! end_earlier_address {
    () => {
        "DELETE one_time_link WHERE account = $name AND mailed_to != NONE RETURN NONE;
        DELETE mail_request WHERE account = $name RETURN NONE;"
    };
}

/// A call that is repeated finds that the address is as requested.
const SET: &str = concat!(
    "
    BEGIN;
    LET $found = SELECT name, mail FROM ONLY $key;
    IF $found != NONE AND $found.mail != $mail {
        UPDATE $key SET mail = $mail RETURN NONE;
        ",
    end_earlier_address!(),
    write_event!(),
    "
    };
    RETURN { changed: $found != NONE };
    COMMIT;"
);

/// The secret of the link is random, so a row with its digest is that of an earlier, equal call.
const REQUEST: &str = concat!(
    "
    BEGIN;
    LET $is_known = (SELECT VALUE name FROM ONLY $key) != NONE;
    IF $is_known AND (SELECT VALUE digest FROM ONLY $waiting) = NONE {
        DELETE mail_request WHERE account = $row.account RETURN NONE;
        CREATE $waiting SET
            digest = $row.digest, account = $row.account, mail = $row.mail, expires_at = $row.expires_at RETURN NONE;
        ",
    write_event!(),
    "
    };
    RETURN { changed: $is_known };
    COMMIT;"
);

const WAITING: &str =
    "RETURN { found: (SELECT digest, account, mail, expires_at FROM ONLY $waiting WHERE expires_at > $until) };";

/// Of two calls with one secret, both write the account, so the engine fails one of them, which
/// then finds no row. A repeated call finds its own change by `mail_by`.
const CONFIRM: &str = concat!(
    "
    BEGIN;
    LET $found = SELECT name, is_disabled, mail_by FROM ONLY $key;
    LET $is_done = $found != NONE AND $found.mail_by = $event.nonce;
    LET $of = SELECT VALUE account FROM ONLY $waiting WHERE expires_at > $until;
    LET $is_valid = $found != NONE AND !$is_done AND $found.is_disabled = false AND $of = $name;
    IF $is_valid {
        UPDATE $key SET mail = $mail, mail_by = $event.nonce RETURN NONE;
        ",
    end_earlier_address!(),
    write_event!(),
    "
    };
    RETURN { changed: $is_done OR $is_valid };
    COMMIT;"
);

/// FOR UPDATE makes the commit fail if the address is changed, or the account disabled, in the
/// meantime. Two calls at once may both be the last one that the limit allows.
const CREATE_LINK: &str = concat!(
    "
    BEGIN;
    LET $found = SELECT mail, is_disabled FROM ONLY $key FOR UPDATE;
    LET $is_done = (SELECT VALUE digest FROM ONLY $link) != NONE;
    LET $valid = SELECT VALUE digest FROM one_time_link WHERE account = $name AND mailed_to != NONE AND expires_at > $now;
    LET $is_fit = $found != NONE AND $found.mail = $mail AND $found.is_disabled = false AND array::len($valid) < $most;
    IF $is_fit AND !$is_done {
        CREATE $link SET digest = $digest, account = $name, expires_at = $expires_at, mailed_to = $mail RETURN NONE;
        ",
    write_event!(),
    "
    };
    RETURN { changed: $is_done OR $is_fit };
    COMMIT;"
);

impl RequestRow {
    fn into_request(self) -> Result<MailRequest, StoreError> {
        Ok(MailRequest {
            key: self.digest.parse().map_err(row::corrupt)?,
            account: self.account.parse().map_err(row::corrupt)?,
            mail: self.mail.parse().map_err(row::corrupt)?,
            expires_at: row::timestamp(self.expires_at)?,
        })
    }
}

#[async_trait]
impl MailStore for SurrealStore {
    async fn set_mail(
        &self,
        name: &AccountName,
        mail: Option<&MailAddress>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let arguments = SetArguments {
            key: account_key(name),
            name: name.to_string(),
            mail: mail.map(ToString::to_string),
            event: self.audited(&DomainEvent::MailChanged { account: name.clone() }, by)?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, SET, arguments).await?;
        Ok(answer.changed)
    }

    async fn request_mail(&self, request: MailRequest, by: &Principal) -> Result<bool, StoreError> {
        let MailRequest { key, account, mail, expires_at } = request;
        let arguments = RequestArguments {
            key: account_key(&account),
            waiting: mail_request_key(key),
            row: RequestRow {
                digest: key.to_string(),
                account: account.to_string(),
                mail: mail.to_string(),
                expires_at: row::nanoseconds(expires_at),
            },
            event: self.audited(&DomainEvent::MailRequested { account }, by)?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, REQUEST, arguments).await?;
        Ok(answer.changed)
    }

    async fn mail_request(&self, key: SecretDigest, at: Timestamp) -> Result<Option<MailRequest>, StoreError> {
        let arguments = LookArguments { waiting: mail_request_key(key), until: row::nanoseconds(at) };
        let OneRequest { found } = calls::call_again(&self.inner.db, WAITING, arguments).await?;
        found.map(RequestRow::into_request).transpose()
    }

    async fn confirm_mail(&self, request: &MailRequest, at: Timestamp) -> Result<bool, StoreError> {
        let arguments = self.confirmation(request, at)?;
        let answer: Changed = calls::call_again(&self.inner.db, CONFIRM, arguments).await?;
        Ok(answer.changed)
    }

    async fn create_mailed_link(
        &self,
        link: MailedLink,
        most: u32,
        at: Timestamp,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let MailedLink { key, account, mail, expires_at, address } = link;
        let arguments = LinkArguments {
            key: account_key(&account),
            name: account.to_string(),
            link: link_key(key),
            digest: key.to_string(),
            mail: mail.to_string(),
            expires_at: row::nanoseconds(expires_at),
            most: i64::from(most),
            now: row::nanoseconds(at),
            event: self.audited(&DomainEvent::PasswordLinkMailed { account, address }, by)?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, CREATE_LINK, arguments).await?;
        Ok(answer.changed)
    }
}

impl SurrealStore {
    fn confirmation(&self, request: &MailRequest, at: Timestamp) -> Result<ConfirmArguments, StoreError> {
        let account = &request.account;
        let by = Principal::User(account.clone());
        Ok(ConfirmArguments {
            key: account_key(account),
            name: account.to_string(),
            waiting: mail_request_key(request.key),
            mail: request.mail.to_string(),
            until: row::nanoseconds(at),
            event: self.audited(&DomainEvent::MailChanged { account: account.clone() }, &by)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kastrel_actors::model::{AccountKind, AuditQuery, NewAccount};
    use kastrel_actors::ports::{AccessStore as _, AuditLog as _};

    use super::*;

    /// The same call with the same arguments, as after a lost answer.
    #[tokio::test]
    async fn repeated_confirmation_and_link_find_their_own_change() {
        let store = SurrealStore::in_memory().await.unwrap();
        let ana: AccountName = "ana".parse().unwrap();
        let mail: MailAddress = "ana@example.com".parse().unwrap();
        let (now, later) = (Timestamp::from_second(1).unwrap(), Timestamp::from_second(9).unwrap());
        let new = NewAccount {
            name: ana.clone(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: BTreeMap::new(),
        };
        assert!(store.create_account(new, now, &Principal::System).await.unwrap());
        let request = MailRequest {
            key: SecretDigest::new([1; 32]),
            account: ana.clone(),
            mail: mail.clone(),
            expires_at: later,
        };
        assert!(store.request_mail(request.clone(), &Principal::System).await.unwrap());
        let arguments = store.confirmation(&request, now).unwrap();
        for _ in 0..2 {
            let answer: Changed = calls::call_again(&store.inner.db, CONFIRM, arguments.clone()).await.unwrap();
            assert!(answer.changed);
        }
        assert!(!store.confirm_mail(&request, now).await.unwrap(), "another call finds that it was used");
        let key = SecretDigest::new([2; 32]);
        let link = MailedLink { key, account: ana.clone(), mail, expires_at: later, address: None };
        for _ in 0..2 {
            assert!(store.create_mailed_link(link.clone(), 1, now, &Principal::System).await.unwrap());
        }
        let entries = store.audit(&AuditQuery::newest(9)).await.unwrap().entries;
        let actions: Vec<_> = entries.iter().rev().map(|entry| entry.event.action()).collect();
        assert_eq!(actions, ["account_created", "mail_requested", "mail_changed", "password_link_mailed"]);
    }
}
