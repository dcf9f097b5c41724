//! `kastrel dead-letters list` shows the events that could not be delivered, and
//! `kastrel dead-letters resend` delivers one again.

use jiff::Timestamp;
use kastrel_actors::service::Services;

use super::args::{ReadArgs, ResendArgs};
use super::backend::{BackendError, context};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::output::Style;
use super::show::{Shown, show};
use super::table::{Column, cell, grid, numeric};
use crate::api_types::{DeadLetterBody, DeadLetterList};
use crate::human_time::relative;

/// The most dead letters that are read; the API returns as many.
const MOST_DEAD_LETTERS: usize = 1000;

/// Runs `kastrel dead-letters list`.
///
/// # Errors
/// Neither a server nor the database is available.
pub(super) async fn list(args: &ReadArgs, context: &mut Context) -> Result<Exit, CliError> {
    let text = |list: &DeadLetterList, now: Timestamp, style: Style| text(&list.dead_letters, now, style);
    show(args, context, &(), Shown { path: "api/dead-letters", local: local_list, text }).await
}

async fn local_list(services: &Services, _: Timestamp) -> Result<DeadLetterList, BackendError> {
    let letters = services.audit.dead_letters(&context(), MOST_DEAD_LETTERS).await?;
    Ok(DeadLetterList { dead_letters: letters.into_iter().map(Into::into).collect() })
}

/// Runs `kastrel dead-letters resend`.
///
/// # Errors
/// The dead letter does not exist, or neither a server nor the database is available.
pub(super) async fn resend(args: &ResendArgs, context: &mut Context) -> Result<Exit, CliError> {
    let common = &args.common;
    let config = context.resolve(&common.config, common.flags(), None)?.config;
    let Some(session) = context.open(&common.server, &config, Role::Offline).await? else {
        return Ok(Exit::Interrupted);
    };
    let known = session.backend.resend(args.id).await;
    session.close().await;
    if !known? {
        return Err(CliError::NoDeadLetter(args.id));
    }
    if common.json {
        context.output.json(&serde_json::json!({ "id": args.id.to_string() }))?;
    } else {
        context.output.line(&format!("Event {} is back in the outbox, and a worker delivers it again", args.id))?;
    }
    Ok(Exit::Done)
}

fn text(letters: &[DeadLetterBody], now: Timestamp, style: Style) -> String {
    if letters.is_empty() {
        return "No dead letters.".into();
    }
    let columns = [
        Column::new("Id", 0),
        Column::new("Scan", 3),
        Column::new("Event", 1),
        Column::new("Given up", 2),
        Column::new("Tries", 4),
        Column::text("Reason", 0),
    ];
    let row = |letter: &DeadLetterBody| {
        vec![
            cell(&letter.id),
            numeric(letter.scan),
            cell(letter.action.as_deref().unwrap_or("unreadable")),
            cell(&relative(letter.at.at(), now)),
            numeric(u64::from(letter.tries)),
            cell(&letter.reason),
        ]
    };
    let table = grid(style, &columns, letters.iter().map(row).collect());
    format!("{table}\n\nRepair the cause, then: kastrel dead-letters resend ID")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_types::Moment;

    #[test]
    fn dead_letters_are_listed_in_a_table() {
        let letter = DeadLetterBody {
            id: "12-3".into(),
            at: Moment::of(Timestamp::UNIX_EPOCH),
            scan: 12,
            action: Some("scan_ended".into()),
            event: "{}".into(),
            tries: 11,
            reason: "webhook: refused\u{1b}[31m".into(),
        };
        let damaged = DeadLetterBody { id: "7-1".into(), scan: 7, action: None, tries: 1, ..letter.clone() };
        let now = Timestamp::from_second(7_500).unwrap();
        insta::assert_snapshot!(text(&[letter, damaged], now, Style::PLAIN), @"
         Id    Scan  Event       Given up  Tries  Reason
         12-3    12  scan_ended  2 h ago      11  webhook: refused
         7-1      7  unreadable  2 h ago       1  webhook: refused

        Repair the cause, then: kastrel dead-letters resend ID
        ");
        assert_eq!(text(&[], now, Style::PLAIN), "No dead letters.");
    }
}
