//! A web server without a socket: every handler test runs through the complete router. Each JSON
//! response is checked against the API's own description.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use kastrel_actors::Client;
use kastrel_actors::live::SnapshotCache;
use kastrel_actors::model::{
    Command, FaultKind, Grants, HeldBack, NodeFault, NodeHold, PluginInfo, PluginKind, Resolution, ScanId, ScanRecord,
    ScanRequestDraft, ScanStatus, ScannerInfo, ScannerKind, Severity,
};
use kastrel_actors::policy::admission::QueueLimits;
use kastrel_actors::policy::clearance::ClearanceRule;
use kastrel_actors::policy::override_policy::natures_of;
use kastrel_actors::policy::overrides::{SettingRule, SettingsSchema, ValueKind};
use kastrel_actors::policy::scope::ScopePolicy;
use kastrel_actors::policy::second_factor::FactorRule;
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::ports::{Applied, Clock, EventConsumer, LocalControlBus, LocalJobQueue, NoLiveFeed, Stores};
use kastrel_actors::relay::{self, OutcomeCounter};
use kastrel_actors::service::{Consistency, ScanService, ServicePorts, Services};
use kastrel_actors::testing::{Fault, Faults, MemoryStore, PausedClock, TestSealer, fixtures};
use kastrel_findings::registry::Approach;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::state::{Web, WebInner};
use super::{AppInfo, Edge, HostRule, RequestLimits, ServerProof, SettingLine, WebState, router};
use crate::adapters::artifacts::FolderArtifacts;
use crate::backup::BackupStatus;
use crate::config::{PublicUrl, TraceUrl};
use crate::identity::passkey::RelyingParty;
use crate::ports::{ArtifactStore, AttemptPaths, MemoryMailer};
use crate::ports::{IssueFix, IssueText, ScannerCatalog};
use crate::server_proof::ServerKey;
use crate::service::DeletionService;
use crate::service::access::scripted_provider::ScriptedProvider;
use crate::service::access::{AccessService, AccessSettings, MailSettings, ProviderSettings};
use crate::service::findings::FindingServices;
use crate::telemetry::Telemetry;
use crate::telemetry::readings::Sources;
use crate::web::api::openapi;

mod backups;
mod live_tail;
mod no_artifacts;
mod schema;
mod test_store;
pub(crate) use backups::{ScriptedBackup, backup_status};
pub(crate) use live_tail::LiveTail;
pub(crate) use no_artifacts::NoArtifacts;
pub(crate) use test_store::TestStore;

fn access_service(memory: &Arc<MemoryStore>, clock: Arc<dyn Clock>, rule: FactorRule) -> AccessService {
    let settings = AccessSettings { second_factor: rule, ..AccessSettings::default() };
    AccessService::new(&Stores::of(memory), clock, Arc::new(TestSealer), settings)
        .with_passkeys(RelyingParty::on_loopback(false))
}

/// The server and its dependencies.
pub(crate) struct TestApp {
    pub(crate) services: Services,
    pub(crate) service: ScanService,
    pub(crate) snapshots: Arc<SnapshotCache>,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) store: Arc<TestStore>,
    pub(crate) closing: CancellationToken,
    pub(crate) results: TempDir,
    pub(crate) backup: Arc<ScriptedBackup>,
    pub(crate) backups: watch::Sender<BackupStatus>,
    catalogue: watch::Sender<Option<Arc<ScannerCatalog>>>,
    state: WebState,
    router: Router,
    /// Whether each request is one of a command of the data folder.
    is_system: bool,
}

impl TestApp {
    pub(crate) fn new() -> Self {
        Self::with_limits(RequestLimits::default())
    }

    pub(crate) fn with_limits(limits: RequestLimits) -> Self {
        Self::with(limits, None)
    }

    /// An app with `telemetry`, and services into whose ports `change` may put observers.
    pub(crate) fn with_telemetry(telemetry: &Telemetry, change: impl FnOnce(&mut ServicePorts)) -> Self {
        Self::build(RequestLimits::default(), None, telemetry.clone(), change)
    }

