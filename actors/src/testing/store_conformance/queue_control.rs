//! The contract of the queue's pause.

use super::*;

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! queue_control_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; queue_control;
            a_paused_queue_leases_nothing
        }
    };
}

/// While the queue is paused nothing is leased, and everything else continues.
pub async fn a_paused_queue_leases_nothing<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.store.paused().await.unwrap(), None);
    assert!(!world.store.resume(&Principal::System).await.unwrap());
    let running = world.running("a").await;
    let pause = world.store.pause(Some("a\0 \"reason\"".into()), &Principal::System).await.unwrap();
    assert_eq!(world.store.paused().await.unwrap(), Some(pause.clone()));
    let waiting = world.scan("example.com").await;
    assert_eq!(world.refused(waiting.id, lease("a")).await, Refusal::QueuePaused);
    assert!(world.renew("a").await.unwrap().paused && world.register("b").await.paused);
    assert_eq!(world.committed(running.id, complete(running.token)).await.status(), ScanStatus::Completed);
    world.harness.advance(Duration::from_secs(5));
    let again = world.store.pause(None, &Principal::System).await.unwrap();
    assert_eq!((again.since, again.reason), (pause.since, None));
    assert!(world.store.resume(&Principal::System).await.unwrap());
    assert_eq!(world.store.paused().await.unwrap(), None);
    assert!(!world.renew("a").await.unwrap().paused);
    world.committed(waiting.id, lease("a")).await;
}
