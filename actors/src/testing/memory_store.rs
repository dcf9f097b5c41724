//! An in-memory store with the contract of the real one, and with a clock that tests control.

mod access;
mod chain;
mod clearances;
mod device_logins;
mod findings;
mod mail;
mod passkeys;
mod provider_identities;
mod public_links;
mod second_factors;
mod shares;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};

use crate::model::{
    AuditCursor, AuditEntry, AuditPage, AuditQuery, Command, DayOutcomes, DeadLetter, Deleted, DeliveryBacklog,
    DomainEvent, DueScan, LeasedEntries, ListQuery, NewScan, NodeId, NodeLease, NodeLeaseRefused, NodeRecord,
    NodeRegistration, OutboxEntry, OutboxKey, PastRun, Principal, Priority, ProjectFilter, ProjectId, QueuePause,
    RunningScan, RunsLike, ScanId, ScanOrder, ScanPage, ScanRecord, ScanState, ScanStatus, StoreStats, Submitted,
};
use crate::policy::audit::{AuditStep, AuditWalk};
use crate::policy::events::{
    OUTCOMES, OutcomeChange, counted, drain_event, event_of, is_delivered, key_of, key_of_deletion, principal_of,
};
use crate::policy::lease::{Fate, fate, is_over, left_to_drain};
use crate::policy::listing::{cursor, matches, target_text, took_ms};
use crate::policy::transition::{Refusal, Transition, transition};
use crate::ports::{
    Applied, AuditLog, Clock, Coordination, DispatchStore, NodeRegistry, Outbox, QueueControl, ScanQueries,
    ScanRepository, StoreError, StoreHealth,
};

/// The store in memory. It keeps every change in [`MemoryStore::history`], for tests that
/// verify what must never happen.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Notify,
    writes: watch::Sender<()>,
}

/// An entry of the outbox.
struct Waiting {
    /// The event as it is stored.
    event: String,
    /// When it was committed, or sent again.
    at: Timestamp,
    failures: u32,
    accepted_by: Vec<String>,
    /// When it can be leased.
    due: Timestamp,
    holder: Option<String>,
}

#[derive(Default)]
struct State {
    scans: BTreeMap<ScanId, ScanRecord>,
    last_id: u64,
    keys: BTreeMap<String, ScanId>,
    /// Pending scans, in the order in which they are due.
    waiting: BTreeSet<(Priority, Timestamp, ScanId)>,
    /// Running scans, by node.
    running: BTreeMap<NodeId, BTreeSet<ScanId>>,
    nodes: BTreeMap<NodeId, NodeRecord>,
    /// The duration for which each node's lease was granted.
    ttls: BTreeMap<NodeId, Duration>,
    /// The drain time of each draining node.
    drains: BTreeMap<NodeId, Duration>,
    leases_seen: Option<Timestamp>,
    pause: Option<QueuePause>,
    /// The node that has the turn to reconcile the cluster, and until when.
    turn: Option<(NodeId, Timestamp)>,
    outbox: BTreeMap<OutboxKey, Waiting>,
    /// The dead letters, with the consumers that have accepted them.
    dead: BTreeMap<OutboxKey, (DeadLetter, Vec<String>)>,
    audit: Vec<AuditEntry>,
    /// The outcomes of each day and project; a deletion that is counted before its end makes them
    /// negative.
    days: BTreeMap<Date, BTreeMap<ProjectId, [i64; 3]>>,
    access: access::AccessRows,
    clearances: clearances::ClearanceRows,
    identities: provider_identities::IdentityRows,
    public_links: public_links::PublicLinkRows,
    shares: shares::ShareRows,
    findings: findings::FindingRows,
    chain: chain::ChainRows,
    history: Vec<ScanRecord>,
    forgetful: bool,
    calls: BTreeMap<&'static str, u64>,
}

