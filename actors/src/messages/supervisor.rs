//! The messages of the scan supervisor.

use ractor::ActorId;
use tokio::sync::OwnedSemaphorePermit;

use crate::model::{FailureKind, ScanId, ScanRecord};

/// A message to the supervisor.
pub(crate) enum Message {
    /// Runs a leased attempt.
    Launch(Box<Launch>),
    /// Ends a scan for a user, if it runs here.
    Cancel(ScanId),
    /// Publishes a scan for a while, if it runs here.
    Follow(ScanId),
    /// The node's directives have changed.
    DirectivesChanged,
    /// The time to drain may be over.
    DrainOver,
    /// Kills every attempt at once: the lease is lost.
    KillAll(OnCleared),
    /// Starts nothing any more and interrupts every attempt.
    Shutdown(OnCleared),
    /// Kills what a shutdown has left: its time is over, and the lease is still good.
    KillRest(OnCleared),
    /// An attempt on this target failed.
    AttemptFailed(FailureKind, String),
    /// A scan of this target completed.
    AttemptCompleted(String),
    /// What failed attempts have held back may start again.
    HoldOver,
    /// The clean-up after a failed actor is done.
    CleanedUp(ActorId),
    /// A task of its own panicked.
    Panicked(String),
    /// An attempt without an actor left the registry.
    Settle,
}

/// A leased attempt on its way to its actor.
pub(crate) struct Launch {
    /// The row, just leased.
    pub(crate) record: ScanRecord,
    /// The credit that it uses.
    pub(crate) credit: OwnedSemaphorePermit,
}

/// Called when the last attempt is gone; also when it is dropped, because then nobody is left who
/// could have one.
pub(crate) struct OnCleared(Option<Box<dyn FnOnce() + Send>>);

impl OnCleared {
    pub(crate) fn new(call: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(call)))
    }
}

impl Drop for OnCleared {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}
