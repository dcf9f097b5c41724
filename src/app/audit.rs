//! The sealing of the audit log, in the processes that have a server.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kastrel_actors::service::{AuditSealer, ServicePorts};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::AppError;
use crate::adapters::audit_key::{AuditKey, FILE_NAME};
use crate::config::{Config, Role};

/// How long the stop waits for the last seal.
const LAST_SEAL: Duration = Duration::from_secs(5);

/// The running sealing.
pub(super) struct Sealing {
    sealer: AuditSealer,
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Sealing {
    /// Starts the sealing, if `role` has it. Creates the key at the first start.
    ///
    /// # Errors
    /// The key cannot be used.
    pub(super) fn start(
        config: &Config,
        role: Role,
        data_dir: &Path,
        ports: &ServicePorts,
    ) -> Result<Option<Self>, AppError> {
        if !role.seals_audit_log() {
            return Ok(None);
        }
        let unusable = |source| AppError::AuditKey { path: data_dir.join(FILE_NAME), source };
        let key = AuditKey::open(data_dir).map_err(unusable)?;
        let (chain, clock) = (Arc::clone(&ports.store.chain), Arc::clone(&ports.clock));
        let sealer = AuditSealer::new(chain, Arc::new(key), clock, config.audit_retention());
        let task = Mutex::new(Some(sealer.start()));
        Ok(Some(Self { sealer, task }))
    }

    /// Seals the last entries, and ends.
    pub(super) async fn stop(&self) {
        drop(self.task.lock().unwrap_or_else(PoisonError::into_inner).take());
        match tokio::time::timeout(LAST_SEAL, self.sealer.seal()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                warn!(error = &error as &dyn std::error::Error, "the last entries of the audit log are not sealed yet");
            }
            Err(_) => warn!("the last entries of the audit log are not sealed yet: the database does not respond"),
        }
    }
}
