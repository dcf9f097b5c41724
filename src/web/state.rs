//! What every handler may use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use jiff::Timestamp;
use kastrel_actors::model::{
    AttemptNumber, PluginInfo, ReportFiles, ReportFormat, ScanRecord, ScannerInfo, ScannerOffer, SettingNatures,
    Severity,
};
use kastrel_actors::policy::access::Role;
use kastrel_actors::policy::overrides::SettingsSchema;
use kastrel_actors::service::ScanService;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::api::status_cache::StatusCache;
use super::limits::reserved_use;
use super::{Edge, HostRule, RequestLimits};
use crate::adapters::artifacts::ArtifactStore;
use crate::adapters::redis_queue::RedisHealth;
use crate::backup::{BackupSource, BackupStatus};
use crate::config::TraceUrl;
use crate::connections::ReservedUse;
use crate::server_proof::ServerKey;
use crate::telemetry::Telemetry;
use crate::telemetry::readings::Sources;
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// A kind of issue, as the scanner's registry describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueText {
    /// How bad it is.
    pub severity: Severity,
    /// Its name for people.
    pub title: String,
    /// What it means.
    pub description: String,
    /// What to do about it.
    pub remediation: String,
    /// The family it belongs to.
    pub category: String,
}

/// A scanner and what it offers: that of this node, or what the nodes offer together.
///
/// A [`ScannerOffer`] and what is too large to stand in the row of every node.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogueView {
    /// Which scanner.
    pub scanner: ScannerInfo,
    /// Its plugins.
    pub plugins: Vec<PluginInfo>,
    /// The issues that it knows, by id; empty where it is not asked here.
    pub issues: BTreeMap<String, IssueText>,
    /// What its settings are, as far as their names do not say it.
    pub natures: SettingNatures,
    /// What can be set; `None` where it does not say.
    pub settings: Option<SettingsSchema>,
}

impl From<&ScannerOffer> for CatalogueView {
    fn from(offer: &ScannerOffer) -> Self {
        Self {
            scanner: offer.scanner.clone(),
            plugins: offer.plugins.clone(),
            issues: BTreeMap::new(),
            natures: offer.settings.clone(),
            settings: offer.schema.clone(),
        }
    }
}

/// One line of the configuration in effect, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingLine {
    /// The key's full name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Renders the reports of an ended attempt once more.
#[async_trait]
pub trait RenderReport: Send + Sync + 'static {
    /// Renders them and tells which were written, one at least; or says in a sentence for people
    /// why there is none.
    async fn render(
        &self,
        record: &ScanRecord,
        attempt: AttemptNumber,
        format: ReportFormat,
    ) -> Result<ReportFiles, String>;
}

/// The key of the data folder, and the address at which commands of this machine reach this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerProof {
    /// The key.
    pub key: ServerKey,
    /// The address.
    pub url: String,
}

/// What this program says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppInfo {
    /// Kastrel's version.
    pub version: String,
    /// Where the data is, in words for the page's foot: a folder or a database's address without
    /// its password.
    pub data_label: String,
}

