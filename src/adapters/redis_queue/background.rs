//! The background tasks of the Redis connections.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// The background tasks that all parts share. They stop when the last part is dropped.
#[derive(Debug, Clone)]
pub(super) struct BackgroundTasks {
    _tasks: Arc<[AbortOnDropHandle<()>]>,
}

impl BackgroundTasks {
    /// Takes over running tasks.
    pub(super) fn new<const COUNT: usize>(tasks: [JoinHandle<()>; COUNT]) -> Self {
        Self { _tasks: Arc::new(tasks.map(AbortOnDropHandle::new)) }
    }
}