impl MemoryStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), changed: Notify::new(), writes: watch::Sender::new(()) }
    }

    /// Keeps no history from now on, for a test with many rows.
    pub fn forget_history(&self) {
        self.state().forgetful = true;
    }

    /// Returns how often each method with a cost in a real store was called.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.state().calls.clone()
    }

    /// Returns every version of every row, in the order of the commits.
    #[must_use]
    pub fn history(&self) -> Vec<ScanRecord> {
        self.state().history.clone()
    }

    /// Returns a future that completes with the next commit after this call.
    pub fn changed(&self) -> impl Future<Output = ()> + '_ {
        let mut changed = Box::pin(self.changed.notified());
        changed.as_mut().enable();
        changed
    }

    /// Replaces the stored text of the event of an outbox entry.
    pub fn overwrite_event(&self, key: OutboxKey, text: &str) {
        text.clone_into(&mut self.state().outbox.get_mut(&key).unwrap().event);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn after(&self, wait: Duration) -> Timestamp {
        self.clock
            .now()
            .saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX))
            .unwrap_or(Timestamp::MAX)
    }
}

impl State {
    fn refuse_lease(&self, node: &NodeId, now: Timestamp) -> Option<Refusal> {
        match self.nodes.get(node) {
            _ if self.pause.is_some() => Some(Refusal::QueuePaused),
            Some(node) if node.expires_at > now => node.drain_by.map(|_| Refusal::NodeDraining),
            _ => Some(Refusal::NodeLeaseEnded),
        }
    }

    /// Deletes these nodes, and the turn of any of them.
    fn forget(&mut self, these: impl Fn(&NodeId) -> bool) {
        self.nodes.retain(|id, _| !these(id));
        self.turn.take_if(|(holder, _)| these(holder));
    }

    /// Keeps what happened, as the real store does in the transaction of the change.
    fn note(&mut self, now: Timestamp, by: Principal, key: Option<OutboxKey>, event: DomainEvent) -> bool {
        let wanted = key.filter(|_| is_delivered(&event));
        if let Some(key) = wanted {
            let text = serde_json::to_string(&event).unwrap();
            let waiting =
                Waiting { event: text, at: now, failures: 0, accepted_by: Vec::new(), due: now, holder: None };
            self.outbox.insert(key, waiting);
        }
        if !self.forgetful {
            self.audit.push(AuditEntry { at: now, principal: by, scan: key.map(|key| key.scan), event });
        }
        wanted.is_some()
    }

    /// Returns an entry that `holder` holds.
    fn held(&mut self, holder: &str, key: OutboxKey) -> Option<&mut Waiting> {
        self.outbox.get_mut(&key).filter(|waiting| waiting.holder.as_deref() == Some(holder))
    }

    /// Deletes the public links and the shares of a scan.
    fn forget_sharing(&mut self, scan: ScanId) {
        self.public_links.retain(|_, link| link.scan != scan);
        self.shares.retain(|_, share| share.scan != scan);
    }

    fn count(&mut self, call: &'static str) {
        *self.calls.entry(call).or_default() += 1;
    }

