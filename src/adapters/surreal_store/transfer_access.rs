//! Exports and imports accounts, memberships, projects and API tokens: their part of backup and
//! restore. Sessions and one-time links are not exported: everybody signs in again after a restore.
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
    created_at: i64,
}

/// The tables, in the order of the export.
#[derive(Debug, Clone, Copy)]
enum Table {
    Token,
    Membership,
    Project,
    Account,
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
}

const TOKENS: &str = "
    RETURN { rows: (SELECT name, digest, account, label, role, project, has_server_role, created_at, expires_at, used_at FROM $range LIMIT $limit) };";

const MEMBERSHIPS: &str = "RETURN { rows: (SELECT account, project, role FROM $range LIMIT $limit) };";

const PROJECTS: &str = "RETURN { rows: (SELECT name, title, created_at FROM $range LIMIT $limit) };";

const ACCOUNTS: &str = "
    RETURN { rows: (SELECT name, kind, server_role, is_disabled, password, created_at FROM $range LIMIT $limit) };";

const IMPORT: &str = "
    BEGIN;
    IF (SELECT VALUE run FROM ONLY restore:running FOR UPDATE) != $run { THROW 'another restore has begun' };
    FOR $row IN $tokens {
        UPSERT type::record('token', [$row.name]) SET
            name = $row.name, digest = $row.digest, account = $row.account, label = $row.label, role = $row.role, project = $row.project,
            has_server_role = $row.has_server_role, created_at = $row.created_at, expires_at = $row.expires_at, used_at = $row.used_at
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
            created_at = $row.created_at, made_by = $run
            RETURN NONE;
    };
    COMMIT;";

impl Table {
    const ALL: [Self; 4] = [Self::Token, Self::Membership, Self::Project, Self::Account];

    const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Membership => "membership",
            Self::Project => "project",
            Self::Account => "account",
        }
    }

    /// The range of the rows after this key, or of all rows. A name has no characters below `+` and
    /// none above `z`.
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
            Self::Token(_) => Table::Token,
            Self::Membership(_) => Table::Membership,
            Self::Project(_) => Table::Project,
            Self::Account(_) => Table::Account,
        }
    }

    fn key(&self) -> Vec<&str> {
        match self {
            Self::Token(row) => vec![&row.name],
            Self::Membership(row) => vec![&row.account, &row.project],
            Self::Project(row) => vec![&row.name],
            Self::Account(row) => vec![&row.name],
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
        if schema < FIRST_SCHEMA {
            return Ok(Vec::new());
        }
        let first = after.map_or(0, |row| row.table() as usize);
        let mut after = after.map(ExportedAccess::key);
        for table in Table::ALL.into_iter().skip(first) {
            let page = Page { range: table.range(after.take()), limit: at_most(limit) };
            let rows = match table {
                Table::Token => self.page_of(TOKENS, page, ExportedAccess::Token).await?,
                Table::Membership => self.page_of(MEMBERSHIPS, page, ExportedAccess::Membership).await?,
                Table::Project => self.page_of(PROJECTS, page, ExportedAccess::Project).await?,
                Table::Account => self.page_of(ACCOUNTS, page, ExportedAccess::Account).await?,
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
        };
        for row in rows.iter().cloned() {
            match row {
                ExportedAccess::Token(row) => all.tokens.push(row),
                ExportedAccess::Membership(row) => all.memberships.push(row),
                ExportedAccess::Project(row) => all.projects.push(row),
                ExportedAccess::Account(row) => all.accounts.push(row),
            }
        }
        calls::execute_again(&self.store.inner.db, IMPORT, all).await.map_err(refused)
    }
}
