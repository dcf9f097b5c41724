//! `kastrel backup`: writes a backup of the database to one file.
//!
//! The source is the first of these that exists: the server that the user named, the database of
//! `database.url`, the server that holds the data folder, or the data folder itself.

use jiff::Timestamp;
use kastrel_actors::model::{DomainEvent, ScanId};
use kastrel_actors::ports::{Clock as _, StoreError, SystemClock};
use serde::Serialize;
use tokio::io::{AsyncWrite, BufWriter};

use super::args::{BackupArgs, ServerArgs};
use super::backend::{RemoteBackend, context as system};
use super::context::{Context, Opener};
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::new_file::NewFile;
use super::text::{bytes, count};
use crate::adapters::surreal_store::SurrealStore;
use crate::app::{access_of, database_to_back_up};
use crate::backup::{self, BackupError, Summary};
use crate::config::Config;

/// The file name that means standard input or output.
pub(super) const STANDARD: &str = "-";

/// The source of the rows.
pub(super) enum Source {
    Server(RemoteBackend),
    Database(SurrealStore),
}

impl Source {
    /// Closes a database that this process opened.
    pub(super) async fn close(self) {
        match self {
            Self::Server(_) => {}
            Self::Database(store) => store.close().await,
        }
    }
}

/// The JSON output: the written backup.
#[derive(Debug, Serialize)]
struct Written<'a> {
    file: &'a str,
    scans: u64,
    last_scan_id: u64,
    queue_paused: bool,
    /// The scans that could not be read and are missing in the backup.
    missing: &'a [ScanId],
    bytes: u64,
    written_at: Timestamp,
    /// The location of the scans' files, which are not part of the backup; null if only the server
    /// knows it.
    files: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// There is no database to back up, or no server responds; or the file exists or cannot be written.
pub(super) async fn run(args: &BackupArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    context.host.init_logging(&config, Role::Offline)?;
    let is_stream = args.file.as_os_str() == STANDARD;
    let file = if is_stream { None } else { Some(NewFile::begin(&context.directory.join(&args.file), args.force)?) };
    let opener = context.opener();
    let source = tokio::select! {
        source = source(&opener, &args.server, &config) => source?,
        () = context.interrupts.next() => return Ok(Exit::Interrupted),
    };
    let files = matches!(source, Source::Database(_)).then(|| place_of_files(&config));
    let writing = async { (record(&source).await, write_file(&source, file).await) };
    let written = tokio::select! {
        written = writing => Some(written),
        () = context.interrupts.next() => None,
    };
    source.close().await;
    let Some((recorded, written)) = written else { return Ok(Exit::Interrupted) };
    let summary = written?;
    if let Err(error) = recorded {
        context.output.note(&format!("The audit log has no entry of this backup: {error}"));
    }
    let name = args.file.to_string_lossy();
    let text = if args.json { json(&name, &summary, files)? } else { text(&name, &summary, files) };
    // Standard output contains the backup.
    if is_stream {
        context.output.note(&text);
    } else {
        context.output.line(&text)?;
    }
    Ok(Exit::Done)
}

/// Returns the server that the user named, the server that holds the data folder, or the database
/// itself.
pub(super) async fn source(opener: &Opener, server: &ServerArgs, config: &Config) -> Result<Source, CliError> {
    if let Some(server) = opener.named(server)? {
        return Ok(Source::Server(server));
    }
    if config.database.url.is_none()
        && let Some(server) = opener.holder(config).await
    {
        return Ok(Source::Server(server));
    }
    let store = database_to_back_up(config).await?;
    Ok(Source::Database(store))
}

/// Writes the entry of a backup to the audit log of a database that this process opened; a server
/// writes its own. It is written first, so that the backup has it too. A failure does not refuse
/// the backup, unlike that of a server: this process can read the database anyway, and a backup may
/// be what a full disk needs.
async fn record(source: &Source) -> Result<(), StoreError> {
    let Source::Database(store) = source else { return Ok(()) };
    access_of(store).record_download(&system(), DomainEvent::BackupDownloaded, None).await
}

async fn write_file(source: &Source, file: Option<NewFile>) -> Result<Summary, CliError> {
    let Some(mut file) = file else { return write(source, tokio::io::stdout()).await };
    let summary = write(source, BufWriter::with_capacity(1 << 16, &mut file.file)).await?;
    file.finish().await?;
    Ok(summary)
}

