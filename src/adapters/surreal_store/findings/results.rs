//! What scans checked and saw, and the assets of targets.

use kastrel_actors::model::{ObservedRecord, Put, ScanId, ScanResult, SeenAsset, TargetRecord};
use kastrel_actors::ports::StoreError;
use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::ScanOrder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use surrealdb::types::{RecordId, RecordIdKeyRange, SurrealValue};

use super::rows::{IsStored, Key, TargetRow, assets_from, compare_version, raise_mark, text, write_target};
use crate::adapters::surreal_store::calls;
use crate::adapters::surreal_store::row;
use crate::adapters::surreal_store::store::SurrealStore;

/// The limits of one row with a list: its elements, and its size in bytes. An element that is
/// larger has a row of its own.
const PART: usize = 500;
const PART_BYTES: usize = 1 << 20;

const RESULT: &str = "RETURN { body: (SELECT VALUE body FROM ONLY $key) };";

/// Reads the parts of a list, in the order of their keys.
const PARTS: &str = "RETURN { rows: (SELECT part, body FROM $key) };";

/// The engine may include the bound of a compound index although `<` excludes it, so the caller
/// checks it.
pub(super) const OF_TARGET: &str = "
    RETURN { rows: (SELECT place, body FROM scan_result WHERE target = $target AND place < $before ORDER BY place DESC LIMIT $limit) };";

const PUT_OBSERVED: &str = "
    BEGIN;
    FOR $part IN $parts {
        UPSERT $part.key SET scan = $scan, chunk = $chunk, part = $part.part, body = $part.body RETURN NONE;
    };
    DELETE $surplus RETURN NONE;
    COMMIT;";

/// Writes `$row` of a target with its `$assets`. Most scans see the assets of the one before them,
/// so only parts that changed are written.
macro_rules! write_target_and_assets {
    () => {
        concat!(
            raise_mark!(),
            write_target!(""),
            "
        FOR $part IN $assets {
            IF (SELECT VALUE body FROM ONLY $part.key) != $part.body {
                UPSERT $part.key SET target = $target, part = $part.part, body = $part.body RETURN NONE;
            };
        };
        DELETE $surplus_assets RETURN NONE;"
        )
    };
}

/// FOR UPDATE makes the commit fail if the scan is deleted or transferred in the meantime.
const PUT: &str = concat!(
    "
    BEGIN;
    LET $of_scan = $result.of_scan;
    LET $has_scan = (SELECT VALUE project FROM ONLY $of_scan FOR UPDATE) = $result.project;
    ",
    compare_version!(),
    "
    LET $stored = $has_scan AND $is_current;
    IF $stored {
        ",
    write_target_and_assets!(),
    "
        UPSERT $result.key SET scan = $result.scan, target = $target, place = $result.place, body = $result.body RETURN NONE;
        DELETE $surplus_chunks RETURN NONE;
    };
    RETURN { stored: $stored };
    COMMIT;"
);

const PUT_TARGET: &str = concat!(
    "
    BEGIN;
    ",
    compare_version!(),
    "
    IF $is_current {
        ",
    write_target_and_assets!(),
    "
    };
    RETURN { stored: $is_current };
    COMMIT;"
);

const FORGET: &str = "
    BEGIN;
    DELETE $result RETURN NONE;
    DELETE $observed RETURN NONE;
    COMMIT;";

#[derive(Debug, SurrealValue)]
struct Body {
    body: Option<String>,
}

#[derive(Debug, SurrealValue)]
struct Part {
    part: i64,
    body: String,
}

#[derive(Debug, SurrealValue)]
struct Parts {
    rows: Vec<Part>,
}

#[derive(Debug, Clone, SurrealValue)]
pub(super) struct OfTarget {
    pub(super) target: String,
    pub(super) before: String,
    pub(super) limit: i64,
}

#[derive(Debug, SurrealValue)]
struct Placed {
    place: String,
    body: String,
}

#[derive(Debug, SurrealValue)]
struct PlacedRows {
    rows: Vec<Placed>,
}