    fn commit(&mut self, record: ScanRecord) {
        if !self.forgetful {
            self.history.push(record.clone());
        }
        if let Some(before) = self.scans.get(&record.id) {
            match &before.state {
                ScanState::Pending { due, .. } => {
                    self.waiting.remove(&(before.request.options.priority, *due, before.id));
                }
                ScanState::Running { node, .. } => {
                    self.running.get_mut(node).map(|scans| scans.remove(&before.id));
                }
                ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } => {}
            }
        }
        match &record.state {
            ScanState::Pending { due, .. } => {
                self.waiting.insert((record.request.options.priority, *due, record.id));
            }
            ScanState::Running { node, .. } => {
                self.running.entry(node.clone()).or_default().insert(record.id);
            }
            ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } => {}
        }
        self.scans.insert(record.id, record);
    }

    fn running_on(&self, node: &NodeId) -> impl Iterator<Item = RunningScan> + '_ {
        self.running.get(node).into_iter().flatten().map(|id| {
            let record = &self.scans[id];
            let ScanState::Running { node, .. } = &record.state else { unreachable!("the index follows the rows") };
            RunningScan { id: *id, node: node.clone(), token: record.token, failures: record.failures }
        })
    }

    fn grant(&mut self, node: NodeRegistration, now: Timestamp, ttl: Duration) -> NodeLease {
        let expires_at =
            now.saturating_add(SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX);
        self.ttls.insert(node.id.clone(), ttl);
        let cancels = self
            .running_on(&node.id)
            .filter(|scan| self.scans[&scan.id].cancel_requested.is_some())
            .map(|scan| scan.id)
            .collect();
        let drain_by = self.nodes.get(&node.id).and_then(|known| known.drain_by);
        let drain = drain_by.map(|by| {
            left_to_drain(
                Duration::try_from(by.duration_since(now)).unwrap_or_default(),
                self.drains.get(&node.id).copied(),
            )
        });
        self.nodes.insert(node.id.clone(), NodeRecord { registration: node, expires_at, is_alive: true, drain_by });
        NodeLease { expires_at, cancels, drain, paused: self.pause.is_some() }
    }
}

/// Returns the scans that an order contains, in that order; those with the same sort key newest
/// first.
fn in_order(mut records: Vec<&ScanRecord>, order: ScanOrder) -> Vec<&ScanRecord> {
    records.retain(|record| cursor(record, order).is_some());
    let rank = |record: &ScanRecord| cursor(record, order).and_then(|place| place.rank.parse::<u64>().ok());
    match order {
        ScanOrder::Newest => records.reverse(),
        ScanOrder::Oldest => {}
        ScanOrder::Target => {
            records.sort_by(|one, other| (target_text(one), other.id).cmp(&(target_text(other), one.id)));
        }
        ScanOrder::Longest | ScanOrder::Findings | ScanOrder::Worst => {
            records.sort_by_key(|record| std::cmp::Reverse((rank(record), record.id)));
        }
    }
    records
}

fn past_run(record: &ScanRecord) -> Option<PastRun> {
    let ScanState::Completed { summary, .. } = &record.state else { return None };
    let took = Duration::from_millis(took_ms(record)?);
    (!summary.dry_run).then(|| PastRun {
        id: record.id,
        target: target_text(record),
        mode: record.request.options.mode,
        took,
    })
}

#[async_trait]
impl ScanRepository for MemoryStore {
    async fn submit(&self, scan: NewScan) -> Result<Submitted, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        state.count("submit");
        if let Some(id) = scan.idempotency_key.as_ref().and_then(|key| state.keys.get(key)) {
            return Ok(Submitted::Existing(state.scans[id].clone()));
        }
        state.last_id += 1;
        let id = ScanId(state.last_id);
        if let Some(key) = &scan.idempotency_key {
            state.keys.insert(key.clone(), id);
        }
        let (by, event) = (scan.submitted_by.clone(), DomainEvent::ScanSubmitted { rerun_of: scan.rerun_of });
        let record = ScanRecord::submitted(id, scan, now);
        state.note(now, by, Some(key_of(&record)), event);
        state.commit(record.clone());
        self.changed.notify_waiters();
        Ok(Submitted::Created(record))
    }

    async fn submitted(&self, key: &str) -> Result<Option<ScanRecord>, StoreError> {
        let state = self.state();
        Ok(state.keys.get(key).and_then(|id| state.scans.get(id)).cloned())
    }

    async fn get(&self, id: ScanId) -> Result<Option<ScanRecord>, StoreError> {
        Ok(self.state().scans.get(&id).cloned())
    }

    async fn apply(&self, id: ScanId, command: Command) -> Result<Applied, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        state.count(command.name());
        let Some(record) = state.scans.get(&id).cloned() else { return Ok(Applied::Missing) };
        if let Command::Lease { node } = &command
            && let Some(refusal) = state.refuse_lease(node, now)
        {
            return Ok(Applied::Refused(refusal, record));
        }
        match transition(&record, &command, now) {
            Transition::Refused(refusal) => Ok(Applied::Refused(refusal, record)),
            Transition::Changed(next) => {
                let written = event_of(&record, &next)
                    .is_some_and(|event| state.note(now, principal_of(&command), Some(key_of(&next)), event));
                if matches!(command, Command::Transfer { .. }) {
                    state.forget_sharing(id);
                }
                state.commit((*next).clone());
                if written {
                    self.writes.send_replace(());
                }
                self.changed.notify_waiters();
                Ok(Applied::Committed(*next))
            }
        }
    }

    async fn delete(&self, id: ScanId, by: &Principal) -> Result<Deleted, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        let Some(record) = state.scans.get(&id).cloned() else { return Ok(Deleted::Missing) };
        let Some(at) = record.ended_at() else { return Ok(Deleted::Refused(record)) };
        let event = DomainEvent::ScanDeleted { status: record.status(), at, project: record.project.clone() };
        state.note(now, by.clone(), Some(key_of_deletion(&record)), event);
        self.writes.send_replace(());
        state.scans.remove(&id);
        state.keys.retain(|_, scan| *scan != id);
        state.forget_sharing(id);
        state.findings.forget_notes(id);
        self.changed.notify_waiters();
        Ok(Deleted::Gone(record))
    }
}

