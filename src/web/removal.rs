//! Deleting a scan and what it left behind. The one place that knows how; everybody else only says
//! which scan.

use std::sync::Arc;

use kastrel_actors::model::{Deleted, ScanId, ScanRecord};
use kastrel_actors::ports::StoreError;

use super::error::Problem;
use super::state::WebInner;
use crate::adapters::artifacts::{ArtifactStore, ScanFolder};

/// What became of a scan that was to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Its row is gone, and its files are, unless they could not be removed.
    Gone { files_left: bool },
    /// It has not ended.
    Refused(Box<ScanRecord>),
    /// There is no such scan.
    Missing,
}

/// Deletes a scan that has ended, then its files.
pub(crate) async fn remove(web: &WebInner, id: ScanId) -> Result<Removal, Problem> {
    let (service, artifacts) = (web.service().clone(), Arc::clone(&web.state.artifacts));
    // A task of its own: a browser that goes away must not leave files of which no row is left, nor
    // half of them.
    let removal = tokio::spawn(async move {
        Ok::<_, StoreError>(match service.delete(id).await? {
            Deleted::Gone(record) => Removal::Gone { files_left: !remove_files(&*artifacts, &record).await },
            Deleted::Refused(record) => Removal::Refused(Box::new(record)),
            Deleted::Missing => Removal::Missing,
        })
    });
    Ok(removal.await.map_err(Problem::internal)??)
}

/// Removes the files of all attempts of a scan whose row is gone, and says whether it could. Those
/// that are left are in nobody's way any more, but the operator should know.
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

    use super::*;
    use crate::web::testing::{NoArtifacts, TestApp, header_of, text_of};

    #[tokio::test]
    async fn a_scan_is_deleted_also_when_the_store_of_its_files_does_not_answer() {
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
    async fn what_has_begun_is_done_also_when_nobody_waits_for_it() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        app.finish(&scan, Resolution::Complete(Verdict::default())).await;
        let folder = app.attempt_folder(&scan);
        std::fs::create_dir_all(&folder).unwrap();
        let web = app.web();
        let mut asked = Box::pin(remove(&web, scan.id));
        // The first poll starts the task; then the client goes away.
        assert!(matches!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        drop(asked);
        while folder.exists() {
            tokio::task::yield_now().await;
        }
        assert_eq!(app.get("/scans/1").await.status(), 404);
    }
}
