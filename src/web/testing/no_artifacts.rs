//! An artifact store that never responds.

use async_trait::async_trait;

use crate::ports::{ArtifactError, ArtifactStore, AttemptKey, ByteRange, Listing, LogTail, OpenArtifact, ScanFolder};

/// The unavailable store. See the module documentation.
#[derive(Debug)]
pub(crate) struct NoArtifacts;

fn unavailable<T>() -> Result<T, ArtifactError> {
    Err(ArtifactError::Unavailable("no route to 10.1.2.3".into()))
}

#[async_trait]
impl ArtifactStore for NoArtifacts {
    async fn list(&self, _: &AttemptKey) -> Result<Listing, ArtifactError> {
        unavailable()
    }

    async fn open(&self, _: &AttemptKey, _: &str, _: Option<ByteRange>) -> Result<OpenArtifact, ArtifactError> {
        unavailable()
    }

    async fn log_tail(&self, _: &AttemptKey, _: u64) -> Result<LogTail, ArtifactError> {
        unavailable()
    }

    async fn locate(&self, _: &AttemptKey, _: &str) -> Result<String, ArtifactError> {
        unavailable()
    }

    async fn delete(&self, _: &ScanFolder) -> Result<(), ArtifactError> {
        unavailable()
    }
}
