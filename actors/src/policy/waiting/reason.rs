//! The reasons why a single scan waits.

use std::fmt;

use jiff::Timestamp;

use super::facts::{QueueFacts, no_worker};
use super::words::{capitalised, leaving_text, ordinal};
use crate::model::{Failure, HeldBack, Interruption, PendingReason, QueuePause, ScanRecord, ScanState};
use crate::policy::placement;

/// The reason why a scan waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// The scan waits for a free slot.
    Queued {
        /// Its position among the scans that are due, from 1, if known.
        position: Option<u64>,
        /// Why Kastrel interrupted its last attempt, which costs nothing, and the details.
        interrupted: Option<(Interruption, Option<String>)>,
    },
    /// The scan waits for its next attempt.
    Retry {
        /// The failure of the last attempt.
        failure: Failure,
        /// The number of failed attempts so far.
        failures: u32,
        /// The time of the retry.
        at: Timestamp,
    },
    /// The scan waits for a node that starts it: all capable nodes have a fault, or too many
    /// attempts failed.
    HeldBack(HeldBack),
    /// The scan waits for the end of a pause.
    Paused(QueuePause),
    /// The scan waits for a worker.
    NoWorker {
        /// How many connected nodes drain or stop.
        leaving: usize,
    },
    /// The scan waits for a worker whose scanner has its plugins.
    NoCapableWorker {
        /// The plugins that each worker lacks.
        why: String,
    },
    /// The scan waits for the job queue.
    QueueDown {
        /// The reason, in the words of its server.
        why: String,
    },
}

/// Returns all reasons why a scan does not start now, the decisive one first; empty if it is not
/// pending. `held` is the reason why no node starts a scan of its target. `position` is its
/// position among the scans that are due.
#[must_use]
pub fn reasons(
    record: &ScanRecord,
    facts: QueueFacts<'_>,
    held: Option<&HeldBack>,
    position: Option<u64>,
) -> Vec<Waiting> {
    let ScanState::Pending { due, reason } = &record.state else { return Vec::new() };
    let mut found: Vec<Waiting> = facts.paused.cloned().map(Waiting::Paused).into_iter().collect();
    let retry = match reason {
        PendingReason::Retry { failure } if *due > facts.now => {
            Some(Waiting::Retry { failure: failure.clone(), failures: record.failures, at: *due })
        }
        _ => None,
    };
    // A hold that ends before the scan may start anyway does not delay it.
    let held = held.filter(|held| retry.is_none() || held.until > *due);
    let no_worker = no_worker(facts);
    let held = held.filter(|_| no_worker.is_none()).cloned().map(Waiting::HeldBack);
    let is_later = retry.is_some();
    if is_later && held.is_none() {
        found.extend(retry);
        return found;
    }
    if !is_later {
        found.extend(facts.trouble.map(|why| Waiting::QueueDown { why: why.to_owned() }));
        found.extend(no_worker.map(|leaving| Waiting::NoWorker { leaving }));
        let incapable =
            facts.nodes.filter(|_| no_worker.is_none()).and_then(|nodes| placement::nobody_can(&record.request, nodes));
        found.extend(incapable.map(|why| Waiting::NoCapableWorker { why }));
    }
    found.extend(held);
    found.extend(retry);
    if found.is_empty() {
        let interrupted = match reason {
            PendingReason::Requeued { why, detail } => Some((*why, detail.clone())),
            PendingReason::Submitted | PendingReason::Retry { .. } => None,
        };
        found.push(Waiting::Queued { position, interrupted });
    }
    found
}

impl Waiting {
    /// All names of reasons in the API.
    pub const NAMES: &'static [&'static str] =
        &["queued", "retry", "held_back", "paused", "no_worker", "no_capable_worker", "queue_down"];

    /// Returns the name in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Retry { .. } => "retry",
            Self::HeldBack(_) => "held_back",
            Self::Paused(_) => "paused",
            Self::NoWorker { .. } => "no_worker",
            Self::NoCapableWorker { .. } => "no_capable_worker",
            Self::QueueDown { .. } => "queue_down",
        }
    }

    /// Returns the kind of failure or interruption of the last attempt, or of the fault.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Queued { interrupted, .. } => interrupted.as_ref().map(|(why, _)| why.as_str()),
            Self::Retry { failure, .. } => Some(failure.kind.as_str()),
            Self::HeldBack(held) => held.faults.first().map(|fault| fault.kind.as_str()),
            Self::Paused(_) | Self::NoWorker { .. } | Self::NoCapableWorker { .. } | Self::QueueDown { .. } => None,
        }
    }

    /// Returns the details of the reason: the last failure, the faults, or the reason of the pause.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Queued { interrupted, .. } => interrupted.as_ref().and_then(|(_, detail)| detail.clone()),
            Self::Retry { failure, .. } => Some(failure.detail.clone()),
            Self::HeldBack(held) => Some(held.to_string()),
            Self::Paused(pause) => pause.reason.clone(),
            Self::NoWorker { leaving: 0 } => None,
            Self::NoWorker { leaving } => Some(leaving_text(*leaving)),
            Self::NoCapableWorker { why } | Self::QueueDown { why } => Some(why.clone()),
        }
    }

    /// Returns true if the scan waits for more than a slot or its retry time.
    #[must_use]
    pub const fn is_unusual(&self) -> bool {
        match self {
            Self::Queued { .. } | Self::Retry { .. } => false,
            Self::HeldBack(_)
            | Self::Paused(_)
            | Self::NoWorker { .. }
            | Self::NoCapableWorker { .. }
            | Self::QueueDown { .. } => true,
        }
    }

    /// Returns the earliest time of the scan's next attempt, or of a hold's next check. `due` is
    /// the row's.
    #[must_use]
    pub fn next(&self, due: Timestamp) -> Timestamp {
        match self {
            Self::HeldBack(held) => held.until.max(due),
            Self::Retry { at, .. } => *at,
            _ => due,
        }
    }
}

