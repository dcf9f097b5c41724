//! The contract of [`ScanStore`] as tests: one case per promise.
//!
//! An adapter implements [`StoreHarness`] and calls
//! [`store_conformance_tests!`](crate::store_conformance_tests) in a test module of its own.

mod coverage;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

pub use self::coverage::{
    a_list_has_the_worst_first, a_list_is_filtered_by_severity, counts_that_nobody_can_believe_are_kept_and_listed,
    no_plugin_is_unfinished_after_its_attempt,
};
use super::fixtures;
use crate::model::{
    AttemptEnd, AttemptNumber, CancelledBy, Command, DayOutcomes, Deleted, DueScan, Failure, FailureKind, FencingToken,
    Interruption, IssueRef, ListQuery, NewScan, NodeId, NodeLease, NodeLeaseRefused, PendingReason, PluginResult,
    PluginStatus, Priority, Resolution, RunningScan, RunsLike, ScanId, ScanMode, ScanOrder, ScanPage, ScanRecord,
    ScanState, ScanStatus, ScannerInfo, ScannerKind, Severity, StoreStats, Submitted, Verdict,
};
use crate::policy::listing::took_ms;
use crate::policy::transition::Refusal;
use crate::ports::{Applied, ScanStore};

/// The duration of the suite's leases.
const TTL: Duration = Duration::from_secs(30);

/// Creates stores for the suite. One harness serves one test.
#[async_trait]
pub trait StoreHarness: Send + Sync + 'static {
    /// The store under test.
    type Store: ScanStore;

    /// Returns an empty store.
    async fn new_store(&self) -> Self::Store;

    /// Advances the clock of the stores that this harness created.
    fn advance(&self, by: Duration);

    /// Sets the clock of these stores back.
    fn set_back(&self, by: Duration);

    /// Closes the store and opens it again, if it is persistent; otherwise returns it unchanged.
    async fn reopen(&self, store: Self::Store) -> Self::Store {
        store
    }

    /// Runs a case. A store that needs another runtime, or threads with larger stacks, overrides
    /// this.
    fn run(case: impl Future<Output = ()> + Send + 'static)
    where
        Self: Sized,
    {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(case);
    }
}

/// Runs one case with a new store: the body of the tests that
/// [`store_conformance_tests!`](crate::store_conformance_tests) generates.
pub fn run<H, F>(harness: H, case: impl FnOnce(World<H>) -> F + Send + 'static)
where
    H: StoreHarness,
    F: Future<Output = ()> + Send + 'static,
{
    H::run(async move {
        let store = Arc::new(harness.new_store().await);
        case(World { harness, store }).await;
    });
}

/// Generates one test per promise. The expression creates a
/// [`StoreHarness`](crate::testing::store_conformance::StoreHarness) for each.
#[macro_export]
macro_rules! store_conformance_tests {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness;
            a_submission_waits_and_is_due_at_once
            ids_grow_from_one
            ids_are_unique_under_concurrency
            what_does_not_exist_is_missing
            a_key_makes_one_scan
            keys_are_compared_exactly
            one_of_many_concurrent_submissions_with_one_key_makes_the_scan
            a_lease_grants_the_first_attempt
            a_lease_needs_a_pending_scan
            a_lease_needs_a_due_scan
            a_lease_needs_a_good_node_lease
            one_of_many_concurrent_leases_wins
            concurrent_changes_are_all_kept
            progress_replaces_the_plugins_and_can_be_repeated
            a_stale_token_changes_nothing
            each_resolution_has_its_state
            a_result_is_adopted_under_its_token_unless_a_cancel_was_asked_for
            a_finish_keeps_the_plugins_unless_it_brings_new_ones
            a_pending_scan_is_cancelled_at_once
            a_running_scan_is_asked_to_cancel_once
            a_requested_cancel_wins_over_another_attempt
            an_ended_scan_refuses_a_cancel
            a_rescue_takes_the_scan_by_node_and_token
            a_good_lease_has_no_orphans
            orphans_end_the_leases_that_expired
            scans_of_a_node_without_a_row_are_orphans
            an_expired_lease_that_nobody_ended_is_renewed
            a_node_that_never_registered_or_left_is_not_renewed
            end_other_nodes_ends_all_but_one
            a_renewal_tells_the_cancels_of_this_node_only
            a_draining_node_leases_nothing
            a_node_that_registers_anew_keeps_its_order
            one_looks_after_the_cluster_at_a_time
            a_turn_ends_with_the_node_that_has_it
            a_clock_that_is_set_back_delays_no_scan
            a_clock_that_is_set_back_keeps_no_dead_node_alive
            a_clock_that_is_set_back_delays_no_turn_and_no_drain
            a_clock_that_is_set_forward_ends_no_living_lease
            a_paused_queue_leases_nothing
            nodes_are_listed_with_what_they_last_said
            a_list_is_newest_first_and_goes_on_below_a_key
            a_list_skips_limits_and_counts
            a_list_is_filtered_by_status
            a_list_is_filtered_by_target
            a_list_is_filtered_by_mode_and_day
            a_list_is_filtered_by_plugin_with_findings
            filters_narrow_together
            pages_go_both_ways
            a_list_has_other_orders
            no_plugin_is_unfinished_after_its_attempt
            counts_that_nobody_can_believe_are_kept_and_listed
            a_list_is_filtered_by_severity
            a_list_has_the_worst_first
            only_what_has_ended_is_deleted
            a_deleted_scan_leaves_no_trace_and_its_id_stays_free
            ends_are_counted_by_day
            past_runs_are_the_completed_ones
            due_scans_come_by_priority_then_by_time
            due_scans_are_those_that_wait
            running_scans_are_those_of_the_node
            stats_count_every_state
            hostile_text_comes_back_as_it_was
            everything_survives_a_reopen
            a_ping_is_answered
        }
    };
    ($harness:expr; $($case:ident)+) => {
        $(
            #[test]
            fn $case() {
                $crate::testing::store_conformance::run($harness, $crate::testing::store_conformance::$case);
            }
        )+
    };
}

/// A store and helpers for the cases.
pub struct World<H: StoreHarness> {
    harness: H,
    store: Arc<H::Store>,
}

impl<H: StoreHarness> World<H> {
    async fn submit(&self, scan: NewScan) -> ScanRecord {
        match self.store.submit(scan).await.unwrap() {
            Submitted::Created(record) => record,
            Submitted::Existing(record) => panic!("scan {} was there before", record.id),
        }
    }

    async fn scan(&self, target: &str) -> ScanRecord {
        self.submit(fixtures::new_scan(target)).await
    }

    async fn get(&self, id: ScanId) -> ScanRecord {
        self.store.get(id).await.unwrap().unwrap()
    }

    async fn committed(&self, id: ScanId, command: Command) -> ScanRecord {
        let asked = format!("{command:?}");
        match self.store.apply(id, command).await.unwrap() {
            Applied::Committed(record) => {
                assert_eq!(self.get(id).await, record, "the answer is the row as it is now");
                record
            }
            other => panic!("{asked}: {other:?}"),
        }
    }

