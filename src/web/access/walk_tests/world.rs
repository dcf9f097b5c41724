//! The world of the walk: two projects with a scan in each state, and accounts with each role in
//! one of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::response::Response;
use jiff::SignedDuration;
use kastrel_actors::Client;
use kastrel_actors::model::{
    AccountChange, AccountChanged, AccountKind, AccountName, AttemptPhase, AuditQuery, Clearance, ClearanceLevel,
    ListQuery, NewAccount, PluginResult, PluginStatus, Principal, Project, ProjectId, ProjectRole, PublicLink,
    Resolution, ScanId, ScanRequestDraft, ServerRole, Session, Share, ShareCreated, ShareRight, TokenRecord,
    TokenScope, Verdict,
};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::testing::fixtures;

use kastrel_findings::lifecycle::PluginEnd;

use super::table;
use crate::identity::secret::RandomSecret;
use crate::identity::token::ApiToken;
use crate::service::findings::samples::Sample;
use crate::web::testing::{TestApp, header_of};

/// A scan that no world has.
pub(super) const NO_SCAN: u64 = 9;
/// A project that no world has, with a name as long as `blue`.
pub(super) const NO_PROJECT: &str = "none";
/// Senders whose credential is not valid, and one without.
pub(super) const UNKNOWN: [&str; 3] = ["unknown", "disabled", "expired"];
/// The trace of every request, so that two responses have the same.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(super) struct World {
    pub(super) app: TestApp,
    /// The scans of `red`: waiting, running, completed.
    pub(super) red: [u64; 3],
    /// The scans of `blue`, if the world has it.
    pub(super) blue: Vec<u64>,
    /// The header that each sender sends.
    senders: BTreeMap<&'static str, (&'static str, String)>,
    /// Texts that are random in each world.
    random: Vec<String>,
}

/// A response, as far as two of them are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: String,
    pub(super) body: String,
}

pub(super) fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

pub(super) fn project(id: &str) -> ProjectId {
    id.parse().unwrap()
}

/// A user: the name, the role on the server and the roles in projects.
type User = (&'static str, Option<ServerRole>, Vec<(&'static str, ProjectRole)>);

impl World {
    pub(super) async fn new() -> Self {
        Self::with(true).await
    }

    pub(super) async fn without_blue() -> Self {
        Self::with(false).await
    }

    async fn with(has_blue: bool) -> Self {
        let app = TestApp::with_accounts();
        app.load_catalogue();
        for actor in ["node", "supervisor"] {
            app.snapshots.status.actor(actor, app.web().now(), |view| view.state = "running".into());
        }
        let mut world = Self { app, red: [0; 3], blue: Vec::new(), senders: BTreeMap::new(), random: Vec::new() };
        for id in ["red", "green"] {
            world.create_project(id).await;
        }
        world.red = world.scans_of("red").await;
        if has_blue {
            world.create_project("blue").await;
            world.blue = world.scans_of("blue").await.into();
            world.account("blue-owner", AccountKind::User, None, &[("blue", ProjectRole::Owner)]).await;
        }
        world.app.deliver().await;
        world.create_senders().await;
        world
    }

    async fn create_project(&self, id: &str) {
        let project = Project { id: project(id), title: format!("Team {id}"), created_at: self.app.web().now() };
        assert!(self.app.memory.create_project(project, &Principal::System).await.unwrap());
        for (pattern, level) in
            [(table::CLEARED.to_owned(), ClearanceLevel::Active), (format!("{id}-secret.test"), ClearanceLevel::None)]
        {
            let clearance = Clearance {
                project: id.parse().unwrap(),
                pattern: pattern.parse().unwrap(),
                level,
                authorised_by: Principal::System,
                at: self.app.web().now(),
                until: None,
                text: format!("{id}-secret"),
            };
            self.app.memory.set_clearance(clearance).await.unwrap();
        }
    }

