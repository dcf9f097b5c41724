//! What must hold, and what must be possible.

use stateright::Property;

use crate::bounds::Bounds;
use crate::protocol::Protocol;
use crate::state::{Dispatcher, RowState, State, Window};

/// No two scanners of a scan run at once, outside of the known windows.
pub const ONE_SCANNER: &str = "at most one scanner of a scan runs";
/// A scanner runs only while its node has a row that has not expired, outside of the known windows.
pub const COVERED: &str = "a scanner is covered by the lease of its node";
/// Only the owner of the token writes the end of an attempt.
pub const NO_STALE_WRITE: &str = "a stale token changes nothing";
/// A scan ends once.
pub const ENDS_ONCE: &str = "a scan ends once";
/// A row that waits has a signal, unless the queue has lost it or nobody has sent it yet.
pub const SIGNALS_ARE_KEPT: &str = "a signal is lost only with the queue";
/// The end of a scan has an entry of the outbox until it is counted.
pub const END_HAS_EVENT: &str = "an end has its event";
/// The consumer counts each end once.
pub const COUNTED_ONCE: &str = "an end is counted at most once";
/// A nominal time has one scan.
pub const FIRED_ONCE: &str = "a nominal time submits at most one scan";
/// Nothing that the bounds forbid puts a scanner into a known window.
pub const NO_WINDOW: &str = "no scanner is in a known window";

/// Every scan ends.
pub const SCANS_END: &str = "every scan ends";
/// Every end is counted, and its entry is removed.
pub const ENDS_ARE_COUNTED: &str = "every end is counted";
/// Every nominal time submits a scan.
pub const TIMES_FIRE: &str = "every nominal time submits a scan";

/// A node takes over the scan of another one.
pub const RESCUE_HAPPENS: &str = "a scan is rescued and runs again";
/// A node returns to a row that is not its own any more.
pub const STALE_ATTEMPT_HAPPENS: &str = "an attempt outlives its token";
/// A scanner lives longer than the lease of its node, until the watchdog ends it.
pub const OUTLIVED_LEASE_HAPPENS: &str = "a scanner outlives the lease beside another one";
/// A scanner is started after the lease of its node has ended.
pub const LATE_LAUNCH_HAPPENS: &str = "a scanner is launched late beside another one";
/// A scanner is started under another lease than its row.
pub const STALE_LAUNCH_HAPPENS: &str = "a scanner is launched under another lease beside another one";
/// A retry waits in the delay queue.
pub const RETRY_WAITS: &str = "the signal of a retry waits";
/// A signal is delivered for a row that needs no lease.
pub const SECOND_DELIVERY_HAPPENS: &str = "a signal is delivered for a row that needs no lease";
/// Two relays have the same entry.
pub const SECOND_RELAY_HAPPENS: &str = "an entry is leased again";
/// Two nodes fire the same nominal time.
pub const SECOND_FIRE_HAPPENS: &str = "two nodes fire the same nominal time";