    async fn refused(&self, id: ScanId, command: Command) -> Refusal {
        let before = self.get(id).await;
        let asked = format!("{command:?}");
        match self.store.apply(id, command).await.unwrap() {
            Applied::Refused(refusal, record) => {
                assert_eq!(record, before, "{asked}: the answer is the row as it is");
                assert_eq!(self.get(id).await, before, "{asked}: nothing changed");
                refusal
            }
            other => panic!("{asked}: {other:?}"),
        }
    }

    async fn register(&self, name: &str) -> NodeLease {
        self.store.register_node(fixtures::registration(name), TTL).await.unwrap()
    }

    async fn renew(&self, name: &str) -> Result<NodeLease, NodeLeaseRefused> {
        self.store.renew_node(fixtures::registration(name), TTL).await.unwrap()
    }

    /// Creates a scan that runs on `name`, and registers that node.
    async fn running(&self, name: &str) -> ScanRecord {
        self.register(name).await;
        let scan = self.scan("example.com").await;
        self.committed(scan.id, lease(name)).await
    }

    fn expire(&self) {
        self.harness.advance(TTL + Duration::from_secs(1));
    }

    async fn orphans(&self) -> Vec<RunningScan> {
        sorted(self.store.orphans().await.unwrap())
    }

    async fn listed(&self, query: ListQuery) -> Vec<u64> {
        self.store.list(query).await.unwrap().scans.iter().map(|scan| scan.id.0).collect()
    }
}

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn lease(name: &str) -> Command {
    Command::Lease { node: node(name) }
}

fn finish(token: FencingToken, resolution: Resolution) -> Command {
    Command::Finish { token, resolution, plugins: None }
}

fn complete(token: FencingToken) -> Command {
    finish(token, Resolution::Complete(Verdict::default()))
}

fn progress(token: FencingToken, plugins: Vec<PluginResult>) -> Command {
    Command::Progress { token, scanner: None, plugins }
}

fn cancel() -> Command {
    Command::Cancel { by: CancelledBy::User }
}

fn crash() -> Failure {
    Failure::new(FailureKind::Crashed, "exit code 1")
}

fn keyed(key: &str) -> NewScan {
    NewScan { idempotency_key: Some(key.into()), ..fixtures::new_scan("example.com") }
}

fn with_priority(priority: Priority) -> NewScan {
    let mut scan = fixtures::new_scan("example.com");
    scan.request.priority = priority;
    scan
}

fn sorted(mut running: Vec<RunningScan>) -> Vec<RunningScan> {
    running.sort_by_key(|scan| scan.id);
    running
}

fn as_running(record: &ScanRecord) -> RunningScan {
    let ScanState::Running { node, .. } = &record.state else { panic!("scan {} is {}", record.id, record.status()) };
    RunningScan { id: record.id, node: node.clone(), token: record.token, failures: record.failures }
}

/// A submitted scan is pending, due since it was accepted, unchanged, and readable.
pub async fn a_submission_waits_and_is_due_at_once<H: StoreHarness>(world: World<H>) {
    let asked = NewScan { rerun_of: Some(ScanId(7)), ..keyed("key") };
    let record = world.submit(asked.clone()).await;
    assert_eq!(record.state, ScanState::Pending { due: record.created_at, reason: PendingReason::Submitted });
    assert_eq!((record.token, record.version, record.failures), (FencingToken(0), 0, 0));
    assert_eq!(
        (&record.attempts, &record.plugins, record.cancel_requested, record.started_at),
        (&vec![], &vec![], None, None)
    );
    assert_eq!(
        (&record.request, &record.idempotency_key, record.trace, record.rerun_of),
        (&asked.request, &asked.idempotency_key, asked.trace, asked.rerun_of)
    );
    assert_eq!(world.get(record.id).await, record);
    assert_eq!(world.store.submitted("key").await.unwrap(), Some(record));
    assert_eq!(world.store.submitted("other").await.unwrap(), None);
}

/// Ids are 1, 2, 3 and so on.
pub async fn ids_grow_from_one<H: StoreHarness>(world: World<H>) {
    for id in 1..=5 {
        assert_eq!(world.scan("example.com").await.id, ScanId(id));
    }
}

/// Concurrent submissions get different ids, and each scan can be read.
pub async fn ids_are_unique_under_concurrency<H: StoreHarness>(world: World<H>) {
    let submissions: Vec<_> = (0..150)
        .map(|number| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move {
                store.submit(fixtures::new_scan(&format!("host-{number}.example.com"))).await.unwrap().into_record()
            })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for submission in submissions {
        let record = submission.await.unwrap();
        assert!(ids.insert(record.id), "{} was given out twice", record.id);
        assert_eq!(world.get(record.id).await, record);
    }
}

/// An id without a scan gives a result, not an error.
pub async fn what_does_not_exist_is_missing<H: StoreHarness>(world: World<H>) {
    for id in [0, 1, u64::MAX].map(ScanId) {
        assert_eq!(world.store.get(id).await.unwrap(), None);
        assert_eq!(world.store.apply(id, cancel()).await.unwrap(), Applied::Missing);
    }
}

/// A second submission with the same key returns the first one's scan in its current state. Scans
/// without a key are never the same.
pub async fn a_key_makes_one_scan<H: StoreHarness>(world: World<H>) {
    let first = world.submit(keyed("key")).await;
    assert_eq!(world.store.submit(keyed("key")).await.unwrap(), Submitted::Existing(first.clone()));
    let cancelled = world.committed(first.id, cancel()).await;
    let other_request = NewScan { request: fixtures::request("other.example"), ..keyed("key") };
    assert_eq!(world.store.submit(other_request).await.unwrap(), Submitted::Existing(cancelled));
    assert_eq!([world.scan("example.com").await.id, world.scan("example.com").await.id], [ScanId(2), ScanId(3)]);
}

/// Keys are any text: they are case-sensitive, and no text means "no key" or another kind of value.
pub async fn keys_are_compared_exactly<H: StoreHarness>(world: World<H>) {
    let keys = ["a", "A", " a", "", "1", "NONE", "null", "a\0b", "a\0", "'; DELETE scan; --", "é", "e\u{301}"];
    for (at, key) in (1..).zip(keys) {
        assert_eq!(world.submit(keyed(key)).await.id, ScanId(at), "{key:?}");
    }
    for (at, key) in (1..).zip(keys) {
        assert_eq!(world.store.submit(keyed(key)).await.unwrap().into_record().id, ScanId(at), "{key:?}");
    }
}

/// Any number of concurrent submissions with one key create one scan.
pub async fn one_of_many_concurrent_submissions_with_one_key_makes_the_scan<H: StoreHarness>(world: World<H>) {
    let submissions: Vec<_> = (0..20)
        .map(|_| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move { store.submit(keyed("key")).await.unwrap() })
        })
        .collect();
    let mut created = 0;
    for submission in submissions {
        let submitted = submission.await.unwrap();
        created += usize::from(matches!(submitted, Submitted::Created(_)));
        assert_eq!(submitted.into_record().id, ScanId(1));
    }
    assert_eq!(created, 1);
    assert_eq!(world.listed(ListQuery::default()).await, [1]);
}

