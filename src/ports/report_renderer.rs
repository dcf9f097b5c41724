//! Regenerates the reports of an attempt that has ended.

use async_trait::async_trait;
use kastrel_actors::model::{AttemptNumber, ReportFiles, ReportFormat, ScanRecord};

/// Regenerates the reports of an ended attempt.
#[async_trait]
pub trait ReportRenderer: Send + Sync + 'static {
    /// Renders the reports and returns which ones were written, at least one. The error is a
    /// sentence for people with the reason.
    async fn render(
        &self,
        record: &ScanRecord,
        attempt: AttemptNumber,
        format: ReportFormat,
    ) -> Result<ReportFiles, String>;
}
