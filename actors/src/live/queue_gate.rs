//! The admission gate of the queue. It counts the waiting scans, so that a submission beyond a
//! limit is refused before it is stored.
//!
//! - **All waiting scans** are the store's last count plus the scans accepted here since then.
//!   Scans that have left the queue in the meantime still count, so the sum is never too small.
//!   When the sum reaches the limit, and at least every [`COUNT_EVERY`], the store counts again.
//!   Only submissions to other servers are missing from the sum, for at most that long.
//! - **A client's waiting scans** are those that this process accepted from it and has not seen
//!   leave the queue for the first time. A restart begins at zero.
//! - **A submission reserves its place** in the queue from the decision until its scan is stored or
//!   refused, so that parallel submissions cannot exceed the limit together.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::ScanId;
use crate::policy::admission::{Admission, QueueLimits, QueueRefusal, admit};
use crate::ports::StoreError;

/// How long a count of the store remains valid.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// The time span, and below it the number of scans, over which the interval between scans that
/// leave the queue is averaged.
const RECENT: Duration = Duration::from_secs(300);
const MOST_RECENT: usize = 1_000;
/// The minimum time between two lookups of a client's oldest waiting scans.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The number of scans in one lookup.
const LOOKED_UP: usize = 32;

/// The client that submits, by its network address: several people may share one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Client {
    /// This process: the command line on its own data folder.
    #[default]
    Local,
    /// A client at this address.
    Address(IpAddr),
}

/// The state of the gate.
#[derive(Debug, Default)]
pub(crate) struct QueueGate {
    state: Mutex<State>,
    /// Held while the store counts: one count serves all callers that wait for one.
    counting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    counted: Option<Count>,
    /// The number of scans accepted here since the start.
    accepted: u64,
    /// The number of submissions between decision and end.
    under_way: u64,
    /// For each client the number of submissions in progress and of scans in `waiting`.
    of_client: HashMap<Client, u64>,
    waiting: BTreeMap<ScanId, Client>,
    /// The times when scans left the queue.
    left: VecDeque<Instant>,
    looked_at: Option<Instant>,
}

/// A count of the store.
#[derive(Debug, Clone, Copy)]
struct Count {
    /// The time of the request.
    at: Instant,
    waiting: u64,
    /// The value of `accepted` at that time. A scan that was stored during the count is in both
    /// numbers; the next count corrects that.
    accepted: u64,
}

/// The result of an attempt to enter.
enum Entry {
    Enter,
    Refuse(QueueRefusal),
    /// The store must count first.
    Count,
}

/// A reserved place in the queue for one scan, released on drop.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    gate: &'a QueueGate,
    client: Client,
    accepted: Option<ScanId>,
}

impl QueueGate {
    /// Reserves a place for a scan of `client`. `count` reads the number of waiting scans from the
    /// store.
    ///
    /// # Errors
    /// The store does not respond.
    pub(crate) async fn enter(
        &self,
        client: Client,
        limits: QueueLimits,
        count: impl Future<Output = Result<u64, StoreError>>,
    ) -> Result<Result<Place<'_>, QueueRefusal>, StoreError> {
        let place = || Place { gate: self, client, accepted: None };
        let asked = Instant::now();
        match self.state().enter(client, limits, asked.checked_sub(COUNT_EVERY)) {
            Entry::Enter => return Ok(Ok(place())),
            Entry::Refuse(_) | Entry::Count => {}
        }
        // A recount ensures that scans which have left the queue cause no refusal.
        let _turn = self.counting.lock().await;
        if self.state().counted.is_none_or(|count| count.at < asked) {
            let (at, accepted) = (Instant::now(), self.state().accepted);
            let waiting = count.await?;
            self.state().set(Count { at, waiting, accepted });
        }
        match self.state().enter(client, limits, None) {
            Entry::Refuse(refusal) => Ok(Err(refusal)),
            Entry::Enter | Entry::Count => Ok(Ok(place())),
        }
    }

    /// Records that a scan no longer waits: it started, was cancelled or was deleted.
    pub(crate) fn left(&self, id: ScanId) {
        self.state().leave(id, Instant::now());
    }

    /// Returns scans of a client to look up, because they may have left the queue without this
    /// process seeing it. Empty if a lookup was made just before.
    pub(crate) fn doubtful(&self, client: Client) -> Vec<ScanId> {
        let mut state = self.state();
        let now = Instant::now();
        if state.looked_at.is_some_and(|at| now.duration_since(at) < LOOK_EVERY) {
            return Vec::new();
        }
        state.looked_at = Some(now);
        state.waiting.iter().filter(|(_, of)| **of == client).map(|(id, _)| *id).take(LOOKED_UP).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Records that the scan is stored and waits.
    pub(crate) fn accepted(mut self, id: ScanId) {
        self.accepted = Some(id);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.under_way = state.under_way.saturating_sub(1);
        match self.accepted {
            Some(id) => {
                state.accepted += 1;
                state.waiting.insert(id, self.client);
            }
            None => state.release(self.client),
        }
    }
}

impl State {
    /// Reserves a place if there is one. A count from before `oldest` is not valid any more.
    fn enter(&mut self, client: Client, limits: QueueLimits, oldest: Option<Instant>) -> Entry {
        let now = Instant::now();
        self.began.get_or_insert(now);
        let counted = self.counted.filter(|count| oldest.is_none_or(|oldest| count.at >= oldest));
        // Without a limit no count is needed.
        let counted = if limits.max_waiting == 0 { Some(Count { at: now, waiting: 0, accepted: 0 }) } else { counted };
        let Some(counted) = counted else { return Entry::Count };
        let waiting = counted.waiting + (self.accepted - counted.accepted) + self.under_way;
        match admit(waiting, self.of_client.get(&client).copied().unwrap_or_default(), limits, self.interval(now)) {
            Admission::Refuse(refusal) => Entry::Refuse(refusal),
            Admission::Accept => {
                self.under_way += 1;
                *self.of_client.entry(client).or_default() += 1;
                Entry::Enter
            }
        }
    }