/// A lease starts an attempt on the node, with a new token.
pub async fn a_lease_grants_the_first_attempt<H: StoreHarness>(world: World<H>) {
    let record = world.running("a").await;
    let ScanState::Running { attempt, node: on, since } = record.state.clone() else { panic!("{}", record.status()) };
    assert_eq!((attempt, on, record.token, record.version), (AttemptNumber(1), node("a"), FencingToken(1), 1));
    assert_eq!(record.started_at, Some(since));
    assert!(since >= record.created_at);
    assert_eq!((record.attempts.len(), record.attempts[0].started_at, &record.attempts[0].end), (1, since, &None));
}

/// A running or ended scan cannot be leased.
pub async fn a_lease_needs_a_pending_scan<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    assert_eq!(world.refused(running.id, lease("a")).await, Refusal::NotPending(ScanStatus::Running));
    world.committed(running.id, complete(running.token)).await;
    assert_eq!(world.refused(running.id, lease("a")).await, Refusal::NotPending(ScanStatus::Completed));
}

/// A scan that waits for a later retry cannot be leased before that time of the store's clock.
pub async fn a_lease_needs_a_due_scan<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let after = Duration::from_secs(600);
    let waiting =
        world.committed(running.id, finish(running.token, Resolution::Retry { failure: crash(), after })).await;
    let ScanState::Pending { due, .. } = waiting.state else { panic!("{waiting:?}") };
    assert_eq!(Some(due), waiting.attempts[0].ended_at.map(|ended| ended + after), "by the store's clock");
    let Refusal::NotDue(wait) = world.refused(running.id, lease("a")).await else { panic!("leased too early") };
    assert!(wait <= after && wait > after / 2, "{wait:?}");
    world.harness.advance(Duration::from_secs(601));
    world.register("a").await;
    let again = world.committed(running.id, lease("a")).await;
    assert_eq!((again.token, again.attempts.len(), again.started_at), (FencingToken(2), 2, running.started_at));
}

/// A node gets no scans without a lease, with an expired one, or with one that was ended or
/// released.
pub async fn a_lease_needs_a_good_node_lease<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await;
    assert_eq!(world.refused(scan.id, lease("stranger")).await, Refusal::NodeLeaseEnded);
    world.register("a").await;
    world.expire();
    assert_eq!(world.refused(scan.id, lease("a")).await, Refusal::NodeLeaseEnded, "expired");
    world.orphans().await;
    assert_eq!(world.refused(scan.id, lease("a")).await, Refusal::NodeLeaseEnded, "ended");
    world.register("a").await;
    world.store.remove_node(&node("a")).await.unwrap();
    assert_eq!(world.refused(scan.id, lease("a")).await, Refusal::NodeLeaseEnded, "given back");
    world.register("a").await;
    assert_eq!(world.committed(scan.id, lease("a")).await.status(), ScanStatus::Running);
}

/// If many nodes lease the same scan at once, one gets it, and the others are refused because it
/// runs.
pub async fn one_of_many_concurrent_leases_wins<H: StoreHarness>(world: World<H>) {
    const NODES: [&str; 4] = ["a", "b", "c", "d"];
    for name in NODES {
        world.register(name).await;
    }
    let scan = world.scan("example.com").await;
    let leases: Vec<_> = (0..24)
        .map(|number| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move { store.apply(scan.id, lease(NODES[number % NODES.len()])).await.unwrap() })
        })
        .collect();
    let mut granted = Vec::new();
    for one in leases {
        match one.await.unwrap() {
            Applied::Committed(record) => granted.push(record),
            Applied::Refused(refusal, _) => assert_eq!(refusal, Refusal::NotPending(ScanStatus::Running)),
            Applied::Missing => panic!("the scan is there"),
        }
    }
    assert_eq!(granted.len(), 1);
    assert_eq!(world.get(scan.id).await, granted[0]);
}

/// Concurrent changes of one row are serialised: none is lost, and each increments the version by
/// one.
pub async fn concurrent_changes_are_all_kept<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let changes: Vec<_> = (0..16)
        .map(|number| {
            let store = Arc::clone(&world.store);
            let command = if number % 4 == 0 {
                cancel()
            } else {
                progress(running.token, vec![PluginResult::new("whatweb", PluginStatus::InProgress)])
            };
            tokio::spawn(async move { store.apply(running.id, command).await.unwrap() })
        })
        .collect();
    let mut versions = BTreeSet::new();
    for change in changes {
        match change.await.unwrap() {
            Applied::Committed(record) => {
                assert!(versions.insert(record.version), "two changes made version {}", record.version)
            }
            Applied::Refused(refusal, _) => assert_eq!(refusal, Refusal::AlreadyDone, "a cancel after the first"),
            Applied::Missing => panic!("the scan is there"),
        }
    }
    assert_eq!(versions, (2..=14).collect(), "12 progresses and one cancel");
    let last = world.get(running.id).await;
    assert_eq!((last.version, last.cancel_requested, last.plugins.len()), (14, Some(CancelledBy::User), 1));
}

/// Progress replaces the plugins, keeps the scanner if it contains none, and may be repeated.
pub async fn progress_replaces_the_plugins_and_can_be_repeated<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let scanner = ScannerInfo { kind: ScannerKind::ALL[0], version: "1".into() };
    let plugin = |status| vec![PluginResult::new("whatweb", status)];
    let first = Command::Progress {
        token: running.token,
        scanner: Some(scanner.clone()),
        plugins: plugin(PluginStatus::Pending),
    };
    world.committed(running.id, first).await;
    for _ in 0..2 {
        let record = world.committed(running.id, progress(running.token, plugin(PluginStatus::Completed))).await;
        assert_eq!(record.plugins, plugin(PluginStatus::Completed));
        assert_eq!(record.attempts[0].scanner, Some(scanner.clone()));
        assert_eq!((record.status(), record.token), (ScanStatus::Running, running.token));
    }
}

/// The token of an earlier attempt, or one that was never granted, changes nothing.
pub async fn a_stale_token_changes_nothing<H: StoreHarness>(world: World<H>) {
    let first = world.running("a").await;
    world.committed(first.id, finish(first.token, Resolution::Requeue(Interruption::Shutdown))).await;
    assert_eq!(world.refused(first.id, complete(first.token)).await, Refusal::StaleToken, "nothing runs");
    let second = world.committed(first.id, lease("a")).await;
    for token in [FencingToken(0), first.token, second.token.next(), FencingToken(u64::MAX)] {
        assert_eq!(world.refused(first.id, progress(token, vec![])).await, Refusal::StaleToken);
        assert_eq!(world.refused(first.id, complete(token)).await, Refusal::StaleToken);
    }
    let done = world.committed(first.id, complete(second.token)).await;
    assert_eq!(
        world.refused(first.id, finish(second.token, Resolution::Fail(crash()))).await,
        Refusal::StaleToken,
        "it has ended"
    );
    assert_eq!(done.status(), ScanStatus::Completed);
}

