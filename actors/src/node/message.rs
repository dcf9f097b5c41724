use std::time::Duration;

use ractor::RpcReplyPort;

/// A message to the node.
#[derive(Debug)]
pub(crate) enum Message {
    /// Stops everything, in order.
    Shutdown {
        /// How long running scans may take to end by themselves.
        finish: Duration,
        /// How long the interrupted scans may take after that.
        grace: Duration,
        /// Replied to when the shutdown is done.
        done: RpcReplyPort<()>,
    },
    /// The shutdown is done.
    Down,
    /// A task of the node panicked.
    Panicked(String),
}
