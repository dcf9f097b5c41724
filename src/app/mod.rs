//! Assembles the application: chooses the adapters behind the ports, and starts and stops the parts
//! in order.
//!
//! The order is part of the guarantees. The lock of the data folder comes first, because it proves
//! that no other process of this folder is alive. Only then does the node start, which cleans up
//! after a crashed predecessor and restarts its scans.

mod accounts;
mod artifacts;
mod audit;
mod common;
mod database;
mod error;
mod identity;
mod links;
mod mail;
mod node;
mod provider;
mod reports;
mod scanner;

use std::path::Path;
use std::sync::Arc;

use kastrel_actors::live::SnapshotCache;
use kastrel_actors::ports::{Clock, SystemClock};
use kastrel_actors::service::{ServicePorts, Services, queue_watch, replica_sync};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use self::audit::Sealing;
use self::common::{absolute, sealer};
use self::mail::RunningMails;
use crate::adapters::kast_runner::RunAs;
use crate::adapters::surreal_store::{FolderLock, SurrealStore};
use crate::backup::{AutomaticBackups, BackupSource, BackupStatus, RunningBackups};
use crate::config::{Config, Role};
use crate::ports::{ArtifactStore, RedisHealth, ReportRenderer, ScannerCatalog};
use crate::private;
use crate::service::access::AccessService;
use crate::service::findings::ingest::FindingRebuild;
use crate::service::findings::{FindingService, FindingServices, TargetService};
use crate::telemetry::readings::Sources;
use crate::telemetry::{Telemetry, observe};
pub use accounts::{FirstAdminError, access_of, prepare_first_admin};
pub use artifacts::artifacts;
pub use database::{RestoreTarget, backup_folder, database_to_back_up};
pub use error::AppError;
use links::Links;
pub use mail::mailer;
use node::{Folders, RunningNode};
pub use provider::identity_provider;
pub(crate) use scanner::isolation;

/// Why the application cannot continue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppFailure {
    /// The node failed permanently.
    #[error("{0}")]
    Node(String),
    /// The database has lost committed rows.
    #[error("{0}")]
    Storage(String),
}

/// The running application.
pub struct App {
    /// The services: the operations on scans, queue and nodes.
    pub services: Services,
    /// The access service: accounts, sessions, tokens and projects.
    pub access: AccessService,
    /// Findings.
    pub findings: FindingService,
    /// Targets.
    pub targets: TargetService,
    /// The health of the Redis connection; `None` without Redis.
    pub redis: Option<RedisHealth>,
    /// The store of the scans' files.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// Regenerates reports; `None` if this process cannot.
    pub renderer: Option<Arc<dyn ReportRenderer>>,
    /// The rebuild of findings from the files of old scans.
    rebuild: FindingRebuild,
    /// The configuration of the scanner of this machine, in a process that otherwise sees only what
    /// the nodes offer.
    asks_own: Option<Box<Config>>,
    /// The source of backups.
    pub backup: Arc<dyn BackupSource>,
    database: SurrealStore,
    /// The automatic backups. Only the `serve` role with an embedded database makes them.
    backups: Option<RunningBackups>,
    /// The sealing of the audit log, in a process with a server.
    sealing: Option<Sealing>,
    node: Option<RunningNode>,
    catalogue: watch::Receiver<Option<Arc<ScannerCatalog>>>,
    /// The telemetry of this process.
    pub telemetry: Telemetry,
    /// The sources of its metrics.
    pub sources: Sources,
    _readings: Option<AbortOnDropHandle<()>>,
    _mirror: Option<AbortOnDropHandle<()>>,
    _queue_watch: Option<AbortOnDropHandle<()>>,
    /// The sending of mails, if it is configured.
    mails: Option<RunningMails>,
    _upkeep: Option<AbortOnDropHandle<()>>,
    _lock: Option<FolderLock>,
}

