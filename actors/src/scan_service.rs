//! the scan service: where scans are handed in, asked about and called off. What the web, the API
//! and the command line have in common.
//!
//! Owns nothing but handles to the ports. It may be called from any task on any node. A queue that
//! does not answer never loses a scan: the row is the truth, and the reconciler signals it later.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use crate::model::{
    CancelledBy, Command, FieldError, NewScan, NodeId, QueuePause, ScanId, ScanMode, ScanOrder, ScanRecord,
    ScanRequest, ScanRequestDraft, ScanSnapshot, ScanState, ScanStatus, TraceContext,
};
use crate::policy::admission::{QueueLimit, QueueLimits, QueueRefusal};
use crate::policy::override_policy::OverridePolicy;
use crate::policy::permission;
use crate::policy::scope::ScopePolicy;
use crate::policy::selection::{Selection, select};
use crate::policy::transition::Refusal;
use crate::policy::waiting::Waiting;
use crate::ports::{
    Applied, Clock, Control, ControlBus, Cursor, Deleted, JobQueue, JobSignal, ListQuery, LiveFeed, ScanStore,
    SecretSealer, StoreError, StoreStats, Submitted, secret_sealer,
};
use crate::queue_gate::{Client, Place};
use crate::snapshot_cache::SnapshotCache;

/// See the module.
#[derive(Clone)]
pub struct ScanService {
    /// The truth.
    pub store: Arc<dyn ScanStore>,
    /// Wake-up signals.
    pub queue: Arc<dyn JobQueue>,
    /// Messages to the node that runs a scan.
    pub bus: Arc<dyn ControlBus>,
    /// News for other processes.
    pub feed: Arc<dyn LiveFeed>,
    /// Which scans the snapshot cache is right about without asking.
    pub consistency: Consistency,
    /// What is true right now.
    pub snapshots: Arc<SnapshotCache>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// What may be scanned.
    pub scope: Arc<ScopePolicy>,
    /// Which settings of the scanner a client may set.
    pub overrides: Arc<OverridePolicy>,
    /// Seals the values of secret settings.
    pub sealer: Arc<dyn SecretSealer>,
    /// How many scans may wait.
    pub limits: QueueLimits,
}

/// A scan that was accepted: committed.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The scan.
    pub scan: Arc<ScanSnapshot>,
    /// Whether this submission made it, or an earlier one with the same idempotency key.
    pub created: bool,
    /// What of it is left out or cannot run, a sentence each.
    pub notes: Vec<String>,
    /// What keeps it from starting, beside the wait for a free slot; what decides first.
    pub waiting: Vec<Waiting>,
}

impl Accepted {
    /// What the user should know, in sentences, one for each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let waits = self.waiting.iter().map(|waiting| format!("Scan accepted and stored. {waiting}"));
        self.notes.iter().cloned().chain(waits).collect()
    }

    /// The same in one line.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let reasons = self.waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let waits = (!reasons.is_empty()).then(|| format!("Scan accepted and stored. {reasons}"));
        let all: Vec<String> = self.notes.iter().cloned().chain(waits).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// A submission that was not accepted. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Fields that are wrong, all of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// The idempotency key belongs to a scan that was asked for with other fields.
    #[error("the idempotency key was used for a different request (scan {0})")]
    KeyReused(ScanId),
    /// The scan that is to be run again has not ended.
    #[error("scan {} is {}; it can be re-run when it has finished", .0, .1.word())]
    NotEnded(ScanId, ScanStatus),
    /// There is no room in the queue.
    #[error(transparent)]
    Queue(#[from] QueueRefusal),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The answer to a cancel.
#[derive(Debug, Clone)]
pub enum CancelOutcome {
    /// It waited, and is cancelled now.
    Cancelled(ScanRecord),
    /// It runs; its process is being ended, then it becomes cancelled.
    Requested(ScanRecord),
    /// It had ended before.
    AlreadyEnded(ScanRecord),
    /// No such scan.
    Missing,
}

/// A page of scans as they are seen now.
#[derive(Debug, Clone)]
pub struct SnapshotPage {
    /// In `order`.
    pub scans: Vec<Arc<ScanSnapshot>>,
    /// The order that was asked for, or newest first where the store cannot give that one.
    pub order: ScanOrder,
    /// The matches, where asked for.
    pub total: Option<u64>,
    /// Whether there are more matches than `total`.
    pub total_is_floor: bool,
    /// Where the next page begins.
    pub next: Option<Cursor>,
    /// Whether the search ended before the page was full, and goes on at `next`.
    pub is_partial: bool,
    /// The scans whose rows cannot be read: they are left out, and the log says why.
    pub unreadable: Vec<ScanId>,
}

/// Which scans a process's snapshot cache is always right about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// All: no other process changes the store.
    SingleWriter,
    /// Those that this process runs; others change, or are deleted, without it.
    MultiWriter,
}

