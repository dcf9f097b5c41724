//! One decorator for all store ports: a hook runs around each call. Telemetry measures with it, and
//! tests inject faults with it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use tokio::sync::watch;

use super::{
    Applied, AuditLog, Coordination, DispatchStore, NodeRegistry, Outbox, QueueControl, ScanQueries, ScanRepository,
    StoreError, StoreHealth,
};
use crate::model::{
    AuditEntry, Command, DayOutcomes, DeadLetter, Deleted, DeliveryBacklog, DueScan, LeaseResult, LeasedEntries,
    ListQuery, NewScan, NodeId, NodeLease, NodeLeaseRefused, NodeRecord, NodeRegistration, OutboxEntry, OutboxKey,
    PastRun, Principal, QueuePause, RunningScan, RunsLike, ScanId, ScanPage, ScanRecord, StoreStats, Submitted,
};

/// Runs around the calls of a store.
pub trait CallHook: Send + Sync + 'static {
    /// The state between [`before_submit`](Self::before_submit) and
    /// [`after_submit`](Self::after_submit).
    type Submission: Send;
    /// The state between [`before_apply`](Self::before_apply) and
    /// [`after_apply`](Self::after_apply).
    type Change: Send;

    /// Runs a call, whose name is `operation`. May delay it, fail it, or drop its result.
    fn around<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;

    /// A scan is about to be submitted. The hook may set its trace context, which the row keeps.
    fn before_submit(&self, scan: &mut NewScan) -> Self::Submission;

    /// A scan was submitted, or not.
    fn after_submit(&self, opened: Self::Submission, answer: &Result<Submitted, StoreError>);

    /// A command is about to be applied.
    fn before_apply(&self, command: &Command) -> Self::Change;

    /// A command was applied, or not.
    fn after_apply(&self, opened: Self::Change, answer: &Result<Applied, StoreError>);

    /// A node is about to register: it holds no lease any more.
    fn before_register(&self) {}

    /// A node has requested or renewed its lease.
    fn after_renewal(&self, _result: LeaseResult) {}

    /// A node has given its lease back.
    fn after_remove(&self) {}
}

/// A store port with a hook around each call.
#[derive(Debug)]
pub(crate) struct Hooked<S: ?Sized, H> {
    hook: Arc<H>,
    inner: Arc<S>,
}

impl<S: ?Sized, H> Hooked<S, H> {
    pub(crate) fn new(inner: Arc<S>, hook: &Arc<H>) -> Self {
        Self { hook: Arc::clone(hook), inner }
    }
}

#[async_trait]
impl<S: ScanRepository + ?Sized, H: CallHook> ScanRepository for Hooked<S, H> {
    async fn submit(&self, mut scan: NewScan) -> Result<Submitted, StoreError> {
        let opened = self.hook.before_submit(&mut scan);
        let answer = self.hook.around("submit", self.inner.submit(scan)).await;
        self.hook.after_submit(opened, &answer);
        answer
    }

    async fn submitted(&self, key: &str) -> Result<Option<ScanRecord>, StoreError> {
        self.hook.around("submitted", self.inner.submitted(key)).await
    }

    async fn get(&self, id: ScanId) -> Result<Option<ScanRecord>, StoreError> {
        self.hook.around("get", self.inner.get(id)).await
    }

    async fn apply(&self, id: ScanId, command: Command) -> Result<Applied, StoreError> {
        let (operation, opened) = (command.name(), self.hook.before_apply(&command));
        let answer = self.hook.around(operation, self.inner.apply(id, command)).await;
        self.hook.after_apply(opened, &answer);
        answer
    }

    async fn delete(&self, id: ScanId, by: &Principal) -> Result<Deleted, StoreError> {
        self.hook.around("delete", self.inner.delete(id, by)).await
    }
}

#[async_trait]
impl<S: ScanQueries + ?Sized, H: CallHook> ScanQueries for Hooked<S, H> {
    async fn list(&self, query: ListQuery) -> Result<ScanPage, StoreError> {
        self.hook.around("list", self.inner.list(query)).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.hook.around("stats", self.inner.stats()).await
    }

    async fn outcomes(&self, since: Date) -> Result<Vec<DayOutcomes>, StoreError> {
        self.hook.around("outcomes", self.inner.outcomes(since)).await
    }

    async fn past_runs(&self, like: Option<RunsLike>, limit: usize) -> Result<Vec<PastRun>, StoreError> {
        self.hook.around("past_runs", self.inner.past_runs(like, limit)).await
    }
}

