//! Decides whether the scan or the node caused a failed attempt, and when a faulty node is checked
//! again.
//!
//! An attempt that fails because of a fault of the node costs the scan nothing. A faulty node
//! starts no scan, repeats its health check, and starts scans again once the check succeeds.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{
    AttemptEnd, AttemptRecord, ClassifiedEnd, Failure, FailureKind, FaultKind, Interruption, NodeFault,
};

/// The interval between checks of a healthy node.
const WELL: Duration = Duration::from_secs(10);

/// The wait before the first check after a fault. It doubles with each further check.
const FIRST: Duration = Duration::from_secs(1);

/// The maximum wait before a check.
const LONGEST: Duration = Duration::from_secs(10);

/// The maximum number of attempts of one scan that may have been running when their node had a
/// fault. A scan that causes the fault itself, for example because it fills the disk, fails with
/// the next attempt.
const BLAMED: usize = 10;

/// Returns true if a fault of the node can cause such a failure.
#[must_use]
pub const fn may_be_the_nodes(kind: FailureKind) -> bool {
    match kind {
        FailureKind::NotStarted
        | FailureKind::SpawnFailed
        // A scanner whose output folder is gone may report invalid arguments.
        | FailureKind::UsageError
        | FailureKind::Crashed
        | FailureKind::KilledBySignal
        | FailureKind::NoResult
        | FailureKind::UnreadableResult
        // Without memory or a disk no plugin completes.
        | FailureKind::NothingChecked
        // A disk that hangs stops a scanner.
        | FailureKind::Stalled => true,
        FailureKind::OutOfScope
        | FailureKind::NotPermitted
        | FailureKind::TimedOut
        | FailureKind::ActorCrashed
        | FailureKind::NodeLost => false,
    }
}

/// Returns the end of an attempt that failed while its node had `faults` at some time. `attempts`
/// holds all attempts of the scan, including this one.
#[must_use]
pub fn judge(failure: Failure, faults: &[NodeFault], attempts: &[AttemptRecord]) -> ClassifiedEnd {
    let blamed = attempts.iter().filter(|attempt| attempt.scanner.is_some() && is_of_the_node(attempt)).count();
    match faults.first() {
        Some(fault) if may_be_the_nodes(failure.kind) && blamed < BLAMED => not_run(fault),
        _ => AttemptEnd::Failed(failure),
    }
}

/// Returns the end of an attempt that the node could not run.
#[must_use]
pub fn not_run<R>(fault: &NodeFault) -> AttemptEnd<R> {
    AttemptEnd::Interrupted { why: Interruption::Infrastructure, detail: Some(fault.text.clone()) }
}

/// Returns the failure of the scan on a node that does not wait for a repair.
#[must_use]
pub fn failure_of(fault: &NodeFault) -> Failure {
    let kind = match fault.kind {
        FaultKind::ScannerProgram => FailureKind::NotStarted,
        FaultKind::ResultsFolder
        | FaultKind::DataFolder
        | FaultKind::OpenFiles
        | FaultKind::Memory
        | FaultKind::Failures => FailureKind::SpawnFailed,
    };
    Failure::new(kind, fault.text.clone())
}

/// Returns true if an attempt ended because of a fault of its node.
#[must_use]
pub fn is_of_the_node(attempt: &AttemptRecord) -> bool {
    matches!(attempt.end, Some(AttemptEnd::Interrupted { why: Interruption::Infrastructure, .. }))
}

/// Returns true if the scan's history may drop `earlier` after `later`: neither had a process, both
/// because of a fault of the node. The row of a scan that waits for a repair for days must not grow
/// with each attempt.
#[must_use]
pub fn is_repetition(earlier: &AttemptRecord, later: &AttemptRecord) -> bool {
    [earlier, later].iter().all(|attempt| attempt.scanner.is_none() && is_of_the_node(attempt))
}

/// The health state of a node.
#[derive(Debug, Clone, Default)]
pub struct Wellness {
    is_checked: bool,
    /// The current faults.
    faults: Vec<NodeFault>,
    /// The time since which there is a fault.
    since: Option<Instant>,
    /// The time of the next check.
    next: Option<Instant>,
    /// The time of the last fault, and the faults at that time.
    last: Option<(Instant, Vec<NodeFault>)>,
    /// The time of a failed start that no check has explained yet.
    suspected: Option<Instant>,
    /// The number of waits since a scan last started.
    waits: u32,
}

