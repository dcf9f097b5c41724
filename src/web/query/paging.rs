//! The pages beside a page of a scan list.

use kastrel_actors::model::{Cursor, ScanId, ScanOrder};

use super::list::ScanListQuery;

impl ScanListQuery {
    /// Returns the first page of the same filters and order.
    pub(crate) fn without_place(&self) -> Self {
        Self { page: 1, before: None, after: None, back: false, at: None, ..self.clone() }
    }

    /// Returns the page after a cursor.
    pub(crate) fn next_page(&self, place: &Cursor) -> Self {
        let start = self.without_place();
        match self.order {
            ScanOrder::Newest => Self { before: Some(place.id), ..start },
            ScanOrder::Oldest => Self { after: Some(place.id), ..start },
            ScanOrder::Target | ScanOrder::Longest | ScanOrder::Findings | ScanOrder::Worst => {
                Self { at: Some(place.clone()), ..start }
            }
        }
    }

    /// Returns the page before a scan; `None` in orders that are not by number, which have no
    /// previous page.
    pub(crate) fn backward(&self, first: ScanId) -> Option<Self> {
        let start = Self { back: true, ..self.without_place() };
        match self.order {
            ScanOrder::Newest => Some(Self { after: Some(first), ..start }),
            ScanOrder::Oldest => Some(Self { before: Some(first), ..start }),
            ScanOrder::Target | ScanOrder::Longest | ScanOrder::Findings | ScanOrder::Worst => None,
        }
    }

    /// Returns the page on the other side of the begin of this page; `None` at the beginning of the
    /// list, and in orders that are not by number.
    pub(crate) fn reversed(&self) -> Option<Self> {
        let reversed = Self { back: !self.back, ..self.without_place() };
        // `before` and `after` exclude the given scan: shift the number by one, so that the other
        // page includes it.
        match ((self.order == ScanOrder::Newest) != self.back, self.before, self.after) {
            _ if !self.order.is_by_number() => None,
            (true, Some(before), _) => Some(Self { after: Some(ScanId(before.0.saturating_sub(1))), ..reversed }),
            (false, _, Some(after)) => Some(Self { before: Some(ScanId(after.0.saturating_add(1))), ..reversed }),
            (true, None, _) | (false, _, None) => None,
        }
    }

    /// Returns how many pages `total` scans fill; at least one.
    pub(crate) fn pages(&self, total: u64) -> u64 {
        total.div_ceil(self.per_page as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_begins_where_this_one_ends_in_any_order() {
        let place = Cursor { rank: "9".into(), id: ScanId(4) };
        let list = |order| ScanListQuery { order, page: 3, ..ScanListQuery::default() };
        for (order, next_page, backward) in [
            (ScanOrder::Newest, "/?before=4", Some("/?after=4&back=1")),
            (ScanOrder::Oldest, "/?sort=oldest&after=4", Some("/?sort=oldest&before=4&back=1")),
            (ScanOrder::Longest, "/?sort=longest&at=9%7E4", None),
        ] {
            assert_eq!(list(order).next_page(&place).link("/"), next_page);
            assert_eq!(list(order).backward(ScanId(4)).map(|list| list.link("/")).as_deref(), backward);
        }
    }

    #[test]
    fn reversed_page_ends_where_the_page_begins() {
        for (query, reversed) in [
            ("before=4", Some("/?after=3&back=1")),
            ("after=4&back=1", Some("/?before=5")),
            ("sort=oldest&after=4", Some("/?sort=oldest&before=5&back=1")),
            ("sort=oldest&before=4&back=1&target=a", Some("/?target=a&sort=oldest&after=3")),
            ("target=a", None),
            ("back=1", None),
            ("sort=target&at=a~4", None),
        ] {
            let (list, errors) = ScanListQuery::parse(Some(query));
            assert_eq!(errors, []);
            assert_eq!(list.reversed().map(|list| list.link("/")).as_deref(), reversed, "{query}");
        }
    }

    #[test]
    fn pages_are_counted_from_one() {
        let list = ScanListQuery::default();
        for (total, pages) in [(0, 1), (1, 1), (20, 1), (21, 2), (100_000, 5_000)] {
            assert_eq!(list.pages(total), pages);
        }
    }
}
