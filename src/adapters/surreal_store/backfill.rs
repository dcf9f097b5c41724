//! The rows beside a scan that earlier versions did not write, or wrote in another shape: its
//! target, its `ended` and `found` rows, and the counts of its day. [`upgrade`](super::upgrade)
//! collects and writes them.

use kastrel_actors::model::{ScanId, ScanRecord};
use kastrel_actors::policy::listing::target_text;
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::ended::{self, Ended};
use super::row::{self, text_key};

/// The rows beside the scans of a chunk.
#[derive(Debug, Clone, Default, SurrealValue)]
pub(super) struct Beside {
    aims: Vec<TargetRow>,
    all: Vec<Ended>,
    /// Keys that an earlier version stored with the plugin's own spelling.
    stale: Vec<RecordId>,
    /// The `ended` rows of unreadable scans.
    unreadable: Vec<RecordId>,
    days: Vec<Day>,
}

#[derive(Debug, Clone, SurrealValue)]
struct TargetRow {
    key: RecordId,
    first: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Day {
    key: RecordId,
    project: String,
    date: i64,
    completed: i64,
    failed: i64,
    cancelled: i64,
}

/// Writes `$beside` within a transaction, except its days. The row of an unreadable scan derives
/// its new columns from its old ones.
macro_rules! write_beside {
    () => {
        concat!(
            "FOR $aim IN $beside.aims { IF (SELECT VALUE first FROM ONLY $aim.key) = NONE { CREATE $aim.key SET first = $aim.first RETURN NONE; }; };
            FOR $ended IN $beside.all {",
            $crate::adapters::surreal_store::ended::write_ended!(),
            "};
            DELETE $beside.stale RETURN NONE;
            UPDATE $beside.unreadable SET findings = findings RETURN NONE;"
        )
    };
}
pub(super) use write_beside;

impl Beside {
    /// Adds the rows beside a scan.
    pub(super) fn add(&mut self, record: &ScanRecord) -> Result<(), StoreError> {
        self.aims.push(TargetRow { key: text_key("aim", &target_text(record)), first: row::signed(record.id.0)? });
        let Some(ended) = Ended::of(record)? else { return Ok(()) };
        self.stale.extend(ended::keys_of_other_spelling(record)?);
        let (completed, failed, cancelled) = (ended.completed, ended.failed, ended.cancelled);
        match self.days.iter_mut().find(|day| day.key == ended.day) {
            Some(day) => {
                day.completed += completed;
                day.failed += failed;
                day.cancelled += cancelled;
            }
            None => self.days.push(Day {
                key: ended.day.clone(),
                project: ended.project.clone(),
                date: ended.date,
                completed,
                failed,
                cancelled,
            }),
        }
        self.all.push(ended);
        Ok(())
    }

    /// Adds a scan whose row cannot be read.
    pub(super) fn add_unreadable(&mut self, id: ScanId) -> Result<(), StoreError> {
        self.unreadable.push(RecordId::new("ended", row::signed(id.0)?));
        Ok(())
    }
}
