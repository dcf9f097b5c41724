//! How often a node looks after the scans of the whole cluster.
//!
//! Any node can rescue any scan, so a small cluster looks with every node. In a large one that would be as many equal questions to the store as there are nodes; so each node looks more seldom,
//! and all together as often as [`ENOUGH`] nodes would.

use std::time::Duration;

/// So many nodes look around at the full rate; more share it.
pub const ENOUGH: usize = 10;

/// The wait before a node's next look at the whole cluster, when `live` nodes hold leases. `random` is in `0.0..1.0` and spreads the looks by a quarter around the mean.
#[must_use]
pub fn next_look(every: Duration, live: usize, random: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "a number of nodes is far below 2^52")]
    let share = live.max(ENOUGH) as f64 / ENOUGH as f64;
    every.mul_f64(share * (0.75 + random / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_any_size_looks_about_as_often_as_ten_nodes() {
        let every = Duration::from_secs(5);
        for (live, mean) in [(0, 5), (1, 5), (10, 5), (20, 10), (100, 50), (1_000, 500)] {
            assert_eq!(next_look(every, live, 0.5), Duration::from_secs(mean), "{live}");
        }
        assert_eq!((next_look(every, 1, 0.0), next_look(every, 1, 1.0)), (every.mul_f64(0.75), every.mul_f64(1.25)));
    }
}
