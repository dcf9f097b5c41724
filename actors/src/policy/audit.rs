//! How a store reads a page of the audit log: in bounded steps from the page's place, until the
//! page is full, the log ends, or too many entries did not match.

use crate::model::{AuditCursor, AuditEntry, AuditPage, AuditQuery};

/// How many entries are read at a time when they are compared with filters.
const STEP: usize = 500;

/// The reading of one page. The store reads [`want`](Self::want) entries that follow
/// [`place`](Self::place), newest first, passes them to [`take`](Self::take), and repeats this
/// until the page is done.
#[derive(Debug)]
pub struct AuditWalk<'a> {
    query: &'a AuditQuery,
    place: Option<AuditCursor>,
    skipped: usize,
    page: AuditPage,
}

/// Whether a page is done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum AuditStep {
    /// More entries have to be read.
    Continue,
    /// The page.
    Done(AuditPage),
}

impl<'a> AuditWalk<'a> {
    /// Begins the page of a query.
    #[must_use]
    pub fn new(query: &'a AuditQuery) -> Self {
        Self { query, place: query.before.clone(), skipped: 0, page: AuditPage::default() }
    }

    /// Returns the entry after which the next step begins; `None` at the beginning of the log.
    #[must_use]
    pub const fn place(&self) -> Option<&AuditCursor> {
        self.place.as_ref()
    }

    /// Returns how many entries the next step reads: one more than the page can take, so that its
    /// end is known.
    #[must_use]
    pub fn want(&self) -> usize {
        let missing = self.query.limit.saturating_sub(self.page.entries.len()).saturating_add(1);
        if self.query.is_searched() { missing.max(STEP) } else { missing }
    }

    /// Takes the entries of a step with their places. An entry that cannot be read is `None`, and
    /// is left out. Fewer entries than wanted are the end of the log.
    pub fn take(&mut self, read: impl IntoIterator<Item = (AuditCursor, Option<AuditEntry>)>) -> AuditStep {
        let want = self.want();
        let mut count = 0;
        for (place, entry) in read {
            if self.is_full() || self.gives_up() {
                return self.done(true);
            }
            count += 1;
            self.place = Some(place);
            match entry.filter(|entry| self.query.matches(entry)) {
                Some(entry) => self.page.entries.push(entry),
                None => self.skipped += 1,
            }
        }
        let is_end = count < want;
        if is_end || self.is_full() || self.gives_up() { self.done(!is_end) } else { AuditStep::Continue }
    }

    const fn is_full(&self) -> bool {
        self.page.entries.len() >= self.query.limit
    }

    const fn gives_up(&self) -> bool {
        self.skipped >= self.query.most_skipped
    }

    fn done(&mut self, has_more: bool) -> AuditStep {
        let mut page = std::mem::take(&mut self.page);
        page.is_partial = has_more && page.entries.len() < self.query.limit;
        page.next = self.place.take().filter(|_| has_more);
        AuditStep::Done(page)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{DomainEvent, Principal};

    /// A log in which every third entry is an export. The newest entry has the highest second.
    fn log(entries: usize) -> Vec<(AuditCursor, Option<AuditEntry>)> {
        let entry = |second: usize| {
            let at = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
            let event =
                if second.is_multiple_of(3) { DomainEvent::ScansExported } else { DomainEvent::FilesDownloaded };
            (
                AuditCursor { at, nonce: "n".into() },
                Some(AuditEntry { at, principal: Principal::System, scan: None, event }),
            )
        };
        (0..entries).rev().map(entry).collect()
    }

    /// Reads a page, and counts the entries that were read.
    fn page(log: &[(AuditCursor, Option<AuditEntry>)], query: &AuditQuery) -> (AuditPage, usize) {
        let (mut walk, mut read) = (AuditWalk::new(query), 0);
        loop {
            let follows = |place: &AuditCursor| walk.place().is_none_or(|last| last.is_before(place.at, &place.nonce));
            let step: Vec<_> = log.iter().filter(|(place, _)| follows(place)).take(walk.want()).cloned().collect();
            read += step.len();
            if let AuditStep::Done(page) = walk.take(step) {
                return (page, read);
            }
        }
    }

    fn seconds(page: &AuditPage) -> Vec<i64> {
        page.entries.iter().map(|entry| entry.at.as_second()).collect()
    }

    fn next(page: &AuditPage) -> Option<i64> {
        page.next.as_ref().map(|next| next.at.as_second())
    }

    #[test]
    fn page_reads_one_entry_more_than_it_shows_and_knows_its_end() {
        let log = log(5);
        for (limit, before, shown, after, read) in [
            (2, None, vec![4, 3], Some(3), 3),
            (4, None, vec![4, 3, 2, 1], Some(1), 5),
            (5, None, vec![4, 3, 2, 1, 0], None, 5),
            (9, None, vec![4, 3, 2, 1, 0], None, 5),
            (2, Some(2), vec![1, 0], None, 2),
            (2, Some(0), vec![], None, 0),
        ] {
            let before = before.map(|second: usize| log[4 - second].0.clone());
            let (page, count) = page(&log, &AuditQuery { before, ..AuditQuery::newest(limit) });
            assert_eq!((seconds(&page), next(&page), page.is_partial, count), (shown, after, false, read), "{limit}");
        }
        assert_eq!(page(&[], &AuditQuery::newest(9)).0, AuditPage::default());
    }

    #[test]
    fn search_reads_steps_and_stops_after_so_many_entries_without_a_match() {
        let log = log(2_000);
        let search = AuditQuery { action: Some("scans_exported"), ..AuditQuery::newest(3) };
        let (first, read) = page(&log, &search);
        assert_eq!(
            (seconds(&first), next(&first), first.is_partial, read),
            (vec![1998, 1995, 1992], Some(1992), false, STEP)
        );
        let none = AuditQuery { action: Some("signed_in"), most_skipped: 700, ..search.clone() };
        let (stopped, read) = page(&log, &none);
        assert_eq!((seconds(&stopped), next(&stopped), stopped.is_partial, read), (vec![], Some(1300), true, 2 * STEP));
        let (second, _) = page(&log, &AuditQuery { before: stopped.next, ..none.clone() });
        assert_eq!((next(&second), second.is_partial), (Some(600), true));
        let (last, _) = page(&log, &AuditQuery { before: second.next, ..none });
        assert_eq!(last, AuditPage::default(), "the log ends before the search gives up");
        let all = AuditQuery { limit: 10_000, ..search };
        assert_eq!(page(&log, &all).0.entries.len(), 667);
    }

    #[test]
    fn pages_continue_without_a_gap_and_unreadable_entries_are_left_out() {
        let mut log = log(50);
        log[3].1 = None;
        let mut query = AuditQuery { principal: Some(Principal::System), most_skipped: 1, ..AuditQuery::newest(7) };
        let mut all = Vec::new();
        loop {
            let (page, _) = page(&log, &query);
            all.extend(seconds(&page));
            match page.next {
                Some(next) => query.before = Some(next),
                None => break,
            }
        }
        assert_eq!(all, (0..50).rev().filter(|second| *second != 46).collect::<Vec<_>>());
    }
}
