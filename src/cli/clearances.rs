//! `kastrel clearance`: what may be done to targets in a project.

use kastrel_actors::model::{HostPattern, ProjectId};
use serde_json::json;

use super::args::{ClearanceCommand, ClearanceListArgs, ClearanceRemoveArgs, ClearanceSetArgs};
use super::ask::{ask, print};
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::table::{Column, cell, grid};
use crate::api_types::{ClearanceBody, ClearanceList, Moment};

/// Runs the command.
///
/// # Errors
/// The project or the clearance does not exist, the request is invalid, or neither a server nor the
/// database is available.
pub(super) async fn run(command: &ClearanceCommand, context: &mut Context) -> Result<Exit, CliError> {
    match command {
        ClearanceCommand::List(args) => list(args, context).await,
        ClearanceCommand::Set(args) => set(args, context).await,
        ClearanceCommand::Remove(args) => remove(args, context).await,
    }
}

async fn list(args: &ClearanceListArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.clearances(&args.project).await;
    let Some(list) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let list = list.ok_or_else(|| CliError::NoProject(args.project.clone()))?;
    print(&args.common, context, &list, |list: &ClearanceList, now, style| {
        table(&list.clearances, Moment::of(now), style)
    })?;
    Ok(Exit::Done)
}

async fn set(args: &ClearanceSetArgs, context: &mut Context) -> Result<Exit, CliError> {
    let (project, pattern) = (&args.project, &args.pattern);
    let question = async |session: &Session| session.backend.set_clearance(project, pattern, args.clearance()).await;
    let Some(set) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let set = set.ok_or_else(|| CliError::NoProject(project.clone()))?;
    print(&args.common, context, &set, |set, _, _| said(set, project))?;
    Ok(Exit::Done)
}

async fn remove(args: &ClearanceRemoveArgs, context: &mut Context) -> Result<Exit, CliError> {
    let (project, pattern) = (&args.project, &args.pattern);
    let question = async |session: &Session| session.backend.remove_clearance(project, pattern).await;
    let Some(is_removed) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    if !is_removed {
        return Err(CliError::NoClearance(pattern.clone(), project.clone()));
    }
    let removed = json!({ "project": project, "pattern": pattern });
    print(&args.common, context, &removed, |_, _, _| removed_text(pattern, project))?;
    Ok(Exit::Done)
}

fn said(set: &ClearanceBody, project: &ProjectId) -> String {
    let until = set.until.map(|until| format!(" until {:.0}", until.at())).unwrap_or_default();
    format!("Host {} has the clearance {} in project {project}{until}", set.pattern, set.level)
}

fn removed_text(pattern: &HostPattern, project: &ProjectId) -> String {
    format!("Host {pattern} has no clearance of its own in project {project}")
}

fn table(clearances: &[ClearanceBody], now: Moment, style: Style) -> String {
    if clearances.is_empty() {
        return "No clearances. Set one: kastrel clearance set HOST active --text TEXT".into();
    }
    let columns = [
        Column::new("Host", 0),
        Column::new("Clearance", 0),
        Column::new("Until", 1),
        Column::new("Authorised by", 1),
        Column::text("Permission", 2),
    ];
    let row = |clearance: &ClearanceBody| {
        let until = match clearance.until {
            Some(until) if until <= now => format!("{:.0} (ended)", until.at()),
            Some(until) => format!("{:.0}", until.at()),
            None => String::new(),
        };
        vec![
            cell(clearance.pattern.as_str()),
            cell(clearance.level.as_str()),
            cell(&until),
            cell(&clearance.authorised_by),
            cell(&clearance.text),
        ]
    };
    grid(style, &columns, clearances.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ClearanceLevel;

    use super::*;

    #[test]
    fn clearances_are_listed_in_a_table() {
        let moment = |text: &str| Moment::of(text.parse().unwrap());
        let clearance = |pattern: &str, level, until: Option<&str>| ClearanceBody {
            pattern: pattern.parse().unwrap(),
            level,
            authorised_by: "user:ana".into(),
            at: moment("2026-01-01T00:00:00Z"),
            until: until.map(moment),
            text: "Contract\u{1b}[2J 7".into(),
        };
        let all = [
            clearance("*.example.com", ClearanceLevel::Active, Some("2026-02-01T00:00:00Z")),
            clearance("a.test", ClearanceLevel::Active, Some("2027-01-01T00:00:00Z")),
            clearance("b.test", ClearanceLevel::None, None),
        ];
        let shown = table(&all, moment("2026-06-01T00:00:00Z"), Style::PLAIN);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 4, "{shown}");
        for (line, parts) in lines.iter().zip([
            &["Host", "Clearance", "Until", "Authorised by", "Permission"][..],
            &["*.example.com", "active", "2026-02-01T00:00:00Z (ended)", "user:ana", "Contract 7"],
            &["a.test", "active", "2027-01-01T00:00:00Z  "],
            &["b.test", "none"],
        ]) {
            assert!(parts.iter().all(|part| line.contains(part)), "{parts:?}: {line}");
        }
        assert!(table(&[], moment("2026-06-01T00:00:00Z"), Style::PLAIN).contains("kastrel clearance set"));
        let project = ProjectId::default();
        assert_eq!(said(&all[2], &project), "Host b.test has the clearance none in project default");
        let until = "Host a.test has the clearance active in project default until 2027-01-01T00:00:00Z";
        assert_eq!(said(&all[1], &project), until);
    }
}
