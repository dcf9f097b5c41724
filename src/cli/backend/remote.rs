//! The backend of the scans of a server, over its HTTP API.
//!
//! A server that the user named gets the user's API token, and over plain http only on this
//! machine. The server of the data folder gets a proof that this command can read the folder, after
//! it has proven that it holds the folder. Both are added in one place, to each request.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use kastrel_actors::model::{CancelledBy, ScanId, ScanRequestDraft};
use kastrel_actors::ports::{Clock as _, SystemClock};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Request, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::Instrument as _;
use url::{Position, Url};

use super::error::{BackendError, SentCredential};
use super::locate::is_loopback;
use super::scans::{CancelAnswer, ListAnswer, ListFilter, PluginList, ScanBackend, SubmitAnswer, Views};
use super::sse::EventReader;
use crate::api_types::{
    BatchItem, BatchResult, Catalogue, LogBody, ProblemBody, Proof, Readiness, ScanDetail, ScanList, ScanListParams,
    StatusBody,
};
use crate::cli::view::ScanView;
use crate::identity::token::ApiToken;
use crate::server_proof::{Challenge, ServerKey};
use crate::telemetry;
use crate::tls::{self, Fingerprint};

/// The timeout of a response, except for event streams.
const PATIENCE: Duration = Duration::from_secs(35);
/// The polling interval without an event stream.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// After this many breaks of an event stream without an event, the client polls instead.
const STREAM_TRIES: u32 = 3;
/// How many polls in a row may fail, so that a client survives a restart of the server.
const POLL_TRIES: u32 = 30;
/// How often the client retries a request for plugins that the server has not detected yet.
const LOADING_TRIES: u32 = 15;
/// The timeout of a proof, and the maximum size of its response.
const PROOF_PATIENCE: Duration = Duration::from_secs(2);
const MOST_PROOF: usize = 4096;
/// The maximum page size of the API, in scans.
const PAGE: usize = 100;

/// The backend of a server. See the module documentation.
#[derive(Debug, Clone)]
pub struct RemoteBackend {
    client: Client,
    base: Url,
    trust: Trust,
    credential: Option<Credential>,
}

/// What a client proves its rights with. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
enum Credential {
    /// An API token, and whether `kastrel login` stored it.
    Token(ApiToken, TokenSource),
    /// The key of the data folder.
    Folder(ServerKey),
}

/// Where an API token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenSource {
    /// The environment, or a file that the user named.
    Named,
    /// The credentials file.
    Stored,
}

/// The certificates of an https server that a client accepts.
#[derive(Debug, Clone, Copy)]
enum Trust {
    /// Those of the machine's authorities.
    System,
    /// The certificate with this fingerprint.
    Only(Fingerprint),
    /// Any certificate.
    Any,
}

impl RemoteBackend {
    /// Creates a client of the server at `base`, which ends with a slash.
    ///
    /// # Errors
    /// The certificates of this machine cannot be used.
    pub fn new(base: Url) -> Result<Self, BackendError> {
        Self::trusting(base, Trust::System)
    }

    /// Creates a client of the server that `server.json` names, with the certificate in that file.
    ///
    /// # Errors
    /// The certificates of this machine cannot be used.
    pub fn with_certificate(base: Url, certificate: Option<Fingerprint>) -> Result<Self, BackendError> {
        Self::trusting(base, certificate.map_or(Trust::System, Trust::Only))
    }

    /// Creates a client for a health check. It sends no secret, so it accepts any certificate of a
    /// server on this machine: mostly, the certificate has other names than this address.
    ///
    /// # Errors
    /// The certificates of this machine cannot be used.
    pub fn for_health_check(base: Url) -> Result<Self, BackendError> {
        let trust = if is_loopback(&base) { Trust::Any } else { Trust::System };
        Self::trusting(base, trust)
    }

    fn trusting(base: Url, trust: Trust) -> Result<Self, BackendError> {
        Ok(Self { client: client(&base, trust, Policy::default())?, base, trust, credential: None })
    }

