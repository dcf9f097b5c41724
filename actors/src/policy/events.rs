//! Which event a change of a row is, on whose behalf, and whether the relay delivers it.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Command, DomainEvent, NodeId, OutboxKey, Principal, ProjectId, ScanRecord, ScanState, ScanStatus};

/// The name of the consumer that counts how scans end by day.
pub const OUTCOMES: &str = "outcomes";

/// Returns the event of a change; `None` for a lease and for progress, which are neither commands
/// of somebody nor ends.
#[must_use]
pub fn event_of(before: &ScanRecord, after: &ScanRecord) -> Option<DomainEvent> {
    match (&before.state, &after.state) {
        (
            ScanState::Pending { .. } | ScanState::Running { .. },
            ScanState::Completed { at, .. } | ScanState::Failed { at, .. } | ScanState::Cancelled { at, .. },
        ) => Some(DomainEvent::ScanEnded { status: after.status(), at: *at, project: after.project.clone() }),
        (ScanState::Running { node, .. }, ScanState::Pending { .. }) => {
            Some(DomainEvent::AttemptEnded { token: before.token, node: node.clone() })
        }
        (ScanState::Running { .. }, ScanState::Running { .. }) if before.cancel_requested.is_none() => {
            after.cancel_requested.map(|by| DomainEvent::CancelRequested { by })
        }
        _ if before.project != after.project => after.ended_at().map(|at| DomainEvent::ScanTransferred {
            status: after.status(),
            at,
            from: before.project.clone(),
            to: after.project.clone(),
        }),
        _ => None,
    }
}

/// Returns who makes a change: the principal of a cancel or a transfer, otherwise Kastrel itself.
#[must_use]
pub fn principal_of(command: &Command) -> Principal {
    match command {
        Command::Cancel { principal, .. } | Command::Transfer { principal, .. } => principal.clone(),
        Command::Lease { .. } | Command::Progress { .. } | Command::Finish { .. } | Command::Rescue { .. } => {
            Principal::System
        }
    }
}

/// Returns the key of the outbox entry of a change that led to this row.
#[must_use]
pub fn key_of(after: &ScanRecord) -> OutboxKey {
    OutboxKey { scan: after.id, version: after.version }
}

/// Returns the key of the outbox entry of the deletion of this row.
#[must_use]
pub fn key_of_deletion(deleted: &ScanRecord) -> OutboxKey {
    OutboxKey { scan: deleted.id, version: deleted.version.saturating_add(1) }
}

/// Returns the event of an order to drain a node, or of its revocation.
#[must_use]
pub fn drain_event(node: &NodeId, within: Option<Duration>) -> DomainEvent {
    let node = node.clone();
    match within {
        Some(within) => {
            DomainEvent::DrainOrdered { node, within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX) }
        }
        None => DomainEvent::DrainRevoked { node },
    }
}

/// What an event changes about the outcomes of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeChange<'a> {
    /// The project of the scan.
    pub project: &'a ProjectId,
    /// The state in which the scan ended.
    pub status: ScanStatus,
    /// The time of its end.
    pub at: Timestamp,
    /// How many such ends there are more: 1, or -1 after a deletion or a transfer away.
    pub more: i64,
}

/// Returns what an event changes about the outcomes: one change for an end and for a deletion, one
/// in each project for a transfer, and none for other events.
#[must_use]
pub fn counted(event: &DomainEvent) -> Vec<OutcomeChange<'_>> {
    let change =
        |project, status: &ScanStatus, at: &Timestamp, more| OutcomeChange { project, status: *status, at: *at, more };
    match event {
        DomainEvent::ScanEnded { status, at, project } => vec![change(project, status, at, 1)],
        DomainEvent::ScanDeleted { status, at, project } => vec![change(project, status, at, -1)],
        DomainEvent::ScanTransferred { status, at, from, to } => {
            vec![change(from, status, at, -1), change(to, status, at, 1)]
        }
        _ => Vec::new(),
    }
}

