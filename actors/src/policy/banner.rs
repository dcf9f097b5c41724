//! What every page says while no scan starts, or fewer start than could: one banner, from one function.

use jiff::Timestamp;

use super::waiting::StartBlocker;
use crate::holds::HeldNode;

/// The banner. Its texts are plain; what shows them cleans and escapes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueBanner {
    /// The weightiest reason: `paused`, `queue_down`, `no_worker`, `held_back`; `some_held_back` where other nodes start scans.
    pub reason: &'static str,
    /// What it means, in a few words.
    pub title: String,
    /// Causes and consequences, a sentence or two each.
    pub details: Vec<String>,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
    /// The next check or the end, where that is known.
    pub until: Option<Timestamp>,
    /// Whether resuming the queue takes the first reason away.
    pub can_resume: bool,
}

/// Decides what to say: what blocks all scans, else which nodes start none; `None`: scans start, on every node.
#[must_use]
pub fn queue_banner(blockers: &[StartBlocker], held: &[HeldNode]) -> Option<QueueBanner> {
    let Some((first, others)) = blockers.split_first() else { return some_held_back(held) };
    // With many nodes on one shared disk there are many nodes and one reason.
    let details = std::iter::once(first.detail()).chain(others.iter().map(ToString::to_string));
    Some(QueueBanner {
        reason: first.name(),
        title: first.title().into(),
        details: details.collect(),
        since: first.since(),
        until: first.until(),
        can_resume: matches!(first, StartBlocker::Paused(_)),
    })
}

fn some_held_back(held: &[HeldNode]) -> Option<QueueBanner> {
    let first = held.first()?;
    let mut reasons: Vec<(Vec<&str>, &HeldNode)> = Vec::new();
    for node in held {
        match reasons.iter_mut().find(|(_, known)| known.held.faults == node.held.faults) {
            Some((names, _)) => names.push(node.node.as_str()),
            None => reasons.push((vec![node.node.as_str()], node)),
        }
    }
    let detail = |(names, node): &(Vec<&str>, &HeldNode)| format!("{}: {}.", names.join(", "), node.held);
    Some(QueueBanner {
        reason: "some_held_back",
        title: if held.len() == 1 { "1 node starts no scans; other nodes do.".into() } else { format!("{} nodes start no scans; other nodes do.", held.len()) },
        details: reasons.iter().map(detail).collect(),
        since: held.iter().map(|node| node.held.since).min(),
        until: held.iter().map(|node| node.held.until).min().or(Some(first.held.until)),
        can_resume: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FaultKind, HeldBack, NodeFault, QueuePause};

    fn held(name: &str, text: &str, until: i64) -> HeldNode {
        let faults = vec![NodeFault::new(FaultKind::ResultsFolder, text, "mount it")];
        let at = |second| Timestamp::from_second(second).unwrap();
        HeldNode { node: name.parse().unwrap(), held: HeldBack { since: at(3), until: at(until), faults } }
    }

    #[test]
    fn one_banner_says_the_weightiest_reason_and_all_others() {
        let paused = StartBlocker::Paused(QueuePause { since: Timestamp::UNIX_EPOCH, reason: Some("an upgrade".into()) });
        let down = StartBlocker::QueueDown { why: "Redis at r:6379/0: OOM command not allowed".into() };
        let all_held = StartBlocker::HeldBack(held("a", "no disk", 9).held);
        for (blockers, nodes, reason, title, details) in [
            (vec![paused.clone()], vec![], "paused", "Queue paused: no scan starts.", vec!["Reason: an upgrade. Running scans continue."]),
            (
                vec![paused, down],
                vec![],
                "paused",
                "Queue paused: no scan starts.",
                vec![
                    "Reason: an upgrade. Running scans continue.",
                    "Job queue unavailable: no scan starts. Redis at r:6379/0: OOM command not allowed. New scans are stored, and start when the queue is back.",
                ],
            ),
            (
                vec![all_held],
                vec![held("a", "no disk", 9)],
                "held_back",
                "Scans are held back.",
                vec!["No disk (mount it). Waiting scans lose no attempt and start by themselves."],
            ),
            (
                vec![],
                vec![held("a", "no disk", 9), held("b", "no disk", 8), held("c", "full", 7)],
                "some_held_back",
                "3 nodes start no scans; other nodes do.",
                vec!["a, b: no disk (mount it).", "c: full (mount it)."],
            ),
        ] {
            let banner = queue_banner(&blockers, &nodes).unwrap();
            assert_eq!((banner.reason, banner.title.as_str(), banner.details.iter().map(String::as_str).collect::<Vec<_>>()), (reason, title, details));
            assert_eq!(banner.can_resume, reason == "paused");
        }
        assert_eq!(queue_banner(&[], &[]), None);
    }
}
