//! The application put together: which adapters stand behind the ports, and in which order they start and stop.
//!
//! The order is part of the promises: the store first, because its lock proves that no other process of this data folder lives; then the sweep of what a crashed predecessor left running;
//! only then a node that may start those scans anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::board::LiveBoard;
use kastrel_actors::desk::ScanDesk;
use kastrel_actors::model::{AttemptNumber, NodeId, ReportFormat, ScanRecord};
use kastrel_actors::node::{self, NodeExit, NodeHandle, NodeStartError};
use kastrel_actors::ports::{LocalControlBus, LocalJobQueue, SystemClock};
use kastrel_actors::{NodeConfig, NodePorts};
use tokio::sync::watch;
use tracing::info;

use crate::adapters::kast_runner::{
    AttemptPaths, Catalogue, Grace, IssueKind, KastRunner, KastRunnerConfig, RenderError, ReportRenderer, ScannerCommand, sweep_leftovers,
};
use crate::adapters::surreal_store::{OpenError, SurrealStore};
use crate::config::{Config, ScannerChoice};
use crate::web::{AttemptDir, CatalogueView, IssueText, RenderReport};

/// How long leftovers of a crashed predecessor may take to die after SIGKILL.
const SWEEP_LIMIT: Duration = Duration::from_secs(10);

/// What this process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Serves and runs scans.
    Serve,
    /// Runs the one scan that it is given.
    OneShot,
    /// Only looks at what is stored.
    Offline,
}

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
    /// A database elsewhere was asked for.
    #[error("database.url is set, but this version only keeps its database in the data folder; leave it empty")]
    RemoteDatabase,
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
    /// The node could not be started.
    #[error("failed to start the node")]
    Node(#[from] NodeStartError),
}

/// The running application.
pub struct App {
    /// Where scans are handed in.
    pub desk: ScanDesk,
    /// Which scanner this is, by where it was found.
    pub scanner: ScannerCommand,
    node: Option<NodeHandle>,
    catalogue: watch::Receiver<Option<Arc<CatalogueView>>>,
    results_dir: PathBuf,
    renderer: Arc<dyn RenderReport>,
    grace: Duration,
}

impl App {
    /// Opens the store, cleans up after a crashed predecessor, and starts the node if `role` has one.
    ///
    /// # Errors
    /// What could not be opened or started; nothing is left running then.
    pub async fn start(config: &Config, role: Role) -> Result<Self, AppError> {
        if config.database.url.is_some() {
            return Err(AppError::RemoteDatabase);
        }
        let scanner = scanner(config)?;
        let results_dir = absolute(&config.results_dir())?;
        let data_dir = absolute(&config.data.dir)?;
        for dir in [&data_dir, &results_dir] {
            std::fs::create_dir_all(dir).map_err(|source| AppError::Folder { path: dir.clone(), source })?;
        }
        let store = SurrealStore::open(&data_dir).await.map_err(|error| match error {
            OpenError::Locked { pid, .. } => AppError::DataDirLocked { dir: data_dir.clone(), pid },
            source => AppError::Database { dir: data_dir.clone(), source },
        })?;
        let clock = Arc::new(SystemClock);
        let desk = ScanDesk {
            store: Arc::new(store),
            queue: Arc::new(LocalJobQueue::new(Arc::clone(&clock) as _)),
            bus: Arc::new(LocalControlBus::default()),
            board: Arc::new(LiveBoard::default()),
            clock,
            scope: Arc::new(config.scope_policy()),
        };
        let id = data_dir_id(&data_dir)?;
        let runner = runner(config, scanner.clone(), &results_dir, &data_dir, &id)?;
        let catalogue = catalogue_view(&runner);
        let renderer: Arc<dyn RenderReport> = Arc::new(Renderer(runner.report_renderer()));
        let node = match role {
            Role::Offline => None,
            Role::Serve | Role::OneShot => {
                sweep(&id).await?;
                let ports = NodePorts {
                    store: Arc::clone(&desk.store),
                    queue: Arc::clone(&desk.queue),
                    bus: Arc::clone(&desk.bus),
                    runner: Arc::new(runner),
                    clock: Arc::clone(&desk.clock),
                    board: Arc::clone(&desk.board),
                };
                Some(node::start(node_config(config, role), ports).await?)
            }
        };
        Ok(Self { desk, scanner, node, catalogue, results_dir, renderer, grace: config.scans.shutdown_grace_seconds })
    }