#[async_trait]
impl ScanQueries for MemoryStore {
    async fn list(&self, query: ListQuery) -> Result<ScanPage, StoreError> {
        let state = self.state();
        let has_tag = |id: ScanId| query.tag.as_ref().is_none_or(|tag| state.findings.has_tag(id, tag));
        let passes = |record: &ScanRecord| matches(record, &query) && has_tag(record.id);
        let all: Vec<&ScanRecord> =
            in_order(state.scans.values().filter(|record| passes(record)).collect(), query.order);
        let total = query.count.then_some(all.len() as u64);
        let begins = query
            .from
            .as_ref()
            .and_then(|from| all.iter().position(|record| cursor(record, query.order).as_ref() == Some(from)));
        let within = |record: &&&ScanRecord| {
            query.before.is_none_or(|before| record.id < before) && query.after.is_none_or(|after| record.id > after)
        };
        let left: Vec<&ScanRecord> = all.iter().skip(begins.map_or(0, |at| at + 1)).filter(within).copied().collect();
        let backwards = query.from_the_end && query.order.is_by_number();
        let walked: Vec<&ScanRecord> = if backwards { left.into_iter().rev().collect() } else { left };
        let mut page: Vec<ScanRecord> =
            walked.iter().skip(query.offset).take(query.limit).map(|record| record.listed()).collect();
        let there_is_more = walked.last().zip(page.last()).is_some_and(|(last, shown)| last.id != shown.id);
        let next = page.last().filter(|_| there_is_more).and_then(|record| cursor(record, query.order));
        if backwards {
            page.reverse();
        }
        Ok(ScanPage {
            scans: page,
            order: query.order,
            total,
            total_is_floor: false,
            next,
            is_partial: false,
            unreadable: Vec::new(),
        })
    }

    async fn stats(&self, projects: &ProjectFilter) -> Result<StoreStats, StoreError> {
        let mut stats = StoreStats::default();
        for record in self.state().scans.values().filter(|record| projects.holds(&record.project)) {
            *match record.status() {
                ScanStatus::Pending => &mut stats.pending,
                ScanStatus::Running => &mut stats.running,
                ScanStatus::Completed => &mut stats.completed,
                ScanStatus::Failed => &mut stats.failed,
                ScanStatus::Cancelled => &mut stats.cancelled,
            } += 1;
        }
        Ok(stats)
    }