/// Returns the properties of a check within bounds.
pub(crate) fn of(bounds: &Bounds) -> Vec<Property<Protocol>> {
    let faults = bounds.faults;
    let mut all = vec![
        Property::always(ONE_SCANNER, |_, state: &State| runs_once(state)),
        Property::always(COVERED, |_, state: &State| is_covered(state)),
        Property::always(NO_STALE_WRITE, |_, state: &State| state.scans.iter().all(|scan| scan.stale_writes == 0)),
        Property::always(ENDS_ONCE, |_, state: &State| {
            state.scans.iter().all(|scan| scan.ends == u8::from(scan.has_ended()))
        }),
        Property::always(SIGNALS_ARE_KEPT, |_, state: &State| signals_are_kept(state)),
        Property::eventually(SCANS_END, |protocol: &Protocol, state: &State| all_ended(protocol, state)),
    ];
    if faults.freezes == 0 && faults.freezes_with_watchdog == 0 {
        all.push(Property::always(NO_WINDOW, |_, state: &State| {
            state.scanners.iter().all(|scanner| scanner.window.is_none())
        }));
    } else {
        all.push(Property::sometimes(LATE_LAUNCH_HAPPENS, |_, state: &State| {
            is_beside_another(state, Window::LateLaunch)
        }));
        all.push(Property::sometimes(STALE_LAUNCH_HAPPENS, |_, state: &State| {
            is_beside_another(state, Window::StaleLaunch)
        }));
        all.push(Property::sometimes(STALE_ATTEMPT_HAPPENS, |_, state: &State| has_stale_attempt(state)));
    }
    if faults.freezes_with_watchdog > 0 {
        all.push(Property::sometimes(OUTLIVED_LEASE_HAPPENS, |_, state: &State| {
            is_beside_another(state, Window::OutlivedLease)
        }));
    }
    if faults.kills + faults.freezes + faults.freezes_with_watchdog + faults.cuts > 0 && bounds.longest_run > 0 {
        all.push(Property::sometimes(RESCUE_HAPPENS, |_, state: &State| {
            state.scans.iter().any(|scan| scan.failures > 0 && scan.row == RowState::Completed)
        }));
    }
    if faults.failures > 0 {
        all.push(Property::sometimes(RETRY_WAITS, |_, state: &State| {
            state.scans.iter().any(|scan| scan.failures > 0 && scan.waiting.is_some_and(|due| due > state.now))
        }));
    }
    if faults.queue_losses + faults.lost_answers > 0 {
        all.push(Property::sometimes(SECOND_DELIVERY_HAPPENS, |_, state: &State| has_needless_delivery(state)));
    }
    if bounds.has_outbox {
        all.push(Property::always(END_HAS_EVENT, |_, state: &State| ends_have_events(state)));
        all.push(Property::always(COUNTED_ONCE, |_, state: &State| {
            state.scans.iter().all(|scan| scan.counted <= scan.ends)
        }));
        all.push(Property::eventually(ENDS_ARE_COUNTED, |protocol: &Protocol, state: &State| {
            all_ended(protocol, state) && state.outbox.is_empty() && state.scans.iter().all(|scan| scan.counted == 1)
        }));
        all.push(Property::sometimes(SECOND_RELAY_HAPPENS, |_, state: &State| {
            state.outbox.iter().any(|entry| entry.is_accepted && entry.holder.is_some() && entry.free_at == state.now)
        }));
    }
    if !bounds.nominal_times.is_empty() {
        all.push(Property::always(FIRED_ONCE, |_, state: &State| state.scans.len() <= state.keys.len()));
        all.push(Property::eventually(TIMES_FIRE, |protocol: &Protocol, state: &State| {
            state.keys.len() == protocol.bounds.nominal_times.len()
        }));
        all.push(Property::sometimes(SECOND_FIRE_HAPPENS, |_, state: &State| {
            state.nodes.iter().any(|node| node.to_fire.is_some_and(|nominal| state.keys.contains(&nominal)))
        }));
    }
    all
}

fn runs_once(state: &State) -> bool {
    let scanners: Vec<_> = state.scanners.iter().filter(|scanner| scanner.window.is_none()).collect();
    scanners.iter().enumerate().all(|(at, one)| scanners[at + 1..].iter().all(|other| other.scan != one.scan))
}

fn is_covered(state: &State) -> bool {
    state.scanners.iter().all(|scanner| scanner.window.is_some() || !state.lease_is_over(scanner.node))
}

fn is_beside_another(state: &State, window: Window) -> bool {
    state.scanners.iter().any(|one| {
        one.window == Some(window)
            && state.scanners.iter().any(|other| other.scan == one.scan && other.token != one.token)
    })
}

fn has_stale_attempt(state: &State) -> bool {
    state.nodes.iter().any(|node| {
        node.is_up() && node.attempts.iter().any(|attempt| attempt.token != state.scans[attempt.scan].token)
    })
}

fn signals_are_kept(state: &State) -> bool {
    state.scans.iter().enumerate().all(|(index, scan)| {
        !matches!(scan.row, RowState::Pending { .. })
            || scan.waiting.is_some()
            || !scan.in_hands.is_empty()
            || scan.is_unsignalled
            || state.nodes.iter().any(|node| node.dispatcher == Dispatcher::Delivered { scan: index })
    })
}

fn has_needless_delivery(state: &State) -> bool {
    state.nodes.iter().any(|node| match node.dispatcher {
        Dispatcher::Delivered { scan } => !matches!(state.scans[scan].row, RowState::Pending { .. }),
        _ => false,
    })
}

fn ends_have_events(state: &State) -> bool {
    state.scans.iter().enumerate().all(|(index, scan)| {
        !scan.has_ended() || scan.counted > 0 || state.outbox.iter().any(|entry| entry.scan == index)
    })
}

fn all_ended(protocol: &Protocol, state: &State) -> bool {
    let expected = protocol.bounds.scans + protocol.bounds.nominal_times.len();
    state.scans.len() >= expected && state.scans.iter().all(crate::state::Scan::has_ended)
}