impl Wellness {
    /// Returns true if scans may start: a check has found no fault.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.is_checked && self.faults.is_empty()
    }

    /// Returns the current faults, the time since which there is one, and the time of the next
    /// check.
    #[must_use]
    pub fn missing(&self) -> Option<(&[NodeFault], Instant, Instant)> {
        Some((self.faults.as_slice(), self.since?, self.next?)).filter(|(faults, ..)| !faults.is_empty())
    }

    /// Returns the time of the next check.
    #[must_use]
    pub fn next_check(&self, now: Instant) -> Instant {
        self.next.unwrap_or(now)
    }

    /// Records the result of a check that began at `began`.
    pub fn found(&mut self, faults: Vec<NodeFault>, began: Instant, now: Instant) {
        self.is_checked = true;
        // The check may have passed before that start failed, so it does not clear the fault.
        if faults.is_empty() && self.suspected.is_some_and(|suspected| suspected >= began) {
            return;
        }
        self.suspected = None;
        if faults.is_empty() {
            self.faults = faults;
            self.since = None;
            self.next = Some(now + WELL);
        } else {
            self.hold(faults, now);
        }
    }

    /// Records a start that failed because of a fault. Nothing starts until the next check. If that
    /// check finds no fault, starts are tried again.
    pub fn suspect(&mut self, fault: NodeFault, now: Instant) {
        self.last = Some((now, vec![fault.clone()]));
        if self.faults.is_empty() {
            self.suspected = Some(now);
            self.hold(vec![fault], now);
        }
    }

    /// Records that a scan has started.
    pub const fn started(&mut self) {
        self.waits = 0;
    }

    /// Returns true if [`started`](Self::started) would change anything.
    #[must_use]
    pub const fn has_waited(&self) -> bool {
        self.waits > 0
    }

    /// Returns the faults that existed at any time since `from`.
    #[must_use]
    pub fn missed_since(&self, from: Instant) -> Option<&[NodeFault]> {
        if !self.faults.is_empty() {
            return Some(&self.faults);
        }
        self.last.as_ref().filter(|(at, _)| *at >= from).map(|(_, faults)| faults.as_slice())
    }

    fn hold(&mut self, faults: Vec<NodeFault>, now: Instant) {
        self.last = Some((now, faults.clone()));
        self.faults = faults;
        self.since.get_or_insert(now);
        self.next = Some(now + wait(self.waits));
        self.waits = self.waits.saturating_add(1);
    }
}

