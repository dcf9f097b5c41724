//! Exports and imports accounts, memberships, projects, clearances, API tokens, public links,
//! shares, second factors, recovery codes, passkeys and the identities of an identity provider:
//! their part of backup and restore. The secret of a second factor stays sealed. Sessions, pending
//! sign-ins, used challenges, one-time links and mail addresses that wait for their confirmation
//! are not exported: everybody signs in again after a restore.
//!
//! Rows that belong to an account are exported before the accounts. An account is never deleted, so
//! each of them has its account in the backup, also if it is created during the export.

use kastrel_actors::ports::StoreError;
use serde::{Deserialize, Serialize};
use surrealdb::types::{Array, RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue};

use super::calls;
use super::row::at_most;
use super::store::SurrealStore;
use super::transfer::{Import, ImportError, refused};

/// The first schema with accounts.
const FIRST_SCHEMA: i64 = 14;

/// The first schema with clearances.
const FIRST_WITH_CLEARANCES: i64 = 15;
/// The first schema with second factors.
const FIRST_WITH_FACTORS: i64 = 17;
/// The first schema with public links.
const FIRST_WITH_LINKS: i64 = 19;
/// The first schema with shares.
const FIRST_WITH_SHARES: i64 = 20;
/// The first schema with identities of an identity provider.
const FIRST_WITH_IDENTITIES: i64 = 21;
/// The first schema with passkeys.
const FIRST_WITH_PASSKEYS: i64 = 22;

/// A row of accounts or projects as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportedAccess {
    /// An API token.
    Token(ExportedToken),
    /// A membership.
    Membership(ExportedMembership),
    /// A project.
    Project(ExportedProject),
    /// An account.
    Account(ExportedAccount),
    /// A clearance of hosts in a project.
    Clearance(ExportedClearance),
    /// A second factor.
    SecondFactor(ExportedSecondFactor),
    /// A recovery code.
    RecoveryCode(ExportedRecoveryCode),
    /// A passkey.
    Passkey(ExportedPasskey),
    /// The identity of an account at the identity provider.
    ProviderIdentity(ExportedIdentity),
    /// A public link of a scan.
    PublicLink(ExportedPublicLink),
    /// A share of a scan.
    Share(ExportedShare),
}

/// The row of an API token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedToken {
    name: String,
    digest: String,
    account: String,
    label: String,
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    has_server_role: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    networks: Option<Vec<String>>,
    created_at: i64,
    expires_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_at: Option<i64>,
}

/// The row of a membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedMembership {
    account: String,
    project: String,
    role: String,
}

/// The row of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedProject {
    name: String,
    title: String,
    created_at: i64,
}

/// The row of an account. It has the hash of the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedAccount {
    name: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server_role: Option<String>,
    is_disabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mail: Option<String>,
    created_at: i64,
}

/// The row of a clearance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedClearance {
    project: String,
    pattern: String,
    level: String,
    authorised_by: String,
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    text: String,
}

/// The row of a second factor. Its secret is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedSecondFactor {
    account: String,
    secret: String,
    created_at: i64,
    last_step: i64,
    tries: i64,
}

/// The row of a recovery code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedRecoveryCode {
    account: String,
    digest: String,
}

/// The row of a passkey. It has the public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedPasskey {
    name: String,
    account: String,
    label: String,
    user_handle: String,
    credential: String,
    created_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_at: Option<i64>,
}

/// The row of the identity of an account at the identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedIdentity {
    account: String,
    issuer: String,
    subject: String,
    linked_at: i64,
}

/// The row of a public link. It has the hash of its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedPublicLink {
    name: String,
    digest: String,
    scan: i64,
    label: String,
    created_by: String,
    created_at: i64,
    expires_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    opened: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opened_at: Option<i64>,
}

/// The row of a share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedShare {
    grantee: String,
    scan: i64,
    /// The scan as a part of the key.
    number: String,
    right: String,
    created_by: String,
    created_at: i64,
    expires_at: i64,
}

/// The tables, in the order of the export.
#[derive(Debug, Clone, Copy)]
enum Table {
    SecondFactor,
    RecoveryCode,
    Passkey,
    ProviderIdentity,
    Token,
    Membership,
    Project,
    Account,
    Clearance,
    PublicLink,
    Share,
}

#[derive(Debug, Clone, SurrealValue)]
struct Page {
    range: RecordId,
    limit: i64,
}

#[derive(Debug, SurrealValue)]
struct Rows<T: SurrealValue> {
    rows: Vec<T>,
}

