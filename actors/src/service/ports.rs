//! What the services of a process are made of. The composition fills it in and passes it to
//! [`Services::new`](super::Services::new); nothing else sees the ports behind the services.

use std::sync::Arc;
use std::time::Duration;

use crate::live::SnapshotCache;
use crate::policy::admission::QueueLimits;
use crate::policy::clearance::ClearanceRule;
use crate::policy::override_policy::OverridePolicy;
use crate::policy::scope::ScopePolicy;
use crate::ports::{Clock, ControlBus, JobQueue, LiveFeed, SecretSealer, Stores};

/// Which scans a process's snapshot cache is always correct about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// All scans: no other process changes the store.
    SingleWriter,
    /// The scans that this process runs. Other processes change or delete the others.
    MultiWriter,
}

/// The ports, policies and limits of the services.
#[derive(Clone)]
pub struct ServicePorts {
    /// The store, the source of truth.
    pub store: Stores,
    /// The queue of wake-up signals.
    pub queue: Arc<dyn JobQueue>,
    /// Control messages to the node that runs a scan.
    pub bus: Arc<dyn ControlBus>,
    /// Snapshots for other processes.
    pub feed: Arc<dyn LiveFeed>,
    /// Which scans the snapshot cache is always correct about without a read.
    pub consistency: Consistency,
    /// The live state of scans and actors.
    pub snapshots: Arc<SnapshotCache>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The scope policy: which targets may be scanned.
    pub scope: Arc<ScopePolicy>,
    /// The policy for the scanner settings that a client may set.
    pub overrides: Arc<OverridePolicy>,
    /// The sealer for the values of secret settings.
    pub sealer: Arc<dyn SecretSealer>,
    /// The limits for waiting scans.
    pub limits: QueueLimits,
    /// The time limit of a drain that names none.
    pub drain_limit: Duration,
    /// Whether a submission needs the clearance of its target.
    pub clearance: ClearanceRule,
}

impl std::fmt::Debug for ServicePorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServicePorts").finish_non_exhaustive()
    }
}
