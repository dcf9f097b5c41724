//! Counts the scans of some projects by state.

use std::collections::BTreeSet;

use futures_util::future::{try_join_all, try_join3};
use kastrel_actors::model::{EndedFloors, ProjectFilter, ProjectId, ScanStatus, StoreStats};
use kastrel_actors::ports::StoreError;

use super::plan::{IndexScan, KeyRange};
use super::sql::OpenCounts;
use crate::adapters::surreal_store::calls::{self, Nothing};
use crate::adapters::surreal_store::row;
use crate::adapters::surreal_store::store::SurrealStore;

impl SurrealStore {
    /// Counts the scans of some projects by state: with the count indexes, if these projects have
    /// all scans. Otherwise it counts entries of the index of states, those of scans that have not
    /// ended to the end, because the queue and the nodes limit them, and the others up to a bound.
    pub(in crate::adapters::surreal_store) async fn scans_by_state(
        &self,
        filter: &ProjectFilter,
    ) -> Result<StoreStats, StoreError> {
        let ProjectFilter::Only(projects) = filter else { return self.counts().await };
        if projects.is_empty() {
            return Ok(StoreStats::default());
        }
        let scope = self.scope(filter).await?;
        if scope.has_all {
            return self.counts().await;
        }
        let (pending, running) = self.open_scans(projects).await?;
        let ended = [ScanStatus::Completed, ScanStatus::Failed, ScanStatus::Cancelled].map(|status| {
            let scope = &scope;
            async move { self.count_entries(scope, &IndexScan::Statuses(vec![status]), KeyRange::ALL).await }
        });
        let [completed, failed, cancelled] = ended;
        let (completed, failed, cancelled) = try_join3(completed, failed, cancelled).await?;
        Ok(StoreStats {
            pending,
            running,
            completed: completed.0,
            failed: failed.0,
            cancelled: cancelled.0,
            floors: EndedFloors { completed: completed.1, failed: failed.1, cancelled: cancelled.1 },
        })
    }

    /// The numbers of queued and of running scans of some projects.
    async fn open_scans(&self, projects: &BTreeSet<ProjectId>) -> Result<(u64, u64), StoreError> {
        let statements: Vec<String> = projects.iter().map(open_counts).collect();
        let reads = statements
            .into_iter()
            .map(|sql| async move { calls::call_text_again::<OpenCounts>(&self.inner.db, &sql, Nothing {}).await });
        let mut sums = (0_u64, 0_u64);
        for OpenCounts { pending, running } in try_join_all(reads).await? {
            sums = (sums.0 + row::unsigned(pending)?, sums.1 + row::unsigned(running)?);
        }
        Ok(sums)
    }
}

/// The statement that counts the queued and the running scans of a project.
///
/// The project is a part of the text, because the engine counts the keys of an index without
/// reading rows only if the condition consists of constants. The id of a project has no character
/// that could end the text.
fn open_counts(project: &ProjectId) -> String {
    let of = |status| format!("({})[0].count ?? 0", count_of(project, status));
    format!("RETURN {{ pending: {}, running: {} }};", of(ScanStatus::Pending), of(ScanStatus::Running))
}

fn count_of(project: &ProjectId, status: ScanStatus) -> String {
    format!("SELECT count() FROM scan WHERE project = '{project}' AND status = '{status}' GROUP ALL")
}

#[cfg(test)]
mod tests {
    use kastrel_actors::ports::store::prelude::*;
    use surrealdb::types::Value;

    use super::super::MAX_COUNT;
    use super::*;
    use crate::adapters::surreal_store::executor::Executor as _;
    use crate::adapters::surreal_store::tests::run;

    fn only(names: &[&str]) -> ProjectFilter {
        ProjectFilter::Only(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    /// One completed scan more than are counted in one project, and a few others.
    #[test]
    fn scans_that_have_not_ended_are_counted_to_the_end_and_others_to_a_bound() {
        run(async {
            let store = SurrealStore::in_memory().await.unwrap();
            let rows = "
                LET $states = array::concat(array::repeat('completed', 1001), ['failed', 'pending', 'pending', 'running']);
                FOR $number IN 1..=1006 {
                    CREATE type::record('scan', $number) SET
                        number = $number, status = $states[$number - 1] ?? 'completed', project = IF $number > 1005 { 'b' } ELSE { 'a' },
                        target = 'x', mode = 'passive', created_at = 0, version = 0, token = 0, failures = 0, trace = 'x', cancel = false, body = '{}'
                        RETURN NONE;
                };";
            calls::execute(&store.inner.db, rows, Nothing {}).await.unwrap();
            let open = StoreStats { pending: 2, running: 1, failed: 1, ..StoreStats::default() };
            let most = MAX_COUNT as u64;
            let bounded = StoreStats {
                completed: most,
                floors: EndedFloors { completed: true, ..EndedFloors::default() },
                ..open
            };
            for (filter, expected) in [
                (ProjectFilter::All, StoreStats { completed: most + 2, ..open }),
                (only(&["a"]), bounded),
                (only(&["b"]), StoreStats { completed: 1, ..StoreStats::default() }),
                (only(&["a", "b"]), bounded),
                (only(&["c"]), StoreStats::default()),
                (only(&[]), StoreStats::default()),
            ] {
                assert_eq!(store.stats(&filter).await.unwrap(), expected, "{filter:?}");
            }
            // While no other project has scans, the count indexes count those of the project.
            calls::execute(&store.inner.db, "DELETE scan WHERE project = 'b';", Nothing {}).await.unwrap();
            let all = StoreStats { completed: most + 1, ..open };
            for filter in [only(&["a"]), only(&["a", "c"])] {
                assert_eq!(store.stats(&filter).await.unwrap(), all, "{filter:?}");
            }
        });
    }

    #[test]
    fn open_scans_are_counted_by_the_keys_of_an_index() {
        run(async {
            let store = SurrealStore::in_memory().await.unwrap();
            let query = format!("EXPLAIN {}", count_of(&ProjectId::default(), ScanStatus::Pending));
            let plan = store.inner.db.query(query, Value::Object(Default::default())).await.unwrap();
            let plan = format!("{plan:?}");
            assert!(plan.contains("IndexCountScan"), "{plan}");
        });
    }
}
