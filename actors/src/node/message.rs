use std::time::Duration;

use ractor::RpcReplyPort;

/// What the node is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Stop everything, in order, within this time.
    Shutdown(Duration, RpcReplyPort<()>),
    /// The shutdown is done.
    Down,
    /// A task of its own panicked.
    Panicked(String),
}
