use std::collections::HashMap;
use std::sync::Arc;

use ractor::{ActorId, ActorRef};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::context::{RegistryEntry, Shared};
use crate::messages::scan;
use crate::messages::supervisor::OnCleared;
use crate::model::ScanId;
use crate::policy::classify::StopCause;

/// Whether new attempts are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Yes.
    Serving,
    /// Not until the last one is gone.
    Clearing,
    /// Never again.
    ShuttingDown,
}

/// One attempt, from its launch until its processes are gone and its end is recorded.
pub(crate) struct Child {
    pub(crate) scan: ScanId,
    pub(crate) target: String,
    pub(crate) entry: RegistryEntry,
    pub(crate) actor: ActorRef<scan::Message>,
    pub(crate) phase: ChildPhase,
    /// Returned by its drop.
    #[expect(dead_code, reason = "held for its drop, which returns the credit")]
    pub(crate) credit: Option<OwnedSemaphorePermit>,
}

pub(crate) enum ChildPhase {
    /// Its actor lives.
    Alive,
    /// Its actor is gone; this task waits for its processes and records its end.
    CleaningUp(#[expect(dead_code, reason = "held for its drop, which ends the task")] AbortOnDropHandle<()>),
}

pub(crate) struct State {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mode: Mode,
    /// All attempts of this node. Every operation walks this one map.
    pub(crate) children: HashMap<ActorId, Child>,
    pub(crate) waiting: Vec<OnCleared>,
    /// Ends what still runs when the time to drain is over.
    pub(crate) drain: Option<AbortOnDropHandle<()>>,
    /// Tells when the next thing that is held back may start again.
    pub(crate) hold: Option<AbortOnDropHandle<()>>,
    pub(crate) bus: AbortOnDropHandle<()>,
}

impl State {
    /// Asks every living attempt to end.
    pub(crate) fn stop_all(&self, cause: StopCause) {
        for child in self.children.values() {
            if matches!(child.phase, ChildPhase::Alive) {
                // An actor that is just ending needs no order to.
                let _ = child.actor.cast(scan::Message::Stop(cause));
            }
        }
    }

    /// Shows what the supervisor does now.
    pub(crate) fn show(&self) {
        let now = Instant::now();
        let state = match self.mode {
            Mode::ShuttingDown => "shutting down",
            Mode::Serving | Mode::Clearing if self.shared.directives.borrow().drain.is_some() => "draining",
            Mode::Serving | Mode::Clearing if self.shared.breaker.borrow().node_held(now).is_some() => {
                "held back: too many attempts of several targets failed"
            }
            Mode::Serving | Mode::Clearing => "serving",
        };
        self.shared.show("supervisor", state);
    }

    /// Forgets an attempt whose processes are gone, and tells whoever waits for the last one.
    pub(crate) fn forget(&mut self, actor: ActorId) {
        if let Some(child) = self.children.remove(&actor) {
            self.shared.leave_registry(child.scan, child.entry.token);
        }
        self.settle();
    }

    /// Tells whoever waits that nothing is left, if so.
    pub(crate) fn settle(&mut self) {
        if self.shared.registry.entries().is_empty() {
            self.waiting.clear();
            if self.mode == Mode::Clearing {
                self.mode = Mode::Serving;
            }
        }
    }
}
