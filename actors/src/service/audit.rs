//! The audit service: reads the audit log, and the events that could not be delivered.

use std::sync::Arc;

use super::ServicePorts;
use super::error::CommandError;
use crate::model::{AuditEntry, DeadLetter, DeliveryBacklog, Operation, OutboxKey, RequestContext, ScanId};
use crate::policy::access::decide;
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
    /// The principal may not read the audit log, or the store fails.
    pub async fn entries(
        &self,
        context: &RequestContext,
        scan: Option<ScanId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, CommandError> {
        decide(&context.grants, Operation::ReadAudit, None)?;
        Ok(self.ports.store.audit.audit(scan, limit).await?)
    }

    /// Returns the newest dead letters: events whose delivery was given up.
    ///
    /// # Errors
    /// The principal may not read the audit log, or the store fails.
    pub async fn dead_letters(&self, context: &RequestContext, limit: usize) -> Result<Vec<DeadLetter>, CommandError> {
        decide(&context.grants, Operation::ReadAudit, None)?;
        Ok(self.ports.store.outbox.dead_letters(limit).await?)
    }

    /// Returns a dead letter to the outbox, from which it is delivered again. Returns `false` if
    /// there is no such dead letter.
    ///
    /// # Errors
    /// The principal may not change the server, or the store fails.
    pub async fn resend(&self, context: &RequestContext, key: OutboxKey) -> Result<bool, CommandError> {
        decide(&context.grants, Operation::ChangeServer, None)?;
        Ok(self.ports.store.outbox.resend(key, &context.principal).await?)
    }

    /// Returns how many events wait for their consumers, and how many were given up.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn backlog(&self, _context: &RequestContext) -> Result<DeliveryBacklog, StoreError> {
        self.ports.store.outbox.backlog().await
    }
}
