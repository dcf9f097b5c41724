//! `kastrel mcp`: the tools for assistants, over the Model Context Protocol on standard input and
//! output. What they do, they do through the backend of the commands, with its rights.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model::{ScanId, ScanRequestDraft};
use kastrel_findings::identity::{FindingId, TargetId};
use rmcp::service::{ServerInitializeError, ServiceExt as _};
use rmcp::transport::stdio_pipes;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use super::args::McpArgs;
use super::backend::{Backend, BackendError};
use super::context::{Context, Session};
use super::error::{CliError, chain};
use super::exit::Exit;
use super::host::Role;
use crate::api_types::{FindingGroupParams, FindingParams, TargetParams, TriageBody};
use crate::mcp::{FindingsWanted, McpServer, TargetsWanted, ToolAccess, ToolFault, Triage};

/// The longest wait for a scan.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Runs the command, until the client closes its side or the user interrupts it.
///
/// # Errors
/// Neither a server nor the database is available, or the client speaks another protocol.
pub(super) async fn run(args: &McpArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    // Without a server, this process runs the scans. It takes no more of the network than the
    // configuration allows: an assistant chooses the targets.
    let Some(session) = context.open(&args.server, &config, Role::OneShot).await? else {
        return Ok(Exit::Interrupted);
    };
    let access = Arc::new(BackendAccess::new(session));
    let ended = tokio::select! {
        ended = serve(Arc::clone(&access)) => ended,
        () = context.interrupts.next() => Ok(Exit::Interrupted),
        why = access.failed() => Err(BackendError::Other(why).into()),
    };
    access.close().await;
    ended
}

async fn serve(access: Arc<BackendAccess>) -> Result<Exit, CliError> {
    let running = match McpServer::new(access).serve(stdio_pipes()).await {
        Ok(running) => running,
        // The client has closed its side before it said anything.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(Exit::Done),
        Err(error) => return Err(CliError::App(Box::new(error))),
    };
    running.waiting().await.map_err(|error| CliError::App(Box::new(error)))?;
    Ok(Exit::Done)
}

/// The backend of the command, until it ends.
struct BackendAccess {
    /// `None`: the command ends. Each call holds a read lock.
    session: RwLock<Option<Session>>,
    /// Cancelled when the command ends.
    ending: CancellationToken,
}

impl BackendAccess {
    fn new(session: Session) -> Self {
        Self { session: RwLock::new(Some(session)), ending: CancellationToken::new() }
    }

    /// Waits until the application in this process fails.
    async fn failed(&self) -> String {
        match self.session.read().await.as_ref() {
            Some(session) => session.failed().await.to_string(),
            None => std::future::pending().await,
        }
    }

    /// Stops the application in order, after the calls in flight.
    async fn close(&self) {
        self.ending.cancel();
        let session = self.session.write().await.take();
        if let Some(session) = session {
            session.close().await;
        }
    }

    /// Waits for an answer of the backend, or for the end of the command.
    async fn until_end<T>(&self, answer: impl Future<Output = Result<T, BackendError>> + Send) -> Result<T, ToolFault> {
        tokio::select! {
            answer = answer => answer.map_err(fault),
            () = self.ending.cancelled() => Err(ended()),
        }
    }
}

fn backend(session: Option<&Session>) -> Result<&dyn Backend, ToolFault> {
    session.map(|session| session.backend.as_ref()).ok_or_else(ended)
}

fn ended() -> ToolFault {
    ToolFault::Failed("the command ends".into())
}

/// Returns the fault of a tool.
fn fault(error: BackendError) -> ToolFault {
    let text = chain(&error);
    let text = text.strip_prefix("error: ").unwrap_or(&text).to_owned();
    match error {
        BackendError::Invalid(errors) => ToolFault::Invalid(errors),
        BackendError::Unauthorized { .. } | BackendError::OpenToken { .. } => ToolFault::Denied(text),
        BackendError::Problem(problem) => match problem.status {
            401 | 403 => ToolFault::Denied(text),
            404 => ToolFault::Missing(text),
            500.. => ToolFault::Failed(text),
            _ => ToolFault::Refused(text),
        },
        BackendError::Unreachable { .. } | BackendError::Strange { .. } | BackendError::Store(_) => {
            ToolFault::Failed(text)
        }
        BackendError::Other(_) => ToolFault::Refused(text),
    }
}

fn document(body: &impl Serialize) -> Result<Value, ToolFault> {
    serde_json::to_value(body).map_err(|error| ToolFault::Failed(format!("the result cannot be written: {error}")))
}

fn some(text: &str) -> Option<String> {
    (!text.trim().is_empty()).then(|| text.to_owned())
}