/// For how long a snapshot of a scan that others may change is shown without asking the store.
const FRESH: Duration = Duration::from_secs(1);

/// For how long such a snapshot is still shown while the store does not answer.
const STALE: Duration = Duration::from_secs(5);

/// How often the node that runs a scan is asked to publish it, as long as somebody asks for it
/// here.
const FOLLOW_EVERY: Duration = Duration::from_secs(10);

impl ScanService {
    /// Checks and accepts a scan. When this returns `Ok`, it is committed.
    ///
    /// # Errors
    /// Every wrong field, or the store's failure.
    pub async fn submit(
        &self,
        draft: &ScanRequestDraft,
        idempotency_key: Option<String>,
        trace: TraceContext,
    ) -> Result<Accepted, SubmitError> {
        self.submit_from(Client::Local, draft, idempotency_key, trace).await
    }

    /// As [`submit`](Self::submit), for `client`.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), or there is no room in the queue.
    pub async fn submit_from(
        &self,
        client: Client,
        draft: &ScanRequestDraft,
        idempotency_key: Option<String>,
        trace: TraceContext,
    ) -> Result<Accepted, SubmitError> {
        if !draft.plugins.is_empty()
            || !draft.overrides.is_empty()
            || draft.mode.as_deref().is_some_and(|mode| mode != ScanMode::Passive.as_str())
        {
            self.snapshots.offered.first().await;
        }
        let (request, selection) = self.examine(draft)?;
        let Selection { left_out, warnings } = selection;
        self.accept(client, NewScan { request, left_out, idempotency_key, trace, rerun_of: None }, warnings).await
    }

    /// Checks a draft as a submission would, without submitting it.
    ///
    /// # Errors
    /// Every wrong field.
    pub fn check(&self, draft: &ScanRequestDraft) -> Result<ScanRequest, SubmitError> {
        self.examine(draft).map(|(request, _)| request)
    }

    fn examine(&self, draft: &ScanRequestDraft) -> Result<(ScanRequest, Selection), SubmitError> {
        let is_confirmed = draft.confirm_active.unwrap_or(false);
        match draft.check() {
            Ok(mut request) => {
                let target = request.target.clone();
                let known = self.snapshots.offered.known_settings();
                let resolved = secret_sealer::resolve(
                    &*self.sealer,
                    &target,
                    &mut request.overrides,
                    &draft.kept,
                    known.as_deref(),
                )
                .err()
                .unwrap_or_default();
                match self.permit(&request, is_confirmed) {
                    Ok(selection) if resolved.is_empty() => Ok((request, selection)),
                    Ok(_) => Err(SubmitError::Invalid(resolved)),
                    Err(SubmitError::Invalid(errors)) => {
                        Err(SubmitError::Invalid(errors.into_iter().chain(resolved).collect()))
                    }
                    Err(other) => Err(other),
                }
            }
            Err(mut errors) => {
                let mode = draft.mode.as_deref().and_then(|mode| mode.parse().ok()).unwrap_or(ScanMode::Passive);
                errors.extend(permission::check(mode, is_confirmed).err());
                Err(SubmitError::Invalid(errors))
            }
        }
    }

