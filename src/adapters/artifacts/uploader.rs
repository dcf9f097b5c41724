//! Uploads the files of this machine's attempts to the bucket.
//!
//! - Owns: the tasks that upload the logs of running attempts, the tasks that upload ended
//!   attempts, and one task that scans the results folder for files that still wait.
//! - Input: calls of the runner, through [`ArtifactSink`]. The end of an attempt waits for its
//!   first upload, so that a scan is completed only when every web node can open its report. It
//!   waits at most [`UploadRules::wait`], and does not wait for retries. A slow or absent bucket
//!   never changes a verdict. If a wait times out, later attempts do not wait until an upload
//!   succeeds.
//! - When the bucket fails: the files stay in the folder. The task that scans the folder retries,
//!   with growing pauses, until they are stored. After a restart, it finds the files by their
//!   missing marker, and the scans' rows say whether the attempts have ended.
//! - When one attempt's row, manifest or folder cannot be read: the task logs it and continues with
//!   the other attempts.
//! - On stop: all tasks are dropped at once. An upload can be repeated at any time.
//! - Never: writes outside the attempt's own prefix, changes an attempt that has a manifest, or
//!   removes a file that is not stored.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::ScanId;
use kastrel_actors::ports::{Clock, ScanStore, StoreError};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{debug, info, warn};

use super::folder::blocking;
use super::layout::Bucket;
use super::manifest::About;
use super::removal::{self, Marker, Waiting};
use super::upload::{Uploaded, upload};
use super::{ArtifactError, AttemptKey, ScanFolder, live};
use crate::ports::{ArtifactSink, AttemptFiles};

/// The number of files of all attempts together that are uploaded concurrently. A large file has
/// two parts in memory, so this limits the memory.
const FILES_AT_ONCE: usize = 4;
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The interval between two scans of the folder when no file waits.
const LOOK_AROUND: Duration = Duration::from_secs(3600);

/// The intervals and timeouts of an uploader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadRules {
    /// The interval of the uploads of a running attempt's log.
    pub live_every: Duration,
    /// The longest time that an attempt's end waits for its upload.
    pub wait: Duration,
    /// The time that a folder stays after its upload.
    pub keep_local: Duration,
}

/// Uploads attempts to a bucket. See the module docs.
#[derive(Clone)]
pub struct BucketUploader(Arc<Inner>);

struct Inner {
    bucket: Bucket,
    results: Arc<Path>,
    node: String,
    clock: Arc<dyn Clock>,
    rules: UploadRules,
    files: Semaphore,
    /// The attempts that run or are being uploaded. No other task touches their folders.
    held: Mutex<HashMap<AttemptKey, Held>>,
    /// True if an attempt's end timed out while it waited for its upload, and no upload has
    /// succeeded since. Then later attempts do not wait.
    silent: AtomicBool,
    /// Notifies the scan of the folder that an upload failed.
    left_over: Notify,
    tasks: TaskTracker,
    closing: CancellationToken,
}

#[derive(Default)]
struct Held {
    started_at: Option<Timestamp>,
    /// Uploads the log while the attempt runs; a drop aborts the task.
    live: Option<AbortOnDropHandle<()>>,
}

/// The result of one scan of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// All files that can be stored are stored.
    Done,
    /// Some attempts have not ended yet.
    Waits,
    /// The bucket or the database does not respond.
    Failed,
}

/// The pause before the next scan of the folder, after a pause of `last`.
fn pause(round: Round, last: Duration) -> Duration {
    match round {
        Round::Done => LOOK_AROUND,
        Round::Waits | Round::Failed if last >= LOOK_AROUND => PAUSES.0,
        Round::Waits | Round::Failed => last.saturating_mul(2).clamp(PAUSES.0, PAUSES.1),
    }
}

#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Files(#[from] ArtifactError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RoundError {
    /// True if the next attempt would fail in the same way.
    const fn concerns_all(&self) -> bool {
        matches!(self, Self::Files(ArtifactError::Unavailable(_)) | Self::Store(StoreError::Unavailable(_)))
    }
}

impl fmt::Debug for BucketUploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketUploader")
            .field("bucket", &self.0.bucket)
            .field("rules", &self.0.rules)
            .finish_non_exhaustive()
    }
}

