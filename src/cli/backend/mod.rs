//! The backends of the commands: the scans of this process, or of a server.

mod backup;
mod cluster;
mod local;
pub mod locate;
mod problem;
mod remote;
mod sse;

use async_trait::async_trait;
use kastrel_actors::model::{CancelledBy, FieldError, PluginInfo, ScanId, ScanRequestDraft, ScanStatus, ScannerInfo};
use kastrel_actors::ports::StoreError;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::exit::Exit;
use super::text::plain;
use super::view::ScanView;

pub use cluster::{BlockerView, ClusterBackend, FaultView, HeldView, NodeView, QueueView};
pub use local::{LocalBackend, PluginSource};
pub use problem::ProblemDetails;
pub use remote::{Holder, Readiness, ReadinessCheck, RemoteBackend};

/// The scans of a backend.
#[async_trait]
pub trait ScanBackend: Send + Sync {
    /// Submits a scan. If this returns `Ok`, the scan is committed.
    async fn submit(&self, draft: &ScanRequestDraft) -> Result<SubmitAnswer, BackendError>;

    /// Follows a scan: the channel receives its current view, then each change, and at last the
    /// view of its end. Returns `None` if the scan does not exist.
    async fn watch(&self, id: ScanId) -> Result<Option<Views>, BackendError>;

    /// Cancels a scan.
    async fn cancel(&self, id: ScanId, by: CancelledBy) -> Result<CancelAnswer, BackendError>;

    /// Returns the current view of a scan.
    async fn get(&self, id: ScanId) -> Result<Option<ScanView>, BackendError>;

    /// Returns the details of a scan, with the issues that its plugins reported.
    async fn details(&self, id: ScanId) -> Result<Option<ScanView>, BackendError> {
        self.get(id).await
    }

    /// Returns the beginning of the log of a scan's last attempt, in complete lines.
    async fn log(&self, id: ScanId) -> Result<Vec<String>, BackendError>;

    /// Returns the scans that match, newest first.
    async fn list(&self, filter: &ListFilter) -> Result<ListAnswer, BackendError>;

    /// Returns the scanner and its plugins.
    async fn plugins(&self) -> Result<PluginList, BackendError>;
}

/// The scans, the nodes and the queue of a backend.
pub trait Backend: ScanBackend + ClusterBackend {}

impl<T: ScanBackend + ClusterBackend> Backend for T {}

/// The views of a scan as it changes. The receiver may be dropped at any time.
pub type Views = mpsc::Receiver<Result<ScanView, BackendError>>;

/// The result of a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmitAnswer {
    /// The scan.
    pub id: ScanId,
    /// A warning for the user.
    pub warning: Option<String>,
}

/// The result of a cancel.
#[derive(Debug, Clone, PartialEq)]
pub enum CancelAnswer {
    /// The scan is being cancelled, or is already cancelled; the view shows which.
    Accepted(Box<ScanView>),
    /// The scan had already ended.
    AlreadyEnded(Box<ScanView>),
    /// The scan does not exist.
    Missing,
}

/// The filter of a scan list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFilter {
    /// Only scans in this state.
    pub status: Option<ScanStatus>,
    /// Only targets that contain this text.
    pub target: Option<String>,
    /// The maximum number of scans.
    pub limit: usize,
}

/// A list of scans, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListAnswer {
    /// The scans.
    pub scans: Vec<ScanView>,
    /// The number of matches, including those that are not listed.
    pub total: Option<u64>,
}

/// A scanner and its plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginList {
    /// The scanner and its version.
    pub scanner: Option<ScannerInfo>,
    /// The plugins of the scanner.
    pub plugins: Vec<PluginInfo>,
}

/// The errors of a backend.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// All invalid fields of a submission.
    #[error("the scan was not accepted:{}", .0.iter().map(|error| format!("\n  {}: {}", plain(&error.field), plain(&error.message))).collect::<String>())]
    Invalid(Vec<FieldError>),
    /// The server does not respond.
    #[error("failed to reach the server at {url}; is it running? (`kastrel serve`)")]
    Unreachable {
        /// The URL of the server.
        url: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The server responded with a problem.
    #[error("the server refused: {0}")]
    Problem(ProblemDetails),
    /// The response is not one of a Kastrel server.
    #[error("unexpected response from the server at {url}: {what}")]
    Strange {
        /// The URL of the server.
        url: String,
        /// What is unexpected in the response.
        what: String,
    },
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Any other error, as text.
    #[error("{0}")]
    Other(String),
}

impl BackendError {
    /// Returns the exit code of the error.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Invalid(_) => Exit::Usage,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Problem(_) | Self::Strange { .. } | Self::Store(_) | Self::Other(_) => Exit::Failed,
        }
    }
}
