//! The application put together: which adapters stand behind the ports, and in which order they start and stop.
//!
//! The order is part of the promises: the data folder's lock first, because it proves that no other process of this folder lives; then the sweep of what a crashed predecessor left running;
//! only then a node that may start those scans anew, and the warden that ends its scans if it cannot.

mod artifacts;
mod database;
mod identity;
mod links;
mod reports;
mod role;
mod scanner;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::board::LiveBoard;
use kastrel_actors::desk::ScanDesk;
use kastrel_actors::model::NodeId;
use kastrel_actors::node::{self, NodeExit, NodeHandle, NodeStartError};
use kastrel_actors::ports::{Clock, StoreError, SystemClock};
use kastrel_actors::{NodeConfig, NodePorts, mirror};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use crate::adapters::artifacts::{ArtifactStore, BucketUploader, ConnectError};
use crate::adapters::kast_runner::{ArtifactSink, Warden, sweep_leftovers};
use crate::adapters::redis_queue::{RedisHealth, RedisUrlError};
use crate::adapters::surreal_store::{AddressError, FolderLock, OpenError};
use crate::backup::BackupSource;
use crate::config::Config;
use crate::telemetry::readings::Sources;
use crate::telemetry::{Telemetry, observe};
use crate::web::{CatalogueView, RenderReport};
pub use artifacts::artifacts;
pub use database::{database_to_back_up, database_to_restore};
use links::Links;
pub use role::Role;

/// How long leftovers of a crashed predecessor may take to die after SIGKILL.
const SWEEP_LIMIT: Duration = Duration::from_secs(10);

/// This very program, also when its file has been replaced by another version meanwhile.
const OWN_EXE: &str = "/proc/self/exe";

