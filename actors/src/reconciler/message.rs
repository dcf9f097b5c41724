use std::collections::HashMap;

use tokio::time::Instant;

use crate::model::{FencingToken, ScanId};
use crate::ports::StoreError;

/// Rows of this node without an owner, and when each was first seen so.
pub(crate) type Suspects = HashMap<(ScanId, FencingToken), Instant>;

/// What the reconciler is told.
pub(crate) enum Message {
    /// Its timer, or the node has a lease again.
    Reconcile,
    /// A look-around has ended; these rows of this node had no owner.
    Looked(Result<Suspects, StoreError>),
    /// Its task panicked.
    Panicked(String),
}