    /// Creates a waiting, a running and a completed scan with a file, all with the name of their
    /// project in their target.
    async fn scans_of(&self, project: &str) -> [u64; 3] {
        let app = &self.app;
        let mut ids = [ScanId(0); 3];
        for (id, state) in ids.iter_mut().zip(["waiting", "running", "completed"]) {
            *id = self.submit(project, &format!("{state}.{project}-secret.example.com")).await;
        }
        let running = app.started(ids[1]).await;
        app.snapshots.update_attempt(running.id, running.token, |live| {
            live.phase(AttemptPhase::Running);
        });
        let completed = app.started(ids[2]).await;
        let folder = app.attempt_folder(&completed);
        std::fs::create_dir_all(&folder).unwrap();
        for file in [crate::web::files::REPORT, crate::web::files::LOG_NAME, "report.txt"] {
            std::fs::write(folder.join(file), format!("{project}-secret\n")).unwrap();
        }
        let message = Some(format!("found {project}-secret"));
        let plugin = PluginResult { message, ..PluginResult::new("whatweb", PluginStatus::Completed) };
        let verdict = Verdict { plugins: vec![plugin], dry_run: false };
        app.finish(&completed, Resolution::Complete(verdict)).await;
        let sample = Sample::new(&app.memory, project, &format!("completed.{project}-secret.example.com"));
        let whatweb = [("whatweb", PluginEnd::Completed)];
        let secret = format!("/{project}-secret");
        sample.scan(ids[0], 1, &whatweb, &[]).await;
        sample.scan(ids[2], 2, &whatweb, &[("whatweb", "issue", &secret)]).await;
        for scan in ids {
            self.link(scan, &format!("{project}-secret")).await;
            self.share(scan, table::SHARED, ShareRight::Edit).await;
        }
        ids.map(|id| id.0)
    }

    /// Creates a public link of a scan.
    async fn link(&self, scan: ScanId, label: &str) {
        let now = self.app.web().now();
        let link = PublicLink {
            id: table::LINK.parse().unwrap(),
            key: RandomSecret::generate().digest(),
            scan,
            label: label.into(),
            created_by: Principal::System,
            created_at: now,
            expires_at: now + SignedDuration::from_hours(24),
            password_hash: None,
            opened: 0,
            opened_at: None,
        };
        let home = self.app.memory.get(scan).await.unwrap().unwrap().project;
        assert!(self.app.memory.create_public_link(link, &home).await.unwrap());
    }

    /// Shares a scan for an hour.
    pub(super) async fn share(&self, scan: ScanId, grantee: &str, right: ShareRight) {
        let home = self.app.memory.get(scan).await.unwrap().unwrap().project;
        let now = self.app.web().now();
        let share = Share {
            scan,
            grantee: grantee.parse().unwrap(),
            right,
            created_by: Principal::System,
            created_at: now,
            expires_at: Some(now + SignedDuration::from_hours(1)),
        };
        assert_eq!(self.app.memory.create_share(share, &home, 9).await.unwrap(), ShareCreated::Created);
    }

    /// Submits a scan in a project.
    pub(super) async fn submit(&self, project: &str, target: &str) -> ScanId {
        let draft =
            ScanRequestDraft { target: target.into(), project: Some(project.into()), ..ScanRequestDraft::default() };
        let accepted = self.app.service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap();
        accepted.scan.record.id
    }

    async fn account(
        &self,
        account: &str,
        kind: AccountKind,
        server_role: Option<ServerRole>,
        roles: &[(&str, ProjectRole)],
    ) {
        let memberships = roles.iter().map(|(id, role)| (project(id), *role)).collect();
        let new = NewAccount { name: name(account), kind, server_role, password_hash: None, mail: None, memberships };
        let now = self.app.web().now();
        assert!(self.app.memory.create_account(new, now, &Principal::System).await.unwrap());
    }