/// Every resolution of an attempt sets its state and is added to the attempt's history.
pub async fn each_resolution_has_its_state<H: StoreHarness>(world: World<H>) {
    let verdict = Verdict { plugins: vec![PluginResult::new("whatweb", PluginStatus::Completed)], dry_run: false };
    let after = Duration::from_secs(600);
    for (resolution, status, end, failures) in [
        (Resolution::Complete(verdict.clone()), ScanStatus::Completed, AttemptEnd::Completed(verdict.clone()), 0),
        (Resolution::Retry { failure: crash(), after }, ScanStatus::Pending, AttemptEnd::Failed(crash()), 1),
        (Resolution::Fail(crash()), ScanStatus::Failed, AttemptEnd::Failed(crash()), 1),
        (
            Resolution::Requeue(Interruption::Shutdown),
            ScanStatus::Pending,
            AttemptEnd::Interrupted { why: Interruption::Shutdown, detail: None },
            0,
        ),
        (Resolution::Cancel(CancelledBy::Interrupt), ScanStatus::Cancelled, AttemptEnd::Cancelled, 0),
    ] {
        let running = world.running("a").await;
        let ended = world.committed(running.id, finish(running.token, resolution)).await;
        assert_eq!((ended.status(), ended.failures, ended.version), (status, failures, running.version + 1));
        assert_eq!(ended.attempts[0].end, Some(end));
        assert!(ended.attempts[0].ended_at >= running.started_at, "by the store's clock");
        if status.is_terminal() {
            assert_eq!(ended.ended_at(), ended.attempts[0].ended_at);
        }
    }
}

/// A result that is found later ends its attempt, whichever node writes it, as long as the row
/// still runs under its token. If a cancel was requested, the scan is cancelled.
pub async fn a_result_is_adopted_under_its_token_unless_a_cancel_was_asked_for<H: StoreHarness>(world: World<H>) {
    let verdict = Verdict { plugins: vec![PluginResult::new("whatweb", PluginStatus::Completed)], dry_run: false };
    let adopt = |token| Command::Finish {
        token,
        resolution: Resolution::Adopt(verdict.clone()),
        plugins: Some(verdict.plugins.clone()),
    };
    let (kept, cancelled, rescued) = (world.running("a").await, world.running("a").await, world.running("a").await);
    world.expire();
    assert_eq!(world.orphans().await.len(), 3, "the node's lease is over");
    for token in [FencingToken(0), kept.token.next()] {
        assert_eq!(world.refused(kept.id, adopt(token)).await, Refusal::StaleToken);
    }
    let ended = world.committed(kept.id, adopt(kept.token)).await;
    assert_eq!(
        (ended.status(), &ended.plugins, ended.failures, ended.token),
        (ScanStatus::Completed, &verdict.plugins, 0, kept.token)
    );
    assert_eq!(ended.attempts[0].end, Some(AttemptEnd::Completed(verdict.clone())));
    assert_eq!(world.refused(kept.id, adopt(kept.token)).await, Refusal::StaleToken, "once");
    world.committed(cancelled.id, cancel()).await;
    let ended = world.committed(cancelled.id, adopt(cancelled.token)).await;
    assert_eq!((ended.status(), &ended.attempts[0].end), (ScanStatus::Cancelled, &Some(AttemptEnd::Cancelled)));
    let rescue = Command::Rescue {
        from: node("a"),
        token: rescued.token,
        resolution: Resolution::Requeue(Interruption::LeaseLost),
    };
    world.committed(rescued.id, rescue).await;
    assert_eq!(world.refused(rescued.id, adopt(rescued.token)).await, Refusal::StaleToken, "it is another's by now");
}

/// The recorded plugins are kept, even if the attempt failed, unless the end contains newer ones.
pub async fn a_finish_keeps_the_plugins_unless_it_brings_new_ones<H: StoreHarness>(world: World<H>) {
    let known = vec![PluginResult::new("whatweb", PluginStatus::Completed)];
    let newer = vec![PluginResult::new("whatweb", PluginStatus::Failed)];
    for (brought, kept) in [(None, known.clone()), (Some(newer.clone()), newer)] {
        let running = world.running("a").await;
        world.committed(running.id, progress(running.token, known.clone())).await;
        let end = Command::Finish { token: running.token, resolution: Resolution::Fail(crash()), plugins: brought };
        assert_eq!(world.committed(running.id, end).await.plugins, kept);
    }
}

/// A pending scan has no process, so it is cancelled at once.
pub async fn a_pending_scan_is_cancelled_at_once<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await;
    let cancelled = world.committed(scan.id, cancel()).await;
    assert!(matches!(cancelled.state, ScanState::Cancelled { by: CancelledBy::User, .. }));
    assert_eq!(world.refused(scan.id, cancel()).await, Refusal::AlreadyEnded(ScanStatus::Cancelled));
}

/// A running scan continues until its attempt has ended; the request is stored once.
pub async fn a_running_scan_is_asked_to_cancel_once<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let asked = world.committed(running.id, cancel()).await;
    assert_eq!(
        (asked.status(), asked.cancel_requested, asked.token),
        (ScanStatus::Running, Some(CancelledBy::User), running.token)
    );
    assert_eq!(world.refused(running.id, Command::Cancel { by: CancelledBy::Interrupt }).await, Refusal::AlreadyDone);
    let ended = world.committed(running.id, finish(running.token, Resolution::Cancel(CancelledBy::User))).await;
    assert_eq!(ended.status(), ScanStatus::Cancelled);
}

/// A scan with a requested cancel is not retried.
pub async fn a_requested_cancel_wins_over_another_attempt<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    world.committed(running.id, cancel()).await;
    let ended = world.committed(running.id, finish(running.token, Resolution::Requeue(Interruption::Shutdown))).await;
    assert_eq!(ended.status(), ScanStatus::Cancelled);
    assert_eq!(world.store.due(Duration::ZERO, 10).await.unwrap(), []);
}

/// An ended scan keeps its state.
pub async fn an_ended_scan_refuses_a_cancel<H: StoreHarness>(world: World<H>) {
    for (resolution, status) in [
        (Resolution::Complete(Verdict::default()), ScanStatus::Completed),
        (Resolution::Fail(crash()), ScanStatus::Failed),
    ] {
        let running = world.running("a").await;
        world.committed(running.id, finish(running.token, resolution)).await;
        assert_eq!(world.refused(running.id, cancel()).await, Refusal::AlreadyEnded(status));
    }
}

/// A reconciler must pass the node and the token that it read. Afterwards the old token cannot
/// write.
pub async fn a_rescue_takes_the_scan_by_node_and_token<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let rescue = |from: &str, token| Command::Rescue {
        from: node(from),
        token,
        resolution: Resolution::Requeue(Interruption::LeaseLost),
    };
    assert_eq!(world.refused(running.id, rescue("b", running.token)).await, Refusal::StaleToken);
    assert_eq!(world.refused(running.id, rescue("a", running.token.next())).await, Refusal::StaleToken);
    let rescued = world.committed(running.id, rescue("a", running.token)).await;
    assert_eq!((rescued.status(), rescued.token), (ScanStatus::Pending, running.token.next()));
    assert_eq!(world.refused(running.id, complete(running.token)).await, Refusal::StaleToken);
    assert_eq!(world.refused(running.id, rescue("a", running.token)).await, Refusal::StaleToken);
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
    world.store.remove_node(&node("a")).await.unwrap();
    assert_eq!(world.orphans().await, [as_running(&scan)]);
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
    world.store.remove_node(&node("a")).await.unwrap();
    assert_eq!(world.renew("a").await, Err(NodeLeaseRefused));
    world.store.remove_node(&node("a")).await.unwrap();
    assert_eq!(world.store.nodes().await.unwrap(), []);
}

