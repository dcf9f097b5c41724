//! The sort orders of a list of scans.

named_enum! {
    /// The order of a list of scans.
    pub enum ScanOrder {
        /// Newest first.
        Newest = "newest",
        /// Oldest first.
        Oldest = "oldest",
        /// By target, from A to Z; within one target the newest first.
        Target = "target",
        /// Longest run time first; only scans that have run and ended.
        Longest = "longest",
        /// Most findings first; only scans that have ended.
        Findings = "findings",
        /// Worst issues first: by the worst severity, then by how many issues have it; only scans
        /// that have ended.
        Worst = "worst",
    }
}

impl ScanOrder {
    /// Returns true if the order contains only scans that have ended.
    #[must_use]
    pub const fn is_of_ended(self) -> bool {
        match self {
            Self::Longest | Self::Findings | Self::Worst => true,
            Self::Newest | Self::Oldest | Self::Target => false,
        }
    }

    /// Returns true if the order is by scan number; only such an order has pages in both
    /// directions.
    #[must_use]
    pub const fn is_by_number(self) -> bool {
        match self {
            Self::Newest | Self::Oldest => true,
            Self::Target | Self::Longest | Self::Findings | Self::Worst => false,
        }
    }
}
