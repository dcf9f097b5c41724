//! `GET /api/audit/export`: the audit log with its seals, as a file that `kastrel audit verify`
//! checks. The server reads and sends it page by page.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use kastrel_actors::model::DomainEvent;

use crate::api_types::ProblemBody;
use crate::web::error::Problem;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Exports the audit log with its seals and their public keys, for `kastrel audit verify`.
#[utoipa::path(
    get, path = "/api/audit/export", tag = "server",
    responses(
        (status = 200, description = "The log as JSON lines; complete if its last line is an `end`", body = String, content_type = "application/x-ndjson"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn export_audit(State(web): State<Web>, method: Method, viewer: Viewer) -> Result<Response, Problem> {
    let mut export = web.audit().export(&viewer.context)?;
    // If the store does not respond, the response is a problem: no byte has been sent yet.
    let first = export.next().await?.unwrap_or_default();
    if web.record_download(&viewer.context, &method, DomainEvent::AuditExported, None).await? {
        export.end_before_own_entry(&viewer.context.principal);
    }
    let name = format!("kastrel-audit-{}.ndjson", web.now().strftime("%Y%m%dT%H%M%SZ"));
    let rest = stream::unfold(Some(export), async |export| {
        let mut export = export?;
        match export.next().await {
            Ok(Some(lines)) => Some((Ok(lines), Some(export))),
            Ok(None) => None,
            // A stream that breaks midway must not look like a complete one.
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an audit log was not sent to its end");
                Some((Err(std::io::Error::other("the store did not answer in the middle of an export")), None))
            }
        }
    });
    let mut response = Body::from_stream(stream::once(async { Ok(first) }).chain(rest)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(
        HeaderValue::try_from(format!("attachment; filename=\"{name}\""))
            .ok()
            .map(|value| (header::CONTENT_DISPOSITION, value)),
    );
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kastrel_actors::model::AuditQuery;
    use kastrel_actors::policy::audit_chain::{ChainFault, ChainReport, ChainTrust};
    use kastrel_actors::policy::audit_file::AuditFileCheck;
    use kastrel_actors::ports::{AuditLog as _, SystemClock};
    use kastrel_actors::service::AuditSealer;
    use kastrel_actors::testing::{MemoryStore, TestSigner};

    use super::*;
    use crate::web::testing::{TestApp, header_of, text_of};

    async fn seal(app: &TestApp) {
        let chain = Arc::<MemoryStore>::clone(&app.memory);
        let sealer = AuditSealer::new(chain, Arc::new(TestSigner::new(1)), Arc::new(SystemClock), None);
        assert!(sealer.seal().await.unwrap() > 0);
    }

    fn verified(file: &str) -> ChainReport {
        let mut lines = file.split_inclusive('\n').map(str::as_bytes);
        let mut check = AuditFileCheck::begin(lines.next().unwrap(), TestSigner::check, ChainTrust::default()).unwrap();
        lines.for_each(|line| check.line(line).unwrap());
        check.finish().unwrap()
    }

    #[tokio::test]
    async fn audit_export_is_a_download_that_can_be_verified() {
        let app = TestApp::as_system();
        app.submitted("example.com").await;
        app.submitted("example.org").await;
        seal(&app).await;
        let response = app.get("/api/audit/export").await;
        assert_eq!((response.status().as_u16(), header_of(&response, "content-type")), (200, "application/x-ndjson"));
        assert_eq!(
            (header_of(&response, "cache-control"), header_of(&response, "x-content-type-options")),
            ("no-store", "nosniff")
        );
        let report = verified(&text_of(response).await);
        assert!(report.is_verified(), "{report:?}");
        assert_eq!(
            (report.seals, report.entries, report.waiting),
            (1, 2, 0),
            "the file ends before the entry of the export"
        );
        let newest = app.memory.audit(&AuditQuery::newest(1)).await.unwrap().entries;
        assert_eq!(newest[0].event, DomainEvent::AuditExported);
        app.memory.overwrite_audit(1, DomainEvent::QueueResumed);
        let faults = verified(&text_of(app.get("/api/audit/export").await).await).faults;
        assert!(matches!(&faults[..], [ChainFault::EntryChanged { seal: 1, .. }]), "{faults:?}");
    }

    #[tokio::test]
    async fn export_of_a_store_that_does_not_answer_is_a_problem() {
        let app = TestApp::new();
        app.store.fail_with("no");
        assert_eq!(app.get("/api/audit/export").await.status(), 503);
    }
}