#[derive(Debug, Clone, SurrealValue)]
struct ImportRows {
    run: String,
    tokens: Vec<ExportedToken>,
    memberships: Vec<ExportedMembership>,
    projects: Vec<ExportedProject>,
    accounts: Vec<ExportedAccount>,
    clearances: Vec<ExportedClearance>,
    factors: Vec<ExportedSecondFactor>,
    codes: Vec<ExportedRecoveryCode>,
    passkeys: Vec<ExportedPasskey>,
    identities: Vec<ExportedIdentity>,
    links: Vec<ExportedPublicLink>,
    shares: Vec<ExportedShare>,
}

const SECOND_FACTORS: &str =
    "RETURN { rows: (SELECT account, secret, created_at, last_step, tries FROM $range LIMIT $limit) };";

const RECOVERY_CODES: &str = "RETURN { rows: (SELECT account, digest FROM $range LIMIT $limit) };";

const PASSKEYS: &str = "
    RETURN { rows: (SELECT name, account, label, user_handle, credential, created_at, used_at FROM $range LIMIT $limit) };";

const PROVIDER_IDENTITIES: &str =
    "RETURN { rows: (SELECT account, issuer, subject, linked_at FROM $range LIMIT $limit) };";

const TOKENS: &str = "
    RETURN { rows: (SELECT name, digest, account, label, role, project, has_server_role, networks, created_at, expires_at, used_at FROM $range LIMIT $limit) };";

const MEMBERSHIPS: &str = "RETURN { rows: (SELECT account, project, role FROM $range LIMIT $limit) };";

const PROJECTS: &str = "RETURN { rows: (SELECT name, title, created_at FROM $range LIMIT $limit) };";

const ACCOUNTS: &str = "
    RETURN { rows: (SELECT name, kind, server_role, is_disabled, password, mail, created_at FROM $range LIMIT $limit) };";

const CLEARANCES: &str = "
    RETURN { rows: (SELECT project, pattern, level, authorised_by, at, until, text FROM $range LIMIT $limit) };";

const PUBLIC_LINKS: &str = "
    RETURN { rows: (SELECT name, digest, scan, label, created_by, created_at, expires_at, password, opened, opened_at FROM $range LIMIT $limit) };";

const SHARES: &str = "
    RETURN { rows: (SELECT grantee, scan, <string> scan AS number, right, created_by, created_at, expires_at FROM $range LIMIT $limit) };";

const IMPORT: &str = "
    BEGIN;
    IF (SELECT VALUE run FROM ONLY restore:running FOR UPDATE) != $run { THROW 'another restore has begun' };
    FOR $row IN $tokens {
        UPSERT type::record('token', [$row.name]) SET
            name = $row.name, digest = $row.digest, account = $row.account, label = $row.label, role = $row.role, project = $row.project,
            has_server_role = $row.has_server_role, networks = $row.networks, created_at = $row.created_at, expires_at = $row.expires_at,
            used_at = $row.used_at
            RETURN NONE;
    };
    FOR $row IN $memberships {
        UPSERT type::record('membership', [$row.account, $row.project]) SET
            account = $row.account, project = $row.project, role = $row.role RETURN NONE;
    };
    FOR $row IN $projects {
        UPSERT type::record('project', [$row.name]) SET
            name = $row.name, title = $row.title, created_at = $row.created_at, made_by = $run RETURN NONE;
    };
    FOR $row IN $accounts {
        UPSERT type::record('account', [$row.name]) SET
            name = $row.name, kind = $row.kind, server_role = $row.server_role, is_disabled = $row.is_disabled, password = $row.password,
            mail = $row.mail, created_at = $row.created_at, made_by = $run
            RETURN NONE;
    };
    FOR $row IN $clearances {
        UPSERT type::record('clearance', [$row.project, $row.pattern]) SET
            project = $row.project, pattern = $row.pattern, level = $row.level, authorised_by = $row.authorised_by, at = $row.at,
            until = $row.until, text = $row.text, made_by = $run
            RETURN NONE;
    };
    FOR $row IN $factors {
        UPSERT type::record('second_factor', [$row.account]) SET
            account = $row.account, secret = $row.secret, created_at = $row.created_at, last_step = $row.last_step, tries = $row.tries,
            made_by = $run
            RETURN NONE;
    };
    FOR $row IN $codes {
        UPSERT type::record('recovery_code', [$row.account, $row.digest]) SET account = $row.account, digest = $row.digest RETURN NONE;
    };
    FOR $row IN $passkeys {
        UPSERT type::record('passkey_owner', [$row.name]) SET account = $row.account RETURN NONE;
        UPSERT type::record('passkey', [$row.account, $row.name]) SET
            name = $row.name, account = $row.account, label = $row.label, user_handle = $row.user_handle, credential = $row.credential,
            created_at = $row.created_at, used_at = $row.used_at, made_by = $run
            RETURN NONE;
    };
    FOR $row IN $identities {
        UPSERT type::record('provider_identity', [$row.account]) SET
            account = $row.account, issuer = $row.issuer, subject = $row.subject, linked_at = $row.linked_at, made_by = $run
            RETURN NONE;
        LET $digest = crypto::sha256($row.issuer + '\n' + $row.subject);
        UPSERT type::record('provider_subject', [$digest]) SET digest = $digest, account = $row.account RETURN NONE;
    };
    FOR $row IN $links {
        UPSERT type::record('public_link', [$row.digest]) SET
            name = $row.name, digest = $row.digest, scan = $row.scan, label = $row.label, created_by = $row.created_by,
            created_at = $row.created_at, expires_at = $row.expires_at, password = $row.password, opened = $row.opened,
            opened_at = $row.opened_at, made_by = $run
            RETURN NONE;
    };
    FOR $row IN $shares {
        UPSERT type::record('share', [$row.grantee, $row.number]) SET
            grantee = $row.grantee, scan = $row.scan, right = $row.right, created_by = $row.created_by, created_at = $row.created_at,
            expires_at = $row.expires_at, made_by = $run
            RETURN NONE;
    };
    COMMIT;";

