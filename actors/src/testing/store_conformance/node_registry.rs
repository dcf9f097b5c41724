//! The contract of nodes and their leases.

use super::*;

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! node_registry_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; node_registry;
            an_expired_lease_that_nobody_ended_is_renewed
            a_node_that_never_registered_or_left_is_not_renewed
            end_other_nodes_ends_all_but_one
            a_renewal_tells_the_cancels_of_this_node_only
            nodes_are_listed_with_what_they_last_said
            a_draining_node_leases_nothing
            a_node_that_registers_anew_keeps_its_order
            a_clock_that_is_set_back_keeps_no_dead_node_alive
            a_clock_that_is_set_forward_ends_no_living_lease
        }
    };
}

/// A node whose expired lease was not ended yet keeps its scans.
pub async fn an_expired_lease_that_nobody_ended_is_renewed<H: StoreHarness>(world: World<H>) {
    let first = world.register("a").await;
    world.expire();
    let renewed = world.renew("a").await.unwrap();
    assert!(renewed.expires_at > first.expires_at);
    let scan = world.scan("example.com").await;
    world.committed(scan.id, lease("a")).await;
    assert_eq!(world.orphans().await, []);
}

/// A renewal is refused for a node that has no lease.
pub async fn a_node_that_never_registered_or_left_is_not_renewed<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.renew("a").await, Err(NodeLeaseRefused));
    world.register("a").await;
    world.store.remove(&node("a")).await.unwrap();
    assert_eq!(world.renew("a").await, Err(NodeLeaseRefused));
    world.store.remove(&node("a")).await.unwrap();
    assert_eq!(world.store.all().await.unwrap(), []);
}

/// The only process that can be alive ends the leases of all other nodes, even those that have not
/// expired.
pub async fn end_other_nodes_ends_all_but_one<H: StoreHarness>(world: World<H>) {
    let lost = world.running("a").await;
    world.register("b").await;
    let kept = world.running("c").await;
    world.store.end_others(&node("c")).await.unwrap();
    for name in ["a", "b"] {
        assert_eq!(world.renew(name).await, Err(NodeLeaseRefused), "{name}");
    }
    assert!(world.renew("c").await.is_ok());
    assert_eq!(world.orphans().await, [as_running(&lost)]);
    assert_eq!(world.store.running_on(&node("c")).await.unwrap(), [as_running(&kept)]);
}

/// A renewal returns the cancels of the node's own running scans.
pub async fn a_renewal_tells_the_cancels_of_this_node_only<H: StoreHarness>(world: World<H>) {
    let (mine, also_mine, other) = (world.running("a").await, world.running("a").await, world.running("b").await);
    let waiting = world.scan("example.com").await;
    assert_eq!(world.renew("a").await.unwrap().cancels, []);
    for scan in [&mine, &other, &waiting] {
        world.committed(scan.id, cancel()).await;
    }
    assert_eq!(world.renew("a").await.unwrap().cancels, [mine.id]);
    assert_eq!(world.renew("b").await.unwrap().cancels, [other.id]);
    world.committed(mine.id, finish(mine.token, Resolution::Cancel(CancelledBy::User))).await;
    assert_eq!(world.renew("a").await.unwrap().cancels, []);
    world.committed(also_mine.id, cancel()).await;
    assert_eq!(world.renew("a").await.unwrap().cancels, [also_mine.id]);
}

/// All nodes are listed with their last registration, including those with an expired lease.
pub async fn nodes_are_listed_with_what_they_last_said<H: StoreHarness>(world: World<H>) {
    world.register("a").await;
    world.expire();
    let mut busy = fixtures::registration("b");
    let first = world.store.register(busy.clone(), TTL).await.unwrap();
    busy.running = 3;
    busy.host = "a host\0 with \"odd\" characters".into();
    world.harness.advance(Duration::from_secs(5));
    let renewed = world.store.renew(busy.clone(), TTL).await.unwrap().unwrap();
    assert!(renewed.expires_at >= first.expires_at + Duration::from_secs(5));
    let mut nodes = world.store.all().await.unwrap();
    nodes.sort_by(|one, other| one.registration.id.cmp(&other.registration.id));
    assert_eq!(nodes.len(), 2);
    assert_eq!(nodes[0].registration, fixtures::registration("a"));
    assert_eq!((&nodes[1].registration, nodes[1].expires_at), (&busy, renewed.expires_at));
}

