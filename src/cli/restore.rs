//! `kastrel restore`: restores a backup into an empty, unused database, or replaces a database.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kastrel_actors::model::{ScanId, StoreStats};
use serde::Serialize;
use tokio::fs::File;

use super::args::RestoreArgs;
use super::backup::{STANDARD, is_or_are, missing, place_of_files};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::output::Output;
use super::text::count;
use crate::adapters::surreal_store::ImportError;
use crate::app::{RestoreTarget, backup_folder};
use crate::backup::{self, BackupError, Summary};
use crate::config::Config;

#[derive(Debug, thiserror::Error)]
#[error("failed to open {}", path.display())]
struct OpenFileError {
    path: PathBuf,
    source: std::io::Error,
}

#[derive(Debug, thiserror::Error)]
#[error("there is no automatic backup in {} that can be restored", folder.display())]
struct NoBackupError {
    folder: PathBuf,
}

/// The JSON output: the restored database.
#[derive(Debug, Serialize)]
struct Restored {
    database: String,
    /// The backup; `-` means standard input.
    file: String,
    scans: u64,
    last_scan_id: u64,
    pending: u64,
    running: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
    queue_paused: bool,
    /// The scans that could not be read when the backup was written.
    missing: Vec<ScanId>,
    /// When the backup was written.
    written_at: Timestamp,
    /// The new paths of the previous database and its files.
    put_aside: Vec<String>,
    /// The location at which Kastrel expects the scans' files, which are not part of the backup.
    files: String,
}

/// Runs the command.
///
/// # Errors
/// The file is not a complete backup, or the database is in use, not empty, or does not respond.
pub(super) async fn run(args: &RestoreArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    context.host.init_logging(&config, Role::Offline)?;
    let source = match &args.file {
        Some(file) if file.as_os_str() == STANDARD => Source::Standard,
        Some(file) => Source::File(context.directory.join(file)),
        None => Source::Latest,
    };
    let interrupted = |output: &mut Output| {
        output.note(if args.replace {
            "Interrupted: the database is unchanged"
        } else {
            "Interrupted: a database that was being restored cannot be used until a restore into it is complete"
        });
        Ok(Exit::Interrupted)
    };
    let opened = tokio::select! {
        opened = open_both(source, args.replace, &config, &mut context.output) => Some(opened?),
        () = context.interrupts.next() => None,
    };
    let Some((path, target)) = opened else { return interrupted(&mut context.output) };
    let filled = tokio::select! {
        filled = fill(path.as_deref(), &target, &config, &mut context.output) => Some(filled),
        () = context.interrupts.next() => None,
    };
    let (summary, stats) = match filled {
        Some(Ok(filled)) => filled,
        Some(Err(error)) => {
            target.store().close().await;
            return Err(error);
        }
        None => {
            target.store().close().await;
            return interrupted(&mut context.output);
        }
    };
    // A complete restore is put in place without an interruption.
    let put_aside = target.finish(&config).await.map_err(CliError::from)?;
    let file = path.map_or_else(|| STANDARD.to_owned(), |path| path.display().to_string());
    let restored = restored(file, &summary, &stats, &put_aside, &config);
    if args.json {
        context.output.json(&restored)?;
    } else {
        context.output.line(&text(&restored))?;
    }
    Ok(Exit::Done)
}

/// The source of the backup.
enum Source {
    Standard,
    File(PathBuf),
    /// The newest complete automatic backup.
    Latest,
}

/// Opens the target of the restore, and returns it with the path of the backup. A file is checked
/// first; standard input has no path.
async fn open_both(
    source: Source,
    replace: bool,
    config: &Config,
    output: &mut Output,
) -> Result<(Option<PathBuf>, RestoreTarget), CliError> {
    // Check a file before anything is changed. Standard input can be read only once.
    let path = match source {
        Source::Standard => None,
        Source::File(path) => {
            backup::check(open(&path).await?).await.map_err(refused)?;
            Some(path)
        }
        Source::Latest => Some(latest(config, output).await?),
    };
    let target = RestoreTarget::open(config, replace).await.map_err(CliError::from)?;
    Ok((path, target))
}