    /// Creates a client that sends an API token with each request. It follows no redirects, so that
    /// no other server gets the token.
    ///
    /// # Errors
    /// The token would cross a network without encryption, or the certificates of this machine
    /// cannot be used.
    pub fn with_token(base: Url, token: ApiToken) -> Result<Self, BackendError> {
        let credential = Some(Credential::Token(token, TokenSource::Named));
        Ok(Self { credential, ..Self::without_redirects(base)? })
    }

    /// The same, for a token that `kastrel login` stored for exactly this server.
    ///
    /// # Errors
    /// Those of [`with_token`](Self::with_token).
    pub fn with_stored_token(base: Url, token: ApiToken) -> Result<Self, BackendError> {
        let credential = Some(Credential::Token(token, TokenSource::Stored));
        Ok(Self { credential, ..Self::without_redirects(base)? })
    }

    /// Creates a client without a credential that exchanges secrets with the server: it follows no
    /// redirects either.
    ///
    /// # Errors
    /// A secret would cross a network without encryption, or the certificates of this machine
    /// cannot be used.
    pub fn without_redirects(base: Url) -> Result<Self, BackendError> {
        if base.scheme() != "https" && !is_loopback(&base) {
            return Err(BackendError::OpenToken { url: shown(&base) });
        }
        let trust = Trust::System;
        Ok(Self { client: client(&base, trust, Policy::none())?, base, trust, credential: None })
    }

    /// Returns a client that proves with each request that it can read the data folder. Only for a
    /// server that has proven that it [holds](Self::holds) the folder.
    ///
    /// # Errors
    /// The certificates of this machine cannot be used.
    pub fn with_folder(self, data_dir: &Path) -> Result<Self, BackendError> {
        let credential = ServerKey::read(data_dir).map(Credential::Folder);
        Ok(Self { client: client(&self.base, self.trust, Policy::none())?, credential, ..self })
    }

    /// Checks whether the server proves that it holds a data folder. Until then, the client sends
    /// it a random challenge and nothing else.
    pub async fn holds(&self, data_dir: &Path) -> Holder {
        let challenge = Challenge::random();
        let Ok(url) = self.url(&format!("api/proof?challenge={challenge}")) else { return Holder::Silent };
        // The proof is valid for this URL only, so do not follow redirects.
        let Ok(client) = client(&self.base, self.trust, Policy::none()) else { return Holder::Silent };
        let Ok(response) = client.get(url).timeout(PROOF_PATIENCE).send().await else { return Holder::Silent };
        if response.status() == StatusCode::NOT_FOUND {
            return Holder::WithoutProof;
        }
        let Some(key) = ServerKey::read(data_dir) else { return Holder::Stranger };
        let proof = async {
            let mut response = response;
            let mut body = Vec::new();
            while let Ok(Some(chunk)) = response.chunk().await {
                body.extend_from_slice(&chunk);
                if body.len() > MOST_PROOF {
                    return None;
                }
            }
            serde_json::from_slice::<Proof>(&body).ok()
        };
        let proof = tokio::time::timeout(PROOF_PATIENCE, proof).await.ok().flatten();
        if proof.is_some_and(|answer| key.accepts(&answer.proof, &challenge, self.base.as_str())) {
            Holder::Proven
        } else {
            Holder::Stranger
        }
    }

    /// Returns whether the server is ready.
    pub async fn is_ready(&self) -> bool {
        let Ok(url) = self.url("readyz") else { return false };
        let request = self.client.get(url).timeout(Duration::from_secs(5));
        self.execute(request).await.is_ok_and(|response| response.status().is_success())
    }

    /// Returns the readiness of the server.
    ///
    /// # Errors
    /// The server does not respond, or the response is not one of Kastrel.
    pub async fn readiness(&self) -> Result<Readiness, BackendError> {
        let request = self.client.get(self.url("readyz")?).timeout(Duration::from_secs(5));
        let response = self.execute(request).await.map_err(|error| self.unreachable(error))?;
        self.body(response).await
    }

    /// Returns the URL of the server, as text.
    #[must_use]
    pub fn address(&self) -> String {
        shown(&self.base)
    }

    /// Returns the URL of the page of a scan.
    #[must_use]
    pub fn page(&self, id: ScanId) -> String {
        format!("{}scans/{id}", self.base)
    }

    /// Returns the URL of the page of a scan's report.
    fn report(&self, id: ScanId) -> String {
        format!("{}scans/{id}/report", self.base)
    }