    /// An app with a limit of queued scans, and the share of it that one client may use, in
    /// percent.
    pub(crate) fn with_room_for(max_waiting: u64, client_percent: u64) -> Self {
        Self::build(RequestLimits::default(), None, Telemetry::without_exporters(), |ports| {
            ports.limits = QueueLimits { max_waiting, client_percent }
        })
    }

    /// An app with another artifact store than the folder `results`.
    pub(crate) fn with_artifacts(artifacts: Arc<dyn ArtifactStore>) -> Self {
        Self::with(RequestLimits::default(), Some(artifacts))
    }

    /// An app behind proxies.
    pub(crate) fn with_edge(edge: Edge) -> Self {
        let mut app = Self::new();
        app.state.edge = edge;
        app.router = router(app.state.clone(), RequestLimits::default());
        app
    }

    /// An app with these rights for every request; `None` turns accounts on.
    pub(crate) fn with_anonymous(grants: Option<Grants>) -> Self {
        let clearance = if grants.is_none() { ClearanceRule::Required } else { ClearanceRule::NotRequired };
        let telemetry = Telemetry::without_exporters();
        let mut app = Self::build(RequestLimits::default(), None, telemetry, |ports| ports.clearance = clearance);
        app.state.anonymous = grants.map(Arc::new);
        app.router = router(app.state.clone(), RequestLimits::default());
        app
    }

    /// An app with accounts, none of which exists yet. They are in `memory`.
    pub(crate) fn with_accounts() -> Self {
        Self::with_anonymous(None)
    }

    /// An app with accounts that sends mails, which the sender keeps.
    pub(crate) fn with_mails() -> (Self, Arc<MemoryMailer>) {
        let mut app = Self::with_accounts();
        let mailer = Arc::<MemoryMailer>::default();
        let settings =
            MailSettings { mailer: Arc::<MemoryMailer>::clone(&mailer), url: "https://scans.test".to_owned() };
        let (access, jobs) = app.state.access.clone().with_mail(settings);
        tokio::spawn(access.clone().carry_out(jobs));
        app.state.access = access;
        app.router = router(app.state.clone(), RequestLimits::default());
        (app, mailer)
    }

    /// An app with accounts, which browsers reach at this address.
    pub(crate) fn with_public_url(text: &str) -> Self {
        let mut app = Self::with_accounts();
        app.state.public_url = Some(Arc::new(PublicUrl::parse(text).unwrap()));
        app.router = router(app.state.clone(), RequestLimits::default());
        app
    }

    /// An app with accounts, of which some must have a second factor.
    pub(crate) fn with_factor_rule(rule: FactorRule) -> Self {
        let mut app = Self::with_accounts();
        app.state.access = access_service(&app.memory, Arc::new(PausedClock::default()), rule);
        app.router = router(app.state.clone(), RequestLimits::default());
        app
    }

    /// An app with accounts and an identity provider.
    pub(crate) fn with_provider(provider: Arc<ScriptedProvider>, settings: ProviderSettings) -> Self {
        let mut app = Self::with_accounts();
        app.state.access = app.state.access.with_provider(provider, settings);
        app.router = router(app.state.clone(), RequestLimits::default());
        app
    }

