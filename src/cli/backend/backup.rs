//! Downloads a backup from a server, as a stream.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use reqwest::{Response, StatusCode};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::error::BackendError;
use super::remote::RemoteBackend;
use crate::api_types::BackupsBody;

/// A server that sends nothing for this long counts as dead.
const SILENCE: Duration = Duration::from_secs(60);

impl RemoteBackend {
    /// Returns why the server's last automatic backup failed, if it failed. Returns `None` for a
    /// server that does not report this.
    pub async fn backup_failure(&self) -> Option<String> {
        let backups: BackupsBody = self.get_json("api/backups", &[]).await.ok()??;
        backups.failure.map(|failure| failure.why)
    }

    /// Downloads a backup of the server's database. The reader has to check that it is complete.
    ///
    /// # Errors
    /// The server does not respond, or refuses.
    pub async fn backup(&self) -> Result<Pin<Box<dyn AsyncRead + Send>>, BackendError> {
        let response = self.download("api/backup").await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                return Err(self.strange("it makes no backups; it is an older version, or a worker"));
            }
            _ => return Err(self.problem(response).await),
        }
        Ok(body_of(response))
    }
}

/// Reads the body of a response. A server that sends nothing for long is an error.
pub(super) fn body_of(response: Response) -> Pin<Box<dyn AsyncRead + Send>> {
    let chunks = stream::unfold(Box::pin(response.bytes_stream()), async |mut chunks| {
        let chunk = match tokio::time::timeout(SILENCE, chunks.next()).await {
            Ok(chunk) => chunk?.map_err(io::Error::other),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        Some((chunk, chunks))
    });
    Box::pin(StreamReader::new(Box::pin(chunks)))
}
