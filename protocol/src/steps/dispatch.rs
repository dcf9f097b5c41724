//! From the signal of a scan to its attempt: deliver, lease, launch, acknowledge.

use super::{Offers, Step};
use crate::protocol::Protocol;
use crate::state::{Attempt, Dispatcher, End, NodeIndex, RowState, ScanIndex, Stage, State, Time, Token};
use crate::variant::Variant;

/// The slots of a node.
const SLOTS: usize = 1;

pub(super) fn offer(state: &State, index: NodeIndex, offers: &mut Offers) {
    let (node, now) = (&state.nodes[index], state.now);
    if !node.is_up() {
        return;
    }
    match node.dispatcher {
        // A node that is cut off gets no delivery here. In the code it does, and releases it.
        Dispatcher::Idle => {
            if node.is_connected() && node.relies_on_lease(now) && node.attempts.len() < SLOTS {
                for (scan, _) in
                    state.scans.iter().enumerate().filter(|(_, scan)| scan.waiting.is_some_and(|due| due <= now))
                {
                    offers.must(Step::Deliver(index, scan));
                }
            }
        }
        Dispatcher::Delivered { .. } => {
            if node.cut.is_some() || !node.relies_on_lease(now) {
                offers.must(Step::Release(index));
            }
            // The transaction may have been sent before the node ceased to rely on its lease.
            if node.cut.is_none() {
                offers.must(Step::LeaseScan(index));
                if state.left.lost_answers > 0 {
                    offers.may(Step::LeaseScanUnanswered(index));
                }
            }
        }
        Dispatcher::Leased { .. } => offers.must(Step::Launch(index)),
        Dispatcher::Handled { .. } => offers.must(Step::Acknowledge(index)),
    }
}

pub(super) fn deliver(protocol: &Protocol, state: &mut State, index: NodeIndex, scan: ScanIndex) {
    let signals = &mut state.scans[scan];
    signals.waiting = None;
    if protocol.variant != Variant::AcknowledgeBeforeLease && !signals.in_hands.contains(&index) {
        signals.in_hands.push(index);
        signals.in_hands.sort_unstable();
    }
    state.nodes[index].dispatcher = Dispatcher::Delivered { scan };
}

/// Returns the delivery, unless the queue has taken it away.
pub(super) fn release(state: &mut State, index: NodeIndex, due: Time) {
    let Dispatcher::Delivered { scan } = state.nodes[index].dispatcher else { return };
    state.nodes[index].dispatcher = Dispatcher::Idle;
    if take_out_of_hands(state, index, scan) {
        state.scans[scan].signal(due);
    }
}

/// One transaction: the row must be pending and due, and the node's row must not have expired.
fn leased(state: &mut State, index: NodeIndex, scan: ScanIndex) -> Result<Token, Refusal> {
    if state.lease_is_over(index) {
        return Err(Refusal::NodeLeaseEnded);
    }
    let now = state.now;
    let row = &mut state.scans[scan];
    let RowState::Pending { due } = row.row else { return Err(Refusal::NotPending) };
    if due > now {
        return Err(Refusal::NotDue(due));
    }
    row.row = RowState::Running { node: index, since: now };
    row.token += 1;
    Ok(row.token)
}

enum Refusal {
    NodeLeaseEnded,
    NotPending,
    NotDue(Time),
}

pub(super) fn lease(state: &mut State, index: NodeIndex) {
    let Dispatcher::Delivered { scan } = state.nodes[index].dispatcher else { return };
    match leased(state, index, scan) {
        Ok(token) => state.nodes[index].dispatcher = Dispatcher::Leased { scan, token, is_outdated: false },
        Err(Refusal::NotPending) => state.nodes[index].dispatcher = Dispatcher::Handled { scan },
        Err(Refusal::NotDue(due)) => release(state, index, due),
        Err(Refusal::NodeLeaseEnded) => release(state, index, state.now),
    }
}

/// The node cannot know whether it has the lease, and returns the delivery.
pub(super) fn lease_unanswered(state: &mut State, index: NodeIndex) {
    let Dispatcher::Delivered { scan } = state.nodes[index].dispatcher else { return };
    state.left.lost_answers -= 1;
    // A refusal changes nothing.
    let _ = leased(state, index, scan).ok();
    release(state, index, state.now + 1);
}

/// The lease may have been lost since the row was leased. Nothing may start then. A lease that was
/// lost and acquired anew looks the same as one that was never lost.
pub(super) fn launch(protocol: &Protocol, state: &mut State, index: NodeIndex) {
    let now = state.now;
    let node = &mut state.nodes[index];
    let Dispatcher::Leased { scan, token, is_outdated } = node.dispatcher else { return };
    let is_checked = protocol.variant != Variant::LaunchUnchecked;
    let stage = if !is_checked || node.relies_on_lease(now) {
        Stage::Starting { is_checked, is_outdated }
    } else {
        Stage::Recording(End::Interrupted)
    };
    node.attempts.push(Attempt { scan, token, stage });
    node.dispatcher = Dispatcher::Handled { scan };
}

pub(super) fn acknowledge(state: &mut State, index: NodeIndex) {
    let Dispatcher::Handled { scan } = state.nodes[index].dispatcher else { return };
    state.nodes[index].dispatcher = Dispatcher::Idle;
    take_out_of_hands(state, index, scan);
}

/// Returns false if the delivery is not in the hands of this reader any more.
pub(super) fn take_out_of_hands(state: &mut State, index: NodeIndex, scan: ScanIndex) -> bool {
    let in_hands = &mut state.scans[scan].in_hands;
    let before = in_hands.len();
    in_hands.retain(|reader| *reader != index);
    in_hands.len() < before
}
