//! Exports a database, and imports into an empty database: the store's half of backup and restore.
//!
//! An export contains records and their plugins, not rows. The import derives columns, keys and the
//! counter again, so that a backup outlives the schema. The audit log is exported as it is stored
//! ([`transfer_audit`](super::transfer_audit)) with its seals
//! ([`transfer_chain`](super::transfer_chain)), and so are accounts and projects
//! ([`transfer_access`](super::transfer_access)) and findings
//! ([`transfer_findings`](super::transfer_findings)). Nodes are not exported: their leases are over. A
//! scan that was running during the backup is imported as running on a node that does not exist.
//! That makes it an orphan, which the reconciler requeues.
//!
//! - **The export** contains the scans that existed at one moment, because ids are assigned in
//!   order. Each scan has the state from when its page was read. An unreadable row is left out and
//!   reported, so that it does not prevent the backup of the others. A page that the engine cannot
//!   read is split in halves, down to the unreadable rows.
//! - **The additional rows** ([`ended`](super::ended)) are created again at the end, as for the
//!   scans of an earlier version.
//! - **Entries of the outbox** are not exported: consumers have got most of them. The import adds
//!   those of ended scans that have no result yet, so that their findings are read.
//! - **During the import** a mark exists in the database, and a process that finds it refuses to
//!   use the database ([`OpenError::HalfRestored`](super::OpenError)).

use std::collections::HashMap;

use kastrel_actors::model::{
    AttemptNumber, ChainDigest, DomainEvent, OutboxKey, PluginResult, QueuePause, ScanId, ScanRecord,
};
use kastrel_actors::policy::events::OUTCOMES;
use kastrel_actors::policy::listing::target_text;
use kastrel_actors::ports::StoreError;
use kastrel_actors::ports::store::prelude::*;
use surrealdb::types::{RecordId, RecordIdKeyRange, SurrealValue, Value};

use super::calls::{self, Nothing};
use super::error::{CallError, Failure};
use super::event::outbox_key;
use super::results::{Results, write_results};
use super::row::{self, Columns, Keyed, attempt_of, earlier, set_columns};
use super::store::SurrealStore;
use super::{results, steps, upgrade};
use crate::error_chain::chain;

/// The content of a database apart from its scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The last assigned scan id.
    pub last: ScanId,
    /// The pause of the queue, if it is paused.
    pub pause: Option<QueuePause>,
}

/// A scan with all its plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedScan {
    /// The scan, with the plugins of its last attempt.
    pub record: ScanRecord,
    /// The plugins of earlier attempts, in order.
    pub earlier: Vec<AttemptPlugin>,
}

impl From<ScanRecord> for ExportedScan {
    fn from(record: ScanRecord) -> Self {
        Self { record, earlier: Vec::new() }
    }
}

/// A plugin of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptPlugin {
    /// The attempt.
    pub attempt: AttemptNumber,
    /// Its place among the plugins of the attempt, from 0.
    pub ordinal: u32,
    /// The plugin.
    pub result: PluginResult,
}

/// An exported scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exported {
    /// A scan.
    Scan(Box<ExportedScan>),
    /// An unreadable row.
    Unreadable {
        /// The scan id.
        id: ScanId,
        /// The reason.
        why: String,
    },
}

impl Exported {
    /// The scan id.
    #[must_use]
    pub fn id(&self) -> ScanId {
        match self {
            Self::Scan(scan) => scan.record.id,
            Self::Unreadable { id, .. } => *id,
        }
    }
}

/// The reason why an import is refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The database is not empty.
    #[error("the database is not empty: it has given out scan ids up to {last}")]
    NotEmpty {
        /// The last assigned scan id.
        last: u64,
    },
    /// The database has accounts.
    #[error("the database is not empty: it has the account {account}")]
    HasAccounts {
        /// One of the accounts.
        account: String,
    },
    /// A node uses the database.
    #[error("the database is in use by the node {node}: stop all servers and workers first")]
    InUse {
        /// One of the active nodes.
        node: String,
    },
    /// The number of rows after the import differs from the number of imported scans.
    #[error("the database holds {found} scans after {imported} were imported")]
    Miscounted {
        /// The number of scans in the database.
        found: u64,
        /// The number of imported scans.
        imported: u64,
    },
    /// Another restore into the same database has started in the meantime.
    #[error("another restore into this database has begun")]
    Overtaken,
    /// The database failed, or a record cannot be stored as a row.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Clone, SurrealValue)]