    async fn create_senders(&mut self) {
        use ProjectRole::{Operator, Owner, Scanner, Viewer};
        let red = |role| vec![("red", role)];
        let users: [User; 13] = [
            ("nobody", None, Vec::new()),
            ("viewer", None, red(Viewer)),
            ("scanner", None, red(Scanner)),
            ("operator", None, red(Operator)),
            ("owner", None, red(Owner)),
            ("auditor", Some(ServerRole::Auditor), Vec::new()),
            ("admin", Some(ServerRole::Admin), Vec::new()),
            // The guard of each route admits it, so only the services refuse it.
            ("mixed", None, vec![("red", Viewer), ("green", Owner)]),
            ("disabled", None, red(Owner)),
            ("expired", None, red(Owner)),
            // All scans of `red` are shared with these two.
            ("guest", None, Vec::new()),
            ("editor", None, Vec::new()),
            // The account that others act on.
            ("spare", None, Vec::new()),
        ];
        for (user, server_role, roles) in users {
            self.account(user, AccountKind::User, server_role, &roles).await;
            let lifetime = SignedDuration::from_hours(if user == "expired" { -1 } else { 24 });
            self.session(user, lifetime).await;
        }
        for scan in self.red.map(ScanId) {
            self.share(scan, "user:guest", ShareRight::View).await;
            self.share(scan, "user:editor", ShareRight::Edit).await;
        }
        let memory = &self.app.memory;
        let disabled =
            memory.change_account(&name("disabled"), AccountChange::Disable, &Principal::System).await.unwrap();
        assert_eq!(disabled, AccountChanged::Changed);
        self.senders.insert("unknown", ("accept-language", "en".into()));
        self.account("robot", AccountKind::Service, None, &red(Operator)).await;
        let red_viewer = TokenScope { role: Viewer, project: Some(project("red")), has_server_role: false };
        self.token("red-token", "robot", red_viewer).await;
        let viewer = TokenScope { role: Viewer, project: None, has_server_role: false };
        self.token("limited-admin", "admin", viewer).await;
        let all = TokenScope { role: Owner, project: None, has_server_role: true };
        self.token("operator-token", "operator", all).await;
    }

    async fn session(&mut self, user: &'static str, lifetime: SignedDuration) {
        let (secret, now) = (RandomSecret::generate(), self.app.web().now());
        let session = Session {
            key: secret.digest(),
            account: name(user),
            created_at: now,
            used_at: now,
            expires_at: now + lifetime,
            address: "192.0.2.7".into(),
            agent: "A browser".into(),
            with_provider: false,
        };
        self.app.memory.create_session(session).await.unwrap();
        self.senders.insert(user, ("cookie", format!("kastrel-session={}", secret.expose())));
    }

    async fn token(&mut self, sender: &'static str, account: &str, scope: TokenScope) {
        let (token, now) = (ApiToken::generate(), self.app.web().now());
        let record = TokenRecord {
            id: token.id().parse().unwrap(),
            digest: token.digest(),
            account: name(account),
            label: sender.into(),
            scope,
            networks: Vec::new(),
            created_at: now,
            expires_at: now + SignedDuration::from_hours(24),
            used_at: None,
        };
        assert!(self.app.memory.create_token(record, &Principal::System).await.unwrap());
        self.random.push(token.id().to_owned());
        self.senders.insert(sender, ("authorization", format!("Bearer {}", token.expose())));
    }

    /// Sends a request as a browser on this site does. The response is not compared with the
    /// description of the API: other tests do that.
    pub(super) async fn send(&self, sender: &str, method: &str, path: &str, body: String, is_part: bool) -> Response {
        let (header, value) = &self.senders[sender];
        let kind = if path.starts_with("/api/") { "application/json" } else { "application/x-www-form-urlencoded" };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost:5000")
            .header("sec-fetch-site", "same-origin")
            .header("traceparent", TRACE)
            .header(*header, value);
        if !body.is_empty() {
            request = request.header("content-type", kind);
        }
        if is_part {
            request = request.header("x-kastrel-part", "live");
        }
        self.app.answer(request.body(Body::from(body)).unwrap()).await
    }

