//! The holds of the nodes, as this process knows them: its own node's holds at once, those of other
//! processes from their rows.

use std::sync::{PoisonError, RwLock};

use crate::model::{HeldBack, NodeHold, NodeId, NodeRecord};
use crate::policy::placement::eligible_nodes;

/// The known holds.
#[derive(Debug, Default)]
pub struct Holds(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    own: Option<(NodeId, NodeHold)>,
    /// The nodes of other processes that take scans.
    others: Vec<(NodeId, NodeHold)>,
}

/// A node that starts no scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldNode {
    /// The node.
    pub node: NodeId,
    /// The reason and the end of the hold.
    pub held: HeldBack,
}

impl Known {
    fn all(&self) -> impl Iterator<Item = &(NodeId, NodeHold)> {
        self.own.iter().chain(&self.others)
    }
}

impl Holds {
    /// Sets the holds of this process's own node. Returns true if they changed.
    pub(crate) fn own(&self, node: &NodeId, hold: NodeHold) -> bool {
        let own = Some((node.clone(), hold));
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = known.own != own;
        known.own = own;
        // Its row may have been read before this process set its own holds.
        known.others.retain(|(id, _)| id != node);
        is_new
    }

    /// Updates the holds from the rows of all nodes. The own node's row is skipped, because it is
    /// older than the holds set here. Returns true if something changed.
    pub(crate) fn see(&self, nodes: &[NodeRecord]) -> bool {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let own = known.own.as_ref().map(|(id, _)| id.clone());
        let others = eligible_nodes(nodes).filter(|node| own.as_ref() != Some(&node.registration.id));
        let others: Vec<_> =
            others.map(|node| (node.registration.id.clone(), node.registration.hold.clone())).collect();
        let held = |nodes: &[(NodeId, NodeHold)]| {
            nodes.iter().filter(|(_, hold)| !hold.is_empty()).cloned().collect::<Vec<_>>()
        };
        let is_new = held(&known.others) != held(&others);
        known.others = others;
        is_new
    }

    /// Returns why no node starts a scan of `target`; of several reasons, the one that may end
    /// first. `None` if a node starts it, or if no node is known.
    #[must_use]
    pub fn of(&self, target: &str) -> Option<HeldBack> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.all().any(|(_, hold)| hold.of(target).is_none()) {
            return None;
        }
        known.all().filter_map(|(_, hold)| hold.of(target)).min_by_key(|held| held.until).cloned()
    }

    /// Returns the hold of this process's own node, if it has one.
    #[must_use]
    pub fn of_own_node(&self) -> Option<HeldBack> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).own.as_ref().and_then(|(_, hold)| hold.node.clone())
    }

    /// Returns the nodes that start no scan at all, and whether there is another node that does.
    #[must_use]
    pub fn nodes(&self) -> (Vec<HeldNode>, bool) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let held = known
            .all()
            .filter_map(|(node, hold)| {
                hold.node.as_ref().map(|held| HeldNode { node: node.clone(), held: held.clone() })
            })
            .collect();
        (held, known.all().any(|(_, hold)| hold.node.is_none()))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{FaultKind, NodeFault, NodeRegistration, TargetHold};
    use crate::testing::fixtures;

    fn held(text: &str, until: i64) -> HeldBack {
        let faults = vec![NodeFault::new(FaultKind::ResultsFolder, text, "mount it")];
        HeldBack { since: Timestamp::UNIX_EPOCH, until: Timestamp::from_second(until).unwrap(), faults }
    }

    fn node(id: &str, is_alive: bool, hold: NodeHold) -> NodeRecord {
        let registration = NodeRegistration { hold, ..fixtures::registration(id) };
        NodeRecord { registration, expires_at: Timestamp::UNIX_EPOCH, is_alive, drain_by: None }
    }

    fn of_node(text: &str, until: i64) -> NodeHold {
        NodeHold { node: Some(held(text, until)), targets: Vec::new() }
    }

    fn of_target(target: &str) -> NodeHold {
        NodeHold { node: None, targets: vec![TargetHold { target: target.into(), held: held("it fails", 7) }] }
    }

    #[test]
    fn a_scan_is_held_back_when_no_node_would_start_it() {
        for (own, others, of_a, of_b) in [
            (None, vec![], None, None),
            (Some(NodeHold::default()), vec![], None, None),
            (Some(of_node("full", 9)), vec![], Some("full"), Some("full")),
            (Some(of_node("full", 9)), vec![node("b", true, of_node("gone", 8))], Some("gone"), Some("gone")),
            (Some(of_node("full", 9)), vec![node("b", true, NodeHold::default())], None, None),
            (Some(of_node("full", 9)), vec![node("b", false, NodeHold::default())], Some("full"), Some("full")),
            (Some(of_target("a")), vec![], Some("it fails"), None),
            (None, vec![node("b", true, of_target("a")), node("c", true, of_node("gone", 3))], Some("gone"), None),
            // Its own row is older than its holds here.
            (Some(of_node("full", 9)), vec![node("own", true, NodeHold::default())], Some("full"), Some("full")),
        ] {
            let holds = Holds::default();
            if let Some(own) = &own {
                holds.own(&"own".parse().unwrap(), own.clone());
            }
            assert_eq!(
                holds.see(&others),
                others.iter().any(|node| node.is_alive
                    && node.registration.id.as_str() != "own"
                    && !node.registration.hold.is_empty())
            );
            assert!(!holds.see(&others), "no news");
            if let Some(own) = own.clone() {
                let late = Holds::default();
                late.see(&others);
                late.own(&"own".parse().unwrap(), own);
                assert_eq!((late.of("a"), late.of("b")), (holds.of("a"), holds.of("b")), "in whichever order");
            }
            let why = |target| holds.of(target).map(|held| held.faults[0].text.clone());
            assert_eq!((why("a").as_deref(), why("b").as_deref()), (of_a, of_b), "{own:?} {others:?}");
        }
    }

    #[test]
    fn nodes_that_start_no_scan_are_listed() {
        let holds = Holds::default();
        holds.own(&"own".parse().unwrap(), of_node("full", 9));
        assert_eq!(holds.nodes(), (vec![HeldNode { node: "own".parse().unwrap(), held: held("full", 9) }], false));
        holds.see(&[node("b", true, of_target("a"))]);
        assert!(holds.nodes().1, "the other one starts scans");
        assert_eq!(holds.of_own_node(), Some(held("full", 9)));
    }
}