#[derive(Debug, Clone, SurrealValue)]
struct PartRow {
    key: RecordId,
    part: i64,
    body: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct ObservedArguments {
    scan: i64,
    chunk: i64,
    parts: Vec<PartRow>,
    surplus: RecordId,
}

#[derive(Debug, Clone, SurrealValue)]
struct ResultRow {
    key: RecordId,
    of_scan: RecordId,
    project: String,
    scan: i64,
    place: String,
    body: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct PutArguments {
    row: TargetRow,
    target: String,
    amount: i64,
    /// `None`: the target is stored without a result.
    result: Option<ResultRow>,
    assets: Vec<PartRow>,
    surplus_assets: RecordId,
    surplus_chunks: Option<RecordId>,
}

#[derive(Debug, Clone, SurrealValue)]
struct ForgetArguments {
    result: RecordId,
    observed: RecordId,
}

fn result_key(scan: i64) -> RecordId {
    RecordId::new("scan_result", row::parts_key([scan.into_value()]))
}

/// The range of what scans saw, between two places in it.
fn observed<const N: usize, const M: usize>(from: [i64; N], to: [i64; M]) -> RecordId {
    let (from, to) = (row::parts_key(from.map(i64::into_value)), row::parts_key(to.map(i64::into_value)));
    RecordId::new("scan_observed", RecordIdKeyRange::from(from..to))
}

/// A text that sorts like the place of a scan among those of a target. Times outside the range of
/// a column are clamped.
fn place_of(order: ScanOrder) -> String {
    let nanoseconds = row::nanoseconds(order.at).abs_diff(i64::MIN);
    format!("{nanoseconds:020}-{:020}-{:020}", order.scan, order.token)
}

/// Splits a list into JSON texts that rows can hold.
fn split<T: Serialize>(what: &str, all: &[T]) -> Result<Vec<String>, StoreError> {
    let (mut parts, mut count): (Vec<String>, usize) = Default::default();
    for one in all {
        let one = text(what, one)?;
        match parts.last_mut() {
            Some(part) if count < PART && part.len() + one.len() < PART_BYTES => {
                part.push(',');
                part.push_str(&one);
                count += 1;
            }
            _ => {
                parts.push(format!("[{one}"));
                count = 1;
            }
        }
    }
    parts.iter_mut().for_each(|part| part.push(']'));
    Ok(parts)
}

/// The rows of a list. `key` returns the key of a part.
fn part_rows<T: Serialize>(what: &str, all: &[T], key: impl Fn(i64) -> RecordId) -> Result<Vec<PartRow>, StoreError> {
    let parts = (0..).zip(split(what, all)?);
    Ok(parts.map(|(part, body)| PartRow { key: key(part), part, body }).collect())
}

fn joined<T: DeserializeOwned>(mut parts: Parts) -> Result<Vec<T>, StoreError> {
    parts.rows.sort_unstable_by_key(|part| part.part);
    let mut all = Vec::new();
    for part in parts.rows {
        all.extend(serde_json::from_str::<Vec<T>>(&part.body).map_err(row::corrupt)?);
    }
    Ok(all)
}

/// The arguments for a target without a result.
fn put_arguments(target: &TargetRecord, assets: &[SeenAsset]) -> Result<PutArguments, StoreError> {
    let name = target.id.to_string();
    let key =
        |part: i64| RecordId::new("target_assets", row::parts_key([name.clone().into_value(), part.into_value()]));
    let assets = part_rows("an asset", assets, key)?;
    Ok(PutArguments {
        row: TargetRow::new(target)?,
        amount: 1,
        result: None,
        surplus_assets: assets_from(target.id, row::at_most(assets.len())),
        surplus_chunks: None,
        assets,
        target: name,
    })
}

impl SurrealStore {
    pub(super) async fn read_assets(&self, target: TargetId) -> Result<Vec<SeenAsset>, StoreError> {
        joined(calls::call_again(&self.inner.db, PARTS, Key { key: assets_from(target, 0) }).await?)
    }

    pub(super) async fn read_result(&self, scan: ScanId) -> Result<Option<ScanResult>, StoreError> {
        let key = Key { key: result_key(row::signed(scan.0)?) };
        let Body { body } = calls::call_again(&self.inner.db, RESULT, key).await?;
        body.map(|body| serde_json::from_str(&body).map_err(row::corrupt)).transpose()
    }

    pub(super) async fn read_observed(&self, scan: ScanId, chunk: u32) -> Result<Vec<ObservedRecord>, StoreError> {
        let (scan, chunk) = (row::signed(scan.0)?, i64::from(chunk));
        let range = observed([scan, chunk], [scan, chunk + 1]);
        joined(calls::call_again(&self.inner.db, PARTS, Key { key: range }).await?)
    }