    /// Sends a request with the credential of this client. All requests except that for a proof
    /// pass here.
    async fn execute(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        let mut request = request.build()?;
        if let Some(value) = self.authorization(&request) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        self.client.execute(request).await
    }

    /// Returns the `Authorization` header of a request. Each proof is valid for one request, so a
    /// repeated request gets another one.
    fn authorization(&self, request: &Request) -> Option<HeaderValue> {
        let text = match self.credential.as_ref()? {
            Credential::Token(token, _) => format!("Bearer {}", token.expose()),
            Credential::Folder(key) => {
                let path = &request.url()[Position::BeforePath..Position::AfterQuery];
                key.prove_command(self.base.as_str(), request.method().as_str(), path, SystemClock.now())
            }
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Returns the error of a response that is not a success.
    pub(super) async fn problem(&self, response: Response) -> BackendError {
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            let sent = match self.credential {
                None => SentCredential::None,
                Some(Credential::Token(_, TokenSource::Named)) => SentCredential::Token,
                Some(Credential::Token(_, TokenSource::Stored)) => SentCredential::Stored,
                Some(Credential::Folder(_)) => SentCredential::Folder,
            };
            return BackendError::Unauthorized { url: shown(&self.base), sent };
        }
        let body = response.bytes().await.unwrap_or_default();
        ProblemBody::read(status.as_u16(), &body).into()
    }

    /// Returns the URL of a page: the path follows the address of the server, without credentials:
    /// it is printed, and passed on.
    #[must_use]
    pub fn page_at(&self, path: &str) -> String {
        let mut base = self.base.clone();
        // Only a URL without a host refuses that, and it has none to remove.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        format!("{base}{}", path.trim_start_matches('/'))
    }

    fn url(&self, path: &str) -> Result<Url, BackendError> {
        self.base.join(path).map_err(|_| self.strange("its address cannot be extended"))
    }

    pub(in crate::cli) fn strange(&self, what: impl Into<String>) -> BackendError {
        BackendError::Strange { url: shown(&self.base), what: what.into() }
    }

    fn unreachable(&self, error: reqwest::Error) -> BackendError {
        // The error already names the URL.
        BackendError::Unreachable { url: shown(&self.base), source: Some(Box::new(error.without_url())) }
    }

    /// Sends a submission. If the response is lost, it is sent once more with the same idempotency
    /// key, which gets the scans of the first one.
    async fn post_submission(&self, path: &str, body: &Value) -> Result<Response, BackendError> {
        let url = self.url(path)?;
        let key = uuid::Uuid::new_v4().to_string();
        let send = async {
            let mut request = self.client.post(url).header("idempotency-key", key).json(body).timeout(PATIENCE);
            // If telemetry is exported, the trace of the scan begins here.
            if let Some(trace) = telemetry::current() {
                request = request.header("traceparent", trace.to_string());
            }
            let again = request.try_clone();
            match (self.execute(request).await, again) {
                (Err(error), Some(again)) if !error.is_connect() => self.execute(again).await,
                (answer, _) => answer,
            }
        };
        send.instrument(telemetry::cli_span()).await.map_err(|error| self.unreachable(error))
    }

    pub(super) async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Response, BackendError> {
        let request = self.client.request(method, self.url(path)?).json(body).timeout(PATIENCE);
        self.execute(request).await.map_err(|error| self.unreachable(error))
    }

    /// Starts a large download. The timeout applies to the begin of the response only.
    pub(super) async fn download(&self, path: &str) -> Result<Response, BackendError> {
        let answer = tokio::time::timeout(PATIENCE, self.execute(self.client.get(self.url(path)?))).await;
        let late = |error: tokio::time::error::Elapsed| BackendError::Unreachable {
            url: shown(&self.base),
            source: Some(Box::new(error)),
        };
        answer.map_err(late)?.map_err(|error| self.unreachable(error))
    }

    /// Reads a resource. Returns `None` if it does not exist.
    pub(super) async fn get_json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(String, String)],
    ) -> Result<Option<T>, BackendError> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.get(url).timeout(PATIENCE);
        let response = self.execute(request).await.map_err(|error| self.unreachable(error))?;
        self.found(response).await
    }

    /// Reads something that every server has.
    ///
    /// # Errors
    /// The server does not respond or refuses, or it is of a version that does not have it.
    pub(crate) async fn read_at<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, BackendError> {
        let found = self.get_json(path, &query_of(query)).await?;
        found.ok_or_else(|| self.strange(format!("it has no {path}; it is an older version, or a worker")))
    }

    /// Reads a resource with the parameters that are set. Returns `None` if it does not exist.
    pub(super) async fn get_with<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &(impl Serialize + Sync),
    ) -> Result<Option<T>, BackendError> {
        self.get_json(path, &query_of(query)).await
    }

    /// Sends a command. Returns `None` if its object does not exist.
    pub(super) async fn order<T: DeserializeOwned>(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Option<T>, BackendError> {
        let response = self.send(method, path, body).await?;
        self.found(response).await
    }

    async fn found<T: DeserializeOwned>(&self, response: Response) -> Result<Option<T>, BackendError> {
        match response.status() {
            StatusCode::NOT_FOUND if is_json(&response) => Ok(None),
            status if status.is_success() => self.body(response).await.map(Some),
            _ => Err(self.problem(response).await),
        }
    }

    pub(super) async fn body<T: DeserializeOwned>(&self, response: Response) -> Result<T, BackendError> {
        let bytes = response.bytes().await.map_err(|error| self.unreachable(error))?;
        self.read(&bytes)
    }

    /// Reads a type of the API.
    fn read<T: DeserializeOwned>(&self, json: &[u8]) -> Result<T, BackendError> {
        serde_json::from_slice(json).map_err(|error| {
            self.strange(if error.is_data() {
                format!("the response cannot be read: {error}")
            } else {
                "expected JSON".to_owned()
            })
        })
    }

    async fn follow(self, id: ScanId, views: mpsc::Sender<Result<ScanView, BackendError>>) {
        let mut reader = EventReader::default();
        let mut tries = 0;
        while tries < STREAM_TRIES {
            match self.stream(id, &mut reader, &views).await {
                Streamed::Ended => return,
                Streamed::Broke { events: 0 } => tries += 1,
                Streamed::Broke { .. } => tries = 1,
                Streamed::None => break,
            }
            reader.restart();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.poll(id, &views).await;
    }

    /// Follows the event stream once.
    async fn stream(
        &self,
        id: ScanId,
        reader: &mut EventReader,
        views: &mpsc::Sender<Result<ScanView, BackendError>>,
    ) -> Streamed {
        let Ok(url) = self.url(&format!("api/scans/{id}/events")) else { return Streamed::None };
        let mut request = self.client.get(url).header("accept", "text/event-stream");
        if let Some(last) = reader.last_id() {
            request = request.header("last-event-id", last);
        }
        let Ok(response) = self.execute(request).await else { return Streamed::Broke { events: 0 } };
        let is_stream = header(&response, "content-type").starts_with("text/event-stream");
        if response.status() != StatusCode::OK || !is_stream {
            return Streamed::None;
        }
        let mut chunks = response.bytes_stream();
        let mut events = 0;
        loop {
            let chunk = tokio::select! {
                chunk = chunks.next() => chunk,
                () = views.closed() => return Streamed::Ended,
            };
            let Some(Ok(chunk)) = chunk else { return Streamed::Broke { events } };
            let Ok(read) = reader.read(&chunk) else { return Streamed::None };
            for event in read.into_iter().filter(|event| event.name == "status") {
                events += 1;
                let Ok(status) = self.read::<StatusBody>(event.data.as_bytes()) else { return Streamed::None };
                let view = ScanView::from(status);
                let ended = view.summary.status.is_terminal();
                if views.send(Ok(view)).await.is_err() || ended {
                    return Streamed::Ended;
                }
            }
        }
    }

    /// Polls every second, until the scan has ended or the server stays unavailable.
    async fn poll(&self, id: ScanId, views: &mpsc::Sender<Result<ScanView, BackendError>>) {
        let mut failures = 0;
        loop {
            let answer = match self.get(id).await {
                Ok(Some(view)) => {
                    failures = 0;
                    Ok(view)
                }
                Ok(None) => Err(BackendError::Other(format!("scan {id} no longer exists"))),
                Err(error) if error.may_pass() && failures < POLL_TRIES => {
                    failures += 1;
                    tokio::time::sleep(POLL_EVERY).await;
                    continue;
                }
                Err(error) => Err(error),
            };
            let last = answer.as_ref().map_or(true, |view| view.summary.status.is_terminal());
            if views.send(answer).await.is_err() || last {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(POLL_EVERY) => {}
                () = views.closed() => return,
            }
        }
    }
}

/// Creates the HTTP client for a server. A server on this machine is reached without a proxy.
fn client(base: &Url, trust: Trust, redirects: Policy) -> Result<Client, BackendError> {
    let failed =
        |error: &dyn std::fmt::Display| BackendError::Other(format!("failed to prepare the HTTP client: {error}"));
    // The crypto provider is global: it does not matter which call installs it first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .redirect(redirects)
        .user_agent(concat!("kastrel/", env!("CARGO_PKG_VERSION")));
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    builder = match trust {
        Trust::System => builder,
        Trust::Only(certificate) => {
            builder.tls_backend_preconfigured(tls::client_config(certificate).map_err(|error| failed(&error))?)
        }
        Trust::Any => builder.tls_danger_accept_invalid_certs(true),
    };
    builder.build().map_err(|error| failed(&error))
}

/// The program that responds at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The server of the data folder.
    Proven,
    /// A program that cannot prove that it is the server.
    Stranger,
    /// A program that does not support proofs, such as a server of an earlier version.
    WithoutProof,
    /// No program responds.
    Silent,
}