/// A node with a drain order gets the time that is left, and leases nothing until the order is
/// revoked.
pub async fn a_draining_node_leases_nothing<H: StoreHarness>(world: World<H>) {
    let limit = Duration::from_secs(600);
    assert!(!world.store.order_drain(&node("a"), Some(limit), &Principal::System).await.unwrap(), "no such node");
    world.register("a").await;
    let scan = world.scan("example.com").await;
    assert!(world.store.order_drain(&node("a"), Some(limit), &Principal::System).await.unwrap());
    assert_eq!(world.refused(scan.id, lease("a")).await, Refusal::NodeDraining);
    world.harness.advance(Duration::from_secs(5));
    let left = world.renew("a").await.unwrap().drain.unwrap();
    assert!(left <= limit - Duration::from_secs(5) && left > limit - Duration::from_secs(60), "{left:?}");
    assert!(world.store.all().await.unwrap()[0].drain_by.is_some());
    assert!(world.store.order_drain(&node("a"), Some(Duration::ZERO), &Principal::System).await.unwrap());
    world.harness.advance(Duration::from_secs(1));
    assert_eq!(world.renew("a").await.unwrap().drain, Some(Duration::ZERO));
    assert!(world.store.order_drain(&node("a"), None, &Principal::System).await.unwrap());
    assert_eq!(world.renew("a").await.unwrap().drain, None);
    world.committed(scan.id, lease("a")).await;
}

/// A node that lost its lease and registers again still has its drain order.
pub async fn a_node_that_registers_anew_keeps_its_order<H: StoreHarness>(world: World<H>) {
    world.register("a").await;
    assert!(world.store.order_drain(&node("a"), Some(10 * TTL), &Principal::System).await.unwrap());
    world.expire();
    assert!(world.register("a").await.drain.is_some());
    assert!(world.renew("a").await.unwrap().drain.is_some());
}

/// A lease is never valid for longer than it was granted for; a living node renews it in that time.
pub async fn a_clock_that_is_set_back_keeps_no_dead_node_alive<H: StoreHarness>(world: World<H>) {
    let lost = world.running("dead").await;
    let kept = world.running("alive").await;
    world.harness.set_back(Duration::from_secs(5 * 3600));
    assert_eq!(world.orphans().await, [], "nobody is dead yet");
    world.harness.advance(Duration::from_secs(10));
    assert!(world.renew("alive").await.is_ok());
    assert_eq!(world.orphans().await, []);
    world.harness.advance(TTL / 2);
    assert_eq!(world.orphans().await, []);
    world.harness.advance(Duration::from_secs(5));
    assert_eq!(world.orphans().await, [as_running(&lost)], "one lease after the first look");
    assert!(world.renew("alive").await.is_ok());
    assert_eq!(world.store.running_on(&node("alive")).await.unwrap(), [as_running(&kept)]);
}

/// A clock that jumps forward does not end the lease of a node that renews within some seconds of
/// the next check. A node that does not renew is dead.
pub async fn a_clock_that_is_set_forward_ends_no_living_lease<H: StoreHarness>(world: World<H>) {
    let (lost, kept) = (world.running("dead").await, world.running("alive").await);
    assert_eq!(world.orphans().await, []);
    world.harness.advance(Duration::from_secs(5 * 3600));
    assert_eq!(world.orphans().await, []);
    assert!(world.renew("alive").await.is_ok());
    world.harness.advance(Duration::from_secs(10));
    assert_eq!(world.orphans().await, []);
    world.harness.advance(Duration::from_secs(10));
    assert_eq!(world.orphans().await, [as_running(&lost)]);
    assert!(world.renew("alive").await.is_ok());
    assert_eq!(world.store.running_on(&node("alive")).await.unwrap(), [as_running(&kept)]);
}
