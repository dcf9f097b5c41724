//! The audit service: reads the audit log, and the events that could not be delivered.

use std::sync::Arc;

use super::error::CommandError;
use super::{AuditExport, ServicePorts};
use crate::model::{
    AuditPage, AuditQuery, DeadLetter, DeliveryBacklog, Operation, OutboxKey, RequestContext, SealingState,
};
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

    /// Returns a page of the audit log, newest entries first.
    ///
    /// # Errors
    /// The principal may not read the audit log, or the store fails.
    pub async fn entries(&self, context: &RequestContext, query: &AuditQuery) -> Result<AuditPage, CommandError> {
        decide(&context.grants, Operation::ReadAudit, None)?;
        Ok(self.ports.store.audit.audit(query).await?)
    }

    /// Reads the audit log with its seals, as the file that can be verified without the store. The
    /// caller records that it was exported.
    ///
    /// # Errors
    /// The principal may not read the audit log.
    pub fn export(&self, context: &RequestContext) -> Result<AuditExport, CommandError> {
        decide(&context.grants, Operation::ReadAudit, None)?;
        Ok(AuditExport::new(Arc::clone(&self.ports)))
    }

    /// Returns how far the sealing of the audit log is.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn sealing(&self, _context: &RequestContext) -> Result<SealingState, StoreError> {
        self.ports.store.chain.sealing_state().await
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
