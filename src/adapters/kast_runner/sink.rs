//! Who else wants an attempt's files: told when its folder begins to fill, and when the files are
//! final.

use std::fmt;

use async_trait::async_trait;
use kastrel_actors::model::{AttemptNumber, FencingToken, ScanId};

use super::folder::AttemptPaths;

/// An attempt and where its files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFiles {
    /// The scan.
    pub scan: ScanId,
    /// The attempt.
    pub attempt: AttemptNumber,
    /// The token that fences it.
    pub token: FencingToken,
    /// Its folders.
    pub paths: AttemptPaths,
}

/// Keeps files of attempts elsewhere. The runner knows nothing of where.
///
/// An attempt whose start or end was never told here, because the program died in between, is the
/// sink's to find: its folder is still there.
#[async_trait]
pub trait ArtifactSink: Send + Sync + fmt::Debug + 'static {
    /// The scanner runs, and its folder begins to fill. Does not block.
    fn attempt_started(&self, attempt: &AttemptFiles);

    /// All processes of the attempt are gone and its files are final. Answers within a bounded time
    /// with what a user should be warned of; what is not stored by then stays in the folder and is
    /// stored later. Dropping the future must not end the storing.
    async fn attempt_ended(&self, attempt: &AttemptFiles) -> Vec<String>;
}
