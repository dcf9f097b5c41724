//! Roles as pages show them and as forms choose them.

use kastrel_actors::model::{Account, AccountKind, Project, ProjectId, ProjectRole, ServerRole};

use super::fields::{Errors, Fields, Select};
use crate::web::pages::badge::Badge;
use crate::web::text::clean;

/// What each role in a project allows.
const ROLES: &str = "viewer reads; scanner also submits passive scans; operator also submits active scans and deletes; owner also manages the members and the clearances of targets.";

/// The value of a choice that gives no role.
pub(super) const NO_ROLE: &str = "none";

/// A project with a role in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProjectLine {
    pub(super) title: String,
    pub(super) id: String,
    pub(super) url: String,
    pub(super) role: &'static str,
}

/// Returns the roles of an account in those of the projects that the viewer sees.
pub(super) fn project_lines(account: &Account, projects: &[Project]) -> Vec<ProjectLine> {
    let grants = account.grants();
    let line = |project: &Project| {
        let role = grants.role_in(&project.id)?;
        Some(ProjectLine {
            title: clean(&project.title),
            id: project.id.to_string(),
            url: format!("/projects/{}", project.id),
            role: role.as_str(),
        })
    };
    projects.iter().filter_map(line).collect()
}

/// Returns the roles of an account in projects, in one line.
pub(super) fn roles_text(account: &Account, shows_projects: bool) -> String {
    let one = |(project, role): (&ProjectId, &ProjectRole)| {
        if shows_projects { format!("{role} in {project}") } else { role.to_string() }
    };
    account.memberships.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(super) fn server_role_text(role: Option<ServerRole>) -> &'static str {
    role.map_or("None", ServerRole::as_str)
}

pub(super) const fn kind_text(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::User => "User",
        AccountKind::Service => "Service account",
    }
}

/// Returns whether an account has a second factor; empty for one that cannot have any.
pub(super) const fn second_factor_text(account: &Account) -> &'static str {
    match (account.kind, account.has_second_factor) {
        (_, true) => "Yes",
        (AccountKind::User, false) => "No",
        (AccountKind::Service, false) => "",
    }
}

/// Returns the badge of the state of an account.
pub(super) fn state_badge(account: &Account) -> Badge {
    if account.is_disabled {
        Badge::new("skipped", "stop", "Disabled")
    } else if account.kind == AccountKind::User && !account.has_password {
        Badge::new("warning", "unavailable", "No password yet")
    } else {
        Badge::new("ok", "completed", "Active")
    }
}

/// Returns the field for a role on the server.
pub(super) fn server_role_field(chosen: &str, errors: &mut Errors) -> Select {
    let roles = ServerRole::ALL.iter().map(|role| (role.to_string(), role.to_string()));
    let options = std::iter::once((NO_ROLE.to_owned(), "None".to_owned())).chain(roles);
    Select::new("server_role", "Server role", options, chosen, errors)
        .with_hint("auditor reads everything and changes nothing; admin has all rights.")
}

/// Returns the field for a role in a project, up to the role `most`.
pub(super) fn role_field(label: &'static str, most: ProjectRole, chosen: &str, errors: &mut Errors) -> Select {
    let roles = ProjectRole::ALL.iter().filter(|role| **role <= most);
    Select::new("role", label, roles.map(|role| (role.to_string(), role.to_string())), chosen, errors).with_hint(ROLES)
}

/// Returns the same field with a choice for no role.
pub(super) fn optional_role_field(label: &'static str, chosen: &str, errors: &mut Errors) -> Select {
    let roles = ProjectRole::ALL.iter().map(|role| (role.to_string(), role.to_string()));
    let options = std::iter::once((NO_ROLE.to_owned(), "None".to_owned())).chain(roles);
    Select::new("role", label, options, chosen, errors).with_hint(ROLES)
}

/// Reads a role that may be absent. A field that was not sent means no role.
pub(super) fn read_role<T: std::str::FromStr>(fields: &Fields, name: &str) -> Result<Option<T>, Errors>
where
    T::Err: std::fmt::Display,
{
    match fields.text(name) {
        "" | NO_ROLE => Ok(None),
        text => text.parse().map(Some).map_err(|error: T::Err| Errors::of(name, &error.to_string())),
    }
}
