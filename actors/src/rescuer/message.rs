use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{FencingToken, ScanId};
use crate::ports::StoreError;

/// Rows of this node without an owner, and when each was first seen so.
pub(crate) type Suspects = HashMap<(ScanId, FencingToken), Instant>;

/// What a look-around found.
pub(crate) struct Looked {
    /// These rows of this node had no owner.
    pub(crate) suspects: Suspects,
    /// The wait until the whole cluster is looked after again, if it was.
    pub(crate) next_cluster_look: Option<Duration>,
}

/// What the rescuer is told.
pub(crate) enum Message {
    /// Its timer.
    Look,
    /// A look-around has ended.
    Looked(Result<Looked, StoreError>),
    /// Its task panicked.
    Panicked(String),
}
