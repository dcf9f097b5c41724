//! The scans of a backend.

use async_trait::async_trait;
use kastrel_actors::model::{CancelledBy, PluginInfo, ScanId, ScanRequestDraft, ScanStatus, ScannerInfo};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::error::BackendError;
use crate::cli::view::ScanView;

/// The scans of a backend.
#[async_trait]
pub trait ScanBackend: Send + Sync {
    /// Submits a scan. If this returns `Ok`, the scan is committed.
    async fn submit(&self, draft: &ScanRequestDraft) -> Result<SubmitAnswer, BackendError>;

    /// Submits up to 500 scans. All are checked before the first one is stored. Returns a result
    /// for each, in their order.
    ///
    /// # Errors
    /// No scan is stored: a field is invalid, named as `scans[0].target`, or a right is lacking.
    /// Or it is unknown whether scans are stored, because the backend failed.
    async fn submit_all(
        &self,
        drafts: &[ScanRequestDraft],
    ) -> Result<Vec<Result<SubmitAnswer, BackendError>>, BackendError>;

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
    /// Only scans with this tag.
    pub tag: Option<String>,
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
    /// Whether there are more matches than `total`, because counting is bounded.
    pub total_is_floor: bool,
}

/// A scanner and its plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginList {
    /// The scanner and its version.
    pub scanner: Option<ScannerInfo>,
    /// The plugins of the scanner.
    pub plugins: Vec<PluginInfo>,
}
