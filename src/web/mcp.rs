//! `/mcp`: the tools for assistants, over the streamable HTTP of the Model Context Protocol.
//!
//! Each request stands for itself: it has its own credential, there are no sessions, and no
//! response is a stream. So the guards, limits and rights of all requests apply, and a revoked
//! token ends everything at once. Only programs call it: a session cookie is refused, as otherwise
//! a page in the browser of a person could act through it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use kastrel_actors::Client;
use kastrel_actors::model::{ProjectId, RequestContext, ScanId, ScanRequestDraft};
use kastrel_findings::identity::{FindingId, TargetId};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde::Serialize;
use serde_json::Value;

use super::error::{Problem, ProblemKind};
use super::sender::{Credential, Sender};
use super::state::Web;
use super::viewer::Viewer;
use crate::api_types::{
    ComparisonBody, FindingDetailBody, FindingGroupList, FindingList, PluginBody, StatusBody, TargetDetailBody,
    TargetList,
};
use crate::mcp::{FindingsWanted, McpServer, TargetsWanted, ToolAccess, ToolFault, Triage};
use crate::service::findings::{FindingFilter, FindingQuery, FindingSort, TargetQuery, TriageDraft};

/// The longest wait for a scan. It is below the limit of a request.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Answers a request of an assistant.
pub(crate) async fn serve(State(web): State<Web>, viewer: Viewer, request: Request) -> Response {
    if has_session(&request) {
        return Problem::new(
            ProblemKind::Malformed,
            "send an API token, `Authorization: Bearer kst_...`: the session of a browser is not accepted here",
        )
        .into_response();
    }
    let closing = web.state.closing.child_token();
    let most = web.limits.body_bytes;
    let access = CallerAccess { web, context: viewer.context, client: viewer.client };
    let server = McpServer::new(Arc::new(access));
    // The middleware has checked host and origin.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_max_request_body_bytes(most)
        .with_cancellation_token(closing);
    let service =
        StreamableHttpService::new(move || Ok(server.clone()), Arc::new(NeverSessionManager::default()), config);
    service.handle(request).await.map(Body::new)
}

fn has_session(request: &Request) -> bool {
    let sender = request.extensions().get::<Arc<Sender>>();
    sender.is_some_and(|sender| matches!(sender.credential, Some(Credential::Session(_))))
}

/// The services, with the rights of the sender of one request.
struct CallerAccess {
    web: Web,
    context: RequestContext,
    client: Client,
}

impl CallerAccess {
    /// Returns the fault of a tool. A denial is written to the audit log, a failure of the server
    /// to its log.
    fn fault(&self, tool: &str, problem: impl Into<Problem>) -> ToolFault {
        let problem = problem.into();
        problem.log("/mcp", &self.context.trace.trace_id());
        if problem.is_unrecorded_denial && self.context.principal.account().is_some() {
            let (access, context) = (self.web.access().clone(), self.context.clone());
            let operation = format!("POST /mcp {tool}");
            tokio::spawn(async move { access.record_denial(&context, operation).await });
        }
        let detail = problem.detail.into_owned();
        match problem.kind {
            _ if !problem.errors.is_empty() => ToolFault::Invalid(problem.errors),
            ProblemKind::Forbidden | ProblemKind::Unauthorized => ToolFault::Denied(detail),
            ProblemKind::NotFound => ToolFault::Missing(detail),
            kind if kind.about().0.is_server_error() => ToolFault::Failed(detail),
            _ => ToolFault::Refused(detail),
        }
    }
}

fn document(body: &impl Serialize) -> Result<Value, ToolFault> {
    serde_json::to_value(body).map_err(|error| ToolFault::Failed(format!("the result cannot be written: {error}")))
}

fn filter_of(text: &str) -> Result<FindingFilter, ToolFault> {
    text.parse().map_err(|error: <FindingFilter as std::str::FromStr>::Err| ToolFault::of("filter", error.to_string()))
}

