//! The order of priorities in the queue: a higher one goes first, and a lower one never starves.

use crate::model::Priority;

/// The maximum number of deliveries in a row that may pass a waiting lower priority by.
pub const MAX_PASSES: u32 = 8;

/// For each priority, how many deliveries in a row have passed it by while it waited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passes([u32; Priority::ALL.len()]);

/// Returns the priority to serve and the passes after it. `ready` holds the priorities with due
/// signals, in the order of [`Priority::ALL`]. `None` if nothing is ready.
///
/// Of the priorities that were passed by too often, the lowest goes first: serving a higher one
/// would pass it by once more, while serving the lowest passes none of them by.
#[must_use]
pub fn pick(ready: &[Priority], passes: Passes) -> Option<(Priority, Passes)> {
    let starving = ready.iter().rev().find(|priority| passes.0[place(**priority)] >= MAX_PASSES);
    let chosen = *starving.or(ready.first())?;
    let mut after = Passes::default();
    for priority in ready {
        after.0[place(*priority)] = match place(*priority).cmp(&place(chosen)) {
            std::cmp::Ordering::Less => passes.0[place(*priority)],
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Greater => passes.0[place(*priority)] + 1,
        };
    }
    Some((chosen, after))
}

/// Returns the index of a priority in [`Priority::ALL`]; 0 goes first.
#[must_use]
pub const fn place(priority: Priority) -> usize {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}

#[cfg(test)]
mod tests {
    use Priority::{High, Low, Normal};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn priority_index_follows_the_declaration_order() {
        assert_eq!(Priority::ALL.iter().map(|priority| place(*priority)).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn highest_priority_goes_first_until_a_lower_one_starves() {
        for (ready, passes, chosen, after) in [
            (&[High, Normal, Low][..], [0, 0, 0], High, [0, 1, 1]),
            (&[Normal, Low], [0, 3, 7], Normal, [0, 0, 8]),
            (&[High, Low], [0, 0, 8], Low, [0, 0, 0]),
            (&[High, Normal, Low], [0, 8, 8], Low, [0, 8, 0]),
            (&[High, Normal, Low], [0, 8, 0], Normal, [0, 0, 1]),
            (&[High], [0, 8, 8], High, [0, 0, 0]),
            (&[Low], [0, 0, 2], Low, [0, 0, 0]),
        ] {
            assert_eq!(pick(ready, Passes(passes)), Some((chosen, Passes(after))), "{ready:?} {passes:?}");
        }
        assert_eq!(pick(&[], Passes([0, 3, 8])), None);
    }

    proptest! {
        #[test]
        fn waiting_priority_is_passed_by_a_bounded_number_of_times(rounds in prop::collection::vec(prop::sample::subsequence(Priority::ALL.to_vec(), 0..=3), 0..200)) {
            let mut passes = Passes::default();
            let mut passed = [0; 3];
            for ready in rounds {
                let Some((chosen, after)) = pick(&ready, passes) else { continue };
                passes = after;
                for priority in Priority::ALL {
                    let waits_lower = ready.contains(priority) && place(*priority) > place(chosen);
                    if waits_lower {
                        passed[place(*priority)] += 1;
                    } else if *priority == chosen || !ready.contains(priority) {
                        passed[place(*priority)] = 0;
                    }
                    prop_assert!(passed[place(*priority)] <= MAX_PASSES);
                }
            }
        }
    }
}
