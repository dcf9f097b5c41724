//! The production implementation of [`AppHost`]: starts the application for the commands.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::backend::{BackendError, LocalBackend, PluginList, PluginSource};
use super::error::CliError;
use super::host::{AppHost, Role, RunningApp};
use crate::app::{App, AppFailure, prepare_first_admin};
use crate::config::{Config, process_environment};
use crate::descriptors;
use crate::ports::ScannerCatalog;
use crate::server::{Server, ServerError};
use crate::service::findings::FindingServices;
use crate::service::findings::ingest::FindingRebuild;
use crate::telemetry::{self, Telemetry};

/// How long to wait for the scanner's list of plugins.
const CATALOGUE_LIMIT: Duration = Duration::from_secs(60);

/// The host of the real application. See the module documentation.
#[derive(Debug, Clone, Default)]
pub struct KastrelHost {
    /// Set when logging is set up.
    telemetry: Arc<OnceLock<Telemetry>>,
}

impl KastrelHost {
    /// Exports the remaining telemetry, within a time limit. Blocks; the caller calls it after the
    /// command, whatever its result is.
    pub fn flush(&self) {
        if let Some(telemetry) = self.telemetry.get() {
            telemetry.flush();
        }
    }

    /// Returns the telemetry of this process. Without logging, nothing is exported.
    fn telemetry(&self) -> &Telemetry {
        self.telemetry.get_or_init(Telemetry::without_exporters)
    }
}

#[async_trait]
impl AppHost for KastrelHost {
    fn init_logging(&self, config: &Config, role: Role) -> Result<(), CliError> {
        let env = process_environment(std::env::vars_os())?;
        self.telemetry.get_or_init(|| telemetry::start(&config.log, role, &env));
        Ok(())
    }

    async fn start(&self, config: &Config, role: Role) -> Result<Box<dyn RunningApp>, CliError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| CliError::App(error);
        role.check(config)?;
        // Raise the limit before anything starts that inherits or counts descriptors.
        descriptors::raise();
        // Bind the address first: a process that cannot bind it must not have leased scans by then.
        let server = match role {
            Role::Serve | Role::Web | Role::Worker => {
                Some(Server::bind(config, role).await.map_err(|error| match error {
                    // Nothing was bound: the configuration is wrong.
                    ServerError::NotLoopback(_) | ServerError::WorkerNotLoopback(_) | ServerError::Tls(_) => {
                        CliError::Usage(error.to_string())
                    }
                    ServerError::Bind { .. } | ServerError::ServerFile { .. } => failed(error.into()),
                })?)
            }
            Role::OneShot | Role::Offline => None,
        };
        let app = Arc::new(App::start(config, role, self.telemetry()).await?);
        if let Some(server) = server.as_ref().filter(|_| role != Role::Worker)
            && let Err(error) = prepare_first_admin(&app.access, config, &server.local_url()).await
        {
            app.stop().await;
            app.close().await;
            return Err(failed(error.into()));
        }
        let server = match server.map(|server| server.announce(config)).transpose() {
            Ok(server) => server.map(|server| serve(server, Arc::clone(&app), config.clone())),
            Err(error) => {
                app.stop().await;
                app.close().await;
                return Err(failed(error.into()));
            }
        };
        Ok(Box::new(Running { app, server }))
    }

    async fn scanner(&self, config: &Config) -> Result<PluginList, CliError> {
        let catalogue = App::ask_scanner(config).await.map_err(|error| CliError::App(error.into()))?;
        Ok(plugin_list(&catalogue))
    }
}

fn plugin_list(catalogue: &ScannerCatalog) -> PluginList {
    PluginList { scanner: Some(catalogue.scanner.clone()), plugins: catalogue.plugins.clone() }
}

struct Running {
    app: Arc<App>,
    server: Option<RunningServer>,
}

struct RunningServer {
    url: String,
    stop: CancellationToken,
    /// Cancelled when the server has ended for any reason.
    ended: CancellationToken,
    task: AbortOnDropHandle<()>,
}

fn serve(server: Server, app: Arc<App>, config: Config) -> RunningServer {
    let url = server.url();
    let stop = CancellationToken::new();
    let token = stop.clone();
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        server.run(&app, &config, token).await;
        drop(guard);
    }));
    RunningServer { url, stop, ended, task }
}

#[async_trait]
impl RunningApp for Running {
    fn backend(&self) -> LocalBackend {
        LocalBackend::new(
            self.app.services.clone(),
            self.app.access.clone(),
            FindingServices { findings: self.app.findings.clone(), targets: self.app.targets.clone() },
            Arc::clone(&self.app.artifacts),
            Arc::new(Catalogue(self.app.catalogue())),
        )
    }

    fn rebuild(&self) -> Option<FindingRebuild> {
        Some(self.app.rebuild())
    }

    fn url(&self) -> Option<String> {
        self.server.as_ref().map(|server| server.url.clone())
    }

    async fn failed(&self) -> AppFailure {
        let ended = async {
            match &self.server {
                Some(server) => server.ended.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            why = self.app.failure() => why,
            () = ended => AppFailure::Node("the web server ended".into()),
        }
    }

    /// Stops the scans first: the dashboard still shows how they end.
    async fn stop(self: Box<Self>) {
        self.app.stop().await;
        if let Some(server) = self.server {
            server.stop.cancel();
            // A server that panicked has ended as well.
            let _ = server.task.await;
        }
        self.app.close().await;
    }
}

struct Catalogue(watch::Receiver<Option<Arc<ScannerCatalog>>>);

#[async_trait]
impl PluginSource for Catalogue {
    async fn plugins(&self) -> Result<PluginList, BackendError> {
        let mut catalogue = self.0.clone();
        let known = tokio::time::timeout(CATALOGUE_LIMIT, catalogue.wait_for(Option::is_some)).await;
        match known {
            Ok(Ok(catalogue)) => Ok(catalogue.as_deref().map(plugin_list).unwrap_or_default()),
            Ok(Err(_)) | Err(_) => Err(BackendError::Other(
                "the scanner did not list its plugins; run `kastrel doctor` for details".into(),
            )),
        }
    }
}