/// The only process that can be alive ends the leases of all other nodes, even those that have not
/// expired.
pub async fn end_other_nodes_ends_all_but_one<H: StoreHarness>(world: World<H>) {
    let lost = world.running("a").await;
    world.register("b").await;
    let kept = world.running("c").await;
    world.store.end_other_nodes(&node("c")).await.unwrap();
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
    let first = world.store.register_node(busy.clone(), TTL).await.unwrap();
    busy.running = 3;
    busy.host = "a host\0 with \"odd\" characters".into();
    world.harness.advance(Duration::from_secs(5));
    let renewed = world.store.renew_node(busy.clone(), TTL).await.unwrap().unwrap();
    assert!(renewed.expires_at >= first.expires_at + Duration::from_secs(5));
    let mut nodes = world.store.nodes().await.unwrap();
    nodes.sort_by(|one, other| one.registration.id.cmp(&other.registration.id));
    assert_eq!(nodes.len(), 2);
    assert_eq!(nodes[0].registration, fixtures::registration("a"));
    assert_eq!((&nodes[1].registration, nodes[1].expires_at), (&busy, renewed.expires_at));
}

/// A node with a drain order gets the time that is left, and leases nothing until the order is
/// revoked.
pub async fn a_draining_node_leases_nothing<H: StoreHarness>(world: World<H>) {
    let limit = Duration::from_secs(600);
    assert!(!world.store.order_drain(&node("a"), Some(limit)).await.unwrap(), "no such node");
    world.register("a").await;
    let scan = world.scan("example.com").await;
    assert!(world.store.order_drain(&node("a"), Some(limit)).await.unwrap());
    assert_eq!(world.refused(scan.id, lease("a")).await, Refusal::NodeDraining);
    world.harness.advance(Duration::from_secs(5));
    let left = world.renew("a").await.unwrap().drain.unwrap();
    assert!(left <= limit - Duration::from_secs(5) && left > limit - Duration::from_secs(60), "{left:?}");
    assert!(world.store.nodes().await.unwrap()[0].drain_by.is_some());
    assert!(world.store.order_drain(&node("a"), Some(Duration::ZERO)).await.unwrap());
    world.harness.advance(Duration::from_secs(1));
    assert_eq!(world.renew("a").await.unwrap().drain, Some(Duration::ZERO));
    assert!(world.store.order_drain(&node("a"), None).await.unwrap());
    assert_eq!(world.renew("a").await.unwrap().drain, None);
    world.committed(scan.id, lease("a")).await;
}

/// A node that lost its lease and registers again still has its drain order.
pub async fn a_node_that_registers_anew_keeps_its_order<H: StoreHarness>(world: World<H>) {
    world.register("a").await;
    assert!(world.store.order_drain(&node("a"), Some(10 * TTL)).await.unwrap());
    world.expire();
    assert!(world.register("a").await.drain.is_some());
    assert!(world.renew("a").await.unwrap().drain.is_some());
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
    world.store.remove_node(&second).await.unwrap();
    assert!(!world.store.claim_turn(&second, every).await.unwrap(), "the turn is another node's");
    world.store.remove_node(&first).await.unwrap();
    assert!(world.store.claim_turn(&second, every).await.unwrap());
    world.store.end_other_nodes(&second).await.unwrap();
    assert!(!world.store.claim_turn(&third, every).await.unwrap(), "the turn is that of the node that lives");
    world.store.end_other_nodes(&third).await.unwrap();
    assert!(world.store.claim_turn(&third, every).await.unwrap());
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

/// A turn and a drain time end if their end is further away than their length.
pub async fn a_clock_that_is_set_back_delays_no_turn_and_no_drain<H: StoreHarness>(world: World<H>) {
    let every = Duration::from_secs(60);
    world.register("a").await;
    assert!(world.store.order_drain(&node("a"), Some(every)).await.unwrap());
    assert!(world.store.claim_turn(&node("a"), every).await.unwrap());
    world.harness.set_back(Duration::from_secs(5 * 3600));
    assert_eq!(world.renew("a").await.unwrap().drain, Some(Duration::ZERO));
    assert_eq!(world.register("a").await.drain, Some(Duration::ZERO));
    assert!(world.store.claim_turn(&node("b"), every).await.unwrap());
    assert!(!world.store.claim_turn(&node("a"), every).await.unwrap(), "one at a time, by the new time");
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

/// While the queue is paused nothing is leased, and everything else continues.
pub async fn a_paused_queue_leases_nothing<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.store.paused().await.unwrap(), None);
    assert!(!world.store.resume().await.unwrap());
    let running = world.running("a").await;
    let pause = world.store.pause(Some("a\0 \"reason\"".into())).await.unwrap();
    assert_eq!(world.store.paused().await.unwrap(), Some(pause.clone()));
    let waiting = world.scan("example.com").await;
    assert_eq!(world.refused(waiting.id, lease("a")).await, Refusal::QueuePaused);
    assert!(world.renew("a").await.unwrap().paused && world.register("b").await.paused);
    assert_eq!(world.committed(running.id, complete(running.token)).await.status(), ScanStatus::Completed);
    world.harness.advance(Duration::from_secs(5));
    let again = world.store.pause(None).await.unwrap();
    assert_eq!((again.since, again.reason), (pause.since, None));
    assert!(world.store.resume().await.unwrap());
    assert_eq!(world.store.paused().await.unwrap(), None);
    assert!(!world.renew("a").await.unwrap().paused);
    world.committed(waiting.id, lease("a")).await;
}

/// Newest first. A page continues where the previous one ended, even if scans were added in
/// between.
pub async fn a_list_is_newest_first_and_goes_on_below_a_key<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.listed(ListQuery::default()).await, [0_u64; 0]);
    let mut whole = Vec::new();
    for _ in 0..5 {
        whole.insert(0, world.scan("example.com").await);
    }
    assert_eq!(world.store.list(ListQuery::default()).await.unwrap().scans, whole);
    let below = |before, limit| ListQuery { before: Some(ScanId(before)), limit, ..ListQuery::default() };
    assert_eq!(world.listed(below(4, 2)).await, [3, 2]);
    world.scan("example.com").await;
    assert_eq!(world.listed(below(2, 2)).await, [1]);
    assert_eq!(world.listed(below(1, 2)).await, [0_u64; 0]);
    assert_eq!(world.listed(below(0, 2)).await, [0_u64; 0]);
    assert_eq!(world.listed(below(u64::MAX, 2)).await, [6, 5]);
}

/// Numbered pages: offset, limit, and the number of all matches on every page.
pub async fn a_list_skips_limits_and_counts<H: StoreHarness>(world: World<H>) {
    for _ in 0..5 {
        world.scan("example.com").await;
    }
    for (before, offset, limit, expected) in [
        (None, 0, 2, vec![5, 4]),
        (None, 2, 2, vec![3, 2]),
        (None, 4, 2, vec![1]),
        (None, 9, 2, vec![]),
        (None, 0, 0, vec![]),
        (None, usize::MAX, 20, vec![]),
        (None, 0, usize::MAX, vec![5, 4, 3, 2, 1]),
        (Some(ScanId(4)), 1, 1, vec![2]),
    ] {
        // All filters that match everything give the same pages.
        for (statuses, target) in [
            (vec![], None),
            (vec![ScanStatus::Pending, ScanStatus::Pending], None),
            (vec![], Some("example".to_owned())),
        ] {
            for count in [true, false] {
                let query = ListQuery {
                    statuses: statuses.clone(),
                    target: target.clone(),
                    before,
                    offset,
                    limit,
                    count,
                    ..ListQuery::default()
                };
                let page = world.store.list(query.clone()).await.unwrap();
                assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{query:?}");
                assert_eq!(page.total, count.then_some(5), "{query:?}");
            }
        }
    }
}

