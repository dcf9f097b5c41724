//! Exports and imports targets, findings and the results of scans, tags and notes of scans, the
//! times to fix findings, and saved filters: their part of backup and restore.
//!
//! - **The order** of the tables is chosen so that a backup of a database in use is never ahead of
//!   itself: results come before findings, so a scan whose result is in the backup is part of its
//!   findings, and the target comes last.
//! - **Marks** are not exported. The import gives each row a new one, because nobody has seen any
//!   row of the new database.

use std::ops::Bound;

use kastrel_actors::model::{ScanId, ScanNotes, TargetRecord};
use kastrel_actors::ports::StoreError;
use serde::{Deserialize, Serialize};
use surrealdb::types::{RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue};

use super::calls;
use super::findings::tag_key;
use super::row::{at_most, parts_key};
use super::store::SurrealStore;
use super::transfer::{Import, ImportError, refused};

/// The first schema with findings.
const FIRST_SCHEMA: i64 = 25;

/// The limits for the rows of a page: of rows with a list, which can have 1 MiB, and of others.
const MOST_LISTS: usize = 8;
const MOST_ROWS: usize = 200;

/// A row of targets, findings or results as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportedFindings {
    /// What a scan checked.
    ScanResult(ExportedResult),
    /// A part of what a scan saw.
    ScanObserved(ExportedObserved),
    /// Tags and notes of a scan.
    ScanNotes(ExportedNotes),
    /// A finding.
    Finding(ExportedFinding),
    /// A part of the assets of a target.
    TargetAssets(ExportedAssets),
    /// A target.
    Target(ExportedTarget),
    /// The times within which the findings of a project must be fixed.
    SlaPolicy(ExportedPolicy),
    /// A saved filter.
    SavedFilter(ExportedFilter),
}

/// The row of what a scan checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedResult {
    scan: i64,
    target: String,
    place: String,
    body: String,
}

/// The row of a part of what a scan saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedObserved {
    scan: i64,
    chunk: i64,
    part: i64,
    body: String,
}

/// The row of tags and notes of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedNotes {
    scan: i64,
    body: String,
}

/// The row of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedFinding {
    name: String,
    target: String,
    version: i64,
    body: String,
}

/// The row of a part of the assets of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedAssets {
    target: String,
    part: i64,
    body: String,
}

/// The row of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedTarget {
    name: String,
    version: i64,
    body: String,
}

/// The row of the times within which the findings of a project must be fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedPolicy {
    project: String,
    body: String,
}

/// The row of a saved filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedFilter {
    owner: String,
    name: String,
    body: String,
}

/// The tables, in the order of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    ScanResult,
    ScanObserved,
    ScanNotes,
    Finding,
    TargetAssets,
    Target,
    SlaPolicy,
    SavedFilter,
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

/// A row with its key, and its place among the rows of the transaction, from 1.
#[derive(Debug, Clone, SurrealValue)]
struct Keyed<T: SurrealValue> {
    key: RecordId,
    ordinal: i64,
    row: T,
}

/// A tag of a scan. It is no row of a backup: the notes have it.
#[derive(Debug, Clone, SurrealValue)]
struct ImportTag {
    key: RecordId,
    of_scan: RecordId,
    scan: i64,
    tag: String,
}

impl ImportTag {
    /// The tags of a scan. Notes that cannot be read have none; they are stored as they are.
    fn of(notes: &ExportedNotes) -> Vec<Self> {
        let scan = notes.scan;
        let Ok(ScanNotes { tags, .. }) = serde_json::from_str(&notes.body) else { return Vec::new() };
        let tag = |tag: String| Self { key: tag_key(&tag, scan), of_scan: RecordId::new("scan", scan), scan, tag };
        tags.into_iter().map(tag).collect()
    }
}

#[derive(Debug, Clone, SurrealValue)]
struct ImportRows {
    run: String,
    amount: i64,
    results: Vec<Keyed<ExportedResult>>,
    observed: Vec<Keyed<ExportedObserved>>,
    notes: Vec<Keyed<ExportedNotes>>,
    tags: Vec<ImportTag>,
    findings: Vec<Keyed<ExportedFinding>>,
    assets: Vec<Keyed<ExportedAssets>>,
    targets: Vec<Keyed<ExportedTarget>>,
    policies: Vec<Keyed<ExportedPolicy>>,
    filters: Vec<Keyed<ExportedFilter>>,
}

const RESULTS: &str = "RETURN { rows: (SELECT scan, target, place, body FROM $range LIMIT $limit) };";
const OBSERVED: &str = "RETURN { rows: (SELECT scan, chunk, part, body FROM $range LIMIT $limit) };";
const NOTES: &str = "RETURN { rows: (SELECT scan, body FROM $range LIMIT $limit) };";
// Without the deleted ones, which have no body.
const FINDINGS: &str =
    "RETURN { rows: (SELECT name, target, version, body FROM $range WHERE body != NONE LIMIT $limit) };";
const ASSETS: &str = "RETURN { rows: (SELECT target, part, body FROM $range LIMIT $limit) };";
const TARGETS: &str =
    "RETURN { rows: (SELECT record::id(id) AS name, version, body FROM $range WHERE body != NONE LIMIT $limit) };";
