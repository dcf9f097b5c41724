//! The limit of requests that anybody may send and that cause mails: so many in a time, for each
//! network or each account. A request above it must wait.
//!
//! The counts are in memory and bounded; a restart forgets them. They protect the server and its
//! reputation as a sender. The number of valid links of an account has a limit of its own, in the
//! store (`policy::mailed_links`).

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::recent::Recent;
use super::throttle::RetryAfter;

/// The most keys that are counted.
const MOST_KEYS: usize = 10_000;

/// Counts requests by a key, such as a network.
#[derive(Debug)]
pub struct RequestLimit<K> {
    most: usize,
    window: Duration,
    /// The times of the accepted requests of each key, the oldest first.
    taken: Mutex<Recent<K, VecDeque<Instant>>>,
}

impl<K: Clone + Eq + Hash> RequestLimit<K> {
    /// Allows `most` requests within `window` for each key.
    #[must_use]
    pub fn new(most: usize, window: Duration) -> Self {
        Self { most, window, taken: Mutex::new(Recent::new(MOST_KEYS)) }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// The limit is reached. The request is not counted, so waiting always ends.
    pub fn take(&self, key: &K, now: Instant) -> Result<(), RetryAfter> {
        let mut table = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let times = table.entry(key, VecDeque::new);
        times.retain(|at| now.saturating_duration_since(*at) < self.window);
        if let Some(oldest) = times.front().filter(|_| times.len() >= self.most) {
            return Err(RetryAfter::new(self.window.saturating_sub(now.saturating_duration_since(*oldest))));
        }
        times.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::throttle::network_of;
    use super::*;

    #[test]
    fn requests_above_the_limit_wait_until_the_oldest_is_over() {
        let start = tokio::time::Instant::now().into_std();
        let at = |second: u64| start + Duration::from_secs(second);
        let limit = RequestLimit::new(3, Duration::from_secs(100));
        for (key, second, wait) in [
            ("a", 0, None),
            ("a", 10, None),
            ("a", 20, None),
            ("a", 21, Some(79)),
            ("b", 21, None),
            ("a", 99, Some(1)),
            ("a", 100, None),
            ("a", 100, Some(10)),
            ("a", 110, None),
            ("a", 500, None),
        ] {
            let refused = limit.take(&key, at(second)).err().map(|refused| refused.wait().as_secs());
            assert_eq!(refused, wait, "{key} at {second}");
        }
    }

    #[test]
    fn network_is_that_of_one_owner() {
        let of = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("192.0.2.254"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.9"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:1::1"));
    }
}
