//! Brings the files of this machine's attempts into the bucket.
//!
//! - Owns: the tasks that follow running attempts' logs, those that upload ended attempts, and one
//!   that goes through the results folder for what is left over.
//! - Told by: the runner, through [`ArtifactSink`]. An attempt's end waits for its first upload, so
//!   that a scan is completed only when every web node can open its report; not longer than
//!   [`UploadRules::wait`], and not after the first failure. A slow or absent bucket never changes
//!   a verdict, and a silent one is waited for once, not once an attempt.
//! - When the bucket fails: the files stay in the folder, and the task that goes through the folder
//!   tries again, with growing pauses, until they are stored. After a restart it finds them by
//!   their missing marker; whether their attempts are over is what their rows say.
//! - When one attempt's row, manifest or folder cannot be read: that is said in the log, and the
//!   others go on.
//! - On stop: everything is dropped where it stands. An upload can be done again at any time.
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
use crate::adapters::kast_runner::{ArtifactSink, AttemptFiles};

/// So many files are on their way at once, of all attempts together; with two parts of a large file
/// each, this bounds the memory.
const FILES_AT_ONCE: usize = 4;
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often the folder is gone through when nothing waits.
const LOOK_AROUND: Duration = Duration::from_secs(3600);

/// The times of an uploader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadRules {
    /// How often the log of a running attempt is looked at.
    pub live_every: Duration,
    /// The longest that an attempt's end waits for its upload.
    pub wait: Duration,
    /// How long a folder stays after its upload.
    pub keep_local: Duration,
}

/// See the module.
#[derive(Clone)]
pub struct BucketUploader(Arc<Inner>);

struct Inner {
    bucket: Bucket,
    results: Arc<Path>,
    node: String,
    clock: Arc<dyn Clock>,
    rules: UploadRules,
    files: Semaphore,
    /// The attempts that run or are being uploaded: nobody else touches their folders.
    held: Mutex<HashMap<AttemptKey, Held>>,
    /// An attempt has waited in vain for its upload, and none was done since: the next ones do not
    /// wait.
    silent: AtomicBool,
    /// Something is left over.
    left_over: Notify,
    tasks: TaskTracker,
    closing: CancellationToken,
}

#[derive(Default)]
struct Held {
    started_at: Option<Timestamp>,
    /// Follows the log while the attempt runs; ends with its drop.
    live: Option<AbortOnDropHandle<()>>,
}

/// How a look through the folder ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Everything is stored that can be.
    Done,
    /// Some attempts are not over yet.
    Waits,
    /// The bucket or the database does not answer.
    Failed,
}

/// When to look next, after a pause of `last`.
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
    /// Whether the next attempt would fail in the same way.
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
    /// From a results folder into a bucket. `node` is the name that manifests carry.
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

    /// Begins to go through the results folder. Nothing that an earlier run of the program started
    /// may be alive any more.
    pub fn start(&self, store: Arc<dyn ScanStore>) {
        let inner = Arc::clone(&self.0);
        self.0.spawn(async move { inner.go_around(store.as_ref()).await });
    }

    /// Ends everything that it does, wherever it stands.
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
        // A task of its own: whoever waits may stop waiting.
        self.0.spawn(async move {
            if let Some(live) = live {
                // Gone before the manifest comes, so that nothing is put after it.
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

/// What to tell of an upload at the end of an attempt.
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
            // The whole scan was deleted in the meantime.
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
        // The marker says so; the bucket itself has the last word.
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
                // While it fails, one more failure is no news.
                () = self.left_over.notified(), if round == Round::Done => tokio::time::sleep(PAUSES.0).await,
            }
        }
    }

    /// Uploads what waits, one attempt after the other, and removes what is stored for long enough.
    /// Ends with the first failure that the next attempt would meet as well; what is wrong with one
    /// attempt is said, and looked at again with the next round.
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

    /// One attempt of a round.
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
            // Whatever else is in it keeps it.
            let _ = blocking(move || removal::remove_empty(&results, &scan)).await;
        }
        Ok(())
    }
}

/// What came of a step, unless the next one would fail in the same way; `None`: it failed alone.
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
