//! The rows of targets and findings.

use kastrel_actors::model::{FindingRecord, Put, TargetRecord};
use kastrel_actors::ports::StoreError;
use kastrel_findings::identity::{FindingId, TargetId};
use serde::Serialize;
use surrealdb::types::{RecordId, RecordIdKeyRange, SurrealValue};

use crate::adapters::surreal_store::calls;
use crate::adapters::surreal_store::row::{self, MAX_DOCUMENT_BYTES};
use crate::adapters::surreal_store::store::SurrealStore;

/// The number of findings that are read at once.
const PAGE: usize = 1000;

/// Sets `$mark` to the last mark, and raises it by `$amount`. FOR UPDATE and the write make the
/// commit fail if another transaction raises it in the meantime.
macro_rules! raise_mark {
    () => {
        "LET $mark = (SELECT VALUE value FROM ONLY counter:findings FOR UPDATE) ?? 0;
        UPSERT counter:findings SET value = $mark + $amount RETURN NONE;"
    };
}
pub(super) use raise_mark;

/// Sets `$is_current` to true if `$row` has the version that the caller read; 0 is that of a row
/// that is not there. `$old` is the row.
macro_rules! compare_version {
    () => {
        "LET $old = SELECT version, body, made_by FROM ONLY $row.key;
        LET $is_current = (IF $old.body = NONE { 0 } ELSE { $old.version }) = $row.expected;"
    };
}
pub(super) use compare_version;

/// Writes `$row` of a target or a finding, within a transaction that has raised the mark.
macro_rules! write_target {
    ($more:literal) => {
        concat!(
            "UPSERT $row.key SET version = (version ?? 0) + 1, change = $mark + $row.ordinal, body = $row.body",
            $more,
            " RETURN NONE;"
        )
    };
}
pub(super) use write_target;

/// Writes `$row` of a finding, within a transaction that has raised the mark.
macro_rules! write_finding {
    ($more:literal) => {
        concat!(
            "UPSERT $row.key SET
                name = $row.name, target = $row.target, version = (version ?? 0) + 1, change = $mark + $row.ordinal, body = $row.body",
            $more,
            " RETURN NONE;"
        )
    };
}
pub(super) use write_finding;

const TARGET: &str = "RETURN { row: (SELECT version, body FROM ONLY $key) };";

const FINDING: &str = "RETURN { row: (SELECT version, body FROM ONLY $key) };";

/// The engine may include the bound of a compound index although `>` excludes it, so the caller
/// checks it.
const OF_TARGET: &str = "
    RETURN { rows: (SELECT name, version, body FROM finding WHERE target = $target AND name > $after ORDER BY name ASC LIMIT $limit) };";

/// All versions are read in one query, and compared with all that the caller read, in the order of
/// the names.
const PUT: &str = concat!(
    "
    BEGIN;
    LET $held = SELECT VALUE [name, version] FROM $keys WHERE body != NONE;
    LET $stored = array::sort($held) = $expected;
    IF $stored {
        ",
    raise_mark!(),
    "
        FOR $row IN $rows { ",
    write_finding!(""),
    " };
    };
    RETURN { stored: $stored };
    COMMIT;"
);

/// It raises the mark, so it conflicts with a transaction that stores findings of the target.
const DELETE_TARGET: &str = concat!(
    "
    BEGIN;
    LET $findings = SELECT VALUE name FROM finding WHERE target = $target LIMIT 1;
    LET $results = SELECT VALUE scan FROM scan_result WHERE target = $target LIMIT 1;
    LET $deleted = array::len($findings) = 0 AND array::len($results) = 0;
    IF $deleted {
        DELETE $assets RETURN NONE;
        IF (SELECT VALUE body FROM ONLY $row.key) != NONE { ",
    raise_mark!(),
    write_target!(""),
    " };
    };
    RETURN { deleted: $deleted };
    COMMIT;"
);

/// What is done with findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// They are stored.
    Put,
    /// They are deleted.
    Delete,
}

#[derive(Debug, Clone, SurrealValue)]
pub(super) struct Key {
    pub(super) key: RecordId,
}

/// The content of a row, and its version; none if it was deleted.
#[derive(Debug, SurrealValue)]
struct Stored {
    version: i64,
    body: Option<String>,
}

#[derive(Debug, SurrealValue)]
struct StoredRow {
    row: Option<Stored>,
}

#[derive(Debug, Clone, SurrealValue)]
struct OfTarget {
    target: String,
    after: String,
    limit: i64,
}

#[derive(Debug, SurrealValue)]
struct Named {
    name: String,
    version: i64,
    body: String,
}

#[derive(Debug, SurrealValue)]
struct NamedRows {
    rows: Vec<Named>,
}

/// A row to write. Without a body it becomes a deleted one.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct FindingRow {
    key: RecordId,
    name: String,
    target: Option<String>,
    /// The version that the caller read.
    expected: i64,
    /// Its place among the rows of the transaction, from 1.
    ordinal: i64,
    body: Option<String>,
}

