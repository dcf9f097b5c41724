//! Implements the web server's `ReportRenderer` port with the runner's report renderer.

use std::sync::Arc;

use async_trait::async_trait;
use kastrel_actors::model::{AttemptNumber, ReportFiles, ReportFormat, ScanRecord};

use crate::adapters::kast_runner::{KastReportRenderer, KastRunner, RenderError};
use crate::config::Config;
use crate::ports::ReportRenderer;

struct Renderer(KastReportRenderer);

/// Returns the renderer that regenerates reports. `None` if a bucket stores the scans' files:
/// stored files are final, and a report on this machine only would differ from them.
pub(super) fn renderer(config: &Config, runner: &KastRunner) -> Option<Arc<dyn ReportRenderer>> {
    config.artifacts.url.is_none().then(|| Arc::new(Renderer(runner.report_renderer())) as Arc<dyn ReportRenderer>)
}

#[async_trait]
impl ReportRenderer for Renderer {
    async fn render(
        &self,
        record: &ScanRecord,
        attempt: AttemptNumber,
        format: ReportFormat,
    ) -> Result<ReportFiles, String> {
        self.0.render(record, attempt, format).await.map_err(|error| {
            if let RenderError::Run(source) | RenderError::Copy(source) = &error {
                tracing::warn!(error = source as &dyn std::error::Error, "a report could not be rendered");
            }
            error.to_string()
        })
    }
}
