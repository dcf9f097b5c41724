//! Checks the rows and the journals of the processes after a chaos run.

use std::collections::{BTreeMap, BTreeSet};

use kastrel_actors::model::{AttemptEnd, FailureKind, ScanId, ScanRecord, ScanStatus};

use super::plan;
use crate::cluster::harness::JournalLine;

/// The observed rows during the faults, and the problems found.
#[derive(Debug, Default)]
pub(super) struct History {
    seen: BTreeMap<ScanId, ScanRecord>,
    pub(super) problems: Vec<String>,
}

impl History {
    /// Records the current state of a row.
    pub(super) fn see(&mut self, now: &ScanRecord) {
        if let Some(before) = self.seen.get(&now.id) {
            let wrong = wrong_step(before, now);
            self.problems
                .extend(wrong.map(|what| format!("scan {}: {what}\nbefore {before:#?}\nnow {now:#?}", now.id)));
        }
        self.seen.insert(now.id, now.clone());
    }
}

/// Returns the problem if a row changed in a forbidden way.
fn wrong_step(before: &ScanRecord, now: &ScanRecord) -> Option<&'static str> {
    let ended = |record: &ScanRecord| {
        record.attempts.iter().filter(|attempt| attempt.end.is_some()).cloned().collect::<Vec<_>>()
    };
    if now.version < before.version || now.token < before.token {
        Some("its version or token went back")
    } else if before.status().is_terminal() && before != now {
        Some("it changed after its end")
    } else if !ended(now).starts_with(&ended(before)) {
        Some("an attempt changed after its end")
    } else {
        None
    }
}

/// Returns the problem of a row at the end of the run.
pub(super) fn wrong_end(record: &ScanRecord, max_attempts: u32) -> Option<String> {
    let status = record.status();
    if !status.is_terminal() {
        return Some(format!("has not ended: {:?}", record.state));
    }
    let numbers: Vec<u32> = record.attempts.iter().map(|attempt| attempt.number.0).collect();
    if numbers != (1..=u32::try_from(record.attempts.len()).unwrap()).collect::<Vec<_>>() {
        return Some(format!("its attempts are {numbers:?}"));
    }
    if !record.attempts.is_sorted_by(|one, next| one.token < next.token)
        || record.attempts.last().is_some_and(|last| last.token > record.token)
    {
        return Some("the tokens of its attempts do not grow".into());
    }
    if record.attempts.iter().any(|attempt| attempt.end.is_none()) {
        return Some("an attempt of it has no end".into());
    }
    let count = |wanted: fn(&AttemptEnd) -> bool| {
        record.attempts.iter().filter_map(|attempt| attempt.end.as_ref()).filter(|end| wanted(end)).count()
    };
    let completed = count(|end| matches!(end, AttemptEnd::Completed(_)));
    let last_completed = record.attempts.last().is_some_and(|last| matches!(last.end, Some(AttemptEnd::Completed(_))));
    if completed != usize::from(status == ScanStatus::Completed) || last_completed != (status == ScanStatus::Completed)
    {
        return Some(format!("is {status}, and {completed} attempts completed"));
    }
    let failed = count(|end| matches!(end, AttemptEnd::Failed(_)));
    if failed != record.failures as usize {
        return Some(format!("counts {} failures of {failed}", record.failures));
    }
    if status == ScanStatus::Failed && record.failures != max_attempts && !found_nothing_to_check(record) {
        return Some(format!("was given up after {failed} failures"));
    }
    if status == ScanStatus::Cancelled && record.cancel_requested.is_none() {
        return Some("was cancelled by nobody".into());
    }
    None
}

/// Returns true if the last attempt ended without a completed check, which is not retried. Only a
/// scan whose single plugin fails may end this way.
fn found_nothing_to_check(record: &ScanRecord) -> bool {
    let end = record.attempts.last().and_then(|last| last.end.as_ref());
    matches!(end, Some(AttemptEnd::Failed(failure)) if failure.kind == FailureKind::NothingChecked)
        && plan::checks_nothing(&record.request.target.to_string())
}

