//! The state machine of a row: the effect of each command in each state.
//!
//! ```text
//! pending ──lease──> running(attempt n, node, token) ──> completed | failed | cancelled
//!    ^                    │ crash, stall, lost node, shutdown
//!    └──── retry at t ────┘
//! ```

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::infrastructure::is_repetition;
use super::resume::carried;
use crate::model::{
    AttemptEnd, AttemptRecord, CancelledBy, Command, FencingToken, Interruption, PendingReason, PluginResult,
    ProjectId, Resolution, ResultSummary, ScanRecord, ScanState, ScanStatus, Verdict, end_with_attempt,
};

/// The reason why a command changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// A lease of a scan that is not pending.
    #[error("the scan is {0}, not pending")]
    NotPending(ScanStatus),
    /// A lease before the scan is due.
    #[error("the scan is not due for another {} ms", .0.as_millis())]
    NotDue(Duration),
    /// The node's own lease has ended; the store checks this, not the transition.
    #[error("the node's lease has ended")]
    NodeLeaseEnded,
    /// The node has an order to drain; the store checks this, not the transition.
    #[error("the node drains")]
    NodeDraining,
    /// The queue is paused; the store checks this, not the transition.
    #[error("the queue is paused")]
    QueuePaused,
    /// A write of an attempt that no longer owns the row.
    #[error("the token is stale")]
    StaleToken,
    /// A cancel of a scan that has ended.
    #[error("the scan has already ended as {0}")]
    AlreadyEnded(ScanStatus),
    /// A transfer of a scan that has not ended.
    #[error("the scan has not ended; it is {0}")]
    NotEnded(ScanStatus),
    /// A transfer of a scan that is in another project than its sender read.
    #[error("the scan is in another project now")]
    InOtherProject,
    /// The change was already made: a repeated cancel.
    #[error("already done")]
    AlreadyDone,
}

/// The effect of a command on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Transition {
    /// The new row.
    Changed(Box<ScanRecord>),
    /// The command changed nothing.
    Refused(Refusal),
}

/// Applies `command` to `record` at `now`, the store's time.
pub fn transition(record: &ScanRecord, command: &Command, now: Timestamp) -> Transition {
    let mut next = record.clone();
    let result = match command {
        Command::Lease { node } => lease(&mut next, node, now),
        Command::Progress { token, scanner, plugins } => running_under(&next, *token).map(|()| {
            if let (Some(attempt), Some(scanner)) = (next.attempts.last_mut(), scanner) {
                attempt.scanner = Some(scanner.clone());
            }
            next.plugins = tidy(plugins);
        }),
        Command::Finish { token, resolution, plugins } => running_under(&next, *token).map(|()| {
            if let Some(plugins) = plugins {
                next.plugins = tidy(plugins);
            }
            resolve(&mut next, resolution, now);
        }),
        Command::Rescue { from, token, resolution } => running_under(&next, *token).and_then(|()| match &next.state {
            ScanState::Running { node, .. } if node == from => {
                // The dead node's token must not be accepted any more, even if the scan does not
                // run again.
                next.token = next.token.next();
                resolve(&mut next, resolution, now);
                Ok(())
            }
            _ => Err(Refusal::StaleToken),
        }),
        Command::Cancel { by, .. } => cancel(&mut next, *by, now),
        Command::Transfer { from, to, .. } => transfer(&mut next, from, to),
    };
    match result {
        Ok(()) => {
            next.version += 1;
            Transition::Changed(Box::new(next))
        }
        Err(refusal) => Transition::Refused(refusal),
    }
}

