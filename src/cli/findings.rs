//! `kastrel findings`: lists, one finding, decisions, and the times to fix.

mod show;
mod sla;
mod triage;
mod words;

use jiff::Timestamp;
use serde_json::json;

use super::args::{CommentArgs, FindingArgs, FindingListArgs, FindingsCommand};
use super::ask::{ask, print};
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::table::{Column, cell, grid, numeric};
use super::text::{count, plain};
use super::{findings_export, findings_rebuild};
use crate::api_types::{
    Explanation, FindingBody, FindingGroupBody, FindingGroupList, FindingGroupParams, FindingList, FindingParams,
};
use crate::human_time::relative;
use words::{due_of, severity_cell, state_of};

/// Runs the command.
///
/// # Errors
/// The finding or the project does not exist, the request is invalid, or neither a server nor the
/// database is available.
pub(super) async fn run(command: &FindingsCommand, context: &mut Context) -> Result<Exit, CliError> {
    match command {
        FindingsCommand::List(args) if args.group.is_some() => groups(args, context).await,
        FindingsCommand::List(args) => list(args, context).await,
        FindingsCommand::Show(args) => show::run(args, context).await,
        FindingsCommand::Explain(args) => explain(args, context).await,
        FindingsCommand::Confirm(args) => triage::confirm(args, context).await,
        FindingsCommand::FalsePositive(args) => triage::false_positive(args, context).await,
        FindingsCommand::Accept(args) => triage::accept(args, context).await,
        FindingsCommand::Reopen(args) => triage::reopen(args, context).await,
        FindingsCommand::Assign(args) => triage::assign(args, context).await,
        FindingsCommand::Comment(args) => comment(args, context).await,
        FindingsCommand::Export(args) => findings_export::run(args, context).await,
        FindingsCommand::Rebuild(args) => findings_rebuild::run(args, context).await,
        FindingsCommand::Sla(args) => sla::run(args, context).await,
    }
}

/// Returns the filter of a list; `None` if it is empty.
fn filter_of(args: &FindingListArgs) -> Option<String> {
    let filter = args.filter.join(" ");
    (!filter.trim().is_empty()).then_some(filter)
}

async fn list(args: &FindingListArgs, context: &mut Context) -> Result<Exit, CliError> {
    let params =
        FindingParams { q: filter_of(args), sort: args.sort.clone(), skip: Some(args.skip), limit: Some(args.limit) };
    let question = async |session: &Session| session.backend.findings(&params).await;
    let Some(list) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    print(&args.common, context, &list, |list, now, style| text(list, args.skip, now, style))?;
    Ok(Exit::Done)
}

async fn groups(args: &FindingListArgs, context: &mut Context) -> Result<Exit, CliError> {
    let params = FindingGroupParams { q: filter_of(args), skip: Some(args.skip), limit: Some(args.limit) };
    let question = async |session: &Session| session.backend.finding_groups(&params).await;
    let Some(list) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    print(&args.common, context, &list, |list, _, style| group_text(list, args.skip, style))?;
    Ok(Exit::Done)
}

