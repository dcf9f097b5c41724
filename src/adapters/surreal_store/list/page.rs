//! Builds a page: collects its rows, detects whether there are more, and limits the rows without a
//! match.

use kastrel_actors::model::{Cursor, ListQuery, ScanId, ScanOrder, ScanPage, ScanRecord};
use kastrel_actors::policy::listing::cursor;

/// The maximum number of rows of a page, whatever the query requests, because a page is held in
/// memory.
const MAX_PAGE: usize = 1000;
/// How many rows without a match may be read before a page ends early.
pub(super) const MAX_SCANNED_WITHOUT_MATCH: usize = 400;

/// A page under construction. It holds one scan more than it shows, to detect whether there are
/// more.
pub(super) struct Page {
    pub(super) limit: usize,
    pub(super) skip: usize,
    order: ScanOrder,
    records: Vec<ScanRecord>,
    pub(super) scanned_without_match: usize,
    pub(super) last: Option<Cursor>,
    unreadable: Vec<ScanId>,
}

impl Page {
    pub(super) fn new(query: &ListQuery) -> Self {
        Self {
            limit: query.limit.min(MAX_PAGE),
            skip: query.offset,
            order: query.order,
            records: Vec::new(),
            scanned_without_match: 0,
            last: None,
            unreadable: Vec::new(),
        }
    }

    pub(super) fn missing(&self) -> usize {
        (self.limit + 1).saturating_sub(self.records.len())
    }

    pub(super) fn is_over(&self) -> bool {
        self.records.len() > self.limit
    }

    pub(super) fn gives_up(&self) -> bool {
        self.scanned_without_match >= MAX_SCANNED_WITHOUT_MATCH
    }

    /// Adds a row. `at` is its cursor if the record does not have one.
    pub(super) fn take(
        &mut self,
        record: Result<Box<ScanRecord>, ScanId>,
        at: Cursor,
        belongs: impl FnOnce(&ScanRecord) -> bool,
    ) {
        self.last = Some(record.as_ref().ok().and_then(|record| cursor(record, self.order)).unwrap_or(at));
        match record {
            Err(id) => {
                self.unreadable.push(id);
                self.scanned_without_match += 1;
            }
            Ok(record) if !belongs(&record) => self.scanned_without_match += 1,
            Ok(_) if self.skip > 0 => {
                self.skip -= 1;
                self.scanned_without_match += 1;
            }
            Ok(record) => self.records.push(*record),
        }
    }

    pub(super) fn finish(mut self, query: &ListQuery) -> ScanPage {
        let is_over = self.is_over();
        let is_partial = !is_over && self.gives_up();
        self.records.truncate(self.limit);
        let next = if is_over {
            self.records.last().and_then(|record| cursor(record, self.order))
        } else {
            self.last.filter(|_| is_partial)
        };
        if query.from_the_end && query.order.is_by_number() {
            self.records.reverse();
        }
        ScanPage {
            scans: self.records,
            order: self.order,
            total: None,
            total_is_floor: false,
            next,
            is_partial,
            unreadable: self.unreadable,
        }
    }
}

/// The cursor of a scan number in an order by number.
pub(super) fn cursor_at(number: i64) -> Cursor {
    Cursor { rank: String::new(), id: ScanId(u64::try_from(number).unwrap_or_default()) }
}

/// The scan number of an id.
pub(super) fn number_of(id: ScanId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_detects_more_rows_and_limits_scans_without_a_match() {
        let record = |id: u64| Box::new(kastrel_actors::testing::fixtures::record(id, jiff::Timestamp::UNIX_EPOCH));
        let query = ListQuery { limit: 2, ..ListQuery::default() };
        let mut page = Page::new(&query);
        for id in [9, 8, 7] {
            page.take(Ok(record(id)), cursor_at(0), |_| true);
        }
        let page = page.finish(&query);
        assert_eq!(
            (page.scans.len(), page.next.map(|next| next.id), page.is_partial, page.unreadable),
            (2, Some(ScanId(8)), false, vec![])
        );
        let mut page = Page::new(&query);
        for id in (0..MAX_SCANNED_WITHOUT_MATCH as u64).rev() {
            assert!(!page.gives_up());
            // A row without a match, and an unreadable row.
            let row = if id % 2 == 1 { Ok(record(id)) } else { Err(ScanId(id)) };
            page.take(row, cursor_at(i64::try_from(id).unwrap()), |_| false);
        }
        let page = page.finish(&query);
        assert_eq!((page.scans.len(), page.next.map(|next| next.id), page.is_partial), (0, Some(ScanId(0)), true));
        assert_eq!(page.unreadable.len(), MAX_SCANNED_WITHOUT_MATCH / 2);
    }
}
