//! The scan service: reads, cancels and deletes scans. The web, the API and the command line share
//! it. Its submissions are in [`submission`](super::submission).
//!
//! It owns only handles to the ports, and may be called from any task on any node. An unavailable
//! queue never loses a scan: the row is authoritative, and the reconciler signals it later.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::error::CommandError;
use super::known_queue::KnownQueue;
use super::ports::{Consistency, ServicePorts};
use super::setting_rules::SettingRules;
use crate::live::Changed;
use crate::model::{
    CancelledBy, Command, Cursor, Deleted, HeldBack, ListQuery, Operation, RequestContext, ScanId, ScanOrder,
    ScanRecord, ScanRequest, ScanSnapshot, ScanState,
};
use crate::policy::access::{decide_scan, holds_everywhere};
use crate::policy::transition::Refusal;
use crate::policy::waiting::Waiting;
use crate::ports::{Applied, Control, StoreError};

/// The scan service.
#[derive(Debug, Clone)]
pub struct ScanService {
    pub(super) ports: Arc<ServicePorts>,
}

/// The result of a cancel.
#[derive(Debug, Clone)]
pub enum CancelOutcome {
    /// The scan was pending and is now cancelled.
    Cancelled(ScanRecord),
    /// The scan runs. Its process is being ended; then the scan becomes cancelled.
    Requested(ScanRecord),
    /// The scan had already ended.
    AlreadyEnded(ScanRecord),
    /// No such scan.
    Missing,
}

/// A page of scans with their live state.
#[derive(Debug, Clone)]
pub struct SnapshotPage {
    /// The scans, in `order`.
    pub scans: Vec<Arc<ScanSnapshot>>,
    /// The requested order, or newest first if the store cannot provide it.
    pub order: ScanOrder,
    /// The number of matches, if requested.
    pub total: Option<u64>,
    /// Whether there are more matches than `total`.
    pub total_is_floor: bool,
    /// The cursor of the next page.
    pub next: Option<Cursor>,
    /// Whether the search ended before the page was full; it continues at `next`.
    pub is_partial: bool,
    /// The scans whose rows cannot be read. The page leaves them out, and the log has the reason.
    pub unreadable: Vec<ScanId>,
}

/// How long a snapshot of a scan that other processes may change is served without a read of the
/// store.
const FRESH: Duration = Duration::from_secs(1);

/// How long such a snapshot is still served while the store does not respond.
const STALE: Duration = Duration::from_secs(5);

/// The interval at which the node that runs a scan is requested to publish it, while clients of
/// this process read it.
const FOLLOW_EVERY: Duration = Duration::from_secs(10);

impl ScanService {
    pub(super) const fn new(ports: Arc<ServicePorts>) -> Self {
        Self { ports }
    }

    /// Checks that the principal may do an operation on a scan. Returns `false` if there is no such
    /// scan, or if the principal may not see it.
    ///
    /// # Errors
    /// The principal lacks a right, or the store fails.
    pub async fn authorize(
        &self,
        context: &RequestContext,
        id: ScanId,
        operation: Operation,
    ) -> Result<bool, CommandError> {
        if holds_everywhere(&context.grants, operation) {
            return Ok(true);
        }
        let Some(scan) = self.scan(context, id).await? else { return Ok(false) };
        decide_scan(&context.grants, operation, &scan.record)?;
        Ok(true)
    }

    /// Requests the end of a scan.
    ///
    /// # Errors
    /// The principal may not cancel it, or the store fails.
    pub async fn cancel(
        &self,
        context: &RequestContext,
        id: ScanId,
        by: CancelledBy,
    ) -> Result<CancelOutcome, CommandError> {
        if !self.authorize(context, id, Operation::CancelScans).await? {
            return Ok(CancelOutcome::Missing);
        }
        match self.ports.store.scans.apply(id, Command::Cancel { by, principal: context.principal.clone() }).await? {
            Applied::Missing => Ok(CancelOutcome::Missing),
            Applied::Refused(Refusal::AlreadyDone, record) => {
                // A repeated request: the first message may have been lost, and a second one does
                // no harm.
                self.ports.snapshots.publish(record.clone());
                self.ports.bus.publish(Control::Cancel(id)).await;
                Ok(CancelOutcome::Requested(record))
            }
            Applied::Refused(_, record) => {
                self.ports.snapshots.publish(record.clone());
                Ok(CancelOutcome::AlreadyEnded(record))
            }
            Applied::Committed(record) => {
                self.publish(record.clone());
                if matches!(record.state, ScanState::Running { .. }) {
                    self.ports.bus.publish(Control::Cancel(id)).await;
                    Ok(CancelOutcome::Requested(record))
                } else {
                    Ok(CancelOutcome::Cancelled(record))
                }
            }
        }
    }

