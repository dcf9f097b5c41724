//! Observes the store with a hook around each call: measures the call, and derives spans and counts
//! from each commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use kastrel_actors::model::{Command, LeaseResult, NewScan, Submitted};
use kastrel_actors::ports::{Applied, CallHook, StoreError};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use tokio::time::Instant;

use super::catalog::{attribute, span};
use super::observer::Observer;
use super::span_rules::Asked;
use super::spans::OpenSpan;

const SYSTEM: &str = "surrealdb";

/// The hook of the store; see the module docs.
pub(crate) struct StoreHook {
    observer: Observer,
    /// True while this process's node holds a lease, as far as this observer has seen. A node that
    /// registers again has lost its lease.
    has_lease: AtomicBool,
}

/// A submission in progress.
pub(crate) struct Submission {
    span: Option<OpenSpan>,
    priority: &'static str,
}

fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Corrupt(_) => "corrupt",
        StoreError::Outdated => "outdated",
    }
}

impl StoreHook {
    pub(crate) fn new(observer: Observer) -> Arc<Self> {
        Arc::new(Self { observer, has_lease: AtomicBool::new(false) })
    }

    fn lost(&self) {
        if self.has_lease.swap(false, Ordering::Relaxed) {
            self.observer.instruments.lease_lost();
        }
    }
}

impl CallHook for StoreHook {
    type Submission = Submission;
    type Change = (Asked, Timestamp);

    async fn around<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.observer.timed(SYSTEM, operation, call, kind).await
    }

    /// Opens the span first, because the row stores its context.
    fn before_submit(&self, scan: &mut NewScan) -> Submission {
        let request = &scan.request;
        let attributes = vec![
            KeyValue::new(attribute::SCAN_MODE, request.options.mode.as_str()),
            KeyValue::new(attribute::SCAN_PRIORITY, request.options.priority.as_str()),
            KeyValue::new(attribute::SERVER_ADDRESS, request.target.host().to_string()),
        ];
        let priority = request.options.priority.as_str();
        let span = self.observer.spans.open(
            span::SCAN_SUBMIT,
            SpanKind::Internal,
            scan.trace,
            self.observer.clock.now(),
            attributes,
        );
        if let Some(open) = &span {
            scan.trace = open.context;
        }
        Submission { span, priority }
    }

    fn after_submit(&self, Submission { mut span, priority }: Submission, answer: &Result<Submitted, StoreError>) {
        match answer {
            Ok(submitted) => {
                let (row, created) = match submitted {
                    Submitted::Created(row) => (row, true),
                    Submitted::Existing(row) => (row, false),
                };
                if created {
                    self.observer.note(row);
                    self.observer.instruments.submitted(priority);
                }
                if let Some(open) = &mut span {
                    open.set(KeyValue::new(attribute::SCAN_ID, i64::try_from(row.id.0).unwrap_or(i64::MAX)));
                    open.set(KeyValue::new(attribute::SCAN_CREATED, created));
                }
            }
            Err(error) => {
                if let Some(open) = &mut span {
                    open.fail(kind(error));
                }
            }
        }
        if let Some(open) = span {
            open.end(self.observer.clock.now());
        }
    }

    fn before_apply(&self, command: &Command) -> (Asked, Timestamp) {
        (Asked::of(command), self.observer.clock.now())
    }

    fn after_apply(&self, (asked, start): (Asked, Timestamp), answer: &Result<Applied, StoreError>) {
        if let Ok(Applied::Committed(row)) = answer {
            self.observer.committed(&asked, row, start);
        }
    }

    /// A node that registers has killed the scans of its earlier lease. The loss is counted before
    /// the call, because the database may not respond for long.
    fn before_register(&self) {
        self.lost();
    }

    fn after_renewal(&self, result: LeaseResult) {
        self.observer.instruments.renewed(result);
        match result {
            LeaseResult::Granted => {
                self.has_lease.store(true, Ordering::Relaxed);
                self.observer.readings.change(|latest| latest.lease_granted = Some(Instant::now()));
            }
            LeaseResult::Refused => self.lost(),
            LeaseResult::Error => {}
        }
    }

    fn after_remove(&self) {
        self.has_lease.store(false, Ordering::Relaxed);
        self.observer.readings.change(|latest| latest.lease_granted = None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kastrel_actors::ports::{Clock, Stores};
    use kastrel_actors::testing::{MemoryStore, PausedClock, fixtures};

    use super::super::Telemetry;
    use super::*;
    use crate::web::testing::TestStore;

    const TTL: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_lost_lease_is_counted_once() {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::default());
        let memory = TestStore::new(Arc::new(MemoryStore::new(Arc::clone(&clock))));
        let telemetry = Telemetry::without_exporters();
        let store = memory.ports().hooked(&StoreHook::new(Observer::new(&telemetry, clock)));
        let node = || fixtures::registration("node-a");
        let losses = || {
            let text = telemetry.metrics_text();
            text.lines().find_map(|line| line.strip_prefix("kastrel_lease_losses_total ").map(str::to_owned)).unwrap()
        };
        store.nodes.register(node(), TTL).await.unwrap();
        assert_eq!(losses(), "0", "the first lease follows no loss");
        // Another node ends the lease.
        memory.ports().nodes.remove(&node().id).await.unwrap();
        assert!(store.nodes.renew(node(), TTL).await.unwrap().is_err());
        assert_eq!(losses(), "1");
        store.nodes.register(node(), TTL).await.unwrap();
        assert_eq!(losses(), "1", "it has been counted");
        // The lease expires: the node kills its scans, and its registration fails.
        memory.fail_with("down");
        assert!(store.nodes.register(node(), TTL).await.is_err());
        assert!(store.nodes.register(node(), TTL).await.is_err());
        assert_eq!(losses(), "2");
    }

    #[tokio::test]
    async fn a_lease_that_is_given_back_is_not_lost() {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::default());
        let telemetry = Telemetry::without_exporters();
        let memory = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let store = Stores::of(&memory).hooked(&StoreHook::new(Observer::new(&telemetry, clock)));
        let node = fixtures::registration("node-a");
        store.nodes.register(node.clone(), TTL).await.unwrap();
        store.nodes.remove(&node.id).await.unwrap();
        store.nodes.register(node, TTL).await.unwrap();
        assert!(telemetry.metrics_text().contains("\nkastrel_lease_losses_total 0\n"));
    }
}