/// Only the requested states; an empty list means all.
pub async fn a_list_is_filtered_by_status<H: StoreHarness>(world: World<H>) {
    world.scan("example.com").await;
    world.running("a").await;
    let done = world.running("a").await;
    world.committed(done.id, complete(done.token)).await;
    let cancelled = world.scan("example.com").await;
    world.committed(cancelled.id, cancel()).await;
    world.scan("example.com").await;
    for (statuses, expected) in [
        (vec![ScanStatus::Pending], vec![5, 1]),
        (vec![ScanStatus::Running], vec![2]),
        (vec![ScanStatus::Completed, ScanStatus::Cancelled], vec![4, 3]),
        (vec![ScanStatus::Cancelled, ScanStatus::Pending, ScanStatus::Completed], vec![5, 4, 3, 1]),
        (vec![ScanStatus::Failed], vec![]),
        (ScanStatus::ALL.to_vec(), vec![5, 4, 3, 2, 1]),
    ] {
        let query = ListQuery { statuses, count: true, ..ListQuery::default() };
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{query:?}");
        assert_eq!(page.total, Some(expected.len() as u64), "{query:?}");
    }
    let below =
        ListQuery { statuses: vec![ScanStatus::Pending], before: Some(ScanId(5)), count: true, ..ListQuery::default() };
    let page = world.store.list(below).await.unwrap();
    assert_eq!((page.scans.len(), page.total), (1, Some(2)));
}

/// Only targets that contain the text, taken literally.
pub async fn a_list_is_filtered_by_target<H: StoreHarness>(world: World<H>) {
    for target in ["Shop.Example.com", "https://example.com:444/App/50%25_off", "[::1]:8080", "other.test"] {
        world.scan(target).await;
    }
    world.committed(ScanId(1), cancel()).await;
    for (target, expected) in [
        ("example.com", vec![2, 1]),
        ("shop.", vec![1]),
        ("::1]", vec![3]),
        ("/app/50%25_off", vec![2]),
        ("exa%", vec![]),
        ("example_com", vec![]),
        ("example.c.m", vec![]),
        ("' OR true --", vec![]),
        ("\0", vec![]),
        ("", vec![4, 3, 2, 1]),
    ] {
        let query = ListQuery { target: Some(target.into()), count: true, ..ListQuery::default() };
        let page = world.store.list(query).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{target:?}");
        assert_eq!(page.total, Some(expected.len() as u64), "{target:?}");
    }
    let both = ListQuery {
        target: Some("example".into()),
        statuses: vec![ScanStatus::Pending],
        count: true,
        ..ListQuery::default()
    };
    let page = world.store.list(both).await.unwrap();
    assert_eq!((page.scans[0].id, page.scans.len(), page.total), (ScanId(2), 1, Some(1)));
}

/// Only that mode; only scans accepted within the days.
pub async fn a_list_is_filtered_by_mode_and_day<H: StoreHarness>(world: World<H>) {
    let mut times = Vec::new();
    for mode in [ScanMode::Passive, ScanMode::Active, ScanMode::Both, ScanMode::Active] {
        let mut scan = fixtures::new_scan("example.com");
        scan.request.mode = mode;
        times.push(world.submit(scan).await.created_at);
        world.harness.advance(Duration::from_secs(3600));
    }
    let all = ListQuery::default;
    for (query, expected) in [
        (ListQuery { mode: Some(ScanMode::Active), ..all() }, vec![4, 2]),
        (ListQuery { mode: Some(ScanMode::Both), ..all() }, vec![3]),
        (ListQuery { created_from: Some(times[1]), ..all() }, vec![4, 3, 2]),
        (ListQuery { created_until: Some(times[1]), ..all() }, vec![1]),
        (ListQuery { created_from: Some(times[1]), created_until: Some(times[3]), ..all() }, vec![3, 2]),
        (ListQuery { created_from: Some(times[1]), mode: Some(ScanMode::Active), ..all() }, vec![4, 2]),
        (ListQuery { created_from: Some(times[3] + SignedDuration::from_secs(1)), ..all() }, vec![]),
        (ListQuery { created_until: Some(times[0]), ..all() }, vec![]),
    ] {
        let query = ListQuery { count: true, ..query };
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{query:?}");
        assert_eq!(
            (page.total, page.total_is_floor, page.next),
            (Some(expected.len() as u64), false, None),
            "{query:?}"
        );
    }
}

fn found(plugins: &[(&str, u64)]) -> Verdict {
    let plugin = |(name, count): &(&str, u64)| PluginResult {
        findings_count: *count,
        ..PluginResult::new(*name, PluginStatus::Completed)
    };
    Verdict { plugins: plugins.iter().map(plugin).collect(), dry_run: false }
}

impl<H: StoreHarness> World<H> {
    /// Creates a completed scan with this duration and these findings.
    async fn completed(&self, target: &str, took: Duration, plugins: &[(&str, u64)]) -> ScanId {
        self.register("a").await;
        let scan = self.scan(target).await;
        let scan = self.committed(scan.id, lease("a")).await;
        self.harness.advance(took);
        self.committed(scan.id, finish(scan.token, Resolution::Complete(found(plugins)))).await.id
    }
}

/// Only scans in which the plugin has results, by its full name, case-insensitive.
pub async fn a_list_is_filtered_by_plugin_with_findings<H: StoreHarness>(world: World<H>) {
    let second = Duration::from_secs(1);
    world.completed("a.test", second, &[("whatweb", 3), ("testssl", 0)]).await;
    world.completed("b.test", second, &[("whatweb", 0), ("testssl", 2)]).await;
    world.completed("c.test", second, &[("whatweb", 1), ("testssl", 1)]).await;
    world.scan("d.test").await;
    // A plugin may report an issue and collect nothing.
    let waits = world.scan("e.test").await;
    let running = world.committed(waits.id, lease("a")).await;
    let issue = IssueRef { id: "No WAF Detected".into(), severity: Severity::High, title: String::new() };
    let plugins = vec![
        PluginResult::new("WafW00f", PluginStatus::Completed).with_issues([issue]),
        PluginResult::new("testssl", PluginStatus::Completed),
    ];
    world.committed(running.id, finish(running.token, Resolution::Complete(Verdict { plugins, dry_run: false }))).await;
    for (plugin, expected) in [
        ("whatweb", vec![3, 1]),
        ("WhatWeb", vec![3, 1]),
        ("testssl", vec![3, 2]),
        ("wafw00f", vec![5]),
        ("WafW00f", vec![5]),
        ("what", vec![]),
        ("'; DELETE scan", vec![]),
        ("", vec![]),
    ] {
        let query = ListQuery { plugin: Some(plugin.into()), count: true, ..ListQuery::default() };
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{plugin}");
        assert_eq!(page.total, Some(expected.len() as u64), "{plugin}");
        let page = world.store.list(ListQuery { order: ScanOrder::Oldest, ..query }).await.unwrap();
        assert_eq!(
            page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(),
            expected.into_iter().rev().collect::<Vec<_>>(),
            "{plugin}"
        );
    }
}

