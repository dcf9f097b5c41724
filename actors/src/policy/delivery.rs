//! When the delivery of an outbox entry is tried again, and when it is given up.

use std::time::Duration;

/// How long an entry is leased: a relay that dies in the middle of a delivery delays it by this
/// time.
pub const LEASE: Duration = Duration::from_secs(30);

/// How long one consumer may take for the entries of a round, so that a consumer that does not
/// answer holds up neither the others nor the lease.
pub const DELIVERY_LIMIT: Duration = Duration::from_secs(10);

/// The waits after each failed try. After the last one the entry is given up. A consumer that is
/// down for less than 27 hours loses nothing.
const LADDER: [Duration; 10] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(4 * 3600),
    Duration::from_secs(8 * 3600),
    Duration::from_secs(12 * 3600),
];

/// What happens to an entry whose delivery failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextTry {
    /// It is delivered again after this time.
    After(Duration),
    /// It becomes a dead letter.
    Never,
}

/// Decides after the `tries`-th try failed. `is_permanent` says that no try can succeed.
#[must_use]
pub fn next_try(tries: u32, is_permanent: bool) -> NextTry {
    let waited = usize::try_from(tries).unwrap_or(usize::MAX).saturating_sub(1);
    match LADDER.get(waited) {
        Some(wait) if !is_permanent => NextTry::After(*wait),
        _ => NextTry::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_the_entry_is_given_up() {
        let waits: Vec<NextTry> = (1..=11).map(|tries| next_try(tries, false)).collect();
        assert!(matches!(waits[9], NextTry::After(_)) && waits[10] == NextTry::Never, "{waits:?}");
        assert!(LADDER.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(next_try(1, true), NextTry::Never);
        assert_eq!(next_try(u32::MAX, false), NextTry::Never);
        assert!(LADDER.iter().sum::<Duration>() > Duration::from_secs(26 * 3600));
    }
}