    async fn outcomes(&self, since: Date, projects: &ProjectFilter) -> Result<Vec<DayOutcomes>, StoreError> {
        let state = self.state();
        let days = state.days.range(since..).map(|(day, by_project)| {
            let of_projects = by_project.iter().filter(|(project, _)| projects.holds(project));
            let sums = of_projects.fold([0; 3], |sums: [i64; 3], (_, counts)| {
                std::array::from_fn(|outcome| sums[outcome] + counts[outcome])
            });
            let [completed, failed, cancelled] = sums.map(|sum| u64::try_from(sum).unwrap_or_default());
            DayOutcomes { day: *day, completed, failed, cancelled }
        });
        Ok(days.filter(|day| day.completed + day.failed + day.cancelled > 0).collect())
    }

    async fn past_runs(
        &self,
        like: Option<RunsLike>,
        projects: &ProjectFilter,
        limit: usize,
    ) -> Result<Vec<PastRun>, StoreError> {
        let state = self.state();
        let runs = state.scans.values().rev().filter(|record| projects.holds(&record.project)).filter_map(past_run);
        let wanted =
            |run: &PastRun| like.as_ref().is_none_or(|like| like.target == run.target && like.mode == run.mode);
        Ok(runs.filter(wanted).take(limit).collect())
    }
}

#[async_trait]
impl DispatchStore for MemoryStore {
    async fn due(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError> {
        let (now, until) = (self.clock.now(), self.after(within));
        let mut state = self.state();
        state.count("due");
        let state = &*state;
        let left = |id: &ScanId| state.scans[id].left_to_wait(now);
        let of = |wanted: Priority| {
            state
                .waiting
                .iter()
                .filter(move |(priority, due, id)| *priority == wanted && (*due <= until || left(id).is_zero()))
                .take(limit)
        };
        let due = Priority::ALL.iter().flat_map(|priority| of(*priority));
        Ok(due
            .map(|(priority, due, id)| DueScan {
                id: *id,
                priority: *priority,
                due: *due,
                wait: left(id),
                trace: state.scans[id].trace,
            })
            .collect())
    }

    async fn running_on(&self, node: &NodeId) -> Result<Vec<RunningScan>, StoreError> {
        let mut state = self.state();
        state.count("running_on");
        Ok(state.running_on(node).collect())
    }

    async fn orphans(&self) -> Result<Vec<RunningScan>, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        state.count("orphans");
        let last = state.leases_seen.replace(now);
        let State { nodes, ttls, .. } = &mut *state;
        nodes.retain(|id, node| match fate(now, last, node.expires_at, ttls.get(id).copied()) {
            Fate::Good => true,
            Fate::Until(until) => {
                node.expires_at = until;
                true
            }
            Fate::Over => false,
        });
        let lost = state.running.keys().filter(|node| !state.nodes.contains_key(*node));
        let mut orphans: Vec<RunningScan> = lost.flat_map(|node| state.running_on(node)).collect();
        orphans.sort_by_key(|scan| scan.id);
        Ok(orphans)
    }
}

#[async_trait]
impl NodeRegistry for MemoryStore {
    async fn register(&self, node: NodeRegistration, ttl: Duration) -> Result<NodeLease, StoreError> {
        Ok(self.state().grant(node, self.clock.now(), ttl))
    }

    async fn renew(
        &self,
        node: NodeRegistration,
        ttl: Duration,
    ) -> Result<Result<NodeLease, NodeLeaseRefused>, StoreError> {
        let mut state = self.state();
        state.count("renew_node");
        if !state.nodes.contains_key(&node.id) {
            return Ok(Err(NodeLeaseRefused));
        }
        Ok(Ok(state.grant(node, self.clock.now(), ttl)))
    }

    async fn remove(&self, node: &NodeId) -> Result<(), StoreError> {
        self.state().forget(|id| id == node);
        Ok(())
    }

    async fn end_others(&self, keep: &NodeId) -> Result<(), StoreError> {
        self.state().forget(|id| id != keep);
        Ok(())
    }

