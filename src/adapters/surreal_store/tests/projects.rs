//! Tests of the outcomes of projects in a database of an earlier version, and of the indexes of
//! past runs.

use kastrel_actors::model::{DayOutcomes, ProjectFilter};
use kastrel_actors::ports::store::prelude::*;
use surrealdb::types::Value;

use super::super::calls::{self, Nothing};
use super::super::executor::Executor as _;
use super::super::migrate::{self, STEPS};
use super::super::{SurrealStore, upgrade};
use super::run;
use super::split::numbers;
use crate::config::AuthLevel;

/// The number of steps before outcomes had a project.
const EARLIER: usize = 12;

/// The rows of days as the earlier schema held them, one of them with a deletion that was counted
/// before its end, and an end that waits to be counted.
const EARLIER_ROWS: &str = r#"
    CREATE day:[19700101, 3] SET date = 19700101, completed = 2;
    CREATE day:[19700101, 7] SET date = 19700101, completed = 1, failed = 1, cancelled = -1;
    CREATE day:[19700102, 0] SET date = 19700102, cancelled = 5;
    CREATE outbox:[3, 2] SET
        scan = 3, version = 2, at = 0, since = 0, wait = 0, tries = 0, done = [],
        event = '{"action":"scan_ended","status":"completed","at":"1970-01-01T00:00:00Z"}';"#;

#[test]
fn outcomes_of_an_earlier_version_are_those_of_the_default_project() {
    run(async {
        let db = SurrealStore::in_memory().await.unwrap().inner.db.clone();
        migrate::select_database(&db, "test", "test", AuthLevel::Root).await.unwrap();
        migrate::run_steps(&db, &STEPS[..EARLIER]).await.unwrap();
        calls::execute(&db, EARLIER_ROWS, Nothing {}).await.unwrap();
        migrate::run(&db).await.unwrap();
        upgrade::run(&db).await.unwrap();
        let store = SurrealStore::from_database(db.clone(), None);
        let day = |day, completed, failed, cancelled| DayOutcomes {
            day: jiff::civil::date(1970, 1, day),
            completed,
            failed,
            cancelled,
        };
        let since = jiff::civil::date(1970, 1, 1);
        let default = ProjectFilter::of("default".parse().unwrap());
        for filter in [&ProjectFilter::All, &default] {
            assert_eq!(store.outcomes(since, filter).await.unwrap(), [day(1, 3, 1, 0), day(2, 0, 0, 5)], "{filter:?}");
        }
        assert_eq!(store.outcomes(since, &ProjectFilter::of("team".parse().unwrap())).await.unwrap(), []);
        // The end that waited is counted in the row of its part.
        super::deliver(&store).await;
        assert_eq!(store.outcomes(since, &default).await.unwrap()[0], day(1, 4, 1, 0));
        assert_eq!(store.dead_letters(9).await.unwrap(), []);
        assert_eq!(
            numbers(
                &db,
                "RETURN { numbers: (SELECT VALUE record::id(id)[2] FROM day:['default', 0]..['default', 99999999]) };"
            )
            .await,
            [3, 7, 0]
        );
        assert_eq!(numbers(&db, "RETURN { numbers: (SELECT VALUE date FROM day) };").await.len(), 3);
        assert_eq!(store.backlog().await.unwrap().waiting, 0);
    });
}

/// The statement with which processes of the earlier version count.
#[test]
fn process_of_an_earlier_version_cannot_count_outcomes() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        let count = "BEGIN; UPSERT day:[19700101, 3] SET date = 19700101, completed = 1 RETURN NONE; COMMIT;";
        calls::execute(&store.inner.db, count, Nothing {}).await.unwrap_err();
        assert_eq!(numbers(&store.inner.db, "RETURN { numbers: (SELECT VALUE date FROM day) };").await, [0; 0]);
    });
}

/// A page of past runs reads only its own rows.
#[test]
fn past_runs_follow_an_index() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        for (condition, index) in [
            ("run = true", "index: ended_project_runs"),
            ("run = true AND target = 'a' AND mode = 'passive'", "index: ended_project_like"),
        ] {
            let query = format!(
                "EXPLAIN SELECT number, target, mode, took ?? 0 AS took FROM ended
                    WHERE project = 'default' AND {condition} AND number < 9 ORDER BY number DESC LIMIT 3"
            );
            let plan = store.inner.db.query(query.clone(), Value::Object(Default::default())).await.unwrap();
            let plan = format!("{plan:?}");
            assert!(plan.contains(index), "{query}: {plan}");
            assert!(!plan.contains("TableScan") && !plan.contains("Sort"), "{query}: {plan}");
        }
    });
}
