//! A live feed between processes that all run in one test.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::model::ScanSnapshot;
use crate::ports::LiveFeed;

/// Connects its members: a snapshot of one member is delivered to all others. Messages can be
/// dropped on purpose.
#[derive(Debug, Clone, Default)]
pub struct FeedHub(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    members: Vec<broadcast::Sender<ScanSnapshot>>,
    loses: bool,
}

impl FeedHub {
    /// Adds a process and returns its feed.
    #[must_use]
    pub fn member(&self) -> Arc<dyn LiveFeed> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.members.push(broadcast::Sender::new(256));
        Arc::new(Member { hub: self.clone(), place: inner.members.len() - 1 })
    }

    /// Sets whether messages are dropped from now on.
    pub fn lose(&self, loses: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).loses = loses;
    }
}

struct Member {
    hub: FeedHub,
    place: usize,
}

impl LiveFeed for Member {
    fn publish(&self, snapshot: ScanSnapshot) {
        let inner = self.hub.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, member) in inner.members.iter().enumerate() {
            if place != self.place && !inner.loses {
                // `send` fails if the member has no subscriber.
                let _ = member.send(snapshot.clone());
            }
        }
    }

    fn subscribe(&self) -> broadcast::Receiver<ScanSnapshot> {
        self.hub.0.lock().unwrap_or_else(PoisonError::into_inner).members[self.place].subscribe()
    }
}
