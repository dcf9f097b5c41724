//! Both services in one value. They share one index.

use std::sync::Arc;

use kastrel_actors::ports::{Clock, Stores};
use kastrel_actors::service::ScanService;
use tokio::sync::watch;

use super::index::FindingIndex;
use super::service::FindingService;
use super::targets::TargetService;
use crate::ports::ScannerCatalog;

/// The services of findings and targets of one process.
#[derive(Debug, Clone)]
pub struct FindingServices {
    /// Findings.
    pub findings: FindingService,
    /// Targets.
    pub targets: TargetService,
}

impl FindingServices {
    /// Creates the services. Nothing is read from the store before the first question.
    #[must_use]
    pub fn new(
        stores: &Stores,
        scans: ScanService,
        clock: Arc<dyn Clock>,
        catalogue: watch::Receiver<Option<Arc<ScannerCatalog>>>,
    ) -> Self {
        let findings = FindingService {
            store: Arc::clone(&stores.findings),
            access: Arc::clone(&stores.access),
            scans,
            clock,
            index: Arc::new(FindingIndex::new(Arc::clone(&stores.findings))),
            catalogue,
        };
        Self { targets: TargetService::new(findings.clone()), findings }
    }
}
