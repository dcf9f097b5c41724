//! Placement: which node can run a scan. Nodes may have different scanners.

use std::time::Duration;

use crate::model::{NodeActivity, NodeId, NodeRecord, ScanRequest, ScannerOffer};

/// How long a scan that no living node can run waits for a node that can. A node that restarts or
/// is upgraded is back within this time. After it, the scan fails, because a clear failure is
/// better than a scan that may wait forever; the user can submit it again.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The maximum number of nodes in a failure text.
const NAMED: usize = 5;

/// Where a scan can run, from the view of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Placement {
    /// On this node.
    Here,
    /// Not on this node, but on another one, or possibly on one that has yet to connect.
    Elsewhere,
    /// On no living node. Completes "failed: …".
    Nowhere(String),
}

/// Decides for the node `own`, whose scanner is `offer`. The scan has been due for `waited`.
pub fn place(
    own: &NodeId,
    offer: &ScannerOffer,
    request: &ScanRequest,
    nodes: &[NodeRecord],
    waited: Duration,
) -> Placement {
    if offer.lacks(request).is_empty() {
        return Placement::Here;
    }
    // This node's row may hold an older offer than `offer`.
    let others: Vec<&NodeRecord> = eligible_nodes(nodes).filter(|node| node.registration.id != *own).collect();
    let own = std::iter::once((own, Some(offer)));
    match nobody(
        own.chain(others.into_iter().map(|node| (&node.registration.id, node.registration.offer.as_ref()))),
        request,
    ) {
        Some(why) if waited >= PATIENCE => Placement::Nowhere(why),
        Some(_) | None => Placement::Elsewhere,
    }
}

/// Returns why none of the nodes that take scans can run this scan. `None` if one can or may be
/// able to, or if no node takes scans.
#[must_use]
pub fn nobody_can(request: &ScanRequest, nodes: &[NodeRecord]) -> Option<String> {
    nobody(eligible_nodes(nodes).map(|node| (&node.registration.id, node.registration.offer.as_ref())), request)
}

/// Returns the nodes that take new scans.
pub(crate) fn eligible_nodes(nodes: &[NodeRecord]) -> impl Iterator<Item = &NodeRecord> {
    nodes.iter().filter(|node| node.is_alive && node.activity() == NodeActivity::Active)
}

fn nobody<'a>(
    nodes: impl Iterator<Item = (&'a NodeId, Option<&'a ScannerOffer>)>,
    request: &ScanRequest,
) -> Option<String> {
    let mut asked = Vec::new();
    for (id, offer) in nodes {
        // A node that has not reported its scanner yet may be able to run the scan.
        let offer = offer?;
        let lacking = offer.lacks(request);
        if lacking.is_empty() {
            return None;
        }
        asked.push(format!("{id} ({}) has no {}", offer.scanner.label(), lacking.join(", ")));
    }
    if asked.is_empty() {
        return None;
    }
    let more = asked.len().saturating_sub(NAMED);
    asked.truncate(NAMED);
    let more = if more > 0 { format!("; nor do {more} more nodes") } else { String::new() };
    Some(format!("no connected worker has all plugins of this scan: {}{more}", asked.join("; ")))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::ScannerKind;
    use crate::testing::fixtures;

    fn node(id: &str, offer: Option<ScannerOffer>) -> NodeRecord {
        let registration = crate::model::NodeRegistration { offer, ..fixtures::registration(id) };
        NodeRecord { registration, expires_at: Timestamp::UNIX_EPOCH, is_alive: true, drain_by: None }
    }

    #[test]
    fn a_scan_is_left_to_a_node_that_can_and_fails_only_when_none_has_come() {
        let own: NodeId = "own".parse().unwrap();
        let small = fixtures::offer(ScannerKind::Builtin, &["tls"]);
        let kast = || Some(fixtures::offer(ScannerKind::Kast, &["tls", "zap"]));
        let dead = NodeRecord { is_alive: false, ..node("dead", kast()) };
        let draining = NodeRecord { drain_by: Some(Timestamp::UNIX_EPOCH), ..node("draining", kast()) };
        let own_row = || node("own", Some(small.clone()));
        let twin = || node("twin", Some(small.clone()));
        let nowhere = "no connected worker has all plugins of this scan: own (built-in scanner 1) has no zap; twin (built-in scanner 1) has no zap";
        for (plugins, nodes, waited, expected) in [
            (&[][..], vec![], 0, Placement::Here),
            (&["tls"], vec![twin()], 999, Placement::Here),
            (&["tls", "zap"], vec![own_row(), twin(), node("able", kast())], 0, Placement::Elsewhere),
            (&["tls", "zap"], vec![own_row(), twin(), node("able", kast())], 999, Placement::Elsewhere),
            (&["zap"], vec![own_row(), twin(), node("silent", None)], 999, Placement::Elsewhere),
            (&["zap"], vec![own_row(), twin()], 59, Placement::Elsewhere),
            (&["zap"], vec![own_row(), twin(), dead, draining], 60, Placement::Nowhere(nowhere.into())),
        ] {
            let mut request = fixtures::request("example.com");
            request.options.plugins = plugins.iter().map(ToString::to_string).collect();
            assert_eq!(
                place(&own, &small, &request, &nodes, Duration::from_secs(waited)),
                expected,
                "{plugins:?} {waited}"
            );
        }
    }

    #[test]
    fn long_list_of_nodes_is_truncated() {
        let mut request = fixtures::request("example.com");
        request.options.plugins = vec!["zap".into()];
        let nodes: Vec<NodeRecord> =
            (0..8).map(|n| node(&format!("n{n}"), Some(fixtures::offer(ScannerKind::Builtin, &["tls"])))).collect();
        let why = nobody_can(&request, &nodes).unwrap();
        assert!(why.contains("n4 (") && !why.contains("n5 (") && why.ends_with("nor do 3 more nodes"), "{why}");
        assert_eq!(nobody_can(&request, &[]), None, "that no node is there is another matter");
    }
}