    /// Sends the request of a route for a scan and a project.
    pub(super) async fn ask(&self, sender: &str, route: &str, scan: u64, project: &str) -> Response {
        let (method, path) = table::address(route, scan, project);
        self.send(sender, &method, &path, table::body(route, scan), false).await
    }

    /// Reads a response to the request of a path. What is random, and the path itself, is replaced.
    pub(super) async fn read(&self, response: Response, path: &str) -> Reply {
        let status = response.status().as_u16();
        let headers = format!("{:?}", response.headers());
        let is_stream = header_of(&response, "content-type").starts_with("text/event-stream");
        let body = if is_stream {
            String::new()
        } else {
            let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Reply { status, headers: self.plain(&headers, path), body: self.plain(&body, path) }
    }

    fn plain(&self, text: &str, path: &str) -> String {
        let text = if path == "/" { text.to_owned() } else { text.replace(path, "PATH") };
        without_times(&without_digests(
            &self.random.iter().fold(text, |text, random| text.replace(random.as_str(), "RANDOM")),
        ))
    }

    /// Returns everything that a request can change, except the denials in the audit log.
    pub(super) async fn state(&self) -> String {
        let memory = &self.app.memory;
        let mut state = String::new();
        let scans = memory.list(ListQuery { limit: 1_000, ..ListQuery::default() }).await.unwrap().scans;
        for project in memory.projects().await.unwrap() {
            writeln!(state, "{:?}", memory.clearances(&project.id).await.unwrap()).unwrap();
        }
        let (projects, paused) = (memory.projects().await.unwrap(), memory.paused().await.unwrap());
        writeln!(state, "{scans:?}\n{projects:?}\n{paused:?}").unwrap();
        for node in memory.all().await.unwrap() {
            writeln!(state, "{} {:?}", node.registration.id, node.drain_by).unwrap();
        }
        for account in memory.accounts().await.unwrap() {
            let sessions = memory.sessions(&account.name).await.unwrap();
            let sessions: Vec<_> = sessions.iter().map(|session| session.key).collect();
            let tokens = memory.tokens(&account.name).await.unwrap();
            let tokens: Vec<_> = tokens.iter().map(|token| token.id.clone()).collect();
            writeln!(state, "{account:?} {sessions:?} {tokens:?}").unwrap();
        }
        for entry in memory.audit(&AuditQuery::newest(10_000)).await.unwrap().entries {
            if entry.event.action() != "access_denied" {
                writeln!(state, "{:?} {:?}", entry.scan, entry.event).unwrap();
            }
        }
        state
    }

    /// Returns how many denials of an account the audit log has, once all are written.
    pub(super) async fn denials(&self, account: &str) -> usize {
        // The response does not wait for the entry.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let entries = self.app.memory.audit(&AuditQuery::newest(10_000)).await.unwrap().entries;
        let is_denial = |entry: &&kastrel_actors::model::AuditEntry| {
            entry.event.action() == "access_denied"
                && entry.principal.account().is_some_and(|name| name.as_str() == account)
        };
        entries.iter().filter(is_denial).count()
    }
}

/// Replaces the moments of the day on which the clock of the tests starts.
fn without_times(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find("2026-01-01T") {
        plain.push_str(&rest[..start]);
        plain.push_str("TIME");
        rest = &rest[start..];
        rest = &rest[rest.find('Z').map_or(rest.len(), |end| end + 1)..];
    }
    plain + rest
}

/// Replaces digests, random numbers and the keys of forms: each run of at least 16 hexadecimal
/// digits and dashes.
fn without_digests(text: &str) -> String {
    let is_part = |one: char| one.is_ascii_hexdigit() || one == '-';
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(is_part) {
        let end = rest[start..].find(|one| !is_part(one)).map_or(rest.len(), |length| start + length);
        let run = &rest[start..end];
        plain.push_str(&rest[..start]);
        plain.push_str(if run.len() >= 16 { "DIGEST" } else { run });
        rest = &rest[end..];
    }
    plain + rest
}
