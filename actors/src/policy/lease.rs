//! The rules for a node's lease: when to renew it, and when it is no longer valid.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The durations of a node's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasePolicy {
    /// How long a granted renewal is valid.
    pub ttl: Duration,
    /// The renewal interval.
    pub renew_every: Duration,
    /// How long before the lease's end the node stops relying on it, so that its processes are dead
    /// before another node may start the scans again.
    pub margin: Duration,
}

impl Default for LeasePolicy {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(30), renew_every: Duration::from_secs(10), margin: Duration::from_secs(8) }
    }
}

impl LeasePolicy {
    /// Returns how long the node may rely on a renewal, counted from when the request was sent.
    #[must_use]
    pub const fn trusted_for(self) -> Duration {
        self.ttl.saturating_sub(self.margin)
    }
}

/// The state of the node's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// The node has no lease.
    None,
    /// The node has a lease.
    Trusted {
        /// When the request of the renewal that granted it was sent.
        sent: Instant,
        /// The time until which the node may rely on the lease.
        until: Instant,
        /// The same time, by the clock of the lease guard.
        guard_until: Duration,
    },
}

impl LeaseState {
    /// Returns true if the lease is valid at `now`, which is `guard_now` by the guard's clock.
    ///
    /// The lease must be valid by both clocks. This program's clock stands still while the machine
    /// sleeps; the clocks of the guard and the database do not. After a sleep the guard kills scans
    /// that this program still considers valid, and such a kill must not count as a failure of the
    /// scan.
    #[must_use]
    pub fn is_good(self, now: Instant, guard_now: Duration) -> bool {
        matches!(self, Self::Trusted { until, guard_until, .. } if now < until && guard_now < guard_until)
    }
}

/// The next step of the lease holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum LeaseStep {
    /// The lease is valid; check again at this time.
    WaitUntil(Instant),
    /// Renew the lease; check again at this time, whatever the result.
    Renew(Instant),
    /// Another node may soon get the scans: kill every scan.
    KillEverything,
}

/// Returns until when the node may rely on a renewal whose request was sent at `sent`.
///
/// The time counts from the request, not from the response. The database counts from some time
/// between the two, so the lease ends here first.
#[must_use]
pub fn trusted_until(policy: LeasePolicy, sent: Instant) -> Instant {
    sent + policy.trusted_for()
}

/// Decides the step at `now`. `sent` is when the request of the last granted renewal was sent.
/// `in_flight` is true while another request is pending. `is_good` is true while the lease is also
/// valid by the guard's clock, which keeps running while the machine sleeps: after a sleep the
/// guard has killed the scans, and the node must request a new lease.
pub fn step(policy: LeasePolicy, sent: Instant, in_flight: bool, is_good: bool, now: Instant) -> LeaseStep {
    let end = trusted_until(policy, sent);
    if now >= end || !is_good {
        return LeaseStep::KillEverything;
    }
    let renew_at = sent + policy.renew_every;
    if in_flight {
        LeaseStep::WaitUntil(end)
    } else if now >= renew_at {
        LeaseStep::Renew(end)
    } else {
        LeaseStep::WaitUntil(renew_at.min(end))
    }
}

/// A pause between two checks of the leases that is longer than any pause between the checks of
/// living nodes. Either no node checked them, because the database was unavailable or all nodes
/// were dead, or the clock has jumped.
pub const SILENCE: Duration = Duration::from_secs(20);

/// How long a lease that expired in such a pause remains valid: longer than a living node's
/// interval between two renewals, and longer than a reconnect to a database that was unavailable
/// takes.
pub const SPARED: Duration = Duration::from_secs(15);

/// The result of checking a node's lease. Every store must apply it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fate {
    /// The lease is valid.
    Good,
    /// The lease is valid, but only until this time.
    Until(Timestamp),
    /// The lease is over.
    Over,
}

/// Decides at `now` about a lease that ends at `expires_at` and was granted for `ttl`, if that is
/// known. The leases were last checked at `last`. All times are the store's.
///
/// - The clock was set back: no lease is valid for longer than it was granted for. A living node
///   renews in that time; a dead node must not hold its scans for hours.
/// - The clock was set forward, or the leases were not checked for a long time: a lease that was
///   valid at the last check is not known to be over. Its node gets some seconds to renew.
pub fn fate(now: Timestamp, last: Option<Timestamp>, expires_at: Timestamp, ttl: Option<Duration>) -> Fate {
    let after = |wait: Duration| {
        now.saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
    };
    if expires_at > now {
        return match ttl.map(after) {
            Some(longest) if longest < expires_at => Fate::Until(longest),
            _ => Fate::Good,
        };
    }
    match last {
        Some(last)
            if expires_at > last
                && Duration::try_from(now.duration_since(last)).is_ok_and(|silence| silence > SILENCE) =>
        {
            Fate::Until(after(SPARED))
        }
        _ => Fate::Over,
    }
}