    /// Asks the scanner that the configuration leads to what it offers, without starting anything else.
    ///
    /// # Errors
    /// It is missing, or does not answer.
    pub async fn ask_scanner(config: &Config) -> Result<Arc<CatalogueView>, AppError> {
        let (results_dir, data_dir) = (absolute(&config.results_dir())?, absolute(&config.data.dir)?);
        let runner = runner(config, scanner(config)?, &results_dir, &data_dir, "none")?;
        let catalogue = runner.refresh_catalogue().await.map_err(AppError::Scanner)?;
        Ok(Arc::new(view_of(&catalogue)))
    }

    /// The scanner's plugins; `None` while it is being asked.
    #[must_use]
    pub fn catalogue(&self) -> watch::Receiver<Option<Arc<CatalogueView>>> {
        self.catalogue.clone()
    }

    /// Where the files of an attempt are.
    #[must_use]
    pub fn attempt_dir(&self) -> AttemptDir {
        let results = self.results_dir.clone();
        Arc::new(move |record: &ScanRecord, attempt: AttemptNumber| {
            AttemptPaths::new(&results, &record.request.target, record.created_at, record.id, attempt).attempt_dir
        })
    }

    /// What renders reports once more.
    #[must_use]
    pub fn renderer(&self) -> Arc<dyn RenderReport> {
        Arc::clone(&self.renderer)
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

    /// Stops: every running scan goes back to pending at no cost, within the shutdown grace.
    pub async fn stop(&self) {
        if let Some(node) = &self.node {
            node.shutdown(self.grace).await;
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, AppError> {
    std::path::absolute(path).map_err(|source| AppError::Folder { path: path.to_owned(), source })
}

/// The scanner that the configuration asks for: `KAST_CLI_PATH` or `kast` on the PATH wins, then the built-in one.
fn scanner(config: &Config) -> Result<ScannerCommand, AppError> {
    let own_exe = std::env::current_exe().map_err(AppError::Runner)?;
    let path = std::env::var_os("PATH");
    let found = ScannerCommand::find(config.kast.path.as_deref().map(Path::as_os_str), path.as_deref(), &own_exe);
    match config.kast.scanner {
        ScannerChoice::Auto => Ok(found),
        ScannerChoice::Builtin => Ok(ScannerCommand::builtin(own_exe)),
        ScannerChoice::Kast if found.kind == kastrel_actors::model::ScannerKind::Kast => Ok(found),
        ScannerChoice::Kast => Err(AppError::NoKast),
    }
}

fn runner(config: &Config, scanner: ScannerCommand, results_dir: &Path, data_dir: &Path, id: &str) -> Result<KastRunner, AppError> {
    let defaults = KastRunnerConfig::new(scanner, results_dir, data_dir.join("cache"), id);
    KastRunner::new(KastRunnerConfig {
        log_cap: config.kast.log_cap_bytes as u64,
        grace: Grace { interrupt: config.kast.interrupt_grace_seconds, terminate: config.kast.terminate_grace_seconds },
        scope: config.scope_policy(),
        env_allow: config.kast.environment.names().to_vec(),
        kast_config: config.kast.config_file.clone(),
        logo: config.kast.logo.clone(),
        ..defaults
    })
    .map_err(AppError::Runner)
}

/// The runner's catalogue in the words of the web.
fn catalogue_view(runner: &KastRunner) -> watch::Receiver<Option<Arc<CatalogueView>>> {
    let mut source = runner.catalogue();
    let view = |catalogue: &Option<Arc<Catalogue>>| catalogue.as_ref().map(|catalogue| Arc::new(view_of(catalogue)));
    let (sender, receiver) = watch::channel(view(&source.borrow_and_update()));
    tokio::spawn(async move {
        while source.changed().await.is_ok() {
            let now = view(&source.borrow_and_update());
            if sender.send(now).is_err() {
                return;
            }
        }
    });
    receiver
}

fn view_of(catalogue: &Catalogue) -> CatalogueView {
    let issue = |(id, kind): (&String, &IssueKind)| {
        let IssueKind { severity, title, description, remediation, category } = kind.clone();
        (id.clone(), IssueText { severity, title, description, remediation, category })
    };
    CatalogueView {
        scanner: catalogue.scanner.clone(),
        plugins: catalogue.plugins.clone(),
        issues: catalogue.registry.iter().map(issue).collect(),
        settings: catalogue.settings.clone(),
    }
}

/// The runner's renderer behind the web's port.
struct Renderer(ReportRenderer);

#[async_trait]
impl RenderReport for Renderer {
    async fn render(&self, record: &ScanRecord, attempt: AttemptNumber, format: ReportFormat) -> Result<(), String> {
        self.0.render(record, attempt, format).await.map_err(|error| {
            if let RenderError::Run(source) = &error {
                tracing::warn!(error = source as &dyn std::error::Error, "a report could not be rendered");
            }
            error.to_string()
        })
    }
}

fn node_config(config: &Config, role: Role) -> NodeConfig {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = config.node.name.clone().unwrap_or_else(|| host.clone());
    let defaults = NodeConfig::new(node_id(&name), config.scans.concurrency);
    NodeConfig {
        host,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        lease: config.lease_policy(),
        retry: config.retry_policy(),
        limits: config.limits(),
        actor_intensity: config.restart_intensity(),
        // The embedded database has one process, and its lock is ours.
        sole_node: true,
        adopts_waiting: role == Role::Serve,
        ..defaults
    }
}

/// A readable name, cleaned, and a part that is new at each start.
fn node_id(name: &str) -> NodeId {
    let clean: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).take(60).collect();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let text = format!("{}-{}", if clean.is_empty() { "node" } else { &clean }, &unique[..8]);
    text.parse().unwrap_or_else(|_| unreachable!("only characters that an id may have"))
}

/// The data folder's own identity, made at its first use. Leftovers of other data folders on this machine are not ours to kill.
fn data_dir_id(data_dir: &Path) -> Result<String, AppError> {
    let path = data_dir.join("id");
    let folder = |source| AppError::Folder { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(text) if uuid::Uuid::parse_str(text.trim()).is_ok() => Ok(text.trim().to_owned()),
        Ok(_) => Err(folder(std::io::Error::new(std::io::ErrorKind::InvalidData, "the file should hold a UUID; delete it if no scan of this folder runs"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = uuid::Uuid::new_v4().to_string();
            std::fs::write(&path, format!("{id}\n")).map_err(folder)?;
            Ok(id)
        }
        Err(error) => Err(folder(error)),
    }
}

async fn sweep(id: &str) -> Result<(), AppError> {
    let swept = sweep_leftovers(id, SWEEP_LIMIT).await;
    if swept.killed > 0 {
        info!(killed = swept.killed, "killed processes that an earlier run left behind");
    }
    if swept.left > 0 { Err(AppError::Leftovers(swept.left)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_readable_valid_and_new_each_time() {
        assert!(node_id("web-1.example").as_str().starts_with("web-1.example-"));
        assert!(node_id("ü /\n").as_str().starts_with("node-"));
        assert_ne!(node_id("a"), node_id("a"));
        assert!(node_id(&"x".repeat(500)).as_str().len() <= 80);
    }

    #[test]
    fn a_data_folder_keeps_its_identity() {
        let dir = tempfile::tempdir().unwrap();
        let id = data_dir_id(dir.path()).unwrap();
        assert_eq!(data_dir_id(dir.path()).unwrap(), id);
        std::fs::write(dir.path().join("id"), "../x").unwrap();
        assert!(matches!(data_dir_id(dir.path()), Err(AppError::Folder { .. })));
    }
}
