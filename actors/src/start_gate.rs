//! The node's start gate: one value that says whether scans may start now, and what forbids it.
//!
//! Owns the conditions in one `watch`: the lease, the operators' directives, the health and the
//! failures. The lease actor, the node, the health actor and the supervisor change them; the
//! dispatcher waits for them. It outlives a restart of each of these actors. No method returns a
//! borrow of the value, so that no caller can hold it while it calls another one.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::{NodeFault, NodeHold, NodeLease};
use crate::policy::breaker::{Breaker, BreakerPolicy, Trip};
use crate::policy::directives::NodeDirectives;
use crate::policy::infrastructure::Wellness;
use crate::policy::lease::{LeasePolicy, LeaseState, trusted_until};
use crate::policy::restart::RestartBudget;
use crate::policy::starts::{StartConditions, Starts};
use crate::ports::LeaseGuard;

/// The start gate.
pub(crate) struct StartGate {
    conditions: watch::Sender<StartConditions>,
    policy: LeasePolicy,
    guard: Arc<dyn LeaseGuard>,
}

/// The faults of a node before and after a change; `None` while it has none.
pub(crate) type FaultChange = (Option<Vec<NodeFault>>, Option<Vec<NodeFault>>);

impl StartGate {
    pub(crate) fn new(policy: LeasePolicy, breaker: BreakerPolicy, guard: Arc<dyn LeaseGuard>) -> Self {
        let conditions = watch::Sender::new(StartConditions::new(Breaker::new(breaker)));
        Self { conditions, policy, guard }
    }

    /// Returns whether scans may start now.
    pub(crate) fn starts(&self) -> Starts {
        self.conditions.borrow().starts(Instant::now(), self.guard.now())
    }

