//! The health of the store.

use async_trait::async_trait;

use super::StoreError;

/// Reports whether the store works.
#[async_trait]
pub trait StoreHealth: Send + Sync + 'static {
    /// Checks that the store responds, without a write. For readiness checks.
    async fn ping(&self) -> Result<(), StoreError>;
}
