//! Checks the implemented protocol within each of the bounds, and finds the mistake of each wrong
//! variant.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::mem::{Discriminant, discriminant};

use kastrel_protocol::bounds::{self, Bounds};
use kastrel_protocol::code::STEPS;
use kastrel_protocol::properties;
use kastrel_protocol::protocol::Protocol;
use kastrel_protocol::state::State;
use kastrel_protocol::steps::Step;
use kastrel_protocol::variant::Variant;
use stateright::{Checker as _, Expectation, HasDiscoveries, Model as _};

/// Checks every state within the bounds. The number of states is asserted, so that a change of the
/// model is seen, and docs/protocol.md names it.
fn check(bounds: &Bounds, states: usize) {
    let checker = Protocol::new(bounds).checker().spawn_bfs().join();
    checker.assert_properties();
    assert_eq!(checker.unique_state_count(), states, "{}", bounds.name);
}

#[test]
fn a_node_that_is_cut_off_keeps_every_promise() {
    check(&bounds::CUT, 44_087);
}

#[test]
fn a_frozen_node_keeps_every_promise_outside_of_the_known_windows() {
    check(&bounds::FROZEN, 107_078);
}

#[test]
fn a_node_that_is_frozen_with_its_watchdog_keeps_every_promise_outside_of_the_known_windows() {
    check(&bounds::FROZEN_TOGETHER, 187_721);
}

#[test]
fn a_node_that_is_killed_keeps_every_promise() {
    check(&bounds::KILLED, 21_220);
}

#[test]
fn a_queue_that_loses_its_signals_delays_scans_and_loses_none() {
    check(&bounds::QUEUE, 48_712);
}

#[test]
fn the_outbox_counts_each_end_once() {
    check(&bounds::OUTBOX, 3_243);
}

#[test]
fn a_schedule_fires_each_nominal_time_once() {
    check(&bounds::SCHEDULE, 7_553);
}

/// Returns the number of steps to the shortest counterexample of a wrong variant.
fn counterexample(variant: Variant) -> usize {
    let (_, property, bounds) = *Variant::WRONG.iter().find(|(one, ..)| *one == variant).unwrap();
    let found = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker = Protocol::wrong(bounds, variant).checker().finish_when(found).spawn_bfs().join();
    let path = checker.discovery(property);
    let path = path.unwrap_or_else(|| panic!("{variant:?} keeps the promise: {property}"));
    path.into_actions().len()
}

#[test]
fn without_a_margin_two_scanners_run() {
    assert_eq!(counterexample(Variant::NoMargin), 28);
}

#[test]
fn with_a_margin_from_the_answer_two_scanners_run() {
    assert_eq!(counterexample(Variant::TrustFromAnswer), 37);
}

#[test]
fn without_a_watchdog_two_scanners_run() {
    assert_eq!(counterexample(Variant::NoWatchdog), 27);
}

#[test]
fn with_unchecked_launches_two_scanners_run() {
    assert_eq!(counterexample(Variant::LaunchUnchecked), 28);
}

#[test]
fn without_a_check_of_the_token_a_stale_end_is_written() {
    assert_eq!(counterexample(Variant::NoTokenCheck), 26);
}

#[test]
fn with_an_acknowledgement_before_the_lease_a_signal_is_lost() {
    assert_eq!(counterexample(Variant::AcknowledgeBeforeLease), 17);
}

#[test]
fn without_reminders_a_scan_waits_for_ever() {
    assert_eq!(counterexample(Variant::NoReminder), 64);
}

#[test]
fn with_an_event_after_the_commit_an_end_has_none() {
    assert_eq!(counterexample(Variant::EventAfterCommit), 27);
}

#[test]
fn with_a_mark_apart_from_the_count_an_end_is_counted_twice() {
    assert_eq!(counterexample(Variant::CountApartFromMark), 25);
}

#[test]
fn without_an_idempotency_key_a_nominal_time_fires_twice() {
    assert_eq!(counterexample(Variant::FireWithoutKey), 15);
}

#[test]
fn every_wrong_variant_has_a_property_of_its_bounds() {
    for (variant, property, bounds) in Variant::WRONG {
        let names: Vec<_> = Protocol::wrong(bounds, variant).properties().iter().map(|one| one.name).collect();
        assert!(names.contains(&property), "{variant:?}");
    }
    let happen =
        [properties::LATE_LAUNCH_HAPPENS, properties::STALE_LAUNCH_HAPPENS, properties::OUTLIVED_LEASE_HAPPENS];
    let names: Vec<_> = Protocol::new(&bounds::FROZEN_TOGETHER).properties().iter().map(|one| one.name).collect();
    assert!(happen.iter().all(|window| names.contains(window)), "each known window is reached");
}

/// Stateright finds a violated *eventually* only at the end of a path, and looks at a state once,
/// however it was reached. Both are exact if no path returns to a state, and if a condition that
/// holds once holds for ever.
#[test]
fn liveness_is_checked_exactly_and_every_step_is_taken() {
    let mut taken = HashSet::new();
    for bounds in bounds::ALL {
        walk(&Protocol::new(bounds), &mut taken);
    }
    for step in STEPS {
        assert!(taken.contains(&discriminant(&step)), "{step:?} is taken within none of the bounds");
    }
}

/// Visits every state, the newest first, and collects the kinds of steps. Fails at a path that
/// returns to a state of its own, and at a step after which an *eventually* holds no more.
fn walk(protocol: &Protocol, taken: &mut HashSet<Discriminant<Step>>) {
    let properties = protocol.properties();
    let liveness: Vec<_> =
        properties.iter().filter(|property| property.expectation == Expectation::Eventually).collect();
    assert!(!liveness.is_empty());
    let holds = |state: &State| -> Vec<bool> {
        liveness.iter().map(|property| (property.condition)(protocol, state)).collect()
    };
    // The states by their hashes, and whether the path to them is still open.
    let mut known: HashMap<u64, bool> = HashMap::new();
    let mut path = Vec::new();
    for state in protocol.init_states() {
        known.insert(hash(&state), true);
        path.push((hash(&state), holds(&state), protocol.next_steps(&state)));
    }
    while let Some((key, held, next)) = path.last_mut() {
        let Some((step, state)) = next.pop() else {
            known.insert(*key, false);
            path.pop();
            continue;
        };
        taken.insert(discriminant(&step));
        let now = holds(&state);
        assert!(held.iter().zip(&now).all(|(before, after)| !before || *after), "{state:?}");
        let key = hash(&state);
        match known.get(&key) {
            Some(true) => panic!("a path of {} returns to {state:?}", protocol.bounds.name),
            Some(false) => {}
            None => {
                known.insert(key, true);
                let next = protocol.next_steps(&state);
                path.push((key, now, next));
            }
        }
    }
}

fn hash(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
