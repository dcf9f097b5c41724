//! The rows of findings and targets that changed.

use std::str::FromStr;

use kastrel_actors::model::FindingChanges;
use kastrel_actors::ports::StoreError;
use surrealdb::types::SurrealValue;

use super::rows;
use crate::adapters::surreal_store::calls;
use crate::adapters::surreal_store::row;
use crate::adapters::surreal_store::store::SurrealStore;

/// One statement, so that both tables are read at one moment.
pub(super) const CHANGES: &str = "
    RETURN {
        findings: (SELECT change, record::id(id) AS name, version, body FROM finding WHERE change > $after ORDER BY change ASC LIMIT $limit),
        targets: (SELECT change, record::id(id) AS name, version, body FROM target WHERE change > $after ORDER BY change ASC LIMIT $limit),
    };";

#[derive(Debug, Clone, SurrealValue)]
pub(super) struct After {
    pub(super) after: i64,
    pub(super) limit: i64,
}

#[derive(Debug, SurrealValue)]
struct Row {
    change: i64,
    name: String,
    version: i64,
    body: Option<String>,
}

#[derive(Debug, SurrealValue)]
struct Rows {
    findings: Vec<Row>,
    targets: Vec<Row>,
}

/// The tables of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Finding,
    Target,
}

impl SurrealStore {
    pub(super) async fn changed_findings(&self, after: u64, limit: usize) -> Result<FindingChanges, StoreError> {
        // One more row shows whether there are more.
        let page =
            After { after: i64::try_from(after).unwrap_or(i64::MAX), limit: row::at_most(limit.saturating_add(1)) };
        let Rows { findings, targets } = calls::call_again(&self.inner.db, CHANGES, page).await?;
        let of = |table: Table| move |row: Row| (table, row);
        let mut all: Vec<(Table, Row)> =
            findings.into_iter().map(of(Table::Finding)).chain(targets.into_iter().map(of(Table::Target))).collect();
        all.sort_unstable_by_key(|(_, row)| row.change);
        let mut changes = FindingChanges { mark: after, has_more: all.len() > limit, ..FindingChanges::default() };
        all.truncate(limit);
        for (table, row) in all {
            changes.mark = row::unsigned(row.change)?;
            match table {
                Table::Finding => add(&row, rows::finding, &mut changes.findings, &mut changes.gone),
                Table::Target => add(&row, rows::target, &mut changes.targets, &mut changes.gone_targets),
            }
        }
        Ok(changes)
    }
}

/// Adds a row to those that changed, or to those that are gone. A row that cannot be read is gone
/// for lists; all other rows stay in them.
fn add<T, K: FromStr>(
    row: &Row,
    read: impl Fn(i64, &str) -> Result<T, StoreError>,
    changed: &mut Vec<T>,
    gone: &mut Vec<K>,
) where
    K::Err: std::error::Error + Send + Sync + 'static,
{
    let warn = |error: &StoreError| {
        tracing::warn!(error = error as &dyn std::error::Error, row = row.name, "a row of findings cannot be read");
    };
    match row.body.as_deref().map(|body| read(row.version, body).inspect_err(warn)) {
        Some(Ok(record)) => changed.push(record),
        Some(Err(_)) | None => gone.extend(row.name.parse::<K>().map_err(row::corrupt).inspect_err(warn).ok()),
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{Put, ScanId};
    use kastrel_actors::ports::store::prelude::*;
    use kastrel_actors::testing::fixtures;
    use surrealdb::types::Value;

    use super::*;
    use crate::adapters::surreal_store::executor::Executor as _;

    #[tokio::test]
    async fn row_that_cannot_be_read_is_gone_and_hides_no_other() {
        let store = SurrealStore::in_memory().await.unwrap();
        let target = fixtures::target_record(&Default::default(), "shop.example");
        let all = [1, 2, 3].map(|number| fixtures::finding_record(&target, number));
        assert_eq!(store.put_findings(all.to_vec()).await.unwrap(), Put::Stored);
        assert_eq!(store.submit(fixtures::new_scan("shop.example")).await.unwrap().into_record().id, ScanId(1));
        let result = fixtures::scan_result(&target, fixtures::scan_order(1, 0), 0);
        assert_eq!(store.put_result(result, target.clone(), Vec::new()).await.unwrap(), Put::Stored);
        let before = store.changes(0, 10).await.unwrap();
        let damage =
            format!("UPDATE finding SET body = '{{' WHERE name = '{}'; UPDATE target SET body = '';", all[1].id);
        for result in store.inner.db.query(damage, Value::Object(Default::default())).await.unwrap() {
            result.unwrap();
        }
        for limit in [1, 10] {
            let mut seen = FindingChanges::default();
            loop {
                let page = store.changes(seen.mark, limit).await.unwrap();
                seen.findings.extend(page.findings);
                seen.gone.extend(page.gone);
                seen.gone_targets.extend(page.gone_targets);
                assert_eq!(page.targets, []);
                seen.mark = page.mark;
                if !page.has_more {
                    break;
                }
            }
            let ids: Vec<_> = seen.findings.iter().map(|finding| finding.id).collect();
            assert_eq!(ids, [all[0].id, all[2].id]);
            assert_eq!((seen.gone, seen.gone_targets, seen.mark), (vec![all[1].id], vec![target.id], before.mark));
        }
    }
}