/// Reads every row, and writes the backup.
pub(super) async fn write(source: &Source, into: impl AsyncWrite + Unpin) -> Result<Summary, CliError> {
    let written = match source {
        Source::Server(server) => backup::copy(server.backup().await?, into).await,
        Source::Database(store) => backup::write(store, into, SystemClock.now()).await,
    };
    written.map_err(|error: BackupError| CliError::App(error.into()))
}

/// Returns the location of the scans' files, in words.
pub(super) fn place_of_files(config: &Config) -> String {
    match &config.artifacts.url {
        Some(url) => format!("the bucket s3://{}", [url.bucket(), url.prefix()].join("/").trim_end_matches('/')),
        None => format!("the results folder {}", config.results_dir().display()),
    }
}

fn json(file: &str, summary: &Summary, files: Option<String>) -> Result<String, CliError> {
    let written = Written {
        file,
        scans: summary.scans,
        last_scan_id: summary.last.0,
        queue_paused: summary.paused,
        missing: &summary.missing,
        bytes: summary.bytes,
        written_at: summary.written_at,
        files,
    };
    Ok(serde_json::to_string_pretty(&written).map_err(std::io::Error::from)?)
}

fn text(file: &str, summary: &Summary, files: Option<String>) -> String {
    let place = if file == STANDARD { "the standard output" } else { file };
    let files = files.unwrap_or_else(|| "the server's results folder or bucket".into());
    let mut lines = vec![format!("Backed up {} ({}) to {place}", count(summary.scans, "scan"), bytes(summary.bytes))];
    lines.extend(
        missing(&summary.missing)
            .map(|missing| format!("{missing} could not be read and {} not part of it", is_or_are(&summary.missing))),
    );
    lines.push(format!("Reports, logs and raw results are not part of it: back up {files} separately"));
    lines.join("\n")
}

/// Returns the missing scans, in words.
pub(super) fn missing(missing: &[ScanId]) -> Option<String> {
    const NAMED: usize = 10;
    let named = missing.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match missing {
        [] => None,
        [_] => Some(format!("Scan {named}")),
        several if several.len() <= NAMED => Some(format!("{} scans ({named})", several.len())),
        many => Some(format!("{} scans ({named} …)", many.len())),
    }
}

/// Returns the verb for a list of scans.
pub(super) const fn is_or_are(missing: &[ScanId]) -> &'static str {
    if missing.len() == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{AuditQuery, Principal};
    use kastrel_actors::ports::AuditLog as _;

    use super::*;

    #[tokio::test]
    async fn backup_of_an_opened_database_is_recorded_in_it_and_in_the_backup() {
        let source = Source::Database(SurrealStore::in_memory().await.unwrap());
        record(&source).await.unwrap();
        let mut file = Vec::new();
        write(&source, &mut file).await.unwrap();
        assert!(String::from_utf8(file).unwrap().contains("backup_downloaded"));
        let Source::Database(store) = source else { panic!("a database") };
        let entries = store.audit(&AuditQuery::newest(9)).await.unwrap().entries;
        let entries: Vec<_> = entries.into_iter().map(|entry| (entry.principal, entry.event)).collect();
        assert_eq!(entries, [(Principal::System, DomainEvent::BackupDownloaded)]);
    }

    #[test]
    fn backup_output_has_the_written_and_the_missing_scans() {
        let mut summary = Summary {
            scans: 2,
            last: ScanId(7),
            paused: true,
            missing: Vec::new(),
            bytes: 4096,
            written_at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(
            text("k.backup", &summary, Some("the results folder data/results".into())),
            "Backed up 2 scans (4 KiB) to k.backup\nReports, logs and raw results are not part of it: back up the results folder data/results separately"
        );
        assert!(text("-", &summary, None).contains("to the standard output\n"));
        let value: serde_json::Value = serde_json::from_str(&json("k.backup", &summary, None).unwrap()).unwrap();
        let expected = serde_json::json!({
            "file": "k.backup", "scans": 2, "last_scan_id": 7, "queue_paused": true, "missing": [], "bytes": 4096, "written_at": "1970-01-01T00:00:00Z", "files": null
        });
        assert_eq!(value, expected);
        for (missing, line) in [
            (1..=1, "Scan 1 could not be read and is not part of it"),
            (1..=3, "3 scans (1, 2, 3) could not be read and are not part of it"),
            (1..=11, "11 scans (1, 2, 3, 4, 5, 6, 7, 8, 9, 10 …) could not be read and are not part of it"),
        ] {
            summary.missing = missing.map(ScanId).collect();
            assert_eq!(text("k.backup", &summary, None).lines().nth(1), Some(line));
        }
    }
}
