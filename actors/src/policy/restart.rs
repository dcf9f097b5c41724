//! The retry rules: which failures of a scan are retried, when and how often, and the restart
//! intensity of a node.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use crate::model::{Failure, FailureKind, Resolution};

/// The retry policy of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The maximum number of failed attempts, at least 1.
    pub max_attempts: u32,
    /// The backoff after the first failure.
    pub base: Duration,
    /// The maximum backoff.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 3, base: Duration::from_secs(2), cap: Duration::from_secs(300) }
    }
}

/// Returns true if a retry could have a better result.
#[must_use]
pub const fn is_worth_another_try(kind: FailureKind) -> bool {
    match kind {
        // The same configuration, arguments or target would fail the same way.
        FailureKind::NotStarted | FailureKind::UsageError | FailureKind::OutOfScope => false,
        // Somebody has to change a role or a clearance, and may submit the scan again then.
        FailureKind::NotPermitted => false,
        // The scanner reached its end and would write the same result again.
        FailureKind::UnreadableResult | FailureKind::NothingChecked => false,
        // A scan that used up its time would most likely use it up again, at the expense of others.
        FailureKind::TimedOut => false,
        FailureKind::SpawnFailed
        | FailureKind::Crashed
        | FailureKind::KilledBySignal
        | FailureKind::NoResult
        | FailureKind::Stalled
        | FailureKind::ActorCrashed
        | FailureKind::NodeLost => true,
    }
}

/// Returns the backoff before the attempt that follows the `failures`th failure (1 for the first):
/// exponential, capped, with equal jitter.
///
/// `jitter` is from 0 to 1. Half of the wait is fixed and half is random, so it is never shorter
/// than half of its nominal value. See Marc Brooker, "Exponential Backoff And Jitter", AWS
/// Architecture Blog (2015).
#[must_use]
pub fn backoff(policy: RetryPolicy, failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let nominal = policy.base.saturating_mul(1 << doublings).min(policy.cap);
    nominal.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// Returns the effect of `failure` on a scan with `failures_before` earlier failures.
#[must_use]
pub fn after_failure(
    policy: RetryPolicy,
    failure: Failure,
    failures_before: u32,
    random: &mut impl rand::Rng,
) -> Resolution {
    let failures = failures_before + 1;
    if !is_worth_another_try(failure.kind) || failures >= policy.max_attempts {
        return Resolution::Fail(failure);
    }
    Resolution::Retry { failure, after: backoff(policy, failures, random.random()) }
}

/// The number of failures in a time span that is tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// The number of failures that are tolerated within `within`.
    pub max: usize,
    /// The length of the time span.
    pub within: Duration,
}

/// The state of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Budget {
    /// Not used up; holds how many more failures are tolerated.
    Left(usize),
    /// More failures than tolerated.
    Spent,
}

/// A sliding window of failures, as in Erlang/OTP's supervisor (`intensity` and `period`).
#[derive(Debug, Clone)]
pub struct RestartBudget {
    intensity: Intensity,
    failures: VecDeque<Instant>,
}

impl RestartBudget {
    /// Creates an unused budget.
    #[must_use]
    pub const fn new(intensity: Intensity) -> Self {
        Self { intensity, failures: VecDeque::new() }
    }

    /// Counts a failure at `now`.
    pub fn spend(&mut self, now: Instant) -> Budget {
        self.failures.push_back(now);
        while self.failures.front().is_some_and(|first| now.duration_since(*first) >= self.intensity.within) {
            self.failures.pop_front();
        }
        match self.intensity.max.checked_sub(self.failures.len()) {
            Some(left) => Budget::Left(left),
            None => Budget::Spent,
        }
    }

    /// Returns how many failures count at `now`.
    #[must_use]
    pub fn spent(&self, now: Instant) -> usize {
        self.failures.iter().filter(|failure| now.saturating_duration_since(**failure) < self.intensity.within).count()
    }

    /// Returns how many more failures are tolerated at `now`.
    #[must_use]
    pub fn left(&self, now: Instant) -> usize {
        self.intensity.max.saturating_sub(self.spent(now))
    }

    /// Merges the failures of several budgets into one budget.
    #[must_use]
    pub fn sum<'a>(intensity: Intensity, many: impl Iterator<Item = &'a Self>) -> Self {
        let mut failures: Vec<Instant> = many.flat_map(|one| one.failures.iter().copied()).collect();
        failures.sort_unstable();
        Self { intensity, failures: failures.into() }
    }

    /// Clears all failures.
    pub fn reset(&mut self) {
        self.failures.clear();
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    const POLICY: RetryPolicy =
        RetryPolicy { max_attempts: 3, base: Duration::from_secs(2), cap: Duration::from_secs(10) };

    #[test]
    fn waits_double_up_to_the_cap_and_never_fall_below_half() {
        for (failures, jitter, seconds) in [
            (1, 1.0, 2.0),
            (1, 0.0, 1.0),
            (2, 1.0, 4.0),
            (3, 1.0, 8.0),
            (4, 1.0, 10.0),
            (4, 0.0, 5.0),
            (4_000_000_000, 1.0, 10.0),
            (0, 1.0, 2.0),
        ] {
            assert_eq!(backoff(POLICY, failures, jitter), Duration::from_secs_f64(seconds), "{failures} {jitter}");
        }
    }

    #[test]
    fn the_last_allowed_failure_ends_the_scan() {
        let mut random = SmallRng::seed_from_u64(1);
        for (before, retried) in [(0, true), (1, true), (2, false), (3, false)] {
            let resolution = after_failure(POLICY, Failure::new(FailureKind::Crashed, "x"), before, &mut random);
            assert_eq!(
                matches!(resolution, Resolution::Retry { after, .. } if after > Duration::ZERO),
                retried,
                "{before}: {resolution:?}"
            );
        }
    }

    #[test]
    fn configuration_errors_fail_at_once() {
        let mut random = SmallRng::seed_from_u64(1);
        for kind in FailureKind::ALL {
            let resolution = after_failure(POLICY, Failure::new(*kind, "x"), 0, &mut random);
            assert_eq!(matches!(resolution, Resolution::Retry { .. }), is_worth_another_try(*kind), "{kind}");
        }
        for kind in [
            FailureKind::UsageError,
            FailureKind::UnreadableResult,
            FailureKind::NothingChecked,
            FailureKind::TimedOut,
            FailureKind::NotPermitted,
        ] {
            assert!(!is_worth_another_try(kind), "{kind} would come out the same again");
        }
        assert!(is_worth_another_try(FailureKind::Crashed));
    }

    #[test]
    fn a_budget_counts_only_the_recent_failures() {
        let mut budget = RestartBudget::new(Intensity { max: 2, within: Duration::from_secs(10) });
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(budget.spend(after(0)), Budget::Left(1));
        assert_eq!(budget.spend(after(9)), Budget::Left(0));
        assert_eq!(budget.spend(after(10)), Budget::Left(0), "the first has left the window");
        assert_eq!(budget.spend(after(11)), Budget::Spent);
        budget.reset();
        assert_eq!(budget.spend(after(12)), Budget::Left(1));
    }
}