/// Formats the reason as sentences without times. Times are shown separately, in the zone and
/// format of the view.
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued { position, interrupted } => {
                if let Some((why, detail)) = interrupted {
                    let why = detail.clone().unwrap_or_else(|| why.as_str().replace('_', " "));
                    write!(f, "Last attempt interrupted by Kastrel ({why}); not counted as an attempt. ")?;
                }
                match position {
                    Some(position) => write!(f, "Queued, {} in line. Starts when a slot is free.", ordinal(*position)),
                    None => f.write_str("Queued. Starts when a slot is free."),
                }
            }
            Self::Retry { failure, failures, .. } => {
                write!(f, "Attempt {failures} failed: {}. The scan is retried.", failure.detail)
            }
            Self::HeldBack(held) => write!(f, "Held back: {held}. Not counted as an attempt; starts automatically."),
            Self::Paused(QueuePause { reason: Some(reason), .. }) => {
                write!(f, "The queue is paused ({reason}). Starts when the queue is resumed.")
            }
            Self::Paused(QueuePause { reason: None, .. }) => {
                f.write_str("The queue is paused. Starts when the queue is resumed.")
            }
            Self::NoWorker { leaving: 0 } => f.write_str("No worker connected. Starts when a worker connects."),
            Self::NoWorker { leaving } => {
                write!(f, "No worker takes new scans: {}. Starts when one does.", leaving_text(*leaving))
            }
            Self::NoCapableWorker { why } => {
                write!(f, "{}. The scan fails unless a worker that has them connects soon.", capitalised(why))
            }
            Self::QueueDown { why } => {
                write!(f, "The job queue is unavailable: {why}. The scan is stored, and starts when the queue is back.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, held, node};
    use super::*;
    use crate::model::{FailureKind, NodeRecord};
    use crate::testing::fixtures;

    /// A scan of plugin `zap` that is due at 100 s; the current time is 100 s.
    fn scan(reason: PendingReason, due: i64) -> ScanRecord {
        let mut record = fixtures::record(1, at(0));
        record.request.options.plugins = vec!["zap".into()];
        record.failures = 1;
        record.state = ScanState::Pending { due: at(due), reason };
        record
    }

    fn retry() -> PendingReason {
        PendingReason::Retry { failure: Failure::new(FailureKind::Crashed, "it broke") }
    }

    fn interrupted() -> PendingReason {
        PendingReason::Requeued { why: Interruption::LeaseLost, detail: None }
    }

    #[test]
    #[expect(clippy::type_complexity, reason = "a table")]
    fn queue_state_determines_reason_and_sentence() {
        let pause = |reason: Option<&str>| QueuePause { since: at(5), reason: reason.map(Into::into) };
        let (able, other, dead, draining) = (
            node(true, false, &["zap"]),
            node(true, false, &["tls"]),
            node(false, false, &["zap"]),
            node(true, true, &["zap"]),
        );
        let one = |node: &NodeRecord| Some(vec![node.clone()]);
        let due = || scan(PendingReason::Submitted, 100);
        let later = || scan(retry(), 160);
        let no_zap = "No connected worker has all plugins of this scan: a (KAST 1) has no zap. The scan fails unless a worker that has them connects soon.";
        let down = "Redis at r:6379/0: OOM";
        let table: Vec<(
            ScanRecord,
            Option<QueuePause>,
            Option<&str>,
            Option<Vec<NodeRecord>>,
            bool,
            Option<HeldBack>,
            Option<u64>,
            &[&str],
            &str,
        )> = vec![
            (
                due(),
                None,
                None,
                one(&able),
                false,
                None,
                Some(3),
                &["queued"],
                "Queued, 3rd in line. Starts when a slot is free.",
            ),
            (due(), None, None, None, false, None, None, &["queued"], "Queued. Starts when a slot is free."),
            (
                scan(interrupted(), 100),
                None,
                None,
                one(&able),
                false,
                None,
                Some(1),
                &["queued"],
                "Last attempt interrupted by Kastrel (lease lost); not counted as an attempt. Queued, 1st in line. Starts when a slot is free.",
            ),
            (
                later(),
                None,
                None,
                one(&able),
                false,
                None,
                None,
                &["retry"],
                "Attempt 1 failed: it broke. The scan is retried.",
            ),
            // Its retry time has come: it waits for a slot like any other scan.
            (
                scan(retry(), 100),
                None,
                None,
                one(&able),
                false,
                None,
                Some(2),
                &["queued"],
                "Queued, 2nd in line. Starts when a slot is free.",
            ),
            (
                due(),
                Some(pause(None)),
                None,
                one(&able),
                false,
                None,
                None,
                &["paused"],
                "The queue is paused. Starts when the queue is resumed.",
            ),
            (
                later(),
                Some(pause(Some("an upgrade"))),
                None,
                one(&able),
                true,
                None,
                None,
                &["paused", "retry"],
                "The queue is paused (an upgrade). Starts when the queue is resumed.",
            ),
            (
                due(),
                None,
                None,
                Some(vec![]),
                false,
                None,
                None,
                &["no_worker"],
                "No worker connected. Starts when a worker connects.",
            ),
            (
                due(),
                None,
                None,
                one(&dead),
                false,
                Some(held(120)),
                None,
                &["no_worker"],
                "No worker connected. Starts when a worker connects.",
            ),
            (due(), None, None, one(&dead), true, None, None, &["queued"], "Queued. Starts when a slot is free."),
            (
                due(),
                None,
                None,
                one(&draining),
                true,
                None,
                None,
                &["no_worker"],
                "No worker takes new scans: 1 connected worker is draining or stopping. Starts when one does.",
            ),
            (
                later(),
                None,
                None,
                Some(vec![]),
                false,
                None,
                None,
                &["retry"],
                "Attempt 1 failed: it broke. The scan is retried.",
            ),
            (due(), None, None, one(&other), false, None, None, &["no_capable_worker"], no_zap),
            (
                due(),
                None,
                None,
                one(&able),
                false,
                Some(held(120)),
                None,
                &["held_back"],
                "Held back: the folder /r is missing (mount it). Not counted as an attempt; starts automatically.",
            ),
            // The later of a hold and a retry decides.
            (
                later(),
                None,
                None,
                one(&able),
                false,
                Some(held(120)),
                None,
                &["retry"],
                "Attempt 1 failed: it broke. The scan is retried.",
            ),
            (
                later(),
                None,
                None,
                one(&able),
                false,
                Some(held(170)),
                None,
                &["held_back", "retry"],
                "Held back: the folder /r is missing (mount it). Not counted as an attempt; starts automatically.",
            ),
            (
                due(),
                None,
                Some(down),
                one(&able),
                false,
                None,
                None,
                &["queue_down"],
                "The job queue is unavailable: Redis at r:6379/0: OOM. The scan is stored, and starts when the queue is back.",
            ),
            (
                due(),
                Some(pause(None)),
                Some(down),
                Some(vec![]),
                false,
                None,
                None,
                &["paused", "queue_down", "no_worker"],
                "The queue is paused. Starts when the queue is resumed.",
            ),
        ];
        let mut seen = std::collections::BTreeSet::new();
        for (record, paused, trouble, nodes, own_node, held, position, names, sentence) in table {
            let facts =
                QueueFacts { now: at(100), paused: paused.as_ref(), trouble, nodes: nodes.as_deref(), own_node };
            let found = reasons(&record, facts, held.as_ref(), position);
            assert_eq!(found.iter().map(Waiting::name).collect::<Vec<_>>(), names, "{sentence}");
            assert_eq!(found[0].to_string(), sentence);
            assert!(found[0].next(at(100)) >= at(100));
            seen.extend(found.iter().map(Waiting::name));
        }
        assert_eq!(seen.len(), Waiting::NAMES.len(), "the table has every reason: {seen:?}");
    }

    #[test]
    fn a_scan_that_does_not_wait_has_no_reason() {
        let mut record = scan(PendingReason::Submitted, 0);
        record.state =
            ScanState::Running { attempt: crate::model::AttemptNumber(1), node: "a".parse().unwrap(), since: at(1) };
        let facts = QueueFacts { now: at(100), paused: None, trouble: Some("down"), nodes: Some(&[]), own_node: false };
        assert!(reasons(&record, facts, Some(&held(9)), None).is_empty());
    }

    #[test]
    fn next_start_depends_on_the_reason() {
        let due = at(100);
        let hold = Waiting::HeldBack(held(130));
        assert_eq!((hold.next(due), Waiting::HeldBack(held(90)).next(due)), (at(130), due));
        assert_eq!(Waiting::Queued { position: None, interrupted: None }.next(due), due);
    }
}
