//! The contracts of the store ports as tests: one case per promise.
//!
//! An adapter implements [`StoreHarness`] and calls
//! [`store_conformance_tests!`](crate::store_conformance_tests) in a test module of its own.

pub mod access;
pub mod audit_chain;
pub mod clearances;
pub mod coordination;
pub mod coverage;
pub mod device_logins;
pub mod dispatch_store;
pub mod findings;
pub mod mail;
pub mod node_registry;
pub mod outbox;
pub mod passkeys;
pub mod provider_identities;
pub mod public_links;
pub mod queue_control;
pub mod scan_queries;
pub mod scan_repository;
pub mod second_factors;
pub mod shares;
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
    Interruption, IssueRef, ListQuery, NewScan, NodeId, NodeLease, NodeLeaseRefused, OutboxKey, PendingReason,
    PluginResult, PluginStatus, Principal, Priority, ProjectFilter, ProjectId, Resolution, ResultSummary, RunningScan,
    RunsLike, ScanId, ScanMode, ScanOrder, ScanPage, ScanRecord, ScanState, ScanStatus, ScannerInfo, ScannerKind,
    Severity, StoreStats, Submitted, Verdict,
};
use crate::policy::listing::took_ms;
use crate::policy::transition::Refusal;
use crate::ports::{
    AccessStore, Applied, AuditChain, AuditLog, ClearanceStore, Coordination, DeviceLoginStore, DispatchStore,
    EventConsumer, FindingStore, MailStore, NodeRegistry, Outbox, PasskeyStore, ProviderIdentityStore, PublicLinkStore,
    QueueControl, ScanQueries, ScanRepository, SecondFactorStore, ShareStore, StoreHealth,
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
        + AuditChain
        + AccessStore
        + ClearanceStore
        + SecondFactorStore
        + MailStore
        + PasskeyStore
        + ProviderIdentityStore
        + PublicLinkStore
        + DeviceLoginStore
        + ShareStore
        + FindingStore
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

    /// Replaces the stored text of the event of an outbox entry.
    async fn overwrite_event(&self, store: &Self::Store, key: OutboxKey, text: &str);

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
        $crate::scan_repository_cases! { $harness }
        $crate::scan_queries_cases! { $harness }
        $crate::dispatch_store_cases! { $harness }
        $crate::node_registry_cases! { $harness }
        $crate::queue_control_cases! { $harness }
        $crate::coordination_cases! { $harness }
        $crate::outbox_cases! { $harness }
        $crate::access_cases! { $harness }
        $crate::clearances_cases! { $harness }
        $crate::second_factor_cases! { $harness }
        $crate::mail_cases! { $harness }
        $crate::passkey_cases! { $harness }
        $crate::provider_identities_cases! { $harness }
        $crate::public_links_cases! { $harness }
        $crate::device_logins_cases! { $harness }
        $crate::shares_cases! { $harness }
        $crate::findings_cases! { $harness }
        $crate::store_health_cases! { $harness }
        $crate::coverage_cases! { $harness }
        $crate::audit_chain_cases! { $harness }
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
