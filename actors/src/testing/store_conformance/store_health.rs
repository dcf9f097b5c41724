//! The contract of readiness checks.

use super::*;

/// A ping succeeds.
pub async fn a_ping_is_answered<H: StoreHarness>(world: World<H>) {
    world.store.ping().await.unwrap();
    world.scan("example.com").await;
    world.store.ping().await.unwrap();
}
