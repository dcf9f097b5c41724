//! `kastrel backups`: the automatic backups of the embedded database.

use jiff::Timestamp;

use super::args::BackupsArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::table::{Column, cell, grid, numeric};
use super::text::bytes;
use crate::api_types::BackupBody;
use crate::app::backup_folder;
use crate::human_time::relative;

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
    let lines: Vec<BackupBody> =
        files.iter().map(|backup| BackupBody::of(backup, backup.path.display().to_string())).collect();
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

fn text(lines: &[BackupBody], now: Timestamp, style: Style) -> String {
    let columns = [
        Column::new("Created", 0),
        Column::new("Size", 1),
        Column::new("Missing scans", 3),
        Column::text("Reason", 2),
        Column::text("File", 0),
    ];
    let row = |line: &BackupBody| {
        let why = line
            .before_migration_of
            .map_or_else(|| "regular".to_owned(), |schema| format!("before the migration of schema {schema}"));
        vec![
            cell(&relative(line.made_at.at(), now)),
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
    use crate::api_types::Moment;

    #[test]
    fn backups_are_listed_in_a_table() {
        let line = |file: &str, missing, before_migration_of| BackupBody {
            file: file.into(),
            made_at: Moment::of(Timestamp::UNIX_EPOCH),
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