/// The result of following an event stream.
enum Streamed {
    /// The scan has ended, or the receiver of the views is closed.
    Ended,
    /// The connection broke after this many events.
    Broke { events: u32 },
    /// No event stream is available.
    None,
}

#[async_trait]
impl ScanBackend for RemoteBackend {
    async fn submit(&self, draft: &ScanRequestDraft) -> Result<SubmitAnswer, BackendError> {
        let response = self.post_submission("api/scans", &without_nulls(draft)).await?;
        if !response.status().is_success() {
            return Err(self.problem(response).await);
        }
        let location = header(&response, "location").rsplit('/').next().and_then(|id| id.parse().ok());
        // The scan is stored: a body that cannot be read as a whole must not hide it.
        let body: Value = self.body(response).await.unwrap_or_default();
        let id = body.get("scan_id").or_else(|| body.get("id")).and_then(Value::as_u64).map(ScanId).or(location);
        let warning = body.get("warning").and_then(Value::as_str).map(str::to_owned);
        id.map(|id| SubmitAnswer { id, warning }).ok_or_else(|| self.strange("a scan without a number"))
    }

    async fn submit_all(
        &self,
        drafts: &[ScanRequestDraft],
    ) -> Result<Vec<Result<SubmitAnswer, BackendError>>, BackendError> {
        let scans: Vec<Value> = drafts.iter().map(without_nulls).collect();
        let response = self.post_submission("api/scans/batch", &serde_json::json!({ "scans": scans })).await?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                return Err(self.strange("it is of an earlier version and accepts no batch of scans"));
            }
            status if !status.is_success() => return Err(self.problem(response).await),
            _ => {}
        }
        let result: BatchResult = self.body(response).await?;
        if result.scans.len() != drafts.len() {
            return Err(self.strange("not one result for each scan"));
        }
        let answer = |BatchItem { scan_id, warnings, problem, .. }: BatchItem| match (scan_id, problem) {
            (Some(id), _) => {
                let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
                Ok(SubmitAnswer { id: ScanId(id), warning })
            }
            (None, Some(problem)) => Err(problem.into()),
            (None, None) => Err(self.strange("a scan without a number")),
        };
        Ok(result.scans.into_iter().map(answer).collect())
    }

    async fn watch(&self, id: ScanId) -> Result<Option<Views>, BackendError> {
        // Read the first view here, so that an unknown scan or an unavailable server is reported at
        // once.
        let Some(first) = self.get(id).await? else { return Ok(None) };
        let (sender, views) = mpsc::channel(16);
        let ended = first.summary.status.is_terminal();
        let _ = sender.send(Ok(first)).await;
        if !ended {
            tokio::spawn(self.clone().follow(id, sender));
        }
        Ok(Some(views))
    }

    async fn cancel(&self, id: ScanId, _: CancelledBy) -> Result<CancelAnswer, BackendError> {
        let url = self.url(&format!("api/scans/{id}/cancel"))?;
        let request = self.client.post(url).timeout(PATIENCE);
        let response = self.execute(request).await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        match status {
            StatusCode::NOT_FOUND => return Ok(CancelAnswer::Missing),
            StatusCode::CONFLICT => {}
            status if status.is_success() => {}
            _ => return Err(self.problem(response).await),
        }
        Ok(match self.get(id).await? {
            Some(view) if status == StatusCode::CONFLICT => CancelAnswer::AlreadyEnded(Box::new(view)),
            Some(view) => CancelAnswer::Accepted(Box::new(view)),
            None => CancelAnswer::Missing,
        })
    }

    async fn get(&self, id: ScanId) -> Result<Option<ScanView>, BackendError> {
        let status: Option<StatusBody> = self.get_json(&format!("api/scans/{id}/status"), &[]).await?;
        Ok(status.map(Into::into))
    }

    async fn details(&self, id: ScanId) -> Result<Option<ScanView>, BackendError> {
        let detail: Option<ScanDetail> = self.get_json(&format!("api/scans/{id}"), &[]).await?;
        let Some(mut detail) = detail else { return Ok(None) };
        let reports = detail.reports.take();
        let mut view = ScanView::from(detail);
        if let Some(reports) = reports {
            // A link to a report that does not exist would be worse than no link.
            view.report = (reports.html || reports.pdf).then(|| self.report(id));
            view.missing_report = reports.missing;
        }
        Ok(Some(view))
    }

    async fn log(&self, id: ScanId) -> Result<Vec<String>, BackendError> {
        let part: Option<LogBody> = self.get_json(&format!("api/scans/{id}/log"), &[]).await?;
        Ok(part.unwrap_or_default().lines)
    }

    async fn list(&self, filter: &ListFilter) -> Result<ListAnswer, BackendError> {
        let mut answer = ListAnswer { scans: Vec::new(), total: None, total_is_floor: false };
        let per_page = filter.limit.min(PAGE);
        for page in 1.. {
            let params = ScanListParams {
                page: Some(page),
                per_page: u32::try_from(per_page).ok(),
                status: filter.status.map(|status| status.to_string()),
                target: filter.target.clone(),
                tag: filter.tag.clone(),
                ..ScanListParams::default()
            };
            let list: Option<ScanList> = self.get_json("api/scans", &query_of(&params)).await?;
            let list = list.ok_or_else(|| self.strange("it has no list of scans"))?;
            let got = list.scans.len();
            (answer.total, answer.total_is_floor) = (Some(list.total), list.total_is_floor);
            answer.scans.extend(list.scans.into_iter().map(ScanView::from));
            if got < per_page || answer.scans.len() >= filter.limit {
                break;
            }
        }
        answer.scans.truncate(filter.limit);
        Ok(answer)
    }

    async fn plugins(&self) -> Result<PluginList, BackendError> {
        let mut tries = 0;
        let catalogue: Option<Catalogue> = loop {
            match self.get_json("api/plugins", &[]).await {
                // Just after its start, the server does not know the plugins yet.
                Err(BackendError::Problem(problem)) if problem.status == 503 && tries < LOADING_TRIES => tries += 1,
                answer => break answer?,
            }
            tokio::time::sleep(POLL_EVERY).await;
        };
        let catalogue = catalogue.ok_or_else(|| self.strange("it has no list of plugins"))?;
        Ok(PluginList { scanner: Some(catalogue.scanner), plugins: catalogue.plugins })
    }
}

/// Returns the parameters that are set, for the query of a URL.
fn query_of(params: &impl Serialize) -> Vec<(String, String)> {
    let fields = without_nulls(params);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    fields.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// Returns a request as JSON, without the fields that were left out.
fn without_nulls(request: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(request).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub(super) fn is_json(response: &Response) -> bool {
    header(response, "content-type").contains("json")
}

/// Returns the URL without a password and without the trailing slash.
fn shown(url: &Url) -> String {
    crate::config::redact(url.as_str()).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests;
