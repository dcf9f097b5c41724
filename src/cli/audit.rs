//! `kastrel audit list`: shows who did what, newest first.

use jiff::Timestamp;
use serde_json::Value;

use super::args::AuditArgs;
use super::backend::AuditView;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::output::Style;
use super::table::{Column, cell, grid, numeric};
use crate::human_time::relative;

/// Runs the command.
///
/// # Errors
/// Neither a server nor the database is available.
pub(super) async fn list(args: &AuditArgs, context: &mut Context) -> Result<Exit, CliError> {
    let common = &args.common;
    let config = context.resolve(&common.config, common.flags(), None)?.config;
    let Some(session) = context.open(common.server.server.as_deref(), &config, Role::Offline).await? else {
        return Ok(Exit::Interrupted);
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let entries = session.backend.audit(args.scan, limit).await;
    session.close().await;
    let entries = entries?;
    if common.json {
        context.output.json(&serde_json::json!({ "entries": entries }))?;
    } else {
        #[expect(clippy::disallowed_methods, reason = "the time of the terminal, for people; nothing is decided by it")]
        let text = text(&entries, Timestamp::now(), context.output.style);
        context.output.line(&text)?;
    }
    Ok(Exit::Done)
}

fn text(entries: &[AuditView], now: Timestamp, style: Style) -> String {
    if entries.is_empty() {
        return "No entries match.".into();
    }
    let columns = [
        Column::new("When", 0),
        Column::new("Who", 0),
        Column::new("Action", 0),
        Column::new("Scan", 1),
        Column::text("Details", 2),
    ];
    let row = |entry: &AuditView| {
        vec![
            cell(&relative(entry.at, now)),
            cell(&entry.principal),
            cell(&entry.action),
            entry.scan.map_or_else(|| cell("-"), numeric),
            cell(&details(&entry.event)),
        ]
    };
    grid(style, &columns, entries.iter().map(row).collect())
}

/// Formats the fields of an event: `status=failed at=…`.
fn details(event: &Value) -> String {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = event.as_object().into_iter().flatten().filter(|(name, _)| *name != "action");
    fields.map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn audit_log_is_listed_in_a_table() {
        let entry = |action: &str, scan, event| AuditView {
            at: Timestamp::UNIX_EPOCH,
            principal: "anonymous".into(),
            action: action.into(),
            scan,
            event,
        };
        let entries = [
            entry("drain_ordered", None, json!({ "action": "drain_ordered", "node": "a-1", "within_ms": 5 })),
            entry("queue_paused", None, json!({ "action": "queue_paused", "reason": "up\u{1b}[2Jgrade" })),
            entry("scan_submitted", Some(12), json!({ "action": "scan_submitted" })),
        ];
        let now = Timestamp::from_second(7_500).unwrap();
        insta::assert_snapshot!(text(&entries, now, Style::PLAIN), @"
         When     Who        Action          Scan  Details
         2 h ago  anonymous  drain_ordered   -     node=a-1 within_ms=5
         2 h ago  anonymous  queue_paused    -     reason=upgrade
         2 h ago  anonymous  scan_submitted    12
        ");
        assert_eq!(text(&[], now, Style::PLAIN), "No entries match.");
    }
}