#[async_trait]
impl<S: DispatchStore + ?Sized, H: CallHook> DispatchStore for Hooked<S, H> {
    async fn due(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError> {
        self.hook.around("due", self.inner.due(within, limit)).await
    }

    async fn running_on(&self, node: &NodeId) -> Result<Vec<RunningScan>, StoreError> {
        self.hook.around("running_on", self.inner.running_on(node)).await
    }

    async fn orphans(&self) -> Result<Vec<RunningScan>, StoreError> {
        self.hook.around("orphans", self.inner.orphans()).await
    }
}

#[async_trait]
impl<S: NodeRegistry + ?Sized, H: CallHook> NodeRegistry for Hooked<S, H> {
    async fn register(&self, node: NodeRegistration, ttl: Duration) -> Result<NodeLease, StoreError> {
        self.hook.before_register();
        let answer = self.hook.around("register_node", self.inner.register(node, ttl)).await;
        self.hook.after_renewal(if answer.is_ok() { LeaseResult::Granted } else { LeaseResult::Error });
        answer
    }

    async fn renew(
        &self,
        node: NodeRegistration,
        ttl: Duration,
    ) -> Result<Result<NodeLease, NodeLeaseRefused>, StoreError> {
        let answer = self.hook.around("renew_node", self.inner.renew(node, ttl)).await;
        self.hook.after_renewal(match &answer {
            Ok(Ok(_)) => LeaseResult::Granted,
            Ok(Err(NodeLeaseRefused)) => LeaseResult::Refused,
            Err(_) => LeaseResult::Error,
        });
        answer
    }

    async fn remove(&self, node: &NodeId) -> Result<(), StoreError> {
        let answer = self.hook.around("remove_node", self.inner.remove(node)).await;
        self.hook.after_remove();
        answer
    }

    async fn end_others(&self, keep: &NodeId) -> Result<(), StoreError> {
        self.hook.around("end_other_nodes", self.inner.end_others(keep)).await
    }

    async fn all(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.hook.around("nodes", self.inner.all()).await
    }

    async fn order_drain(&self, node: &NodeId, within: Option<Duration>, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("order_drain", self.inner.order_drain(node, within, by)).await
    }

    async fn keep_drain(&self, node: &NodeId, left: Duration) -> Result<(), StoreError> {
        self.hook.around("keep_drain", self.inner.keep_drain(node, left)).await
    }
}

#[async_trait]
impl<S: QueueControl + ?Sized, H: CallHook> QueueControl for Hooked<S, H> {
    async fn pause(&self, reason: Option<String>, by: &Principal) -> Result<QueuePause, StoreError> {
        self.hook.around("pause", self.inner.pause(reason, by)).await
    }

    async fn resume(&self, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("resume", self.inner.resume(by)).await
    }

    async fn paused(&self) -> Result<Option<QueuePause>, StoreError> {
        self.hook.around("paused", self.inner.paused()).await
    }
}

#[async_trait]
impl<S: Coordination + ?Sized, H: CallHook> Coordination for Hooked<S, H> {
    async fn claim_turn(&self, node: &NodeId, every: Duration) -> Result<bool, StoreError> {
        self.hook.around("claim_turn", self.inner.claim_turn(node, every)).await
    }
}

#[async_trait]
impl<S: Outbox + ?Sized, H: CallHook> Outbox for Hooked<S, H> {
    async fn lease_entries(&self, holder: &str, limit: usize, lease: Duration) -> Result<LeasedEntries, StoreError> {
        self.hook.around("outbox_lease", self.inner.lease_entries(holder, limit, lease)).await
    }

    async fn settle(&self, holder: &str, keys: &[OutboxKey]) -> Result<(), StoreError> {
        self.hook.around("outbox_settle", self.inner.settle(holder, keys)).await
    }

    async fn defer(
        &self,
        holder: &str,
        key: OutboxKey,
        wait: Duration,
        accepted_by: &[String],
    ) -> Result<(), StoreError> {
        self.hook.around("outbox_defer", self.inner.defer(holder, key, wait, accepted_by)).await
    }

    async fn bury(&self, holder: &str, key: OutboxKey, accepted_by: &[String], reason: &str) -> Result<(), StoreError> {
        self.hook.around("outbox_bury", self.inner.bury(holder, key, accepted_by, reason)).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.hook.around("dead_letters", self.inner.dead_letters(limit)).await
    }

    async fn resend(&self, key: OutboxKey, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("outbox_resend", self.inner.resend(key, by)).await
    }

    async fn backlog(&self) -> Result<DeliveryBacklog, StoreError> {
        self.hook.around("outbox_backlog", self.inner.backlog()).await
    }

    fn writes(&self) -> watch::Receiver<()> {
        self.inner.writes()
    }

    async fn count_outcomes(&self, entries: &[OutboxEntry]) -> Result<(), StoreError> {
        self.hook.around("count_outcomes", self.inner.count_outcomes(entries)).await
    }
}

#[async_trait]
impl<S: AuditLog + ?Sized, H: CallHook> AuditLog for Hooked<S, H> {
    async fn audit(&self, scan: Option<ScanId>, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.hook.around("audit", self.inner.audit(scan, limit)).await
    }
}

#[async_trait]
impl<S: StoreHealth + ?Sized, H: CallHook> StoreHealth for Hooked<S, H> {
    async fn ping(&self) -> Result<(), StoreError> {
        self.hook.around("ping", self.inner.ping()).await
    }
}
