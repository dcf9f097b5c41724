//! Who keeps the scans that a command speaks of: this process, or a server.

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

/// The scans of one side.
#[async_trait]
pub trait ScanBackend: Send + Sync {
    /// Hands in a scan. When this returns `Ok`, it is committed.
    async fn submit(&self, draft: &ScanRequestDraft) -> Result<SubmitAnswer, BackendError>;

    /// The scan's views from now on, beginning with the present one and ending with the one in
    /// which it has ended. `None`: no such scan.
    async fn watch(&self, id: ScanId) -> Result<Option<Views>, BackendError>;

    /// Asks for a scan's end.
    async fn cancel(&self, id: ScanId, by: CancelledBy) -> Result<CancelAnswer, BackendError>;

    /// A scan as it is now.
    async fn get(&self, id: ScanId) -> Result<Option<ScanView>, BackendError>;

    /// A scan in full, with the issues that its plugins named.
    async fn details(&self, id: ScanId) -> Result<Option<ScanView>, BackendError> {
        self.get(id).await
    }

    /// The log of a scan's last attempt: its beginning, in whole lines.
    async fn log(&self, id: ScanId) -> Result<Vec<String>, BackendError>;

    /// Scans, newest first.
    async fn list(&self, filter: &ListFilter) -> Result<ListAnswer, BackendError>;

    /// The scanner and its plugins.
    async fn plugins(&self) -> Result<PluginList, BackendError>;
}

/// Scans, nodes and queue of one side.
pub trait Backend: ScanBackend + ClusterBackend {}

impl<T: ScanBackend + ClusterBackend> Backend for T {}

/// A scan as it changes. Nobody needs to read it to its end.
pub type Views = mpsc::Receiver<Result<ScanView, BackendError>>;

/// The answer to a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmitAnswer {
    /// The scan.
    pub id: ScanId,
    /// What the user should know.
    pub warning: Option<String>,
}

/// The answer to a cancel.
#[derive(Debug, Clone, PartialEq)]
pub enum CancelAnswer {
    /// It is being cancelled, or is cancelled already; the view says which.
    Accepted(Box<ScanView>),
    /// It had ended before.
    AlreadyEnded(Box<ScanView>),
    /// No such scan.
    Missing,
}

/// Which scans to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFilter {
    /// Only in this state.
    pub status: Option<ScanStatus>,
    /// Only targets with this text.
    pub target: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Scans, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListAnswer {
    /// The scans.
    pub scans: Vec<ScanView>,
    /// All matches.
    pub total: Option<u64>,
}

/// A scanner and its plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginList {
    /// Which scanner.
    pub scanner: Option<ScannerInfo>,
    /// Its plugins.
    pub plugins: Vec<PluginInfo>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Wrong fields, all of them.
    #[error("the scan was not accepted:{}", .0.iter().map(|error| format!("\n  {}: {}", plain(&error.field), plain(&error.message))).collect::<String>())]
    Invalid(Vec<FieldError>),
    /// The server does not answer.
    #[error("failed to reach the server at {url}; is it running? (`kastrel serve`)")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The server answered with a problem.
    #[error("the server refused: {0}")]
    Problem(ProblemDetails),
    /// The server answered something that is not Kastrel's.
    #[error("unexpected response from the server at {url}: {what}")]
    Strange {
        /// Where.
        url: String,
        /// What was strange.
        what: String,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl BackendError {
    /// The exit code for it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Invalid(_) => Exit::Usage,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Problem(_) | Self::Strange { .. } | Self::Store(_) | Self::Other(_) => Exit::Failed,
        }
    }
}