/// Returns true if the turn to reconcile the cluster, which was granted for `every` and ends at
/// `until`, is over at `now`. A turn that ends later than `every` from now is over too: the clock
/// was set back.
#[must_use]
pub fn is_over(now: Timestamp, until: Timestamp, every: Duration) -> bool {
    until <= now || Duration::try_from(until.duration_since(now)).is_ok_and(|left| left > every)
}

/// Returns how much of a drain time of `within` is left, if its end is `left` away. If `left` is
/// longer than `within`, the clock was set back and nothing is left.
#[must_use]
pub fn left_to_drain(left: Duration, within: Option<Duration>) -> Duration {
    if within.is_some_and(|within| left > within) { Duration::ZERO } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_is_valid_only_while_both_clocks_agree() {
        let sent = Instant::now();
        let (until, guard_until) = (sent + Duration::from_secs(22), Duration::from_secs(122));
        let lease = LeaseState::Trusted { sent, until, guard_until };
        for (now, guard_now, good) in
            [(0, 100, true), (21, 121, true), (22, 122, false), (22, 121, false), (5, 122, false), (5, 9_999, false)]
        {
            assert_eq!(
                lease.is_good(sent + Duration::from_secs(now), Duration::from_secs(guard_now)),
                good,
                "{now} {guard_now}"
            );
            assert!(!LeaseState::None.is_good(sent + Duration::from_secs(now), Duration::from_secs(guard_now)));
        }
    }

    #[test]
    fn lease_outlives_neither_its_ttl_nor_a_clock_jump() {
        let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
        let ttl = Some(Duration::from_secs(30));
        for (now, last, expires_at, ttl, expected) in [
            (0, Some(-5), 30, ttl, Fate::Good),
            (29, Some(24), 30, ttl, Fate::Good),
            (30, Some(25), 30, ttl, Fate::Over),
            (30, None, 30, ttl, Fate::Over),
            // The clock was set back by hours.
            (-9_000, Some(0), 30, ttl, Fate::Until(at(-8_970))),
            (-1, Some(0), 30, ttl, Fate::Until(at(29))),
            (-9_000, Some(0), 30, None, Fate::Good),
            // The clock was set forward by hours, or there was a silence: the lease was valid at
            // the last check.
            (9_000, Some(0), 30, ttl, Fate::Until(at(9_015))),
            (31, Some(0), 30, ttl, Fate::Until(at(46))),
            (20, Some(0), 19, ttl, Fate::Over),
            // The lease was over at the last check already, or there was no check.
            (9_000, Some(30), 30, ttl, Fate::Over),
            (9_000, None, 30, ttl, Fate::Over),
        ] {
            assert_eq!(fate(at(now), last.map(at), at(expires_at), ttl), expected, "{now} {last:?} {expires_at}");
        }
    }

    #[test]
    fn turns_and_drains_end_when_the_clock_is_set_back() {
        let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
        let ten = Duration::from_secs(10);
        for (now, over, left) in
            [(0, false, 10), (9, false, 1), (10, true, 0), (99, true, 0), (-1, true, 0), (-9_000, true, 0)]
        {
            let away = Duration::from_secs(u64::try_from(10 - now).unwrap_or_default());
            assert_eq!(
                (is_over(at(now), at(10), ten), left_to_drain(away, Some(ten)).as_secs()),
                (over, left),
                "{now}"
            );
        }
        assert_eq!(
            left_to_drain(Duration::from_secs(9_010), None),
            Duration::from_secs(9_010),
            "as an older program wrote it"
        );
    }

    #[test]
    fn lease_is_renewed_in_time_and_scans_are_killed_before_its_end() {
        let policy = LeasePolicy {
            ttl: Duration::from_secs(30),
            renew_every: Duration::from_secs(10),
            margin: Duration::from_secs(5),
        };
        let sent = Instant::now();
        let at = |seconds| sent + Duration::from_secs(seconds);
        for (in_flight, is_good, now, expected) in [
            (false, true, 0, LeaseStep::WaitUntil(at(10))),
            (false, true, 10, LeaseStep::Renew(at(25))),
            (true, true, 10, LeaseStep::WaitUntil(at(25))),
            (false, true, 24, LeaseStep::Renew(at(25))),
            (true, true, 24, LeaseStep::WaitUntil(at(25))),
            (false, true, 25, LeaseStep::KillEverything),
            (true, true, 25, LeaseStep::KillEverything),
            (true, true, 99, LeaseStep::KillEverything),
            // The machine has slept.
            (false, false, 3, LeaseStep::KillEverything),
            (true, false, 10, LeaseStep::KillEverything),
        ] {
            assert_eq!(step(policy, sent, in_flight, is_good, at(now)), expected, "{in_flight} {is_good} {now}");
        }
    }

    #[test]
    fn lease_with_a_margin_beyond_its_ttl_is_never_trusted() {
        let policy = LeasePolicy {
            ttl: Duration::from_secs(1),
            renew_every: Duration::from_secs(1),
            margin: Duration::from_secs(5),
        };
        let sent = Instant::now();
        assert_eq!(step(policy, sent, false, true, sent), LeaseStep::KillEverything);
    }
}