const POLICIES: &str = "RETURN { rows: (SELECT project, body FROM $range LIMIT $limit) };";
const FILTERS: &str = "RETURN { rows: (SELECT owner, name, body FROM $range LIMIT $limit) };";

const IMPORT: &str = "
    BEGIN;
    IF (SELECT VALUE run FROM ONLY restore:running FOR UPDATE) != $run { THROW 'another restore has begun' };
    LET $mark = (SELECT VALUE value FROM ONLY counter:findings) ?? 0;
    UPSERT counter:findings SET value = $mark + $amount RETURN NONE;
    FOR $one IN $results {
        UPSERT $one.key SET scan = $one.row.scan, target = $one.row.target, place = $one.row.place, body = $one.row.body RETURN NONE;
    };
    FOR $one IN $observed {
        UPSERT $one.key SET scan = $one.row.scan, chunk = $one.row.chunk, part = $one.row.part, body = $one.row.body RETURN NONE;
    };
    FOR $one IN $notes {
        UPSERT $one.key SET scan = $one.row.scan, body = $one.row.body, made_by = $run RETURN NONE;
    };
    FOR $one IN $tags {
        LET $of_scan = $one.of_scan;
        LET $project = (SELECT VALUE project FROM ONLY $of_scan);
        IF $project != NONE {
            UPSERT $one.key SET tag = $one.tag, number = $one.scan, project = $project RETURN NONE;
        };
    };
    FOR $one IN $findings {
        UPSERT $one.key SET
            name = $one.row.name, target = $one.row.target, version = $one.row.version, change = $mark + $one.ordinal, body = $one.row.body
            RETURN NONE;
    };
    FOR $one IN $assets {
        UPSERT $one.key SET target = $one.row.target, part = $one.row.part, body = $one.row.body RETURN NONE;
    };
    FOR $one IN $targets {
        UPSERT $one.key SET version = $one.row.version, change = $mark + $one.ordinal, body = $one.row.body RETURN NONE;
    };
    FOR $one IN $policies {
        UPSERT $one.key SET project = $one.row.project, body = $one.row.body, made_by = $run RETURN NONE;
    };
    FOR $one IN $filters {
        UPSERT $one.key SET owner = $one.row.owner, name = $one.row.name, body = $one.row.body RETURN NONE;
    };
    COMMIT;";

impl Table {
    const ALL: [Self; 8] = [
        Self::ScanResult,
        Self::ScanObserved,
        Self::ScanNotes,
        Self::Finding,
        Self::TargetAssets,
        Self::Target,
        Self::SlaPolicy,
        Self::SavedFilter,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ScanResult => "scan_result",
            Self::ScanObserved => "scan_observed",
            Self::ScanNotes => "scan_notes",
            Self::Finding => "finding",
            Self::TargetAssets => "target_assets",
            Self::Target => "target",
            Self::SlaPolicy => "sla_policy",
            Self::SavedFilter => "saved_filter",
        }
    }

    /// The limit for the rows of a page.
    const fn page(self) -> usize {
        match self {
            Self::ScanObserved | Self::TargetAssets => MOST_LISTS,
            _ => MOST_ROWS,
        }
    }

    /// The range of the rows after this key, or of all rows.
    fn range(self, after: Option<RecordIdKey>) -> RecordId {
        let range = RecordIdKeyRange { start: after.map_or(Bound::Unbounded, Bound::Excluded), end: Bound::Unbounded };
        RecordId::new(self.name(), range)
    }
}

impl ExportedFindings {
    const fn table(&self) -> Table {
        match self {
            Self::ScanResult(_) => Table::ScanResult,
            Self::ScanObserved(_) => Table::ScanObserved,
            Self::ScanNotes(_) => Table::ScanNotes,
            Self::Finding(_) => Table::Finding,
            Self::TargetAssets(_) => Table::TargetAssets,
            Self::Target(_) => Table::Target,
            Self::SlaPolicy(_) => Table::SlaPolicy,
            Self::SavedFilter(_) => Table::SavedFilter,
        }
    }

    fn key(&self) -> RecordIdKey {
        let text = |text: &String| text.clone().into_value();
        match self {
            Self::ScanResult(ExportedResult { scan, .. }) | Self::ScanNotes(ExportedNotes { scan, .. }) => {
                parts_key([scan.into_value()])
            }
            Self::ScanObserved(row) => parts_key([row.scan, row.chunk, row.part].map(i64::into_value)),
            Self::Finding(ExportedFinding { name, .. })
            | Self::Target(ExportedTarget { name, .. })
            | Self::SlaPolicy(ExportedPolicy { project: name, .. }) => RecordIdKey::String(name.clone()),
            Self::TargetAssets(row) => parts_key([text(&row.target), row.part.into_value()]),
            Self::SavedFilter(row) => parts_key([text(&row.owner), text(&row.name)]),
        }
    }