/// Returns true if the relay delivers an event to consumers. The store writes no outbox entry for
/// other events.
#[must_use]
pub const fn is_delivered(event: &DomainEvent) -> bool {
    matches!(
        event,
        DomainEvent::ScanEnded { .. } | DomainEvent::ScanDeleted { .. } | DomainEvent::ScanTransferred { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CancelledBy, Failure, FailureKind, FencingToken, Resolution, ScanStatus};
    use crate::policy::transition::{Transition, transition};
    use crate::testing::fixtures;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn changed(before: &ScanRecord, command: &Command, second: i64) -> ScanRecord {
        match transition(before, command, at(second)) {
            Transition::Changed(next) => *next,
            Transition::Refused(refusal) => panic!("{command:?}: {refusal}"),
        }
    }

    #[test]
    fn commands_and_ends_are_events_and_leases_and_progress_are_not() {
        let node = || "a".parse().unwrap();
        let finish = |resolution| Command::Finish { token: FencingToken(1), resolution, plugins: None };
        let cancel = Command::Cancel { by: CancelledBy::User, principal: Principal::Anonymous };
        let failure = || Failure::new(FailureKind::Crashed, "exit code 1");
        let project: ProjectId = "team".parse().unwrap();
        let waiting = ScanRecord { project: project.clone(), ..fixtures::record(1, at(0)) };
        let leased = changed(&waiting, &Command::Lease { node: node() }, 1);
        let asked = changed(&leased, &cancel, 2);
        let ended = |status| Some(DomainEvent::ScanEnded { status, at: at(3), project: project.clone() });
        let attempt_ended = Some(DomainEvent::AttemptEnded { token: FencingToken(1), node: node() });
        for (before, command, expected) in [
            (&waiting, Command::Lease { node: node() }, None),
            (&waiting, cancel.clone(), ended(ScanStatus::Cancelled)),
            (&leased, Command::Progress { token: FencingToken(1), scanner: None, plugins: vec![] }, None),
            (&leased, cancel, Some(DomainEvent::CancelRequested { by: CancelledBy::User })),
            (&asked, Command::Progress { token: FencingToken(1), scanner: None, plugins: vec![] }, None),
            (&leased, finish(Resolution::Complete(Default::default())), ended(ScanStatus::Completed)),
            (&leased, finish(Resolution::Fail(failure())), ended(ScanStatus::Failed)),
            (&asked, finish(Resolution::Cancel(CancelledBy::User)), ended(ScanStatus::Cancelled)),
            (
                &leased,
                finish(Resolution::Retry { failure: failure(), after: Duration::from_secs(1) }),
                attempt_ended.clone(),
            ),
            (&leased, finish(Resolution::HoldBack("no disk".into())), attempt_ended.clone()),
            (
                &leased,
                Command::Rescue { from: node(), token: FencingToken(1), resolution: Resolution::Fail(failure()) },
                ended(ScanStatus::Failed),
            ),
        ] {
            assert_eq!(event_of(before, &changed(before, &command, 3)), expected, "{command:?}");
        }
    }

    #[test]
    fn transfer_is_an_event_of_its_principal_that_is_counted_in_both_projects() {
        let (from, to): (ProjectId, ProjectId) = (ProjectId::default(), "team".parse().unwrap());
        let cancel = Command::Cancel { by: CancelledBy::User, principal: Principal::Anonymous };
        let ended = changed(&fixtures::record(1, at(0)), &cancel, 3);
        let by = Principal::User("ana".parse().unwrap());
        let command = Command::Transfer { from: from.clone(), to: to.clone(), principal: by.clone() };
        let event = event_of(&ended, &changed(&ended, &command, 9)).unwrap();
        let (status, at) = (ScanStatus::Cancelled, at(3));
        assert_eq!(event, DomainEvent::ScanTransferred { status, at, from: from.clone(), to: to.clone() });
        assert!(is_delivered(&event));
        assert_eq!(principal_of(&command), by);
        let change = |project, more| OutcomeChange { project, status, at, more };
        assert_eq!(counted(&event), [change(&from, -1), change(&to, 1)]);
        let end = DomainEvent::ScanEnded { status, at, project: to.clone() };
        assert_eq!(counted(&end), [change(&to, 1)]);
        assert!(counted(&DomainEvent::QueueResumed).is_empty());
    }

    #[test]
    fn deletion_has_a_key_that_no_change_of_the_row_has() {
        let record = fixtures::record(4, at(0));
        assert!(key_of_deletion(&record) > key_of(&record));
    }
}
