//! The audit service: reads the audit log, and the events that could not be delivered.

use std::sync::Arc;

use super::ServicePorts;
use crate::model::{AuditEntry, DeadLetter, DeliveryBacklog, OutboxKey, RequestContext, ScanId};
use crate::ports::StoreError;

/// The audit service.
#[derive(Debug, Clone)]
pub struct AuditService {
    ports: Arc<ServicePorts>,
}

impl AuditService {
    pub(super) const fn new(ports: Arc<ServicePorts>) -> Self {
        Self { ports }
    }

    /// Returns the newest entries of the audit log, newest first; with `scan`, only those of one
    /// scan.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn entries(
        &self,
        _context: &RequestContext,
        scan: Option<ScanId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.ports.store.audit.audit(scan, limit).await
    }

    /// Returns the newest dead letters: events whose delivery was given up.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn dead_letters(&self, _context: &RequestContext, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.ports.store.outbox.dead_letters(limit).await
    }

    /// Returns a dead letter to the outbox, from which it is delivered again. Returns `false` if
    /// there is no such dead letter.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn resend(&self, context: &RequestContext, key: OutboxKey) -> Result<bool, StoreError> {
        self.ports.store.outbox.resend(key, &context.principal).await
    }

    /// Returns how many events wait for their consumers, and how many were given up.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn backlog(&self, _context: &RequestContext) -> Result<DeliveryBacklog, StoreError> {
        self.ports.store.outbox.backlog().await
    }
}
