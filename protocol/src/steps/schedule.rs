//! The fire of a schedule, as the design fixes it: each nominal time submits one scan, whose
//! idempotency key is the schedule and that time. Any node may fire. The schedules themselves do
//! not exist in the code yet; the submission with a key does, and is what makes a fire happen once.

use super::attempt::to_announce;
use super::{Offers, Step};
use crate::protocol::Protocol;
use crate::state::{NodeIndex, Scan, State};
use crate::variant::Variant;

pub(super) fn offer(protocol: &Protocol, state: &State, index: NodeIndex, offers: &mut Offers) {
    let node = &state.nodes[index];
    if !node.is_connected() {
        return;
    }
    if node.to_fire.is_some() {
        offers.must(Step::Fire(index));
        return;
    }
    for nominal in protocol.bounds.nominal_times {
        if *nominal <= state.now && !state.keys.contains(nominal) {
            offers.must(Step::FindNoKey(index, *nominal));
        }
    }
}

/// One transaction: creates the key and the row, unless the key is there.
pub(super) fn fire(protocol: &Protocol, state: &mut State, index: NodeIndex) {
    let Some(nominal) = state.nodes[index].to_fire.take() else { return };
    let is_new = !state.keys.contains(&nominal);
    if !is_new && protocol.variant != Variant::FireWithoutKey {
        return;
    }
    if is_new {
        state.keys.push(nominal);
        state.keys.sort_unstable();
    }
    state.scans.push(Scan { waiting: None, is_unsignalled: true, ..Scan::submitted(state.now) });
    to_announce(state, index, state.scans.len() - 1);
}