#[async_trait]
impl ToolAccess for BackendAccess {
    async fn targets(&self, wanted: &TargetsWanted) -> Result<Value, ToolFault> {
        let params = TargetParams {
            q: some(&wanted.words),
            tag: some(&wanted.tags.join(",")),
            project: wanted.project.clone(),
            skip: Some(wanted.skip),
            limit: Some(wanted.limit),
        };
        let session = self.session.read().await;
        document(&self.until_end(backend(session.as_ref())?.targets(&params)).await?)
    }

    async fn target(&self, id: TargetId) -> Result<Option<Value>, ToolFault> {
        let session = self.session.read().await;
        self.until_end(backend(session.as_ref())?.target(id)).await?.as_ref().map(document).transpose()
    }

    async fn submit(&self, draft: &ScanRequestDraft) -> Result<(ScanId, Option<String>), ToolFault> {
        let session = self.session.read().await;
        // A submission is not given up half-way: its scan may be stored.
        let answer = backend(session.as_ref())?.submit(draft).await.map_err(fault)?;
        Ok((answer.id, answer.warning))
    }

    async fn scan(&self, id: ScanId) -> Result<Option<Value>, ToolFault> {
        let session = self.session.read().await;
        self.until_end(backend(session.as_ref())?.details(id)).await?.as_ref().map(document).transpose()
    }

    async fn wait(&self, id: ScanId, at_most: Duration) -> Result<Option<Value>, ToolFault> {
        {
            let session = self.session.read().await;
            let watched = self.until_end(backend(session.as_ref())?.watch(id)).await?;
            let Some(mut views) = watched else { return Ok(None) };
            let until_it_ends = async {
                while let Some(view) = views.recv().await {
                    if view?.summary.status.is_terminal() {
                        break;
                    }
                }
                Ok::<_, BackendError>(())
            };
            // The end of the time is no failure.
            let waited = async { tokio::time::timeout(at_most, until_it_ends).await.unwrap_or(Ok(())) };
            self.until_end(waited).await?;
        }
        self.scan(id).await
    }

    async fn findings(&self, wanted: &FindingsWanted) -> Result<Value, ToolFault> {
        let (q, skip, limit) = (some(&wanted.filter), Some(wanted.skip), Some(wanted.limit));
        let session = self.session.read().await;
        let backend = backend(session.as_ref())?;
        if wanted.grouped {
            let params = FindingGroupParams { q, skip, limit };
            return document(&self.until_end(backend.finding_groups(&params)).await?);
        }
        let params = FindingParams { q, sort: Some(wanted.sort.name().to_owned()), skip, limit };
        document(&self.until_end(backend.findings(&params)).await?)
    }

    async fn finding(&self, id: FindingId) -> Result<Option<Value>, ToolFault> {
        let session = self.session.read().await;
        self.until_end(backend(session.as_ref())?.finding(id)).await?.as_ref().map(document).transpose()
    }

    async fn triage(&self, id: FindingId, triage: &Triage) -> Result<Value, ToolFault> {
        let body = TriageBody {
            ids: vec![id.to_string()],
            q: None,
            action: triage.kind.name().to_owned(),
            reason: triage.reason.clone(),
            owner: triage.owner.clone(),
            until: triage.until.clone(),
        };
        let session = self.session.read().await;
        let list = self.until_end(backend(session.as_ref())?.triage_findings(&body)).await?;
        let Some(result) = list.results.into_iter().next() else {
            return Err(ToolFault::missing(format_args!("finding {id}")));
        };
        match result.error {
            Some(error) => Err(ToolFault::Refused(error)),
            None => Ok(json!({ "id": id, "status": result.status })),
        }
    }

    async fn compare(&self, earlier: Option<ScanId>, later: ScanId) -> Result<Option<Value>, ToolFault> {
        let session = self.session.read().await;
        let compared = self.until_end(backend(session.as_ref())?.compare(later, earlier)).await?;
        compared.as_ref().map(document).transpose()
    }

    fn longest_wait(&self) -> Duration {
        LONGEST_WAIT
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::FieldError;

    use super::*;
    use crate::api_types::ProblemBody;

    #[test]
    fn faults_of_the_backend_are_those_of_tools() {
        let problem = |status: u16| {
            let body = json!({ "type": "x", "title": "Not allowed", "status": status, "detail": "no" }).to_string();
            BackendError::from(ProblemBody::read(status, body.as_bytes()))
        };
        let errors = vec![FieldError::new("target", "wrong")];
        assert_eq!(fault(BackendError::Invalid(errors.clone())), ToolFault::Invalid(errors));
        assert!(matches!(fault(problem(403)), ToolFault::Denied(_)));
        assert!(matches!(fault(problem(409)), ToolFault::Refused(_)));
        assert!(matches!(fault(problem(503)), ToolFault::Failed(_)));
        let unreachable = BackendError::Unreachable { url: "http://127.0.0.1:9".into(), source: None };
        assert!(matches!(fault(unreachable), ToolFault::Failed(text) if text.starts_with("Failed to reach")));
        assert!(matches!(fault(BackendError::Other("no".into())), ToolFault::Refused(text) if text == "No"));
    }
}