impl Table {
    const ALL: [Self; 11] = [
        Self::SecondFactor,
        Self::RecoveryCode,
        Self::Passkey,
        Self::ProviderIdentity,
        Self::Token,
        Self::Membership,
        Self::Project,
        Self::Account,
        Self::Clearance,
        Self::PublicLink,
        Self::Share,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::SecondFactor => "second_factor",
            Self::RecoveryCode => "recovery_code",
            Self::Passkey => "passkey",
            Self::ProviderIdentity => "provider_identity",
            Self::Token => "token",
            Self::Membership => "membership",
            Self::Project => "project",
            Self::Account => "account",
            Self::Clearance => "clearance",
            Self::PublicLink => "public_link",
            Self::Share => "share",
        }
    }

    /// The first schema with the table.
    const fn first_schema(self) -> i64 {
        match self {
            Self::Token | Self::Membership | Self::Project | Self::Account => FIRST_SCHEMA,
            Self::Clearance => FIRST_WITH_CLEARANCES,
            Self::SecondFactor | Self::RecoveryCode => FIRST_WITH_FACTORS,
            Self::PublicLink => FIRST_WITH_LINKS,
            Self::Passkey => FIRST_WITH_PASSKEYS,
            Self::ProviderIdentity => FIRST_WITH_IDENTITIES,
            Self::Share => FIRST_WITH_SHARES,
        }
    }

    /// The range of the rows after this key, or of all rows. No part of a key has characters below
    /// `*` or above `z`.
    fn range(self, after: Option<Vec<&str>>) -> RecordId {
        let key = |parts: Vec<String>| {
            RecordIdKey::Array(Array::from(parts.into_iter().map(SurrealValue::into_value).collect::<Vec<_>>()))
        };
        let mut first: Vec<String> = after.unwrap_or_default().into_iter().map(str::to_owned).collect();
        if let Some(last) = first.last_mut() {
            last.push('!');
        }
        let range = RecordIdKeyRange::from(key(first)..key(vec!["~".to_owned()]));
        RecordId::new(self.name(), range)
    }
}

impl ExportedAccess {
    const fn table(&self) -> Table {
        match self {
            Self::SecondFactor(_) => Table::SecondFactor,
            Self::RecoveryCode(_) => Table::RecoveryCode,
            Self::Passkey(_) => Table::Passkey,
            Self::ProviderIdentity(_) => Table::ProviderIdentity,
            Self::Token(_) => Table::Token,
            Self::Membership(_) => Table::Membership,
            Self::Project(_) => Table::Project,
            Self::Account(_) => Table::Account,
            Self::Clearance(_) => Table::Clearance,
            Self::PublicLink(_) => Table::PublicLink,
            Self::Share(_) => Table::Share,
        }
    }

    fn key(&self) -> Vec<&str> {
        match self {
            Self::SecondFactor(row) => vec![&row.account],
            Self::RecoveryCode(row) => vec![&row.account, &row.digest],
            Self::Passkey(row) => vec![&row.account, &row.name],
            Self::ProviderIdentity(row) => vec![&row.account],
            Self::Token(row) => vec![&row.name],
            Self::Membership(row) => vec![&row.account, &row.project],
            Self::Project(row) => vec![&row.name],
            Self::Account(row) => vec![&row.name],
            Self::Clearance(row) => vec![&row.project, &row.pattern],
            Self::PublicLink(row) => vec![&row.digest],
            Self::Share(row) => vec![&row.grantee, &row.number],
        }
    }
}

