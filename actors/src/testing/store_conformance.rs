//! The contracts of the store ports as tests: one case per promise.
//!
//! An adapter implements [`StoreHarness`] and calls
//! [`store_conformance_tests!`](crate::store_conformance_tests) in a test module of its own.

pub mod coordination;
pub mod coverage;
pub mod dispatch_store;
pub mod node_registry;
pub mod outbox;
pub mod queue_control;
pub mod scan_queries;
pub mod scan_repository;
pub mod store_health;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use super::fixtures;
use crate::model::{
    AttemptEnd, AttemptNumber, CancelledBy, Command, DayOutcomes, Deleted, DueScan, Failure, FailureKind, FencingToken,
    Interruption, IssueRef, ListQuery, NewScan, NodeId, NodeLease, NodeLeaseRefused, PendingReason, PluginResult,
    PluginStatus, Principal, Priority, Resolution, ResultSummary, RunningScan, RunsLike, ScanId, ScanMode, ScanOrder,
    ScanPage, ScanRecord, ScanState, ScanStatus, ScannerInfo, ScannerKind, Severity, StoreStats, Submitted, Verdict,
};
use crate::policy::listing::took_ms;
use crate::policy::transition::Refusal;
use crate::ports::{
    Applied, AuditLog, Coordination, DispatchStore, EventConsumer, NodeRegistry, Outbox, QueueControl, ScanQueries,
    ScanRepository, StoreHealth,
};
use crate::relay::{OutcomeCounter, deliver};

/// The duration of the suite's leases.
const TTL: Duration = Duration::from_secs(30);

/// Creates stores for the suite. One harness serves one test.
#[async_trait]
pub trait StoreHarness: Send + Sync + 'static {
    /// The store under test.
    type Store: ScanRepository
        + ScanQueries
        + DispatchStore
        + NodeRegistry
        + QueueControl
        + Coordination
        + Outbox
        + AuditLog
        + StoreHealth;

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

/// Generates a test for each case of each port of the store. `$harness` is an expression that
/// creates the [`StoreHarness`]; it is evaluated once a test.
#[macro_export]
macro_rules! store_conformance_tests {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; scan_repository;
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
            only_what_has_ended_is_deleted
            a_deleted_scan_leaves_no_trace_and_its_id_stays_free
            hostile_text_comes_back_as_it_was
            everything_survives_a_reopen
        }
        $crate::store_conformance_tests! {
            $harness; scan_queries;
            a_list_is_newest_first_and_goes_on_below_a_key
            a_list_skips_limits_and_counts
            a_list_is_filtered_by_status
            a_list_is_filtered_by_target
            a_list_is_filtered_by_mode_and_day
            a_list_is_filtered_by_plugin_with_findings
            filters_narrow_together
            pages_go_both_ways
            a_list_has_other_orders
            ends_are_counted_by_day
            past_runs_are_the_completed_ones
            stats_count_every_state
        }
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
        $crate::store_conformance_tests! {
            $harness; queue_control;
            a_paused_queue_leases_nothing
        }
        $crate::store_conformance_tests! {
            $harness; coordination;
            one_looks_after_the_cluster_at_a_time
            a_turn_ends_with_the_node_that_has_it
            a_clock_that_is_set_back_delays_no_turn_and_no_drain
        }
        $crate::store_conformance_tests! {
            $harness; outbox;
            an_end_is_delivered_until_it_is_settled
            an_expired_lease_is_given_to_another_relay
            what_fails_for_good_is_kept_and_can_be_sent_again
            an_end_is_counted_once_however_often_it_is_delivered
            only_events_with_a_consumer_wait
            each_command_and_each_end_is_audited
        }
        $crate::store_conformance_tests! {
            $harness; store_health;
            a_ping_is_answered
        }
        $crate::store_conformance_tests! {
            $harness; coverage;
            a_list_has_plugins_without_their_issues
            no_plugin_is_unfinished_after_its_attempt
            counts_that_nobody_can_believe_are_kept_and_listed
            a_list_is_filtered_by_severity
            a_list_has_the_worst_first
        }
    };
    ($harness:expr; $port:ident; $($case:ident)+) => {
        mod $port {
            use super::*;

            $(
                #[test]
                fn $case() {
                    $crate::testing::store_conformance::run($harness, $crate::testing::store_conformance::$port::$case);
                }
            )+
        }
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
        self.store.register(fixtures::registration(name), TTL).await.unwrap()
    }

    async fn renew(&self, name: &str) -> Result<NodeLease, NodeLeaseRefused> {
        self.store.renew(fixtures::registration(name), TTL).await.unwrap()
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

    /// Delivers every event that is due.
    async fn deliver(&self) {
        let outbox: Arc<dyn Outbox> = Arc::<H::Store>::clone(&self.store);
        let consumers: [Arc<dyn EventConsumer>; 1] = [Arc::new(OutcomeCounter::new(Arc::clone(&outbox)))];
        while deliver(outbox.as_ref(), &consumers, "relay").await.unwrap() > 0 {}
    }

    async fn listed(&self, query: ListQuery) -> Vec<u64> {
        self.store.list(query).await.unwrap().scans.iter().map(|scan| scan.id.0).collect()
    }
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
    Command::Cancel { by: CancelledBy::User, principal: Principal::Anonymous }
}

fn crash() -> Failure {
    Failure::new(FailureKind::Crashed, "exit code 1")
}

fn keyed(key: &str) -> NewScan {
    NewScan { idempotency_key: Some(key.into()), ..fixtures::new_scan("example.com") }
}

fn with_priority(priority: Priority) -> NewScan {
    let mut scan = fixtures::new_scan("example.com");
    scan.request.options.priority = priority;
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

fn found(plugins: &[(&str, u64)]) -> Verdict {
    let plugin = |(name, count): &(&str, u64)| PluginResult {
        findings_count: *count,
        ..PluginResult::new(*name, PluginStatus::Completed)
    };
    Verdict { plugins: plugins.iter().map(plugin).collect(), dry_run: false }
}