impl BucketUploader {
    /// Creates an uploader from a results folder to a bucket. `node` is the node name in the
    /// manifests.
    #[must_use]
    pub fn new(
        bucket: Bucket,
        results: &Path,
        node: impl Into<String>,
        clock: Arc<dyn Clock>,
        rules: UploadRules,
    ) -> Self {
        Self(Arc::new(Inner {
            bucket,
            results: results.into(),
            node: node.into(),
            clock,
            rules,
            files: Semaphore::new(FILES_AT_ONCE),
            held: Mutex::default(),
            silent: AtomicBool::new(false),
            left_over: Notify::new(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        }))
    }

    /// Starts the scans of the results folder. No process of an earlier run of the program may be
    /// alive.
    pub fn start(&self, store: Arc<dyn ScanStore>) {
        let inner = Arc::clone(&self.0);
        self.0.spawn(async move { inner.go_around(store.as_ref()).await });
    }

    /// Stops all tasks at once, without waiting for uploads.
    pub async fn stop(&self) {
        self.0.closing.cancel();
        self.0.held().clear();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

#[async_trait]
impl ArtifactSink for BucketUploader {
    fn attempt_started(&self, attempt: &AttemptFiles) {
        let Some(key) = key_of(attempt) else { return };
        let (bucket, results, of, every) =
            (self.0.bucket.clone(), Arc::clone(&self.0.results), key.clone(), self.0.rules.live_every);
        let live = AbortOnDropHandle::new(tokio::spawn(async move { live::keep(bucket, results, of, every).await }));
        self.0.held().insert(key, Held { started_at: Some(self.0.clock.now()), live: Some(live) });
    }

    async fn attempt_ended(&self, attempt: &AttemptFiles) -> Vec<String> {
        let Some(key) = key_of(attempt) else { return Vec::new() };
        let (started_at, live) = {
            let mut held = self.0.held();
            let held = held.entry(key.clone()).or_default();
            (held.started_at, held.live.take())
        };
        let AttemptFiles { scan, attempt, token, .. } = *attempt;
        let about =
            About { scan, attempt, token, node: self.0.node.clone(), started_at, ended_at: Some(self.0.clock.now()) };
        let inner = Arc::clone(&self.0);
        let (done, first) = tokio::sync::oneshot::channel();
        // A separate task, so that the upload continues if the caller stops waiting.
        self.0.spawn(async move {
            if let Some(live) = live {
                // The log upload ends before the manifest is written, so that nothing is uploaded
                // after it.
                live.abort();
                let _aborted = live.await;
            }
            let outcome = inner.store(&key, &about).await;
            inner.held().remove(&key);
            if outcome.is_err() {
                inner.left_over.notify_one();
            }
            let _nobody_waits = done.send(outcome);
        });
        if self.0.silent.load(Ordering::Relaxed) {
            return vec!["the bucket has been slow or silent; the attempt's files are stored in the background".into()];
        }
        match tokio::time::timeout(self.0.rules.wait, first).await {
            Ok(Ok(outcome)) => notes(outcome),
            Ok(Err(_)) => vec![
                "the program stops; the attempt's files stay on this machine and are stored after the next start"
                    .into(),
            ],
            Err(_) => {
                self.0.silent.store(true, Ordering::Relaxed);
                vec![format!(
                    "storing the attempt's files takes longer than {} s and continues in the background",
                    self.0.rules.wait.as_secs_f64()
                )]
            }
        }
    }
}

/// The notes about an upload for the end of an attempt.
fn notes(outcome: Result<Uploaded, ArtifactError>) -> Vec<String> {
    match outcome {
        Ok(Uploaded::Stored { left_out: 0 }) => Vec::new(),
        Ok(Uploaded::Stored { left_out }) => {
            vec![format!(
                "{left_out} of the attempt's files or folders cannot be stored in the bucket and stay on this machine"
            )]
        }
        Ok(Uploaded::Differs) => vec!["the bucket has other files of this attempt; this machine's stay here".into()],
        Ok(Uploaded::Gone) => vec!["the attempt's folder is gone; nothing of it was stored".into()],
        Err(error) => {
            let why = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            vec![format!(
                "the attempt's files are not stored yet and stay on this machine until they are: {error}{why}"
            )]
        }
    }
}

fn key_of(attempt: &AttemptFiles) -> Option<AttemptKey> {
    let scan = attempt.paths.scan_dir.file_name().and_then(|name| name.to_str()).and_then(ScanFolder::parse);
    if scan.is_none() {
        warn!(scan.id = attempt.scan.0, "the folder of a scan has no name of ours; its files are not stored");
    }
    scan.map(|scan| AttemptKey { scan, attempt: attempt.attempt })
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, HashMap<AttemptKey, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            closing.run_until_cancelled(work).await;
        });
    }