/// All filters apply at once, whichever index the store scans.
pub async fn filters_narrow_together<H: StoreHarness>(world: World<H>) {
    let second = Duration::from_secs(1);
    world.completed("a.example.com", second, &[("whatweb", 3)]).await;
    world.completed("b.example.com", second, &[("whatweb", 3)]).await;
    let cancelled = world.scan("a.example.com").await;
    world.committed(cancelled.id, cancel()).await;
    for target in ["a.example.com", "c.example.com"] {
        let mut scan = fixtures::new_scan(target);
        scan.request.mode = ScanMode::Active;
        world.submit(scan).await;
    }
    let all = ListQuery::default;
    for (query, expected) in [
        (
            ListQuery {
                target: Some("a.exa".into()),
                statuses: vec![ScanStatus::Cancelled, ScanStatus::Completed],
                ..all()
            },
            vec![3, 1],
        ),
        (ListQuery { target: Some("a.exa".into()), mode: Some(ScanMode::Active), ..all() }, vec![4]),
        (ListQuery { plugin: Some("whatweb".into()), target: Some("b.".into()), ..all() }, vec![2]),
        (ListQuery { plugin: Some("whatweb".into()), statuses: vec![ScanStatus::Failed], ..all() }, vec![]),
        (
            ListQuery {
                statuses: vec![ScanStatus::Pending],
                mode: Some(ScanMode::Active),
                before: Some(ScanId(5)),
                ..all()
            },
            vec![4],
        ),
        (ListQuery { target: Some("example".into()), mode: Some(ScanMode::Active), offset: 1, ..all() }, vec![4]),
        (
            ListQuery { target: Some("example".into()), statuses: vec![ScanStatus::Completed], limit: 1, ..all() },
            vec![2],
        ),
    ] {
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{query:?}");
    }
}

/// A page has a cursor for the next one, and going back gives the same pages.
pub async fn pages_go_both_ways<H: StoreHarness>(world: World<H>) {
    for _ in 0..5 {
        world.scan("example.com").await;
    }
    let of_two = |query: ListQuery| ListQuery { limit: 2, ..query };
    let shown = |page: &ScanPage| page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>();
    let all = ListQuery::default;
    for (query, expected, next) in [
        (all(), vec![5, 4], Some(4)),
        (ListQuery { before: Some(ScanId(4)), ..all() }, vec![3, 2], Some(2)),
        (ListQuery { before: Some(ScanId(2)), ..all() }, vec![1], None),
        (ListQuery { after: Some(ScanId(2)), from_the_end: true, ..all() }, vec![4, 3], Some(4)),
        (ListQuery { after: Some(ScanId(3)), from_the_end: true, ..all() }, vec![5, 4], None),
        (ListQuery { order: ScanOrder::Oldest, ..all() }, vec![1, 2], Some(2)),
        (ListQuery { order: ScanOrder::Oldest, after: Some(ScanId(4)), ..all() }, vec![5], None),
        (
            ListQuery { order: ScanOrder::Oldest, before: Some(ScanId(4)), from_the_end: true, ..all() },
            vec![2, 3],
            Some(2),
        ),
        (
            ListQuery { statuses: vec![ScanStatus::Pending], after: Some(ScanId(2)), from_the_end: true, ..all() },
            vec![4, 3],
            Some(4),
        ),
    ] {
        let query = of_two(query);
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(
            (shown(&page), page.next.map(|next| next.id.0), page.is_partial),
            (expected, next, false),
            "{query:?}"
        );
    }
}

/// By target, by duration and by findings, page by page without gaps or duplicates.
pub async fn a_list_has_other_orders<H: StoreHarness>(world: World<H>) {
    let seconds = Duration::from_secs;
    world.completed("b.test", seconds(30), &[("x", 1)]).await;
    world.completed("a.test", seconds(90), &[("x", 7)]).await;
    world.completed("c.test", seconds(10), &[]).await;
    let cancelled = world.scan("a.test").await;
    world.committed(cancelled.id, cancel()).await;
    world.scan("b.test").await;
    for (order, target, expected) in [
        (ScanOrder::Target, None, vec![4, 2, 5, 1, 3]),
        (ScanOrder::Target, Some("b."), vec![5, 1]),
        (ScanOrder::Longest, None, vec![2, 1, 3]),
        (ScanOrder::Longest, Some("a."), vec![2]),
        (ScanOrder::Findings, None, vec![2, 1, 4, 3]),
    ] {
        for limit in [1, 2, 20] {
            let mut query = ListQuery { order, target: target.map(str::to_owned), limit, ..ListQuery::default() };
            let mut seen = Vec::new();
            loop {
                let page = world.store.list(query.clone()).await.unwrap();
                seen.extend(page.scans.iter().map(|scan| scan.id.0));
                let Some(next) = page.next else { break };
                query.from = Some(next);
            }
            assert_eq!(seen, expected, "{order} {target:?} {limit}");
        }
    }
}

/// A pending or running scan is not deleted; an id without a scan is missing.
pub async fn only_what_has_ended_is_deleted<H: StoreHarness>(world: World<H>) {
    let waiting = world.scan("example.com").await;
    let running = world.running("a").await;
    for scan in [waiting, running] {
        assert_eq!(world.store.delete(scan.id).await.unwrap(), Deleted::Refused(scan.clone()));
        assert_eq!(world.get(scan.id).await, scan);
    }
    assert_eq!(world.store.delete(ScanId(99)).await.unwrap(), Deleted::Missing);
    assert_eq!(world.store.delete(ScanId(u64::MAX)).await.unwrap(), Deleted::Missing);
}

/// A deleted scan is gone from every list and count. Its key is free again; its id is not reused.
pub async fn a_deleted_scan_leaves_no_trace_and_its_id_stays_free<H: StoreHarness>(world: World<H>) {
    let first = world.completed("a.test", Duration::from_secs(5), &[("whatweb", 3)]).await;
    let keyed_scan = world.submit(keyed("once")).await;
    let ended = world.committed(keyed_scan.id, cancel()).await;
    assert_eq!(world.store.delete(ended.id).await.unwrap(), Deleted::Gone(ended.clone()));
    let completed = world.get(first).await;
    assert_eq!(world.store.delete(first).await.unwrap(), Deleted::Gone(completed));
    assert_eq!(world.store.delete(first).await.unwrap(), Deleted::Missing);
    assert_eq!(world.store.get(first).await.unwrap(), None);
    assert_eq!(world.store.apply(first, cancel()).await.unwrap(), Applied::Missing);
    assert_eq!(world.store.stats().await.unwrap(), StoreStats::default());
    assert_eq!(world.store.outcomes(date(1970, 1, 1)).await.unwrap(), []);
    assert_eq!(world.store.past_runs(None, 10).await.unwrap(), []);
    for order in ScanOrder::ALL {
        assert_eq!(world.listed(ListQuery { order: *order, ..ListQuery::default() }).await, [0_u64; 0], "{order}");
    }
    assert_eq!(world.listed(ListQuery { plugin: Some("whatweb".into()), ..ListQuery::default() }).await, [0_u64; 0]);
    let again = world.submit(keyed("once")).await;
    assert_eq!(again.id, ScanId(3));
    for _ in 0..3 {
        world.scan("example.com").await;
    }
    let page = world.store.list(ListQuery { offset: 2, limit: 2, count: true, ..ListQuery::default() }).await.unwrap();
    assert_eq!((page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), page.total), (vec![4, 3], Some(4)));
}

