//! The plugins of a scan's last attempt as rows: one row a plugin, so that progress writes only
//! the plugins that changed. The results of earlier attempts stay until the scan is deleted.

use kastrel_actors::model::{PluginResult, ScanId, ScanRecord};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{Array, RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue};

use super::row::{self, MAX_DOCUMENT_BYTES, attempt_of};

/// One plugin of one attempt.
#[derive(Debug, Clone, SurrealValue)]
struct PluginRow {
    key: RecordId,
    scan: i64,
    attempt: i64,
    ordinal: i64,
    name: String,
    status: String,
    result: String,
}

/// The rows that a change of a scan writes and deletes.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct Results {
    changed: Vec<PluginRow>,
    gone: Vec<RecordId>,
}

/// Writes `$results` within a transaction.
macro_rules! write_results {
    () => {
        "FOR $one IN $results.changed {
            UPSERT $one.key SET
                scan = $one.scan, attempt = $one.attempt, ordinal = $one.ordinal, name = $one.name, status = $one.status, result = $one.result RETURN NONE;
        };
        DELETE $results.gone RETURN NONE;"
    };
}
pub(super) use write_results;

impl Results {
    /// The rows of a record.
    pub(super) fn of(record: &ScanRecord) -> Result<Self, StoreError> {
        Self::between(&[], record)
    }

    /// The rows that differ between `read`, the stored plugins of the same attempt, and `next`.
    pub(super) fn between(read: &[PluginResult], next: &ScanRecord) -> Result<Self, StoreError> {
        let (scan, attempt) = (row::signed(next.id.0)?, attempt_of(next));
        let mut results = Self { changed: Vec::new(), gone: Vec::new() };
        for (ordinal, plugin) in next.plugins.iter().enumerate() {
            if read.get(ordinal) != Some(plugin) {
                results.add(next.id, attempt, i64::try_from(ordinal).map_err(row::corrupt)?, plugin)?;
            }
        }
        for ordinal in next.plugins.len()..read.len() {
            results.gone.push(key(scan, attempt, i64::try_from(ordinal).map_err(row::corrupt)?));
        }
        Ok(results)
    }

    /// Adds a row to write.
    pub(super) fn add(
        &mut self,
        id: ScanId,
        attempt: i64,
        ordinal: i64,
        plugin: &PluginResult,
    ) -> Result<(), StoreError> {
        let scan = row::signed(id.0)?;
        let result = serde_json::to_string(plugin).map_err(row::corrupt)?;
        if result.len() > MAX_DOCUMENT_BYTES {
            return Err(row::corrupt(format!(
                "the row of plugin {} of scan {id} would have {} bytes, more than {MAX_DOCUMENT_BYTES}",
                plugin.name,
                result.len()
            )));
        }
        self.changed.push(PluginRow {
            key: key(scan, attempt, ordinal),
            scan,
            attempt,
            ordinal,
            // A text of the database holds no NUL; the result holds the name as it is.
            name: plugin.name.replace('\0', ""),
            status: plugin.status.as_str().to_owned(),
            result,
        });
        Ok(())
    }

    /// The size of the results.
    pub(super) fn bytes(&self) -> usize {
        self.changed.iter().map(|row| row.result.len()).sum()
    }

    #[cfg(test)]
    fn ordinals(&self) -> (Vec<i64>, usize) {
        (self.changed.iter().map(|row| row.ordinal).collect(), self.gone.len())
    }
}

/// The range of all rows of the scans from `first` to `last`.
pub(super) fn of_scans(first: i64, last: i64) -> RecordId {
    let bound = |scan: i64| RecordIdKey::Array(Array::from(vec![scan.into_value()]));
    RecordId::new("plugin_result", RecordIdKeyRange::from(bound(first)..bound(last.saturating_add(1))))
}

fn key(scan: i64, attempt: i64, ordinal: i64) -> RecordId {
    RecordId::new("plugin_result", Array::from(vec![scan.into_value(), attempt.into_value(), ordinal.into_value()]))
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::PluginStatus;
    use kastrel_actors::testing::fixtures;

    use super::*;

    #[test]
    fn only_changed_plugins_are_written() {
        let plugin = |name: &str, status| PluginResult::new(name, status);
        let read = [
            plugin("a", PluginStatus::Completed),
            plugin("b", PluginStatus::InProgress),
            plugin("c", PluginStatus::Pending),
        ];
        for (next, changed, gone) in [
            (read.to_vec(), vec![], 0),
            (vec![read[0].clone(), plugin("b", PluginStatus::Completed), read[2].clone()], vec![1], 0),
            (vec![read[0].clone()], vec![], 2),
            (vec![], vec![], 3),
            (read.iter().cloned().chain([plugin("d", PluginStatus::Pending)]).collect(), vec![3], 0),
        ] {
            let next = ScanRecord { plugins: next, ..fixtures::record(7, jiff::Timestamp::UNIX_EPOCH) };
            assert_eq!(Results::between(&read, &next).unwrap().ordinals(), (changed, gone), "{:?}", next.plugins);
        }
    }
}
