//! The interface to a store that copies an attempt's files elsewhere. It is called when the
//! attempt's folder starts to fill and when the files are final.

use std::fmt;

use async_trait::async_trait;
use kastrel_actors::model::{AttemptNumber, FencingToken, ScanId};

use super::AttemptPaths;

/// An attempt and the paths of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFiles {
    /// The scan.
    pub scan: ScanId,
    /// The attempt.
    pub attempt: AttemptNumber,
    /// Its fencing token.
    pub token: FencingToken,
    /// Its folders.
    pub paths: AttemptPaths,
}

/// Stores the files of attempts elsewhere. The runner does not depend on the location.
///
/// If the program dies, the sink misses the start or the end of an attempt. It must then find the
/// attempt by its folder, which still exists.
#[async_trait]
pub trait ArtifactSink: Send + Sync + fmt::Debug + 'static {
    /// The scanner has started, and its folder starts to fill. Does not block.
    fn attempt_started(&self, attempt: &AttemptFiles);

    /// All processes of the attempt are gone and its files are final. Returns within a bounded
    /// time, with warnings for the user. Files that are not stored by then stay in the folder and
    /// are stored later. A drop of the future must not stop the upload.
    async fn attempt_ended(&self, attempt: &AttemptFiles) -> Vec<String>;
}