    /// An app whose requests are those of a command that can read the data folder.
    pub(crate) fn as_system() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = ServerKey::open(folder.path()).unwrap();
        Self { is_system: true, ..Self::with_proof(ServerProof { key, url: "http://127.0.0.1:5000".into() }) }
    }

    /// The same, with a store that does not respond to the access service.
    pub(crate) fn as_system_without_access_store() -> Self {
        let mut app = Self::as_system();
        let failing = Stores::of(&app.memory).hooked(&Faults::new(|| Fault::Unreachable));
        let clock = Arc::new(PausedClock::default());
        app.state.access = AccessService::new(&failing, clock, Arc::new(TestSealer), AccessSettings::default());
        app.router = router(app.state.clone(), RequestLimits::default());
        app
    }

    /// An app with a key that proves its identity.
    pub(crate) fn with_proof(proof: ServerProof) -> Self {
        let mut app = Self::new();
        app.state.proof = Some(proof);
        app.router = router(app.state.clone(), RequestLimits::default());
        app
    }

    fn with(limits: RequestLimits, artifacts: Option<Arc<dyn ArtifactStore>>) -> Self {
        Self::build(limits, artifacts, Telemetry::without_exporters(), |_| {})
    }

    fn build(
        limits: RequestLimits,
        artifacts: Option<Arc<dyn ArtifactStore>>,
        telemetry: Telemetry,
        change: impl FnOnce(&mut ServicePorts),
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::default());
        let memory = Arc::new(MemoryStore::new(clock.clone()));
        let store = TestStore::new(memory.clone());
        let mut ports = ServicePorts {
            feed: Arc::new(NoLiveFeed::default()),
            consistency: Consistency::SingleWriter,
            store: store.ports(),
            queue: Arc::new(LocalJobQueue::new(clock.clone())),
            bus: Arc::new(LocalControlBus::default()),
            snapshots: Arc::new(SnapshotCache::default()),
            clock,
            scope: Arc::new(ScopePolicy::default()),
            overrides: Arc::default(),
            sealer: Arc::new(TestSealer),
            limits: QueueLimits::default(),
            drain_limit: Duration::from_secs(600),
            clearance: ClearanceRule::NotRequired,
        };
        let clock = Arc::clone(&ports.clock);
        let access = access_service(&memory, clock, FactorRule::Off);
        change(&mut ports);
        let snapshots = Arc::clone(&ports.snapshots);
        let (catalogue, catalogue_view) = watch::channel(None);
        let (stores, clock) = (ports.store.clone(), Arc::clone(&ports.clock));
        let services = Services::new(ports);
        let FindingServices { findings, targets } =
            FindingServices::new(&stores, services.scans.clone(), clock, catalogue_view.clone());
        let closing = CancellationToken::new();
        let results = tempfile::tempdir().unwrap();
        let backup = Arc::new(ScriptedBackup::default());
        let (backups, backups_view) = watch::channel(BackupStatus::default());
        let artifacts = artifacts.unwrap_or_else(|| Arc::new(FolderArtifacts::new(results.path())));
        let state = WebState {
            services: services.clone(),
            deletion: DeletionService::new(services.scans.clone(), Arc::clone(&artifacts)),
            catalogue: catalogue_view,
            artifacts,
            renderer: None,
            settings: Arc::new(vec![SettingLine { key: "scans.concurrency".into(), value: "4".into() }]),
            backup: backup.clone(),
            backups: Some(backups_view),
            info: AppInfo { version: "0.0.0-test".into(), data_label: "data in memory".into() },
            poll_interval: Duration::from_secs(3),
            max_attempts: 3,
            runs_scans: true,
            redis: None,
            telemetry: telemetry.clone(),
            sources: Sources { reporting: services.reporting.clone(), capacity: Some(4), folders: Vec::new() },
            trace_url: Some(Arc::new(TraceUrl::parse("http://jaeger.test/trace/{trace_id}").unwrap())),
            hosts: HostRule { loopback: true, names: vec!["scans.test".into()], port: 5000 },
            access,
            findings,
            targets,
            public_url: None,
            anonymous: Some(Arc::new(Grants::all())),
            proof: None,
            edge: Edge::default(),
            closing: closing.clone(),
        };
        Self {
            service: services.scans.clone(),
            services,
            snapshots,
            memory,
            store,
            closing,
            results,
            backup,
            backups,
            catalogue,
            router: router(state.clone(), limits),
            state,
            is_system: false,
        }
    }

    /// Sends a request, with `Host: localhost` unless `headers` has another one.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        self.send_body(method, path, headers, Body::from(body.to_owned())).await
    }

    /// The same with a body that may arrive in parts.
    pub(crate) async fn send_body(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost:5000");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(proof) = self.state.proof.as_ref().filter(|_| self.is_system) {
            let header = proof.key.prove_command(&proof.url, method, path, self.service.now());
            request = request.header("authorization", header);
        }
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        as_described(method, path, response).await
    }

    /// Sends a request from a peer address.
    pub(crate) async fn send_from(
        &self,
        peer: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let mut request =
            Request::builder().method(method).uri(path).extension(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
    }

    /// Sends a request unchanged.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn post_json(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        let headers: Vec<(&str, &str)> =
            headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.send("POST", path, &headers, &body.to_string()).await
    }

    /// Sends a form as a browser does from our own page.
    pub(crate) async fn post_form(&self, path: &str, body: &str) -> Response {
        self.send(
            "POST",
            path,
            &[("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")],
            body,
        )
        .await
    }

    /// Submits a scan, which is then queued.
    pub(crate) async fn submitted(&self, target: &str) -> ScanId {
        let draft = ScanRequestDraft { target: target.into(), ..ScanRequestDraft::default() };
        self.service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap().scan.record.id
    }

    /// Returns a running scan.
    pub(crate) async fn running(&self, target: &str) -> ScanRecord {
        let id = self.submitted(target).await;
        self.started(id).await
    }

    /// Starts a submitted scan.
    pub(crate) async fn started(&self, id: ScanId) -> ScanRecord {
        let node = fixtures::registration("node-a");
        let command = Command::Lease { node: node.id.clone() };
        self.memory.register(node, Duration::from_secs(3600)).await.unwrap();
        self.apply(id, command).await
    }

    /// Gives this process's node a fault.
    pub(crate) fn hold(&self, kind: FaultKind, text: &str) {
        let faults = vec![NodeFault::new(kind, text, "make it again")];
        let held = HeldBack { since: jiff::Timestamp::UNIX_EPOCH, until: jiff::Timestamp::UNIX_EPOCH, faults };
        self.snapshots.hold(&"node-a".parse().unwrap(), NodeHold { node: Some(held), targets: Vec::new() });
    }

    /// Removes the fault of the node.
    pub(crate) fn hold_nothing(&self) {
        self.snapshots.hold(&"node-a".parse().unwrap(), NodeHold::default());
    }

    /// Finishes a running scan.
    pub(crate) async fn finish(&self, scan: &ScanRecord, resolution: Resolution) -> ScanRecord {
        self.apply(scan.id, Command::Finish { token: scan.token, resolution, plugins: None }).await
    }

    /// Delivers every event that is due, as the relay of a node does.
    pub(crate) async fn deliver(&self) {
        let consumers: [Arc<dyn EventConsumer>; 1] =
            [Arc::new(OutcomeCounter::new(Arc::<MemoryStore>::clone(&self.memory)))];
        while relay::deliver(self.memory.as_ref(), &consumers, "relay").await.unwrap() > 0 {}
    }

    async fn apply(&self, id: ScanId, command: Command) -> ScanRecord {
        let Applied::Committed(record) = self.memory.apply(id, command).await.unwrap() else {
            panic!("the command was refused")
        };
        if record.status() == ScanStatus::Running {
            self.snapshots.publish_own(record.clone());
        } else {
            self.snapshots.publish(record.clone());
        }
        record
    }

    /// Returns the folder of the scan's last attempt.
    pub(crate) fn attempt_folder(&self, scan: &ScanRecord) -> PathBuf {
        AttemptPaths::new(
            self.results.path(),
            &scan.request.target,
            scan.created_at,
            scan.id,
            scan.last_attempt().unwrap().number,
        )
        .attempt_dir
    }

    /// Returns the state that a handler gets.
    pub(crate) fn web(&self) -> Web {
        Arc::new(WebInner::new(self.state.clone(), RequestLimits::default(), axum::body::Bytes::new()))
    }

    /// Sets the scanner's catalogue, as if it had just been detected.
    pub(crate) fn load_catalogue(&self) {
        let catalogue = catalogue();
        self.snapshots.offered.set(&catalogue.plugins, &catalogue.natures, catalogue.settings.as_ref());
        self.catalogue.send_replace(Some(Arc::new(catalogue)));
    }
}

