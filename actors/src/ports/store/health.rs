//! The health of the store.

use async_trait::async_trait;

use super::StoreError;
use super::hooked::{CallHook, Hooked};

/// Reports whether the store works.
#[async_trait]
pub trait StoreHealth: Send + Sync + 'static {
    /// Checks that the store responds, without a write. For readiness checks.
    async fn ping(&self) -> Result<(), StoreError>;
}

#[async_trait]
impl<S: StoreHealth + ?Sized, H: CallHook> StoreHealth for Hooked<S, H> {
    async fn ping(&self) -> Result<(), StoreError> {
        self.hook.around("ping", self.inner.ping()).await
    }
}
