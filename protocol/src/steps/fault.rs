//! What can go wrong, and the clock.

use super::{Offers, Step};
use crate::protocol::Protocol;
use crate::state::{Dispatcher, Life, NodeIndex, Relay, State, Time, Window};

/// The node that is killed, frozen or cut off.
const UNLUCKY: NodeIndex = 0;

pub(super) fn offer(protocol: &Protocol, state: &State, index: NodeIndex, offers: &mut Offers) {
    let (node, left, now) = (&state.nodes[index], state.left, state.now);
    let is_long = |since: Time| now >= since + protocol.bounds.longest_fault;
    if let Life::Frozen { since } = node.life {
        offers.add(Step::Thaw(index), is_long(since));
    }
    if let Life::Frozen { since } = node.watchdog.life {
        offers.add(Step::ThawWatchdog(index), is_long(since));
    }
    if let Some(since) = node.cut {
        offers.add(Step::Heal(index), is_long(since));
    }
    // The nodes are alike, so it is enough to let the first one fail. The others keep running, or
    // nobody could rescue anything.
    if index != UNLUCKY || now > protocol.bounds.last_fault {
        return;
    }
    if node.life != Life::Gone && left.kills > 0 {
        offers.may(Step::KillNode(index));
    }
    if node.is_up() && left.freezes > 0 {
        offers.may(Step::Freeze(index));
    }
    if node.is_up() && left.freezes_with_watchdog > 0 {
        offers.may(Step::FreezeTogether(index));
    }
    if node.is_connected() && left.cuts > 0 {
        offers.may(Step::Cut(index));
    }
}

pub(super) fn offer_of_queue(state: &State, offers: &mut Offers) {
    let holds_something = state.scans.iter().any(|scan| scan.waiting.is_some() || !scan.in_hands.is_empty());
    if state.left.queue_losses > 0 && holds_something {
        offers.may(Step::LoseQueue);
    }
}

/// Moves the clock on. A scanner that should have been killed in the unit that ends, and whose node
/// and watchdog are both frozen, is in a known window from now on.
pub(super) fn tick(state: &mut State) {
    let State { now, nodes, scanners, .. } = state;
    for scanner in scanners {
        let node = &nodes[scanner.node];
        let is_over = node.watchdog.until.is_some_and(|until| *now >= until);
        let is_frozen = matches!(node.life, Life::Frozen { .. }) && matches!(node.watchdog.life, Life::Frozen { .. });
        if is_over && is_frozen {
            scanner.window = Some(Window::OutlivedLease);
        }
    }
    *now += 1;
}

/// All that the process held in memory is lost. Its request may still reach the database, its row
/// stays, and its delivery stays in the queue.
pub(super) fn kill_node(state: &mut State, index: NodeIndex) {
    state.left.kills -= 1;
    let node = &mut state.nodes[index];
    node.life = Life::Gone;
    node.dispatcher = Dispatcher::Idle;
    node.attempts.clear();
    node.to_announce.clear();
    node.orphans.clear();
    node.relay = Relay::Idle;
    node.to_fire = None;
    if node.request.is_some_and(|request| request.answer.is_some()) {
        node.request = None;
    }
}

pub(super) fn freeze(state: &mut State, index: NodeIndex) {
    state.left.freezes -= 1;
    state.nodes[index].life = Life::Frozen { since: state.now };
}

pub(super) fn freeze_together(state: &mut State, index: NodeIndex) {
    state.left.freezes_with_watchdog -= 1;
    let frozen = Life::Frozen { since: state.now };
    let node = &mut state.nodes[index];
    node.life = frozen;
    if node.watchdog.life == Life::Up {
        node.watchdog.life = frozen;
    }
}

pub(super) fn thaw(state: &mut State, index: NodeIndex) {
    state.nodes[index].life = Life::Up;
}

pub(super) fn thaw_watchdog(state: &mut State, index: NodeIndex) {
    state.nodes[index].watchdog.life = Life::Up;
}

pub(super) fn cut(state: &mut State, index: NodeIndex) {
    state.left.cuts -= 1;
    state.nodes[index].cut = Some(state.now);
}

/// Redis has lost its data. Receipts name entries that are not there any more.
pub(super) fn lose_queue(state: &mut State) {
    state.left.queue_losses -= 1;
    for scan in &mut state.scans {
        if scan.waiting.is_some() || !scan.in_hands.is_empty() {
            scan.waiting = None;
            scan.in_hands.clear();
            scan.is_unsignalled = true;
        }
    }
}