impl App {
    /// Opens the store, cleans up after a crashed predecessor, and starts the node if `role` has
    /// one.
    ///
    /// # Errors
    /// A part could not be opened or started. In this case nothing is left running.
    pub async fn start(config: &Config, role: Role, telemetry: &Telemetry) -> Result<Self, AppError> {
        role.check(config)?;
        let folders = Folders { data: absolute(&config.data.dir)?, results: absolute(&config.results_dir())? };
        private::hide_new_files();
        let make = |dir: &Path| private::make(dir).map_err(|source| AppError::Folder { path: dir.to_owned(), source });
        make(&folders.data)?;
        let is_own = private::is_own_data_folder(&folders.data);
        make(&folders.results)?;
        if role != Role::Offline {
            keep_others_out(config, &folders, is_own)?;
        }
        let artifacts = artifacts(config, &folders.results)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let node_id = identity::node_id(config.node.name.as_deref().unwrap_or(&node::host()));
        // The ports are wrapped, so that telemetry reports what was committed, published and run.
        // The orchestration does not depend on it.
        let observed = observe(telemetry, Arc::clone(&clock));
        let links = Links::open(config, role, &folders.data, &node_id, &clock, &observed).await?;
        let database = links.database.clone();
        let started = async {
            let ports = ServicePorts {
                store: observed.store(links.store),
                queue: observed.queue(links.queue, links.redis.is_some()),
                bus: links.bus,
                feed: links.feed,
                consistency: links.consistency,
                snapshots: Arc::new(SnapshotCache::default()),
                clock,
                scope: Arc::new(config.scope_policy()),
                overrides: Arc::new(config.override_policy()),
                sealer: sealer(config)?,
                limits: config.queue_limits(),
                drain_limit: config.scans.drain_limit_seconds,
                clearance: accounts::clearance(config),
            };
            let services = Services::new(ports.clone());
            let access = AccessService::new(
                &ports.store,
                Arc::clone(&ports.clock),
                Arc::clone(&ports.sealer),
                accounts::settings(config),
            )
            .with_passkeys(accounts::relying_party(config));
            let (access, mails) = RunningMails::start(config, access)?;
            let access = provider::with_provider(access, config)?;
            let (node, catalogue, renderer) = if role.runs_scans(links.shared) {
                let node =
                    RunningNode::start(config, role, node_id, &folders, &ports, &observed, &artifacts, links.shared)
                        .await?;
                let (catalogue, renderer) = (node.catalogue.clone(), node.renderer.clone());
                (Some(node), catalogue, renderer)
            } else if links.shared {
                (None, scanner::view_of_the_nodes(ports.store.clone()), None)
            } else {
                let runner = scanner::runner(
                    config,
                    scanner::scanner(config)?,
                    &folders.results,
                    &folders.data,
                    &identity::data_dir_id(&folders.data)?,
                    None,
                    false,
                )?;
                (None, scanner::view_of(&runner), reports::renderer(config, &runner))
            };
            let rebuild =
                FindingRebuild::new(&ports.store, Arc::clone(&artifacts), catalogue.clone(), Arc::clone(&ports.clock));
            scanner::show_on(&ports.snapshots, catalogue.clone());
            let FindingServices { findings, targets } =
                FindingServices::new(&ports.store, services.scans.clone(), Arc::clone(&ports.clock), catalogue.clone());
            let sources = Sources {
                reporting: services.reporting.clone(),
                capacity: node.is_some().then_some(config.scans.concurrency),
                folders: vec![("data", folders.data.clone()), ("results", folders.results.clone())],
            };
            let readings = telemetry.pushes_metrics().then(|| telemetry.readings().keep_fresh(sources.clone()));
            let replica_sync =
                (links.shared && role.follows_scans()).then(|| replica_sync::start(services.scans.clone()));
            if node.is_none() {
                ports.snapshots.queue.expect_no_node();
            }
            let queue_watch = role.follows_scans().then(|| queue_watch::start(services.queue.clone()));
            let backups = if role == Role::Serve && config.makes_backups() {
                let (folder, source, clock) =
                    (backup_folder(config)?, Arc::clone(&links.backup), Arc::clone(&ports.clock));
                Some(AutomaticBackups { folder, every: config.backup_interval(), source, clock }.start())
            } else {
                None
            };
            let sealing = Sealing::start(config, role, &folders.data, &ports)?;
            let upkeep = role.follows_scans().then(|| accounts::keep_clean(access.clone()));
            Ok(Self {
                services,
                access,
                findings,
                targets,
                redis: links.redis,
                artifacts,
                rebuild,
                asks_own: (role == Role::Offline && links.shared).then(|| Box::new(config.clone())),
                backup: links.backup,
                database: links.database,
                backups,
                sealing,
                node,
                renderer,
                catalogue,
                telemetry: telemetry.clone(),
                sources,
                _readings: readings,
                _mirror: replica_sync,
                _queue_watch: queue_watch,
                mails,
                _upkeep: upkeep,
                _lock: links.lock,
            })
        };
        let started = started.await;
        if started.is_err() {
            database.close().await;
        }
        started
    }

