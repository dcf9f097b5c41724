//! The cache of identities: what the store has for a credential, for at most 500 ms. So a page with
//! many requests costs one read, and a change in another process takes effect within that time.
//!
//! Concurrent requests with one credential share one read. A change of this process empties the
//! cache at once, and a read that began before it is neither kept nor joined. What does not exist
//! is not kept: a new session works at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use jiff::{SignedDuration, Timestamp};
use kastrel_actors::model::{Network, SecretDigest};
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::SignedIn;

/// How old an identity may be.
const MAX_AGE: Duration = Duration::from_millis(500);
/// The most credentials that are kept.
const MOST_ENTRIES: usize = 10_000;
/// The time between two notes of the use of one credential.
const NOTE_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// An identity and the time at which its credential ends if nobody uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) signed_in: SignedIn,
    /// The networks from which the credential is accepted; none means from everywhere.
    pub(super) networks: Vec<Network>,
    pub(super) valid_until: Timestamp,
}

impl Known {
    /// Returns true if the credential is accepted from this address of a client.
    pub(super) fn is_accepted_from(&self, address: Option<IpAddr>) -> bool {
        let covers = |address: IpAddr| self.networks.iter().any(|network| network.covers(address));
        self.networks.is_empty() || address.is_some_and(covers)
    }
}

type Read = BoxFuture<'static, Result<Option<Known>, Arc<StoreError>>>;

/// The cache of a process.
#[derive(Default)]
pub(super) struct IdentityCache(Mutex<State>);

#[derive(Default)]
struct State {
    /// The identities, with the starts of their reads.
    known: HashMap<SecretDigest, (Instant, Known)>,
    /// The reads in progress, with their starts.
    reads: HashMap<SecretDigest, (Instant, WeakShared<Read>)>,
    /// How often the cache was emptied.
    changes: u64,
    /// When the use of a credential was last noted.
    noted: HashMap<SecretDigest, Timestamp>,
}

impl IdentityCache {
    /// Returns the identity of a credential: the one in the cache, or that of a `read` of the
    /// store.
    pub(super) async fn get<F>(
        self: &Arc<Self>,
        key: SecretDigest,
        read: impl FnOnce() -> F,
    ) -> Result<Option<Known>, StoreError>
    where
        F: Future<Output = Result<Option<Known>, StoreError>> + Send + 'static,
    {
        let read = match self.find(key, read) {
            Ok(known) => return Ok(Some(known)),
            Err(read) => read,
        };
        read.await.map_err(StoreError::shared)
    }

    /// Returns the identity in the cache, or else the read in progress or a new one.
    fn find<F>(self: &Arc<Self>, key: SecretDigest, read: impl FnOnce() -> F) -> Result<Known, Shared<Read>>
    where
        F: Future<Output = Result<Option<Known>, StoreError>> + Send + 'static,
    {
        let now = Instant::now();
        let is_fresh = |start: Instant| now.duration_since(start) < MAX_AGE;
        let mut state = self.state();
        if let Some((_, known)) = state.known.get(&key).filter(|(start, _)| is_fresh(*start)) {
            return Ok(known.clone());
        }
        let running = state.reads.get(&key).filter(|(start, _)| is_fresh(*start));
        if let Some(read) = running.and_then(|(_, read)| read.upgrade()).filter(|read| read.peek().is_none()) {
            return Err(read);
        }
        let (cache, changes, read) = (Arc::clone(self), state.changes, read());
        let read: Read = async move {
            let known = read.await.map_err(Arc::new)?;
            cache.keep(key, known.as_ref(), now, changes);
            Ok(known)
        }
        .boxed();
        let read = read.shared();
        state.reads.retain(|_, (_, read)| read.upgrade().is_some());
        state.reads.extend(read.downgrade().map(|read| (key, (now, read))));
        drop(state);
        Err(read)
    }

    /// Keeps the result of a read that started at `start`, when the cache had been emptied
    /// `changes` times.
    fn keep(&self, key: SecretDigest, known: Option<&Known>, start: Instant, changes: u64) {
        let mut state = self.state();
        let Some(known) = known.filter(|_| state.changes == changes) else { return };
        if state.known.len() >= MOST_ENTRIES {
            state.known.retain(|_, (start, _)| start.elapsed() < MAX_AGE);
        }
        if state.known.len() < MOST_ENTRIES {
            state.known.insert(key, (start, known.clone()));
        }
    }

    /// Returns a guard around a change of the store: the cache is emptied when it is dropped, also
    /// if the caller stops waiting for the change.
    pub(super) fn change(self: &Arc<Self>) -> Change {
        Change(Arc::clone(self))
    }

