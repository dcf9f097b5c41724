//! The model, as stateright checks it.

use stateright::{Model, Property};

use crate::bounds::{Bounds, TIMING, Timing};
use crate::properties;
use crate::state::{Life, Node, Scan, State};
use crate::steps::{self, Step};
use crate::variant::Variant;

/// A protocol within bounds.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// The bounds.
    pub bounds: Bounds,
    /// The durations.
    pub timing: Timing,
    /// The protocol, right or wrong.
    pub variant: Variant,
}

impl Protocol {
    /// Returns the implemented protocol within bounds.
    #[must_use]
    pub fn new(bounds: &Bounds) -> Self {
        Self { bounds: bounds.clone(), timing: TIMING, variant: Variant::Implemented }
    }

    /// Returns a protocol with a mistake within bounds.
    #[must_use]
    pub fn wrong(bounds: &Bounds, variant: Variant) -> Self {
        Self { variant, ..Self::new(bounds) }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let watchdog = if self.variant == Variant::NoWatchdog { Life::Gone } else { Life::Up };
        vec![State {
            now: 0,
            scans: vec![Scan::submitted(0); self.bounds.scans],
            nodes: vec![Node::started(watchdog); self.bounds.nodes],
            scanners: Vec::new(),
            outbox: Vec::new(),
            keys: Vec::new(),
            left: self.bounds.faults,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        actions.append(&mut steps::offers(self, state).steps);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        steps::take(self, &mut next, step);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(&self.bounds)
    }
}
