//! The backup that a server makes, as it comes.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use reqwest::StatusCode;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::{BackendError, RemoteBackend};

/// A server that sends nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);

impl RemoteBackend {
    /// Why the server's last automatic backup failed, if it did. A server that does not say has
    /// none.
    pub async fn backup_failure(&self) -> Option<String> {
        let body = self.get_json("api/backups", &[]).await.ok()??;
        body["failure"]["why"].as_str().map(str::to_owned)
    }

    /// A backup of everything that the server's database keeps. Whether it is whole is for the
    /// reader to see.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub async fn backup(&self) -> Result<Pin<Box<dyn AsyncRead + Send>>, BackendError> {
        let response = self.download("api/backup").await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                return Err(self.strange("it makes no backups; it is an older version, or a worker"));
            }
            status => return Err(super::remote::problem(status, response).await),
        }
        let chunks = stream::unfold(Box::pin(response.bytes_stream()), async |mut chunks| {
            let chunk = match tokio::time::timeout(SILENCE, chunks.next()).await {
                Ok(chunk) => chunk?.map_err(io::Error::other),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
            };
            Some((chunk, chunks))
        });
        Ok(Box::pin(StreamReader::new(Box::pin(chunks))))
    }
}
