//! What keeps a scan that waits from being started, in words for whoever submitted it.

use std::fmt;

use super::suit;
use crate::model::{HeldBack, NodeRecord, QueuePause, ScanRequest};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// The job queue did not take the signal.
    QueueSilent,
    /// Somebody has paused the whole queue.
    QueuePaused {
        /// Why, in their words.
        reason: Option<String>,
    },
    /// No node takes scans.
    NoWorker,
    /// No node starts it now: all lack something, or too many attempts failed.
    HeldBack(HeldBack),
    /// No living node has the plugins; why in full.
    NoScanner(String),
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueSilent => f.write_str("the job queue does not answer; it starts by itself when the queue is back"),
            Self::QueuePaused { reason: None } => f.write_str("the queue is paused; it starts when the queue is resumed"),
            Self::QueuePaused { reason: Some(reason) } => write!(f, "the queue is paused ({reason}); it starts when the queue is resumed"),
            Self::NoWorker => f.write_str("no worker takes scans just now; it starts when one does"),
            Self::HeldBack(held) => write!(f, "scans are held back: {held}; it starts by itself when that is over"),
            Self::NoScanner(why) => write!(f, "{why}; it fails unless a node comes soon that has"),
        }
    }
}

/// What the pause and the nodes say about a scan that waits. `own_node`: this process has a node, which may be about to register.
#[must_use]
pub fn hindrances(request: &ScanRequest, paused: Option<&QueuePause>, nodes: &[NodeRecord], own_node: bool) -> Vec<Hindrance> {
    let pause = paused.map(|pause| Hindrance::QueuePaused { reason: pause.reason.clone() });
    let is_starting = own_node && !nodes.iter().any(|node| node.is_alive);
    let workers = if suit::takers(nodes).next().is_some() {
        suit::nobody_can(request, nodes).map(Hindrance::NoScanner)
    } else {
        (!is_starting).then_some(Hindrance::NoWorker)
    };
    pause.into_iter().chain(workers).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{NodeRegistration, ScannerKind};
    use crate::testing::fixtures;

    fn node(is_alive: bool, draining: bool, plugins: &[&str]) -> NodeRecord {
        let registration = NodeRegistration { offer: Some(fixtures::offer(ScannerKind::Kast, plugins)), ..fixtures::registration("a") };
        NodeRecord { registration, expires_at: Timestamp::UNIX_EPOCH, is_alive, drain_by: draining.then_some(Timestamp::UNIX_EPOCH) }
    }

    #[test]
    fn each_hindrance_is_told_with_its_reason() {
        let paused = |reason: Option<&str>| QueuePause { since: Timestamp::UNIX_EPOCH, reason: reason.map(Into::into) };
        let (able, other, dead, draining) =
            (node(true, false, &["zap"]), node(true, false, &["tls"]), node(false, false, &["zap"]), node(true, true, &["zap"]));
        let no_worker = "no worker takes scans just now; it starts when one does";
        for (paused, nodes, own_node, expected) in [
            (None, vec![able.clone()], false, vec![]),
            (Some(paused(None)), vec![able.clone()], false, vec!["the queue is paused; it starts when the queue is resumed"]),
            (Some(paused(Some("an upgrade"))), vec![able], true, vec!["the queue is paused (an upgrade); it starts when the queue is resumed"]),
            (None, vec![], false, vec![no_worker]),
            (None, vec![dead.clone()], false, vec![no_worker]),
            (None, vec![dead], true, vec![]),
            (None, vec![draining], true, vec![no_worker]),
            (
                None,
                vec![other],
                false,
                vec!["no living node's scanner has every plugin that was asked for: a (KAST 1) has no zap; it fails unless a node comes soon that has"],
            ),
            (Some(paused(None)), vec![], false, vec!["the queue is paused; it starts when the queue is resumed", no_worker]),
        ] {
            let mut request = fixtures::request("example.com");
            request.plugins = vec!["zap".into()];
            let told: Vec<String> = hindrances(&request, paused.as_ref(), &nodes, own_node).iter().map(ToString::to_string).collect();
            assert_eq!(told, expected);
        }
    }
}
