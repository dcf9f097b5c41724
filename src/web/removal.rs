//! Deletes a scan and its files. All handlers that delete scans call this module.

use std::sync::Arc;

use kastrel_actors::model::{Deleted, RequestContext, ScanId, ScanRecord};
use kastrel_actors::ports::StoreError;

use super::error::Problem;
use super::state::WebInner;
use crate::ports::{ArtifactStore, ScanFolder};

/// The result of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Removal {
    /// The row is deleted, and so are the files, unless `files_left` is true.
    Gone { files_left: bool },
    /// The scan has not ended.
    Refused(Box<ScanRecord>),
    /// The scan does not exist.
    Missing,
}

/// Deletes a scan that has ended: first its row, then its files.
pub(crate) async fn remove(web: &WebInner, context: &RequestContext, id: ScanId) -> Result<Removal, Problem> {
    let (scans, artifacts, context) = (web.scans().clone(), Arc::clone(&web.state.artifacts), context.clone());
    // A separate task completes the deletion even if the browser disconnects. Otherwise files could
    // remain without a row, or only some files could be deleted.
    let removal = tokio::spawn(async move {
        Ok::<_, StoreError>(match scans.delete(&context, id).await? {
            Deleted::Gone(record) => Removal::Gone { files_left: !remove_files(&*artifacts, &record).await },
            Deleted::Refused(record) => Removal::Refused(Box::new(record)),
            Deleted::Missing => Removal::Missing,
        })
    });
    Ok(removal.await.map_err(Problem::internal)??)
}

/// Deletes the files of all attempts of a scan whose row is deleted, and returns whether that
/// succeeded. Remaining files cause no error later, but the operator should know about them.
async fn remove_files(artifacts: &dyn ArtifactStore, record: &ScanRecord) -> bool {
    let removed = artifacts.delete(&ScanFolder::of(record)).await;
    if let Err(error) = &removed {
        tracing::warn!(
            scan.id = record.id.0,
            error = error as &dyn std::error::Error,
            "the files of a deleted scan could not be removed"
        );
    }
    removed.is_ok()
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use kastrel_actors::model::{Resolution, Verdict};
    use kastrel_actors::testing::fixtures;

    use super::*;
    use crate::web::testing::{NoArtifacts, TestApp, header_of, text_of};

    #[tokio::test]
    async fn scan_is_deleted_even_if_the_artifact_store_is_unavailable() {
        let app = TestApp::with_artifacts(Arc::new(NoArtifacts));
        for _ in 0..2 {
            let scan = app.running("example.com").await;
            app.finish(&scan, Resolution::Complete(Verdict::default())).await;
        }
        assert_eq!(app.send("DELETE", "/api/scans/1", &[], "").await.status(), 204);
        assert_eq!(app.get("/api/scans/1").await.status(), 404);
        let done = app.post_form("/scans/2/delete", "").await;
        assert_eq!(header_of(&done, "location"), "/scans?done=delete&n=1&left=1");
        let page = text_of(app.get("/scans?done=delete&n=1&left=1").await).await;
        assert!(page.contains("1 scan deleted.") && page.contains("The files of 1 could not be removed"), "{page}");
    }

    #[tokio::test]
    async fn deletion_completes_after_the_client_disconnects() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        app.finish(&scan, Resolution::Complete(Verdict::default())).await;
        let folder = app.attempt_folder(&scan);
        std::fs::create_dir_all(&folder).unwrap();
        let (web, context) = (app.web(), fixtures::context());
        let mut asked = Box::pin(remove(&web, &context, scan.id));
        // The first poll starts the task; then the client disconnects.
        assert!(matches!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        drop(asked);
        while folder.exists() {
            tokio::task::yield_now().await;
        }
        assert_eq!(app.get("/scans/1").await.status(), 404);
    }
}
