//! The identities of an identity provider, and sign-ins that wait for it: the port
//! [`ProviderIdentityStore`].

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::{
    AccountName, DomainEvent, LinkResult, LinkedIdentity, NewAccount, Principal, ProviderIdentity, ProviderSignIn,
    SecretDigest,
};
use kastrel_actors::ports::{ProviderIdentityStore, StoreError};
use sha2::{Digest as _, Sha256};
use surrealdb::types::{RecordId, SurrealValue};

use super::super::calls;
use super::super::event::{EventRows, write_event};
use super::super::row;
use super::super::store::SurrealStore;
use super::accounts::{NewAccountRow, write_account};
use super::keys::account_key;
use super::second_factors::write_events;
use super::{Gone, Key};

/// The columns of an identity.
#[derive(Debug, Clone, SurrealValue)]
struct IdentityRow {
    account: String,
    issuer: String,
    subject: String,
    linked_at: i64,
}

#[derive(Debug, SurrealValue)]
struct OneIdentity {
    found: Option<IdentityRow>,
}

#[derive(Debug, SurrealValue)]
struct OneAccount {
    account: Option<String>,
}

/// An identity to link, and the keys of its rows.
#[derive(Debug, Clone, SurrealValue)]
struct NewIdentity {
    of_account: RecordId,
    of_subject: RecordId,
    digest: String,
    row: IdentityRow,
}

#[derive(Debug, Clone, SurrealValue)]
struct CreateArguments {
    row: NewAccountRow,
    identity: NewIdentity,
    event: EventRows,
    events: Vec<EventRows>,
}

