//! Reads the audit log of a backend with its seals, as a stream.

use std::pin::Pin;

use kastrel_actors::model::DomainEvent;
use kastrel_actors::service::AuditExport;
use reqwest::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::backup::body_of;
use super::error::BackendError;
use super::local::{LocalBackend, context};
use super::remote::RemoteBackend;

/// How many bytes are read at once.
const CHUNK: usize = 64 << 10;

/// The lines of an exported audit log, in pieces of any length.
pub enum AuditLines {
    /// A server sends them.
    Server(Pin<Box<dyn AsyncRead + Send>>),
    /// This process reads them from the database.
    Here(Box<AuditExport>),
}

impl AuditLines {
    /// Returns the next piece; `None` at the end. The last line says whether the log is complete.
    ///
    /// # Errors
    /// The server or the database does not respond any more.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, BackendError> {
        match self {
            Self::Here(export) => Ok(export.next().await?),
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

impl LocalBackend {
    /// Reads the audit log of this process. `is_recorded`: an entry says that it was exported.
    pub(crate) async fn audit_lines(&self, is_recorded: bool) -> Result<AuditLines, BackendError> {
        let mut export = self.services.audit.export(&context())?;
        if is_recorded {
            self.access.record_download(&context(), DomainEvent::AuditExported, None).await?;
            export.end_before_own_entry(&context().principal);
        }
        Ok(AuditLines::Here(Box::new(export)))
    }
}

impl RemoteBackend {
    /// Reads the audit log of the server.
    pub(crate) async fn audit_lines(&self) -> Result<AuditLines, BackendError> {
        let response = self.download("api/audit/export").await?;
        match response.status() {
            StatusCode::OK => Ok(AuditLines::Server(body_of(response))),
            StatusCode::NOT_FOUND => {
                Err(self.strange("it does not export its audit log; it is an older version, or a worker"))
            }
            _ => Err(self.problem(response).await),
        }
    }
}
