use std::collections::HashMap;

use tokio::time::Instant;

use crate::model::{FencingToken, ScanId};
use crate::ports::StoreError;

/// Rows of this node without an owner, and when each was first seen without one.
pub(crate) type Suspects = HashMap<(ScanId, FencingToken), Instant>;

/// A message to the reconciler.
pub(crate) enum Message {
    /// The timer has expired, or the node has a lease again.
    Reconcile,
    /// A reconciliation has ended; holds the rows of this node without an owner.
    Looked(Result<Suspects, StoreError>),
    /// The reconciler's task panicked.
    Panicked(String),
}