/// A scanner with a plugin of each kind.
pub(crate) fn catalogue() -> ScannerCatalog {
    let plugin = |name: &str, kind, available, dependencies: &[&str]| PluginInfo {
        name: name.into(),
        display_name: format!("The {name} <plugin>"),
        description: "Looks & tells.".into(),
        kind,
        available,
        dependencies: dependencies.iter().map(ToString::to_string).collect(),
    };
    let issue = IssueText {
        severity: Severity::High,
        title: "Weak <cipher>".into(),
        description: "The server offers a weak cipher.".into(),
        remediation: "Turn it off.".into(),
        category: "TLS".into(),
        fix: IssueFix {
            waf_addressable: Some(true),
            approach: Some(Approach::Combined),
            code_fix_time: Some("1-2 <days>".into()),
            waf_time: Some("2 hours".into()),
            infrastructure_time: None,
        },
    };
    let timeout = SettingRule {
        kinds: vec![ValueKind::Integer],
        minimum: Some(1.0),
        maximum: Some(60.0),
        ..SettingRule::default()
    };
    let text = |description: &str, secret| SettingRule {
        kinds: vec![ValueKind::Text],
        description: description.into(),
        secret,
        ..SettingRule::default()
    };
    let of_whatweb = [("timeout".to_owned(), timeout)];
    let of_zap = [
        ("image".to_owned(), text("A container image.", false)),
        ("report".to_owned(), text("Path to the <report>.", false)),
        ("api_key".to_owned(), text("The key.", false)),
        ("pin".to_owned(), text("A number to log in with.", true)),
        ("note".to_owned(), text("Any text.", false)),
    ];
    let settings = SettingsSchema {
        plugins: [("whatweb".to_owned(), of_whatweb.into()), ("zap".to_owned(), of_zap.into())].into(),
    };
    ScannerCatalog {
        scanner: ScannerInfo { kind: ScannerKind::Builtin, version: "0.1.0".into(), configuration: None },
        plugins: vec![
            plugin("whatweb", PluginKind::Passive, true, &[]),
            plugin("script_detection", PluginKind::Passive, false, &["whatweb"]),
            plugin("zap", PluginKind::Active, true, &[]),
        ],
        issues: [("weak-cipher".to_owned(), issue)].into(),
        natures: natures_of(&settings),
        settings: Some(settings),
    }
}