/// Returns the wait before the next check, after this many waits.
fn wait(waits: u32) -> Duration {
    FIRST.saturating_mul(1 << waits.min(10)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AttemptNumber, FencingToken, ScannerInfo, ScannerKind};

    fn fault(text: &str) -> NodeFault {
        NodeFault::new(FaultKind::ResultsFolder, text, "mount it")
    }

    fn attempt(end: Option<AttemptEnd>, ran: bool) -> AttemptRecord {
        AttemptRecord {
            number: AttemptNumber(1),
            token: FencingToken(1),
            node: "a".parse().unwrap(),
            due: None,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            ended_at: None,
            end,
            scanner: ran.then(|| ScannerInfo { kind: ScannerKind::Kast, version: "1".into(), configuration: None }),
        }
    }

    #[test]
    fn a_failure_is_the_nodes_only_while_the_node_lacks_something() {
        for kind in FailureKind::ALL {
            let failure = || Failure::new(*kind, "x");
            assert_eq!(
                judge(failure(), &[], &[]),
                AttemptEnd::Failed(failure()),
                "{kind}: a crash on a healthy node is the scan's"
            );
            let expected =
                if may_be_the_nodes(*kind) { not_run(&fault("no disk")) } else { AttemptEnd::Failed(failure()) };
            assert_eq!(judge(failure(), &[fault("no disk"), fault("other")], &[]), expected, "{kind}");
        }
        for (kind, expected) in [
            (FailureKind::Crashed, true),
            (FailureKind::UnreadableResult, true),
            (FailureKind::UsageError, true),
            (FailureKind::OutOfScope, false),
            (FailureKind::TimedOut, false),
            (FailureKind::NodeLost, false),
        ] {
            assert_eq!(may_be_the_nodes(kind), expected, "{kind}");
        }
    }

    #[test]
    fn a_scan_that_takes_its_node_down_again_and_again_fails() {
        let of_node = |ran| attempt(Some(not_run(&fault("full"))), ran);
        let crash = || Failure::new(FailureKind::Crashed, "x");
        for (ran, unstarted, counts) in [(0, 0, false), (9, 0, false), (9, 500, false), (10, 0, true)] {
            let attempts: Vec<_> =
                (0..ran).map(|_| of_node(true)).chain((0..unstarted).map(|_| of_node(false))).collect();
            assert_eq!(
                judge(crash(), &[fault("full")], &attempts) == AttemptEnd::Failed(crash()),
                counts,
                "{ran} {unstarted}"
            );
        }
    }

    #[test]
    fn only_attempts_without_a_process_are_forgotten() {
        let of_node = |ran| attempt(Some(not_run(&fault("x"))), ran);
        let shutdown = || attempt(Some(AttemptEnd::Interrupted { why: Interruption::Shutdown, detail: None }), false);
        for (earlier, later, expected) in [
            (of_node(false), of_node(false), true),
            (of_node(true), of_node(false), false),
            (of_node(false), of_node(true), false),
            (shutdown(), of_node(false), false),
            (of_node(false), shutdown(), false),
            (of_node(false), attempt(None, false), false),
        ] {
            assert_eq!(is_repetition(&earlier, &later), expected, "{earlier:?} {later:?}");
        }
    }

    #[test]
    fn node_is_not_well_before_the_first_check() {
        let now = Instant::now();
        let mut wellness = Wellness::default();
        assert_eq!((wellness.is_well(), wellness.next_check(now)), (false, now));
        wellness.found(Vec::new(), now, now);
        assert_eq!((wellness.is_well(), wellness.next_check(now)), (true, now + WELL));
    }

    #[test]
    fn check_waits_grow_until_a_scan_has_started() {
        let mut now = Instant::now();
        let mut wellness = Wellness::default();
        let began = now;
        let mut waits = Vec::new();
        for _ in 0..6 {
            wellness.found(vec![fault("gone")], now, now);
            let next = wellness.next_check(now);
            waits.push(next.duration_since(now).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        let (faults, since, _) = wellness.missing().unwrap();
        assert_eq!((faults, since), ([fault("gone")].as_slice(), began));
        wellness.found(Vec::new(), now, now);
        assert!(wellness.is_well() && wellness.missing().is_none());
        // A fault that no check detects: each start fails, and the waits keep growing.
        wellness.suspect(fault("no memory"), now);
        assert_eq!(wellness.next_check(now), now + LONGEST);
        wellness.found(Vec::new(), now + LONGEST, now + LONGEST);
        assert!(wellness.is_well(), "a start is tried again");
        wellness.started();
        wellness.suspect(fault("no memory"), now + LONGEST);
        assert_eq!(wellness.next_check(now), now + LONGEST + FIRST);
    }

    #[test]
    fn a_check_that_began_before_a_failed_start_does_not_end_its_hold() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut wellness = Wellness::default();
        wellness.suspect(fault("no memory"), now + second);
        wellness.found(Vec::new(), now, now + 2 * second);
        assert!(!wellness.is_well());
        // Another failed start during a hold changes nothing.
        wellness.suspect(fault("other"), now + second);
        assert_eq!(
            (wellness.missing().unwrap().0, wellness.next_check(now)),
            ([fault("no memory")].as_slice(), now + 2 * second)
        );
        wellness.found(Vec::new(), now + 2 * second, now + 2 * second);
        assert!(wellness.is_well());
    }

    #[test]
    fn an_attempt_has_what_was_missing_at_any_time_of_its_run() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut wellness = Wellness::default();
        assert_eq!(wellness.missed_since(now), None);
        wellness.found(vec![fault("gone")], after(5), after(5));
        assert_eq!(wellness.missed_since(after(9)), Some([fault("gone")].as_slice()), "it is missing still");
        wellness.found(Vec::new(), after(6), after(6));
        for (from, missed) in [(0, true), (5, true), (6, false)] {
            assert_eq!(wellness.missed_since(after(from)).is_some(), missed, "{from}");
        }
    }
}
