//! The state that every handler gets.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use jiff::Timestamp;
use kastrel_actors::model::{DomainEvent, Grants, Principal, RequestContext, ScanId};
use kastrel_actors::ports::StoreError;
use kastrel_actors::service::{AuditService, NodeService, QueueService, ReportingService, ScanService, Services};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::edge::Edge;
use super::hosts::HostRule;
use super::limits::{RequestLimits, reserved_use};
use super::renderings::{Fragment, RenderedScan, SharedRenderings};
use super::status_cache::StatusCache;
use super::viewer::Viewer;
use super::zone::WallClock;
use crate::backup::{BackupSource, BackupStatus};
use crate::config::{PublicUrl, TraceUrl};
use crate::connections::ReservedUse;
use crate::ports::{ArtifactStore, RedisHealth, ReportRenderer, ScannerCatalog};
use crate::server_proof::ServerKey;
use crate::service::DeletionService;
use crate::service::access::AccessService;
use crate::service::findings::{FindingService, TargetService};
use crate::telemetry::Telemetry;
use crate::telemetry::readings::Sources;

/// One line of the effective configuration, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingLine {
    /// The full name of the key.
    pub key: String,
    /// The value of the key.
    pub value: String,
}

/// The key of the data folder, and the URL at which commands on this machine reach this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerProof {
    /// The key of the data folder.
    pub key: ServerKey,
    /// The URL of this server.
    pub url: String,
}

/// Information about this program for the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppInfo {
    /// The version of Kastrel.
    pub version: String,
    /// The location of the data, for the footer of the pages: a folder, or a database address
    /// without its password.
    pub data_label: String,
}

/// The dependencies of the web server, which the application provides.
#[derive(Clone)]
pub struct WebState {
    /// The services: the operations on scans, queue and nodes.
    pub services: Services,
    /// Deletes scans with their files.
    pub deletion: DeletionService,
    /// The scanner's catalogue; `None` until it is known.
    pub catalogue: watch::Receiver<Option<Arc<ScannerCatalog>>>,
    /// The store of the scans' files.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// Regenerates reports; `None` if this process cannot.
    pub renderer: Option<Arc<dyn ReportRenderer>>,
    /// The effective configuration, for the settings page.
    pub settings: Arc<Vec<SettingLine>>,
    /// The source of backups.
    pub backup: Arc<dyn BackupSource>,
    /// The status of the automatic backups; `None` if this process makes none.
    pub backups: Option<watch::Receiver<BackupStatus>>,
    /// Information about this program.
    pub info: AppInfo,
    /// How often the page of a scan polls.
    pub poll_interval: Duration,
    /// The maximum number of attempts of a scan.
    pub max_attempts: u32,
    /// Whether this process also runs scans, so that its readiness depends on its node.
    pub runs_scans: bool,
    /// The health of the Redis connection; `None` without Redis.
    pub redis: Option<RedisHealth>,
    /// The telemetry of this process.
    pub telemetry: Telemetry,
    /// The sources of its metrics.
    pub sources: Sources,
    /// The URL template of traces in the tracing UI; `None` if none is configured.
    pub trace_url: Option<Arc<TraceUrl>>,
    /// Accounts, sessions, tokens and projects.
    pub access: AccessService,
    /// Findings.
    pub findings: FindingService,
    /// Targets.
    pub targets: TargetService,
    /// The address under which browsers reach this server; `None` if none is configured.
    pub public_url: Option<Arc<PublicUrl>>,
    /// The rights of a client that does not say who it is; `None` if a client must.
    pub anonymous: Option<Arc<Grants>>,
    /// The accepted `Host` headers.
    pub hosts: HostRule,
    /// The key with which this server proves itself to commands of its data folder.
    pub proof: Option<ServerProof>,
    /// The configuration of the outermost layer, towards the proxies.
    pub edge: Edge,
    /// Cancelled when the server begins to stop: open event streams then end, so that they do not
    /// delay the stop.
    pub closing: CancellationToken,
}

/// The error that the maximum number of requests is already in progress.
#[derive(Debug)]
pub(crate) struct NoTurn;

/// [`WebState`] and the internal state of the web server. Every handler gets it as `State<Web>`.
pub(crate) type Web = Arc<WebInner>;

/// How many archives are made in parallel: each holds a thread.
const ARCHIVES_AT_ONCE: usize = 4;

/// How many tools wait for a scan in parallel: each holds a permit of a request.
const TOOL_WAITS: usize = 64;

