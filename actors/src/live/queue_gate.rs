//! The gate of the queue: counts what waits, so that a submission that finds no room is refused
//! before it is stored.
//!
//! - **All that waits** is what the store counted last, and what was accepted here since. Scans
//!   that left the queue meanwhile still count, so the sum is never too small; where it reaches the
//!   limit, and at least every [`COUNT_EVERY`], the store counts anew. Only other servers'
//!   submissions are missing from it, for at most that long.
//! - **What waits of a client** is what this process accepted from it and has not seen leave the
//!   queue for the first time. A restart begins at zero.
//! - **A submission holds its place** from the decision until its scan is stored or refused, so
//!   that parallel ones cannot pass the limit together.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::ScanId;
use crate::policy::admission::{Admission, QueueLimits, QueueRefusal, admit};
use crate::ports::StoreError;

/// For how long a count of the store is good.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// Over how long, and over how many scans, the time between scans that leave the queue is taken.
const RECENT: Duration = Duration::from_secs(300);
const MOST_RECENT: usize = 1_000;
/// How often the oldest scans of a client are looked up that seem to wait.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many of them.
const LOOKED_UP: usize = 32;

/// Who submits. There are no accounts yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Client {
    /// This process: the command line on its own data folder.
    #[default]
    Local,
    /// A client at this address.
    Address(IpAddr),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct QueueGate {
    state: Mutex<State>,
    /// Held while the store counts: one count answers all that wait for one.
    counting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    counted: Option<Count>,
    /// How many scans were accepted here, ever.
    accepted: u64,
    /// Submissions between decision and end.
    under_way: u64,
    /// Those of each client, and its scans in `waiting`.
    of_client: HashMap<Client, u64>,
    waiting: BTreeMap<ScanId, Client>,
    /// When scans left the queue.
    left: VecDeque<Instant>,
    looked_at: Option<Instant>,
}

/// What the store said.
#[derive(Debug, Clone, Copy)]
struct Count {
    /// When it was asked.
    at: Instant,
    waiting: u64,
    /// What `accepted` was then. Scans that were stored while it counted are in both; the next
    /// count mends that.
    accepted: u64,
}

/// A try to enter.
enum Entry {
    Enter,
    Refuse(QueueRefusal),
    /// The store must count first.
    Count,
}

/// Room for one scan, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    gate: &'a QueueGate,
    client: Client,
    accepted: Option<ScanId>,
}

impl QueueGate {
    /// Finds room for a scan of `client`. `count` asks the store how many scans wait.
    ///
    /// # Errors
    /// The store does not answer.
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
        // Nobody is refused because of scans that have left the queue meanwhile.
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

    /// A scan no longer waits: it started, was cancelled or is gone.
    pub(crate) fn left(&self, id: ScanId) {
        self.state().leave(id, Instant::now());
    }

    /// Scans of a client to look up that may have left the queue without this process seeing it;
    /// none where some were looked up just now.
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
    /// The scan is stored and waits.
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
    /// Takes a place if there is one. A count from before `oldest` is not good any more.
    fn enter(&mut self, client: Client, limits: QueueLimits, oldest: Option<Instant>) -> Entry {
        let now = Instant::now();
        self.began.get_or_insert(now);
        let counted = self.counted.filter(|count| oldest.is_none_or(|oldest| count.at >= oldest));
        // Without a limit nothing needs to be counted.
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
            // Whatever seems to wait has left without this process seeing it.
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

    /// The mean time between scans that left the queue recently.
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

    /// A store in which so many scans wait, and how often it was asked.
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
    async fn what_is_under_way_holds_its_place() {
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
    async fn the_store_is_asked_at_the_limit_and_every_few_seconds() {
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
        // Another server fills the queue.
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
        // The store says that nothing waits.
        store.waiting.set(0);
        tokio::time::advance(COUNT_EVERY * 2).await;
        store.enter(&gate, client(1), SHARED).await.unwrap().accepted(ScanId(5));
        store.enter(&gate, client(1), SHARED).await.unwrap();
    }
}
