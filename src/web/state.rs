//! What every handler may use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use jiff::Timestamp;
use kastrel_actors::desk::ScanDesk;
use kastrel_actors::model::{AttemptNumber, PluginInfo, ReportFormat, ScanRecord, ScannerInfo, ScannerKind, Severity};
use kastrel_actors::policy::overrides::SettingsSchema;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::api::status_cache::StatusCache;
use super::{HostRule, RequestLimits};

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

/// The scanner of this node and what it offers.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogueView {
    /// Which scanner.
    pub scanner: ScannerInfo,
    /// Its plugins.
    pub plugins: Vec<PluginInfo>,
    /// The issues that it knows, by id.
    pub issues: BTreeMap<String, IssueText>,
    /// What can be set; `None` where it does not say.
    pub settings: Option<SettingsSchema>,
}

impl CatalogueView {
    /// The scanner in words that nobody can mistake: `KAST 3.0.40` or `built-in scanner 0.1.0 — KAST was not found`.
    #[must_use]
    pub fn headline(&self) -> String {
        match self.scanner.kind {
            ScannerKind::Kast => self.scanner.label(),
            ScannerKind::Builtin => format!("{} — KAST was not found", self.scanner.label()),
        }
    }
}

/// Tells where the files of an attempt are.
pub type AttemptDir = Arc<dyn Fn(&ScanRecord, AttemptNumber) -> PathBuf + Send + Sync>;

/// How something that we depend on is, in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether it does its work.
    pub ok: bool,
    /// How it is, such as `answers in 1 ms`.
    pub text: String,
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
    /// Renders them, or says in a sentence for people why not.
    async fn render(&self, record: &ScanRecord, attempt: AttemptNumber, format: ReportFormat) -> Result<(), String>;
}

/// What this program says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppInfo {
    /// Kastrel's version.
    pub version: String,
    /// Where the data is, in words for the page's foot: a folder or a database's address without its password.
    pub data_label: String,
}

/// What the application hands to the web.
#[derive(Clone)]
pub struct WebState {
    /// Where scans are handed in, asked about and called off.
    pub desk: ScanDesk,
    /// The scanner's plugins; `None` while they are being asked for.
    pub catalogue: watch::Receiver<Option<Arc<CatalogueView>>>,
    /// Where the files of an attempt are.
    pub attempt_dir: AttemptDir,
    /// What renders reports again; `None` where nothing can.
    pub renderer: Option<Arc<dyn RenderReport>>,
    /// How Redis is, where there is one.
    pub redis: Option<watch::Receiver<Health>>,
    /// The configuration in effect, for the settings page.
    pub settings: Arc<Vec<SettingLine>>,
    /// What to say of ourselves.
    pub info: AppInfo,
    /// How often a scan's page asks for news.
    pub poll_interval: Duration,
    /// How many attempts a scan has.
    pub max_attempts: u32,
    /// Whether this process also runs scans, so that readiness depends on its node.
    pub runs_scans: bool,
    /// Which `Host` headers are ours.
    pub hosts: HostRule,
    /// Cancelled when the server begins to stop: open event streams end, so that they do not hold it up.
    pub closing: CancellationToken,
}

/// [`WebState`] and what the web keeps beside it. Every handler gets it as `State<Web>`.
pub(crate) type Web = Arc<WebInner>;

pub(crate) struct WebInner {
    pub(crate) state: WebState,
    pub(crate) limits: RequestLimits,
    /// Requests that are being answered, without the status route and event streams.
    pub(crate) in_flight: Semaphore,
    /// Open event streams.
    pub(crate) streams: Arc<Semaphore>,
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
        Self { state, limits, in_flight, streams, run: rand::random(), statuses: StatusCache::default(), openapi }
    }

    pub(crate) fn desk(&self) -> &ScanDesk {
        &self.state.desk
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.state.desk.clock.now()
    }

    pub(crate) fn catalogue(&self) -> Option<Arc<CatalogueView>> {
        self.state.catalogue.borrow().clone()
    }
}
