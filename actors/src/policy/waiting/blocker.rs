//! The conditions that keep every scan from starting.

use std::fmt;

use jiff::Timestamp;

use super::facts::{QueueFacts, no_worker};
use super::words::{capitalised, leaving_text};
use crate::model::{HeldBack, QueuePause};

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

#[cfg(test)]
mod tests {
    use super::super::testing::{at, held, node};
    use super::*;

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
}
