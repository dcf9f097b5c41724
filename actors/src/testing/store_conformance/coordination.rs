//! The contract of turns.

use super::*;

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! coordination_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; coordination;
            one_looks_after_the_cluster_at_a_time
            a_turn_ends_with_the_node_that_has_it
            a_clock_that_is_set_back_delays_no_turn_and_no_drain
        }
    };
}

/// One of many nodes gets the turn; the next node gets it when the time is over.
pub async fn one_looks_after_the_cluster_at_a_time<H: StoreHarness>(world: World<H>) {
    let every = Duration::from_secs(60);
    let nodes: Vec<NodeId> = (0..8).map(|number| node(&format!("node-{number}"))).collect();
    let claims = futures_util::future::join_all(nodes.iter().map(|node| world.store.claim_turn(node, every))).await;
    assert_eq!(claims.into_iter().filter(|claim| *claim.as_ref().unwrap()).count(), 1);
    for node in &nodes {
        assert!(!world.store.claim_turn(node, every).await.unwrap());
    }
    world.harness.advance(every);
    assert!(world.store.claim_turn(&nodes[0], every).await.unwrap());
}

/// A node that is removed loses its own turn and no other. The same applies to a node that the only
/// process that can be alive has ended.
pub async fn a_turn_ends_with_the_node_that_has_it<H: StoreHarness>(world: World<H>) {
    let every = Duration::from_secs(60);
    let (first, second, third) = (node("a"), node("b"), node("c"));
    world.register("a").await;
    assert!(world.store.claim_turn(&first, every).await.unwrap());
    world.store.remove(&second).await.unwrap();
    assert!(!world.store.claim_turn(&second, every).await.unwrap(), "the turn is another node's");
    world.store.remove(&first).await.unwrap();
    assert!(world.store.claim_turn(&second, every).await.unwrap());
    world.store.end_others(&second).await.unwrap();
    assert!(!world.store.claim_turn(&third, every).await.unwrap(), "the turn is that of the node that lives");
    world.store.end_others(&third).await.unwrap();
    assert!(world.store.claim_turn(&third, every).await.unwrap());
}

/// A turn and a drain time end if their end is further away than their length.
pub async fn a_clock_that_is_set_back_delays_no_turn_and_no_drain<H: StoreHarness>(world: World<H>) {
    let every = Duration::from_secs(60);
    world.register("a").await;
    assert!(world.store.order_drain(&node("a"), Some(every), &Principal::System).await.unwrap());
    assert!(world.store.claim_turn(&node("a"), every).await.unwrap());
    world.harness.set_back(Duration::from_secs(5 * 3600));
    assert_eq!(world.renew("a").await.unwrap().drain, Some(Duration::ZERO));
    assert_eq!(world.register("a").await.drain, Some(Duration::ZERO));
    assert!(world.store.claim_turn(&node("b"), every).await.unwrap());
    assert!(!world.store.claim_turn(&node("a"), every).await.unwrap(), "one at a time, by the new time");
}
