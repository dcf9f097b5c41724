use std::time::Duration;

use ractor::RpcReplyPort;
use tokio::time::Instant;

use crate::model::{NodeLease, NodeLeaseRefused};
use crate::ports::StoreError;

/// A message to the lease actor.
#[derive(Debug)]
pub(crate) enum Message {
    /// The timer has expired.
    Tick,
    /// The result of a renewal or registration.
    Answer {
        /// When the request was sent.
        sent: Instant,
        /// The same time, by the clock of the lease guard.
        guard_sent: Duration,
        /// The response of the store.
        result: Result<Result<NodeLease, NodeLeaseRefused>, StoreError>,
    },
    /// The store holds new directives for this node: renew now.
    RefreshDirectives,
    /// Every scan that ran under the lost lease is gone.
    Cleared,
    /// Releases the lease.
    Release(RpcReplyPort<()>),
    /// A task of the actor panicked.
    Panicked(String),
}
