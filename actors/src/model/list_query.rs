//! Which scans to list, and the page that answers.

use jiff::Timestamp;

use super::{ScanId, ScanMode, ScanOrder, ScanRecord, ScanStatus, Severity};

/// Where a page begins or ends in an order other than that of the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// What the order compares, as text: a target, milliseconds or a count. Empty in an order by
    /// number.
    pub rank: String,
    /// Which scan, among those of the same rank.
    pub id: ScanId,
}

/// Which scans to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Only these states; empty means all.
    pub statuses: Vec<ScanStatus>,
    /// Only targets that contain this text (as written in lower case).
    pub target: Option<String>,
    /// Only this mode.
    pub mode: Option<ScanMode>,
    /// Only scans that were accepted then or later.
    pub created_from: Option<Timestamp>,
    /// Only scans that were accepted before then.
    pub created_until: Option<Timestamp>,
    /// Only scans in which this plugin has results: collected items or issues. Upper and lower case
    /// are the same.
    pub plugin: Option<String>,
    /// Only scans that have ended with an issue of this severity or worse.
    pub min_severity: Option<Severity>,
    /// In which order.
    pub order: ScanOrder,
    /// Keyset: only scans with an id below this one.
    pub before: Option<ScanId>,
    /// Keyset: only scans with an id above this one.
    pub after: Option<ScanId>,
    /// Keyset of the orders that are not by number: only what comes after this place.
    pub from: Option<Cursor>,
    /// Take the page from the other end of what is left: the way back. Only in an order by number;
    /// the page itself keeps its order.
    pub from_the_end: bool,
    /// Skip so many of what is left: for numbered pages.
    pub offset: usize,
    /// At most so many.
    pub limit: usize,
    /// Whether to count all matches (ignoring the keysets, `offset` and `limit`), up to a bound of
    /// the store's.
    pub count: bool,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            statuses: Vec::new(),
            target: None,
            mode: None,
            created_from: None,
            created_until: None,
            plugin: None,
            min_severity: None,
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
    /// In `order`.
    pub scans: Vec<ScanRecord>,
    /// The order that was asked for, or newest first where the store cannot give that one; then
    /// `next` is a place in it.
    pub order: ScanOrder,
    /// The matches, where the query asked to count.
    pub total: Option<u64>,
    /// Whether there are more matches than `total`: counting is bounded.
    pub total_is_floor: bool,
    /// Where the walk goes on, in the direction in which this page was taken: after this place.
    /// `None`: there is no more.
    pub next: Option<Cursor>,
    /// Whether the page is shorter than it could be: the search is bounded, and goes on at `next`.
    pub is_partial: bool,
    /// The rows that were met and cannot be read. They are left out; the log says why.
    pub unreadable: Vec<ScanId>,
}