/// What the application hands to the web.
#[derive(Clone)]
pub struct WebState {
    /// Where scans are handed in, asked about and called off.
    pub service: ScanService,
    /// The scanner's plugins; `None` while they are being asked for.
    pub catalogue: watch::Receiver<Option<Arc<CatalogueView>>>,
    /// The files of scans.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// What renders reports again; `None` where nothing can.
    pub renderer: Option<Arc<dyn RenderReport>>,
    /// The configuration in effect, for the settings page.
    pub settings: Arc<Vec<SettingLine>>,
    /// Everything that the store keeps, to be backed up.
    pub backup: Arc<dyn BackupSource>,
    /// The automatic backups that there are; `None` where none are made.
    pub backups: Option<watch::Receiver<BackupStatus>>,
    /// What to say of ourselves.
    pub info: AppInfo,
    /// How often a scan's page asks for news.
    pub poll_interval: Duration,
    /// How many attempts a scan has.
    pub max_attempts: u32,
    /// How long a node that is told to drain may finish what it runs, where nothing else is said.
    pub drain_limit: Duration,
    /// Whether this process also runs scans, so that readiness depends on its node.
    pub runs_scans: bool,
    /// How Redis is, where there is one.
    pub redis: Option<RedisHealth>,
    /// What this process tells with.
    pub telemetry: Telemetry,
    /// Where its metrics look.
    pub sources: Sources,
    /// Where a trace is shown, if there is such a place.
    pub trace_url: Option<Arc<TraceUrl>>,
    /// The role of those who have no name; `None`: they have no rights.
    pub anonymous: Option<Role>,
    /// Which `Host` headers are ours.
    pub hosts: HostRule,
    /// How this server proves itself to commands of its data folder.
    pub proof: Option<ServerProof>,
    /// What is between the router and the proxies.
    pub edge: Edge,
    /// Cancelled when the server begins to stop: open event streams end, so that they do not hold
    /// it up.
    pub closing: CancellationToken,
}

/// As many requests are being answered as may.
#[derive(Debug)]
pub(crate) struct NoTurn;

/// [`WebState`] and what the web keeps beside it. Every handler gets it as `State<Web>`.
pub(crate) type Web = Arc<WebInner>;

pub(crate) struct WebInner {
    pub(crate) state: WebState,
    pub(crate) limits: RequestLimits,
    /// Requests that are being answered, without the status route and event streams.
    in_flight: Semaphore,
    /// Health checks that are being answered.
    health: Semaphore,
    /// The memory that bodies share while they arrive, in bytes.
    pub(crate) bodies: Semaphore,
    /// Open event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// The one backup that may be on its way.
    pub(crate) backups: Arc<Semaphore>,
    /// Distinguishes event ids of this run of the program from those of an earlier one.
    pub(crate) run: u32,
    /// The status route's last answers.
    pub(crate) statuses: StatusCache,
    /// The API's description.
    pub(crate) openapi: Bytes,
}

impl WebInner {
    pub(crate) fn new(state: WebState, limits: RequestLimits, openapi: Bytes) -> Self {
        let (in_flight, streams) = (Semaphore::new(limits.requests), Arc::new(Semaphore::new(limits.event_streams)));
        state.telemetry.readings().watch_streams(Arc::clone(&streams), limits.event_streams);
        let backups = Arc::new(Semaphore::new(1));
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
            run: rand::random(),
            statuses: StatusCache::default(),
            openapi,
        }
    }

    /// A turn to be answered, if there is one. Health checks wait for theirs; a liveness check
    /// needs none.
    pub(crate) async fn turn(&self, path: &str) -> Result<Option<SemaphorePermit<'_>>, NoTurn> {
        match reserved_use(path) {
            ReservedUse::Liveness => Ok(None),
            ReservedUse::Health => self.health.acquire().await.map(Some).map_err(|_| NoTurn),
            ReservedUse::Nothing => self.in_flight.try_acquire().map(Some).map_err(|_| NoTurn),
        }
    }

    pub(crate) fn service(&self) -> &ScanService {
        &self.state.service
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.state.service.clock.now()
    }

    /// What time it is for a viewer.
    pub(crate) fn clock(&self, viewer: &Viewer) -> WallClock {
        WallClock { now: self.now(), zone: viewer.zone.clone() }
    }

    /// Why there is no catalogue yet.
    pub(crate) const fn no_catalogue(&self) -> &'static str {
        if self.state.runs_scans {
            "the scanner is still being detected"
        } else {
            "no worker is connected yet, or its scanner is still being detected"
        }
    }

    /// Where a trace is shown, if there is such a place.
    pub(crate) fn trace_url(&self, trace_id: &str) -> Option<String> {
        self.state.trace_url.as_ref().map(|url| url.of(trace_id))
    }

    pub(crate) fn catalogue(&self) -> Option<Arc<CatalogueView>> {
        self.state.catalogue.borrow().clone()
    }
}
