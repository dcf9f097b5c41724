//! The services of one process in one value.

use std::sync::Arc;

use super::{AuditService, NodeService, QueueService, ReportingService, ScanService, ServicePorts};

/// The services of one process. They share their ports.
#[derive(Debug, Clone)]
pub struct Services {
    /// Submits, reads, cancels and deletes scans.
    pub scans: ScanService,
    /// Pauses and resumes the queue.
    pub queue: QueueService,
    /// Lists and drains nodes.
    pub nodes: NodeService,
    /// Counts, trends and estimates.
    pub reporting: ReportingService,
    /// The audit log, and events that could not be delivered.
    pub audit: AuditService,
}

impl Services {
    /// Creates the services.
    #[must_use]
    pub fn new(ports: ServicePorts) -> Self {
        let ports = Arc::new(ports);
        Self {
            scans: ScanService::new(Arc::clone(&ports)),
            queue: QueueService::new(Arc::clone(&ports)),
            nodes: NodeService::new(Arc::clone(&ports)),
            reporting: ReportingService::new(Arc::clone(&ports)),
            audit: AuditService::new(ports),
        }
    }
}