struct Ranges {
    scans: RecordId,
    results: RecordId,
}

/// Rows are decoded separately, so that one with a different shape does not affect the others.
#[derive(Debug, SurrealValue)]
struct Rows {
    rows: Vec<Value>,
    results: Vec<ResultRow>,
}

#[derive(Debug, SurrealValue)]
struct ResultRow {
    scan: i64,
    attempt: i64,
    ordinal: i64,
    result: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct Begin {
    run: String,
    offset: i64,
    no_digest: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct Run {
    run: String,
}

#[derive(Debug, SurrealValue)]
struct Begun {
    last: Option<i64>,
    node: Option<String>,
    account: Option<String>,
    again: bool,
}

#[derive(Debug, SurrealValue)]
struct Deleted {
    deleted: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct ImportRow {
    number: i64,
    key: Option<RecordId>,
    target: String,
    mode: String,
    owner: Option<String>,
    project: String,
    trace: String,
    created_at: i64,
    columns: Columns,
    results: Results,
}

#[derive(Debug, Clone, SurrealValue)]
struct ImportRows {
    run: String,
    rows: Vec<ImportRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct NewEntry {
    key: RecordId,
    scan: i64,
    version: i64,
    event: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct NewEntries {
    run: String,
    offset: i64,
    accepted_by: String,
    entries: Vec<NewEntry>,
}

#[derive(Debug, Clone, SurrealValue)]
struct End {
    run: String,
    last: i64,
    imported: i64,
    since: Option<i64>,
    reason: Option<String>,
}

#[derive(Debug, SurrealValue)]
struct Ended {
    found: i64,
}

const LAST: &str =
    "RETURN { last: (SELECT VALUE value FROM ONLY counter:scan), node: NONE, account: NONE, again: false };";

const EXPORT: &str = "
    RETURN {
        rows: (SELECT id, number, version, created_at, body ?? document AS body, node, granted_at ?? leased_at AS granted_at, [] AS plugins FROM $scans),
        results: (SELECT scan, attempt, ordinal, result FROM $results),
    };";

/// Reads rows of schema 10 or earlier, which has no table of plugins.
const EXPORT_EARLIER: &str = concat!("RETURN { rows: (SELECT id, ", earlier!(), " FROM $scans), results: [] };");

/// Sets the restore mark unless the database is in use, and removes the marks of completed
/// backfills. Registrations and submissions read the restore mark FOR UPDATE, so that neither
/// commits concurrently with this statement. An earlier restore that has not ended loses the mark
/// and with it the database. The rows of nodes with expired leases are deleted, so that no such
/// node renews its lease during the import; and so are the credentials that work without an account
/// of the backup. The chain of the audit log is that of the backup: entries that the database has
/// are sealed again, after those of the backup. What an earlier restore left may be too much for
/// one transaction; [`CLEAR`] deletes it.
const BEGIN: &str = "
    BEGIN;
    LET $now = time::nano(time::now()) + $offset;
    LET $last = SELECT VALUE value FROM ONLY counter:scan;
    LET $nodes = SELECT VALUE name FROM node WHERE expires_at > $now LIMIT 1;
    LET $again = (SELECT VALUE since FROM ONLY restore:running) != NONE;
    LET $account = IF $again { NONE } ELSE { (SELECT VALUE name FROM account LIMIT 1)[0] };
    IF $last = NONE AND array::len($nodes) = 0 AND $account = NONE {
        DELETE node RETURN NONE;
        DELETE one_time_link RETURN NONE;
        DELETE session RETURN NONE;
        DELETE audit_open RETURN NONE;
        DELETE audit_key RETURN NONE;
        IF $again = false {
            DELETE audit_seal RETURN NONE;
            UPDATE audit SET seal = NONE RETURN NONE;
        };
        UPSERT audit_head:chain SET number = 0, digest = $no_digest, pruned = 0, walked = false, walk_at = NONE, walk_nonce = NONE RETURN NONE;
        DELETE pending_sign_in RETURN NONE;
        DELETE mail_request RETURN NONE;
        DELETE device_login RETURN NONE;
        DELETE provider_sign_in RETURN NONE;
        UPSERT restore:running SET since = $now, run = $run RETURN NONE;
        DELETE backfill RETURN NONE;
    };
    RETURN { last: $last, node: $nodes[0], account: $account, again: $again };
    COMMIT;";

/// Deletes some rows at a time, because a transaction is held in memory.
pub(super) const CLEAR: &str = "
    BEGIN;
    IF (SELECT VALUE run FROM ONLY restore:running FOR UPDATE) != $run { THROW 'another restore has begun' };
    LET $scans = SELECT VALUE id FROM scan LIMIT 500;
    LET $keys = SELECT VALUE id FROM idempotency LIMIT 500;
    LET $results = SELECT VALUE id FROM plugin_result LIMIT 500;
    LET $aims = SELECT VALUE id FROM aim LIMIT 500;
    LET $ended = SELECT VALUE id FROM ended LIMIT 500;
    LET $found = SELECT VALUE id FROM found LIMIT 500;
    LET $days = SELECT VALUE id FROM day LIMIT 500;
    LET $audit = SELECT VALUE id FROM audit LIMIT 500;
    LET $accounts = SELECT VALUE id FROM account LIMIT 500;
    LET $members = SELECT VALUE id FROM membership LIMIT 500;
    LET $projects = SELECT VALUE id FROM project LIMIT 500;
    LET $tokens = SELECT VALUE id FROM token LIMIT 500;
    LET $clearances = SELECT VALUE id FROM clearance LIMIT 500;
    LET $seals = SELECT VALUE id FROM audit_seal LIMIT 500;
    LET $factors = SELECT VALUE id FROM second_factor LIMIT 500;
    LET $codes = SELECT VALUE id FROM recovery_code LIMIT 500;
    LET $passkeys = SELECT VALUE id FROM passkey LIMIT 500;
    LET $passkey_owners = SELECT VALUE id FROM passkey_owner LIMIT 500;
    LET $links = SELECT VALUE id FROM public_link LIMIT 500;
    LET $identities = SELECT VALUE id FROM provider_identity LIMIT 500;
    LET $subjects = SELECT VALUE id FROM provider_subject LIMIT 500;
    LET $shares = SELECT VALUE id FROM share LIMIT 500;
    LET $targets = SELECT VALUE id FROM target LIMIT 500;
    LET $findings = SELECT VALUE id FROM finding LIMIT 500;
    LET $scan_results = SELECT VALUE id FROM scan_result LIMIT 500;
    LET $observed = SELECT VALUE id FROM scan_observed LIMIT 20;
    LET $assets = SELECT VALUE id FROM target_assets LIMIT 20;
    LET $notes = SELECT VALUE id FROM scan_notes LIMIT 500;
    LET $tags = SELECT VALUE id FROM scan_tag LIMIT 500;
    LET $policies = SELECT VALUE id FROM sla_policy LIMIT 500;
    LET $filters = SELECT VALUE id FROM saved_filter LIMIT 500;
    LET $outbox = SELECT VALUE id FROM outbox LIMIT 500;
    DELETE $scans RETURN NONE;
    DELETE $keys RETURN NONE;
    DELETE $results RETURN NONE;
    DELETE $aims RETURN NONE;
    DELETE $ended RETURN NONE;
    DELETE $found RETURN NONE;
    DELETE $days RETURN NONE;
    DELETE $audit RETURN NONE;
    DELETE $accounts RETURN NONE;
    DELETE $members RETURN NONE;
    DELETE $projects RETURN NONE;
    DELETE $tokens RETURN NONE;
    DELETE $clearances RETURN NONE;
    DELETE $seals RETURN NONE;
    DELETE $factors RETURN NONE;
    DELETE $codes RETURN NONE;
    DELETE $passkeys RETURN NONE;
    DELETE $passkey_owners RETURN NONE;
    DELETE $links RETURN NONE;
    DELETE $identities RETURN NONE;
    DELETE $subjects RETURN NONE;
    DELETE $shares RETURN NONE;
    DELETE $targets RETURN NONE;
    DELETE $findings RETURN NONE;
    DELETE $scan_results RETURN NONE;
    DELETE $observed RETURN NONE;
    DELETE $assets RETURN NONE;
    DELETE $notes RETURN NONE;
    DELETE $tags RETURN NONE;
    DELETE $policies RETURN NONE;
    DELETE $filters RETURN NONE;
    DELETE $outbox RETURN NONE;
    RETURN {
        deleted: array::len(array::concat($scans, $keys, $results, $aims, $ended, $found, $days, $audit, $accounts, $members, $projects, $tokens, $clearances, $seals, $factors, $codes, $passkeys, $passkey_owners, $links, $identities, $subjects, $shares, $targets, $findings, $scan_results, $observed, $assets, $notes, $tags, $policies, $filters, $outbox)),
    };
    COMMIT;";

const IMPORT: &str = concat!(
    "BEGIN;
    IF (SELECT VALUE run FROM ONLY restore:running FOR UPDATE) != $run { THROW 'another restore has begun' };
    FOR $row IN $rows {
        LET $columns = $row.columns;
        UPSERT type::record('scan', $row.number) SET
            number = $row.number, target = $row.target, mode = $row.mode, owner = $row.owner, project = $row.project, trace = $row.trace, created_at = $row.created_at, ",
    set_columns!(),
    " RETURN NONE;
        LET $results = $row.results;",
    write_results!(),
    "IF $row.key != NONE { UPSERT $row.key SET scan = $row.number RETURN NONE; };
    };
    COMMIT;"
);

/// Writes entries of the outbox, which one consumer has accepted.
const ADD_ENTRIES: &str = "
    BEGIN;
    IF (SELECT VALUE run FROM ONLY restore:running FOR UPDATE) != $run { THROW 'another restore has begun' };
    LET $now = time::nano(time::now()) + $offset;
    FOR $one IN $entries {
        UPSERT $one.key SET
            scan = $one.scan, version = $one.version, at = $now, event = $one.event, since = $now, wait = 0, tries = 0, holder = NONE, done = [$accepted_by]
            RETURN NONE;
    };
    COMMIT;";

/// Deletes the mark and sets the counter in the same step, so that a retry after a lost response
/// finds either both or neither done.
const END: &str = "
    BEGIN;
    LET $found = (SELECT count() FROM scan GROUP ALL)[0].count ?? 0;
    LET $mark = SELECT VALUE run FROM ONLY restore:running FOR UPDATE;
    IF $mark = NONE {
        IF (SELECT VALUE value FROM ONLY counter:scan) != $last { THROW 'no restore is running' };
    } ELSE IF $mark != $run {
        THROW 'another restore has begun';
    } ELSE IF $found = $imported {
        UPSERT counter:scan SET value = $last RETURN NONE;
        DELETE pause:queue RETURN NONE;
        IF $since != NONE { CREATE pause:queue SET begun = $since, reason = $reason RETURN NONE; };
        DELETE restore:running RETURN NONE;
    };
    RETURN { found: $found };
    COMMIT;";

impl SurrealStore {
    /// The schema version of this program.
    #[must_use]
    pub fn schema_version() -> i64 {
        steps::VERSION
    }

    /// The current metadata of the database.
    ///
    /// # Errors
    /// The database failed.
    pub async fn metadata(&self) -> Result<Metadata, StoreError> {
        let found: Begun = calls::call_again(&self.inner.db, LAST, Nothing {}).await?;
        Ok(Metadata { last: ScanId(row::unsigned(found.last.unwrap_or_default())?), pause: self.paused().await? })
    }

    /// The scans with ids from `first` to `last`, in order, including unreadable ones.
    ///
    /// # Errors
    /// The database failed.
    pub async fn export(&self, first: ScanId, last: ScanId) -> Result<Vec<Exported>, StoreError> {
        let mut exported = Vec::new();
        // The ranges that remain to be read, with the next one last.
        let mut ranges = vec![(row::signed(first.0)?, row::signed(last.0)?)];
        while let Some((first, last)) = ranges.pop() {
            match self.export_range(first, last).await {
                Ok(page) => exported.extend(page),
                // A database that is unreachable has no readable half.
                Err(error) if error.failure() != Failure::Unknown || self.ping().await.is_err() => {
                    return Err(error.into());
                }
                Err(error) if first == last => {
                    exported.push(Exported::Unreadable { id: ScanId(row::unsigned(first)?), why: chain(&error) });
                }
                Err(_) => {
                    let middle = first + (last - first) / 2;
                    ranges.extend([(middle + 1, last), (first, middle)]);
                }
            }
        }
        Ok(exported)
    }

    async fn export_range(&self, first: i64, last: i64) -> Result<Vec<Exported>, CallError> {
        let ranges = Ranges {
            scans: RecordId::new("scan", RecordIdKeyRange::from(first..=last)),
            results: results::of_scans(first, last),
        };
        let db = &self.inner.db;
        let Rows { rows, results } = match calls::call_again(db, EXPORT, ranges.clone()).await {
            Err(error) if error.is_missing_ground() => calls::call_again(db, EXPORT_EARLIER, ranges).await?,
            answer => answer?,
        };
        let mut by_scan: HashMap<i64, Vec<ResultRow>> = HashMap::new();
        for row in results {
            by_scan.entry(row.scan).or_default().push(row);
        }
        let mut exported = Vec::with_capacity(rows.len());
        for row in rows {
            let Keyed { id, record, .. } = row::keyed(row)?;
            let results = i64::try_from(id.0).ok().and_then(|id| by_scan.remove(&id)).unwrap_or_default();
            exported.push(match record.and_then(|record| with_results(record, results)) {
                Ok(scan) => Exported::Scan(Box::new(scan)),
                Err(error) => Exported::Unreadable { id, why: chain(&error) },
            });
        }
        exported.sort_unstable_by_key(Exported::id);
        Ok(exported)
    }

    /// Marks the database as being restored, and deletes what a failed restore left behind.
    ///
    /// # Errors
    /// The database holds scans or accounts, is in use, or failed.
    pub async fn begin_import(&self) -> Result<Import<'_>, ImportError> {
        let import = Import { store: self, run: uuid::Uuid::new_v4().to_string() };
        let (run, no_digest) = (import.run.clone(), ChainDigest::NONE.to_string());
        let begin = Begin { run, offset: self.inner.offset(), no_digest };
        let begun: Begun = calls::call_again(&self.inner.db, BEGIN, begin).await.map_err(StoreError::from)?;
        if let Some(last) = begun.last {
            return Err(ImportError::NotEmpty { last: row::unsigned(last)? });
        }
        if let Some(node) = begun.node {
            return Err(ImportError::InUse { node });
        }
        if let Some(account) = begun.account {
            return Err(ImportError::HasAccounts { account });
        }
        let mut left = begun.again;
        while left {
            let Deleted { deleted } =
                calls::call_again(&self.inner.db, CLEAR, Run { run: import.run.clone() }).await.map_err(refused)?;
            left = deleted > 0;
        }
        Ok(import)
    }
}

/// A running restore. If it is dropped before [`end`](Self::end), the mark stays, and the database
/// is not usable before another restore.
#[derive(Debug)]
pub struct Import<'a> {
    pub(super) store: &'a SurrealStore,
    /// The value of the mark, unless another restore has taken over.
    pub(super) run: String,
}

impl Import<'_> {
    /// Imports scans.
    ///
    /// # Errors
    /// Another restore has started, the database failed, or a record cannot be stored as a row.
    pub async fn add(&self, scans: &[ExportedScan]) -> Result<(), ImportError> {
        let rows = scans.iter().map(import_row).collect::<Result<_, StoreError>>()?;
        calls::execute_again(&self.store.inner.db, IMPORT, ImportRows { run: self.run.clone(), rows })
            .await
            .map_err(refused)
    }

    /// Adds entries of the outbox. The consumer that counts how scans end does not get them: the
    /// counts are made anew from the scans.
    ///
    /// # Errors
    /// Another restore has started, the database failed, or an event cannot be stored.
    pub async fn add_entries(&self, entries: &[(OutboxKey, DomainEvent)]) -> Result<(), ImportError> {
        let entry = |(key, event): &(OutboxKey, DomainEvent)| -> Result<NewEntry, StoreError> {
            Ok(NewEntry {
                key: outbox_key(*key)?,
                scan: row::signed(key.scan.0)?,
                version: row::signed(key.version)?,
                event: serde_json::to_string(event).map_err(row::corrupt)?,
            })
        };
        let entries = entries.iter().map(entry).collect::<Result<_, StoreError>>()?;
        let (run, offset) = (self.run.clone(), self.store.inner.offset());
        let new = NewEntries { run, offset, accepted_by: OUTCOMES.to_owned(), entries };
        calls::execute_again(&self.store.inner.db, ADD_ENTRIES, new).await.map_err(refused)
    }

    /// Completes the import of `imported` scans, and removes the mark.
    ///
    /// # Errors
    /// The number of scans in the database differs, another restore has started, or the database
    /// failed. The mark stays in these cases.
    pub async fn end(self, metadata: &Metadata, imported: u64) -> Result<(), ImportError> {
        let end = End {
            run: self.run,
            last: row::signed(metadata.last.0)?,
            imported: row::signed(imported)?,
            since: metadata.pause.as_ref().map(|pause| row::nanoseconds(pause.since)),
            reason: metadata.pause.as_ref().and_then(|pause| pause.reason.clone()),
        };
        let ended: Ended = calls::call_again(&self.store.inner.db, END, end).await.map_err(refused)?;
        let found = row::unsigned(ended.found)?;
        if found != imported {
            return Err(ImportError::Miscounted { found, imported });
        }
        // If this is interrupted, the next process that opens the database continues it.
        upgrade::upgrade(&self.store.inner.db).await?;
        self.store.inner.db.restored().await;
        Ok(())
    }
}

/// Adds the plugins of all attempts to a record. The record of an earlier schema has its own.
fn with_results(record: ScanRecord, results: Vec<ResultRow>) -> Result<ExportedScan, StoreError> {
    let last = attempt_of(&record);
    let mut scan = ExportedScan::from(record);
    for row in results {
        let result = serde_json::from_str(&row.result).map_err(row::corrupt)?;
        if row.attempt == last {
            scan.record.plugins.push(result);
        } else {
            let attempt = AttemptNumber(u32::try_from(row.attempt).map_err(row::corrupt)?);
            let ordinal = u32::try_from(row.ordinal).map_err(row::corrupt)?;
            scan.earlier.push(AttemptPlugin { attempt, ordinal, result });
        }
    }
    Ok(scan)
}

/// Converts an error of an import transaction. A `THROW` means that another restore has taken over.
pub(super) fn refused(error: CallError) -> ImportError {
    match error.failure() {
        Failure::Thrown => ImportError::Overtaken,
        _ => ImportError::Store(error.into()),
    }
}

fn import_row(scan: &ExportedScan) -> Result<ImportRow, StoreError> {
    let record = &scan.record;
    let mut results = Results::of(record)?;
    for plugin in &scan.earlier {
        results.add(record.id, plugin.attempt.0.into(), plugin.ordinal.into(), &plugin.result)?;
    }
    Ok(ImportRow {
        number: row::signed(record.id.0)?,
        key: record.idempotency_key.as_deref().map(row::idempotency_key),
        target: target_text(record),
        mode: record.request.options.mode.as_str().to_owned(),
        owner: record.owner.clone(),
        project: record.project.to_string(),
        trace: record.trace.to_string(),
        created_at: row::nanoseconds(record.created_at),
        columns: Columns::of(record)?,
        results,
    })
}

#[cfg(test)]
mod tests {
    use kastrel_actors::testing::fixtures;

    use super::super::nodes::REGISTER;
    use super::*;

    #[tokio::test]
    async fn a_later_restore_takes_over_from_one_that_seems_to_have_failed() {
        let store = SurrealStore::in_memory().await.unwrap();
        let record = fixtures::record(1, jiff::Timestamp::UNIX_EPOCH);
        let metadata = Metadata { last: ScanId(1), pause: None };
        let first = store.begin_import().await.unwrap();
        first.add(&[record.clone().into()]).await.unwrap();
        let second = store.begin_import().await.unwrap();
        assert!(matches!(first.add(&[record.clone().into()]).await, Err(ImportError::Overtaken)));
        assert!(matches!(first.end(&metadata, 1).await, Err(ImportError::Overtaken)));
        assert_eq!(store.export(ScanId(1), ScanId(9)).await.unwrap(), [], "the second begins with nothing");
        second.add(&[record.clone().into()]).await.unwrap();
        second.end(&metadata, 1).await.unwrap();
        assert_eq!(store.export(ScanId(1), ScanId(9)).await.unwrap(), [Exported::Scan(Box::new(record.into()))]);
    }

    /// Rows that are damaged in each possible way, between valid ones.
    #[tokio::test]
    async fn unreadable_rows_are_reported_and_hide_no_others() {
        let store = SurrealStore::in_memory().await.unwrap();
        for number in 1..=6 {
            store.submit(fixtures::new_scan(&format!("host-{number}.example.com"))).await.unwrap();
        }
        let spoil = "
            UPDATE scan:2 SET body = '{}';
            UPDATE scan:3 SET version = 7;
            DEFINE FIELD OVERWRITE body ON scan TYPE any;
            UPDATE scan:4 SET body = 7;
            UPDATE scan:6 SET number = 5;";
        calls::execute(&store.inner.db, spoil, Nothing {}).await.unwrap();
        let exported = store.export(ScanId(1), ScanId(9)).await.unwrap();
        let ids: Vec<u64> = exported.iter().map(|one| one.id().0).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
        let unreadable: Vec<u64> =
            exported.iter().filter(|one| matches!(one, Exported::Unreadable { .. })).map(|one| one.id().0).collect();
        assert_eq!(unreadable, [2, 3, 4, 6], "{exported:?}");
        let mut file = Vec::new();
        let written = crate::backup::write(&store, &mut file, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!((written.scans, written.missing.len()), (2, 4));
        assert_eq!(crate::backup::check(file.as_slice()).await.unwrap(), written);
    }

    /// Neither transaction sees what the other has not committed yet.
    #[tokio::test]
    async fn a_node_that_registers_while_a_restore_begins_has_one_of_the_two_refused() {
        #[derive(Debug, Clone, SurrealValue)]
        struct Registration {
            key: RecordId,
            name: String,
            description: String,
            ttl: i64,
            offset: i64,
        }
        let slow = REGISTER.replacen("RETURN {", "SLEEP 200ms; RETURN {", 1);
        assert!(slow.contains("SLEEP"));
        for _ in 0..3 {
            let store = SurrealStore::in_memory().await.unwrap();
            let node = Registration {
                key: RecordId::new("node", "a"),
                name: "a".into(),
                description: "{}".into(),
                ttl: 60_000_000_000,
                offset: 0,
            };
            let (registered, begun) =
                tokio::join!(calls::execute(&store.inner.db, slow.clone(), node), store.begin_import());
            assert_ne!(registered.is_ok(), begun.is_ok(), "{registered:?} {begun:?}");
        }
    }
}