    /// Whether a request may be submitted, on whichever way it comes: its target and the addresses
    /// in its settings are in scope, a client may set what it sets, the scanner can run something
    /// of what it selects, and its user has confirmed what needs that.
    fn permit(&self, request: &ScanRequest, is_confirmed: bool) -> Result<Selection, SubmitError> {
        let mut errors = Vec::new();
        // A scan of an earlier version may have a target that is not accepted any more.
        errors.extend(request.target.check().err().map(|why| FieldError::new("target", format!("the target {why}"))));
        errors.extend(
            self.scope.check(&request.target).err().map(|why| FieldError::new("target", format!("the target {why}"))),
        );
        let selection = select(request, &self.snapshots.offered.get()).unwrap_or_else(|error| {
            errors.push(error);
            Selection::default()
        });
        let (known, schema) = (self.snapshots.offered.settings(), self.snapshots.offered.schema());
        for one in request.overrides.chunks(1) {
            // What is locked is not looked into: one reason a setting.
            let locked = self.overrides.check(one, &known);
            if locked.is_empty() {
                errors.extend(schema.as_ref().map(|schema| schema.check(one)).unwrap_or_default());
                errors.extend(self.scope.check_overrides(one, &known));
            }
            errors.extend(locked);
        }
        errors.extend(permission::check(request.mode, is_confirmed).err());
        if errors.is_empty() { Ok(selection) } else { Err(SubmitError::Invalid(errors)) }
    }

    /// Submits the request of a scan that has ended once more, for `client`. `confirm_active`: its
    /// user confirms that active plugins may run; what was confirmed for the earlier scan does not
    /// count. `None`: no such scan.
    ///
    /// # Errors
    /// The scan goes on, the target may be out of scope by now, a confirmation may be missing,
    /// there may be no room in the queue, or the store fails.
    pub async fn rerun(
        &self,
        client: Client,
        id: ScanId,
        trace: TraceContext,
        confirm_active: bool,
    ) -> Result<Option<Accepted>, SubmitError> {
        let Some(scan) = self.scan(id).await? else { return Ok(None) };
        if !scan.status().is_terminal() {
            return Err(SubmitError::NotEnded(id, scan.status()));
        }
        let mut request = scan.record.request.clone();
        self.snapshots.offered.first().await;
        // Earlier versions stored secrets in clear.
        let (target, known) = (request.target.clone(), self.snapshots.offered.known_settings());
        secret_sealer::resolve(&*self.sealer, &target, &mut request.overrides, &[], known.as_deref())
            .map_err(SubmitError::Invalid)?;
        // What this key does not open would be accepted here and fail where it starts.
        secret_sealer::open_all(&*self.sealer, &target, &mut request.overrides.clone())
            .map_err(|error| SubmitError::Invalid(vec![error]))?;
        let Selection { left_out, warnings } = self.permit(&request, confirm_active)?;
        self.accept(client, NewScan { request, left_out, idempotency_key: None, trace, rerun_of: Some(id) }, warnings)
            .await
            .map(Some)
    }