    /// Returns the live state of a scan, or `None` if there is no such scan, or if the principal
    /// may not see it.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn scan(&self, context: &RequestContext, id: ScanId) -> Result<Option<Arc<ScanSnapshot>>, StoreError> {
        let may_read =
            |scan: &Arc<ScanSnapshot>| decide_scan(&context.grants, Operation::ReadScans, &scan.record).is_ok();
        Ok(self.find(id).await?.filter(may_read))
    }

    async fn find(&self, id: ScanId) -> Result<Option<Arc<ScanSnapshot>>, StoreError> {
        let mut too_old = None;
        if let Some((snapshot, age)) = self.ports.snapshots.get_with_age(id) {
            // Another process may have deleted or transferred an ended scan.
            if self.is_mine(&snapshot.record) {
                return Ok(Some(snapshot));
            }
            self.follow(&snapshot.record).await;
            if age <= FRESH || (age <= STALE && !self.ports.snapshots.claim_refresh(id, FRESH)) {
                return Ok(Some(snapshot));
            }
            too_old = Some((snapshot, age));
        }
        let record = match (self.ports.snapshots.reads.get(&self.ports.store.scans, id).await, too_old) {
            (Ok(record), _) => record,
            (Err(_), Some((snapshot, age))) if age <= STALE => return Ok(Some(snapshot)),
            (Err(error), _) => return Err(error),
        };
        let Some(record) = record else {
            self.ports.snapshots.remove(id);
            return Ok(None);
        };
        self.ports.snapshots.publish(record.clone());
        // The snapshot cache may already have dropped it again.
        Ok(Some(self.ports.snapshots.get(id).unwrap_or_else(|| Arc::new(ScanSnapshot::of(record)))))
    }

    /// Returns a receiver for a scan's snapshots, starting with the current one, or `None` if there
    /// is no such scan.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn watch(
        &self,
        context: &RequestContext,
        id: ScanId,
    ) -> Result<Option<watch::Receiver<Arc<ScanSnapshot>>>, StoreError> {
        Ok(self.scan(context, id).await?.map(|snapshot| self.ports.snapshots.watch(snapshot.record.clone())))
    }

    /// Returns true if this process would see every change of the scan.
    pub(crate) fn is_sure_of(&self, record: &ScanRecord) -> bool {
        record.status().is_terminal() || self.is_mine(record)
    }

    /// Returns true if only this process changes the scan.
    pub(crate) fn is_mine(&self, record: &ScanRecord) -> bool {
        self.ports.consistency == Consistency::SingleWriter || self.ports.snapshots.is_own(record)
    }

    /// Requests the node that runs a scan to publish its attempt's events, at most once per
    /// interval.
    pub(crate) async fn follow(&self, record: &ScanRecord) {
        if matches!(record.state, ScanState::Running { .. })
            && !self.is_sure_of(record)
            && self.ports.snapshots.claim_follow(record.id, FOLLOW_EVERY)
        {
            self.ports.bus.publish(Control::Follow(record.id)).await;
        }
    }

    /// Publishes a committed row, here and to other processes.
    pub(super) fn publish(&self, record: ScanRecord) {
        let id = record.id;
        self.ports.snapshots.publish(record);
        if let Some(snapshot) = self.ports.snapshots.get(id) {
            self.ports.feed.publish(ScanSnapshot::clone(&snapshot));
        }
    }

    /// Returns a page of the scans that the principal may see, with their live state. The plugins
    /// of a scan that is not in the snapshot cache have no issues, messages and times.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn list(&self, context: &RequestContext, query: ListQuery) -> Result<SnapshotPage, StoreError> {
        let query = ListQuery { projects: query.projects.and(&context.grants.readable()), ..query };
        let page = self.ports.store.queries.list(query).await?;
        let scans = page.scans.into_iter().map(|record| self.live(record)).collect();
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

    /// Returns the live state of a scan whose row is `record`.
    #[must_use]
    pub fn live(&self, record: ScanRecord) -> Arc<ScanSnapshot> {
        match self.ports.snapshots.get(record.id) {
            Some(snapshot) if snapshot.record.version >= record.version => snapshot,
            _ => Arc::new(ScanSnapshot::of(record)),
        }
    }

    /// Returns a receiver for the revision of the change log, which grows when a scan changes.
    #[must_use]
    pub fn follow_changes(&self) -> watch::Receiver<u64> {
        self.ports.snapshots.changes().follow()
    }

    /// Returns the scans that changed after `revision` and that the principal may see.
    #[must_use]
    pub fn changes_since(&self, context: &RequestContext, revision: u64) -> Changed {
        self.ports.snapshots.changes().since(revision, &context.grants.readable())
    }

    /// Returns all reasons why a scan does not start now, the decisive one first; empty if it is
    /// not pending.
    pub async fn reasons(&self, record: &ScanRecord) -> Vec<Waiting> {
        self.known_queue().reasons(record).await
    }

    /// Returns why a scan waits now.
    pub async fn waiting(&self, record: &ScanRecord) -> Option<Waiting> {
        self.reasons(record).await.into_iter().next()
    }

    /// Like [`waiting`](Self::waiting), but from the last refresh, which is at most a few seconds
    /// old while there are readers. For responses that must not wait.
    #[must_use]
    pub fn waiting_seen(&self, record: &ScanRecord) -> Option<Waiting> {
        self.known_queue().waiting_seen(record)
    }

    /// Like [`waiting_seen`](Self::waiting_seen), but refreshes first if there was no refresh in
    /// the last three seconds: the queue may have been paused or become unavailable since.
    pub async fn waiting_soon(&self, record: &ScanRecord) -> Option<Waiting> {
        self.known_queue().waiting_soon(record).await
    }

    /// Returns why no node starts a scan of this request, without reading the store.
    #[must_use]
    pub fn held_back(&self, request: &ScanRequest) -> Option<HeldBack> {
        self.known_queue().held_back(request)
    }

    /// Returns the rules by which a form shows the settings of a scan.
    #[must_use]
    pub fn setting_rules(&self) -> SettingRules {
        let ServicePorts { overrides, snapshots, sealer, .. } = &*self.ports;
        SettingRules::new(Arc::clone(overrides), snapshots.offered.settings(), Arc::clone(sealer))
    }

    /// Returns the time of this process's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    pub(super) fn known_queue(&self) -> KnownQueue<'_> {
        KnownQueue(&self.ports)
    }

    /// Deletes the row of an ended scan. The scan service does not own the scan's files: the
    /// deletion service of the application calls this and removes them.
    ///
    /// # Errors
    /// The principal may not delete it, or the store fails.
    pub async fn delete_row(&self, context: &RequestContext, id: ScanId) -> Result<Deleted, CommandError> {
        if !self.authorize(context, id, Operation::DeleteScans).await? {
            return Ok(Deleted::Missing);
        }
        // Another process may have transferred the scan since the snapshot, so the row decides,
        // too.
        if !holds_everywhere(&context.grants, Operation::DeleteScans)
            && let Some(record) = self.ports.store.scans.get(id).await?
        {
            if decide_scan(&context.grants, Operation::ReadScans, &record).is_err() {
                return Ok(Deleted::Missing);
            }
            decide_scan(&context.grants, Operation::DeleteScans, &record)?;
        }
        let deleted = self.ports.store.scans.delete(id, &context.principal).await?;
        match &deleted {
            Deleted::Gone(_) | Deleted::Missing => self.ports.snapshots.remove(id),
            Deleted::Refused(record) => self.ports.snapshots.publish(record.clone()),
        }
        Ok(deleted)
    }
}
