//! The open database of a store, with its clock and the lock of its folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::watch;

use super::database::Database;
use super::lock::FolderLock;

/// The open database. A submission keeps it open until its batch is written.
#[derive(Debug)]
pub(super) struct Inner {
    // Declared before the lock, so that it is dropped first: the folder must not be unlocked while
    // the database is open.
    pub(super) db: Database,
    pub(super) clock_offset_ms: Arc<AtomicI64>,
    /// Changes when this process has written an entry of the outbox.
    pub(super) writes: watch::Sender<()>,
    _lock: Option<FolderLock>,
}

impl Inner {
    pub(super) fn new(db: Database, clock_offset_ms: Arc<AtomicI64>, lock: Option<FolderLock>) -> Self {
        Self { db, clock_offset_ms, writes: watch::Sender::new(()), _lock: lock }
    }

    /// The offset that is added to the database's clock, in nanoseconds.
    pub(super) fn offset(&self) -> i64 {
        self.clock_offset_ms.load(Ordering::Relaxed).saturating_mul(1_000_000)
    }
}