    /// Asks for a scan's end.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn cancel(&self, id: ScanId, by: CancelledBy) -> Result<CancelOutcome, StoreError> {
        match self.store.apply(id, Command::Cancel { by }).await? {
            Applied::Missing => Ok(CancelOutcome::Missing),
            Applied::Refused(Refusal::AlreadyDone, record) => {
                // Asked for before; the message may have been lost, and a second one does no harm.
                self.snapshots.publish(record.clone());
                self.bus.publish(Control::Cancel(id)).await;
                Ok(CancelOutcome::Requested(record))
            }
            Applied::Refused(_, record) => {
                self.snapshots.publish(record.clone());
                Ok(CancelOutcome::AlreadyEnded(record))
            }
            Applied::Committed(record) => {
                self.publish(record.clone());
                if matches!(record.state, ScanState::Running { .. }) {
                    self.bus.publish(Control::Cancel(id)).await;
                    Ok(CancelOutcome::Requested(record))
                } else {
                    Ok(CancelOutcome::Cancelled(record))
                }
            }
        }
    }

    /// A scan as it is seen now. `None`: no such scan.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn scan(&self, id: ScanId) -> Result<Option<Arc<ScanSnapshot>>, StoreError> {
        let mut too_old = None;
        if let Some((snapshot, age)) = self.snapshots.get_with_age(id) {
            // A scan that has ended changes no more, but another process may have deleted it.
            if self.is_mine(&snapshot.record) {
                return Ok(Some(snapshot));
            }
            self.follow(&snapshot.record).await;
            if age <= FRESH || (age <= STALE && !self.snapshots.claim_refresh(id, FRESH)) {
                return Ok(Some(snapshot));
            }
            too_old = Some((snapshot, age));
        }
        let record = match (self.snapshots.reads.get(&self.store, id).await, too_old) {
            (Ok(record), _) => record,
            (Err(_), Some((snapshot, age))) if age <= STALE => return Ok(Some(snapshot)),
            (Err(error), _) => return Err(error),
        };
        let Some(record) = record else {
            self.snapshots.remove(id);
            return Ok(None);
        };
        self.snapshots.publish(record.clone());
        // The snapshot cache may have forgotten it again already.
        Ok(Some(self.snapshots.get(id).unwrap_or_else(|| Arc::new(ScanSnapshot::of(record)))))
    }

    /// A scan's snapshots, beginning with the present one. `None`: no such scan.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn watch(&self, id: ScanId) -> Result<Option<watch::Receiver<Arc<ScanSnapshot>>>, StoreError> {
        Ok(self.scan(id).await?.map(|snapshot| self.snapshots.watch(snapshot.record.clone())))
    }

    /// Whether this process would know if the scan had changed.
    pub(crate) fn is_sure_of(&self, record: &ScanRecord) -> bool {
        record.status().is_terminal() || self.is_mine(record)
    }

    /// Whether nobody but this process changes the scan.
    pub(crate) fn is_mine(&self, record: &ScanRecord) -> bool {
        self.consistency == Consistency::SingleWriter || self.snapshots.is_own(record)
    }

    /// Asks the node that runs a scan to publish what its attempt tells, from time to time.
    pub(crate) async fn follow(&self, record: &ScanRecord) {
        if matches!(record.state, ScanState::Running { .. })
            && !self.is_sure_of(record)
            && self.snapshots.claim_follow(record.id, FOLLOW_EVERY)
        {
            self.bus.publish(Control::Follow(record.id)).await;
        }
    }

    /// Shows a row that was committed, here and in other processes.
    fn publish(&self, record: ScanRecord) {
        let id = record.id;
        self.snapshots.publish(record);
        if let Some(snapshot) = self.snapshots.get(id) {
            self.feed.publish(ScanSnapshot::clone(&snapshot));
        }
    }

    /// Tells a node to take no new scan and to be without any `within` this time; `None` takes that
    /// back. `false`: no such node.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, StoreError> {
        let known = self.store.order_drain(node, within).await?;
        self.bus.publish(Control::RefreshDirectives(Some(node.clone()))).await;
        self.look_now().await;
        Ok(known)
    }

    /// Pauses the whole queue: no scan starts any more, on any node.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn pause(&self, reason: Option<String>) -> Result<QueuePause, StoreError> {
        let pause = self.store.pause(reason).await?;
        self.bus.publish(Control::RefreshDirectives(None)).await;
        self.look_now().await;
        Ok(pause)
    }

    /// Takes a pause back. `false`: the queue was not paused.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn resume(&self) -> Result<bool, StoreError> {
        let was_paused = self.store.resume().await?;
        self.bus.publish(Control::RefreshDirectives(None)).await;
        self.look_now().await;
        Ok(was_paused)
    }

    /// A page of scans, each as it is seen now.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn list(&self, query: ListQuery) -> Result<SnapshotPage, StoreError> {
        let page = self.store.list(query).await?;
        let live = |record: ScanRecord| match self.snapshots.get(record.id) {
            Some(snapshot) if snapshot.record.version >= record.version => snapshot,
            _ => Arc::new(ScanSnapshot::of(record)),
        };
        let scans = page.scans.into_iter().map(live).collect();
        Ok(SnapshotPage {
            scans,
            order: page.order,
            total: page.total,
            total_is_floor: page.total_is_floor,
            next: page.next,
            is_partial: page.is_partial,
            unreadable: page.unreadable,
        })
    }

    /// Forgets a scan that has ended. Its files are not the scan service's: whoever keeps them
    /// removes them after a [`Deleted::Gone`].
    ///
    /// # Errors
    /// The store's failure.
    pub async fn delete(&self, id: ScanId) -> Result<Deleted, StoreError> {
        let deleted = self.store.delete(id).await?;
        match &deleted {
            Deleted::Gone(_) | Deleted::Missing => self.snapshots.remove(id),
            Deleted::Refused(record) => self.snapshots.publish(record.clone()),
        }
        Ok(deleted)
    }

    /// How many scans are in each state.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.store.stats().await
    }

    /// Room for a scan of `client`.
    async fn enter(&self, client: Client) -> Result<Result<Place<'_>, QueueRefusal>, StoreError> {
        let count = || async { Ok(self.store.stats().await?.pending) };
        let refusal = match self.snapshots.gate.enter(client, self.limits, count()).await? {
            Err(refusal) if matches!(refusal.limit, QueueLimit::ClientShare { .. }) => refusal,
            other => return Ok(other),
        };
        // Another process may have started them.
        let mut is_less = false;
        for id in self.snapshots.gate.doubtful(client) {
            if self.store.get(id).await?.is_none_or(|record| record.status() != ScanStatus::Pending) {
                self.snapshots.gate.left(id);
                is_less = true;
            }
        }
        if is_less { self.snapshots.gate.enter(client, self.limits, count()).await } else { Ok(Err(refusal)) }
    }

    async fn accept(&self, client: Client, mut scan: NewScan, notes: Vec<String>) -> Result<Accepted, SubmitError> {
        let target = scan.request.target.clone();
        secret_sealer::seal_all(&*self.sealer, &target, &mut scan.request.overrides)
            .map_err(|error| SubmitError::Invalid(vec![error]))?;
        let request = scan.request.clone();
        let submitted = match self.enter(client).await? {
            Ok(place) => {
                let submitted = self.store.submit(scan).await?;
                if let Submitted::Created(record) = &submitted {
                    place.accepted(record.id);
                }
                submitted
            }
            // What was accepted before is not refused now.
            Err(refusal) => match &scan.idempotency_key {
                Some(key) => Submitted::Existing(self.store.submitted(key).await?.ok_or(refusal)?),
                None => return Err(refusal.into()),
            },
        };
        let (record, created) = match submitted {
            Submitted::Created(record) => (record, true),
            Submitted::Existing(record) if !self.is_same(&record.request, &request) => {
                return Err(SubmitError::KeyReused(record.id));
            }
            Submitted::Existing(record) => (record, false),
        };
        self.publish(record.clone());
        // The signal first: nothing that follows may delay the start.
        let silent = if created { self.wake(&record).await } else { None };
        let mut waiting = self.reasons(&record).await;
        if let Some(why) = silent
            && !waiting.iter().any(|reason| matches!(reason, Waiting::QueueDown { .. }))
        {
            waiting.insert(0, Waiting::QueueDown { why });
        }
        waiting.retain(Waiting::is_unusual);
        let scan = self.snapshots.get(record.id).unwrap_or_else(|| Arc::new(ScanSnapshot::of(record)));
        Ok(Accepted { scan, created, notes, waiting })
    }

    /// Whether two requests ask for the same, also where one was sealed before it was known which
    /// of its settings are secrets.
    fn is_same(&self, one: &ScanRequest, other: &ScanRequest) -> bool {
        let without = |request: &ScanRequest| ScanRequest { overrides: Vec::new(), ..request.clone() };
        one == other
            || (without(one) == without(other)
                && secret_sealer::are_same(&*self.sealer, &one.target, &one.overrides, &other.overrides))
    }

    /// Signals the scan. Why the queue did not take the signal.
    async fn wake(&self, record: &ScanRecord) -> Option<String> {
        let signal =
            JobSignal { id: record.id, priority: record.request.priority, due: record.created_at, trace: record.trace };
        let error = self.queue.signal(signal, Duration::ZERO).await.err()?;
        warn!(
            scan.id = record.id.0,
            error = &error as &dyn std::error::Error,
            "accepted a scan but could not signal it; it starts when the queue is back"
        );
        Some(self.queue.trouble().unwrap_or_else(|| error.0.to_string()))
    }
}