impl SurrealStore {
    /// Returns up to `limit` rows of accounts and projects that follow `after`; none after the last
    /// one. A database of a schema without accounts has none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn export_access(
        &self,
        schema: i64,
        after: Option<&ExportedAccess>,
        limit: usize,
    ) -> Result<Vec<ExportedAccess>, StoreError> {
        let first = after.map_or(0, |row| row.table() as usize);
        let mut after = after.map(ExportedAccess::key);
        for table in Table::ALL.into_iter().skip(first).filter(|table| table.first_schema() <= schema) {
            let page = Page { range: table.range(after.take()), limit: at_most(limit) };
            let rows = match table {
                Table::SecondFactor => self.page_of(SECOND_FACTORS, page, ExportedAccess::SecondFactor).await?,
                Table::RecoveryCode => self.page_of(RECOVERY_CODES, page, ExportedAccess::RecoveryCode).await?,
                Table::Passkey => self.page_of(PASSKEYS, page, ExportedAccess::Passkey).await?,
                Table::ProviderIdentity => {
                    self.page_of(PROVIDER_IDENTITIES, page, ExportedAccess::ProviderIdentity).await?
                }
                Table::Token => self.page_of(TOKENS, page, ExportedAccess::Token).await?,
                Table::Membership => self.page_of(MEMBERSHIPS, page, ExportedAccess::Membership).await?,
                Table::Project => self.page_of(PROJECTS, page, ExportedAccess::Project).await?,
                Table::Account => self.page_of(ACCOUNTS, page, ExportedAccess::Account).await?,
                Table::Clearance => self.page_of(CLEARANCES, page, ExportedAccess::Clearance).await?,
                Table::PublicLink => self.page_of(PUBLIC_LINKS, page, ExportedAccess::PublicLink).await?,
                Table::Share => self.page_of(SHARES, page, ExportedAccess::Share).await?,
            };
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }

    async fn page_of<T: SurrealValue + Send>(
        &self,
        sql: &'static str,
        page: Page,
        exported: fn(T) -> ExportedAccess,
    ) -> Result<Vec<ExportedAccess>, StoreError> {
        let Rows { rows } = calls::call_again::<Rows<T>>(&self.inner.db, sql, page).await?;
        Ok(rows.into_iter().map(exported).collect())
    }
}

impl Import<'_> {
    /// Imports rows of accounts and projects.
    ///
    /// # Errors
    /// Another restore has started, or the database failed.
    pub async fn add_access(&self, rows: &[ExportedAccess]) -> Result<(), ImportError> {
        let mut all = ImportRows {
            run: self.run.clone(),
            tokens: Vec::new(),
            memberships: Vec::new(),
            projects: Vec::new(),
            accounts: Vec::new(),
            clearances: Vec::new(),
            factors: Vec::new(),
            codes: Vec::new(),
            passkeys: Vec::new(),
            identities: Vec::new(),
            links: Vec::new(),
            shares: Vec::new(),
        };
        for row in rows.iter().cloned() {
            match row {
                ExportedAccess::Token(row) => all.tokens.push(row),
                ExportedAccess::Membership(row) => all.memberships.push(row),
                ExportedAccess::Project(row) => all.projects.push(row),
                ExportedAccess::Account(row) => all.accounts.push(row),
                ExportedAccess::Clearance(row) => all.clearances.push(row),
                ExportedAccess::SecondFactor(row) => all.factors.push(row),
                ExportedAccess::RecoveryCode(row) => all.codes.push(row),
                ExportedAccess::Passkey(row) => all.passkeys.push(row),
                ExportedAccess::ProviderIdentity(row) => all.identities.push(row),
                ExportedAccess::PublicLink(row) => all.links.push(row),
                ExportedAccess::Share(row) => all.shares.push(row),
            }
        }
        calls::execute_again(&self.store.inner.db, IMPORT, all).await.map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::super::transfer::CLEAR;
    use super::Table;

    /// What an earlier restore left must not open accounts of the next one.
    #[test]
    fn each_exported_table_is_emptied_before_an_import() {
        for name in Table::ALL.map(Table::name) {
            assert!(CLEAR.contains(&format!("SELECT VALUE id FROM {name} LIMIT")), "{name}");
        }
    }
}