/// The application could not be started.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Another process holds the data folder.
    #[error("the data folder {} is in use by another Kastrel{}", dir.display(), pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    DataDirLocked {
        /// The folder.
        dir: PathBuf,
        /// The holder, where known.
        pid: Option<u32>,
    },
    /// The database could not be opened.
    #[error("failed to open the database in {}", dir.display())]
    Database {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// There is nothing to back up.
    #[error("there is no database in the data folder {}", dir.display())]
    NoDatabase {
        /// The folder.
        dir: PathBuf,
    },
    /// The address of the database is none.
    #[error("database.url cannot be used")]
    DatabaseUrl(#[from] AddressError),
    /// The database elsewhere could not be used.
    #[error("failed to open the database at {url}")]
    RemoteDatabase {
        /// Where, without the password.
        url: String,
        /// Why.
        source: OpenError,
    },
    /// The database did not answer.
    #[error("failed to ask the database which installation it is")]
    Installation(#[from] StoreError),
    /// The address of Redis is none.
    #[error("redis.url or redis.prefix cannot be used")]
    RedisUrl(#[from] RedisUrlError),
    /// The command makes no sense alone.
    #[error("{command} works together with other processes and needs {key}: set {variable}, or use `kastrel serve`, which needs nothing")]
    NeedsOthers {
        /// Which command.
        command: &'static str,
        /// What is not set.
        key: &'static str,
        /// How to set it.
        variable: &'static str,
    },
    /// A folder or file could not be made.
    #[error("failed to prepare {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `kast.scanner` is `kast`, and there is none.
    #[error("kast.scanner is `kast`, but no KAST was found: set KAST_CLI_PATH, or put `kast` on the PATH")]
    NoKast,
    /// Scans of an earlier run are still alive; their successors must not run beside them.
    #[error(
        "{0} processes of scans that an earlier run left behind cannot be killed; find them by KASTREL_ATTEMPT in their environment (`doctor` tells more), then start again"
    )]
    Leftovers(usize),
    /// The scanner does not say what it offers.
    #[error("failed to ask the scanner for its plugins: {0}")]
    Scanner(String),
    /// The runner could not be started.
    #[error("failed to start the runner of scans")]
    Runner(#[source] std::io::Error),
    /// The second process, which ends the scans of a node that cannot, could not be started.
    #[error("failed to start the warden of the scans")]
    Warden(#[source] std::io::Error),
    /// The files of scans are to be kept in a bucket that cannot be used.
    #[error(transparent)]
    Artifacts(#[from] ConnectError),
    /// The node could not be started.
    #[error("failed to start the node")]
    Node(#[from] NodeStartError),
}

/// The running application.
pub struct App {
    /// Where scans are handed in.
    pub desk: ScanDesk,
    /// How long a node that is told to drain may finish what it runs, where nothing else is said.
    pub drain_limit: Duration,
    /// How Redis is, where there is one.
    pub redis: Option<RedisHealth>,
    /// The files of scans.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// What renders reports once more, where something can.
    pub renderer: Option<Arc<dyn RenderReport>>,
    /// Everything that the store keeps, to be backed up.
    pub backup: Arc<dyn BackupSource>,
    node: Option<NodeHandle>,
    uploader: Option<BucketUploader>,
    warden: Option<Arc<Warden>>,
    catalogue: watch::Receiver<Option<Arc<CatalogueView>>>,
    finish: Duration,
    grace: Duration,
    /// What this process tells with.
    pub telemetry: Telemetry,
    /// Where its metrics look.
    pub sources: Sources,
    _processes: Option<AbortOnDropHandle<()>>,
    _readings: Option<AbortOnDropHandle<()>>,
    _mirror: Option<AbortOnDropHandle<()>>,
    _lock: Option<FolderLock>,
}

impl App {
    /// Opens the store, cleans up after a crashed predecessor, and starts the node if `role` has one.
    ///
    /// # Errors
    /// What could not be opened or started; nothing is left running then.
    pub async fn start(config: &Config, role: Role, telemetry: &Telemetry) -> Result<Self, AppError> {
        let results_dir = absolute(&config.results_dir())?;
        let data_dir = absolute(&config.data.dir)?;
        for dir in [&data_dir, &results_dir] {
            std::fs::create_dir_all(dir).map_err(|source| AppError::Folder { path: dir.clone(), source })?;
        }
        let artifacts = artifacts(config, &results_dir)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let node_id = identity::node_id(config.node.name.as_deref().unwrap_or(&host()));
        let links = Links::open(config, role, &data_dir, &node_id, &clock).await?;
        // From outside, so that what is told is what was committed, published and run; the orchestration knows nothing of it.
        let observed = observe(telemetry, Arc::clone(&clock));
        let desk = ScanDesk {
            store: observed.store(links.store),
            queue: observed.queue(links.queue, links.redis.is_some()),
            bus: links.bus,
            feed: links.feed,
            view: links.view,
            board: Arc::new(LiveBoard::default()),
            clock,
            scope: Arc::new(config.scope_policy()),
        };
        let runs_scans = role.runs_scans(links.shared);
        let mut warden = None;
        let mut processes = None;
        let uploader = if runs_scans { artifacts::uploader(config, &results_dir, node_id.as_str(), Arc::clone(&desk.clock))? } else { None };
        let sink = uploader.clone().map(|uploader| Arc::new(uploader) as Arc<dyn ArtifactSink>);
        let mut renderer = None;
        let (node, catalogue) = if runs_scans || !links.shared {
            let id = identity::data_dir_id(&data_dir)?;
            let runner = scanner::runner(config, scanner::scanner(config)?, &results_dir, &data_dir, &id, sink)?;
            let catalogue = scanner::view_of(&runner);
            renderer = reports::renderer(config, &runner);
            let node = if runs_scans {
                sweep(&id).await?;
                if let Some(uploader) = &uploader {
                    uploader.start(Arc::clone(&desk.store));
                }
                let guard = Arc::new(Warden::start(Path::new(OWN_EXE), runner.run()).map_err(AppError::Warden)?);
                warden = Some(Arc::clone(&guard));
                processes = Some(observed.watch_processes());
                let offer = scanner::offer_of(&runner);
                let ports = NodePorts {
                    store: Arc::clone(&desk.store),
                    queue: Arc::clone(&desk.queue),
                    bus: Arc::clone(&desk.bus),
                    feed: Arc::clone(&desk.feed),
                    guard,
                    runner: observed.runner(Arc::new(runner), offer.clone()),
                    offer,
                    clock: Arc::clone(&desk.clock),
                    board: Arc::clone(&desk.board),
                };
                Some(node::start(node_config(config, role, node_id, links.shared), ports).await?)
            } else {
                None
            };
            (node, catalogue)
        } else {
            (None, scanner::view_of_the_nodes(Arc::clone(&desk.store)))
        };
        let sources = Sources {
            desk: desk.clone(),
            capacity: node.is_some().then_some(config.scans.concurrency),
            folders: vec![("data", data_dir.clone()), ("results", results_dir.clone())],
        };
        let readings = telemetry.pushes_metrics().then(|| telemetry.readings().keep_fresh(sources.clone()));
        let mirror = (links.shared && role.follows_scans()).then(|| mirror::start(desk.clone()));
        Ok(Self {
            desk,
            drain_limit: config.scans.drain_limit_seconds,
            redis: links.redis,
            artifacts,
            backup: links.backup,
            node,
            uploader,
            warden,
            renderer,
            catalogue,
            finish: config.scans.shutdown_finish_seconds,
            grace: config.scans.shutdown_grace_seconds,
            telemetry: telemetry.clone(),
            sources,
            _processes: processes,
            _readings: readings,
            _mirror: mirror,
            _lock: links.lock,
        })
    }

    /// Asks the scanner that the configuration leads to what it offers, without starting anything else.
    ///
    /// # Errors
    /// It is missing, or does not answer.
    pub async fn ask_scanner(config: &Config) -> Result<Arc<CatalogueView>, AppError> {
        let (results_dir, data_dir) = (absolute(&config.results_dir())?, absolute(&config.data.dir)?);
        let runner = scanner::runner(config, scanner::scanner(config)?, &results_dir, &data_dir, "none", None)?;
        let catalogue = runner.refresh_catalogue().await.map_err(AppError::Scanner)?;
        Ok(Arc::new(scanner::view(&catalogue)))
    }

    /// Whether this process runs scans.
    #[must_use]
    pub const fn runs_scans(&self) -> bool {
        self.node.is_some()
    }

    /// The scanner's plugins; `None` while it is being asked.
    #[must_use]
    pub fn catalogue(&self) -> watch::Receiver<Option<Arc<CatalogueView>>> {
        self.catalogue.clone()
    }

    /// Waits until the node gives up, which a node that does its work never does.
    pub async fn failure(&self) -> String {
        match &self.node {
            Some(node) => match node.exited().await {
                NodeExit::Failed(why) => why,
                NodeExit::Stopped => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    /// Stops: running scans may finish for as long as is configured, and then go back to pending at no cost, within the shutdown grace.
    pub async fn stop(&self) {
        if let Some(node) = &self.node {
            node.shutdown(self.finish, self.grace).await;
        }
        if let Some(uploader) = &self.uploader {
            uploader.stop().await;
        }
        if let Some(warden) = &self.warden {
            warden.close().await;
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, AppError> {
    std::path::absolute(path).map_err(|source| AppError::Folder { path: path.to_owned(), source })
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
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
        // The embedded database has one process, and its lock is ours.
        sole_node: !shared,
        adopts_waiting: role != Role::OneShot,
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