#[derive(Debug, Clone, SurrealValue)]
struct LinkArguments {
    key: RecordId,
    identity: NewIdentity,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct LinkAnswer {
    has_account: bool,
    is_linked: bool,
    is_identity_taken: bool,
}

#[derive(Debug, Clone, SurrealValue)]
struct UnlinkArguments {
    of_account: RecordId,
    of_subject: RecordId,
    issuer: String,
    subject: String,
    name: String,
    event: EventRows,
}

/// The columns of a sign-in that waits for the provider.
#[derive(Debug, Clone, SurrealValue)]
struct WaitingRow {
    digest: String,
    next: String,
    expires_at: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct WaitingArguments {
    key: RecordId,
    row: WaitingRow,
}

#[derive(Debug, SurrealValue)]
struct Taken {
    taken: Option<WaitingRow>,
}

const OF_ACCOUNT: &str = "RETURN { found: (SELECT account, issuer, subject, linked_at FROM ONLY $key) };";

const OF_SUBJECT: &str = "RETURN { account: (SELECT VALUE account FROM ONLY $key) };";

/// Creates the rows of the identity `$identity` within a transaction.
macro_rules! write_identity {
    () => {
        "CREATE $identity.of_account SET
            account = $identity.row.account, issuer = $identity.row.issuer, subject = $identity.row.subject,
            linked_at = $identity.row.linked_at, made_by = $event.nonce
            RETURN NONE;
        CREATE $identity.of_subject SET digest = $identity.digest, account = $identity.row.account RETURN NONE;"
    };
}

/// Two calls with one name, or with one identity, create the same row, so the engine fails one of
/// them, which then finds the row of the other. A repeated call finds its own account by `made_by`.
const CREATE: &str = concat!(
    "
    BEGIN;
    LET $maker = SELECT VALUE made_by FROM ONLY $row.key;
    LET $owner = SELECT VALUE account FROM ONLY $identity.of_subject;
    LET $is_mine = $maker != NONE AND $maker = $event.nonce;
    LET $is_free = $maker = NONE AND $owner = NONE;
    IF $is_free { ",
    write_account!(),
    write_identity!(),
    write_events!(),
    " };
    RETURN {
        has_account: true,
        is_linked: $is_free OR $is_mine,
        is_identity_taken: $owner != NONE AND !$is_mine
    };
    COMMIT;"
);

/// Two calls with one identity, or with one account, create the same row, so the engine fails one
/// of them, which then finds the row of the other.
const LINK: &str = concat!(
    "
    BEGIN;
    LET $has_account = (SELECT VALUE kind FROM ONLY $key) = 'user';
    LET $owner = SELECT VALUE account FROM ONLY $identity.of_subject;
    LET $earlier = SELECT VALUE account FROM ONLY $identity.of_account;
    LET $is_free = $has_account AND $owner = NONE AND $earlier = NONE;
    IF $is_free { ",
    write_identity!(),
    write_event!(),
    " };
    RETURN {
        has_account: $has_account,
        is_linked: $is_free OR ($owner != NONE AND $owner = $identity.row.account),
        is_identity_taken: $owner != NONE AND $owner != $identity.row.account
    };
    COMMIT;"
);

/// Both rows must be of the identity that was read: another call may have linked another one
/// meanwhile, whose second row would stay, and with it the way in.
const UNLINK: &str = concat!(
    "
    BEGIN;
    LET $gone = DELETE $of_account WHERE issuer = $issuer AND subject = $subject RETURN BEFORE;
    IF array::len($gone) > 0 {
        DELETE $of_subject RETURN NONE;
        DELETE session WHERE account = $name RETURN NONE;
        DELETE pending_sign_in WHERE account = $name RETURN NONE;
        DELETE device_login WHERE account = $name RETURN NONE;
        ",
    write_event!(),
    "
    };
    RETURN { gone: array::len($gone) };
    COMMIT;"
);

/// The secret is random, so a row with its digest is that of an earlier, equal call.
const WAIT: &str = "
    BEGIN;
    UPSERT $key SET digest = $row.digest, next = $row.next, expires_at = $row.expires_at RETURN NONE;
    COMMIT;";

/// Of two calls, the engine fails one, which then finds no row.
const TAKE: &str = "
    BEGIN;
    LET $taken = SELECT digest, next, expires_at FROM ONLY $key;
    DELETE $key RETURN NONE;
    RETURN { taken: $taken };
    COMMIT;";

/// Returns the digest of an identity, which is the key of its row: an issuer and a subject have
/// characters that a key of a range must not have. No issuer has a line end.
fn digest_of(identity: &ProviderIdentity) -> String {
    hex::encode(Sha256::digest(format!("{}\n{}", identity.issuer(), identity.subject())))
}

fn identity_key(account: &AccountName) -> RecordId {
    row::text_key("provider_identity", account.as_str())
}

fn subject_key(identity: &ProviderIdentity) -> RecordId {
    row::text_key("provider_subject", &digest_of(identity))
}

fn waiting_key(key: SecretDigest) -> RecordId {
    row::text_key("provider_sign_in", &key.to_string())
}

fn linked(account: &AccountName, identity: &ProviderIdentity) -> DomainEvent {
    DomainEvent::IdentityLinked {
        account: account.clone(),
        issuer: identity.issuer().to_owned(),
        subject: identity.subject().to_owned(),
    }
}

impl NewIdentity {
    fn new(account: &AccountName, identity: &ProviderIdentity, at: Timestamp) -> Self {
        Self {
            of_account: identity_key(account),
            of_subject: subject_key(identity),
            digest: digest_of(identity),
            row: IdentityRow {
                account: account.to_string(),
                issuer: identity.issuer().to_owned(),
                subject: identity.subject().to_owned(),
                linked_at: row::nanoseconds(at),
            },
        }
    }
}

impl IdentityRow {
    fn into_linked(self) -> Result<LinkedIdentity, StoreError> {
        Ok(LinkedIdentity {
            account: self.account.parse().map_err(row::corrupt)?,
            identity: ProviderIdentity::new(self.issuer, self.subject).map_err(row::corrupt)?,
            linked_at: row::timestamp(self.linked_at)?,
        })
    }
}

impl LinkAnswer {
    const fn result(&self) -> LinkResult {
        match (self.has_account, self.is_linked, self.is_identity_taken) {
            (false, ..) => LinkResult::NoAccount,
            (true, true, _) => LinkResult::Linked,
            (true, false, true) => LinkResult::IdentityTaken,
            (true, false, false) => LinkResult::AccountTaken,
        }
    }
}

#[async_trait]
impl ProviderIdentityStore for SurrealStore {
    async fn account_of_identity(&self, identity: &ProviderIdentity) -> Result<Option<AccountName>, StoreError> {
        let key = Key { key: subject_key(identity) };
        let OneAccount { account } = calls::call_again(&self.inner.db, OF_SUBJECT, key).await?;
        account.map(|name| name.parse().map_err(row::corrupt)).transpose()
    }

    async fn identity_of(&self, account: &AccountName) -> Result<Option<LinkedIdentity>, StoreError> {
        let key = Key { key: identity_key(account) };
        let OneIdentity { found } = calls::call_again(&self.inner.db, OF_ACCOUNT, key).await?;
        found.map(IdentityRow::into_linked).transpose()
    }

    async fn create_with_identity(
        &self,
        account: NewAccount,
        identity: &ProviderIdentity,
        at: Timestamp,
        by: &Principal,
    ) -> Result<LinkResult, StoreError> {
        let name = account.name.clone();
        let (row, created) = NewAccountRow::new(account, at);
        let event = self.audited(&created, by)?;
        let events = vec![event.clone(), self.audited(&linked(&name, identity), by)?];
        let arguments = CreateArguments { row, identity: NewIdentity::new(&name, identity, at), event, events };
        Ok(calls::call_again::<LinkAnswer>(&self.inner.db, CREATE, arguments).await?.result())
    }

    async fn link_identity(
        &self,
        account: &AccountName,
        identity: &ProviderIdentity,
        at: Timestamp,
        by: &Principal,
    ) -> Result<LinkResult, StoreError> {
        let arguments = LinkArguments {
            key: account_key(account),
            identity: NewIdentity::new(account, identity, at),
            event: self.audited(&linked(account, identity), by)?,
        };
        Ok(calls::call_again::<LinkAnswer>(&self.inner.db, LINK, arguments).await?.result())
    }

    async fn unlink_identity(&self, account: &AccountName, by: &Principal) -> Result<bool, StoreError> {
        // An identity that was there before a call whose response was lost, and is missing
        // afterwards, was unlinked by it.
        let Some(linked) = self.identity_of(account).await? else { return Ok(false) };
        let arguments = UnlinkArguments {
            of_account: identity_key(account),
            of_subject: subject_key(&linked.identity),
            issuer: linked.identity.issuer().to_owned(),
            subject: linked.identity.subject().to_owned(),
            name: account.to_string(),
            event: self.audited(&DomainEvent::IdentityUnlinked { account: account.clone() }, by)?,
        };
        let (answer, is_unanswered) = calls::call_again_noting_loss::<Gone>(&self.inner.db, UNLINK, arguments).await?;
        Ok(answer.gone > 0 || is_unanswered)
    }

    async fn create_provider_sign_in(&self, waiting: ProviderSignIn) -> Result<(), StoreError> {
        let ProviderSignIn { key, next, expires_at } = waiting;
        let row = WaitingRow { digest: key.to_string(), next, expires_at: row::nanoseconds(expires_at) };
        let arguments = WaitingArguments { key: waiting_key(key), row };
        Ok(calls::execute_again(&self.inner.db, WAIT, arguments).await?)
    }

    async fn take_provider_sign_in(
        &self,
        key: SecretDigest,
        at: Timestamp,
    ) -> Result<Option<ProviderSignIn>, StoreError> {
        let Taken { taken } = calls::call_again(&self.inner.db, TAKE, Key { key: waiting_key(key) }).await?;
        let Some(WaitingRow { digest, next, expires_at }) = taken else { return Ok(None) };
        let key = digest.parse().map_err(row::corrupt)?;
        let waiting = ProviderSignIn { key, next, expires_at: row::timestamp(expires_at)? };
        Ok((waiting.expires_at > at).then_some(waiting))
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::AccountKind;
    use kastrel_actors::ports::AccessStore as _;

    use super::*;

    /// The call has read the first identity, and another call links a second one before it deletes.
    #[tokio::test]
    async fn unlinking_of_an_earlier_identity_leaves_both_rows_of_the_later_one() {
        let store = SurrealStore::in_memory().await.unwrap();
        let (ana, by): (AccountName, _) = ("ana".parse().unwrap(), Principal::System);
        let new = NewAccount {
            name: ana.clone(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: std::collections::BTreeMap::new(),
        };
        assert!(store.create_account(new, Timestamp::UNIX_EPOCH, &by).await.unwrap());
        let [earlier, later] = ["1", "2"].map(|subject| ProviderIdentity::new("https://id.example", subject).unwrap());
        let late = UnlinkArguments {
            of_account: identity_key(&ana),
            of_subject: subject_key(&earlier),
            issuer: earlier.issuer().to_owned(),
            subject: earlier.subject().to_owned(),
            name: ana.to_string(),
            event: store.audited(&DomainEvent::IdentityUnlinked { account: ana.clone() }, &by).unwrap(),
        };
        let link = async |identity: &ProviderIdentity| {
            store.link_identity(&ana, identity, Timestamp::UNIX_EPOCH, &by).await.unwrap()
        };
        assert_eq!(link(&earlier).await, LinkResult::Linked);
        assert!(store.unlink_identity(&ana, &by).await.unwrap());
        assert_eq!(link(&later).await, LinkResult::Linked);
        let answer: Gone = calls::call_again(&store.inner.db, UNLINK, late).await.unwrap();
        assert_eq!(answer.gone, 0);
        assert_eq!(store.identity_of(&ana).await.unwrap().unwrap().identity, later);
        assert!(store.unlink_identity(&ana, &by).await.unwrap());
        assert_eq!(store.account_of_identity(&later).await.unwrap(), None, "its person has no way in");
    }
}