/// A row to write. Without a body it becomes a deleted one.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct TargetRow {
    key: RecordId,
    expected: i64,
    ordinal: i64,
    body: Option<String>,
}

#[derive(Debug, Clone, SurrealValue)]
struct PutArguments {
    keys: Vec<RecordId>,
    expected: Vec<(String, i64)>,
    rows: Vec<FindingRow>,
    amount: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct DeleteTarget {
    row: TargetRow,
    target: String,
    assets: RecordId,
    amount: i64,
}

#[derive(Debug, SurrealValue)]
pub(super) struct IsStored {
    pub(super) stored: bool,
}

#[derive(Debug, SurrealValue)]
struct IsDeleted {
    deleted: bool,
}

impl IsStored {
    pub(super) const fn put(&self) -> Put {
        if self.stored { Put::Stored } else { Put::Changed }
    }
}

pub(super) fn finding_key(id: FindingId) -> RecordId {
    RecordId::new("finding", id.to_string())
}

pub(super) fn target_key(id: TargetId) -> RecordId {
    RecordId::new("target", id.to_string())
}

/// The range of the assets of a target from this part on.
pub(super) fn assets_from(target: TargetId, part: i64) -> RecordId {
    let bound = |part: i64| row::parts_key([target.to_string().into_value(), part.into_value()]);
    RecordId::new("target_assets", RecordIdKeyRange::from(bound(part)..bound(i64::MAX)))
}

/// The JSON text of a row.
pub(super) fn text(what: impl std::fmt::Display, content: &impl Serialize) -> Result<String, StoreError> {
    let text = serde_json::to_string(content).map_err(row::corrupt)?;
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(row::corrupt(format!(
            "the row of {what} would have {} bytes, more than {MAX_DOCUMENT_BYTES}",
            text.len()
        )));
    }
    Ok(text)
}

/// Reads a finding from its row.
pub(super) fn finding(version: i64, body: &str) -> Result<FindingRecord, StoreError> {
    let record: FindingRecord = serde_json::from_str(body).map_err(row::corrupt)?;
    Ok(FindingRecord { version: row::unsigned(version)?, ..record })
}

/// Reads a target from its row.
pub(super) fn target(version: i64, body: &str) -> Result<TargetRecord, StoreError> {
    let record: TargetRecord = serde_json::from_str(body).map_err(row::corrupt)?;
    Ok(TargetRecord { version: row::unsigned(version)?, ..record })
}

impl FindingRow {
    pub(super) fn new(finding: &FindingRecord, ordinal: usize, write: Write) -> Result<Self, StoreError> {
        let is_stored = write == Write::Put;
        Ok(Self {
            key: finding_key(finding.id),
            name: finding.id.to_string(),
            target: is_stored.then(|| finding.target.to_string()),
            expected: row::signed(finding.version)?,
            ordinal: row::at_most(ordinal),
            body: is_stored.then(|| text(format_args!("finding {}", finding.id), finding)).transpose()?,
        })
    }
}

impl TargetRow {
    pub(super) fn new(target: &TargetRecord) -> Result<Self, StoreError> {
        Ok(Self {
            key: target_key(target.id),
            expected: row::signed(target.version)?,
            ordinal: 1,
            body: Some(text(format_args!("target {}", target.id), target)?),
        })
    }
}

impl SurrealStore {
    pub(super) async fn read_target(&self, id: TargetId) -> Result<Option<TargetRecord>, StoreError> {
        let StoredRow { row } = calls::call_again(&self.inner.db, TARGET, Key { key: target_key(id) }).await?;
        row.and_then(|row| row.body.map(|body| target(row.version, &body))).transpose()
    }

    pub(super) async fn read_finding(&self, id: FindingId) -> Result<Option<FindingRecord>, StoreError> {
        let StoredRow { row } = calls::call_again(&self.inner.db, FINDING, Key { key: finding_key(id) }).await?;
        row.and_then(|row| row.body.map(|body| finding(row.version, &body))).transpose()
    }