    fn set(&mut self, count: Count) {
        self.counted = Some(count);
        if count.waiting == 0 && self.under_way == 0 && count.accepted == self.accepted {
            // All scans that seemed to wait have left without this process seeing it.
            self.waiting.clear();
            self.of_client.clear();
        }
    }

    fn leave(&mut self, id: ScanId, now: Instant) {
        if let Some(client) = self.waiting.remove(&id) {
            self.release(client);
            self.left.push_back(now);
            if self.left.len() > MOST_RECENT {
                self.left.pop_front();
            }
        }
    }

    fn release(&mut self, client: Client) {
        if let Some(count) = self.of_client.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_client.remove(&client);
            }
        }
    }

    /// Returns the mean time between scans that recently left the queue.
    fn interval(&mut self, now: Instant) -> Option<Duration> {
        while self.left.front().is_some_and(|at| now.duration_since(*at) > RECENT) {
            self.left.pop_front();
        }
        let since = if self.left.len() >= MOST_RECENT { self.left.front().copied() } else { self.began };
        let window = now.duration_since(since?).min(RECENT);
        let scans = u32::try_from(self.left.len()).unwrap_or(u32::MAX);
        window.checked_div(scans)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::policy::admission::QueueLimit;

    const FULL: QueueLimits = QueueLimits { max_waiting: 3, client_percent: 100 };
    const SHARED: QueueLimits = QueueLimits { max_waiting: 4, client_percent: 50 };

    fn client(last: u8) -> Client {
        Client::Address([10, 0, 0, last].into())
    }

    /// A store with this many waiting scans, and the number of counts.
    #[derive(Default)]
    struct Store {
        waiting: Cell<u64>,
        asked: Cell<u64>,
    }

    impl Store {
        async fn enter<'a>(
            &self,
            gate: &'a QueueGate,
            client: Client,
            limits: QueueLimits,
        ) -> Result<Place<'a>, QueueRefusal> {
            let count = async {
                self.asked.set(self.asked.get() + 1);
                Ok(self.waiting.get())
            };
            gate.enter(client, limits, count).await.unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn submission_in_progress_counts_against_the_limit() {
        let (gate, store) = (QueueGate::default(), Store::default());
        let places = [
            store.enter(&gate, client(1), FULL).await.unwrap(),
            store.enter(&gate, client(2), FULL).await.unwrap(),
            store.enter(&gate, client(3), FULL).await.unwrap(),
        ];
        let refusal = store.enter(&gate, client(4), FULL).await.unwrap_err();
        assert_eq!((refusal.limit, refusal.retry_after.as_secs()), (QueueLimit::Full { most: 3 }, 300));
        drop(places);
        store.enter(&gate, client(4), FULL).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn store_counts_at_the_limit_and_every_few_seconds() {
        let (gate, store) = (QueueGate::default(), Store::default());
        for id in 1..=3 {
            store.enter(&gate, Client::Local, FULL).await.unwrap().accepted(ScanId(id));
        }
        assert_eq!(store.asked.get(), 1);
        let later = Duration::from_millis(1);
        store.waiting.set(3);
        tokio::time::advance(later).await;
        store.enter(&gate, Client::Local, FULL).await.unwrap_err();
        store.waiting.set(2);
        tokio::time::advance(later).await;
        store.enter(&gate, Client::Local, FULL).await.unwrap().accepted(ScanId(4));
        assert_eq!(store.asked.get(), 3);
        // Submissions to another server fill the queue.
        store.waiting.set(3);
        tokio::time::advance(COUNT_EVERY + Duration::from_millis(1)).await;
        store.enter(&gate, Client::Local, FULL).await.unwrap_err();
        assert_eq!(store.asked.get(), 4);
        store.enter(&gate, Client::Local, QueueLimits::NONE).await.unwrap();
        assert_eq!(store.asked.get(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_its_share_until_its_scans_start() {
        let (gate, store) = (QueueGate::default(), Store::default());
        for id in 1..=2 {
            store.enter(&gate, client(1), SHARED).await.unwrap().accepted(ScanId(id));
        }
        store.waiting.set(2);
        let refusal = store.enter(&gate, client(1), SHARED).await.unwrap_err();
        assert_eq!(refusal.limit, QueueLimit::ClientShare { most: 2 });
        store.enter(&gate, client(2), SHARED).await.unwrap().accepted(ScanId(3));
        tokio::time::advance(Duration::from_secs(20)).await;
        gate.left(ScanId(1));
        gate.left(ScanId(1));
        store.enter(&gate, client(1), SHARED).await.unwrap().accepted(ScanId(4));
        let refusal = store.enter(&gate, client(1), SHARED).await.unwrap_err();
        assert_eq!(refusal.retry_after.as_secs(), 20, "one scan left in 20 s");
        assert_eq!(gate.doubtful(client(1)), [ScanId(2), ScanId(4)]);
        assert_eq!(gate.doubtful(client(1)), [], "not twice at once");
        // The store reports that no scan waits.
        store.waiting.set(0);
        tokio::time::advance(COUNT_EVERY * 2).await;
        store.enter(&gate, client(1), SHARED).await.unwrap().accepted(ScanId(5));
        store.enter(&gate, client(1), SHARED).await.unwrap();
    }
}
