//! Automatic backups: the task that makes a backup whenever one is due.
//!
//! - **Owns** the backup folder while it runs, and publishes its content in [`BackupStatus`].
//! - **The schedule** follows from the files
//!   ([`policy::backups`](kastrel_actors::policy::backups)), so a restart neither forgets nor
//!   repeats a backup.
//! - **When a backup fails**, the task logs the error and retries later. Nothing else is affected.
//! - **On shutdown** it discards an unfinished backup.
//! - **Never** delays a scan: it reads the database page by page, like any other reader.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::policy::backups::{BackupMark, retry_after, until_due};
use kastrel_actors::ports::Clock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::folder::{BackupFile, BackupFolder, MakeError};
use super::source::BackupSource;
use crate::error_chain::chain;

/// The longest wait before the folder is read again, because files may be removed and the machine
/// may sleep.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// The existing backups and the last failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupStatus {
    /// The backups, newest first.
    pub files: Vec<BackupFile>,
    /// The last failure, until a backup succeeds.
    pub failure: Option<BackupFailure>,
}

/// A failed backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFailure {
    /// The time of the failure.
    pub at: Timestamp,
    /// The error with all its causes.
    pub why: String,
    /// The number of consecutive failures.
    pub failures: u32,
}

/// The configuration of automatic backups.
pub struct AutomaticBackups {
    /// The folder of the backups.
    pub folder: BackupFolder,
    /// The interval between backups.
    pub every: Duration,
    /// The source of the backups.
    pub source: Arc<dyn BackupSource>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// The running task.
#[derive(Debug)]
pub struct RunningBackups {
    status: watch::Receiver<BackupStatus>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl AutomaticBackups {
    /// Starts the task.
    #[must_use]
    pub fn start(self) -> RunningBackups {
        let (sender, status) = watch::channel(BackupStatus::default());
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stop.clone().cancelled_owned();
        tasks.spawn(async move {
            tokio::select! {
                () = stopped => {}
                () = self.run(&sender) => {}
            }
        });
        tasks.close();
        RunningBackups { status, stop, tasks }
    }

    async fn run(&self, status: &watch::Sender<BackupStatus>) {
        let mut failures = 0;
        loop {
            let (files, outcome) = self.turn().await;
            let failure = outcome.as_ref().err().map(|error| {
                failures += 1;
                let why = chain(error);
                warn!(backup.failures = failures, why, "an automatic backup was not made; trying again later");
                BackupFailure { at: self.clock.now(), why, failures }
            });
            if failure.is_none() {
                failures = 0;
            }
            status.send_replace(BackupStatus { files, failure });
            let wait = match outcome {
                Ok(until_due) => until_due.min(LOOK_EVERY),
                Err(_) => retry_after(failures),
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Makes a backup if one is due. Returns the existing backups, and the time until the next one.
    async fn turn(&self) -> (Vec<BackupFile>, Result<Duration, MakeError>) {
        let files = match self.files().await {
            Ok(files) => files,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let wait = self.until_due(&files);
        if !wait.is_zero() {
            return (files, Ok(wait));
        }
        let made = match self.folder.make(self.source.as_ref(), None, self.clock.as_ref()).await {
            Err(error) => return (files, Err(error)),
            Ok(made) => made,
        };
        let Some(made) = made else { return (files, Ok(LOOK_EVERY)) };
        info!(file = %made.path.display(), backup.bytes = made.bytes, backup.missing = made.mark.missing, "made an automatic backup");
        match self.files().await {
            Ok(files) => {
                let wait = self.until_due(&files);
                (files, Ok(wait))
            }
            Err(error) => (files, Err(error)),
        }
    }

    async fn files(&self) -> Result<Vec<BackupFile>, MakeError> {
        self.folder.read().await
    }

    fn until_due(&self, files: &[BackupFile]) -> Duration {
        let marks: Vec<BackupMark> = files.iter().map(|file| file.mark).collect();
        until_due(&marks, self.every, self.clock.now())
    }
}

impl RunningBackups {
    /// The status, which changes with each backup.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<BackupStatus> {
        self.status.clone()
    }

    /// Stops the task. An unfinished backup is discarded.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for RunningBackups {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use kastrel_actors::testing::PausedClock;
    use tempfile::TempDir;

    use super::*;
    use crate::backup::testing::ScriptedSource;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    struct Stage {
        dir: TempDir,
        source: Arc<ScriptedSource>,
        clock: PausedClock,
    }

    impl Stage {
        fn new() -> Self {
            Self {
                dir: TempDir::new().unwrap(),
                source: Arc::new(ScriptedSource::new(3)),
                clock: PausedClock::default(),
            }
        }

        fn folder(&self) -> BackupFolder {
            BackupFolder::new(self.dir.path().join("backups"), 3)
        }

        fn start(&self) -> RunningBackups {
            let (source, clock) = (Arc::clone(&self.source) as _, Arc::new(self.clock) as _);
            AutomaticBackups { folder: self.folder(), every: DAY, source, clock }.start()
        }

        fn sequences(&self) -> Vec<u64> {
            self.folder().list().unwrap().iter().map(|file| file.mark.sequence).collect()
        }
    }

    /// Waits for a status that satisfies `wanted`.
    async fn until(backups: &RunningBackups, wanted: impl FnMut(&BackupStatus) -> bool) -> BackupStatus {
        backups.status().wait_for(wanted).await.unwrap().clone()
    }

    fn newest_is(sequence: u64) -> impl FnMut(&BackupStatus) -> bool {
        move |status| status.files.first().is_some_and(|file| file.mark.sequence == sequence)
    }

    #[tokio::test(start_paused = true)]
    async fn a_backup_is_made_at_start_and_daily_and_the_last_are_kept() {
        let stage = Stage::new();
        let backups = stage.start();
        let began = stage.clock.now();
        let status = until(&backups, newest_is(1)).await;
        let file = &status.files[0];
        assert_eq!(
            (file.path.metadata().unwrap().permissions().mode() & 0o777, file.path.metadata().unwrap().len()),
            (0o600, file.bytes)
        );
        assert_eq!(file.path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let status = until(&backups, newest_is(5)).await;
        assert_eq!((status.files.len(), status.failure, stage.sequences()), (3, None, vec![5, 4, 3]));
        let days = stage.clock.now().duration_since(began).as_secs_f64() / DAY.as_secs_f64();
        assert!((4.0..4.1).contains(&days), "{days}");
        backups.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_neither_forgets_nor_repeats_a_backup() {
        let stage = Stage::new();
        let backups = stage.start();
        until(&backups, newest_is(1)).await;
        backups.stop().await;
        let backups = stage.start();
        let began = stage.clock.now();
        until(&backups, newest_is(2)).await;
        let hours = stage.clock.now().duration_since(began).as_secs_f64() / 3600.0;
        assert!((23.9..24.2).contains(&hours), "{hours}");
        backups.stop().await;
        tokio::time::advance(DAY * 3).await;
        let (backups, began) = (stage.start(), stage.clock.now());
        until(&backups, newest_is(3)).await;
        assert!(stage.clock.now().duration_since(began).as_secs_f64() < 1.0, "what is overdue is made at once");
        backups.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_backup_is_reported_and_retried_and_keeps_the_old_ones() {
        let stage = Stage::new();
        for _ in 0..3 {
            let _made = stage.folder().make(stage.source.as_ref(), None, &stage.clock).await.unwrap().unwrap();
        }
        tokio::time::advance(DAY).await;
        stage.source.fail("the disk is gone");
        let (backups, began) = (stage.start(), stage.clock.now());
        let status =
            until(&backups, |status| status.failure.as_ref().is_some_and(|failure| failure.failures == 4)).await;
        assert_eq!(
            status.failure.unwrap().why,
            "failed to read the database: failed to reach the store: the disk is gone"
        );
        let waited = stage.clock.now().duration_since(began).as_secs();
        assert!((420..430).contains(&waited), "1, 2 and 4 minutes: {waited} s");
        assert_eq!((status.files.len(), stage.sequences()), (3, vec![3, 2, 1]));
        assert_eq!(std::fs::read_dir(stage.folder().path()).unwrap().count(), 3, "nothing unfinished is left");
        stage.source.succeed();
        let status = until(&backups, newest_is(4)).await;
        assert_eq!((status.failure, stage.sequences()), (None, vec![4, 3, 2]));
        backups.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_database_does_not_replace_backups() {
        let stage = Stage::new();
        let _made = stage.folder().make(stage.source.as_ref(), None, &stage.clock).await.unwrap().unwrap();
        stage.source.empty();
        let backups = stage.start();
        tokio::time::sleep(DAY * 9).await;
        assert_eq!(stage.sequences(), [1]);
        stage.source.fill(1);
        until(&backups, newest_is(2)).await;
        backups.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_unreadable_backup_is_discarded() {
        let stage = Stage::new();
        stage.source.spoil();
        let error = stage.folder().make(stage.source.as_ref(), None, &stage.clock).await.unwrap_err();
        assert!(chain(&error).starts_with("the backup that was just written cannot be used: "), "{}", chain(&error));
        assert_eq!(std::fs::read_dir(stage.folder().path()).unwrap().count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn unfinished_files_are_removed_and_foreign_files_stay() {
        let stage = Stage::new();
        let dir = stage.folder().path().to_owned();
        std::fs::create_dir(&dir).unwrap();
        for name in [".unfinished-backup-old", "notes.txt", "kastrel-mine.backup"] {
            std::fs::write(dir.join(name), "x").unwrap();
        }
        std::fs::create_dir(dir.join("kastrel-000009-20270115T080000Z.backup")).unwrap();
        for _ in 0..5 {
            let _made = stage.folder().make(stage.source.as_ref(), None, &stage.clock).await.unwrap().unwrap();
        }
        assert_eq!(stage.sequences(), [5, 4, 3]);
        assert!(!dir.join(".unfinished-backup-old").exists());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 6);
    }
}
