//! The SQL statements of lists, with their arguments and results.

use surrealdb::types::{RecordId, SurrealValue, Value};

use crate::adapters::surreal_store::row::listed;

#[derive(Debug, SurrealValue)]
pub(super) struct Last {
    pub(super) last: i64,
}

/// Rows are decoded separately, so that one with a different shape does not affect the others.
#[derive(Debug, SurrealValue)]
pub(super) struct Rows {
    pub(super) rows: Vec<Value>,
}

#[derive(Debug, SurrealValue)]
pub(super) struct Numbers {
    pub(super) numbers: Vec<i64>,
}

#[derive(Debug, Clone, SurrealValue)]
pub(super) struct Keys {
    pub(super) keys: Vec<RecordId>,
}

#[derive(Debug, SurrealValue)]
pub(super) struct Projects {
    pub(super) first: Option<String>,
    pub(super) later: Option<String>,
}

#[derive(Debug, Clone, SurrealValue)]
pub(super) struct BeyondProject {
    pub(super) bound: String,
}

#[derive(Debug, SurrealValue)]
pub(super) struct NextProject {
    pub(super) next: Option<String>,
}

#[derive(Debug, Clone, SurrealValue)]
pub(super) struct Step {
    pub(super) project: String,
    pub(super) value: String,
    pub(super) bound: i64,
    pub(super) limit: i64,
    pub(super) start: i64,
}

#[derive(Debug, Clone, SurrealValue)]
pub(super) struct RankStep {
    pub(super) project: String,
    pub(super) rank: i64,
    pub(super) number: i64,
    pub(super) limit: i64,
}

/// A scan in an order by rank. A scan without a rank comes last.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct Ranked {
    pub(super) number: i64,
    pub(super) rank: Option<i64>,
}

/// The scans after a place, in two parts: those with its rank, and those with a lower rank.
#[derive(Debug, SurrealValue)]
pub(super) struct RankedScans {
    pub(super) same: Vec<Ranked>,
    pub(super) lower: Vec<Ranked>,
}

#[derive(Debug, Clone, SurrealValue)]
pub(super) struct Moment {
    pub(super) project: String,
    pub(super) at: i64,
}

#[derive(Debug, SurrealValue)]
pub(super) struct Bound {
    pub(super) number: Option<i64>,
}

#[derive(Debug, SurrealValue)]
pub(super) struct Counts {
    pub(super) pending: i64,
    pub(super) running: i64,
    pub(super) completed: i64,
    pub(super) failed: i64,
    pub(super) cancelled: i64,
}

/// The numbers of the scans of a project that have not ended.
#[derive(Debug, SurrealValue)]
pub(super) struct OpenCounts {
    pub(super) pending: i64,
    pub(super) running: i64,
}

pub(super) const LAST: &str = "RETURN { last: (SELECT VALUE value FROM ONLY counter:scan) ?? 0 };";

/// The first project that has scans, in the order of their ids, and the first one after `default`:
/// one entry of an index for each.
///
/// The engine includes the bound of a compound index although `>` excludes it, so the bound is the
/// id with a `!`, which comes after the id and before every longer one.
pub(super) const PROJECTS: &str = "
    RETURN {
        first: (SELECT VALUE project FROM scan WHERE project > '' ORDER BY project ASC LIMIT 1)[0],
        later: (SELECT VALUE project FROM scan WHERE project > 'default!' ORDER BY project ASC LIMIT 1)[0],
    };";

pub(super) const NEXT_PROJECT: &str =
    "RETURN { next: (SELECT VALUE project FROM scan WHERE project > $bound ORDER BY project ASC LIMIT 1)[0] };";

pub(super) const ROWS: &str = concat!("RETURN { rows: (SELECT id, ", listed!(), " FROM $keys) };");

