//! `kastrel audit list`: shows who did what, newest first.

use jiff::Timestamp;
use kastrel_actors::model::ScanId;
use kastrel_actors::service::Services;
use serde_json::Value;

use super::args::AuditArgs;
use super::backend::{BackendError, context};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::show::{Shown, show};
use super::table::{Column, cell, grid, numeric};
use crate::api_types::{AuditBody, AuditList, AuditParams};
use crate::human_time::relative;

/// Runs the command.
///
/// # Errors
/// Neither a server nor the database is available.
pub(super) async fn list(args: &AuditArgs, context: &mut Context) -> Result<Exit, CliError> {
    let (scan, limit) = (args.scan, args.limit);
    let query = AuditParams { scan: scan.map(|scan| scan.0), limit: Some(limit.into()) };
    let local = async move |services: &Services, _: Timestamp| local_list(services, scan, limit).await;
    let text = |list: &AuditList, now: Timestamp, style: Style| text(&list.entries, now, style);
    show(&args.common, context, &query, Shown { path: "api/audit", local, text }).await
}

async fn local_list(services: &Services, scan: Option<ScanId>, limit: u32) -> Result<AuditList, BackendError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let entries = services.audit.entries(&context(), scan, limit).await?;
    Ok(AuditList { entries: entries.into_iter().map(Into::into).collect() })
}

fn text(entries: &[AuditBody], now: Timestamp, style: Style) -> String {
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
    let row = |entry: &AuditBody| {
        vec![
            cell(&relative(entry.at.at(), now)),
            cell(&entry.principal),
            cell(&entry.action),
            entry.scan.map_or_else(|| cell("-"), numeric),
            cell(&details(&entry.event)),
        ]
    };
    grid(style, &columns, entries.iter().map(row).collect())
}

/// Formats the fields of an event: `status=failed project=team`. The time of the scan's end is left
/// out, because it is that of the entry of the end, which has a column of its own.
fn details(event: &Value) -> String {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = event.as_object().into_iter().flatten().filter(|(name, _)| *name != "action" && *name != "at");
    fields.map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api_types::Moment;

    #[test]
    fn audit_log_is_listed_in_a_table() {
        let entry = |action: &str, scan, event| AuditBody {
            at: Moment::of(Timestamp::UNIX_EPOCH),
            principal: "anonymous".into(),
            action: action.into(),
            scan,
            event,
        };
        let entries = [
            entry("drain_ordered", None, json!({ "action": "drain_ordered", "node": "a-1", "within_ms": 5 })),
            entry("queue_paused", None, json!({ "action": "queue_paused", "reason": "up\u{1b}[2Jgrade" })),
            entry(
                "scan_ended",
                Some(12),
                json!({ "action": "scan_ended", "status": "failed", "at": "1970-01-01T00:00:00.000000001Z" }),
            ),
            entry("scan_submitted", Some(12), json!({ "action": "scan_submitted" })),
        ];
        let now = Timestamp::from_second(7_500).unwrap();
        insta::assert_snapshot!(text(&entries, now, Style::PLAIN), @"
         When     Who        Action          Scan  Details
         2 h ago  anonymous  drain_ordered   -     node=a-1 within_ms=5
         2 h ago  anonymous  queue_paused    -     reason=upgrade
         2 h ago  anonymous  scan_ended        12  status=failed
         2 h ago  anonymous  scan_submitted    12
        ");
        assert_eq!(text(&[], now, Style::PLAIN), "No entries match.");
    }
}