    /// Uploads one attempt and marks its folder.
    async fn store(&self, key: &AttemptKey, about: &About) -> Result<Uploaded, ArtifactError> {
        let outcome = upload(&self.bucket, &self.results, key, about, &self.files).await?;
        self.silent.store(false, Ordering::Relaxed);
        let marker = match outcome {
            Uploaded::Stored { left_out: 0 } => Marker::Stored(self.clock.now()),
            Uploaded::Stored { .. } | Uploaded::Differs => Marker::Kept,
            Uploaded::Gone => return Ok(outcome),
        };
        let (results, of) = (Arc::clone(&self.results), key.clone());
        let marked = blocking(move || removal::mark(&results, &of, marker)).await;
        match marked {
            // The scan was deleted in the meantime.
            Err(ArtifactError::NotFound) => return Ok(Uploaded::Gone),
            other => other?,
        }
        if let Err(error) = self.remove_if_due(key, marker).await {
            warn!(attempt = %self.bucket.attempt(key), error = &error as &dyn std::error::Error, "could not remove this machine's copy of stored files; it is tried again later");
        }
        Ok(outcome)
    }

    async fn remove_if_due(&self, key: &AttemptKey, marker: Marker) -> Result<(), ArtifactError> {
        if !marker.is_due(self.clock.now(), self.rules.keep_local) {
            return Ok(());
        }
        // The marker is not enough: check that the bucket really has the manifest.
        if self.bucket.read_manifest(key).await?.is_none() {
            warn!(attempt = %self.bucket.attempt(key), "the bucket has lost the files of an attempt; this machine's stay");
            let (results, of) = (Arc::clone(&self.results), key.clone());
            return blocking(move || removal::mark(&results, &of, Marker::Kept)).await;
        }
        let (results, of) = (Arc::clone(&self.results), key.clone());
        blocking(move || removal::remove(&results, &of)).await
    }

    async fn go_around(&self, store: &dyn ScanStore) {
        let mut wait = Duration::ZERO;
        loop {
            let round = self.round(store).await.unwrap_or_else(|error| {
                warn!(error = &error as &dyn std::error::Error, "files of attempts wait to be stored");
                Round::Failed
            });
            wait = pause(round, wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // After a failed round, a further failure does not start the next round earlier.
                () = self.left_over.notified(), if round == Round::Done => tokio::time::sleep(PAUSES.0).await,
            }
        }
    }

    /// Uploads the attempts that wait, one after the other, and removes folders whose retention
    /// time is over. Stops at the first failure that would affect the next attempt too. A failure
    /// of a single attempt is logged, and the next round retries it.
    async fn round(&self, store: &dyn ScanStore) -> Result<Round, RoundError> {
        let results = Arc::clone(&self.results);
        let mut round = Round::Done;
        for (scan, attempts) in blocking(move || removal::find(&results)).await? {
            let Some(id) = scan.scan() else { continue };
            if attempts.is_empty() {
                go_on(&scan, self.clear_away(store, &scan, id).await)?;
            }
            for (key, marker) in attempts {
                if !self.held().contains_key(&key)
                    && go_on(&scan, self.look_at(store, id, &key, marker).await)? == Some(Round::Waits)
                {
                    round = Round::Waits;
                }
            }
        }
        Ok(round)
    }

    /// Processes one attempt of a round.
    async fn look_at(
        &self,
        store: &dyn ScanStore,
        id: ScanId,
        key: &AttemptKey,
        marker: Option<Marker>,
    ) -> Result<Round, RoundError> {
        if let Some(marker) = marker {
            self.remove_if_due(key, marker).await?;
            return Ok(Round::Done);
        }
        match removal::waiting(store.get(id).await?.as_ref(), key) {
            Waiting::Upload(about) => {
                let outcome = self.store(key, &about).await?;
                info!(
                    scan.id = id.0,
                    scan.attempt = key.attempt.0,
                    ?outcome,
                    "stored the files of an attempt that had ended before"
                );
            }
            Waiting::NotYet => return Ok(Round::Waits),
            Waiting::Unknown => debug!(folder = key.scan.as_str(), "a folder that no scan speaks of is left alone"),
        }
        Ok(Round::Done)
    }

    /// Removes the empty folder of a scan that will have no further attempt.
    async fn clear_away(&self, store: &dyn ScanStore, scan: &ScanFolder, id: ScanId) -> Result<(), RoundError> {
        if store.get(id).await?.is_some_and(|record| record.status().is_terminal()) {
            let (results, scan) = (Arc::clone(&self.results), scan.clone());
            // If the folder still contains something, this fails and the folder stays.
            let _ = blocking(move || removal::remove_empty(&results, &scan)).await;
        }
        Ok(())
    }
}

/// Returns the result of a step. Returns `None` if only this step failed, and an error if the next
/// step would fail in the same way.
fn go_on<T>(scan: &ScanFolder, step: Result<T, RoundError>) -> Result<Option<T>, RoundError> {
    match step {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.concerns_all() => Err(error),
        Err(error) => {
            warn!(
                folder = scan.as_str(),
                error = &error as &dyn std::error::Error,
                "could not store the files of an attempt; the others go on"
            );
            Ok(None)
        }
    }
}

#[cfg(test)]
#[path = "uploader_tests.rs"]
mod tests;
