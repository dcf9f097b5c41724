//! Why scans wait. One pure function derives from the state of the queue what keeps all scans from
//! starting, and one derives why a single scan waits. The API, the command line, the pages and the
//! trace show their results, with the sentences defined here.

use std::fmt;

use jiff::Timestamp;

use super::placement;
use crate::model::{
    Failure, HeldBack, Interruption, NodeActivity, NodeRecord, PendingReason, QueuePause, ScanRecord, ScanState,
};

/// The state of the queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueFacts<'a> {
    /// The time at which the state is evaluated.
    pub now: Timestamp,
    /// The pause, if an operator has paused the queue.
    pub paused: Option<&'a QueuePause>,
    /// The reason why the job queue accepts or delivers no signals, in the words of its server.
    pub trouble: Option<&'a str>,
    /// The nodes as stored in their rows; `None` if they are not known.
    pub nodes: Option<&'a [NodeRecord]>,
    /// True if this process has a node of its own, which may be about to register.
    pub own_node: bool,
}

/// A condition that keeps every scan from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartBlocker {
    /// An operator has paused the queue.
    Paused(QueuePause),
    /// The job queue accepts or delivers no signals.
    QueueDown {
        /// The reason, in the words of its server.
        why: String,
    },
    /// No node takes scans.
    NoWorker {
        /// How many connected nodes drain or stop.
        leaving: usize,
    },
    /// No node starts scans now: all have a fault, or too many attempts failed.
    HeldBack(HeldBack),
}

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

/// Returns the conditions that keep every scan from starting, the most important first; empty if
/// scans start. `held` is the reason why no node starts any scan, if that is the case.
#[must_use]
pub fn start_blockers(facts: QueueFacts<'_>, held: Option<&HeldBack>) -> Vec<StartBlocker> {
    let paused = facts.paused.cloned().map(StartBlocker::Paused);
    let down = facts.trouble.map(|why| StartBlocker::QueueDown { why: why.to_owned() });
    let no_worker = no_worker(facts).map(|leaving| StartBlocker::NoWorker { leaving });
    // Without a worker, no node can hold scans back.
    let held = held.filter(|_| no_worker.is_none()).cloned().map(StartBlocker::HeldBack);
    [paused, down, no_worker, held].into_iter().flatten().collect()
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

/// Returns how many connected nodes take no scans, if no node takes any.
fn no_worker(facts: QueueFacts<'_>) -> Option<usize> {
    let nodes = facts.nodes?;
    let alive = || nodes.iter().filter(|node| node.is_alive);
    let is_starting = facts.own_node && alive().next().is_none();
    if is_starting || placement::eligible_nodes(nodes).next().is_some() {
        return None;
    }
    Some(alive().filter(|node| node.activity() != NodeActivity::Active).count())
}

impl StartBlocker {
    /// Returns the name in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Paused(_) => "paused",
            Self::QueueDown { .. } => "queue_down",
            Self::NoWorker { .. } => "no_worker",
            Self::HeldBack(_) => "held_back",
        }
    }

    /// Returns a short title.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        match self {
            Self::Paused(_) => "Queue paused: no scan starts.",
            Self::QueueDown { .. } => "Job queue unavailable: no scan starts.",
            Self::NoWorker { leaving: 0 } => "No worker connected: no scan starts.",
            Self::NoWorker { .. } => "No worker takes new scans.",
            Self::HeldBack(_) => "Scans are held back.",
        }
    }

    /// Returns the start, if known.
    #[must_use]
    pub const fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Paused(pause) => Some(pause.since),
            Self::HeldBack(held) => Some(held.since),
            Self::QueueDown { .. } | Self::NoWorker { .. } => None,
        }
    }

    /// Returns the time of the next check or of the end, if known.
    #[must_use]
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::HeldBack(held) => Some(held.until),
            Self::Paused(_) | Self::QueueDown { .. } | Self::NoWorker { .. } => None,
        }
    }

    /// Returns the cause and the consequence, as sentences.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Paused(QueuePause { reason: Some(reason), .. }) => {
                format!("Reason: {reason}. Running scans continue.")
            }
            Self::Paused(QueuePause { reason: None, .. }) => "Running scans continue.".into(),
            Self::QueueDown { why } => {
                format!("{}. New scans are stored, and start when the queue is back.", capitalised(why))
            }
            Self::NoWorker { leaving: 0 } => "Scans stay queued. Start `kastrel worker` or `kastrel serve`.".into(),
            Self::NoWorker { leaving } => format!("{}. Scans stay queued.", leaving_text(*leaving)),
            Self::HeldBack(held) => {
                format!("{}. Waiting scans lose no attempt and start automatically.", capitalised(&held.to_string()))
            }
        }
    }
}