fn lease(record: &mut ScanRecord, node: &crate::model::NodeId, now: Timestamp) -> Result<(), Refusal> {
    let ScanState::Pending { due, .. } = record.state else { return Err(Refusal::NotPending(record.status())) };
    let left = record.left_to_wait(now);
    if !left.is_zero() {
        return Err(Refusal::NotDue(left));
    }
    let number = record.attempts.last().map(|last| last.number).unwrap_or_default().next();
    // The node that runs the attempt decides which of them it keeps.
    record.plugins = carried(record);
    record.token = record.token.next();
    record.attempts.push(AttemptRecord {
        number,
        token: record.token,
        node: node.clone(),
        due: Some(due),
        started_at: now,
        ended_at: None,
        end: None,
        scanner: None,
    });
    record.started_at.get_or_insert(now);
    record.state = ScanState::Running { attempt: number, node: node.clone(), since: now };
    Ok(())
}

fn running_under(record: &ScanRecord, token: FencingToken) -> Result<(), Refusal> {
    match record.state {
        ScanState::Running { .. } if record.token == token => Ok(()),
        _ => Err(Refusal::StaleToken),
    }
}

/// Normalises the plugins as deserialization does, because a store recognises its own write by
/// comparing rows.
fn tidy(plugins: &[PluginResult]) -> Vec<PluginResult> {
    plugins.iter().cloned().map(PluginResult::tidy).collect()
}

fn resolve(record: &mut ScanRecord, resolution: &Resolution, now: Timestamp) {
    let cancelled = |by| (AttemptEnd::Cancelled, ScanState::Cancelled { at: now, by }, false);
    let completion = match resolution {
        Resolution::Complete(verdict) => Some(verdict),
        Resolution::Adopt(verdict) => record.cancel_requested.is_none().then_some(verdict),
        _ => None,
    };
    if let Some(verdict) = completion.filter(|verdict| !verdict.plugins.is_empty()) {
        record.plugins = tidy(&verdict.plugins);
    }
    // However the attempt ended, none of its processes runs any more.
    end_with_attempt(&mut record.plugins, now);
    let completed = |verdict: &Verdict| {
        let summary = ResultSummary::of(&record.plugins, verdict.dry_run);
        (AttemptEnd::Completed(summary.clone()), ScanState::Completed { at: now, summary }, false)
    };
    let (end, state, failed) = match resolution {
        Resolution::Complete(verdict) => completed(verdict),
        Resolution::Adopt(verdict) => record.cancel_requested.map_or_else(|| completed(verdict), cancelled),
        Resolution::Retry { failure, after } => {
            let due = now
                .saturating_add(SignedDuration::try_from(*after).unwrap_or(SignedDuration::MAX))
                .unwrap_or(Timestamp::MAX);
            (
                AttemptEnd::Failed(failure.clone()),
                ScanState::Pending { due, reason: PendingReason::Retry { failure: failure.clone() } },
                true,
            )
        }
        Resolution::Fail(failure) => {
            (AttemptEnd::Failed(failure.clone()), ScanState::Failed { at: now, failure: failure.clone() }, true)
        }
        Resolution::Requeue(why) => interrupted(*why, None, now),
        Resolution::HoldBack(detail) => interrupted(Interruption::Infrastructure, Some(detail.clone()), now),
        Resolution::Cancel(by) => cancelled(record.cancel_requested.unwrap_or(*by)),
    };
    if let Some(attempt) = record.attempts.last_mut() {
        attempt.ended_at = Some(now);
        attempt.end = Some(end);
    }
    if let [.., earlier, later] = record.attempts.as_slice()
        && is_repetition(earlier, later)
    {
        record.attempts.remove(record.attempts.len() - 2);
    }
    record.failures = record.failures.saturating_add(u32::from(failed));
    // A cancel that was requested during the attempt takes precedence over a retry, but not over a
    // final result.
    record.state = match (state, record.cancel_requested) {
        (ScanState::Pending { .. }, Some(by)) => ScanState::Cancelled { at: now, by },
        (state, _) => state,
    };
}

fn interrupted(why: Interruption, detail: Option<String>, now: Timestamp) -> (AttemptEnd, ScanState, bool) {
    let reason = PendingReason::Requeued { why, detail: detail.clone() };
    (AttemptEnd::Interrupted { why, detail }, ScanState::Pending { due: now, reason }, false)
}

