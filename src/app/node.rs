//! The part of a process that runs scans: the node, its runner, the watchdog and the uploader.
//!
//! The order of the start is part of the guarantees. First, the sweep kills the processes that a
//! crashed predecessor left running. Then the watchdog starts, which ends the scans of a node that
//! cannot do so itself. Only then does the node start, which may start those scans again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::NodeId;
use kastrel_actors::node::{self, NodeExit, NodeHandle};
use kastrel_actors::ports::{AlwaysHealthy, EventConsumer, NodeHealth};
use kastrel_actors::relay::OutcomeCounter;
use kastrel_actors::service::ServicePorts;
use kastrel_actors::{NodeConfig, NodePorts};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::{AppError, accounts, identity, reports, scanner};
use crate::adapters::artifacts::BucketUploader;
use crate::adapters::kast_runner::{Watchdog, sweep_leftovers};
use crate::adapters::node_health::MachineHealth;
use crate::config::{Config, Role};
use crate::ports::{ArtifactSink, ArtifactStore, ReportRenderer, ScannerCatalog};
use crate::service::findings::ingest::FindingsConsumer;
use crate::telemetry::Observed;

/// How long leftover processes of a crashed predecessor may take to die after SIGKILL.
const SWEEP_LIMIT: Duration = Duration::from_secs(10);

/// This program's own executable, even if a new version has replaced its file.
const OWN_EXE: &str = "/proc/self/exe";

/// The folders of a process, as absolute paths.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    pub(super) data: PathBuf,
    pub(super) results: PathBuf,
}

/// A running node. See the module documentation.
pub(super) struct RunningNode {
    node: NodeHandle,
    uploader: Option<BucketUploader>,
    watchdog: Arc<Watchdog>,
    _processes: AbortOnDropHandle<()>,
    /// The catalogue of its scanner; `None` until it is known.
    pub(super) catalogue: watch::Receiver<Option<Arc<ScannerCatalog>>>,
    /// Regenerates reports; `None` if this process cannot.
    pub(super) renderer: Option<Arc<dyn ReportRenderer>>,
    finish: Duration,
    grace: Duration,
}

impl RunningNode {
    /// Starts the node. `shared`: other processes use the database as well.
    ///
    /// # Errors
    /// A part could not be started. In this case nothing is left running.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the process that the node uses")]
    pub(super) async fn start(
        config: &Config,
        role: Role,
        id: NodeId,
        folders: &Folders,
        shared_ports: &ServicePorts,
        observed: &Observed,
        artifacts: &Arc<dyn ArtifactStore>,
        shared: bool,
    ) -> Result<Self, AppError> {
        let uploader =
            super::artifacts::uploader(config, &folders.results, id.as_str(), Arc::clone(&shared_ports.clock))?;
        let sink = uploader.clone().map(|uploader| Arc::new(uploader) as Arc<dyn ArtifactSink>);
        let data_dir_id = identity::data_dir_id(&folders.data)?;
        let command = scanner::scanner(config)?;
        scanner::check_configuration(config, &command)?;
        let runner = scanner::runner(config, command, &folders.results, &folders.data, &data_dir_id, sink, true)?;
        let (catalogue, renderer) = (scanner::view_of(&runner), reports::renderer(config, &runner));
        sweep(&data_dir_id).await?;
        if let Some(uploader) = &uploader {
            uploader.start(Arc::clone(&shared_ports.store.scans));
        }
        let watchdog = Arc::new(Watchdog::start(Path::new(OWN_EXE), runner.run()).map_err(AppError::Watchdog)?);
        let offer = scanner::offer_of(&runner);
        let health: Arc<dyn NodeHealth> = if role == Role::OneShot {
            // A command does not wait for a repair of the node.
            Arc::new(AlwaysHealthy)
        } else {
            let least_free = u64::try_from(config.node.min_free_bytes).unwrap_or(u64::MAX);
            Arc::new(MachineHealth::new(runner.program(), &folders.results, &folders.data, least_free))
        };
        let ports = NodePorts {
            store: shared_ports.store.clone(),
            queue: Arc::clone(&shared_ports.queue),
            bus: Arc::clone(&shared_ports.bus),
            feed: Arc::clone(&shared_ports.feed),
            guard: Arc::clone(&watchdog) as _,
            runner: observed.runner(Arc::new(runner), offer.clone()),
            health,
            offer,
            clock: Arc::clone(&shared_ports.clock),
            snapshots: Arc::clone(&shared_ports.snapshots),
            consumers: consumers(shared_ports, artifacts, catalogue.clone()),
        };
        // With an embedded database, the lock of the folder proves that every other node is dead.
        let previous = if shared { identity::succeed(&folders.data, &id) } else { Vec::new() };
        let node = node::start(NodeConfig { previous, ..node_config(config, role, id, shared) }, ports).await?;
        Ok(Self {
            node,
            uploader,
            watchdog,
            _processes: observed.watch_processes(),
            catalogue,
            renderer,
            finish: config.scans.shutdown_finish_seconds,
            grace: config.scans.shutdown_grace_seconds,
        })
    }

    /// Waits until the node fails permanently, which a healthy node never does.
    pub(super) async fn failure(&self) -> String {
        match self.node.exited().await {
            NodeExit::Failed(why) => why,
            NodeExit::Stopped => std::future::pending().await,
        }
    }

    /// Stops the node. Running scans may finish for the configured time; the others return to
    /// pending at no cost, within the shutdown grace period.
    pub(super) async fn stop(&self) {
        self.node.shutdown(self.finish, self.grace).await;
        if let Some(uploader) = &self.uploader {
            uploader.stop().await;
        }
        self.watchdog.close().await;
    }
}

/// Returns the host name of the machine.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns the consumers of domain events, in the order in which they get an event. All nodes of a
/// cluster need the same ones: the relay of any node settles an entry that its own consumers have
/// accepted.
fn consumers(
    ports: &ServicePorts,
    artifacts: &Arc<dyn ArtifactStore>,
    catalogue: watch::Receiver<Option<Arc<ScannerCatalog>>>,
) -> Vec<Arc<dyn EventConsumer>> {
    let (store, clock) = (&ports.store, Arc::clone(&ports.clock));
    vec![
        Arc::new(OutcomeCounter::new(Arc::clone(&store.outbox))),
        Arc::new(FindingsConsumer::new(store, Arc::clone(artifacts), catalogue, clock)),
    ]
}

fn node_config(config: &Config, role: Role, id: NodeId, shared: bool) -> NodeConfig {
    let defaults = NodeConfig::new(id, config.scans.concurrency);
    NodeConfig {
        host: host(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        lease: config.lease_policy(),
        retry: config.retry_policy(),
        limits: config.limits(),
        actor_intensity: config.restart_intensity(),
        // Only one process uses the embedded database, and it holds the lock.
        sole_node: !shared,
        adopts_waiting: role != Role::OneShot,
        waits_for_repair: role != Role::OneShot,
        resume: config.scans.resume,
        clearance: accounts::clearance(config),
        ..defaults
    }
}

async fn sweep(id: &str) -> Result<(), AppError> {
    let swept = sweep_leftovers(id, SWEEP_LIMIT).await;
    if swept.killed > 0 {
        info!(killed = swept.killed, "killed processes that an earlier run left behind");
    }
    if swept.left > 0 { Err(AppError::Leftovers(swept.left)) } else { Ok(()) }
}