/// One page of an index whose first column has one value, as rows or as numbers, starting at its
/// newest or its oldest end.
///
/// The condition contains only the bound at which the page begins: the engine uses one bound of a
/// compound index as its range, and would check the other one on every row up to the index's end.
/// The caller checks the bound at which the index scan ends.
macro_rules! step {
    ($condition:literal) => {
        Sql {
            newest: concat!(
                "RETURN { rows: (SELECT id, ",
                listed!(),
                " FROM scan WHERE project = $project AND ",
                $condition,
                "number < $bound ORDER BY number DESC LIMIT $limit START $start) };"
            ),
            oldest: concat!(
                "RETURN { rows: (SELECT id, ",
                listed!(),
                " FROM scan WHERE project = $project AND ",
                $condition,
                "number > $bound ORDER BY number ASC LIMIT $limit START $start) };"
            ),
            newest_numbers: concat!(
                "RETURN { numbers: (SELECT VALUE number FROM scan WHERE project = $project AND ",
                $condition,
                "number < $bound ORDER BY number DESC LIMIT $limit START $start) };"
            ),
            oldest_numbers: concat!(
                "RETURN { numbers: (SELECT VALUE number FROM scan WHERE project = $project AND ",
                $condition,
                "number > $bound ORDER BY number ASC LIMIT $limit START $start) };"
            ),
        }
    };
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Sql {
    pub(super) newest: &'static str,
    pub(super) oldest: &'static str,
    pub(super) newest_numbers: &'static str,
    pub(super) oldest_numbers: &'static str,
}

pub(super) const ALL: Sql = step!("");
pub(super) const OF_STATUS: Sql = step!("status = $value AND ");
pub(super) const OF_TARGET: Sql = step!("target = $value AND ");
pub(super) const OF_MODE: Sql = step!("mode = $value AND ");

pub(super) const FOUND_NEWEST: &str = "
    RETURN { numbers: (SELECT VALUE number FROM found WHERE project = $project AND plugin = $value AND number < $bound ORDER BY number DESC LIMIT $limit START $start) };";
pub(super) const FOUND_OLDEST: &str = "
    RETURN { numbers: (SELECT VALUE number FROM found WHERE project = $project AND plugin = $value AND number > $bound ORDER BY number ASC LIMIT $limit START $start) };";

pub(super) const WORST_NEWEST: &str = "
    RETURN { numbers: (SELECT VALUE number FROM ended WHERE project = $project AND worst = $value AND number < $bound ORDER BY number DESC LIMIT $limit START $start) };";
pub(super) const WORST_OLDEST: &str = "
    RETURN { numbers: (SELECT VALUE number FROM ended WHERE project = $project AND worst = $value AND number > $bound ORDER BY number ASC LIMIT $limit START $start) };";

pub(super) const TAGGED_NEWEST: &str = "
    RETURN { numbers: (SELECT VALUE number FROM scan_tag WHERE project = $project AND tag = $value AND number < $bound ORDER BY number DESC LIMIT $limit START $start) };";
pub(super) const TAGGED_OLDEST: &str = "
    RETURN { numbers: (SELECT VALUE number FROM scan_tag WHERE project = $project AND tag = $value AND number > $bound ORDER BY number ASC LIMIT $limit START $start) };";

/// The scans of these tags of scans; a tag that a scan does not have has no row.
pub(super) const WITH_TAG: &str = "RETURN { numbers: (SELECT VALUE number FROM $keys) };";

/// The scans after `$rank` and `$number` in the order by a column, highest first.
///
/// Two queries, because the engine follows the index on the column and the number in each of them,
/// but would read all rows for one query with `OR`.
macro_rules! ranked {
    ($column:literal) => {
        concat!(
            "RETURN { same: (SELECT number, ",
            $column,
            " AS rank FROM ended WHERE project = $project AND ",
            $column,
            " = $rank AND number < $number ORDER BY number DESC LIMIT $limit), lower: (SELECT number, ",
            $column,
            " AS rank FROM ended WHERE project = $project AND ",
            $column,
            " < $rank ORDER BY ",
            $column,
            " DESC, number DESC LIMIT $limit) };"
        )
    };
}

pub(super) const LONGEST: &str = ranked!("took");
pub(super) const MOST_FINDINGS: &str = ranked!("findings");
pub(super) const WORST_FIRST: &str = ranked!("severity");

pub(super) const FIRST_SINCE: &str = "
    RETURN { number: (SELECT VALUE number FROM scan WHERE project = $project AND created_at >= $at ORDER BY created_at ASC LIMIT 1)[0] };";
pub(super) const LAST_BEFORE: &str = "
    RETURN { number: (SELECT VALUE number FROM scan WHERE project = $project AND created_at < $at ORDER BY created_at DESC LIMIT 1)[0] };";

/// Each condition must equal the one in the count index of its status; otherwise the index is not
/// used.
pub(super) const COUNTS: &str = "
    RETURN {
        pending:   (SELECT count() FROM scan WHERE status = 'pending' GROUP ALL)[0].count ?? 0,
        running:   (SELECT count() FROM scan WHERE status = 'running' GROUP ALL)[0].count ?? 0,
        completed: (SELECT count() FROM scan WHERE status = 'completed' GROUP ALL)[0].count ?? 0,
        failed:    (SELECT count() FROM scan WHERE status = 'failed' GROUP ALL)[0].count ?? 0,
        cancelled: (SELECT count() FROM scan WHERE status = 'cancelled' GROUP ALL)[0].count ?? 0,
    };";
