//! The place of a scan in an order by rank: by duration, number of findings or worst severity.

use std::cmp::Reverse;

use kastrel_actors::model::Cursor;
use kastrel_actors::ports::StoreError;

use super::page::number_of;
use super::sql::{RankStep, Ranked, RankedScans};
use crate::adapters::surreal_store::row;

/// A place in an order by rank. Scans with the same rank are ordered by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) rank: i64,
    pub(super) number: i64,
}

impl Place {
    /// The place before all scans, highest first.
    pub(super) const START: Self = Self { rank: i64::MAX, number: i64::MAX };

    /// The place of a cursor.
    pub(super) fn of(cursor: &Cursor) -> Result<Self, StoreError> {
        Ok(Self { rank: cursor.rank.parse().map_err(row::corrupt)?, number: number_of(cursor.id) })
    }

    /// The arguments of the statement that reads the scans after this place.
    pub(super) fn step(self, project: &str, limit: i64) -> RankStep {
        RankStep { project: project.to_owned(), rank: self.rank, number: self.number, limit }
    }
}

impl RankedScans {
    /// The first `limit` scans of both parts.
    pub(super) fn in_order(self, limit: usize) -> Vec<Ranked> {
        self.same.into_iter().chain(self.lower).take(limit).collect()
    }
}

/// The first `limit` scans of several projects, each of them in order.
pub(super) fn merged(projects: Vec<Vec<Ranked>>, limit: usize) -> Vec<Ranked> {
    let mut all: Vec<Ranked> = projects.into_iter().flatten().collect();
    all.sort_unstable_by_key(|one| Reverse((one.rank, one.number)));
    all.truncate(limit);
    all
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ScanId;
    use proptest::prelude::*;

    use super::*;

    /// What the statement returns for these places. With `is_rising` it reads the order from its
    /// other end.
    fn statement(all: &[Place], step: &RankStep, is_rising: bool) -> RankedScans {
        let ordered = |is_in_part: &dyn Fn(&Place) -> bool| -> Vec<Ranked> {
            let mut part: Vec<Place> = all.iter().copied().filter(|place| is_in_part(place)).collect();
            part.sort_by_key(|place| (place.rank, place.number));
            if !is_rising {
                part.reverse();
            }
            let limit = usize::try_from(step.limit).unwrap();
            part.into_iter().take(limit).map(|Place { rank, number }| Ranked { number, rank: Some(rank) }).collect()
        };
        let is_after = |one: i64, bound: i64| if is_rising { one > bound } else { one < bound };
        RankedScans {
            same: ordered(&|place: &Place| place.rank == step.rank && is_after(place.number, step.number)),
            lower: ordered(&|place: &Place| is_after(place.rank, step.rank)),
        }
    }

    /// All pages of `limit` scans, where each page begins at the cursor of the last scan.
    fn pages(all: &[Place], limit: usize, is_rising: bool) -> Vec<Place> {
        let mut place = if is_rising { Place { rank: -1, number: -1 } } else { Place::START };
        let mut seen = Vec::new();
        while seen.len() <= all.len() {
            let page = statement(all, &place.step("default", row::at_most(limit)), is_rising).in_order(limit);
            let Some(last) = page.last() else { break };
            let id = ScanId(last.number.unsigned_abs());
            place = Place::of(&Cursor { rank: last.rank.unwrap().to_string(), id }).unwrap();
            seen.extend(page.iter().map(|one| Place { rank: one.rank.unwrap(), number: one.number }));
        }
        seen
    }

    #[test]
    fn projects_are_merged_by_rank_and_a_scan_without_a_rank_comes_last() {
        let one = |rank, number| Ranked { number, rank };
        let projects =
            vec![vec![one(Some(9), 1), one(Some(2), 8), one(None, 7)], vec![one(Some(9), 4), one(Some(3), 5)]];
        let numbers: Vec<i64> = merged(projects.clone(), 9).iter().map(|one| one.number).collect();
        assert_eq!(numbers, [4, 1, 5, 8, 7]);
        assert_eq!(merged(projects, 2).len(), 2);
    }

    fn rank() -> impl Strategy<Value = i64> {
        prop_oneof![0..4_i64, Just(1_i64 << 20), Just((1_i64 << 43) - 1), Just(1_i64 << 43), (i64::MAX - 2)..=i64::MAX]
    }

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            1..40_i64,
            ((1_i64 << 20) - 20)..((1_i64 << 20) + 20),
            ((1_i64 << 32) - 20)..((1_i64 << 32) + 20),
            (i64::MAX - 20)..i64::MAX,
        ]
    }

    proptest! {
        #[test]
        fn pages_contain_each_scan_once_and_in_order(
            ranks in proptest::collection::btree_map(number(), rank(), 0..80),
            limit in 1..12_usize,
        ) {
            let mut all: Vec<Place> = ranks.into_iter().map(|(number, rank)| Place { rank, number }).collect();
            let rising = pages(&all, limit, true);
            let falling = pages(&all, limit, false);
            all.sort_unstable();
            prop_assert_eq!(rising, all.clone());
            all.sort_unstable_by_key(|place| Reverse(*place));
            prop_assert_eq!(falling, all);
        }
    }
}
