//! `kastrel findings sla`: the days within which the findings of a project must be fixed.

use kastrel_actors::model::ProjectId;
use kastrel_findings::Severity;

use super::words::severity_cell;
use crate::api_types::SlaBody;
use crate::cli::args::SlaArgs;
use crate::cli::ask::{ask, print};
use crate::cli::backend::BackendError;
use crate::cli::context::{Context, Session};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::table::{Column, cell, grid, numeric};

/// Runs the command.
///
/// # Errors
/// The project does not exist, the account may not change it, or neither a server nor the database
/// is available.
pub(super) async fn run(args: &SlaArgs, context: &mut Context) -> Result<Exit, CliError> {
    let project = &args.project;
    let question = async |session: &Session| -> Result<Option<SlaBody>, BackendError> {
        let Some(mut sla) = session.backend.sla(project).await? else { return Ok(None) };
        if args.set.is_empty() {
            return Ok(Some(sla));
        }
        for (severity, days) in &args.set {
            *days_of(&mut sla, *severity) = *days;
        }
        session.backend.set_sla(project, sla).await
    };
    let Some(sla) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let sla = sla.ok_or_else(|| CliError::NoProject(project.clone()))?;
    print(&args.common, context, &sla, |sla, _, style| text(*sla, project, style))?;
    Ok(Exit::Done)
}

const fn days_of(sla: &mut SlaBody, severity: Severity) -> &mut Option<u32> {
    match severity {
        Severity::Critical => &mut sla.critical,
        Severity::High => &mut sla.high,
        Severity::Medium => &mut sla.medium,
        Severity::Low => &mut sla.low,
        Severity::Informational => &mut sla.informational,
        Severity::Unknown => &mut sla.unknown,
    }
}

fn text(mut sla: SlaBody, project: &ProjectId, style: Style) -> String {
    if sla == SlaBody::default() {
        return format!(
            "Project {project} has no times to fix. Set them: kastrel findings sla --set critical=7,high=30"
        );
    }
    let rows = Severity::ALL.into_iter().map(|severity| {
        let days = days_of(&mut sla, severity).map_or_else(|| cell("never due"), |days| numeric(days.into()));
        vec![severity_cell(severity), days]
    });
    let rows = rows.collect();
    grid(style, &[Column::new("Severity", 0), Column::new("Days to fix", 0)], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_fix_are_shown_by_severity() {
        let project = ProjectId::default();
        let sla = SlaBody { critical: Some(7), ..SlaBody::default() };
        let shown = text(sla, &project, Style::PLAIN);
        let critical = shown.lines().find(|line| line.contains("critical")).unwrap();
        assert!(critical.trim().ends_with('7'), "{shown}");
        assert_eq!(shown.matches("never due").count(), 5, "{shown}");
        assert!(text(SlaBody::default(), &project, Style::PLAIN).contains("--set"));
    }
}
