//! A circuit breaker for failing attempts. It holds back the target that fails, and the node only
//! if several targets fail.
//!
//! A target whose scans fail says nothing about other targets. A scanner that fails on several
//! targets at once is broken, and must not use up the attempts of every scan.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::restart::{Budget, Intensity, RestartBudget};
use crate::model::FailureKind;

/// The number of targets that must fail before the node is held back.
pub const SEVERAL: usize = 3;

/// The thresholds, and the duration of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// More failures of one target than this hold back the target.
    pub target: Intensity,
    /// More failures of several targets together than this hold back the node.
    pub node: Intensity,
    /// The duration of a hold. It doubles each time for a target that keeps failing.
    pub pause: Duration,
    /// The maximum duration of a hold.
    pub longest: Duration,
}

/// The effect of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Trip {
    /// No effect.
    None,
    /// No scan of this target starts until this time.
    Target(Instant),
    /// No scan starts until this time.
    Node(Instant),
}

#[derive(Debug, Clone)]
struct Target {
    failures: RestartBudget,
    /// The start and end of its hold.
    held: Option<(Instant, Instant)>,
    /// The number of holds since its last completed scan.
    holds: u32,
}

/// The state of the breaker: the recent failures and the holds.
#[derive(Debug, Clone)]
pub struct Breaker {
    policy: BreakerPolicy,
    /// By the target's text.
    targets: BTreeMap<String, Target>,
    /// The start and end of the node's hold.
    held: Option<(Instant, Instant)>,
}

/// Returns true if a failure says something about its target or its node. A scan that was refused
/// for a missing right or clearance says nothing of them.
#[must_use]
pub const fn counts(kind: FailureKind) -> bool {
    !matches!(kind, FailureKind::NotPermitted)
}

impl Breaker {
    /// Creates a breaker without failures.
    #[must_use]
    pub const fn new(policy: BreakerPolicy) -> Self {
        Self { policy, targets: BTreeMap::new(), held: None }
    }

    /// Counts a failed attempt on `target`.
    pub fn failed(&mut self, target: &str, now: Instant) -> Trip {
        self.forget_the_old(now);
        let policy = self.policy;
        let new = || Target { failures: RestartBudget::new(policy.target), held: None, holds: 0 };
        let entry = self.targets.entry(target.to_owned()).or_insert_with(new);
        if entry.held.is_some_and(|(_, until)| until > now) {
            // The attempt was already running when its target was held back.
            return Trip::None;
        }
        if entry.failures.spend(now) == Budget::Spent {
            let pause = policy.pause.saturating_mul(1 << entry.holds.min(10)).min(policy.longest.max(policy.pause));
            entry.holds = entry.holds.saturating_add(1);
            entry.held = Some((now, now + pause));
            // These failures have caused a hold and no longer count against the node.
            entry.failures.reset();
            return Trip::Target(now + pause);
        }
        let counts: Vec<usize> =
            self.targets.values().map(|target| target.failures.spent(now)).filter(|spent| *spent > 0).collect();
        if counts.len() >= SEVERAL && counts.iter().sum::<usize>() > policy.node.max {
            self.targets.values_mut().for_each(|target| target.failures.reset());
            self.held = Some((now, now + policy.pause));
            return Trip::Node(now + policy.pause);
        }
        Trip::None
    }

    /// Handles a completed scan of `target`: clears its failures and resets its next hold to the
    /// short duration. Returns true if the target had an entry.
    pub fn completed(&mut self, target: &str) -> bool {
        let Some(target) = self.targets.get_mut(target) else { return false };
        target.failures.reset();
        target.holds = 0;
        true
    }

    /// Returns the start and end of the node's hold.
    #[must_use]
    pub fn node_held(&self, now: Instant) -> Option<(Instant, Instant)> {
        self.held.filter(|(_, until)| *until > now)
    }

    /// Returns the targets that are held back, with the start and end of each hold.
    pub fn targets_held(&self, now: Instant) -> impl Iterator<Item = (&str, Instant, Instant)> {
        self.targets.iter().filter_map(move |(name, target)| {
            target.held.filter(|(_, until)| *until > now).map(|(since, until)| (name.as_str(), since, until))
        })
    }

    /// Returns the time when the next hold ends.
    #[must_use]
    pub fn next_end(&self, now: Instant) -> Option<Instant> {
        let ends = self.targets_held(now).map(|(_, _, until)| until);
        ends.chain(self.node_held(now).map(|(_, until)| until)).min()
    }

    /// Returns the node's budget: how many more failures of several targets it tolerates.
    #[must_use]
    pub fn budget(&self) -> RestartBudget {
        RestartBudget::sum(self.policy.node, self.targets.values().map(|target| &target.failures))
    }