    async fn all(&self) -> Result<Vec<NodeRecord>, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        state.count("nodes");
        Ok(state.nodes.values().map(|node| NodeRecord { is_alive: node.expires_at > now, ..node.clone() }).collect())
    }

    async fn order_drain(
        &self,
        node: &NodeId,
        within: Option<Duration>,
        principal: &Principal,
    ) -> Result<bool, StoreError> {
        let by = within.map(|within| self.after(within));
        let mut state = self.state();
        if !state.nodes.contains_key(node) {
            return Ok(false);
        }
        let was_ordered = state.nodes[node].drain_by.is_some();
        if within.is_some() || was_ordered {
            state.note(self.clock.now(), principal.clone(), None, drain_event(node, within));
        }
        if let Some(within) = within {
            state.drains.insert(node.clone(), within);
        }
        Ok(state.nodes.get_mut(node).map(|node| node.drain_by = by).is_some())
    }

    async fn keep_drain(&self, node: &NodeId, left: Duration) -> Result<(), StoreError> {
        let by = self.after(left);
        let mut state = self.state();
        if let Some(known) = state.nodes.get_mut(node).filter(|known| known.drain_by.is_none()) {
            known.drain_by = Some(by);
            state.drains.insert(node.clone(), left);
        }
        Ok(())
    }
}

#[async_trait]
impl QueueControl for MemoryStore {
    async fn pause(&self, reason: Option<String>, by: &Principal) -> Result<QueuePause, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.pause.as_ref().is_none_or(|pause| pause.reason != reason) {
            state.note(now, by.clone(), None, DomainEvent::QueuePaused { reason: reason.clone() });
        }
        let since = state.pause.as_ref().map_or(now, |pause| pause.since);
        Ok(state.pause.insert(QueuePause { since, reason }).clone())
    }

    async fn resume(&self, by: &Principal) -> Result<bool, StoreError> {
        let mut state = self.state();
        let was_paused = state.pause.take().is_some();
        if was_paused {
            state.note(self.clock.now(), by.clone(), None, DomainEvent::QueueResumed);
        }
        Ok(was_paused)
    }

    async fn paused(&self) -> Result<Option<QueuePause>, StoreError> {
        Ok(self.state().pause.clone())
    }
}

#[async_trait]
impl Coordination for MemoryStore {
    async fn claim_turn(&self, node: &NodeId, every: Duration) -> Result<bool, StoreError> {
        let (now, next) = (self.clock.now(), self.after(every));
        let mut state = self.state();
        state.count("claim_turn");
        let is_free = state.turn.as_ref().is_none_or(|(_, until)| is_over(now, *until, every));
        if is_free {
            state.turn = Some((node.clone(), next));
        }
        Ok(is_free)
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn lease_entries(&self, holder: &str, limit: usize, lease: Duration) -> Result<LeasedEntries, StoreError> {
        let (now, until) = (self.clock.now(), self.after(lease));
        let (mut state, mut leased) = (self.state(), LeasedEntries::default());
        for (key, waiting) in state.outbox.iter_mut().filter(|(_, waiting)| waiting.due <= now).take(limit) {
            waiting.due = until;
            waiting.holder = Some(holder.to_owned());
            leased.add(*key, &waiting.event, waiting.failures, waiting.accepted_by.clone());
        }
        Ok(leased)
    }

    async fn settle(&self, holder: &str, keys: &[OutboxKey]) -> Result<(), StoreError> {
        let mut state = self.state();
        for key in keys {
            if state.held(holder, *key).is_some() {
                state.outbox.remove(key);
            }
        }
        Ok(())
    }

    async fn defer(
        &self,
        holder: &str,
        key: OutboxKey,
        wait: Duration,
        accepted_by: &[String],
    ) -> Result<(), StoreError> {
        let due = self.after(wait);
        if let Some(waiting) = self.state().held(holder, key) {
            (waiting.due, waiting.holder) = (due, None);
            waiting.failures += 1;
            waiting.accepted_by = accepted_by.to_vec();
        }
        Ok(())
    }

    async fn bury(&self, holder: &str, key: OutboxKey, accepted_by: &[String], reason: &str) -> Result<(), StoreError> {
        let at = self.clock.now();
        let mut state = self.state();
        if let Some(Waiting { event, failures, .. }) = state.held(holder, key) {
            let letter = DeadLetter {
                key,
                event: DomainEvent::read(event).ok(),
                text: event.clone(),
                at,
                tries: *failures + 1,
                reason: reason.to_owned(),
            };
            state.outbox.remove(&key);
            state.dead.insert(key, (letter, accepted_by.to_vec()));
        }
        Ok(())
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let mut letters: Vec<DeadLetter> = self.state().dead.values().map(|(letter, _)| letter.clone()).collect();
        letters.sort_by_key(|letter| std::cmp::Reverse(letter.at));
        letters.truncate(limit);
        Ok(letters)
    }

    async fn resend(&self, key: OutboxKey, by: &Principal) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        let Some((letter, accepted_by)) = state.dead.remove(&key) else { return Ok(false) };
        let waiting = Waiting { event: letter.text, at: now, failures: 0, accepted_by, due: now, holder: None };
        state.outbox.insert(key, waiting);
        state.note(now, by.clone(), Some(key), DomainEvent::DeadLetterResent { version: key.version });
        self.writes.send_replace(());
        Ok(true)
    }

