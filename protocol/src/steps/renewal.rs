//! The lease of a node: its renewals, its end, and the way to a new one.

use super::attempt;
use super::{Offers, Step};
use crate::protocol::Protocol;
use crate::state::{Dispatcher, Lease, Life, NodeIndex, Request, State};
use crate::variant::Variant;

pub(super) fn offer(protocol: &Protocol, state: &State, index: NodeIndex, offers: &mut Offers) {
    let (node, now) = (&state.nodes[index], state.now);
    let is_due = match node.lease {
        Lease::Acquiring => true,
        Lease::Held { sent, .. } => now >= sent + protocol.timing.renew_every,
        Lease::Clearing => false,
    };
    match node.request {
        // The database may handle a request whose sender is frozen or gone, and need not.
        Some(Request { answer: None, .. }) if node.cut.is_none() => {
            offers.add(Step::AnswerRenewal(index), node.is_up());
        }
        Some(Request { answer: Some(_), .. }) if node.is_connected() => offers.must(Step::ReceiveRenewal(index)),
        None if node.is_connected() && is_due => offers.must(Step::SendRenewal(index)),
        _ => {}
    }
    let timeout = |request: Request| now > request.sent + protocol.timing.renew_every;
    if node.is_up() && node.cut.is_some() && node.request.is_some_and(timeout) {
        offers.may(Step::TimeOutRenewal(index));
    }
    if node.is_up() && matches!(node.lease, Lease::Held { until, .. } if now >= until) {
        offers.must(Step::LoseLease(index));
    }
    // Only an empty registry is proof that nothing runs.
    if node.is_up() && node.lease == Lease::Clearing && node.attempts.is_empty() {
        offers.must(Step::Clear(index));
    }
}

pub(super) fn send(state: &mut State, index: NodeIndex) {
    let node = &mut state.nodes[index];
    node.request = Some(Request { sent: state.now, registers: node.lease == Lease::Acquiring, answer: None });
}

/// A renewal extends the node's row, also one that has expired and that nobody has ended. A
/// registration creates it.
pub(super) fn answer(protocol: &Protocol, state: &mut State, index: NodeIndex) {
    let node = &mut state.nodes[index];
    let Some(request) = &mut node.request else { return };
    let is_granted = request.registers || node.row.is_some();
    if is_granted {
        node.row = Some(state.now + protocol.timing.ttl);
    }
    request.answer = Some(is_granted);
    if node.life == Life::Gone {
        node.request = None;
    }
}

/// The node relies on the lease from the moment when the request was sent, and first passes the
/// moment on to its watchdog.
pub(super) fn receive(protocol: &Protocol, state: &mut State, index: NodeIndex) {
    let node = &mut state.nodes[index];
    let Some(Request { sent, answer: Some(is_granted), .. }) = node.request.take() else { return };
    if node.lease == Lease::Clearing {
        return;
    }
    if !is_granted {
        return lose(state, index);
    }
    let until = match protocol.variant {
        Variant::NoMargin => sent + protocol.timing.ttl,
        Variant::TrustFromAnswer => state.now + protocol.timing.trusted,
        _ => sent + protocol.timing.trusted,
    };
    node.watchdog.until = Some(until);
    node.lease = Lease::Held { sent, until };
}

pub(super) fn lose(state: &mut State, index: NodeIndex) {
    let node = &mut state.nodes[index];
    node.lease = Lease::Clearing;
    node.request = None;
    if let Dispatcher::Leased { is_outdated, .. } = &mut node.dispatcher {
        *is_outdated = true;
    }
    attempt::kill(state, index, |_| true);
}

pub(super) fn clear(state: &mut State, index: NodeIndex) {
    let node = &mut state.nodes[index];
    node.watchdog.until = None;
    node.lease = Lease::Acquiring;
}