fn rows(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[async_trait]
impl ToolAccess for CallerAccess {
    async fn targets(&self, wanted: &TargetsWanted) -> Result<Value, ToolFault> {
        let project = wanted.project.as_deref().map(str::parse::<ProjectId>).transpose();
        let projects = project.map_err(|error| ToolFault::of("project", error.to_string()))?;
        let query = TargetQuery {
            words: TargetQuery::words_of(&wanted.words).map_err(|why| ToolFault::of("words", why))?,
            tags: TargetQuery::tags_of(wanted.tags.iter().map(String::as_str))
                .map_err(|why| ToolFault::of("tags", why))?,
            projects: projects.into_iter().collect(),
            skip: rows(wanted.skip),
            limit: rows(wanted.limit),
            ..TargetQuery::default()
        };
        let page = self.web.targets().list(&self.context, &query).await;
        document(&TargetList::from(&page.map_err(|error| self.fault("list_targets", error))?))
    }

    async fn target(&self, id: TargetId) -> Result<Option<Value>, ToolFault> {
        let found = self.web.targets().get(&self.context, id).await;
        let found = found.map_err(|error| self.fault("get_target", error))?;
        found.map(|detail| document(&TargetDetailBody::from(&detail))).transpose()
    }

    async fn submit(&self, draft: &ScanRequestDraft) -> Result<(ScanId, Option<String>), ToolFault> {
        let accepted = self.web.scans().submit(&self.context, self.client, draft, None).await;
        let accepted = accepted.map_err(|error| self.fault("submit_scan", error))?;
        Ok((accepted.scan.record.id, accepted.warning()))
    }

    async fn scan(&self, id: ScanId) -> Result<Option<Value>, ToolFault> {
        let found = self.web.scans().scan(&self.context, id).await.map_err(|error| self.fault("get_scan", error))?;
        let Some(scan) = found else { return Ok(None) };
        let waiting = self.web.scans().waiting(&scan.record).await;
        let mut status = StatusBody::new(&scan, waiting.as_ref(), self.web.state.max_attempts, |_| None);
        status.results = scan.last_plugins().iter().map(PluginBody::with_issues).collect();
        document(&status).map(Some)
    }

    async fn wait(&self, id: ScanId, at_most: Duration) -> Result<Option<Value>, ToolFault> {
        let watched = self.web.scans().watch(&self.context, id).await;
        let Some(mut scans) = watched.map_err(|error| self.fault("wait_for_scan", error))? else { return Ok(None) };
        // Each wait holds a permit of a request. When too many wait, this one answers at once.
        if let Ok(_permit) = self.web.tool_waits.try_acquire() {
            // Neither the end of the time nor that of the receiver is a failure.
            let _ = tokio::time::timeout(at_most, scans.wait_for(|scan| scan.status().is_terminal())).await;
        }
        self.scan(id).await
    }

    async fn findings(&self, wanted: &FindingsWanted) -> Result<Value, ToolFault> {
        let (filter, skip, limit) = (filter_of(&wanted.filter)?, rows(wanted.skip), rows(wanted.limit));
        if wanted.grouped {
            let page = self.web.findings().groups(&self.context, &filter, skip, limit).await;
            return document(&FindingGroupList::from(&page.map_err(|error| self.fault("list_findings", error))?));
        }
        let sort = FindingSort::read(wanted.sort.name()).unwrap_or_default();
        let query = FindingQuery { filter, sort, skip, limit };
        let page = self.web.findings().list(&self.context, &query).await;
        document(&FindingList::from(&page.map_err(|error| self.fault("list_findings", error))?))
    }

    async fn finding(&self, id: FindingId) -> Result<Option<Value>, ToolFault> {
        let found = self.web.findings().get(&self.context, id).await;
        let found = found.map_err(|error| self.fault("get_finding", error))?;
        found.map(|detail| document(&FindingDetailBody::from(&detail))).transpose()
    }

    async fn triage(&self, id: FindingId, triage: &Triage) -> Result<Value, ToolFault> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let draft = TriageDraft {
            ids: vec![id.to_string()],
            filter: None,
            action: triage.kind.name().to_owned(),
            reason: text(&triage.reason),
            owner: text(&triage.owner),
            until: text(&triage.until),
        };
        let results = self.web.findings().change_many(&self.context, &draft).await;
        let results = results.map_err(|error| self.fault("triage_finding", error))?;
        let Some(result) = results.into_iter().next() else {
            return Err(ToolFault::missing(format_args!("finding {id}")));
        };
        let status = result.outcome.map_err(ToolFault::Refused)?;
        Ok(serde_json::json!({ "id": id, "status": status }))
    }

    async fn compare(&self, earlier: Option<ScanId>, later: ScanId) -> Result<Option<Value>, ToolFault> {
        let compared = match earlier {
            Some(earlier) => self.web.findings().compare(&self.context, earlier, later).await.map(Some),
            None => self.web.findings().compare_with_last(&self.context, later).await,
        };
        let compared = compared.map_err(|error| self.fault("compare_scans", error))?;
        compared.map(|comparison| document(&ComparisonBody::from(&comparison))).transpose()
    }

    fn longest_wait(&self) -> Duration {
        LONGEST_WAIT.min(self.web.limits.timeout / 2)
    }
}

#[cfg(test)]
mod tests;
