//! The outbox: an entry for each end, leased by a relay, counted by a consumer, and removed.

use super::{Offers, Step};
use crate::protocol::Protocol;
use crate::state::{Entry, NodeIndex, Relay, ScanIndex, State};
use crate::variant::Variant;

pub(super) fn offer(state: &State, index: NodeIndex, offers: &mut Offers) {
    let node = &state.nodes[index];
    if !node.is_connected() {
        return;
    }
    match node.relay {
        Relay::Idle => {
            for entry in state.outbox.iter().filter(|entry| entry.free_at <= state.now) {
                offers.must(Step::LeaseEntry(index, entry.scan));
            }
        }
        Relay::Leased { .. } => {
            offers.must(Step::Consume(index));
            if state.left.refusals > 0 {
                offers.may(Step::Refuse(index));
            }
        }
        Relay::Counted { .. } => offers.must(Step::Mark(index)),
        Relay::Accepted { .. } => offers.must(Step::Settle(index)),
    }
}

/// The event that a wrong variant writes late.
pub(super) fn offer_of_database(protocol: &Protocol, state: &State, offers: &mut Offers) {
    if protocol.variant != Variant::EventAfterCommit {
        return;
    }
    for (scan, row) in state.scans.iter().enumerate() {
        if row.has_ended() && row.counted == 0 && !state.outbox.iter().any(|entry| entry.scan == scan) {
            offers.may(Step::WriteEvent(scan));
        }
    }
}

pub(super) fn write_event(state: &mut State, scan: ScanIndex) {
    state.outbox.push(Entry { scan, holder: None, free_at: state.now, is_accepted: false });
}

pub(super) fn lease(protocol: &Protocol, state: &mut State, index: NodeIndex, scan: ScanIndex) {
    let free_at = state.now + protocol.timing.entry_lease;
    if let Some(entry) = entry(state, scan) {
        (entry.holder, entry.free_at) = (Some(index), free_at);
    }
    state.nodes[index].relay = Relay::Leased { scan };
}

fn entry(state: &mut State, scan: ScanIndex) -> Option<&mut Entry> {
    state.outbox.iter_mut().find(|entry| entry.scan == scan)
}

/// One transaction: counts the entry and marks it, if it is there and not marked.
pub(super) fn consume(protocol: &Protocol, state: &mut State, index: NodeIndex) {
    let Relay::Leased { scan } = state.nodes[index].relay else { return };
    let is_apart = protocol.variant == Variant::CountApartFromMark;
    let is_counted = match entry(state, scan) {
        Some(entry) if !entry.is_accepted => {
            entry.is_accepted = !is_apart;
            true
        }
        _ => false,
    };
    state.scans[scan].counted += u8::from(is_counted);
    state.nodes[index].relay = if is_apart && is_counted { Relay::Counted { scan } } else { Relay::Accepted { scan } };
}

pub(super) fn mark(state: &mut State, index: NodeIndex) {
    let Relay::Counted { scan } = state.nodes[index].relay else { return };
    if let Some(entry) = entry(state, scan) {
        entry.is_accepted = true;
    }
    state.nodes[index].relay = Relay::Accepted { scan };
}

/// Only the holder of an entry returns it.
pub(super) fn refuse(protocol: &Protocol, state: &mut State, index: NodeIndex) {
    let Relay::Leased { scan } = state.nodes[index].relay else { return };
    let free_at = state.now + protocol.timing.backoff;
    state.left.refusals -= 1;
    if let Some(entry) = entry(state, scan)
        && entry.holder == Some(index)
    {
        (entry.holder, entry.free_at) = (None, free_at);
    }
    state.nodes[index].relay = Relay::Idle;
}

/// Only the holder of an entry removes it.
pub(super) fn settle(state: &mut State, index: NodeIndex) {
    let Relay::Accepted { scan } = state.nodes[index].relay else { return };
    state.outbox.retain(|entry| entry.scan != scan || entry.holder != Some(index));
    state.nodes[index].relay = Relay::Idle;
}
