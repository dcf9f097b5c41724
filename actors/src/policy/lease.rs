//! A node's lease: when to renew it, and when it can no longer be trusted.

use std::time::Duration;

use tokio::time::Instant;

/// The numbers of a node's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasePolicy {
    /// For how long a renewal is good.
    pub ttl: Duration,
    /// How often to renew.
    pub renew_every: Duration,
    /// How long before its end the node stops trusting it, so that its processes are dead before another node may start them anew.
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
/// Counted from the sending, not from the answer: the database counted from some moment between the two, so ours ends first.
#[must_use]
pub fn trusted_until(policy: LeasePolicy, sent: Instant) -> Instant {
    sent + policy.trusted_for()
}

/// Decides at `now`, where `sent` is when the last renewal that was granted had been sent, `in_flight` says whether another is on its way, and `is_good` whether the guard's clock, which goes on
/// while the machine sleeps, trusts it as well: after a sleep the guard has killed what ran, and the lease must be asked for anew.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renews_in_time_and_kills_before_the_end() {
        let policy = LeasePolicy { ttl: Duration::from_secs(30), renew_every: Duration::from_secs(10), margin: Duration::from_secs(5) };
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
        let policy = LeasePolicy { ttl: Duration::from_secs(1), renew_every: Duration::from_secs(1), margin: Duration::from_secs(5) };
        let sent = Instant::now();
        assert_eq!(step(policy, sent, false, true, sent), LeaseStep::KillEverything);
    }
}
