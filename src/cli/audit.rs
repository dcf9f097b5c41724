//! `kastrel audit list`: shows who did what, newest first.

use jiff::Timestamp;
use kastrel_actors::model::{AuditQuery, DomainEvent};
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
use super::text::plain;
use crate::api_types::{AuditBody, AuditList, AuditParams};
use crate::human_time::relative;

/// Runs the command.
///
/// # Errors
/// Neither a server nor the database is available.
pub(super) async fn list(args: &AuditArgs, context: &mut Context) -> Result<Exit, CliError> {
    let wanted = query(args);
    let moment = |at: Timestamp| at.to_string();
    let params = AuditParams {
        scan: wanted.scan.map(|scan| scan.0),
        principal: wanted.principal.as_ref().map(ToString::to_string),
        action: wanted.action.map(str::to_owned),
        from: wanted.from.map(moment),
        to: wanted.to.map(moment),
        before: wanted.before.as_ref().map(ToString::to_string),
        limit: Some(args.limit.into()),
        ..AuditParams::default()
    };
    let local = async move |services: &Services, _: Timestamp| local_list(services, &wanted).await;
    show(&args.common, context, &params, Shown { path: "api/audit", local, text }).await
}

fn query(args: &AuditArgs) -> AuditQuery {
    AuditQuery {
        scan: args.scan,
        principal: args.principal.clone(),
        action: args.action.as_deref().and_then(|action| AuditQuery::action_named(action).ok()),
        from: args.since,
        to: args.until,
        before: args.before.clone(),
        ..AuditQuery::newest(usize::try_from(args.limit).unwrap_or(usize::MAX))
    }
}

async fn local_list(services: &Services, query: &AuditQuery) -> Result<AuditList, BackendError> {
    Ok(services.audit.entries(&context(), query).await?.into())
}

fn text(list: &AuditList, now: Timestamp, style: Style) -> String {
    let before = list.next.as_deref().map(|next| format!("--before {}", plain(next)));
    let more = match (list.is_partial, before) {
        (true, before) => format!(
            "The search stopped after many entries that do not match; narrow it with --since and --until{}",
            before.map(|before| format!(", or continue it with {before}")).unwrap_or_default()
        ),
        (false, Some(before)) => format!("There may be older entries; see more with --limit or {before}"),
        (false, None) => String::new(),
    };
    if list.entries.is_empty() {
        return if more.is_empty() { "No entries match.".into() } else { more };
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
    let table = grid(style, &columns, list.entries.iter().map(row).collect());
    if more.is_empty() { table } else { format!("{table}\n\n{more}") }
}

/// Says what happened, and from which address. An event that this version does not know is shown
/// as its fields.
fn details(event: &Value) -> String {
    let Ok(event) = serde_json::from_value::<DomainEvent>(event.clone()) else { return fields(event) };
    match event.address() {
        Some(address) => format!("{}, from {address}", event.text()),
        None => event.text(),
    }
}

/// Formats the fields of an event: `status=failed project=team`. The time of the scan's end is left
/// out, because it is that of the entry of the end, which has a column of its own.
fn fields(event: &Value) -> String {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = event.as_object().into_iter().flatten().filter(|(name, _)| *name != "action" && *name != "at");
    fields.map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api_types::Moment;

    fn list(entries: Vec<AuditBody>) -> AuditList {
        AuditList { entries, next: None, is_partial: false }
    }

    #[test]
    fn audit_log_is_listed_in_a_table() {
        let entry = |action: &str, scan, event| AuditBody {
            at: Moment::of(Timestamp::UNIX_EPOCH),
            principal: "anonymous".into(),
            action: action.into(),
            scan,
            event,
        };
        let entries = vec![
            entry("drain_ordered", None, json!({ "action": "drain_ordered", "node": "a-1", "within_ms": 5 })),
            entry("queue_paused", None, json!({ "action": "queue_paused", "reason": "up\u{1b}[2Jgrade" })),
            entry("signed_in", None, json!({ "action": "signed_in", "account": "ana", "address": "192.0.2.1" })),
            entry(
                "scan_ended",
                Some(12),
                json!({ "action": "scan_ended", "status": "failed", "at": "1970-01-01T00:00:00.000000001Z" }),
            ),
            entry("scan_moved", Some(12), json!({ "action": "scan_moved", "to": "team", "at": 7 })),
        ];
        let now = Timestamp::from_second(7_500).unwrap();
        let mut list = list(entries);
        insta::assert_snapshot!(text(&list, now, Style::PLAIN), @"
         When     Who        Action         Scan  Details
         2 h ago  anonymous  drain_ordered  -     Drain of node a-1 ordered, within 5 ms
         2 h ago  anonymous  queue_paused   -     Queue paused: upgrade
         2 h ago  anonymous  signed_in      -     Account ana signed in, from 192.0.2.1
         2 h ago  anonymous  scan_ended       12  Scan ended: failed
         2 h ago  anonymous  scan_moved       12  to=team
        ");
        list.next = Some("1.a".into());
        assert!(
            text(&list, now, Style::PLAIN)
                .ends_with("\n\nThere may be older entries; see more with --limit or --before 1.a")
        );
    }

    #[test]
    fn search_that_stopped_early_says_so() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(text(&list(vec![]), now, Style::PLAIN), "No entries match.");
        let stopped = AuditList { next: Some("1.a".into()), is_partial: true, ..list(vec![]) };
        let shown = text(&stopped, now, Style::PLAIN);
        assert_eq!(
            shown,
            "The search stopped after many entries that do not match; narrow it with --since and --until, or continue it with --before 1.a"
        );
    }
}
