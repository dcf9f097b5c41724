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
    /// The drain time may be over.
    DrainOver,
    /// Kills every attempt at once: the lease is lost.
    KillAll(OnCleared),
    /// Starts no more scans and interrupts every attempt.
    Shutdown(OnCleared),
    /// Kills the scans that are left after a shutdown's time, while the lease is still valid.
    KillRest(OnCleared),
    /// An attempt on this target failed.
    AttemptFailed(FailureKind, String),
    /// A scan of this target completed.
    AttemptCompleted(String),
    /// A hold that failed attempts caused has ended.
    HoldOver,
    /// The clean-up after a failed actor is done.
    CleanedUp(ActorId),
    /// A task of the supervisor panicked.
    Panicked(String),
    /// An attempt without an actor left the registry.
    Settle,
}

/// A leased attempt to be started by an actor.
pub(crate) struct Launch {
    /// The leased row.
    pub(crate) record: ScanRecord,
    /// The permit of the slot that it uses.
    pub(crate) credit: OwnedSemaphorePermit,
}

/// A callback that runs when the last attempt is gone. It also runs when it is dropped, because
/// then no supervisor with attempts is left.
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