pub(crate) struct WebInner {
    pub(crate) state: WebState,
    pub(crate) limits: RequestLimits,
    /// The permits of requests, not counting the status route and event streams.
    in_flight: Semaphore,
    /// The permits of health checks.
    health: Semaphore,
    /// The memory that bodies share while they are received, in bytes.
    pub(crate) bodies: Semaphore,
    /// The permits of event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// The permit of the one backup download.
    pub(crate) backups: Arc<Semaphore>,
    /// The permits of archives.
    pub(crate) archives: Arc<Semaphore>,
    /// The permits of tools that wait for a scan.
    pub(crate) tool_waits: Semaphore,
    /// Distinguishes event ids of this run of the program from those of an earlier run.
    pub(crate) run: u32,
    /// The cached responses of the status route.
    pub(crate) statuses: StatusCache,
    /// The fragments of pages that show many scans.
    pub(crate) fragments: SharedRenderings<Fragment>,
    /// The parts of scans' pages.
    pub(crate) scan_parts: SharedRenderings<RenderedScan>,
    /// The OpenAPI description.
    pub(crate) openapi: Bytes,
}

impl WebInner {
    pub(crate) fn new(state: WebState, limits: RequestLimits, openapi: Bytes) -> Self {
        let (in_flight, streams) = (Semaphore::new(limits.requests), Arc::new(Semaphore::new(limits.event_streams)));
        state.telemetry.readings().watch_streams(Arc::clone(&streams), limits.event_streams);
        let backups = Arc::new(Semaphore::new(1));
        let archives = Arc::new(Semaphore::new(ARCHIVES_AT_ONCE));
        let health = Semaphore::new(limits.health_checks);
        let bodies =
            Semaphore::new(limits.arriving_bytes.max(limits.body_bytes.saturating_mul(4)).min(Semaphore::MAX_PERMITS));
        Self {
            state,
            limits,
            in_flight,
            health,
            bodies,
            streams,
            backups,
            archives,
            tool_waits: Semaphore::new(TOOL_WAITS),
            run: rand::random(),
            statuses: StatusCache::default(),
            fragments: SharedRenderings::default(),
            scan_parts: SharedRenderings::default(),
            openapi,
        }
    }

    /// Takes a permit for a request, if one is free. Health checks wait for theirs; a liveness
    /// check needs none.
    pub(crate) async fn turn(&self, path: &str) -> Result<Option<SemaphorePermit<'_>>, NoTurn> {
        match reserved_use(path) {
            ReservedUse::Liveness => Ok(None),
            ReservedUse::Health => self.health.acquire().await.map(Some).map_err(|_| NoTurn),
            ReservedUse::Nothing => self.in_flight.try_acquire().map(Some).map_err(|_| NoTurn),
        }
    }

    pub(crate) const fn scans(&self) -> &ScanService {
        &self.state.services.scans
    }

    pub(crate) const fn queue(&self) -> &QueueService {
        &self.state.services.queue
    }

    pub(crate) const fn audit(&self) -> &AuditService {
        &self.state.services.audit
    }

    pub(crate) const fn nodes(&self) -> &NodeService {
        &self.state.services.nodes
    }

    pub(crate) const fn reporting(&self) -> &ReportingService {
        &self.state.services.reporting
    }

    pub(crate) const fn access(&self) -> &AccessService {
        &self.state.access
    }

    pub(crate) const fn findings(&self) -> &FindingService {
        &self.state.findings
    }

    pub(crate) const fn targets(&self) -> &TargetService {
        &self.state.targets
    }

    /// Returns true if clients must say who they are.
    pub(crate) const fn has_accounts(&self) -> bool {
        self.state.anonymous.is_none()
    }

    /// Writes a download to the audit log, once a request, before its first byte is sent. A client
    /// of a server without accounts has no entry, which would say nothing; nor has a request for
    /// the headers alone. Returns whether there is one.
    ///
    /// # Errors
    /// The store failed to write the entry: the download is refused.
    pub(crate) async fn record_download(
        &self,
        context: &RequestContext,
        method: &Method,
        event: DomainEvent,
        scan: Option<ScanId>,
    ) -> Result<bool, StoreError> {
        if context.principal == Principal::Anonymous || method == Method::HEAD {
            return Ok(false);
        }
        self.access().record_download(context, event, scan).await?;
        Ok(true)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.scans().now()
    }

    /// Returns the current time for a viewer.
    pub(crate) fn clock(&self, viewer: &Viewer) -> WallClock {
        WallClock { now: self.now(), zone: viewer.zone.clone() }
    }

    /// Returns the reason why there is no catalogue yet.
    pub(crate) const fn no_catalogue(&self) -> &'static str {
        if self.state.runs_scans {
            "the scanner is still being detected"
        } else {
            "no worker is connected yet, or its scanner is still being detected"
        }
    }

    /// Returns the URL of a trace in the tracing UI, if one is configured.
    pub(crate) fn trace_url(&self, trace_id: &str) -> Option<String> {
        self.state.trace_url.as_ref().map(|url| url.of(trace_id))
    }

    pub(crate) fn catalogue(&self) -> Option<Arc<ScannerCatalog>> {
        self.state.catalogue.borrow().clone()
    }
}