/// Returns the problem of a scan's processes: two at a time, two of one attempt, one of an unknown
/// attempt, or none of a completed attempt.
pub(super) fn wrong_processes(record: &ScanRecord, journal: &[JournalLine]) -> Option<String> {
    let starts: Vec<u64> = journal.iter().filter(|line| line.what != "finish").map(|line| line.attempt).collect();
    let known: BTreeSet<u64> = record.attempts.iter().map(|attempt| u64::from(attempt.number.0)).collect();
    let unique: BTreeSet<u64> = starts.iter().copied().collect();
    let is_missing = record.status() == ScanStatus::Completed && !unique.contains(&(record.attempts.len() as u64));
    let wrong = journal.iter().any(|line| line.what == "overlap")
        || unique.len() != starts.len()
        || !unique.is_subset(&known)
        || is_missing;
    wrong.then(|| format!("{} attempts, and its processes wrote {journal:?}", record.attempts.len()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use kastrel_actors::model::{CancelledBy, Command, Failure, FencingToken, NodeId, Resolution, Verdict};
    use kastrel_actors::policy::transition::{Transition, transition};
    use kastrel_actors::testing::fixtures;

    use super::*;

    /// Returns the rows of a scan that completes at its second attempt, from its submission on.
    fn life() -> Vec<ScanRecord> {
        let node: NodeId = "a".parse().unwrap();
        let (due, after) = (Timestamp::UNIX_EPOCH, Duration::ZERO);
        let failure = Failure::new(FailureKind::NodeLost, "x");
        let mut rows = vec![fixtures::record(1, due)];
        for command in [
            Command::Lease { node: node.clone() },
            Command::Rescue {
                from: node.clone(),
                token: FencingToken(1),
                resolution: Resolution::Retry { failure, after },
            },
            Command::Lease { node },
            Command::Finish {
                token: FencingToken(3),
                resolution: Resolution::Complete(Verdict::default()),
                plugins: None,
            },
        ] {
            let Transition::Changed(next) = transition(rows.last().unwrap(), &command, due) else {
                panic!("{command:?}")
            };
            rows.push(*next);
        }
        rows
    }

    fn lines(text: &str) -> Vec<JournalLine> {
        text.lines().map(JournalLine::read).collect()
    }

    #[test]
    fn valid_row_history_has_no_problem() {
        let mut history = History::default();
        life().iter().for_each(|row| history.see(row));
        assert!(history.problems.is_empty(), "{:?}", history.problems);
        let end = life().pop().unwrap();
        assert_eq!(wrong_end(&end, 3), None);
        assert_eq!(wrong_processes(&end, &lines("start 1 10 100\nstart 2 11 200\nfinish 2 11 300")), None);
    }

    /// Returns a scan whose only attempt ended without a completed check.
    fn nothing_checked(target: &str) -> ScanRecord {
        let mut row = fixtures::record(1, Timestamp::UNIX_EPOCH);
        row.request.target = target.parse().unwrap();
        let fail = Resolution::Fail(Failure::new(FailureKind::NothingChecked, "x"));
        for command in [
            Command::Lease { node: "a".parse().unwrap() },
            Command::Finish { token: FencingToken(1), resolution: fail, plugins: None },
        ] {
            let Transition::Changed(next) = transition(&row, &command, Timestamp::UNIX_EPOCH) else {
                panic!("{command:?}")
            };
            row = *next;
        }
        row
    }

    #[test]
    fn a_scan_whose_only_plugin_fails_ends_at_once() {
        assert_eq!(wrong_end(&nothing_checked("failp-9ms-1p.test"), 3), None);
    }

    #[test]
    fn invalid_rows_and_processes_are_found() {
        let rows = life();
        assert!(rows[..4].iter().all(|row| wrong_end(row, 3).is_some()));
        let mut end = rows[4].clone();
        end.failures = 0;
        assert!(wrong_end(&end, 3).unwrap().contains("counts 0 failures of 1"));
        let mut twice = rows[4].clone();
        twice.attempts[0].end = twice.attempts[1].end.clone();
        assert!(wrong_end(&twice, 3).unwrap().contains("2 attempts completed"));
        let mut given_up = nothing_checked("failp-9ms-2p.test");
        assert!(wrong_end(&given_up, 3).unwrap().contains("was given up after 1"));
        given_up.attempts[0].end = Some(AttemptEnd::Failed(Failure::new(FailureKind::NodeLost, "x")));
        given_up.request.target = "failp-9ms-1p.test".parse().unwrap();
        assert!(wrong_end(&given_up, 3).unwrap().contains("was given up after 1"));
        let mut cancelled = rows[0].clone();
        cancelled.state =
            kastrel_actors::model::ScanState::Cancelled { at: Timestamp::UNIX_EPOCH, by: CancelledBy::User };
        assert!(wrong_end(&cancelled, 3).unwrap().contains("by nobody"));
        for (before, now) in [(&rows[4], &rows[3]), (&rows[4], &end), (&rows[2], &twice)] {
            assert!(wrong_step(before, now).is_some());
        }
        for journal in [
            "start 1 10 100\noverlap 2 11 200\nfinish 2 11 300",
            "start 1 10 100\nstart 2 11 200\nstart 2 12 201",
            "start 1 10 100",
            "start 2 10 100\nstart 3 11 200",
        ] {
            assert!(wrong_processes(&rows[4], &lines(journal)).is_some(), "{journal}");
        }
    }
}