    /// Reads the catalogue of the configured scanner, without starting anything else.
    ///
    /// # Errors
    /// The scanner is missing or does not respond.
    pub async fn ask_scanner(config: &Config) -> Result<Arc<ScannerCatalog>, AppError> {
        let (results_dir, data_dir) = (absolute(&config.results_dir())?, absolute(&config.data.dir)?);
        let runner = scanner::runner(config, scanner::scanner(config)?, &results_dir, &data_dir, "none", None, false)?;
        let catalogue = runner.refresh_catalogue().await.map_err(AppError::Scanner)?;
        Ok(Arc::new(scanner::view(&catalogue)))
    }

    /// Returns the rebuild of findings. It needs the issues of the scanner, which the rows of nodes
    /// do not have. So a process that sees only those rows asks the scanner of its machine.
    #[must_use]
    pub fn rebuild(&self) -> FindingRebuild {
        let rebuild = self.rebuild.clone();
        let Some(config) = self.asks_own.clone() else { return rebuild };
        rebuild.with_catalogue(scanner::answer_of(async move { Self::ask_scanner(&config).await }))
    }

    /// Returns whether this process runs scans.
    #[must_use]
    pub const fn runs_scans(&self) -> bool {
        self.node.is_some()
    }

    /// Returns the scanner's catalogue; `None` until it is known.
    #[must_use]
    pub fn catalogue(&self) -> watch::Receiver<Option<Arc<ScannerCatalog>>> {
        self.catalogue.clone()
    }

    /// Waits until the node fails permanently, which a healthy node never does, or until the
    /// database turns out to have lost rows.
    pub async fn failure(&self) -> AppFailure {
        let node = async {
            match &self.node {
                Some(node) => node.failure().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            why = node => AppFailure::Node(why),
            why = self.database.lost() => AppFailure::Storage(why),
        }
    }

    /// Returns the status of the automatic backups, if this process makes them.
    #[must_use]
    pub fn backups(&self) -> Option<watch::Receiver<BackupStatus>> {
        self.backups.as_ref().map(RunningBackups::status)
    }

    /// Stops the node. Running scans may finish for the configured time; the others return to
    /// pending at no cost, within the shutdown grace period. The database stays open.
    pub async fn stop(&self) {
        if let Some(backups) = &self.backups {
            backups.stop().await;
        }
        if let Some(node) = &self.node {
            node.stop().await;
        }
    }

    /// Sends the mails that are left, and closes the database, after everything else has stopped.
    /// Returns when all commits are written to disk and the files are released.
    pub async fn close(&self) {
        if let Some(mails) = &self.mails {
            mails.stop().await;
        }
        if let Some(sealing) = &self.sealing {
            sealing.stop().await;
        }
        self.database.close().await;
    }
}

/// Removes the permissions of other users from Kastrel's own folders. On failure, because of
/// another owner or a file system without permissions, `doctor` reports it as well.
fn keep_others_out(config: &Config, folders: &Folders, is_own: bool) -> Result<(), AppError> {
    // A web node beside a worker on the same folder must not close the folder to the worker's
    // scanners. An invalid user is ignored here: it stops the start of the node.
    let scanners =
        config.scans.run_as.as_ref().and_then(|user| RunAs::resolve(user.as_str()).ok()).map(|user| user.gid);
    let tell = |path: &Path, ended: std::io::Result<()>| {
        if let Err(error) = ended {
            warn!(error = &error as &dyn std::error::Error, "could not keep other users out of {}", path.display());
        }
    };
    if is_own {
        tell(&folders.data, private::tighten_data_folder(&folders.data, scanners));
    }
    tell(&folders.results, private::tighten_results_folder(&folders.results, scanners));
    if config.makes_backups() {
        let backups = backup_folder(config)?;
        tell(backups.path(), private::tighten_backup_folder(backups.path()));
    }
    Ok(())
}
