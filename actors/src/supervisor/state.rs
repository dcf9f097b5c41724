use std::collections::HashMap;
use std::sync::Arc;

use ractor::{ActorId, ActorRef};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::attempt_registry::RegistryEntry;
use crate::context::Shared;
use crate::messages::scan;
use crate::messages::supervisor::OnCleared;
use crate::model::ScanId;
use crate::policy::classify::StopCause;

/// Whether the supervisor takes new attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It takes new attempts.
    Serving,
    /// It takes none until the last one is gone.
    Clearing,
    /// It takes none any more.
    ShuttingDown,
}

/// One attempt, from its launch until its processes are gone and its end is recorded.
pub(crate) struct Child {
    pub(crate) scan: ScanId,
    pub(crate) target: String,
    pub(crate) entry: RegistryEntry,
    pub(crate) actor: ActorRef<scan::Message>,
    pub(crate) phase: ChildPhase,
    /// The slot, released on drop.
    #[expect(dead_code, reason = "held for its drop, which returns the credit")]
    pub(crate) credit: Option<OwnedSemaphorePermit>,
}

pub(crate) enum ChildPhase {
    /// Its actor lives.
    Alive,
    /// Its actor is gone; this task waits until its processes are gone and records its end.
    CleaningUp(#[expect(dead_code, reason = "held for its drop, which ends the task")] AbortOnDropHandle<()>),
}

pub(crate) struct State {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mode: Mode,
    /// All attempts of this node. Every operation iterates over this map.
    pub(crate) children: HashMap<ActorId, Child>,
    pub(crate) waiting: Vec<OnCleared>,
    /// The timer that ends the remaining scans when the drain time is over.
    pub(crate) drain: Option<AbortOnDropHandle<()>>,
    /// The timer for the end of the next hold.
    pub(crate) hold: Option<AbortOnDropHandle<()>>,
    pub(crate) bus: AbortOnDropHandle<()>,
}

impl State {
    /// Requests every living attempt to end.
    pub(crate) fn stop_all(&self, cause: StopCause) {
        for child in self.children.values() {
            if matches!(child.phase, ChildPhase::Alive) {
                // An actor that is about to end needs no request.
                let _ = child.actor.cast(scan::Message::Stop(cause));
            }
        }
    }

    /// Publishes the supervisor's state.
    pub(crate) fn show(&self) {
        let now = Instant::now();
        let state = match self.mode {
            Mode::ShuttingDown => "shutting down",
            Mode::Serving | Mode::Clearing if self.shared.gate.directives().drain.is_some() => "draining",
            Mode::Serving | Mode::Clearing if self.shared.gate.is_held_back(now) => {
                "held back: too many attempts of several targets failed"
            }
            Mode::Serving | Mode::Clearing => "serving",
        };
        self.shared.show("supervisor", state);
    }

    /// Removes an attempt whose processes are gone; if it was the last, runs the callbacks.
    pub(crate) fn forget(&mut self, actor: ActorId) {
        if let Some(child) = self.children.remove(&actor) {
            self.shared.leave_registry(child.scan, child.entry.token);
        }
        self.settle();
    }

    /// Runs the callbacks if no attempt is left.
    pub(crate) fn settle(&mut self) {
        if self.shared.registry.is_empty() {
            self.waiting.clear();
            if self.mode == Mode::Clearing {
                self.mode = Mode::Serving;
            }
        }
    }
}
