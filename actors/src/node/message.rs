use std::time::Duration;

use ractor::RpcReplyPort;

/// What the node is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Stop everything, in order.
    Shutdown {
        /// How long running scans may go on to their own end.
        finish: Duration,
        /// How long the interrupted ones may take after that.
        grace: Duration,
        /// Told when all is done.
        done: RpcReplyPort<()>,
    },
    /// The shutdown is done.
    Down,
    /// A task of its own panicked.
    Panicked(String),
}