    /// Removes targets that have not failed recently. A target that was held back stays for another
    /// `longest`, so that its next hold is longer.
    fn forget_the_old(&mut self, now: Instant) {
        let longest = self.policy.longest;
        self.targets.retain(|_, target| {
            target.failures.spent(now) > 0 || target.held.is_some_and(|(_, until)| until + longest > now)
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        let within = 60 * SECOND;
        Breaker::new(BreakerPolicy {
            target: Intensity { max: 3, within },
            node: Intensity { max: 6, within },
            pause: 15 * SECOND,
            longest: 40 * SECOND,
        })
    }

    #[test]
    fn refusal_for_a_missing_right_does_not_count() {
        for kind in FailureKind::ALL {
            assert_eq!(counts(*kind), *kind != FailureKind::NotPermitted, "{kind}");
        }
    }

    #[test]
    fn a_failing_target_is_held_back_alone_and_longer_each_time() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let mut breaker = breaker();
        let mut now = 0;
        for pause in [15, 30, 40, 40] {
            for _ in 0..3 {
                assert_eq!(breaker.failed("bad", after(now)), Trip::None);
            }
            assert_eq!(breaker.failed("bad", after(now)), Trip::Target(after(now + pause)));
            assert_eq!(breaker.failed("bad", after(now + 1)), Trip::None, "one that was running still");
            assert_eq!(
                breaker.targets_held(after(now + 1)).collect::<Vec<_>>(),
                [("bad", after(now), after(now + pause))]
            );
            assert_eq!(
                (breaker.node_held(after(now + 1)), breaker.next_end(after(now + 1))),
                (None, Some(after(now + pause)))
            );
            now += pause;
            assert_eq!(
                (breaker.targets_held(after(now)).count(), breaker.next_end(after(now))),
                (0, None),
                "it ends by itself"
            );
        }
        assert!(breaker.completed("bad"));
        for _ in 0..3 {
            assert_eq!(breaker.failed("bad", after(now)), Trip::None);
        }
        assert_eq!(breaker.failed("bad", after(now)), Trip::Target(after(now + 15)), "one that completed begins anew");
    }

    #[test]
    fn the_node_is_held_back_when_several_targets_fail() {
        let now = Instant::now();
        let mut breaker = breaker();
        for target in ["a", "a", "b", "b", "c", "c"] {
            assert_eq!(breaker.failed(target, now), Trip::None);
        }
        assert_eq!(breaker.budget().left(now), 0);
        assert_eq!(breaker.failed("a", now), Trip::Node(now + 15 * SECOND));
        assert_eq!(breaker.node_held(now + 14 * SECOND), Some((now, now + 15 * SECOND)));
        assert_eq!(breaker.node_held(now + 15 * SECOND), None);
        assert_eq!(breaker.budget().left(now), 6, "it begins anew");
    }

    #[test]
    fn two_failing_targets_do_not_hold_back_the_node() {
        let now = Instant::now();
        let mut breaker =
            Breaker::new(BreakerPolicy { target: Intensity { max: 100, within: 60 * SECOND }, ..breaker().policy });
        for target in ["a", "b"].iter().cycle().take(40) {
            assert_eq!(breaker.failed(target, now), Trip::None);
        }
        assert_eq!(breaker.failed("c", now), Trip::Node(now + 15 * SECOND));
    }

    #[test]
    fn a_target_whose_scans_complete_in_between_is_not_held_back() {
        let now = Instant::now();
        let mut breaker = breaker();
        for _ in 0..20 {
            for target in ["a", "b", "c"] {
                assert_eq!((breaker.failed(target, now), breaker.failed(target, now)), (Trip::None, Trip::None));
                assert!(breaker.completed(target));
            }
        }
        assert!(!breaker.completed("never failed"));
        assert_eq!(breaker.budget().left(now), 6);
    }

    #[test]
    fn old_failures_and_old_targets_are_forgotten() {
        let start = Instant::now();
        let mut breaker = breaker();
        for minute in 0..100_u32 {
            assert_eq!(breaker.failed(&format!("target-{minute}"), start + minute * 60 * SECOND), Trip::None);
        }
        assert_eq!(breaker.targets.len(), 1);
    }

    proptest! {
        #[test]
        fn target_is_not_held_back_for_fewer_than_several_others(steps in proptest::collection::vec((0..5_usize, 0..20_u64), 1..200)) {
            let (mut breaker, mut now) = (breaker(), Instant::now());
            let mut recent: Vec<(usize, Instant)> = Vec::new();
            for (target, pause) in steps {
                now += Duration::from_secs(pause);
                recent.push((target, now));
                recent.retain(|(_, at)| now.duration_since(*at) < 60 * SECOND);
                let of_target = recent.iter().filter(|(one, _)| *one == target).count();
                let distinct = recent.iter().map(|(one, _)| one).collect::<std::collections::BTreeSet<_>>().len();
                match breaker.failed(["a", "b", "c", "d", "e"][target], now) {
                    Trip::None => {}
                    Trip::Target(until) => {
                        prop_assert!(of_target > 3 && until > now && until <= now + 40 * SECOND);
                        prop_assert!(breaker.targets_held(now).any(|(name, ..)| name == ["a", "b", "c", "d", "e"][target]));
                    }
                    Trip::Node(until) => {
                        prop_assert!(distinct >= SEVERAL && recent.len() > 6 && until == now + 15 * SECOND);
                    }
                }
                // Every hold ends, at the latest after the longest pause.
                let later = now + 40 * SECOND;
                prop_assert!(breaker.node_held(later).is_none() && breaker.targets_held(later).next().is_none());
            }
        }
    }
}
