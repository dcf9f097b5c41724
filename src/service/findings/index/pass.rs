//! One pass over all rows.

use super::counts::Counts;
use super::matcher::{Matcher, RowMatch, TargetMatch};
use super::row::Row;
use super::table::{Table, Target};

/// A finding that matches.
pub(super) struct Found<'t, 'm> {
    /// The position of the target in the table.
    pub(super) slot: usize,
    pub(super) target: &'t Target,
    pub(super) row: &'t Row,
    pub(super) of_target: &'m TargetMatch<'m>,
    pub(super) of_row: RowMatch,
}

impl Table {
    /// Visits each finding that matches, target by target, and counts the facets.
    pub(super) fn pass<'t>(
        &'t self,
        matcher: &Matcher<'_>,
        mut counts: Option<&mut Counts<'t>>,
        mut visit: impl FnMut(&Found<'t, '_>),
    ) {
        for (slot, at) in self.slots.iter().enumerate() {
            let Some(target) = &at.target else { continue };
            let Some(of_target) = matcher.target(target) else { continue };
            if of_target.failed != 0 && counts.is_none() {
                continue;
            }
            let mut matches = 0;
            for row in &at.rows {
                let Some(of_row) = matcher.row(&of_target, row) else { continue };
                matches += usize::from(of_row.failed == 0);
                if of_target.failed != 0 {
                    continue;
                }
                if let Some(counts) = counts.as_deref_mut() {
                    counts.add_row(row, &of_row);
                }
                if of_row.failed == 0 {
                    visit(&Found { slot, target, row, of_target: &of_target, of_row });
                }
            }
            if let Some(counts) = counts.as_deref_mut() {
                counts.add_target(target, of_target.failed, matches);
            }
        }
    }
}
