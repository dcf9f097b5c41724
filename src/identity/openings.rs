//! Which openings of public links, and downloads with them, the audit log gets: the first one of
//! each link and network, and then one a minute. Everybody with a link can open it as often as they
//! like, and each entry of the audit log stays. The openings in between are counted.
//!
//! The memory is that of the process, and bounded: a restart, and more links and networks at once
//! than it holds, cause entries that were not due.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kastrel_actors::model::SecretDigest;

use super::recent::Recent;
use super::throttle::network_of;

/// The most links and networks that are kept.
const MOST_ENTRIES: usize = 10_000;
/// The time between two entries of one link and network.
const INTERVAL: Duration = Duration::from_secs(60);

/// When the openings of links were recorded last, by link and network.
#[derive(Debug)]
pub struct RecordedOpenings(Mutex<Recent<(SecretDigest, IpAddr), Instant>>);

impl Default for RecordedOpenings {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(MOST_ENTRIES)))
    }
}

impl RecordedOpenings {
    /// Returns true if an opening of a link by a client at this address is to be recorded.
    #[must_use]
    pub fn is_due(&self, link: SecretDigest, address: IpAddr, now: Instant) -> bool {
        let last = self.entries().get(&(link, network_of(address))).copied();
        last.is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL)
    }

    /// Notes that an opening was recorded.
    pub fn recorded(&self, link: SecretDigest, address: IpAddr, now: Instant) {
        *self.entries().entry(&(link, network_of(address)), || now) = now;
    }

    fn entries(&self) -> MutexGuard<'_, Recent<(SecretDigest, IpAddr), Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_is_recorded_once_a_minute_for_each_link_and_network() {
        let openings = RecordedOpenings::default();
        let (one, other) = (SecretDigest::new([1; 32]), SecretDigest::new([2; 32]));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let start = tokio::time::Instant::now().into_std();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(openings.is_due(one, address("192.0.2.1"), at(0)));
        assert!(openings.is_due(one, address("192.0.2.1"), at(0)), "it was not recorded yet");
        openings.recorded(one, address("192.0.2.1"), at(0));
        assert!(!openings.is_due(one, address("192.0.2.1"), at(59)));
        assert!(!openings.is_due(one, address("192.0.2.200"), at(59)), "the same network");
        assert!(!openings.is_due(one, address("::ffff:192.0.2.1"), at(59)), "the same address");
        assert!(
            openings.is_due(one, address("192.0.3.1"), at(59)) && openings.is_due(other, address("192.0.2.1"), at(59))
        );
        assert!(openings.is_due(one, address("192.0.2.1"), at(60)));
        openings.recorded(one, address("2001:db8::1"), at(60));
        assert!(!openings.is_due(one, address("2001:db8:0:ff::1"), at(61)));
        assert!(openings.is_due(one, address("2001:db8:0:100::1"), at(61)));
    }
}