impl fmt::Display for StartBlocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.title(), self.detail())
    }
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

fn leaving_text(leaving: usize) -> String {
    if leaving == 1 {
        "1 connected worker is draining or stopping".into()
    } else {
        format!("{leaving} connected workers are draining or stopping")
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Formats a number as `1st`, `2nd`, `3rd`, `4th`, `11th`, `21st`.
#[must_use]
pub fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FailureKind, FaultKind, NodeFault, NodeRegistration, ScannerKind};
    use crate::testing::fixtures;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn node(is_alive: bool, draining: bool, plugins: &[&str]) -> NodeRecord {
        let registration = NodeRegistration {
            offer: Some(fixtures::offer(ScannerKind::Kast, plugins)),
            ..fixtures::registration("a")
        };
        NodeRecord {
            registration,
            expires_at: Timestamp::UNIX_EPOCH,
            is_alive,
            drain_by: draining.then_some(Timestamp::UNIX_EPOCH),
        }
    }

    fn held(until: i64) -> HeldBack {
        let faults = vec![NodeFault::new(FaultKind::ResultsFolder, "the folder /r is missing", "mount it")];
        HeldBack { since: at(1), until: at(until), faults }
    }

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
    fn start_blockers_are_listed_by_importance() {
        let pause = QueuePause { since: at(5), reason: Some("an upgrade".into()) };
        let able = [node(true, false, &["zap"])];
        let hold = held(120);
        for (paused, trouble, nodes, held, names) in [
            (None, None, &able[..], None, &[][..]),
            (Some(&pause), None, &able, None, &["paused"]),
            (None, Some("down"), &able, None, &["queue_down"]),
            (None, None, &[], None, &["no_worker"]),
            (None, None, &able, Some(&hold), &["held_back"]),
            // A hold of a node that is gone keeps nothing from starting.
            (None, None, &[], Some(&hold), &["no_worker"]),
            (Some(&pause), Some("down"), &[], None, &["paused", "queue_down", "no_worker"]),
        ] {
            let facts = QueueFacts { now: at(100), paused, trouble, nodes: Some(nodes), own_node: false };
            let found = start_blockers(facts, held);
            assert_eq!(found.iter().map(StartBlocker::name).collect::<Vec<_>>(), names);
            for blocker in found {
                let text = blocker.to_string();
                assert!(text.chars().next().is_some_and(char::is_uppercase) && text.ends_with(['.', '`']), "{text}");
            }
        }
        assert_eq!(
            StartBlocker::HeldBack(hold).to_string(),
            "Scans are held back. The folder /r is missing (mount it). Waiting scans lose no attempt and start automatically."
        );
    }

    #[test]
    fn next_start_depends_on_the_reason() {
        let due = at(100);
        let hold = Waiting::HeldBack(held(130));
        assert_eq!((hold.next(due), Waiting::HeldBack(held(90)).next(due)), (at(130), due));
        assert_eq!(Waiting::Queued { position: None, interrupted: None }.next(due), due);
    }

    #[test]
    fn queue_position_is_an_ordinal_number() {
        let all: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111, 1003].into_iter().map(ordinal).collect();
        assert_eq!(all, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th", "1003rd"]);
    }
}
