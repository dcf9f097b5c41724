//! Reads a part of a file into memory. A page waits only a short time for the artifact store.

use std::time::Duration;

use futures_util::TryStreamExt;
use kastrel_actors::model::{AttemptNumber, ScanRecord};

use crate::ports::{ArtifactError, AttemptKey, ByteRange};
use crate::web::state::WebInner;

/// How long a page waits for the artifact store: it has other content to show.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn in_time<T>(call: impl Future<Output = Result<T, ArtifactError>>) -> Result<T, ArtifactError> {
    tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(|late| Err(ArtifactError::Unavailable(late.into())))
}

/// Returns the beginning of a file, at most `most` bytes, and the size of the file.
pub(crate) async fn head(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    path: &str,
    most: u64,
) -> Result<(Vec<u8>, u64), ArtifactError> {
    match part(web, record, attempt, path, ByteRange::From { first: 0, last: Some(most.saturating_sub(1)) }).await {
        Ok(part) => Ok((part.bytes, part.size)),
        Err(ArtifactError::OutOfRange { size }) => Ok((Vec::new(), size)),
        Err(error) => Err(error),
    }
}

/// A bounded part of a file, in memory.
pub(super) struct Part {
    pub(super) bytes: Vec<u8>,
    pub(super) first: u64,
    pub(super) size: u64,
}

pub(super) async fn part(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    path: &str,
    range: ByteRange,
) -> Result<Part, ArtifactError> {
    let key = AttemptKey::of(record, attempt);
    in_time(async {
        let mut file = web.state.artifacts.open(&key, path, Some(range)).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = file.bytes.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(Part { bytes, first: file.range.start, size: file.size })
    })
    .await
}
