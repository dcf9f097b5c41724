//! The reconciler: ends leases, takes over the rows of nodes without one, hands back rows without
//! an owner, and repeats signals. And the queue, which takes deliveries away from silent readers.

use super::attempt::{fail_row, finish, to_announce};
use super::dispatch::take_out_of_hands;
use super::{Offers, Step};
use crate::protocol::Protocol;
use crate::state::{Dispatcher, End, Life, NodeIndex, Orphan, RowState, ScanIndex, State};
use crate::variant::Variant;

pub(super) fn offer(protocol: &Protocol, state: &State, index: NodeIndex, offers: &mut Offers) {
    let (node, now) = (&state.nodes[index], state.now);
    if node.life != Life::Up {
        for (scan, signals) in state.scans.iter().enumerate() {
            if signals.in_hands.contains(&index) {
                offers.may(Step::Reclaim(index, scan));
            }
        }
    }
    if !node.is_connected() {
        return;
    }
    if !node.orphans.is_empty() {
        offers.must(Step::Rescue(index));
    } else {
        let is_over = |row: Option<u8>| row.is_some_and(|expires_at| expires_at <= now);
        let is_long_over = |row: Option<u8>| row.is_some_and(|expires_at| expires_at < now);
        let finds = state.scans.iter().enumerate().any(|(scan, _)| orphan(state, index, scan).is_some());
        if finds || state.nodes.iter().any(|node| is_over(node.row)) {
            offers.add(Step::Look(index), finds || state.nodes.iter().any(|node| is_long_over(node.row)));
        }
    }
    for (index_of_scan, scan) in state.scans.iter().enumerate() {
        match scan.row {
            RowState::Running { node: of, since } if of == index => {
                let has_owner = node.attempts.iter().any(|one| one.scan == index_of_scan && one.token == scan.token)
                    || matches!(node.dispatcher, Dispatcher::Leased { scan: leased, .. } if leased == index_of_scan);
                if !has_owner && now >= since + protocol.timing.grace {
                    offers.add(Step::HandBack(index, index_of_scan), now > since + protocol.timing.grace);
                }
            }
            RowState::Pending { due } if due <= now && scan.waiting.is_none() => {
                let is_in_good_hands = scan.in_hands.iter().any(|reader| state.nodes[*reader].is_up());
                let is_announced_soon =
                    state.nodes.iter().any(|node| node.is_up() && node.to_announce.contains(&index_of_scan));
                if protocol.variant != Variant::NoReminder && !is_in_good_hands && !is_announced_soon {
                    offers.must(Step::Remind(index, index_of_scan));
                }
            }
            _ => {}
        }
    }
}

/// Returns the row of a scan as an orphan, if it runs on another node without a row.
fn orphan(state: &State, looking: NodeIndex, scan: ScanIndex) -> Option<Orphan> {
    match state.scans[scan].row {
        RowState::Running { node, .. } if node != looking && state.nodes[node].row.is_none() => {
            Some(Orphan { scan, token: state.scans[scan].token, node })
        }
        _ => None,
    }
}

/// One transaction: deletes the rows of the nodes whose leases are over, and returns the running
/// rows of nodes without a row.
pub(super) fn look(state: &mut State, index: NodeIndex) {
    let now = state.now;
    for node in &mut state.nodes {
        node.row = node.row.filter(|expires_at| *expires_at > now);
    }
    state.nodes[index].orphans = (0..state.scans.len()).filter_map(|scan| orphan(state, index, scan)).collect();
}

/// The row must still run under the same token on the same node. The token rises.
pub(super) fn rescue(state: &mut State, index: NodeIndex) {
    let Orphan { scan, token, node } = state.nodes[index].orphans.remove(0);
    let now = state.now;
    let row = &mut state.scans[scan];
    let is_as_seen = matches!(row.row, RowState::Running { node: of, .. } if of == node);
    if is_as_seen && row.token == token {
        row.token += 1;
        // The wait of a retry may be shorter than a unit.
        fail_row(row, now);
        to_announce(state, index, scan);
    }
}

pub(super) fn hand_back(protocol: &Protocol, state: &mut State, index: NodeIndex, scan: ScanIndex) {
    let token = state.scans[scan].token;
    finish(protocol, state, scan, token, End::Interrupted);
    to_announce(state, index, scan);
}

pub(super) fn remind(state: &mut State, scan: ScanIndex) {
    let now = state.now;
    state.scans[scan].signal(now);
}

pub(super) fn reclaim(state: &mut State, reader: NodeIndex, scan: ScanIndex) {
    if take_out_of_hands(state, reader, scan) {
        let now = state.now;
        state.scans[scan].signal(now);
    }
}
