//! Which scans to list, and the page that answers.

use jiff::Timestamp;

use super::{ProjectFilter, ScanId, ScanMode, ScanOrder, ScanRecord, ScanStatus, Severity};

/// The start or end of a page, in an order other than by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The sort key of the order, as text: a target, milliseconds or a count. Empty in an order by
    /// number.
    pub rank: String,
    /// The scan, which orders the rows with the same sort key.
    pub id: ScanId,
}

/// Which scans to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Only scans of these projects.
    pub projects: ProjectFilter,
    /// Only these states; empty means all.
    pub statuses: Vec<ScanStatus>,
    /// Only targets that contain this text; the text is in lower case.
    pub target: Option<String>,
    /// Only this mode.
    pub mode: Option<ScanMode>,
    /// Only scans that were accepted at or after this time.
    pub created_from: Option<Timestamp>,
    /// Only scans that were accepted before this time.
    pub created_until: Option<Timestamp>,
    /// Only scans in which this plugin has results (collected items or issues). Case-insensitive.
    pub plugin: Option<String>,
    /// Only scans that have ended with an issue of this severity or worse.
    pub min_severity: Option<Severity>,
    /// Only scans with this tag.
    pub tag: Option<String>,
    /// The order.
    pub order: ScanOrder,
    /// Keyset: only scans with an id below this one.
    pub before: Option<ScanId>,
    /// Keyset: only scans with an id above this one.
    pub after: Option<ScanId>,
    /// Keyset of the orders other than by number: only rows after this cursor.
    pub from: Option<Cursor>,
    /// Takes the page from the other end of the remaining rows, to go back a page. Only in an order
    /// by number; the page itself keeps its order.
    pub from_the_end: bool,
    /// Skips this many of the remaining rows, for numbered pages.
    pub offset: usize,
    /// The maximum number of rows.
    pub limit: usize,
    /// Whether to count all matches, up to a bound of the store. The count ignores the keysets,
    /// `offset` and `limit`.
    pub count: bool,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            projects: ProjectFilter::All,
            statuses: Vec::new(),
            target: None,
            mode: None,
            created_from: None,
            created_until: None,
            plugin: None,
            min_severity: None,
            tag: None,
            order: ScanOrder::Newest,
            before: None,
            after: None,
            from: None,
            from_the_end: false,
            offset: 0,
            limit: 20,
            count: false,
        }
    }
}

/// A page of scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPage {
    /// The scans, in `order`, as [`ScanRecord::listed`] returns them: plugins without issues,
    /// messages and times.
    pub scans: Vec<ScanRecord>,
    /// The requested order, or newest first if the store cannot provide that order; `next` is then
    /// a cursor in it.
    pub order: ScanOrder,
    /// The number of matches, if the query requested a count.
    pub total: Option<u64>,
    /// True if there are more matches than `total`, because counting is bounded.
    pub total_is_floor: bool,
    /// The cursor after which the next page starts, in the direction of this page. `None` if there
    /// are no more rows.
    pub next: Option<Cursor>,
    /// True if the page may be shorter than the limit although more rows match: the search is
    /// bounded and continues at `next`.
    pub is_partial: bool,
    /// The rows that the store found but cannot read. The page leaves them out, and the log has the
    /// reason.
    pub unreadable: Vec<ScanId>,
}