pub(crate) fn header_of<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

pub(crate) async fn text_of(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

pub(crate) async fn json_of(response: Response) -> Value {
    serde_json::from_str(&text_of(response).await).unwrap()
}

/// Returns the API's description.
pub(crate) fn api_description() -> &'static Value {
    static DESCRIPTION: OnceLock<Value> = OnceLock::new();
    DESCRIPTION.get_or_init(|| {
        let (_, mut description) = openapi::routes().split_for_parts();
        description.merge(openapi::hot_routes().into_openapi());
        serde_json::to_value(description).unwrap()
    })
}

/// Checks a response of the API against its description: the status, the content type and the
/// schema of the JSON.
async fn as_described(method: &str, path: &str, response: Response) -> Response {
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let Some(operation) = operation_of(method, path) else { return response };
    let (status, content_type) = (response.status(), header_of(&response, "content-type").to_owned());
    // The statuses that any route may return, because of the middleware around all routes.
    let anywhere = [
        StatusCode::BAD_REQUEST,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::MISDIRECTED_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    let described = &operation["responses"][status.as_str()];
    if described.is_null() && anywhere.contains(&status) {
        return response;
    }
    assert!(described.is_object(), "{method} {path} answered {status}, which is not described");
    let essence = content_type.split(';').next().unwrap_or_default();
    let Some(contents) = described["content"].as_object() else {
        assert_eq!(content_type, "", "{method} {path}: {status} is described without content");
        return response;
    };
    let Some(content) = contents.get(essence) else {
        panic!("{method} {path}: {status} is described as {:?}, not {content_type}", contents.keys())
    };
    if !essence.ends_with("/json") && !essence.ends_with("+json") {
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    if let Err(why) = schema::check(api_description(), &content["schema"], &value) {
        panic!("{method} {path}: the answer is not as described: {why}\n{value:#}");
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn operation_of(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    let matches = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == parts.len()
            && template.iter().zip(&parts).all(|(expected, given)| expected.starts_with('{') || expected == given)
    };
    let paths = api_description()["paths"].as_object().unwrap();
    // An exact path takes precedence over one with a parameter, as in the router.
    let item =
        paths.get(path).or_else(|| paths.iter().find(|(template, _)| matches(template)).map(|(_, item)| item))?;
    item.get(method.to_lowercase())
}
