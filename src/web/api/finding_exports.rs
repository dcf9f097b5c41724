//! `GET /api/scans/{id}/export` and `GET /api/findings/export`: findings as files. The server reads
//! and sends them chunk by chunk.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use kastrel_actors::model::DomainEvent;
use kastrel_actors::service::CommandError;

use super::finding_query;
use crate::api_types::{FindingExportParams, ProblemBody, ScanExportParams};
use crate::exports::{EncodeError, Format};
use crate::service::findings::{ExportError, FindingExport, ScanExport};
use crate::web::error::{Problem, ProblemKind};
use crate::web::path::{PathId, no_scan};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Exports what a scan saw, with the decisions about it, and with its state against the last
/// comparable scan of the target. What the scan did not check is a part of each format.
#[utoipa::path(
    get, path = "/api/scans/{id}/export", tag = "scans",
    params(("id" = u64, Path, description = "The scan's id"), ScanExportParams),
    responses(
        (status = 200, description = "The export, in the media type of the format", content((serde_json::Value = "application/sarif+json"), (serde_json::Value = "application/json"), (String = "application/x-ndjson"), (String = "application/xml"), (String = "text/csv"), (String = "text/plain"))),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found, or it had no attempt", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Scan not finished", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Findings not stored yet, or database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn export_scan_findings(
    State(web): State<Web>,
    viewer: Viewer,
    method: Method,
    PathId(id): PathId,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    // Who may not see the scan learns nothing else.
    web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let (format, _) = finding_query::export(query.as_deref(), &Format::OF_SCANS, false)?;
    let export = match web.findings().export_scan(&viewer.context, id, format).await? {
        ScanExport::Export(export) => export,
        ScanExport::Missing => return Err(no_scan()),
        ScanExport::NothingChecked => {
            return Err(Problem::not_found("the scan ended before its first attempt, so it has no findings"));
        }
        ScanExport::NotEnded => {
            return Err(Problem::new(ProblemKind::NotEnded, "findings can be exported when the scan has finished"));
        }
        ScanExport::NotStored => {
            let detail = "the findings of the scan are not stored yet; those of scans of an earlier version are stored by `kastrel findings rebuild`";
            return Err(Problem::new(ProblemKind::Loading, detail).retry_after(1));
        }
    };
    web.record_download(&viewer.context, &method, DomainEvent::FindingsExported, Some(id)).await?;
    Ok(response_of(export))
}

/// Exports the stored findings that match a filter, target by target. Without `status:` these are
/// the open and confirmed ones; as OpenVEX, those in all states, and the filter has only `target`,
/// `project` and `tag`.
#[utoipa::path(
    get, path = "/api/findings/export", tag = "findings", params(FindingExportParams),
    responses(
        (status = 200, description = "The export, in the media type of the format", content((serde_json::Value = "application/sarif+json"), (serde_json::Value = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No finding that the format can have", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn export_findings(
    State(web): State<Web>,
    viewer: Viewer,
    method: Method,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (format, filter) = finding_query::export(query.as_deref(), &Format::OF_FINDINGS, true)?;
    let export = web.findings().export_findings(&viewer.context, &filter, format).await?;
    web.record_download(&viewer.context, &method, DomainEvent::FindingsExported, None).await?;
    Ok(response_of(export))
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Command(CommandError::Invalid(error)) => Self::fields(ProblemKind::InvalidQuery, vec![error]),
            ExportError::Command(error) => error.into(),
            ExportError::Encode(error @ EncodeError::NoStatement) => Self::not_found(error.to_string()),
            ExportError::Encode(error @ EncodeError::Write(_)) => Self::internal(error),
        }
    }
}

fn response_of(export: FindingExport) -> Response {
    let (media_type, name) = (export.format.media_type(), export.file_name.clone());
    // A stream that breaks midway must not look like a complete one.
    let bytes = export.into_stream().map(|piece| {
        piece.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "an export of findings was not sent to its end");
            std::io::Error::other("an export broke in its middle")
        })
    });
    let mut response = Body::from_stream(bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.extend(
        HeaderValue::try_from(format!("attachment; filename=\"{name}\""))
            .ok()
            .map(|value| (header::CONTENT_DISPOSITION, value)),
    );
    response
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{PluginResult, PluginStatus, Resolution, Verdict};
    use kastrel_findings::lifecycle::PluginEnd;

    use crate::service::findings::samples::Sample;
    use crate::web::testing::{TestApp, json_of, text_of};

    #[tokio::test]
    async fn scan_without_findings_has_no_export() {
        let app = TestApp::new();
        assert_eq!(app.get("/api/scans/1/export?format=sarif").await.status(), 404);
        let id = app.submitted("shop.example").await;
        assert_eq!(app.get(&format!("/api/scans/{id}/export?format=sarif")).await.status(), 409);
        let problem = json_of(app.get(&format!("/api/scans/{id}/export?format=pdf")).await).await;
        assert_eq!(problem["errors"][0]["field"], "format");
        assert_eq!(app.get("/api/findings/export?format=openvex&q=tag:prod").await.status(), 404);
        let response = app.get("/api/findings/export?format=openvex&q=status:fixed").await;
        assert_eq!(response.status(), 400);
        assert_eq!(json_of(response).await["errors"][0]["field"], "q");
        let response = app.get("/api/findings/export?format=csv").await;
        assert_eq!(response.status(), 200);
    }

    #[tokio::test]
    async fn export_of_a_scan_ends_with_what_it_proves_fixed() {
        let app = TestApp::new();
        let mut scans = Vec::new();
        for _ in 0..2 {
            let running = app.running("shop.example").await;
            let plugin = PluginResult::new("whatweb", PluginStatus::Completed);
            let verdict = Verdict { plugins: vec![plugin], dry_run: false };
            scans.push(app.finish(&running, Resolution::Complete(verdict)).await.id);
        }
        let sample = Sample::new(&app.memory, "default", "shop.example");
        let done = [("whatweb", PluginEnd::Completed)];
        sample.scan(scans[0], 100, &done, &[("whatweb", "gone", "/"), ("whatweb", "old", "/")]).await;
        sample.scan(scans[1], 200, &done, &[("whatweb", "old", "/"), ("whatweb", "added", "/")]).await;
        let text = text_of(app.get(&format!("/api/scans/{}/export?format=jsonl", scans[1])).await).await;
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut classes: Vec<_> = lines
            .iter()
            .filter(|line| line["type"] == "finding")
            .map(|line| (line["issue"].as_str().unwrap(), line["baseline"].as_str().unwrap()))
            .collect();
        assert_eq!(classes.last(), Some(&("gone", "absent")), "{text}");
        classes.sort_unstable();
        assert_eq!(classes, [("added", "new"), ("gone", "absent"), ("old", "unchanged")]);
        assert!(lines.iter().all(|line| line["type"] != "finding" || line["life"]["status"] == "open"), "{text}");
    }
}
