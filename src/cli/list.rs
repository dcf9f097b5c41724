//! `kastrel list`: lists scans, newest first. Those that are shared with the account are a list of
//! their own.

use super::args::ListArgs;
use super::backend::{ListAnswer, ListFilter};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::output::Style;
use super::shares::shared_table;
use super::table::{Column, cell, grid, numeric, scan_status, severity};
use super::text::duration;
use super::view::ScanView;
use crate::human_time::relative;
use comfy_table::{Cell, Color};
use jiff::Timestamp;
use serde_json::json;

/// Runs the command.
///
/// # Errors
/// Neither a server nor the database is available.
pub(super) async fn run(args: &ListArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    let Some(session) = context.open(&args.server, &config, Role::Offline).await? else {
        return Ok(Exit::Interrupted);
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    if args.shared {
        let answer = session.backend.shared_scans(limit).await;
        session.close().await;
        let answer = answer?;
        if args.json {
            context.output.json(&json!({ "scans": answer }))?;
        } else {
            let text = shared_table(&answer, now(), context.output.style);
            context.output.line(&text)?;
        }
        return Ok(Exit::Done);
    }
    let filter = ListFilter { status: args.status(), target: args.target.clone(), tag: args.tag.clone(), limit };
    let answer = session.backend.list(&filter).await;
    session.close().await;
    let answer = answer?;
    if args.json {
        context.output.json(&answer)?;
    } else {
        let text = text(&answer, now(), context.output.style);
        context.output.line(&text)?;
    }
    Ok(Exit::Done)
}

#[expect(clippy::disallowed_methods, reason = "the time of the terminal, for people; nothing is decided by it")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn text(answer: &ListAnswer, now: Timestamp, style: Style) -> String {
    if answer.scans.is_empty() {
        return "No scans match.".into();
    }
    let columns = [
        Column::new("Scan", 0),
        Column::new("State", 0),
        Column::text("Target", 0),
        Column::new("Checks", 1),
        Column::new("Issues", 2),
        Column::new("Worst", 3),
        Column::new("Items", 6),
        Column::new("Submitted", 4),
        Column::new("Took", 5),
        Column::new("Attempt", 7),
    ];
    let row = |scan: &ScanView| {
        let summary = &scan.summary;
        vec![
            numeric(summary.scan_id.0),
            scan_status(summary.status),
            cell(&scan.target_label()),
            checks(scan),
            numeric(summary.severities.total()),
            severity(summary.severities.worst()),
            numeric(summary.findings_count),
            cell(&summary.created_at.or(summary.started_at).map_or_else(|| "-".into(), |at| relative(at.at(), now))),
            cell(&summary.duration.map_or_else(|| "-".into(), duration)),
            numeric(u64::from(summary.attempt)),
        ]
    };
    let mut text = grid(style, &columns, answer.scans.iter().map(row).collect());
    let shown = answer.scans.len();
    if let Some(total) = answer.total.filter(|total| usize::try_from(*total).is_ok_and(|total| total > shown)) {
        let more = if answer.total_is_floor { " or more" } else { "" };
        text.push_str(&format!("\n\n{shown} of {total}{more} scans; see more with --limit"));
    }
    text
}

/// Formats the coverage: `10 of 12`, in yellow if there are gaps.
fn checks(scan: &ScanView) -> Cell {
    let coverage = scan.coverage();
    match coverage.total {
        _ if scan.summary.dry_run => Cell::new("dry run"),
        0 => Cell::new("-"),
        total => {
            let text = Cell::new(format!("{} of {total}", coverage.ran));
            if scan.summary.status.is_terminal() && coverage.gaps > 0 { text.fg(Color::Yellow) } else { text }
        }
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{PluginStatus, ScanId, ScanStatus, Severity};

    use super::*;
    use crate::api_types::Moment;
    use crate::cli::view::tests::{one, plugin, view, with};

    #[test]
    fn scans_are_listed_in_a_table() {
        let created_at = Some(Moment::of(Timestamp::from_second(1_700_000_000).unwrap()));
        let mut done = with(view(ScanStatus::Completed), |scan| {
            (scan.scan_id, scan.attempt, scan.findings_count, scan.duration) = (ScanId(12), 1, 4, Some(61.0));
            (scan.severities, scan.coverage, scan.created_at) = (one(Severity::Medium), None, created_at);
        });
        done.results = vec![plugin("a", PluginStatus::Completed), plugin("b", PluginStatus::Failed)];
        let waits = with(view(ScanStatus::Pending), |scan| scan.created_at = created_at);
        let answer = ListAnswer { scans: vec![done, waits], total: Some(40), total_is_floor: false };
        let now = Timestamp::from_second(1_700_007_500).unwrap();
        insta::assert_snapshot!(text(&answer, now, Style::PLAIN), @r##"
         Scan  State      Target       Checks  Issues  Worst   Items  Submitted  Took       Attempt
           12  completed  example.com  1 of 2       1  medium      4  2 h ago    1 min 1 s        1
            3  queued     example.com  -            0  -           0  2 h ago    -                0

        2 of 40 scans; see more with --limit
        "##);
        let bounded = ListAnswer { total: Some(1000), total_is_floor: true, ..answer.clone() };
        assert!(text(&bounded, now, Style::PLAIN).ends_with("2 of 1000 or more scans; see more with --limit"));
        let none = ListAnswer { scans: vec![], total: Some(0), total_is_floor: false };
        assert_eq!(text(&none, now, Style::PLAIN), "No scans match.");
        for width in [60, 80, 120] {
            let text = text(&answer, now, Style { width: Some(width), ..Style::PLAIN });
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{text}");
            assert!(text.contains("1 of 2"), "what was checked is said on every terminal:\n{text}");
        }
    }
}
