//! The contract of readiness checks.

use super::*;

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! store_health_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; store_health;
            a_ping_is_answered
        }
    };
}

/// A ping succeeds.
pub async fn a_ping_is_answered<H: StoreHarness>(world: World<H>) {
    world.store.ping().await.unwrap();
    world.scan("example.com").await;
    world.store.ping().await.unwrap();
}