    /// Waits until scans may start. Calls `waits` with each reason to wait.
    pub(crate) async fn allowed(&self, waits: impl Fn(Starts)) {
        let mut conditions = self.conditions.subscribe();
        loop {
            let starts = conditions.borrow_and_update().starts(Instant::now(), self.guard.now());
            if starts == Starts::Allowed {
                return;
            }
            waits(starts);
            // The sender lives in `self`.
            if let Starts::HeldBack { until } = starts {
                tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    _ = conditions.changed() => {}
                }
            } else {
                let _ = conditions.changed().await;
            }
        }
    }

    /// Waits until scans may not start any more. A lease that expires by itself is not noticed
    /// before the lease actor gives it up, which is soon.
    pub(crate) async fn forbidden(&self) {
        let is_forbidden =
            |conditions: &StartConditions| conditions.starts(Instant::now(), self.guard.now()) != Starts::Allowed;
        let _ = self.conditions.subscribe().wait_for(is_forbidden).await;
    }

    /// Returns what the node currently does not start.
    pub(crate) fn hold(&self, clock: Timestamp) -> NodeHold {
        self.conditions.borrow().hold(Instant::now(), clock)
    }

    /// Returns the state of the node's lease.
    pub(crate) fn lease(&self) -> LeaseState {
        self.conditions.borrow().lease
    }

    /// Returns true if the node holds a lease that is valid now.
    pub(crate) fn lease_is_good(&self) -> bool {
        self.lease().is_good(Instant::now(), self.guard.now())
    }

    /// Stores a granted renewal. Its request was sent at `sent`; `guard_sent` is the same time or
    /// an earlier one, by the guard's clock.
    pub(crate) fn trust_lease(&self, sent: Instant, guard_sent: Duration) {
        let until = trusted_until(self.policy, sent);
        // Update the guard before a scan can start under this lease, so that the guard covers every
        // scan.
        let guard_until = guard_sent + self.policy.trusted_for();
        self.guard.trust_until(guard_until);
        self.conditions.send_modify(|conditions| {
            conditions.lease = LeaseState::Trusted { sent, until, guard_until };
        });
    }

    /// Records that the node has no lease.
    pub(crate) fn lose_lease(&self) {
        self.conditions.send_modify(|conditions| conditions.lease = LeaseState::None);
    }

    /// Waits until the node has no lease.
    pub(crate) async fn lease_lost(&self) {
        let is_lost = |conditions: &StartConditions| conditions.lease == LeaseState::None;
        let _ = self.conditions.subscribe().wait_for(is_lost).await;
    }

    /// Waits until the node has a lease.
    pub(crate) async fn lease_held(&self) {
        let is_held = |conditions: &StartConditions| conditions.lease != LeaseState::None;
        let _ = self.conditions.subscribe().wait_for(is_held).await;
    }

    /// Returns the directives in force.
    pub(crate) fn directives(&self) -> NodeDirectives {
        self.conditions.borrow().directives
    }

    /// Applies the directives of a renewal whose response arrived at `now`. Returns true if they
    /// changed.
    pub(crate) fn follow(&self, lease: &NodeLease, now: Instant) -> bool {
        self.conditions.send_if_modified(|conditions| {
            let after = conditions.directives.after(lease, now);
            let has_changed = after != conditions.directives;
            conditions.directives = after;
            has_changed
        })
    }

    /// Forbids all starts for good, because the process is stopping.
    pub(crate) fn stop(&self) {
        self.conditions.send_modify(|conditions| conditions.directives.stopping = true);
    }

    /// Changes the health.
    pub(crate) fn change_health(&self, change: impl FnOnce(&mut Wellness)) -> FaultChange {
        let mut faults = (None, None);
        self.conditions.send_modify(|conditions| {
            let missing = |health: &Wellness| health.missing().map(|(faults, ..)| faults.to_vec());
            faults.0 = missing(&conditions.health);
            change(&mut conditions.health);
            faults.1 = missing(&conditions.health);
        });
        faults
    }

    /// Records that a scan has started, which shows that the node is well.
    pub(crate) fn has_started(&self) {
        self.conditions.send_if_modified(|conditions| {
            let has_changed = conditions.health.has_waited() && conditions.health.is_well();
            if has_changed {
                conditions.health.started();
            }
            has_changed
        });
    }

    /// Waits until the next health check is due.
    pub(crate) async fn check_due(&self) {
        let mut conditions = self.conditions.subscribe();
        loop {
            let next = conditions.borrow_and_update().health.next_check(Instant::now());
            tokio::select! {
                () = tokio::time::sleep_until(next) => return,
                // A failed start may have changed the time.
                _ = conditions.changed() => {}
            }
        }
    }

    /// Returns the faults that existed at any time since `from`.
    pub(crate) fn missed_since(&self, from: Instant) -> Option<Vec<NodeFault>> {
        self.conditions.borrow().health.missed_since(from).map(<[NodeFault]>::to_vec)
    }

    /// Counts a failed attempt on `target`.
    pub(crate) fn failed(&self, target: &str, now: Instant) -> Trip {
        let mut trip = Trip::None;
        self.conditions.send_modify(|conditions| trip = conditions.breaker.failed(target, now));
        trip
    }

    /// Counts a completed scan of `target`. Returns true if there were failures of it.
    pub(crate) fn completed(&self, target: &str) -> bool {
        let mut had_failures = false;
        self.conditions.send_if_modified(|conditions| {
            had_failures = conditions.breaker.completed(target);
            // This changes no hold.
            false
        });
        had_failures
    }

    /// Returns the node's budget of failures.
    pub(crate) fn budget(&self) -> RestartBudget {
        self.conditions.borrow().breaker.budget()
    }

    /// Returns true if too many attempts of several targets have failed.
    pub(crate) fn is_held_back(&self, now: Instant) -> bool {
        self.conditions.borrow().breaker.node_held(now).is_some()
    }

    /// Returns the targets that are held back, and until when.
    pub(crate) fn targets_held(&self, now: Instant) -> Vec<(String, Instant)> {
        let conditions = self.conditions.borrow();
        conditions.breaker.targets_held(now).map(|(target, _, until)| (target.to_owned(), until)).collect()
    }

    /// Returns the time when the next hold ends.
    pub(crate) fn next_end_of_hold(&self, now: Instant) -> Option<Instant> {
        self.conditions.borrow().breaker.next_end(now)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Mutex;
    use std::task::Poll;

    use super::*;
    use crate::policy::restart::Intensity;
    use crate::ports::NoLeaseGuard;

    const SECOND: Duration = Duration::from_secs(1);

    fn gate() -> StartGate {
        let intensity = Intensity { max: 2, within: 60 * SECOND };
        let breaker = BreakerPolicy { target: intensity, node: intensity, pause: 15 * SECOND, longest: 40 * SECOND };
        StartGate::new(LeasePolicy::default(), breaker, Arc::new(NoLeaseGuard))
    }

    #[tokio::test(start_paused = true)]
    async fn gate_opens_when_the_last_condition_holds_and_names_each_before() {
        let gate = gate();
        gate.stop();
        let seen = Mutex::new(Vec::new());
        let mut wait = pin!(gate.allowed(|why| seen.lock().unwrap().push(why)));
        let mut is_open = async || poll_fn(|context| Poll::Ready(wait.as_mut().poll(context).is_ready())).await;
        assert!(!is_open().await);
        gate.conditions.send_modify(|conditions| conditions.directives.stopping = false);
        assert!(!is_open().await);
        gate.trust_lease(Instant::now(), Duration::ZERO);
        assert!(!is_open().await);
        for target in ["a", "b", "c"] {
            let _ = gate.failed(target, Instant::now());
        }
        let until = Instant::now() + 15 * SECOND;
        gate.change_health(|health| health.found(Vec::new(), Instant::now(), Instant::now()));
        assert!(!is_open().await);
        tokio::time::advance(15 * SECOND).await;
        assert!(is_open().await, "a hold ends by itself");
        assert_eq!(
            *seen.lock().unwrap(),
            [Starts::Stopping, Starts::NoLease, Starts::Unwell, Starts::HeldBack { until }]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn gate_closes_with_the_first_condition() {
        type Close = fn(&StartGate);
        let closes: [Close; 4] = [
            StartGate::lose_lease,
            StartGate::stop,
            |gate| {
                for target in ["a", "b", "c"] {
                    let _ = gate.failed(target, Instant::now());
                }
            },
            |gate| {
                let fault = NodeFault::new(crate::model::FaultKind::Memory, "full", "add some");
                gate.change_health(|health| health.suspect(fault, Instant::now()));
            },
        ];
        for close in closes {
            let gate = gate();
            gate.trust_lease(Instant::now(), Duration::ZERO);
            gate.change_health(|health| health.found(Vec::new(), Instant::now(), Instant::now()));
            gate.allowed(|why| panic!("{why:?}")).await;
            let mut wait = pin!(gate.forbidden());
            let mut is_closed = async || poll_fn(|context| Poll::Ready(wait.as_mut().poll(context).is_ready())).await;
            assert!(!is_closed().await);
            gate.completed("a");
            assert!(!is_closed().await);
            close(&gate);
            assert!(is_closed().await && gate.starts() != Starts::Allowed);
        }
    }
}
