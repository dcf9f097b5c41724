//! `kastrel restore`: a backup, into an empty database that nobody uses.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kastrel_actors::ports::{ScanStore as _, StoreStats};
use serde::Serialize;
use tokio::fs::File;

use super::args::RestoreArgs;
use super::backup::{STANDARD, place_of_files};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::text::count;
use crate::app::database_to_restore;
use crate::backup::{self, BackupError, Summary};
use crate::config::Config;

#[derive(Debug, thiserror::Error)]
#[error("failed to open {}", path.display())]
struct OpenFileError {
    path: PathBuf,
    source: std::io::Error,
}

/// What was restored, for programs.
#[derive(Debug, Serialize)]
struct Restored {
    database: String,
    scans: u64,
    last_scan_id: u64,
    pending: u64,
    running: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
    queue_paused: bool,
    /// When the backup was written.
    written_at: Timestamp,
    /// Where the files of scans are to be, which are not part of it.
    files: String,
}

/// Runs the command.
///
/// # Errors
/// The file is not a whole backup, or the database is in use, not empty, or does not answer.
pub(super) async fn run(args: &RestoreArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    context.host.init_logging(&config, Role::Offline)?;
    let path = (args.file.as_os_str() != STANDARD).then(|| context.directory.join(&args.file));
    let restored = tokio::select! {
        restored = restore(path.as_deref(), &config) => restored?,
        () = context.interrupts.next() => {
            context.output.note("interrupted: a database that was being restored into refuses to work until a restore into it was finished");
            return Ok(Exit::Interrupted);
        }
    };
    if args.json {
        context.output.json(&restored)?;
    } else {
        context.output.line(&text(&restored))?;
    }
    Ok(Exit::Done)
}

async fn restore(path: Option<&Path>, config: &Config) -> Result<Restored, CliError> {
    let refused = |error: BackupError| CliError::App(error.into());
    // A file that is not whole is known before anything is touched. What comes by a pipe is read once.
    if let Some(path) = path {
        backup::check(open(path).await?).await.map_err(refused)?;
    }
    let store = database_to_restore(config).await?;
    let read = async {
        let summary = match path {
            Some(path) => backup::read(&store, open(path).await?).await,
            None => backup::read(&store, tokio::io::stdin()).await,
        };
        let summary = summary.map_err(refused)?;
        let stats = store.stats().await.map_err(|error| CliError::Backend(error.into()))?;
        Ok(restored(&summary, &stats, config))
    };
    let result = read.await;
    store.close().await;
    result
}

async fn open(path: &Path) -> Result<File, CliError> {
    File::open(path).await.map_err(|source| CliError::App(Box::new(OpenFileError { path: path.to_owned(), source })))
}

fn restored(summary: &Summary, stats: &StoreStats, config: &Config) -> Restored {
    Restored {
        database: config.database.url.as_ref().map_or_else(|| config.data.dir.display().to_string(), ToString::to_string),
        scans: summary.scans,
        last_scan_id: summary.last.0,
        pending: stats.pending,
        running: stats.running,
        completed: stats.completed,
        failed: stats.failed,
        cancelled: stats.cancelled,
        queue_paused: summary.paused,
        written_at: summary.written_at,
        files: place_of_files(config),
    }
}

fn text(restored: &Restored) -> String {
    let mut lines = vec![
        format!("Restored {} into {}, as of {}", count(restored.scans, "scan"), restored.database, restored.written_at),
        format!(
            "{} pending, {} running, {} completed, {} failed, {} cancelled; new scans have numbers above {}",
            restored.pending, restored.running, restored.completed, restored.failed, restored.cancelled, restored.last_scan_id
        ),
    ];
    if restored.running > 0 {
        lines.push("What was running goes back to pending when a server or worker starts".into());
    }
    if restored.queue_paused {
        lines.push("The queue is paused, as it was: `kastrel resume` lets scans start".into());
    }
    lines.push(format!("Reports, logs and raw results are not part of a backup: bring back {} separately", restored.files));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_there_now_and_what_is_not() {
        let mut one = Restored {
            database: "data".into(),
            scans: 6,
            last_scan_id: 9,
            pending: 1,
            running: 1,
            completed: 2,
            failed: 1,
            cancelled: 1,
            queue_paused: true,
            written_at: Timestamp::UNIX_EPOCH,
            files: "the results folder data/results".into(),
        };
        assert_eq!(
            text(&one).lines().collect::<Vec<_>>(),
            [
                "Restored 6 scans into data, as of 1970-01-01T00:00:00Z",
                "1 pending, 1 running, 2 completed, 1 failed, 1 cancelled; new scans have numbers above 9",
                "What was running goes back to pending when a server or worker starts",
                "The queue is paused, as it was: `kastrel resume` lets scans start",
                "Reports, logs and raw results are not part of a backup: bring back the results folder data/results separately",
            ]
        );
        (one.running, one.queue_paused) = (0, false);
        assert_eq!(text(&one).lines().count(), 3);
    }
}
