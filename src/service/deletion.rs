//! The deletion service: deletes a scan that has ended, first its row and then its files.

use std::sync::Arc;

use kastrel_actors::model::{Deleted, RequestContext, ScanId, ScanRecord};
use kastrel_actors::service::{CommandError, ScanService};
use tokio::task::JoinError;

use crate::ports::{ArtifactStore, ScanFolder};

/// The deletion service.
#[derive(Clone)]
pub struct DeletionService {
    scans: ScanService,
    artifacts: Arc<dyn ArtifactStore>,
}

/// The result of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletionOutcome {
    /// The row is deleted, and so are the files, unless `files_left` is true.
    Gone {
        /// Whether files remain. They cause no error later, but the operator should know.
        files_left: bool,
    },
    /// The scan has not ended.
    Refused(Box<ScanRecord>),
    /// The scan does not exist.
    Missing,
}

/// A deletion whose result is unknown.
#[derive(Debug, thiserror::Error)]
pub enum DeletionError {
    /// The principal lacks a right, or the store did not respond.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The task of the deletion ended early.
    #[error(transparent)]
    Task(#[from] JoinError),
}

impl DeletionService {
    /// Creates the service.
    #[must_use]
    pub fn new(scans: ScanService, artifacts: Arc<dyn ArtifactStore>) -> Self {
        Self { scans, artifacts }
    }

    /// Deletes a scan that has ended: first its row, then its files. The deletion completes even if
    /// its caller does not wait for it; otherwise files could remain without a row.
    ///
    /// # Errors
    /// The principal may not delete it, or the store fails.
    pub async fn delete(&self, context: &RequestContext, id: ScanId) -> Result<DeletionOutcome, DeletionError> {
        let (service, context) = (self.clone(), context.clone());
        let deletion = tokio::spawn(async move {
            Ok::<_, CommandError>(match service.scans.delete_row(&context, id).await? {
                Deleted::Gone(record) => DeletionOutcome::Gone { files_left: !service.delete_files(&record).await },
                Deleted::Refused(record) => DeletionOutcome::Refused(Box::new(record)),
                Deleted::Missing => DeletionOutcome::Missing,
            })
        });
        Ok(deletion.await??)
    }

    /// Deletes the files of all attempts of a scan whose row is deleted, and returns whether that
    /// succeeded.
    async fn delete_files(&self, record: &ScanRecord) -> bool {
        let removed = self.artifacts.delete(&ScanFolder::of(record)).await;
        if let Err(error) = &removed {
            tracing::warn!(
                scan.id = record.id.0,
                error = error as &dyn std::error::Error,
                "the files of a deleted scan could not be removed"
            );
        }
        removed.is_ok()
    }
}

impl std::fmt::Debug for DeletionService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeletionService").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use kastrel_actors::model::{CancelledBy, ScanStatus};
    use kastrel_actors::testing::{Cluster, Script, ScriptedRunner, fixtures};

    use super::*;
    use crate::adapters::artifacts::FolderArtifacts;
    use crate::ports::AttemptPaths;

    #[tokio::test(start_paused = true)]
    async fn deletion_completes_after_its_caller_is_gone() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let _node = cluster.node("a", 1).await;
        let (id, context) = (cluster.submit().await, fixtures::context());
        cluster.until_status(id, ScanStatus::Running).await;
        let results = tempfile::tempdir().unwrap();
        let artifacts = Arc::new(FolderArtifacts::new(results.path()));
        let service = DeletionService::new(cluster.service.clone(), artifacts);
        let refused = service.delete(&context, id).await.unwrap();
        assert!(matches!(refused, DeletionOutcome::Refused(_)), "{refused:?}");

        cluster.service.cancel(&context, id, CancelledBy::User).await.unwrap();
        let scan = cluster.until_status(id, ScanStatus::Cancelled).await;
        let attempt = scan.last_attempt().unwrap().number;
        let folder = AttemptPaths::new(results.path(), &scan.request.target, scan.created_at, id, attempt).attempt_dir;
        std::fs::create_dir_all(&folder).unwrap();
        let mut asked = Box::pin(service.delete(&context, id));
        // The first poll starts the task; then the caller is gone.
        assert!(matches!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        drop(asked);
        while folder.exists() {
            tokio::task::yield_now().await;
        }
        assert_eq!(service.delete(&context, id).await.unwrap(), DeletionOutcome::Missing);
    }
}