    /// Returns the scan to which the row belongs. A row of a scan that is not part of the backup is
    /// not part of it either.
    #[must_use]
    pub const fn scan(&self) -> Option<i64> {
        match self {
            Self::ScanResult(ExportedResult { scan, .. })
            | Self::ScanObserved(ExportedObserved { scan, .. })
            | Self::ScanNotes(ExportedNotes { scan, .. }) => Some(*scan),
            _ => None,
        }
    }

    /// Returns the scan of which this says what it checked.
    #[must_use]
    pub fn result_of(&self) -> Option<ScanId> {
        let Self::ScanResult(row) = self else { return None };
        u64::try_from(row.scan).ok().map(ScanId)
    }

    /// Returns the newest scan that a target names, also one that is not part of the backup: its
    /// number must not be given to another scan.
    #[must_use]
    pub fn newest_scan(&self) -> Option<u64> {
        let Self::Target(row) = self else { return None };
        serde_json::from_str::<TargetRecord>(&row.body).ok().map(|target| target.last_scan.scan)
    }
}

impl SurrealStore {
    /// Returns up to `limit` rows of findings that follow `after`; none after the last one. A
    /// database of a schema without findings has none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn export_findings(
        &self,
        schema: i64,
        after: Option<&ExportedFindings>,
        limit: usize,
    ) -> Result<Vec<ExportedFindings>, StoreError> {
        if schema < FIRST_SCHEMA {
            return Ok(Vec::new());
        }
        let first = after.map_or(0, |row| row.table() as usize);
        let mut after = after.map(ExportedFindings::key);
        for table in Table::ALL.into_iter().skip(first) {
            let page = Page { range: table.range(after.take()), limit: at_most(limit.min(table.page())) };
            let rows = match table {
                Table::ScanResult => self.findings_page(RESULTS, page, ExportedFindings::ScanResult).await?,
                Table::ScanObserved => self.findings_page(OBSERVED, page, ExportedFindings::ScanObserved).await?,
                Table::ScanNotes => self.findings_page(NOTES, page, ExportedFindings::ScanNotes).await?,
                Table::Finding => self.findings_page(FINDINGS, page, ExportedFindings::Finding).await?,
                Table::TargetAssets => self.findings_page(ASSETS, page, ExportedFindings::TargetAssets).await?,
                Table::Target => self.findings_page(TARGETS, page, ExportedFindings::Target).await?,
                Table::SlaPolicy => self.findings_page(POLICIES, page, ExportedFindings::SlaPolicy).await?,
                Table::SavedFilter => self.findings_page(FILTERS, page, ExportedFindings::SavedFilter).await?,
            };
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }

    async fn findings_page<T: SurrealValue + Send>(
        &self,
        sql: &'static str,
        page: Page,
        exported: fn(T) -> ExportedFindings,
    ) -> Result<Vec<ExportedFindings>, StoreError> {
        let Rows { rows } = calls::call_again::<Rows<T>>(&self.inner.db, sql, page).await?;
        Ok(rows.into_iter().map(exported).collect())
    }
}

impl Import<'_> {
    /// Imports rows of findings.
    ///
    /// # Errors
    /// Another restore has started, or the database failed.
    pub async fn add_findings(&self, rows: &[ExportedFindings]) -> Result<(), ImportError> {
        let mut all = ImportRows {
            run: self.run.clone(),
            amount: at_most(rows.len()),
            results: Vec::new(),
            observed: Vec::new(),
            notes: Vec::new(),
            tags: Vec::new(),
            findings: Vec::new(),
            assets: Vec::new(),
            targets: Vec::new(),
            policies: Vec::new(),
            filters: Vec::new(),
        };
        for (ordinal, row) in (1..).zip(rows.iter().cloned()) {
            let key = RecordId::new(row.table().name(), row.key());
            match row {
                ExportedFindings::ScanResult(row) => all.results.push(Keyed { key, ordinal, row }),
                ExportedFindings::ScanObserved(row) => all.observed.push(Keyed { key, ordinal, row }),
                ExportedFindings::ScanNotes(row) => {
                    all.tags.extend(ImportTag::of(&row));
                    all.notes.push(Keyed { key, ordinal, row });
                }
                ExportedFindings::Finding(row) => all.findings.push(Keyed { key, ordinal, row }),
                ExportedFindings::TargetAssets(row) => all.assets.push(Keyed { key, ordinal, row }),
                ExportedFindings::Target(row) => all.targets.push(Keyed { key, ordinal, row }),
                ExportedFindings::SlaPolicy(row) => all.policies.push(Keyed { key, ordinal, row }),
                ExportedFindings::SavedFilter(row) => all.filters.push(Keyed { key, ordinal, row }),
            }
        }
        calls::execute_again(&self.store.inner.db, IMPORT, all).await.map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::super::transfer::CLEAR;
    use super::Table;

    /// What an earlier restore left must not be among the rows of the next one.
    #[test]
    fn each_table_of_findings_is_emptied_before_an_import() {
        for name in Table::ALL.map(Table::name) {
            assert!(CLEAR.contains(&format!("SELECT VALUE id FROM {name} LIMIT")), "{name}");
        }
        assert!(CLEAR.contains("SELECT VALUE id FROM scan_tag LIMIT"));
    }
}
