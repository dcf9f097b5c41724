//! Splits the time between two attempts into its parts, as a pure function of the row and, for a
//! scan that waits now, of the current reason. A hold or a pause is not a backoff.

use jiff::Timestamp;

use super::waiting::Waiting;
use crate::model::{AttemptEnd, ScanRecord, ScanState};

/// A part of a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitPart {
    /// `Queued`, `Backoff`, `Held back` or `Paused`; `Waiting` if the row of an older version does
    /// not contain the reason.
    pub name: &'static str,
    /// The preceding event, or the current blocker, as a short text; may be empty.
    pub detail: String,
    /// The start.
    pub from: Timestamp,
    /// The end, or the current time.
    pub until: Timestamp,
}

/// Returns the parts of the wait before the attempt at this index of the history.
#[must_use]
pub fn before_attempt(record: &ScanRecord, at: usize) -> Vec<WaitPart> {
    let Some(attempt) = record.attempts.get(at) else { return Vec::new() };
    let earlier = at.checked_sub(1).and_then(|at| record.attempts.get(at));
    let since = earlier.map_or(record.created_at, |earlier| earlier.ended_at.unwrap_or(earlier.started_at));
    parts(earlier.and_then(|earlier| earlier.end.as_ref()), since, attempt.due, attempt.started_at)
}

/// Returns the parts of the wait of a scan that is pending at `now`, for the reason `waiting`.
#[must_use]
pub fn until_now(record: &ScanRecord, waiting: Option<&Waiting>, now: Timestamp) -> Vec<WaitPart> {
    let ScanState::Pending { due, .. } = &record.state else { return Vec::new() };
    let end = record.last_attempt().and_then(|attempt| attempt.end.as_ref());
    let mut parts = parts(end, record.waits_since(), Some(*due), now);
    if let (Some(last), Some(waiting)) = (parts.last_mut(), waiting)
        && last.name == "Queued"
    {
        let (name, since, detail) = match waiting {
            Waiting::HeldBack(held) => ("Held back", Some(held.since), held.to_string()),
            Waiting::Paused(pause) => ("Paused", Some(pause.since), pause.reason.clone().unwrap_or_default()),
            Waiting::NoWorker { .. } => ("Queued", None, "no worker takes it now".into()),
            Waiting::NoCapableWorker { .. } => ("Queued", None, "no connected worker has all its plugins".into()),
            Waiting::QueueDown { .. } => ("Queued", None, "the job queue is unavailable now".into()),
            Waiting::Queued { .. } | Waiting::Retry { .. } => return parts,
        };
        match since {
            None => last.detail = detail,
            Some(since) => {
                let from = since.max(last.from).min(last.until);
                let held = WaitPart { name, detail, from, until: last.until };
                last.until = from;
                if last.from >= last.until {
                    parts.pop();
                }
                parts.push(held);
            }
        }
    }
    parts
}

