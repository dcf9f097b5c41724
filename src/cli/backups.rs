//! `kastrel backups`: the automatic backups of the embedded database.

use jiff::Timestamp;
use serde::Serialize;

use super::args::BackupsArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::table::{Column, cell, grid, numeric};
use super::text::bytes;
use crate::app::backup_folder;
use crate::backup::BackupFile;
use crate::human_time::relative;

/// The JSON output: an automatic backup.
#[derive(Debug, Serialize)]
struct BackupLine {
    file: String,
    made_at: Timestamp,
    bytes: u64,
    /// How many scans could not be read.
    missing: u64,
    /// The schema version of the database, if the backup was made before a migration.
    before_migration_of: Option<i64>,
}

impl From<&BackupFile> for BackupLine {
    fn from(file: &BackupFile) -> Self {
        let mark = file.mark;
        Self {
            file: file.path.display().to_string(),
            made_at: mark.made_at,
            bytes: file.bytes,
            missing: mark.missing,
            before_migration_of: mark.before_migration_of,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn run(args: &BackupsArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    let folder = backup_folder(&config).map_err(|error| CliError::App(error.into()))?;
    let files = folder
        .list()
        .map_err(|error| CliError::App(format!("failed to read {}: {error}", folder.path().display()).into()))?;
    let lines: Vec<BackupLine> = files.iter().map(BackupLine::from).collect();
    if args.json {
        context.output.json(&serde_json::json!({ "backups": lines }))?;
    } else if lines.is_empty() {
        let text = if config.makes_backups() {
            "a running server makes the first one when there is a scan"
        } else {
            "none are made with this configuration"
        };
        context.output.line(&format!("No automatic backup in {}: {text}", folder.path().display()))?;
    } else {
        #[expect(clippy::disallowed_methods, reason = "the time of the terminal, for people; nothing is decided by it")]
        let text = text(&lines, Timestamp::now(), context.output.style);
        context.output.line(&text)?;
    }
    Ok(Exit::Done)
}

fn text(lines: &[BackupLine], now: Timestamp, style: Style) -> String {
    let columns = [
        Column::new("Created", 0),
        Column::new("Size", 1),
        Column::new("Missing scans", 3),
        Column::text("Reason", 2),
        Column::text("File", 0),
    ];
    let row = |line: &BackupLine| {
        let why = line
            .before_migration_of
            .map_or_else(|| "regular".to_owned(), |schema| format!("before the migration of schema {schema}"));
        vec![
            cell(&relative(line.made_at, now)),
            cell(&bytes(line.bytes)),
            numeric(line.missing),
            cell(&why),
            cell(&line.file),
        ]
    };
    grid(style, &columns, lines.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_listed_in_a_table() {
        let line = |file: &str, missing, before_migration_of| BackupLine {
            file: file.into(),
            made_at: Timestamp::UNIX_EPOCH,
            bytes: 4096,
            missing,
            before_migration_of,
        };
        let now = Timestamp::from_second(3_700).unwrap();
        insta::assert_snapshot!(text(&[line("b/2.backup", 3, None), line("b/1.backup", 0, Some(5))], now, Style::PLAIN), @"
        Created  Size   Missing scans  Reason                            File
        1 h ago  4 KiB              3  regular                           b/2.backup
        1 h ago  4 KiB              0  before the migration of schema 5  b/1.backup
        ");
    }
}