async fn explain(args: &FindingArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.explain_finding(args.id).await;
    let Some(found) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let explanation = found.ok_or(CliError::NoFinding(args.id))?;
    print(&args.common, context, &explanation, |explanation: &Explanation, _, _| {
        explanation.lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Done)
}

async fn comment(args: &CommentArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.comment_finding(args.id, &args.text).await;
    let Some(is_added) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    if !is_added {
        return Err(CliError::NoFinding(args.id));
    }
    print(&args.common, context, &json!({ "id": args.id, "text": args.text }), |_, _, _| {
        format!("Comment added to finding {}", args.id)
    })?;
    Ok(Exit::Done)
}

/// Returns what a list leaves out.
fn rest(shown: usize, skip: u32, total: usize) -> String {
    let end = usize::try_from(skip).unwrap_or(usize::MAX).saturating_add(shown);
    if end < total { format!("; see more with --skip {end}") } else { String::new() }
}

fn text(list: &FindingList, skip: u32, now: Timestamp, style: Style) -> String {
    if list.findings.is_empty() {
        return if list.total == 0 { "No findings match.".into() } else { "No findings after --skip.".into() };
    }
    let columns = [
        Column::new("Id", 0),
        Column::new("Severity", 0),
        Column::new("State", 1),
        Column::text("Title", 0),
        Column::text("Target", 0),
        Column::text("Place", 2),
        Column::new("Plugin", 4),
        Column::new("Open since", 3),
        Column::new("Due", 5),
        Column::new("Owner", 6),
    ];
    let row = |finding: &FindingBody| {
        vec![
            cell(&finding.id.to_string()),
            severity_cell(finding.severity),
            cell(&state_of(finding)),
            cell(&finding.title),
            cell(&finding.target),
            cell(&finding.place),
            cell(&finding.plugin),
            cell(&relative(finding.open_since.at(), now)),
            cell(&due_of(finding, now)),
            cell(finding.owner.as_deref().unwrap_or_default()),
        ]
    };
    let grid = grid(style, &columns, list.findings.iter().map(row).collect());
    let (total, targets) = (count(list.total as u64, "finding"), count(list.targets as u64, "target"));
    format!("{grid}\n\n{total} on {targets}{}", rest(list.findings.len(), skip, list.total))
}

fn group_text(list: &FindingGroupList, skip: u32, style: Style) -> String {
    if list.groups.is_empty() {
        return if list.total == 0 { "No findings match.".into() } else { "No issues after --skip.".into() };
    }
    let columns = [
        Column::new("Severity", 0),
        Column::text("Title", 0),
        Column::new("Targets", 0),
        Column::new("Findings", 0),
        Column::new("Plugin", 1),
        Column::text("Issue", 2),
    ];
    let row = |group: &FindingGroupBody| {
        vec![
            severity_cell(group.severity),
            cell(&group.title),
            numeric(group.targets as u64),
            numeric(group.findings as u64),
            cell(&group.plugin),
            cell(&group.issue),
        ]
    };
    let grid = grid(style, &columns, list.groups.iter().map(row).collect());
    let (total, findings) = (count(list.total as u64, "issue"), count(list.findings as u64, "finding"));
    format!("{grid}\n\n{total} with {findings}{}", rest(list.groups.len(), skip, list.total))
}

#[cfg(test)]
mod tests {
    use kastrel_actors::testing::Script;
    use kastrel_findings::Severity;

    use super::words::tests::finding;
    use super::*;
    use crate::cli::scan::tests::World;

    #[tokio::test]
    async fn commands_name_what_does_not_exist_and_what_is_invalid() {
        const ID: &str = "0123456789abcdef0123";
        let mut world = World::new(Script::Hang);
        assert_eq!(world.run(&["findings", "list"]).await.unwrap(), Exit::Done);
        assert!(world.out.text().contains("No findings match."), "{}", world.out.text());
        for words in [&["findings", "show", ID][..], &["findings", "explain", ID], &["findings", "comment", ID, "x"]] {
            assert!(matches!(world.run(words).await.unwrap_err(), CliError::NoFinding(_)), "{words:?}");
        }
        let wrong = world.run(&["findings", "list", "colour:red"]).await.unwrap_err();
        assert!(wrong.exit() == Exit::Usage && wrong.to_string().contains("colour"), "{wrong}");
        let wrong = world.run(&["findings", "accept", ID, "--reason", "x", "--until", "soon"]).await.unwrap_err();
        assert!(wrong.exit() == Exit::Usage && wrong.to_string().contains("until"), "{wrong}");
        for words in [&["target", "show", "shop.example"][..], &["target", "note", "0123456789abcdef", "x"]] {
            assert!(matches!(world.run(words).await.unwrap_err(), CliError::NoTarget(_)), "{words:?}");
        }
        assert_eq!(world.run(&["findings", "sla", "--set", "high=30"]).await.unwrap(), Exit::Done);
        assert_eq!(world.run(&["findings", "sla", "--set", "critical=7", "--json"]).await.unwrap(), Exit::Done);
        assert!(world.out.text().contains("\"high\": 30"), "{}", world.out.text());
        let missing = world.run(&["findings", "sla", "--project", "nowhere"]).await.unwrap_err();
        assert!(matches!(missing, CliError::NoProject(_)), "{missing}");
    }

    #[test]
    fn findings_are_listed_in_a_table_without_control_characters() {
        let now = Timestamp::from_second(10_800).unwrap();
        let list = FindingList { findings: vec![finding(Severity::High)], total: 3, targets: 2, facets: Vec::new() };
        let shown = text(&list, 1, now, Style::PLAIN);
        for part in [
            "high",
            "open, regressed, not checked",
            "TLS 1.0 offered",
            "port 443 fake line",
            "overdue, 1 h ago",
            "3 findings on 2 targets; see more with --skip 2",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown}");
        let last = text(&list, 2, now, Style::PLAIN);
        assert!(last.ends_with("3 findings on 2 targets"), "{last}");
        assert_eq!(text(&FindingList::default(), 0, now, Style::PLAIN), "No findings match.");
    }

    #[test]
    fn issues_are_listed_with_their_numbers() {
        let group = FindingGroupBody {
            plugin: "testssl".into(),
            issue: "tls1".into(),
            title: "TLS 1.0 offered".into(),
            severity: Severity::Medium,
            findings: 20,
            targets: 14,
        };
        let list = FindingGroupList { groups: vec![group], total: 1, findings: 20, facets: Vec::new() };
        let shown = group_text(&list, 0, Style::PLAIN);
        for part in ["medium", "TLS 1.0 offered", "14", "20", "tls1", "1 issue with 20 findings"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
