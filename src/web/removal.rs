//! Removing what a deleted scan left behind. The one place that knows how; everybody else only says which scan.

use std::sync::Arc;

use kastrel_actors::model::ScanRecord;

use super::state::WebInner;
use crate::adapters::artifacts::ScanFolder;

/// Removes the files of all attempts of a scan whose row is gone. Files that cannot be removed are in nobody's way any more, but the operator should know.
pub(crate) async fn remove_results(web: &WebInner, record: &ScanRecord) {
    let (artifacts, folder, id) = (Arc::clone(&web.state.artifacts), ScanFolder::of(record), record.id);
    // A task of its own: a browser that goes away must not leave half of the files.
    let removal = tokio::spawn(async move {
        if let Err(error) = artifacts.delete(&folder).await {
            tracing::warn!(scan.id = id.0, error = &error as &dyn std::error::Error, "the files of a deleted scan could not be removed");
        }
    });
    if let Err(error) = removal.await {
        tracing::warn!(scan.id = id.0, error = &error as &dyn std::error::Error, "the removal of a deleted scan's files broke off");
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{Resolution, Verdict};

    use crate::web::testing::{NoArtifacts, TestApp};

    #[tokio::test]
    async fn a_scan_is_deleted_also_when_the_store_of_its_files_does_not_answer() {
        let app = TestApp::with_artifacts(std::sync::Arc::new(NoArtifacts));
        let scan = app.running("example.com").await;
        app.finish(&scan, Resolution::Complete(Verdict::default())).await;
        assert_eq!(app.send("DELETE", "/api/scans/1", &[], "").await.status(), 204);
        assert_eq!(app.get("/api/scans/1").await.status(), 404);
    }
}