    async fn backlog(&self) -> Result<DeliveryBacklog, StoreError> {
        let now = self.clock.now();
        let state = self.state();
        let oldest = state.outbox.values().map(|waiting| waiting.at).min();
        Ok(DeliveryBacklog {
            waiting: state.outbox.len() as u64,
            oldest: oldest.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default()),
            dead_letters: state.dead.len() as u64,
        })
    }

    fn writes(&self) -> watch::Receiver<()> {
        self.writes.subscribe()
    }

    async fn count_outcomes(&self, entries: &[OutboxEntry]) -> Result<(), StoreError> {
        let mut state = self.state();
        for entry in entries {
            let Some(waiting) = state.outbox.get_mut(&entry.key) else { continue };
            if waiting.accepted_by.iter().any(|name| name == OUTCOMES) {
                continue;
            }
            waiting.accepted_by.push(OUTCOMES.to_owned());
            for OutcomeChange { project, status, at, more } in counted(&entry.event) {
                let day = state.days.entry(at.to_zoned_datetime(TimeZone::UTC).date()).or_default();
                let counts = day.entry(project.clone()).or_default();
                match status {
                    ScanStatus::Completed => counts[0] += more,
                    ScanStatus::Failed => counts[1] += more,
                    ScanStatus::Cancelled => counts[2] += more,
                    ScanStatus::Pending | ScanStatus::Running => {}
                }
            }
        }
        Ok(())
    }
}

/// The place of an entry. The later one of a moment comes first.
fn place_of(number: usize, entry: &AuditEntry) -> AuditCursor {
    AuditCursor { at: entry.at, nonce: format!("{:020}", usize::MAX - number) }
}

#[async_trait]
impl AuditLog for MemoryStore {
    async fn audit(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let state = self.state();
        // As in the real store, a search walks over the entries of the scan and of the time range.
        let walked = AuditQuery { principal: None, action: None, ..query.clone() };
        let placed = state.audit.iter().enumerate().filter(|(_, entry)| walked.matches(entry));
        let mut log: Vec<_> = placed.map(|(number, entry)| (place_of(number, entry), entry)).collect();
        log.sort_by(|(one, _), (other, _)| other.at.cmp(&one.at).then_with(|| one.nonce.cmp(&other.nonce)));
        let mut walk = AuditWalk::new(query);
        loop {
            let follows = |place: &AuditCursor| walk.place().is_none_or(|last| last.is_before(place.at, &place.nonce));
            let step = log.iter().filter(|(place, _)| follows(place)).take(walk.want());
            let step: Vec<_> = step.map(|(place, entry)| (place.clone(), Some((*entry).clone()))).collect();
            if let AuditStep::Done(page) = walk.take(step) {
                return Ok(page);
            }
        }
    }
}

#[async_trait]
impl StoreHealth for MemoryStore {
    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