fn parts(end: Option<&AttemptEnd>, since: Timestamp, due: Option<Timestamp>, until: Timestamp) -> Vec<WaitPart> {
    // A clock that was set back in between must not make a wait negative.
    let until = until.max(since);
    let part = |name, detail: String, from, until| WaitPart { name, detail, from, until };
    let after = |end: &str, kind: &str| format!("after {end}: {}", kind.replace('_', " "));
    match (end, due) {
        (Some(AttemptEnd::Failed(failure)), Some(due)) => {
            let turn = due.max(since).min(until);
            let backoff = (turn > since).then(|| part("Backoff", after("failure", failure.kind.as_str()), since, turn));
            let queued = (until > turn || turn == since).then(|| part("Queued", String::new(), turn, until));
            backoff.into_iter().chain(queued).collect()
        }
        (Some(AttemptEnd::Failed(failure)), None) => {
            vec![part("Waiting", after("failure", failure.kind.as_str()), since, until)]
        }
        (Some(AttemptEnd::Interrupted { why, .. }), _) => {
            vec![part("Queued", after("interruption", why.as_str()), since, until)]
        }
        (Some(AttemptEnd::Completed(_) | AttemptEnd::Cancelled) | None, _) => {
            vec![part("Queued", String::new(), since, until)]
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{
        Command, Failure, FailureKind, FaultKind, FencingToken, HeldBack, Interruption, NodeFault, QueuePause,
        Resolution,
    };
    use crate::policy::transition::{Transition, transition};
    use crate::testing::fixtures;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn after(record: &ScanRecord, command: Command, second: i64) -> ScanRecord {
        match transition(record, &command, at(second)) {
            Transition::Changed(next) => *next,
            Transition::Refused(why) => panic!("{why}"),
        }
    }

    fn shown(parts: &[WaitPart]) -> Vec<String> {
        parts
            .iter()
            .map(|part| {
                format!("{} {}-{} {}", part.name, part.from.as_second(), part.until.as_second(), part.detail)
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }

    /// A scan that failed at 40 s and is retried from 50 s on.
    fn failed() -> ScanRecord {
        let leased = after(&fixtures::record(1, at(0)), Command::Lease { node: "a".parse().unwrap() }, 10);
        let resolution =
            Resolution::Retry { failure: Failure::new(FailureKind::Crashed, "x"), after: Duration::from_secs(10) };
        after(&leased, Command::Finish { token: FencingToken(1), resolution, plugins: None }, 40)
    }

    #[test]
    fn the_time_before_an_attempt_is_backoff_only_until_it_was_due() {
        let record = after(&failed(), Command::Lease { node: "a".parse().unwrap() }, 70);
        assert_eq!(shown(&before_attempt(&record, 0)), ["Queued 0-10"]);
        assert_eq!(shown(&before_attempt(&record, 1)), ["Backoff 40-50 after failure: crashed", "Queued 50-70"]);
        assert!(before_attempt(&record, 2).is_empty());
        let mut old = record;
        old.attempts[1].due = None;
        assert_eq!(
            shown(&before_attempt(&old, 1)),
            ["Waiting 40-70 after failure: crashed"],
            "a row of an older program does not say"
        );
        let interrupted = after(
            &old,
            Command::Finish {
                token: FencingToken(2),
                resolution: Resolution::Requeue(Interruption::Shutdown),
                plugins: None,
            },
            80,
        );
        let again = after(&interrupted, Command::Lease { node: "a".parse().unwrap() }, 85);
        assert_eq!(shown(&before_attempt(&again, 2)), ["Queued 80-85 after interruption: shutdown"]);
    }

    #[test]
    fn a_hold_or_a_pause_is_no_backoff() {
        let faults = vec![NodeFault::new(FaultKind::ResultsFolder, "/r is missing", "mount it")];
        let held = |since| Waiting::HeldBack(HeldBack { since: at(since), until: at(99), faults: faults.clone() });
        let paused = Waiting::Paused(QueuePause { since: at(55), reason: None });
        let record = failed();
        for (waiting, now, expected) in [
            (None, 45, &["Backoff 40-45 after failure: crashed"][..]),
            (Some(held(42)), 45, &["Backoff 40-45 after failure: crashed"]),
            (None, 70, &["Backoff 40-50 after failure: crashed", "Queued 50-70"]),
            (Some(held(42)), 70, &["Backoff 40-50 after failure: crashed", "Held back 50-70 /r is missing (mount it)"]),
            (
                Some(held(60)),
                70,
                &["Backoff 40-50 after failure: crashed", "Queued 50-60", "Held back 60-70 /r is missing (mount it)"],
            ),
            (Some(paused), 70, &["Backoff 40-50 after failure: crashed", "Queued 50-55", "Paused 55-70"]),
            (
                Some(Waiting::NoWorker { leaving: 0 }),
                70,
                &["Backoff 40-50 after failure: crashed", "Queued 50-70 no worker takes it now"],
            ),
        ] {
            assert_eq!(shown(&until_now(&record, waiting.as_ref(), at(now))), expected, "{waiting:?} {now}");
        }
        let new = fixtures::record(1, at(0));
        assert_eq!(shown(&until_now(&new, Some(&held(-5)), at(20))), ["Held back 0-20 /r is missing (mount it)"]);
        assert_eq!(shown(&until_now(&new, None, at(-3))), ["Queued 0-0"], "a clock that was set back");
    }
}
