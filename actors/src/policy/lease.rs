//! A node's lease: when to renew it, and when it can no longer be trusted.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The numbers of a node's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasePolicy {
    /// For how long a renewal is good.
    pub ttl: Duration,
    /// How often to renew.
    pub renew_every: Duration,
    /// How long before its end the node stops trusting it, so that its processes are dead before
    /// another node may start them anew.
    pub margin: Duration,
}

impl Default for LeasePolicy {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(30), renew_every: Duration::from_secs(10), margin: Duration::from_secs(8) }
    }
}

impl LeasePolicy {
    /// For how long a renewal can be trusted, counted from its sending.
    #[must_use]
    pub const fn trusted_for(self) -> Duration {
        self.ttl.saturating_sub(self.margin)
    }
}

/// What the lease's holder does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum LeaseStep {
    /// All is well; look again at this moment.
    WaitUntil(Instant),
    /// Renew; whatever happens, look again at this moment.
    Renew(Instant),
    /// The lease may be granted anew soon: kill every scan.
    KillEverything,
}

/// Until when a renewal that was *sent* at `sent` can be trusted.
///
/// Counted from the sending, not from the answer: the database counted from some moment between the
/// two, so ours ends first.
#[must_use]
pub fn trusted_until(policy: LeasePolicy, sent: Instant) -> Instant {
    sent + policy.trusted_for()
}

/// Decides at `now`, where `sent` is when the last renewal that was granted had been sent,
/// `in_flight` says whether another is on its way, and `is_good` whether the guard's clock, which
/// goes on while the machine sleeps, trusts it as well: after a sleep the guard has killed what
/// ran, and the lease must be asked for anew.
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

/// A pause between two looks at the leases that is longer than any pause between the looks of
/// living nodes. Either nobody looked, because the database was away or no node lived, or the clock
/// has leapt.
pub const SILENCE: Duration = Duration::from_secs(20);

/// For how long a lease that has ended in such a silence is spared: longer than a living node's
/// pause between two renewals, or than it takes to come back to a database that was away.
pub const SPARED: Duration = Duration::from_secs(15);

/// What becomes of a node's lease when the leases are looked at. A store keeps to this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fate {
    /// It is good.
    Good,
    /// It is good, but not for longer than until this moment.
    Until(Timestamp),
    /// It is over.
    Over,
}

/// Decides at `now` about a lease that ends at `expires_at` and was granted for `ttl`, where that
/// is known; the leases were last looked at at `last`. All moments are the store's.
///
/// - Its clock was set back: no lease is good for longer than it was granted for. A living node
///   renews in that time; a dead one must not hold its scans for hours.
/// - Its clock was set forward, or nobody looked for long: a lease that was good at the last look
///   is not known to be over. Its node has some seconds to renew.
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

/// Whether the turn to look after the cluster, which was given for `every`, is over at `now`, where
/// it ends at `until`. One that is further away than it was given for is: the clock was set back.
#[must_use]
pub fn is_over(now: Timestamp, until: Timestamp, every: Duration) -> bool {
    until <= now || Duration::try_from(until.duration_since(now)).is_ok_and(|left| left > every)
}

/// How much of a time to drain of `within` is left, where its end is `left` away. Of one whose end
/// is further away than it was long, nothing: the clock was set back.
#[must_use]
pub fn left_to_drain(left: Duration, within: Option<Duration>) -> Duration {
    if within.is_some_and(|within| left > within) { Duration::ZERO } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_outlives_neither_its_time_nor_a_leap_of_the_clock() {
        let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
        let ttl = Some(Duration::from_secs(30));
        for (now, last, expires_at, ttl, expected) in [
            (0, Some(-5), 30, ttl, Fate::Good),
            (29, Some(24), 30, ttl, Fate::Good),
            (30, Some(25), 30, ttl, Fate::Over),
            (30, None, 30, ttl, Fate::Over),
            // Set back by hours.
            (-9_000, Some(0), 30, ttl, Fate::Until(at(-8_970))),
            (-1, Some(0), 30, ttl, Fate::Until(at(29))),
            (-9_000, Some(0), 30, None, Fate::Good),
            // Set forward by hours, or silence: it was good at the last look.
            (9_000, Some(0), 30, ttl, Fate::Until(at(9_015))),
            (31, Some(0), 30, ttl, Fate::Until(at(46))),
            (20, Some(0), 19, ttl, Fate::Over),
            // It was over at the last look already, or there never was one.
            (9_000, Some(30), 30, ttl, Fate::Over),
            (9_000, None, 30, ttl, Fate::Over),
        ] {
            assert_eq!(fate(at(now), last.map(at), at(expires_at), ttl), expected, "{now} {last:?} {expires_at}");
        }
    }

    #[test]
    fn turns_and_drains_end_when_they_are_further_away_than_they_are_long() {
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
    fn renews_in_time_and_kills_before_the_end() {
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
    fn a_margin_beyond_the_lease_trusts_nothing() {
        let policy = LeasePolicy {
            ttl: Duration::from_secs(1),
            renew_every: Duration::from_secs(1),
            margin: Duration::from_secs(5),
        };
        let sent = Instant::now();
        assert_eq!(step(policy, sent, false, true, sent), LeaseStep::KillEverything);
    }
}