/// Every end counts on its day, once, however many attempts the scan had.
pub async fn ends_are_counted_by_day<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.store.outcomes(date(1970, 1, 1)).await.unwrap(), []);
    let day_of = |record: &ScanRecord| record.ended_at().unwrap().to_zoned_datetime(TimeZone::UTC).date();
    let mut ended = Vec::new();
    for (name, resolution) in [
        ("a", Resolution::Complete(Verdict::default())),
        ("a", Resolution::Fail(crash())),
        ("a", Resolution::Cancel(CancelledBy::User)),
    ] {
        for _ in 0..2 {
            let scan = world.running(name).await;
            ended.push(world.committed(scan.id, finish(scan.token, resolution.clone())).await);
        }
        world.harness.advance(Duration::from_secs(86_400));
    }
    let days = world.store.outcomes(date(1970, 1, 1)).await.unwrap();
    // The days come from the rows, because the store's own clock may pass midnight between two of
    // them.
    let mut by_day: BTreeMap<Date, DayOutcomes> = BTreeMap::new();
    for record in &ended {
        let outcomes = by_day.entry(day_of(record)).or_insert(DayOutcomes {
            day: day_of(record),
            completed: 0,
            failed: 0,
            cancelled: 0,
        });
        match record.status() {
            ScanStatus::Completed => outcomes.completed += 1,
            ScanStatus::Failed => outcomes.failed += 1,
            _ => outcomes.cancelled += 1,
        }
    }
    let expected: Vec<DayOutcomes> = by_day.into_values().collect();
    assert!(expected.len() >= 3);
    assert_eq!(days, expected);
    assert_eq!(world.store.outcomes(expected[1].day).await.unwrap(), expected[1..]);
}

/// Newest first, filtered by target and mode if requested. Failed scans and dry runs do not count.
pub async fn past_runs_are_the_completed_ones<H: StoreHarness>(world: World<H>) {
    let seconds = Duration::from_secs;
    for (target, took) in [("a.test", 30), ("b.test", 60), ("a.test", 90)] {
        world.completed(target, seconds(took), &[]).await;
    }
    let failed = world.running("a").await;
    world.committed(failed.id, finish(failed.token, Resolution::Fail(crash()))).await;
    let dry = world.running("a").await;
    let verdict = Verdict { dry_run: true, ..Verdict::default() };
    world.committed(dry.id, finish(dry.token, Resolution::Complete(verdict))).await;
    let runs = world.store.past_runs(None, 10).await.unwrap();
    assert_eq!(
        runs.iter().map(|run| (run.id.0, run.target.as_str())).collect::<Vec<_>>(),
        [(3, "a.test"), (2, "b.test"), (1, "a.test")]
    );
    for run in &runs {
        assert_eq!(took_ms(&world.get(run.id).await), Some(run.took.as_millis() as u64));
    }
    assert_eq!(world.store.past_runs(None, 1).await.unwrap(), runs[..1]);
    let like = |mode| Some(RunsLike { target: "a.test".into(), mode });
    let of_a = world.store.past_runs(like(ScanMode::Passive), 10).await.unwrap();
    assert_eq!(of_a.iter().map(|run| run.id.0).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(world.store.past_runs(like(ScanMode::Active), 10).await.unwrap(), []);
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
        assert_eq!((scan.priority, scan.due, scan.trace), (record.request.priority, record.created_at, record.trace));
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

/// The counts follow every change.
pub async fn stats_count_every_state<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.store.stats().await.unwrap(), StoreStats::default());
    for _ in 0..4 {
        world.scan("example.com").await;
    }
    assert_eq!(world.store.stats().await.unwrap(), StoreStats { pending: 4, ..StoreStats::default() });
    let (completed, failed) = (world.running("a").await, world.running("a").await);
    world.running("a").await;
    world.committed(completed.id, complete(completed.token)).await;
    world.committed(failed.id, finish(failed.token, Resolution::Fail(crash()))).await;
    world.committed(ScanId(1), cancel()).await;
    assert_eq!(
        world.store.stats().await.unwrap(),
        StoreStats { pending: 3, running: 1, completed: 1, failed: 1, cancelled: 1 }
    );
}

/// Text that a scanned site chose, and many plugins, are returned unchanged.
pub async fn hostile_text_comes_back_as_it_was<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let text = "\0 \u{1b}[31m ' \" ` \\ {} $x <script> --; \u{202e} \u{10ffff} \n\r\t NONE".to_owned();
    let mut plugins: Vec<_> =
        (0..300).map(|number| PluginResult::new(format!("plugin-{number}"), PluginStatus::Completed)).collect();
    for plugin in &mut plugins {
        plugin.message = Some(text.repeat(10));
        plugin.findings_count = 7;
        plugin.issues = vec![IssueRef { id: text.clone(), severity: Severity::High, title: String::new() }; 3];
    }
    let record = world.committed(running.id, progress(running.token, plugins.clone())).await;
    let counted: Vec<_> = plugins.into_iter().map(PluginResult::tidy).collect();
    assert_eq!(record.plugins, counted);
    let failure = Failure::new(FailureKind::Crashed, text);
    let ended = world.committed(running.id, finish(running.token, Resolution::Fail(failure.clone()))).await;
    assert_eq!(ended.last_failure(), Some(&failure));
    assert_eq!(world.listed(ListQuery { statuses: vec![ScanStatus::Failed], ..ListQuery::default() }).await, [1]);
}

/// Committed data exists after a restart: rows, keys, ids, leases and counts.
pub async fn everything_survives_a_reopen<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let mut expected = vec![world.submit(keyed("key")).await, running.clone()];
    let done = world.running("a").await;
    expected.insert(0, world.committed(done.id, complete(done.token)).await);
    let (nodes, stats) = (world.store.nodes().await.unwrap(), world.store.stats().await.unwrap());
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("the case shares the store with nobody") };
    let store = Arc::new(harness.reopen(store).await);
    let world = World { harness, store };
    assert_eq!(world.store.list(ListQuery::default()).await.unwrap().scans, expected);
    assert_eq!((world.store.nodes().await.unwrap(), world.store.stats().await.unwrap()), (nodes, stats));
    assert_eq!(world.store.submit(keyed("key")).await.unwrap(), Submitted::Existing(expected[1].clone()));
    assert_eq!(world.scan("example.com").await.id, ScanId(4));
    assert!(world.renew("a").await.is_ok());
    assert_eq!(world.committed(running.id, complete(running.token)).await.status(), ScanStatus::Completed);
}

/// A ping succeeds.
pub async fn a_ping_is_answered<H: StoreHarness>(world: World<H>) {
    world.store.ping().await.unwrap();
    world.scan("example.com").await;
    world.store.ping().await.unwrap();
}