    /// Returns true if the use of a credential is to be noted now: at most once a minute.
    /// `used_at` is the last use that the store knows.
    pub(super) fn is_note_due(&self, key: SecretDigest, used_at: Option<Timestamp>, now: Timestamp) -> bool {
        let is_due = |noted: Option<Timestamp>| noted.is_none_or(|noted| now.duration_since(noted) >= NOTE_INTERVAL);
        let mut state = self.state();
        if !is_due(used_at) || !is_due(state.noted.get(&key).copied()) {
            return false;
        }
        if state.noted.len() >= MOST_ENTRIES {
            state.noted.retain(|_, noted| !is_due(Some(*noted)));
        }
        // With more credentials than that in a minute, the store's own time has to do.
        if state.noted.len() < MOST_ENTRIES {
            state.noted.insert(key, now);
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change of the store that is being made.
#[must_use]
pub(super) struct Change(Arc<IdentityCache>);

impl Drop for Change {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.known.clear();
        state.reads.clear();
        state.changes += 1;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join_all, ready};
    use kastrel_actors::model::{Grants, Principal};
    use tokio::sync::oneshot;

    use super::*;

    fn key(number: usize) -> SecretDigest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        SecretDigest::new(bytes)
    }

    fn known(name: &str) -> Known {
        let signed_in = SignedIn {
            account: name.parse().unwrap(),
            principal: Principal::Anonymous,
            grants: Arc::new(Grants::none()),
            session: None,
            token: None,
        };
        Known { signed_in, networks: Vec::new(), valid_until: Timestamp::MAX }
    }

    async fn get(cache: &Arc<IdentityCache>, number: usize, found: Option<Known>) -> Option<Known> {
        cache.get(key(number), || ready(Ok(found))).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn identity_is_kept_for_500_ms_from_the_start_of_its_read() {
        let cache = Arc::new(IdentityCache::default());
        let slow = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(Some(known("ana")))
        };
        assert_eq!(cache.get(key(1), || slow).await.unwrap(), Some(known("ana")));
        tokio::time::advance(Duration::from_millis(299)).await;
        assert_eq!(get(&cache, 1, Some(known("bo"))).await, Some(known("ana")));
        assert_eq!(get(&cache, 2, Some(known("bo"))).await, Some(known("bo")), "another credential");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(get(&cache, 1, Some(known("bo"))).await, Some(known("bo")));
    }

    #[tokio::test(start_paused = true)]
    async fn missing_credential_is_not_kept() {
        let cache = Arc::new(IdentityCache::default());
        assert_eq!(get(&cache, 1, None).await, None);
        assert_eq!(get(&cache, 1, Some(known("ana"))).await, Some(known("ana")));
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_requests_share_one_read_and_its_failure() {
        let cache = Arc::new(IdentityCache::default());
        let reads = Mutex::new(0);
        let failing = || {
            *reads.lock().unwrap() += 1;
            async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Err(StoreError::Unavailable("no connection".into()))
            }
        };
        for answer in join_all((0..100).map(|_| cache.get(key(1), failing))).await {
            assert_eq!(std::error::Error::source(&answer.unwrap_err()).unwrap().to_string(), "no connection");
        }
        assert_eq!(*reads.lock().unwrap(), 1);
        assert_eq!(get(&cache, 1, Some(known("ana"))).await, Some(known("ana")), "a failure is not kept");
    }

    #[tokio::test(start_paused = true)]
    async fn read_that_began_500_ms_ago_is_not_joined() {
        let cache = Arc::new(IdentityCache::default());
        let (_never, answer) = oneshot::channel::<()>();
        let stuck = async {
            let _closed = answer.await;
            Ok(Some(known("ana")))
        };
        let mut first = Box::pin(cache.get(key(1), || stuck));
        assert!(first.as_mut().now_or_never().is_none());
        tokio::time::advance(MAX_AGE).await;
        assert_eq!(get(&cache, 1, Some(known("bo"))).await, Some(known("bo")));
    }

    #[tokio::test(start_paused = true)]
    async fn read_that_began_before_a_change_is_neither_joined_nor_kept() {
        let cache = Arc::new(IdentityCache::default());
        let (answer, answered) = oneshot::channel();
        let slow = async { Ok(answered.await.unwrap()) };
        let mut before = Box::pin(cache.get(key(1), || slow));
        assert!(before.as_mut().now_or_never().is_none());
        drop(cache.change());
        assert_eq!(get(&cache, 1, None).await, None, "not joined");
        answer.send(Some(known("ana"))).unwrap();
        assert_eq!(before.await.unwrap(), Some(known("ana")));
        assert_eq!(get(&cache, 1, None).await, None, "not kept");
    }

    #[tokio::test(start_paused = true)]
    async fn change_forgets_what_is_kept() {
        let cache = Arc::new(IdentityCache::default());
        get(&cache, 1, Some(known("ana"))).await;
        let change = cache.change();
        assert_eq!(get(&cache, 1, None).await, Some(known("ana")), "the change is not made yet");
        drop(change);
        assert_eq!(get(&cache, 1, None).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn identities_are_bounded_and_old_ones_make_room() {
        let cache = Arc::new(IdentityCache::default());
        for number in 0..=MOST_ENTRIES {
            get(&cache, number, Some(known("ana"))).await;
        }
        assert_eq!(cache.state().known.len(), MOST_ENTRIES);
        assert_eq!(get(&cache, MOST_ENTRIES, Some(known("bo"))).await, Some(known("bo")), "not kept");
        tokio::time::advance(MAX_AGE).await;
        get(&cache, MOST_ENTRIES, Some(known("bo"))).await;
        assert_eq!(get(&cache, MOST_ENTRIES, None).await, Some(known("bo")));
        assert_eq!(cache.state().known.len(), 1);
    }

    #[test]
    fn use_is_noted_once_a_minute_and_its_times_are_bounded() {
        let cache = IdentityCache::default();
        let at = |seconds: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        assert!(!cache.is_note_due(key(0), Some(at(0)), at(59)), "the store knows a recent use");
        assert!(cache.is_note_due(key(0), Some(at(0)), at(60)));
        assert!(!cache.is_note_due(key(0), Some(at(0)), at(119)), "the note is on its way");
        assert!(cache.is_note_due(key(0), Some(at(0)), at(120)));
        assert!(cache.is_note_due(key(1), None, at(120)), "a token that was never used");
        for number in 0..=MOST_ENTRIES {
            cache.is_note_due(key(number), None, at(150));
        }
        assert_eq!(cache.state().noted.len(), MOST_ENTRIES);
        assert!(cache.is_note_due(key(MOST_ENTRIES), None, at(151)), "the store's time counts");
        assert!(cache.is_note_due(key(MOST_ENTRIES), None, at(210)));
        assert_eq!(cache.state().noted.len(), 1);
    }
}
