//! Decides whether a node may start scans now, from everything that can forbid it: the lease, the
//! operators' directives, the node's faults and its failures.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::directives::NodeDirectives;
use super::infrastructure::Wellness;
use super::lease::LeaseState;
use crate::model::{FaultKind, HeldBack, NodeFault, NodeHold, TargetHold};

/// The maximum number of held-back targets in a node's registration.
const MOST_TARGETS: usize = 50;

/// Whether a node may start scans. If several conditions forbid it, the first one of this order
/// counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Starts {
    /// The process is stopping. This is final.
    Stopping,
    /// The node drains.
    Draining,
    /// The queue is paused.
    Paused,
    /// The node holds no valid lease.
    NoLease,
    /// The node has a fault, or was not checked yet.
    Unwell,
    /// Too many attempts of several targets have failed.
    HeldBack {
        /// The end of the hold.
        until: Instant,
    },
    /// Scans may start.
    Allowed,
}

/// Everything that decides whether a node may start scans.
#[derive(Debug, Clone)]
pub struct StartConditions {
    /// The node's lease.
    pub lease: LeaseState,
    /// The operators' directives, as the last renewal returned them.
    pub directives: NodeDirectives,
    /// The node's health.
    pub health: Wellness,
    /// The failed attempts, and the holds that they cause.
    pub breaker: Breaker,
}

impl StartConditions {
    /// Returns the conditions of a node that has just started, without a lease and not checked.
    #[must_use]
    pub fn new(breaker: Breaker) -> Self {
        Self { lease: LeaseState::None, directives: NodeDirectives::default(), health: Wellness::default(), breaker }
    }

    /// Decides at `now`, which is `guard_now` by the clock of the lease guard.
    pub fn starts(&self, now: Instant, guard_now: Duration) -> Starts {
        let NodeDirectives { drain, paused, stopping } = self.directives;
        if stopping {
            Starts::Stopping
        } else if drain.is_some() {
            Starts::Draining
        } else if paused {
            Starts::Paused
        } else if !self.lease.is_good(now, guard_now) {
            Starts::NoLease
        } else if !self.health.is_well() {
            Starts::Unwell
        } else if let Some((_, until)) = self.breaker.node_held(now) {
            Starts::HeldBack { until }
        } else {
            Starts::Allowed
        }
    }

    /// Returns what the node does not start at `now`, which is `clock` by the wall clock.
    #[must_use]
    pub fn hold(&self, now: Instant, clock: Timestamp) -> NodeHold {
        let moment = |at: Instant| match at.checked_duration_since(now) {
            Some(ahead) => clock.checked_add(ahead).unwrap_or(clock),
            None => clock.checked_sub(now.duration_since(at)).unwrap_or(clock),
        };
        let held = |since: Instant, until: Instant, faults: Vec<NodeFault>| HeldBack {
            since: moment(since),
            until: moment(until),
            faults,
        };
        let failing = |text: String| {
            NodeFault::new(
                FaultKind::Failures,
                text,
                "see the failed attempts for the cause; scans start again automatically",
            )
        };
        let missing = self.health.missing().map(|(faults, since, until)| held(since, until, faults.to_vec()));
        let storm = || {
            self.breaker.node_held(now).map(|(since, until)| {
                held(since, until, vec![failing("too many attempts of several targets failed".into())])
            })
        };
        let targets = self.breaker.targets_held(now).take(MOST_TARGETS).map(|(target, since, until)| TargetHold {
            target: target.to_owned(),
            held: held(since, until, vec![failing(format!("too many attempts of {target} failed"))]),
        });
        NodeHold { node: missing.or_else(storm), targets: targets.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::breaker::BreakerPolicy;
    use crate::policy::restart::Intensity;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        let intensity = |max| Intensity { max, within: 60 * SECOND };
        Breaker::new(BreakerPolicy {
            target: intensity(1),
            node: intensity(2),
            pause: 15 * SECOND,
            longest: 40 * SECOND,
        })
    }

    fn ready(now: Instant) -> StartConditions {
        let lease = LeaseState::Trusted { sent: now, until: now + 20 * SECOND, guard_until: 20 * SECOND };
        let mut health = Wellness::default();
        health.found(Vec::new(), now, now);
        StartConditions { lease, health, ..StartConditions::new(breaker()) }
    }

    fn fault() -> NodeFault {
        NodeFault::new(FaultKind::ResultsFolder, "gone", "mount it")
    }

    #[test]
    fn scans_start_only_if_nothing_forbids_it() {
        let now = Instant::now();
        type Change = fn(&mut StartConditions, Instant);
        // In this order each condition counts before the next ones, so they are added backwards.
        let changes: [(Change, Starts); 6] = [
            (
                |conditions, now| {
                    for target in ["a", "b", "c"] {
                        let _ = conditions.breaker.failed(target, now);
                    }
                },
                Starts::HeldBack { until: now + 15 * SECOND },
            ),
            (|conditions, now| conditions.health.found(vec![fault()], now, now), Starts::Unwell),
            (|conditions, _| conditions.lease = LeaseState::None, Starts::NoLease),
            (|conditions, _| conditions.directives.paused = true, Starts::Paused),
            (|conditions, now| conditions.directives.drain = Some(now + SECOND), Starts::Draining),
            (|conditions, _| conditions.directives.stopping = true, Starts::Stopping),
        ];
        let mut all = ready(now);
        assert_eq!(all.starts(now, Duration::ZERO), Starts::Allowed);
        for (change, expected) in changes {
            let mut alone = ready(now);
            change(&mut alone, now);
            assert_eq!(alone.starts(now, Duration::ZERO), expected, "alone");
            change(&mut all, now);
            assert_eq!(all.starts(now, Duration::ZERO), expected, "with all later ones");
        }
    }

    #[test]
    fn lease_and_hold_end_by_themselves() {
        let now = Instant::now();
        let mut conditions = ready(now);
        assert_eq!(conditions.starts(now + 20 * SECOND, Duration::ZERO), Starts::NoLease);
        assert_eq!(conditions.starts(now, 20 * SECOND), Starts::NoLease, "by the clock of the guard alone");
        for target in ["a", "b", "c"] {
            let _ = conditions.breaker.failed(target, now);
        }
        assert_eq!(conditions.starts(now + 15 * SECOND, Duration::ZERO), Starts::Allowed);
        assert_eq!(StartConditions::new(breaker()).starts(now, Duration::ZERO), Starts::NoLease);
    }

    #[test]
    fn node_publishes_its_fault_before_its_failures_and_each_held_target() {
        let now = Instant::now();
        let clock = Timestamp::from_second(1_000_000).unwrap();
        let mut conditions = ready(now);
        assert_eq!(conditions.hold(now, clock), NodeHold::default());
        let _ = (conditions.breaker.failed("a", now), conditions.breaker.failed("a", now));
        for target in ["b", "c", "d"] {
            let _ = conditions.breaker.failed(target, now);
        }
        let hold = conditions.hold(now + SECOND, clock);
        let storm = hold.node.unwrap();
        let at = |second: i64| clock + jiff::SignedDuration::from_secs(second);
        assert_eq!((storm.since, storm.until, storm.faults[0].kind), (at(-1), at(14), FaultKind::Failures));
        assert_eq!(hold.targets.iter().map(|held| held.target.as_str()).collect::<Vec<_>>(), ["a"]);
        conditions.health.found(vec![fault()], now, now);
        assert_eq!(conditions.hold(now + SECOND, clock).node.unwrap().faults, [fault()]);
    }
}
