//! API tokens.

use std::cmp::Reverse;

use kastrel_actors::model::{Account, AccountName, DomainEvent, Network, Principal, TokenId, TokenRecord, TokenScope};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::super::calls;
use super::super::event::{EventRows, write_event};
use super::super::row;
use super::super::store::SurrealStore;
use super::accounts::{AccountRow, account_columns};
use super::keys::{account_key, token_key};
use super::{Changed, Gone, Key, OfAccount};

/// The columns of a token.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct TokenRow {
    name: String,
    digest: String,
    account: String,
    label: String,
    role: String,
    project: Option<String>,
    has_server_role: bool,
    networks: Option<Vec<String>>,
    created_at: i64,
    expires_at: i64,
    used_at: Option<i64>,
}

#[derive(Debug, Clone, SurrealValue)]
struct CreateArguments {
    key: RecordId,
    of_account: RecordId,
    row: TokenRow,
    event: EventRows,
}

/// The account is missing if the row is damaged.
#[derive(Debug, SurrealValue)]
struct OneToken {
    found: Option<TokenRow>,
    owner: Option<AccountRow>,
}

#[derive(Debug, SurrealValue)]
struct Tokens {
    rows: Vec<TokenRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct RevokeArguments {
    key: RecordId,
    name: String,
    event: EventRows,
}

macro_rules! token_columns {
    () => {
        "name, digest, account, label, role, project, has_server_role, networks, created_at, expires_at, used_at"
    };
}

/// Creates the token `$row` with the key `$key` within a transaction.
macro_rules! write_token {
    () => {
        "CREATE $key SET
            name = $row.name, digest = $row.digest, account = $row.account, label = $row.label, role = $row.role, project = $row.project,
            has_server_role = $row.has_server_role, networks = $row.networks, created_at = $row.created_at, expires_at = $row.expires_at,
            used_at = $row.used_at
            RETURN NONE;"
    };
}
pub(super) use write_token;

/// The id of a token is random. A row with the same digest is that of an earlier, equal call; one
/// with another digest makes this call fail.
const CREATE: &str = concat!(
    "
    BEGIN;
    LET $has_account = (SELECT VALUE name FROM ONLY $of_account) != NONE;
    IF $has_account AND (SELECT VALUE digest FROM ONLY $key) != $row.digest {
        ",
    write_token!(),
    write_event!(),
    "
    };
    RETURN { changed: $has_account };
    COMMIT;"
);

/// Every request with a token runs this: one read of each row, and one range of memberships.
const TOKEN: &str = concat!(
    "RETURN { found: (SELECT ",
    token_columns!(),
    " FROM ONLY $key), owner: (SELECT ",
    account_columns!(),
    " FROM ONLY account:[(SELECT VALUE account FROM ONLY $key)]) };"
);

const TOKENS: &str = concat!("RETURN { rows: (SELECT ", token_columns!(), " FROM token WHERE account = $name) };");

const REVOKE: &str = concat!(
    "
    BEGIN;
    LET $gone = DELETE $key WHERE account = $name RETURN BEFORE;
    IF array::len($gone) > 0 { ",
    write_event!(),
    " };
    RETURN { gone: array::len($gone) };
    COMMIT;"
);

impl TokenRow {
    pub(super) fn new(record: TokenRecord) -> Self {
        let TokenRecord { id, digest, account, label, scope, networks, created_at, expires_at, used_at } = record;
        Self {
            name: id.to_string(),
            digest: digest.to_string(),
            account: account.to_string(),
            label,
            role: scope.role.to_string(),
            project: scope.project.map(|project| project.to_string()),
            has_server_role: scope.has_server_role,
            networks: (!networks.is_empty()).then(|| networks.iter().map(ToString::to_string).collect()),
            created_at: row::nanoseconds(created_at),
            expires_at: row::nanoseconds(expires_at),
            used_at: used_at.map(row::nanoseconds),
        }
    }

    fn into_record(self) -> Result<TokenRecord, StoreError> {
        let networks: Result<Vec<Network>, _> = self.networks.iter().flatten().map(|network| network.parse()).collect();
        Ok(TokenRecord {
            id: self.name.parse().map_err(row::corrupt)?,
            digest: self.digest.parse().map_err(row::corrupt)?,
            account: self.account.parse().map_err(row::corrupt)?,
            label: self.label,
            scope: TokenScope {
                role: self.role.parse().map_err(row::corrupt)?,
                project: self.project.map(|project| project.parse()).transpose().map_err(row::corrupt)?,
                has_server_role: self.has_server_role,
            },
            networks: networks.map_err(row::corrupt)?,
            created_at: row::timestamp(self.created_at)?,
            expires_at: row::timestamp(self.expires_at)?,
            used_at: self.used_at.map(row::timestamp).transpose()?,
        })
    }
}

impl SurrealStore {
    pub(super) async fn add_token(&self, token: TokenRecord, by: &Principal) -> Result<bool, StoreError> {
        let event = DomainEvent::TokenCreated { account: token.account.clone(), token: token.id.clone() };
        let arguments = CreateArguments {
            key: token_key(&token.id),
            of_account: account_key(&token.account),
            row: TokenRow::new(token),
            event: self.audited(&event, by)?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, CREATE, arguments).await?;
        Ok(answer.changed)
    }

    pub(super) async fn read_token(&self, id: &TokenId) -> Result<Option<(TokenRecord, Account)>, StoreError> {
        let answer: OneToken = calls::call_again(&self.inner.db, TOKEN, Key { key: token_key(id) }).await?;
        let OneToken { found: Some(found), owner: Some(owner) } = answer else { return Ok(None) };
        Ok(Some((found.into_record()?, owner.into_account()?)))
    }

    pub(super) async fn tokens_of(&self, name: &AccountName) -> Result<Vec<TokenRecord>, StoreError> {
        let name = OfAccount { name: name.to_string() };
        let Tokens { rows } = calls::call_again(&self.inner.db, TOKENS, name).await?;
        let mut all = rows.into_iter().map(TokenRow::into_record).collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|token| (Reverse(token.created_at), token.id.clone()));
        Ok(all)
    }

    pub(super) async fn delete_token(
        &self,
        name: &AccountName,
        id: &TokenId,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        // The token that was there before a deletion whose response was lost. If it is missing
        // afterwards, the deletion was committed.
        if self.read_token(id).await?.is_none_or(|(token, _)| token.account != *name) {
            return Ok(false);
        }
        let event = DomainEvent::TokenRevoked { account: name.clone(), token: id.clone() };
        let arguments =
            RevokeArguments { key: token_key(id), name: name.to_string(), event: self.audited(&event, by)? };
        let (answer, is_unanswered) = calls::call_again_noting_loss::<Gone>(&self.inner.db, REVOKE, arguments).await?;
        Ok(answer.gone > 0 || is_unanswered)
    }
}