    pub(super) async fn read_findings(&self, target: TargetId) -> Result<Vec<FindingRecord>, StoreError> {
        let (mut all, mut after): (Vec<FindingRecord>, String) = Default::default();
        loop {
            let page = OfTarget { target: target.to_string(), after: after.clone(), limit: row::at_most(PAGE) };
            let NamedRows { mut rows } = calls::call_again(&self.inner.db, OF_TARGET, page).await?;
            let is_last = rows.len() < PAGE;
            rows.retain(|row| row.name > after);
            rows.sort_unstable_by(|one, other| one.name.cmp(&other.name));
            for row in &rows {
                all.push(finding(row.version, &row.body)?);
            }
            match rows.pop() {
                Some(last) if !is_last => after = last.name,
                _ => return Ok(all),
            }
        }
    }

    pub(super) async fn write_findings(&self, findings: &[FindingRecord], write: Write) -> Result<Put, StoreError> {
        if findings.is_empty() {
            return Ok(Put::Stored);
        }
        let rows = (1..).zip(findings).map(|(ordinal, finding)| FindingRow::new(finding, ordinal, write));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let there = rows.iter().filter(|row| row.expected > 0);
        let mut expected: Vec<(String, i64)> = there.map(|row| (row.name.clone(), row.expected)).collect();
        expected.sort_unstable();
        let arguments = PutArguments {
            keys: rows.iter().map(|row| row.key.clone()).collect(),
            expected,
            amount: row::at_most(rows.len()),
            rows,
        };
        Ok(calls::call_again::<IsStored>(&self.inner.db, PUT, arguments).await?.put())
    }

    pub(super) async fn remove_target(&self, target: TargetId) -> Result<bool, StoreError> {
        let arguments = DeleteTarget {
            row: TargetRow { key: target_key(target), expected: 0, ordinal: 1, body: None },
            target: target.to_string(),
            assets: assets_from(target, 0),
            amount: 1,
        };
        let IsDeleted { deleted } = calls::call_again(&self.inner.db, DELETE_TARGET, arguments).await?;
        Ok(deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::surreal_store::executor::Executor as _;

    /// The SELECT statements of a text that read a table.
    fn selects(text: &str) -> Vec<&str> {
        let end = |select: &str| {
            let mut depth = 0_i32;
            let ends = |at: char| {
                depth += i32::from(at == '(') - i32::from(at == ')');
                depth < 0 || at == ';'
            };
            select.find(ends).unwrap_or(select.len())
        };
        let all = text.match_indices("SELECT").map(|(at, _)| &text[at..]);
        all.map(|select| &select[..end(select)]).filter(|select| !select.contains("FROM ONLY")).collect()
    }

    /// A page reads only its own rows.
    #[tokio::test]
    async fn reads_of_findings_follow_an_index() {
        use super::super::{changes, results};

        let store = SurrealStore::in_memory().await.unwrap();
        let (target, limit) = ("a".to_owned(), 3);
        let of_target = OfTarget { target: target.clone(), after: "b".into(), limit };
        let of_scans = results::OfTarget { target: target.clone(), before: "~".into(), limit };
        let id = kastrel_findings::place::Origin::of_target("shop.example").unwrap();
        let id = TargetId::of("default", &id);
        let deleted = DeleteTarget {
            row: TargetRow { key: target_key(id), expected: 0, ordinal: 1, body: None },
            target,
            assets: assets_from(id, 0),
            amount: 1,
        };
        for (text, variables, indexes) in [
            (OF_TARGET, of_target.into_value(), ["finding_of_target"].as_slice()),
            (results::OF_TARGET, of_scans.into_value(), &["scan_result_of_target"]),
            (DELETE_TARGET, deleted.into_value(), &["finding_of_target", "scan_result_of_target"]),
            (
                changes::CHANGES,
                changes::After { after: 5, limit }.into_value(),
                &["finding_by_change", "target_by_change"],
            ),
        ] {
            let selects = selects(text);
            assert_eq!(selects.len(), indexes.len(), "{selects:?}");
            for (select, index) in selects.into_iter().zip(indexes) {
                let query = format!("EXPLAIN {select}");
                let plan = format!("{:?}", store.inner.db.query(query, variables.clone()).await.unwrap());
                assert!(plan.contains(&format!("index: {index}")), "{select}: {plan}");
                assert!(!plan.contains("TableScan") && !plan.contains("Sort"), "{select}: {plan}");
            }
        }
    }
}