    pub(super) async fn read_results(
        &self,
        target: TargetId,
        before: Option<ScanOrder>,
        limit: usize,
    ) -> Result<Vec<ScanResult>, StoreError> {
        // The mark follows all digits.
        let before = before.map_or_else(|| "~".to_owned(), place_of);
        let page = OfTarget {
            target: target.to_string(),
            before: before.clone(),
            limit: row::at_most(limit.saturating_add(1)),
        };
        let PlacedRows { mut rows } = calls::call_again(&self.inner.db, OF_TARGET, page).await?;
        rows.retain(|row| row.place < before);
        rows.sort_unstable_by(|one, other| other.place.cmp(&one.place));
        rows.truncate(limit);
        rows.iter().map(|row| serde_json::from_str(&row.body).map_err(row::corrupt)).collect()
    }

    pub(super) async fn write_observed(
        &self,
        scan: ScanId,
        chunk: u32,
        all: &[ObservedRecord],
    ) -> Result<(), StoreError> {
        let (scan, chunk) = (row::signed(scan.0)?, i64::from(chunk));
        let key = |part: i64| RecordId::new("scan_observed", row::parts_key([scan, chunk, part].map(i64::into_value)));
        let parts = part_rows("a finding that a scan saw", all, key)?;
        let surplus = observed([scan, chunk, row::at_most(parts.len())], [scan, chunk + 1]);
        let arguments = ObservedArguments { scan, chunk, parts, surplus };
        Ok(calls::execute_again(&self.inner.db, PUT_OBSERVED, arguments).await?)
    }

    pub(super) async fn write_result(
        &self,
        result: &ScanResult,
        target: &TargetRecord,
        assets: &[SeenAsset],
    ) -> Result<Put, StoreError> {
        let Some(of_scan) = row::scan_key(result.scan) else { return Ok(Put::Changed) };
        let scan = row::signed(result.scan.0)?;
        let row = ResultRow {
            key: result_key(scan),
            of_scan,
            project: result.project.to_string(),
            scan,
            place: place_of(result.order),
            body: text(format_args!("the result of scan {scan}"), result)?,
        };
        let arguments = PutArguments {
            result: Some(row),
            surplus_chunks: Some(observed([scan, i64::from(result.chunks())], [scan.saturating_add(1)])),
            ..put_arguments(target, assets)?
        };
        Ok(calls::call_again::<IsStored>(&self.inner.db, PUT, arguments).await?.put())
    }

    pub(super) async fn write_target_alone(
        &self,
        target: &TargetRecord,
        assets: &[SeenAsset],
    ) -> Result<Put, StoreError> {
        let arguments = put_arguments(target, assets)?;
        Ok(calls::call_again::<IsStored>(&self.inner.db, PUT_TARGET, arguments).await?.put())
    }

    pub(super) async fn delete_result(&self, scan: ScanId) -> Result<(), StoreError> {
        let scan = row::signed(scan.0)?;
        let arguments =
            ForgetArguments { result: result_key(scan), observed: observed([scan], [scan.saturating_add(1)]) };
        Ok(calls::execute_again(&self.inner.db, FORGET, arguments).await?)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn texts_of_places_sort_like_the_places() {
        let order = |second, scan, token| ScanOrder { at: Timestamp::from_second(second).unwrap(), scan, token };
        let mut all = Vec::new();
        for second in [-9_000_000_000, -1, 0, 1, 1_800_000_000, 9_000_000_000] {
            for scan in [0, 9, 10, u64::MAX] {
                all.extend([1, 2, 11].map(|token| order(second, scan, token)));
            }
        }
        let texts: Vec<String> = all.iter().map(|order| place_of(*order)).collect();
        assert!(texts.is_sorted_by(|one, other| one < other), "{texts:?}");
        assert!(texts.iter().all(|text| text.as_str() < "~" && text.len() == 62));
    }

    #[test]
    fn lists_are_split_by_number_and_size_and_lose_nothing() {
        for (count, size, expected) in [(0, 1, 0), (1, 1, 1), (500, 1, 1), (501, 1, 2), (7, 300 << 10, 3)] {
            let all: Vec<String> = (0..count).map(|number| format!("{number}\"{}", "x".repeat(size))).collect();
            let parts = split("a text", &all).unwrap();
            assert_eq!(parts.len(), expected, "{count} of {size}");
            assert!(parts.iter().all(|part| part.len() <= PART_BYTES + 1));
            // The rows may come in any order.
            let mut rows: Vec<Part> = (0..).zip(parts).map(|(part, body)| Part { part, body }).collect();
            rows.reverse();
            assert_eq!(joined::<String>(Parts { rows }).unwrap(), all);
        }
        assert!(split("a text", &["x".repeat(row::MAX_DOCUMENT_BYTES)]).is_err());
    }
}