/// Reads the backup into the target.
async fn fill(
    path: Option<&Path>,
    target: &RestoreTarget,
    config: &Config,
    output: &mut Output,
) -> Result<(Summary, StoreStats), CliError> {
    let summary = match path {
        Some(path) => backup::read(target.store(), open(path).await?).await,
        None => backup::read(target.store(), tokio::io::stdin()).await,
    };
    if let Err(BackupError::Import(ImportError::NotEmpty { .. } | ImportError::HasAccounts { .. })) = &summary
        && config.database.url.is_none()
    {
        output.note("`kastrel restore --replace` replaces the existing database, which is kept under another name");
    }
    let summary = summary.map_err(refused)?;
    let stats = target.stats().await.map_err(|error| CliError::Backend(error.into()))?;
    Ok((summary, stats))
}

fn refused(error: BackupError) -> CliError {
    CliError::App(error.into())
}

/// Returns the newest complete automatic backup, and names the incomplete ones.
async fn latest(config: &Config, output: &mut Output) -> Result<PathBuf, CliError> {
    let folder = backup_folder(config).map_err(|error| CliError::App(error.into()))?;
    for file in folder.read().await.map_err(|error| CliError::App(error.into()))? {
        match backup::check(open(&file.path).await?).await {
            Ok(_) => return Ok(file.path),
            Err(error) => output.note(&format!("{} cannot be used: {error}", file.path.display())),
        }
    }
    Err(CliError::App(Box::new(NoBackupError { folder: folder.path().to_owned() })))
}

async fn open(path: &Path) -> Result<File, CliError> {
    File::open(path).await.map_err(|source| CliError::App(Box::new(OpenFileError { path: path.to_owned(), source })))
}

fn restored(file: String, summary: &Summary, stats: &StoreStats, put_aside: &[PathBuf], config: &Config) -> Restored {
    Restored {
        file,
        missing: summary.missing.clone(),
        put_aside: put_aside.iter().map(|path| path.display().to_string()).collect(),
        database: config
            .database
            .url
            .as_ref()
            .map_or_else(|| config.data.dir.display().to_string(), ToString::to_string),
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
        format!(
            "Restored {} into {}, as of {}, from {}",
            count(restored.scans, "scan"),
            restored.database,
            restored.written_at,
            restored.file
        ),
        format!(
            "{} queued, {} running, {} completed, {} failed, {} cancelled; new scans have numbers above {}",
            restored.pending,
            restored.running,
            restored.completed,
            restored.failed,
            restored.cancelled,
            restored.last_scan_id
        ),
    ];
    lines.extend(missing(&restored.missing).map(|text| {
        format!("{text} could not be read when the backup was written and {} missing", is_or_are(&restored.missing))
    }));
    if !restored.put_aside.is_empty() {
        lines.push(format!("The previous database is kept: {}", restored.put_aside.join(", ")));
    }
    if restored.running > 0 {
        lines.push("Running scans return to the queue when a server or worker starts".into());
    }
    if restored.queue_paused {
        lines.push("The queue is paused, as it was in the backup: `kastrel resume` resumes it".into());
    }
    lines
        .push(format!("Reports, logs and raw results are not part of a backup: restore {} separately", restored.files));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restore_output_has_the_restored_and_the_missing_scans() {
        let mut one = Restored {
            database: "data".into(),
            file: "k.backup".into(),
            scans: 6,
            last_scan_id: 9,
            pending: 1,
            running: 1,
            completed: 2,
            failed: 1,
            cancelled: 1,
            queue_paused: true,
            missing: vec![ScanId(4), ScanId(8)],
            written_at: Timestamp::UNIX_EPOCH,
            put_aside: vec!["data/database.replaced-1".into()],
            files: "the results folder data/results".into(),
        };
        assert_eq!(
            text(&one).lines().collect::<Vec<_>>(),
            [
                "Restored 6 scans into data, as of 1970-01-01T00:00:00Z, from k.backup",
                "1 queued, 1 running, 2 completed, 1 failed, 1 cancelled; new scans have numbers above 9",
                "2 scans (4, 8) could not be read when the backup was written and are missing",
                "The previous database is kept: data/database.replaced-1",
                "Running scans return to the queue when a server or worker starts",
                "The queue is paused, as it was in the backup: `kastrel resume` resumes it",
                "Reports, logs and raw results are not part of a backup: restore the results folder data/results separately",
            ]
        );
        (one.running, one.queue_paused, one.missing, one.put_aside) = (0, false, Vec::new(), Vec::new());
        assert_eq!(text(&one).lines().count(), 3);
    }
}
