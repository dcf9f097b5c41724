use std::time::Duration;

use ractor::RpcReplyPort;
use tokio::time::Instant;

use crate::model::{NodeLease, NodeLeaseRefused};
use crate::ports::StoreError;

/// What the lease is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Its timer.
    Tick,
    /// A renewal or registration was answered.
    Answer {
        /// When it was sent.
        sent: Instant,
        /// When, by the clock of the node's guard.
        guard_sent: Duration,
        /// What the store said.
        result: Result<Result<NodeLease, NodeLeaseRefused>, StoreError>,
    },
    /// The store holds a new order for this node: renew now.
    RefreshDirectives,
    /// Every scan that ran under the lost lease is gone.
    Cleared,
    /// Give the lease back.
    Release(RpcReplyPort<()>),
    /// A task of its own panicked.
    Panicked(String),
}
