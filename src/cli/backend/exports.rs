//! Exports of the findings of a backend, as streams of bytes.

use std::pin::Pin;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use kastrel_actors::model::{DomainEvent, FieldError, ScanId};
use reqwest::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use url::form_urlencoded::Serializer;

use super::backup::body_of;
use super::error::BackendError;
use super::local::{LocalBackend, context};
use super::remote::RemoteBackend;
use super::scans::ScanBackend as _;
use crate::exports::Format;
use crate::service::findings::{ExportError, FilterError, FindingExport, FindingFilter, ScanExport};

/// How many bytes are read at once.
const CHUNK: usize = 64 << 10;

/// The bytes of an export, in pieces of any length.
pub enum ExportBytes {
    /// A server sends them.
    Server(Pin<Box<dyn AsyncRead + Send>>),
    /// This process makes them.
    Here(BoxStream<'static, Result<Vec<u8>, ExportError>>),
}

impl ExportBytes {
    /// Returns the next piece; `None` at the end.
    ///
    /// # Errors
    /// The server or the database does not respond any more.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, BackendError> {
        match self {
            Self::Here(pieces) => Ok(pieces.next().await.transpose()?),
            Self::Server(body) => {
                let mut chunk = vec![0; CHUNK];
                let read = body.read(&mut chunk).await;
                let read = read.map_err(|error| BackendError::Other(format!("the server stopped sending: {error}")))?;
                chunk.truncate(read);
                Ok((read > 0).then_some(chunk))
            }
        }
    }
}

impl std::fmt::Debug for ExportBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportBytes").finish_non_exhaustive()
    }
}

/// The answer to a request for the export of a scan.
#[derive(Debug)]
pub enum ScanExportAnswer {
    /// The scan does not exist.
    Missing,
    /// What the scan saw is not stored yet.
    NotReady,
    /// The export.
    Bytes(ExportBytes),
}

/// Exports of the findings of a backend.
#[async_trait]
pub trait ExportBackend: Send + Sync {
    /// Exports what a scan saw.
    async fn export_scan(&self, scan: ScanId, format: Format) -> Result<ScanExportAnswer, BackendError>;

    /// Exports the findings that match a filter.
    async fn export_findings(&self, filter: &str, format: Format) -> Result<ExportBytes, BackendError>;
}

#[async_trait]
impl ExportBackend for LocalBackend {
    async fn export_scan(&self, scan: ScanId, format: Format) -> Result<ScanExportAnswer, BackendError> {
        Ok(match self.findings.export_scan(&context(), scan, format).await? {
            ScanExport::Export(export) => ScanExportAnswer::Bytes(here(export)),
            ScanExport::Missing => ScanExportAnswer::Missing,
            ScanExport::NotEnded | ScanExport::NotStored => ScanExportAnswer::NotReady,
            ScanExport::NothingChecked => {
                let text = format!("scan {scan} ended before its first attempt, so it has no findings");
                return Err(BackendError::Other(text));
            }
        })
    }

    async fn export_findings(&self, filter: &str, format: Format) -> Result<ExportBytes, BackendError> {
        let invalid = |error: FilterError| BackendError::Invalid(vec![FieldError::new("q", error.to_string())]);
        let filter: FindingFilter = filter.parse().map_err(invalid)?;
        let export = self.findings.export_findings(&context(), &filter, format).await?;
        self.access.record_download(&context(), DomainEvent::FindingsExported, None).await?;
        Ok(here(export))
    }
}

fn here(export: FindingExport) -> ExportBytes {
    ExportBytes::Here(export.into_stream())
}

#[async_trait]
impl ExportBackend for RemoteBackend {
    async fn export_scan(&self, scan: ScanId, format: Format) -> Result<ScanExportAnswer, BackendError> {
        let response = self.download(&format!("api/scans/{scan}/export?format={}", format.name())).await?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(ScanExportAnswer::Bytes(ExportBytes::Server(body_of(response))));
        }
        let problem = self.problem(response).await;
        if is_not_ready(&problem) {
            return Ok(ScanExportAnswer::NotReady);
        }
        if status == StatusCode::NOT_FOUND && self.get(scan).await?.is_none() {
            return Ok(ScanExportAnswer::Missing);
        }
        Err(problem)
    }

    async fn export_findings(&self, filter: &str, format: Format) -> Result<ExportBytes, BackendError> {
        let query = export_query(filter, format);
        let response = self.download(&format!("api/findings/export?{query}")).await?;
        match response.status() {
            StatusCode::OK => Ok(ExportBytes::Server(body_of(response))),
            _ => Err(self.problem(response).await),
        }
    }
}

fn export_query(filter: &str, format: Format) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("format", format.name());
    if !filter.is_empty() {
        query.append_pair("q", filter);
    }
    query.finish()
}

/// Returns true if the same request succeeds when the scan has ended and its findings are stored.
fn is_not_ready(error: &BackendError) -> bool {
    let BackendError::Problem(problem) = error else { return false };
    ["loading", "not-ended"].iter().any(|kind| problem.kind.rsplit(':').next() == Some(*kind))
}

impl From<ExportError> for BackendError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Command(error) => error.into(),
            ExportError::Encode(error) => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_types::ProblemBody;

    #[test]
    fn only_findings_that_are_not_stored_yet_are_waited_for() {
        for (kind, expected) in [
            ("urn:kastrel:problem:loading", true),
            ("urn:kastrel:problem:not-ended", true),
            ("urn:kastrel:problem:store-unavailable", false),
            ("urn:kastrel:problem:not-found", false),
            ("", false),
        ] {
            let problem = ProblemBody { kind: kind.into(), status: 503, ..ProblemBody::default() };
            assert_eq!(is_not_ready(&problem.into()), expected, "{kind}");
        }
    }
}