fn cancel(record: &mut ScanRecord, by: CancelledBy, now: Timestamp) -> Result<(), Refusal> {
    match record.state {
        ScanState::Pending { .. } => {
            record.cancel_requested = Some(by);
            record.state = ScanState::Cancelled { at: now, by };
            Ok(())
        }
        ScanState::Running { .. } if record.cancel_requested.is_some() => Err(Refusal::AlreadyDone),
        ScanState::Running { .. } => {
            record.cancel_requested = Some(by);
            Ok(())
        }
        ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } => {
            Err(Refusal::AlreadyEnded(record.status()))
        }
    }
}

fn transfer(record: &mut ScanRecord, from: &ProjectId, to: &ProjectId) -> Result<(), Refusal> {
    if !record.status().is_terminal() {
        return Err(Refusal::NotEnded(record.status()));
    }
    if record.project != *from {
        return Err(Refusal::InOtherProject);
    }
    if from == to {
        return Err(Refusal::AlreadyDone);
    }
    record.project = to.clone();
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{AttemptNumber, Failure, FailureKind, NodeId, PluginStatus};
    use crate::testing::fixtures;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn node(name: &str) -> NodeId {
        name.parse().unwrap()
    }

    fn changed(record: &ScanRecord, command: Command, now: i64) -> ScanRecord {
        match transition(record, &command, at(now)) {
            Transition::Changed(next) => *next,
            Transition::Refused(refusal) => panic!("{command:?}: {refusal}"),
        }
    }

    fn refused(record: &ScanRecord, command: Command, now: i64) -> Refusal {
        match transition(record, &command, at(now)) {
            Transition::Changed(next) => panic!("{command:?} made {:?}", next.state),
            Transition::Refused(refusal) => refusal,
        }
    }

    fn leased() -> ScanRecord {
        changed(&fixtures::record(1, at(0)), Command::Lease { node: node("a") }, 1)
    }

    fn finish(token: u64, resolution: Resolution) -> Command {
        Command::Finish { token: FencingToken(token), resolution, plugins: None }
    }

    fn crash() -> Failure {
        Failure::new(FailureKind::Crashed, "exit code 1")
    }

    #[test]
    fn a_lease_numbers_the_attempt_and_raises_the_token() {
        let record = leased();
        assert_eq!(record.state, ScanState::Running { attempt: AttemptNumber(1), node: node("a"), since: at(1) });
        assert_eq!((record.token, record.version, record.started_at), (FencingToken(1), 1, Some(at(1))));
    }

    #[test]
    fn a_lease_brings_the_complete_results_of_the_earlier_attempts() {
        let done = |name: &str| PluginResult::new(name, PluginStatus::Completed);
        let progress = |token, plugins| Command::Progress { token: FencingToken(token), scanner: None, plugins };
        let retry = |token| finish(token, Resolution::Retry { failure: crash(), after: Duration::ZERO });
        let from = |attempt, name: &str| PluginResult { attempt: Some(AttemptNumber(attempt)), ..done(name) };

        let first = vec![done("testssl"), PluginResult::new("whatweb", PluginStatus::InProgress)];
        let waiting = changed(&changed(&leased(), progress(1, first), 2), retry(1), 3);
        assert_eq!(waiting.plugins.len(), 2, "what the attempt left stays until the next one");
        let second = changed(&waiting, Command::Lease { node: node("b") }, 4);
        assert_eq!(second.plugins, [from(1, "testssl")]);
        assert_eq!(second.attempt_of(&second.plugins[0]), Some(AttemptNumber(1)));

        let both = vec![from(1, "testssl"), done("whatweb")];
        let waiting = changed(&changed(&second, progress(2, both), 5), retry(2), 6);
        assert_eq!(waiting.attempt_of(&waiting.plugins[1]), Some(AttemptNumber(2)));
        let third = changed(&waiting, Command::Lease { node: node("a") }, 7);
        assert_eq!(third.plugins, [from(1, "testssl"), from(2, "whatweb")]);
    }

    #[test]
    fn a_lease_needs_a_pending_row_that_is_due() {
        assert_eq!(refused(&leased(), Command::Lease { node: node("b") }, 2), Refusal::NotPending(ScanStatus::Running));
        let waiting =
            changed(&leased(), finish(1, Resolution::Retry { failure: crash(), after: Duration::from_secs(8) }), 2);
        assert_eq!(refused(&waiting, Command::Lease { node: node("b") }, 9), Refusal::NotDue(Duration::from_secs(1)));
        let second = changed(&waiting, Command::Lease { node: node("b") }, 10);
        assert_eq!((second.token, second.attempts.len(), second.failures), (FencingToken(2), 2, 1));
        assert_eq!(second.started_at, Some(at(1)), "the first attempt started the scan");
    }

    /// The wait of a retry is 8 s and begins at 100 s.
    #[test]
    fn a_clock_that_is_set_back_makes_no_wait_longer() {
        let submitted = fixtures::record(1, at(100));
        let leased = changed(&submitted, Command::Lease { node: node("a") }, 100);
        let requeued = changed(&leased, finish(1, Resolution::Requeue(Interruption::Shutdown)), 100);
        let retried =
            changed(&leased, finish(1, Resolution::Retry { failure: crash(), after: Duration::from_secs(8) }), 100);
        for (row, now, left) in [
            (&submitted, 100, 0),
            (&submitted, 200, 0),
            (&submitted, 99, 0),
            (&submitted, -9_999, 0),
            (&requeued, 100, 0),
            (&requeued, 1, 0),
            (&retried, 100, 8),
            (&retried, 107, 1),
            (&retried, 108, 0),
            (&retried, 9_999, 0),
            (&retried, 99, 0),
            (&retried, -9_999, 0),
            (&leased, 1, 0),
        ] {
            assert_eq!(row.left_to_wait(at(now)), Duration::from_secs(left), "{:?} at {now}", row.state);
            if row.status() == ScanStatus::Pending {
                let answer = transition(row, &Command::Lease { node: node("b") }, at(now));
                let is_granted = matches!(answer, Transition::Changed(_));
                assert_eq!(is_granted, left == 0, "{answer:?}");
            }
        }
    }

    #[test]
    fn resolution_determines_the_state() {
        let cases = [
            (Resolution::Complete(Verdict::default()), ScanStatus::Completed, 0),
            (Resolution::Adopt(Verdict::default()), ScanStatus::Completed, 0),
            (Resolution::Retry { failure: crash(), after: Duration::from_secs(4) }, ScanStatus::Pending, 1),
            (Resolution::Fail(crash()), ScanStatus::Failed, 1),
            (Resolution::Requeue(Interruption::Shutdown), ScanStatus::Pending, 0),
            (Resolution::HoldBack("no disk".into()), ScanStatus::Pending, 0),
            (Resolution::Cancel(CancelledBy::User), ScanStatus::Cancelled, 0),
        ];
        for (resolution, status, failures) in cases {
            let record = changed(&leased(), finish(1, resolution), 5);
            assert_eq!((record.status(), record.failures), (status, failures));
            assert_eq!(record.attempts[0].ended_at, Some(at(5)));
            assert!(record.attempts[0].end.is_some());
        }
    }

    #[test]
    fn no_plugin_is_unfinished_after_its_attempt() {
        let plugin = |name: &str, status, started| PluginResult::new(name, status).with_times(started, None);
        let plugins = vec![
            PluginResult::new("done", PluginStatus::Completed).with_times(Some(at(2)), Some(at(3))),
            plugin("at it", PluginStatus::InProgress, Some(at(3))),
            plugin("next", PluginStatus::Pending, None),
            plugin("no tool", PluginStatus::Unavailable, None),
        ];
        let running = changed(
            &leased(),
            Command::Progress { token: FencingToken(1), scanner: None, plugins: plugins.clone() },
            4,
        );
        assert_eq!(running.plugins, plugins, "while the attempt runs they are as they are");
        let verdict = || Verdict { plugins: plugins.clone(), dry_run: false };
        let resolutions = || {
            [
                Resolution::Complete(verdict()),
                Resolution::Adopt(verdict()),
                Resolution::Retry { failure: crash(), after: Duration::from_secs(4) },
                Resolution::Fail(crash()),
                Resolution::Requeue(Interruption::Shutdown),
                Resolution::HoldBack("no disk".into()),
                Resolution::Cancel(CancelledBy::User),
            ]
        };
        let asked = changed(
            &running,
            Command::Cancel { by: CancelledBy::User, principal: crate::model::Principal::Anonymous },
            4,
        );
        let ends = resolutions().map(|resolution| finish(1, resolution)).into_iter();
        let with_plugins = resolutions().map(|resolution| Command::Finish {
            token: FencingToken(1),
            resolution,
            plugins: Some(plugins.clone()),
        });
        let rescues =
            resolutions().map(|resolution| Command::Rescue { from: node("a"), token: FencingToken(1), resolution });
        for command in ends.chain(with_plugins).chain(rescues) {
            for before in [&running, &asked] {
                let ended = changed(before, command.clone(), 7);
                let shown = |plugins: &[PluginResult]| {
                    plugins.iter().map(|plugin| (plugin.status, plugin.ended_at)).collect::<Vec<_>>()
                };
                let expected = [
                    (PluginStatus::Completed, Some(at(3))),
                    (PluginStatus::Interrupted, Some(at(7))),
                    (PluginStatus::NotRun, Some(at(7))),
                    (PluginStatus::Unavailable, None),
                ];
                assert_eq!(shown(&ended.plugins), expected, "{command:?}");
                assert_eq!(shown(&ended.plugins), expected, "{command:?}");
                if let Some(AttemptEnd::Completed(summary)) = &ended.attempts[0].end {
                    assert_eq!(*summary, ResultSummary::of(&ended.plugins, false));
                }
                assert!(ended.coverage().unfinished().is_empty() || !ended.status().is_terminal());
                // The row is read as it was written.
                assert_eq!(serde_json::from_str::<ScanRecord>(&serde_json::to_string(&ended).unwrap()).unwrap(), ended);
            }
        }
    }

    #[test]
    fn rows_that_an_older_program_ended_are_read_without_unfinished_plugins() {
        let plugins = vec![
            PluginResult::new("at it", PluginStatus::InProgress),
            PluginResult::new("next", PluginStatus::Pending),
        ];
        let ended = [
            finish(1, Resolution::Fail(crash())),
            finish(1, Resolution::Cancel(CancelledBy::User)),
            finish(1, Resolution::Requeue(Interruption::Shutdown)),
            finish(1, Resolution::Complete(Verdict { plugins: plugins.clone(), dry_run: false })),
        ];
        for command in ended {
            let mut old = changed(&leased(), command, 7);
            old.plugins.clone_from(&plugins);
            let mut row = serde_json::to_value(&old).unwrap();
            if old.status() == ScanStatus::Completed {
                let verdict = serde_json::json!({ "plugins": plugins, "dry_run": true });
                let state = row["state"].as_object_mut().unwrap();
                state.remove("summary").unwrap();
                state.insert("verdict".into(), verdict.clone());
                row["attempts"][0]["end"] = verdict;
                row["attempts"][0]["end"]["end"] = "completed".into();
                // Only the verdict has the plugins in rows of the first versions.
                row["plugins"] = serde_json::json!([]);
            }
            let read: ScanRecord = serde_json::from_value(row).unwrap();
            if let ScanState::Completed { summary, .. } = &read.state {
                assert_eq!(*summary, ResultSummary::of(&read.plugins, true));
                assert_eq!(read.attempts[0].end, Some(AttemptEnd::Completed(summary.clone())));
            }
            let shown: Vec<_> = read.plugins.iter().map(|plugin| (plugin.status, plugin.ended_at)).collect();
            assert_eq!(shown, [(PluginStatus::Interrupted, Some(at(7))), (PluginStatus::NotRun, Some(at(7)))]);
        }
        let mut running = leased();
        running.plugins = plugins;
        assert_eq!(serde_json::from_value::<ScanRecord>(serde_json::to_value(&running).unwrap()).unwrap(), running);
    }

    #[test]
    fn row_with_odd_plugins_round_trips() {
        let odd = PluginResult {
            findings_count: u64::MAX,
            issues: vec![crate::model::IssueRef {
                id: "x".into(),
                severity: crate::model::Severity::High,
                title: "X".into(),
            }],
            started_at: Some(at(9)),
            ended_at: Some(at(3)),
            ..PluginResult::new("odd", PluginStatus::Completed)
        };
        let plugins = vec![odd];
        let verdict = Verdict { plugins: plugins.clone(), dry_run: false };
        let progress = Command::Progress { token: FencingToken(1), scanner: None, plugins: plugins.clone() };
        let finish =
            |resolution| Command::Finish { token: FencingToken(1), resolution, plugins: Some(plugins.clone()) };
        for command in [
            progress,
            finish(Resolution::Fail(crash())),
            finish(Resolution::Complete(verdict.clone())),
            finish(Resolution::Adopt(verdict)),
        ] {
            let next = changed(&leased(), command, 5);
            assert_eq!(serde_json::from_str::<ScanRecord>(&serde_json::to_string(&next).unwrap()).unwrap(), next);
            let plugin = &next.plugins[0];
            assert_eq!(
                (plugin.findings_count, plugin.ended_at, plugin.severities.high),
                (crate::model::MAX_COUNT, None, 1)
            );
        }
    }

    #[test]
    fn a_scan_that_waits_for_a_repair_keeps_the_last_of_the_attempts_that_had_no_process() {
        let mut record = leased();
        for round in 0..500 {
            record = changed(&record, finish(record.token.0, Resolution::HoldBack(format!("no disk, {round}"))), 2);
            let expected = PendingReason::Requeued {
                why: Interruption::Infrastructure,
                detail: Some(format!("no disk, {round}")),
            };
            assert_eq!(record.state, ScanState::Pending { due: at(2), reason: expected });
            record = changed(&record, Command::Lease { node: node("a") }, 3);
        }
        let numbers: Vec<u32> = record.attempts.iter().map(|attempt| attempt.number.0).collect();
        assert_eq!(
            (numbers, record.failures, record.token),
            (vec![500, 501], 0, FencingToken(501)),
            "numbers name folders, so none comes twice"
        );
        // An attempt that had a process stays in the history.
        let scanner = Some(crate::model::ScannerInfo {
            kind: crate::model::ScannerKind::Kast,
            version: "1".into(),
            configuration: None,
        });
        record = changed(&record, Command::Progress { token: record.token, scanner, plugins: vec![] }, 4);
        record = changed(&record, finish(501, Resolution::HoldBack("no disk".into())), 5);
        assert_eq!(record.attempts.len(), 2);
    }

    #[test]
    fn rows_without_a_detail_keep_the_older_format() {
        let record = changed(&leased(), finish(1, Resolution::Requeue(Interruption::Shutdown)), 2);
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(
            json["state"],
            serde_json::json!({"status": "pending", "due": "1970-01-01T00:00:02Z", "reason": "requeued", "why": "shutdown"})
        );
        assert_eq!(json["attempts"][0]["end"], serde_json::json!({"end": "interrupted", "why": "shutdown"}));
        assert_eq!(serde_json::from_value::<ScanRecord>(json).unwrap(), record);
        let held = changed(&leased(), finish(1, Resolution::HoldBack("no disk".into())), 2);
        assert_eq!(serde_json::from_str::<ScanRecord>(&serde_json::to_string(&held).unwrap()).unwrap(), held);
    }

    #[test]
    fn a_stale_token_changes_nothing() {
        let second = changed(
            &changed(&leased(), finish(1, Resolution::Requeue(Interruption::Shutdown)), 2),
            Command::Lease { node: node("b") },
            3,
        );
        for token in [0, 1, 3] {
            assert_eq!(
                refused(&second, finish(token, Resolution::Complete(Verdict::default())), 4),
                Refusal::StaleToken
            );
            assert_eq!(
                refused(&second, Command::Progress { token: FencingToken(token), scanner: None, plugins: vec![] }, 4),
                Refusal::StaleToken
            );
            let rescue =
                Command::Rescue { from: node("b"), token: FencingToken(token), resolution: Resolution::Fail(crash()) };
            assert_eq!(refused(&second, rescue, 4), Refusal::StaleToken);
        }
        let of_another =
            Command::Rescue { from: node("a"), token: FencingToken(2), resolution: Resolution::Fail(crash()) };
        assert_eq!(refused(&second, of_another, 4), Refusal::StaleToken);
    }

    #[test]
    fn a_finished_scan_refuses_its_own_token() {
        let done = changed(&leased(), finish(1, Resolution::Complete(Verdict::default())), 2);
        assert_eq!(refused(&done, finish(1, Resolution::Fail(crash())), 3), Refusal::StaleToken);
    }

    #[test]
    fn a_rescue_fences_the_dead_node_out() {
        let rescued = changed(
            &leased(),
            Command::Rescue {
                from: node("a"),
                token: FencingToken(1),
                resolution: Resolution::Retry { failure: crash(), after: Duration::from_secs(4) },
            },
            5,
        );
        assert_eq!((rescued.status(), rescued.token, rescued.failures), (ScanStatus::Pending, FencingToken(2), 1));
        assert_eq!(refused(&rescued, finish(1, Resolution::Complete(Verdict::default())), 6), Refusal::StaleToken);
    }

    #[test]
    fn cancel_works_in_every_state_that_has_not_ended() {
        let cancel = || Command::Cancel { by: CancelledBy::User, principal: crate::model::Principal::Anonymous };
        assert_eq!(
            changed(&fixtures::record(1, at(0)), cancel(), 1).state,
            ScanState::Cancelled { at: at(1), by: CancelledBy::User }
        );
        let asked = changed(&leased(), cancel(), 2);
        assert_eq!((asked.status(), asked.cancel_requested), (ScanStatus::Running, Some(CancelledBy::User)));
        assert_eq!(refused(&asked, cancel(), 3), Refusal::AlreadyDone);
        let done = changed(&leased(), finish(1, Resolution::Complete(Verdict::default())), 2);
        assert_eq!(refused(&done, cancel(), 3), Refusal::AlreadyEnded(ScanStatus::Completed));
    }

    #[test]
    fn a_requested_cancel_wins_over_another_attempt_but_not_over_an_end() {
        let asked = changed(
            &leased(),
            Command::Cancel { by: CancelledBy::User, principal: crate::model::Principal::Anonymous },
            2,
        );
        for resolution in [
            Resolution::Retry { failure: crash(), after: Duration::from_secs(4) },
            Resolution::Requeue(Interruption::Shutdown),
        ] {
            assert_eq!(
                changed(&asked, finish(1, resolution), 3).state,
                ScanState::Cancelled { at: at(3), by: CancelledBy::User }
            );
        }
        assert_eq!(
            changed(&asked, finish(1, Resolution::Complete(Verdict::default())), 3).status(),
            ScanStatus::Completed
        );
        let adopted = changed(&asked, finish(1, Resolution::Adopt(Verdict::default())), 3);
        assert_eq!(
            (&adopted.state, &adopted.attempts[0].end),
            (&ScanState::Cancelled { at: at(3), by: CancelledBy::User }, &Some(AttemptEnd::Cancelled))
        );
    }

    #[test]
    fn only_a_scan_that_has_ended_is_transferred_and_only_from_its_project() {
        let project = |id: &str| id.parse::<ProjectId>().unwrap();
        let transfer = |from: &str, to: &str| Command::Transfer {
            from: project(from),
            to: project(to),
            principal: crate::model::Principal::System,
        };
        let (waiting, running) = (fixtures::record(1, at(0)), leased());
        assert_eq!(refused(&waiting, transfer("default", "team"), 2), Refusal::NotEnded(ScanStatus::Pending));
        assert_eq!(refused(&running, transfer("default", "team"), 2), Refusal::NotEnded(ScanStatus::Running));
        for resolution in [Resolution::Complete(Verdict::default()), Resolution::Fail(crash())] {
            let ended = changed(&running, finish(1, resolution), 3);
            assert_eq!(refused(&ended, transfer("other", "team"), 4), Refusal::InOtherProject);
            assert_eq!(refused(&ended, transfer("default", "default"), 4), Refusal::AlreadyDone);
            let moved = changed(&ended, transfer("default", "team"), 4);
            let expected = ScanRecord { project: project("team"), version: ended.version + 1, ..ended.clone() };
            assert_eq!(moved, expected, "nothing else changes");
            assert_eq!(refused(&moved, transfer("default", "team"), 5), Refusal::InOtherProject);
        }
    }

    fn any_command() -> impl Strategy<Value = Command> {
        let resolution = || {
            prop_oneof![
                Just(Resolution::Complete(Verdict::default())),
                Just(Resolution::Adopt(Verdict::default())),
                (0..40_u64).prop_map(|after| Resolution::Retry { failure: crash(), after: Duration::from_secs(after) }),
                Just(Resolution::Fail(crash())),
                Just(Resolution::Requeue(Interruption::Shutdown)),
                Just(Resolution::HoldBack("no disk".into())),
                Just(Resolution::Cancel(CancelledBy::User)),
            ]
        };
        prop_oneof![
            4 => "[ab]".prop_map(|name| Command::Lease { node: node(&name) }),
            1 => (0..6_u64).prop_map(|token| Command::Progress { token: FencingToken(token), scanner: None, plugins: vec![] }),
            2 => (0..6_u64, resolution()).prop_map(|(token, resolution)| finish(token, resolution)),
            1 => Just(Command::Cancel { by: CancelledBy::User, principal: crate::model::Principal::Anonymous }),
            1 => "[ab]".prop_map(|to| Command::Transfer {
                from: ProjectId::default(),
                to: to.parse().unwrap(),
                principal: crate::model::Principal::Anonymous,
            }),
            1 => ("[ab]", 0..6_u64, resolution()).prop_map(|(from, token, resolution)| Command::Rescue { from: node(&from), token: FencingToken(token), resolution }),
        ]
    }

    proptest! {
        #[test]
        fn row_ends_are_final_and_tokens_and_versions_grow(commands in proptest::collection::vec(any_command(), 1..40)) {
            let mut record = fixtures::record(1, at(0));
            for (second, command) in commands.into_iter().enumerate() {
                if let Transition::Changed(next) = transition(&record, &command, at(i64::try_from(second).unwrap())) {
                    let is_transfer = matches!(command, Command::Transfer { .. });
                    prop_assert_eq!(record.status().is_terminal(), is_transfer, "{:?}", command);
                    prop_assert!(!is_transfer || next.state == record.state);
                    prop_assert!(next.token >= record.token);
                    prop_assert_eq!(next.version, record.version + 1);
                    prop_assert!(next.attempts.windows(2).all(|pair| pair[0].number < pair[1].number && pair[0].token < pair[1].token));
                    let open = next.attempts.iter().filter(|attempt| attempt.end.is_none()).count();
                    prop_assert_eq!(open, usize::from(next.status() == ScanStatus::Running));
                    record = *next;
                }
            }
        }
    }
}
