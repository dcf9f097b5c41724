//! `kastrel project`: projects and their members.

use kastrel_actors::model::ProjectRole;
use serde_json::json;

use super::args::{GrantArgs, MembersArgs, ProjectCommand, ProjectCreateArgs, ReadArgs, RevokeMemberArgs};
use super::ask::{ask, print};
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::table::{Column, cell, grid};
use crate::api_types::{MemberBody, MemberList, ProjectBody, ProjectList};

/// Runs the command.
///
/// # Errors
/// The project does not exist, the request is invalid, or neither a server nor the database is
/// available.
pub(super) async fn run(command: &ProjectCommand, context: &mut Context) -> Result<Exit, CliError> {
    match command {
        ProjectCommand::Create(args) => create(args, context).await,
        ProjectCommand::List(args) => list(args, context).await,
        ProjectCommand::Members(args) => members(args, context).await,
        ProjectCommand::Grant(args) => grant(args, context).await,
        ProjectCommand::Revoke(args) => revoke(args, context).await,
    }
}

async fn create(args: &ProjectCreateArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.create_project(args.project()).await;
    let Some(project) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    print(&args.common, context, &project, |project, _, _| format!("Project {} created", project.id))?;
    Ok(Exit::Done)
}

async fn list(args: &ReadArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.projects().await;
    let Some(list) = ask(args, context, question).await? else { return Ok(Exit::Interrupted) };
    print(args, context, &list, |list: &ProjectList, _, style| project_table(&list.projects, style))?;
    Ok(Exit::Done)
}

async fn members(args: &MembersArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.members(&args.id).await;
    let Some(list) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let list = list.ok_or_else(|| CliError::NoProject(args.id.clone()))?;
    print(&args.common, context, &list, |list: &MemberList, _, style| member_table(&list.members, style))?;
    Ok(Exit::Done)
}

async fn grant(args: &GrantArgs, context: &mut Context) -> Result<Exit, CliError> {
    let (id, name, role) = (&args.id, &args.name, args.role);
    let question = async |session: &Session| session.backend.set_member(id, name, Some(role)).await;
    let Some(is_known) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    if !is_known {
        return Err(CliError::NoProject(id.clone()));
    }
    let member = json!({ "project": id, "name": name, "role": role });
    print(&args.common, context, &member, |_, _, _| format!("Account {name} has the role {role} in project {id}"))?;
    Ok(Exit::Done)
}

async fn revoke(args: &RevokeMemberArgs, context: &mut Context) -> Result<Exit, CliError> {
    let (id, name) = (&args.id, &args.name);
    let question = async |session: &Session| session.backend.set_member(id, name, None).await;
    let Some(is_known) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    if !is_known {
        return Err(CliError::NoProject(id.clone()));
    }
    let member = json!({ "project": id, "name": name, "role": Option::<ProjectRole>::None });
    print(&args.common, context, &member, |_, _, _| format!("Account {name} is no member of project {id}"))?;
    Ok(Exit::Done)
}

fn project_table(projects: &[ProjectBody], style: Style) -> String {
    if projects.is_empty() {
        return "No projects that you may see.".into();
    }
    let columns = [Column::new("Project", 0), Column::text("Title", 0)];
    let row = |project: &ProjectBody| vec![cell(project.id.as_str()), cell(&project.title)];
    grid(style, &columns, projects.iter().map(row).collect())
}

fn member_table(members: &[MemberBody], style: Style) -> String {
    if members.is_empty() {
        return "No members. Add one: kastrel project grant ID NAME ROLE".into();
    }
    let columns = [Column::new("Name", 0), Column::new("Role", 0), Column::new("Kind", 2), Column::new("State", 1)];
    let row = |member: &MemberBody| {
        let state = if member.disabled { "disabled" } else { "active" };
        vec![cell(&member.name), cell(member.role.as_str()), cell(member.kind.as_str()), cell(state)]
    };
    grid(style, &columns, members.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::AccountKind;

    use super::*;

    #[test]
    fn projects_and_members_are_listed_in_tables() {
        let project =
            |id: &str, title: &str| ProjectBody { id: id.parse().unwrap(), title: title.into(), created_at: None };
        let projects = [project("default", "Default"), project("shop", "Web\u{1b}[2J shop")];
        insta::assert_snapshot!(project_table(&projects, Style::PLAIN), @"
         Project  Title
         default  Default
         shop     Web shop
        ");
        let member = |name: &str, kind, role, disabled| MemberBody { name: name.into(), kind, role, disabled };
        let members = [
            member("ana", AccountKind::User, ProjectRole::Owner, false),
            member("ci", AccountKind::Service, ProjectRole::Scanner, true),
        ];
        insta::assert_snapshot!(member_table(&members, Style::PLAIN), @"
         Name  Role     Kind     State
         ana   owner    user     active
         ci    scanner  service  disabled
        ");
        assert!(project_table(&[], Style::PLAIN).contains("No projects"));
        assert!(member_table(&[], Style::PLAIN).contains("kastrel project grant"));
    }
}
