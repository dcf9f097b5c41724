//! The contract of the rows that wait, run, or lost their node.

use super::*;

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! dispatch_store_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; dispatch_store;
            a_good_lease_has_no_orphans
            orphans_end_the_leases_that_expired
            scans_of_a_node_without_a_row_are_orphans
            due_scans_come_by_priority_then_by_time
            due_scans_are_those_that_wait
            running_scans_are_those_of_the_node
            a_clock_that_is_set_back_delays_no_scan
        }
    };
}

/// A node that renews in time keeps its scans and its lease.
pub async fn a_good_lease_has_no_orphans<H: StoreHarness>(world: World<H>) {
    world.running("a").await;
    for _ in 0..3 {
        world.harness.advance(TTL - Duration::from_secs(5));
        assert_eq!(world.orphans().await, []);
        world.renew("a").await.unwrap();
    }
}

/// A reconciler finds the scans of expired nodes and ends the leases of those nodes. Their renewals
/// are refused until they register again.
pub async fn orphans_end_the_leases_that_expired<H: StoreHarness>(world: World<H>) {
    let (lost, waiting) = (world.running("a").await, world.scan("example.com").await);
    world.expire();
    let alive = world.running("b").await;
    for _ in 0..2 {
        assert_eq!(world.orphans().await, [as_running(&lost)], "until somebody rescues it");
    }
    assert_eq!(world.renew("a").await, Err(NodeLeaseRefused));
    assert_eq!(world.refused(waiting.id, lease("a")).await, Refusal::NodeLeaseEnded);
    assert!(world.renew("b").await.is_ok(), "the lease of a good node goes on");
    let rescue = Command::Rescue {
        from: node("a"),
        token: lost.token,
        resolution: Resolution::Requeue(Interruption::LeaseLost),
    };
    world.committed(lost.id, rescue).await;
    assert_eq!(world.orphans().await, []);
    world.register("a").await;
    assert!(world.renew("a").await.is_ok());
    assert_eq!(world.committed(lost.id, lease("a")).await.token, FencingToken(3));
    assert_eq!(world.store.running_on(&node("b")).await.unwrap(), [as_running(&alive)]);
}

/// A node that released its lease, or that has no row, leaves orphans like an expired node.
pub async fn scans_of_a_node_without_a_row_are_orphans<H: StoreHarness>(world: World<H>) {
    let scan = world.running("a").await;
    world.store.remove(&node("a")).await.unwrap();
    assert_eq!(world.orphans().await, [as_running(&scan)]);
}

/// Highest priority first; within one priority, longest due first.
pub async fn due_scans_come_by_priority_then_by_time<H: StoreHarness>(world: World<H>) {
    for priority in [Priority::Low, Priority::Normal, Priority::High, Priority::Normal, Priority::High] {
        world.submit(with_priority(priority)).await;
        world.harness.advance(Duration::from_secs(1));
    }
    let due = world.store.due(Duration::ZERO, 100).await.unwrap();
    assert_eq!(due.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), [3, 5, 2, 4, 1]);
    for scan in &due {
        let record = world.get(scan.id).await;
        assert_eq!(
            (scan.priority, scan.due, scan.trace),
            (record.request.options.priority, record.created_at, record.trace)
        );
    }
    for (limit, ids) in [(0, &[][..]), (1, &[3, 2, 1]), (2, &[3, 5, 2, 4, 1]), (3, &[3, 5, 2, 4, 1])] {
        let found = world.store.due(Duration::ZERO, limit).await.unwrap();
        assert_eq!(found.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), ids, "at most {limit} of each priority");
    }
}

/// Only pending scans that are due now or within the given time.
pub async fn due_scans_are_those_that_wait<H: StoreHarness>(world: World<H>) {
    let (later, _running, ended) =
        (world.running("a").await, world.running("a").await, world.scan("example.com").await);
    world.committed(ended.id, cancel()).await;
    let retry = Resolution::Retry { failure: crash(), after: Duration::from_secs(600) };
    let waiting = world.committed(later.id, finish(later.token, retry)).await;
    let ScanState::Pending { due, .. } = waiting.state else { panic!("{waiting:?}") };
    assert_eq!(world.store.due(Duration::ZERO, 10).await.unwrap(), []);
    assert_eq!(world.store.due(Duration::from_secs(300), 10).await.unwrap(), []);
    let soon = world.store.due(Duration::from_secs(900), 10).await.unwrap();
    assert_eq!(soon.iter().map(|scan| (scan.id, scan.due)).collect::<Vec<_>>(), [(later.id, due)]);
    assert!(soon[0].wait > Duration::from_secs(500) && soon[0].wait <= Duration::from_secs(600), "{:?}", soon[0].wait);
    world.harness.advance(Duration::from_secs(601));
    let soon = vec![DueScan { wait: Duration::ZERO, ..soon[0].clone() }];
    assert_eq!(world.store.due(Duration::ZERO, 10).await.unwrap(), soon);
    assert_eq!(world.store.due(Duration::MAX, 10).await.unwrap(), soon, "an endless time is no error");
}

/// The running scans of one node, without those of other nodes and without ended ones.
pub async fn running_scans_are_those_of_the_node<H: StoreHarness>(world: World<H>) {
    let (one, two, ended, other) =
        (world.running("a").await, world.running("a").await, world.running("a").await, world.running("b").await);
    world.committed(ended.id, finish(ended.token, Resolution::Retry { failure: crash(), after: Duration::ZERO })).await;
    let on = async |name: &str| sorted(world.store.running_on(&node(name)).await.unwrap());
    assert_eq!(on("a").await, [as_running(&one), as_running(&two)]);
    assert_eq!(on("b").await, [as_running(&other)]);
    assert_eq!(on("c").await, []);
    let again = world.committed(ended.id, lease("b")).await;
    assert_eq!(again.failures, 1);
    assert_eq!(on("b").await, [as_running(&again), as_running(&other)]);
}

/// A due scan stays due, whatever the clock shows: it is listed as due now, and can be leased. So
/// is a scan that was to wait, because a wait is never longer than it was when it began.
pub async fn a_clock_that_is_set_back_delays_no_scan<H: StoreHarness>(world: World<H>) {
    let after = Duration::from_secs(300);
    let (retried, requeued) = (world.running("a").await, world.running("a").await);
    world.committed(retried.id, finish(retried.token, Resolution::Retry { failure: crash(), after })).await;
    world.committed(requeued.id, finish(requeued.token, Resolution::Requeue(Interruption::Shutdown))).await;
    let urgent = world.submit(with_priority(Priority::High)).await;
    world.harness.set_back(Duration::from_secs(5 * 3600));
    let fresh = world.scan("example.com").await;
    world.register("a").await;
    let mut due: Vec<(ScanId, Duration)> =
        world.store.due(Duration::ZERO, 10).await.unwrap().into_iter().map(|due| (due.id, due.wait)).collect();
    due.sort_unstable();
    assert_eq!(due, [retried.id, requeued.id, urgent.id, fresh.id].map(|id| (id, Duration::ZERO)));
    for id in [retried.id, requeued.id, urgent.id, fresh.id] {
        assert_eq!(world.committed(id, lease("a")).await.status(), ScanStatus::Running, "{id}");
    }
    // A wait that begins now is kept.
    let waiting =
        world.committed(fresh.id, finish(FencingToken(1), Resolution::Retry { failure: crash(), after })).await;
    assert!(
        matches!(world.refused(waiting.id, lease("a")).await, Refusal::NotDue(wait) if wait <= after && wait > after / 2)
    );
    assert_eq!(world.store.due(Duration::ZERO, 10).await.unwrap(), []);
}
