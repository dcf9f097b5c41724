//! `kastrel list`: scans, newest first.

use super::args::ListArgs;
use super::backend::{ListAnswer, ListFilter};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::output::Style;
use super::table::{cell, numeric, rendered, scan_status, severity, table};
use super::text::duration;
use super::view::number;
use kastrel_actors::model::Severity;

/// Runs the command.
///
/// # Errors
/// There is nobody to ask.
pub(super) async fn run(args: &ListArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    let Some(session) = context.open(args.server.server.as_deref(), &config, Role::Offline).await? else { return Ok(Exit::Interrupted) };
    let filter = ListFilter {
        status: args.status.as_deref().and_then(|status| status.parse().ok()),
        target: args.target.clone(),
        limit: usize::try_from(args.limit).unwrap_or(usize::MAX),
    };
    let answer = session.backend.list(&filter).await;
    session.close().await;
    let answer = answer?;
    if args.json {
        context.output.json(&answer)?;
    } else {
        let text = text(&answer, context.output.style);
        context.output.line(&text)?;
    }
    Ok(Exit::Done)
}

fn text(answer: &ListAnswer, style: Style) -> String {
    if answer.scans.is_empty() {
        return "No scans.".into();
    }
    let mut scans = table(style, &["Scan", "State", "Target", "Attempt", "Findings", "Worst", "Started", "Took"]);
    for scan in &answer.scans {
        let worst = Severity::ALL.iter().copied().find(|severity| number(&scan.severities, *severity) > 0);
        scans.add_row([
            numeric(scan.scan_id.0),
            scan_status(scan.status),
            cell(&scan.target),
            numeric(u64::from(scan.attempt)),
            numeric(scan.findings_count),
            severity(worst),
            cell(&scan.started_at.map_or_else(|| "-".into(), |at| format!("{at:.0}"))),
            cell(&scan.duration.map_or_else(|| "-".into(), duration)),
        ]);
    }
    let mut text = rendered(&scans);
    let shown = answer.scans.len();
    if let Some(total) = answer.total.filter(|total| usize::try_from(*total).is_ok_and(|total| total > shown)) {
        text.push_str(&format!("\n\n{shown} of {total} scans; see more with --limit"));
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_actors::model::{ScanId, ScanStatus};

    use super::*;
    use crate::cli::view::tests::{one, view};

    #[test]
    fn scans_stand_in_a_table() {
        let mut done = view(ScanStatus::Completed);
        (done.scan_id, done.attempt, done.findings_count, done.duration) = (ScanId(12), 1, 4, Some(61.0));
        done.severities = one(Severity::Medium);
        done.started_at = Some(Timestamp::from_second(1_700_000_000).unwrap());
        let answer = ListAnswer { scans: vec![done, view(ScanStatus::Pending)], total: Some(40) };
        insta::assert_snapshot!(text(&answer, Style::PLAIN), @r##"
         Scan  State      Target       Attempt  Findings  Worst   Started               Took
           12  completed  example.com        1         4  medium  2023-11-14T22:13:20Z  1 min 1 s
            3  pending    example.com        0         0  -       -                     -

        2 of 40 scans; see more with --limit
        "##);
        assert_eq!(text(&ListAnswer { scans: vec![], total: Some(0) }, Style::PLAIN), "No scans.");
    }
}
