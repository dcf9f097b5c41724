//! Reads the audit log. Its rows are keyed by `[-at, nonce]`, so the key's order is that of the
//! list, and a place or a range of time is a range of keys. The entries of one scan come from their
//! index. A search for a principal or an action walks over the rows in steps.

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::{AuditCursor, AuditEntry, AuditPage, AuditQuery, DomainEvent, Principal, ScanId};
use kastrel_actors::policy::audit::{AuditStep, AuditWalk};
use kastrel_actors::ports::{AuditLog, StoreError};
use surrealdb::types::{Array, RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue, Value};

use super::calls;
use super::outbox::readable;
use super::row::{self, at_most};
use super::store::SurrealStore;

#[derive(Debug, Clone, SurrealValue)]
struct RangeArguments {
    range: RecordId,
    limit: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct ScanArguments {
    scan: i64,
    newest: i64,
    /// The nonce of the last entry of the page before, if it has the time `newest`; otherwise it is
    /// empty, and so before every nonce.
    nonce: String,
    oldest: i64,
    limit: i64,
}

#[derive(Debug, SurrealValue)]
struct AuditRow {
    at: i64,
    nonce: String,
    principal: String,
    scan: Option<i64>,
    event: String,
}

#[derive(Debug, SurrealValue)]
struct AuditRows {
    rows: Vec<AuditRow>,
}

const IN_RANGE: &str =
    "RETURN { rows: (SELECT at, record::id(id)[1] AS nonce, principal, scan, event FROM $range LIMIT $limit) };";

/// The index finds the entries of the scan; the other conditions and the order are applied to them.
const OF_SCAN: &str = "
    RETURN { rows: (SELECT at, record::id(id)[1] AS nonce, principal, scan, event FROM audit
        WHERE scan = $scan AND at <= $newest AND at >= $oldest AND (at < $newest OR record::id(id)[1] > $nonce)
        ORDER BY at DESC, nonce ASC LIMIT $limit) };";

/// The entries between two moments, in nanoseconds since 1970, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    newest: i64,
    /// Of the entries at `newest`, only those that follow this nonce in the list.
    nonce: String,
    oldest: i64,
}

impl Span {
    /// Returns the entries of the query's range of time that follow a place. `None` if there can be
    /// none.
    fn of(query: &AuditQuery, place: Option<&AuditCursor>) -> Option<Self> {
        let to = query.to.map_or(i64::MAX, |to| row::nanoseconds(to).saturating_sub(1));
        let oldest = query.from.map_or(i64::MIN, row::nanoseconds);
        let (newest, nonce) = match place.map(|place| (row::nanoseconds(place.at), place.nonce.clone())) {
            Some((at, nonce)) if at <= to => (at, nonce),
            Some(_) | None => (to, String::new()),
        };
        (newest >= oldest).then_some(Self { newest, nonce, oldest })
    }

    /// Returns the keys of the rows.
    fn keys(&self) -> RecordId {
        let key = |parts: Vec<Value>| RecordIdKey::Array(Array::from(parts));
        let first = if self.nonce.is_empty() {
            key(vec![self.newest.saturating_neg().into_value()])
        } else {
            // All nonces have the same length, so no other entry lies between.
            key(vec![self.newest.saturating_neg().into_value(), format!("{}!", self.nonce).into_value()])
        };
        let end = key(vec![self.oldest.saturating_neg().saturating_add(1).into_value()]);
        RecordId::new("audit", RecordIdKeyRange::from(first..end))
    }
}

#[async_trait]
impl AuditLog for SurrealStore {
    async fn audit(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        // No scan has a number that a column cannot hold.
        let Ok(scan) = query.scan.map(|scan| row::signed(scan.0)).transpose() else {
            return Ok(AuditPage::default());
        };
        let mut walk = AuditWalk::new(query);
        loop {
            let rows = match Span::of(query, walk.place()) {
                Some(span) => self.rows_of(scan, span, walk.want()).await?,
                None => Vec::new(),
            };
            if let AuditStep::Done(page) = walk.take(rows) {
                return Ok(page);
            }
        }
    }
}

impl SurrealStore {
    async fn rows_of(
        &self,
        scan: Option<i64>,
        span: Span,
        limit: usize,
    ) -> Result<Vec<(AuditCursor, Option<AuditEntry>)>, StoreError> {
        let limit = at_most(limit);
        let AuditRows { rows } = match scan {
            None => calls::call_again(&self.inner.db, IN_RANGE, RangeArguments { range: span.keys(), limit }).await?,
            Some(scan) => {
                let Span { newest, nonce, oldest } = span;
                let arguments = ScanArguments { scan, newest, nonce, oldest, limit };
                calls::call_again(&self.inner.db, OF_SCAN, arguments).await?
            }
        };
        rows.into_iter().map(placed).collect()
    }
}

/// The place of a row, and its entry. An entry of a newer version hides only itself.
fn placed(row: AuditRow) -> Result<(AuditCursor, Option<AuditEntry>), StoreError> {
    let at = row::timestamp(row.at)?;
    let place = AuditCursor { at, nonce: row.nonce.clone() };
    Ok((place, readable("an entry of the audit log", audit_entry(at, row))))
}

fn audit_entry(at: Timestamp, row: AuditRow) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        at,
        principal: row.principal.parse::<Principal>().map_err(row::corrupt)?,
        scan: row.scan.map(|scan| row::unsigned(scan).map(ScanId)).transpose()?,
        event: serde_json::from_str::<DomainEvent>(&row.event).map_err(row::corrupt)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_of_a_page_is_the_rest_of_the_range_of_time() {
        let at = |nanosecond: i64| Timestamp::from_nanosecond(i128::from(nanosecond)).unwrap();
        let place = |nanosecond| Some(AuditCursor { at: at(nanosecond), nonce: "n".into() });
        for (from, to, place, expected) in [
            (None, None, None, Some((i64::MAX, "", i64::MIN))),
            (Some(10), Some(20), None, Some((19, "", 10))),
            (Some(10), Some(11), None, Some((10, "", 10))),
            (Some(10), Some(10), None, None),
            (Some(20), Some(10), None, None),
            (None, None, place(15), Some((15, "n", i64::MIN))),
            (Some(10), Some(20), place(15), Some((15, "n", 10))),
            (Some(10), Some(20), place(19), Some((19, "n", 10))),
            (Some(10), Some(20), place(20), Some((19, "", 10))),
            (Some(10), Some(20), place(10), Some((10, "n", 10))),
            (Some(10), Some(20), place(9), None),
        ] {
            let query = AuditQuery { from: from.map(at), to: to.map(at), ..AuditQuery::newest(1) };
            let expected = expected.map(|(newest, nonce, oldest)| Span { newest, nonce: nonce.to_owned(), oldest });
            assert_eq!(Span::of(&query, place.as_ref()), expected, "{from:?} {to:?} {place:?}");
        }
    }
}
