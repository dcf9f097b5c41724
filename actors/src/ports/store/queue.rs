//! The pause of the queue.

use async_trait::async_trait;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{Principal, QueuePause};

/// Keeps the pause of the queue, which holds for all nodes.
#[async_trait]
pub trait QueueControl: Send + Sync + 'static {
    /// Pauses the queue, with an optional reason: no scan is leased any more. Running scans
    /// continue. A queue that is already paused keeps its start time and takes the new reason.
    async fn pause(&self, reason: Option<String>, by: &Principal) -> Result<QueuePause, StoreError>;

    /// Ends the pause. Returns `false` if the queue was not paused.
    async fn resume(&self, by: &Principal) -> Result<bool, StoreError>;

    /// Returns the pause, if the queue is paused.
    async fn paused(&self) -> Result<Option<QueuePause>, StoreError>;
}

#[async_trait]
impl<S: QueueControl + ?Sized, H: CallHook> QueueControl for Hooked<S, H> {
    async fn pause(&self, reason: Option<String>, by: &Principal) -> Result<QueuePause, StoreError> {
        self.hook.around("pause", self.inner.pause(reason, by)).await
    }

    async fn resume(&self, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("resume", self.inner.resume(by)).await
    }

    async fn paused(&self) -> Result<Option<QueuePause>, StoreError> {
        self.hook.around("paused", self.inner.paused()).await
    }
}
