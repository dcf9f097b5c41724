//! The state of the queue from which the reasons follow.

use jiff::Timestamp;

use crate::model::{NodeActivity, NodeRecord, QueuePause};
use crate::policy::placement;

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

/// Returns how many connected nodes take no scans, if no node takes any.
pub(super) fn no_worker(facts: QueueFacts<'_>) -> Option<usize> {
    let nodes = facts.nodes?;
    let alive = || nodes.iter().filter(|node| node.is_alive);
    let is_starting = facts.own_node && alive().next().is_none();
    if is_starting || placement::eligible_nodes(nodes).next().is_some() {
        return None;
    }
    Some(alive().filter(|node| node.activity() != NodeActivity::Active).count())
}
