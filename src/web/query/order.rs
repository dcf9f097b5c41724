//! The orders in which the scans of a query can be listed.

use kastrel_actors::model::ScanOrder;

use super::list::ScanListQuery;

impl ScanListQuery {
    /// Returns whether the order lists only scans that have ended.
    pub(crate) const fn is_of_ended(&self) -> bool {
        self.order.is_of_ended()
    }

    /// Returns whether the filter admits scans that have ended.
    pub(crate) fn admits_ended(&self) -> bool {
        self.statuses.is_empty() || self.statuses.iter().any(|status| status.is_terminal())
    }

    /// Returns the query in an order that can list its scans: newest first, if the order lists only
    /// ended scans and the filter admits none of them.
    pub(crate) fn in_fitting_order(self) -> Self {
        if self.is_of_ended() && !self.admits_ended() { self.newest_first() } else { self }
    }

    /// Returns the query in an order that lists every scan.
    pub(crate) fn in_complete_order(self) -> Self {
        if self.is_of_ended() { self.newest_first() } else { self }
    }

    /// Returns the same filters, newest first. A cursor of another order is invalid in this one.
    pub(crate) fn newest_first(self) -> Self {
        Self { order: ScanOrder::Newest, at: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_ended_scans_is_dropped_if_the_filter_admits_none() {
        for (query, fitting, complete) in [
            ("status=running&sort=longest&at=9~4", "/?status=running", "/?status=running"),
            (
                "status=pending,running&sort=findings",
                "/?status=pending&status=running",
                "/?status=pending&status=running",
            ),
            (
                "status=running,failed&sort=longest",
                "/?status=running&status=failed&sort=longest",
                "/?status=running&status=failed",
            ),
            ("sort=findings", "/?sort=findings", "/"),
            ("status=running&sort=target", "/?status=running&sort=target", "/?status=running&sort=target"),
        ] {
            let (list, _) = ScanListQuery::parse(Some(query));
            assert_eq!(
                (list.clone().in_fitting_order().link("/"), list.in_complete_order().link("/")),
                (fitting.to_owned(), complete.to_owned())
            );
        }
    }
}
