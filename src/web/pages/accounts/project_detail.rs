//! A project, its members and the clearances of targets. Owners change them.

use askama::Template;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{Account, AccountName, Operation, ProjectId, ProjectRole};
use kastrel_actors::policy::access::decide;

use super::clearances::{ClearanceForm, ClearanceRow, clearance_rows, read_clearance};
use super::fields::{Accounts, Errors, Fields, Input, Select, SelectOption, with_status};
use super::links::account_url;
use super::roles::{NO_ROLE, kind_text, read_role, role_field, state_badge};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::badge::Badge;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::path::{ProjectPath, no_project};
use crate::web::state::WebInner;
use crate::web::text::clean;
use crate::web::viewer::Viewer;

/// The page of a project.
#[derive(Template)]
#[template(path = "accounts/project_detail.html")]
pub(crate) struct ProjectDetailPage {
    layout: Layout,
    notice: Option<Notice>,
    id: String,
    title: String,
    members_url: String,
    rows: Vec<MemberRow>,
    /// The form of a new member; `None` if the viewer may not change the members.
    form: Option<MemberForm>,
    clearances_url: String,
    clearances: Vec<ClearanceRow>,
    /// The form of a clearance; `None` if the viewer may not change the clearances.
    clearance_form: Option<ClearanceForm>,
}

/// A member.
pub(crate) struct MemberRow {
    name: String,
    /// The page of the account, if the viewer may open it.
    url: Option<String>,
    kind: &'static str,
    state: Badge,
    role: ProjectRole,
    roles: Vec<SelectOption>,
}

impl MemberRow {
    fn new(account: &Account, project: &ProjectId, reads_accounts: bool) -> Option<Self> {
        let role = *account.memberships.get(project)?;
        Some(Self {
            name: account.name.to_string(),
            url: reads_accounts.then(|| account_url(&account.name)),
            kind: kind_text(account.kind),
            state: state_badge(account),
            role,
            roles: role_field("Role", ProjectRole::Owner, role.as_str(), &mut Errors::default()).options,
        })
    }
}

/// The form of a new member.
pub(crate) struct MemberForm {
    name: Input,
    role: Select,
}

/// Shows the page.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    ProjectPath(id): ProjectPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let shown = read(&web, &viewer, &id, &Fields::default(), Errors::default()).await?;
    Ok(page(&ProjectDetailPage { notice: notice_of(query.text("notice")), ..shown }))
}

fn notice_of(name: &str) -> Option<Notice> {
    let text = match name {
        "created" => "The project was created.",
        "members" => "The members were changed.",
        "clearances" => "The clearances were changed.",
        _ => return None,
    };
    Some(Notice::new("done", text))
}

async fn read(
    web: &WebInner,
    viewer: &Viewer,
    id: &ProjectId,
    typed: &Fields,
    mut errors: Errors,
) -> Result<ProjectDetailPage, Problem> {
    let (access, context) = (web.access(), &viewer.context);
    let projects = access.projects(context).await?;
    let project = projects.into_iter().find(|project| project.id == *id).ok_or_else(no_project)?;
    let members = access.members(context, id).await?;
    let clearances = access.clearances(context, id).await?;
    let title = clean(&project.title);
    let layout = Layout::of(web, viewer, Here::Projects, format!("Project {title}")).await;
    let may = |operation| decide(&context.grants, operation, Some(id)).is_ok();
    let reads_accounts = may(Operation::ReadAccounts);
    let form = may(Operation::ManageMembers).then(|| MemberForm {
        name: Input::text("name", "Account", typed, &mut errors),
        role: role_field("Role", ProjectRole::Owner, typed.text("role"), &mut errors),
    });
    let clearance_form = may(Operation::ManageClearances).then(|| ClearanceForm::new(typed, &mut errors));
    Ok(ProjectDetailPage {
        layout,
        notice: errors.notice(),
        id: id.to_string(),
        title,
        members_url: format!("/projects/{id}/members"),
        rows: members.iter().filter_map(|account| MemberRow::new(account, id, reads_accounts)).collect(),
        form,
        clearances_url: format!("/projects/{id}/clearances"),
        clearances: clearance_rows(&clearances, &web.clock(viewer)),
        clearance_form,
    })
}

/// Sets the role of a member, or ends the membership. Who ends the own one may not see the page any
/// more.
pub(crate) async fn set_member(
    Accounts(web): Accounts,
    viewer: Viewer,
    ProjectPath(id): ProjectPath,
    fields: Fields,
) -> Result<Response, Problem> {
    let errors = match read_member_role(&fields) {
        Ok(role) => match web.access().set_member(&viewer.context, &id, fields.text("name"), role).await {
            Ok(()) => {
                let own = viewer.context.principal.account().map(AccountName::as_str);
                let has_left = role.is_none() && own == Some(fields.text("name"));
                let next = if has_left { "/projects".to_owned() } else { format!("/projects/{id}?notice=members") };
                return Ok(Redirect::to(&next).into_response());
            }
            Err(error) => Errors::from_service(error)?,
        },
        Err(errors) => errors,
    };
    not_changed(&web, &viewer, &id, &fields, errors).await
}

/// Reads the role. A form that names none changes nothing.
fn read_member_role(fields: &Fields) -> Result<Option<ProjectRole>, Errors> {
    if fields.is_empty("role") {
        return Err(Errors::of("role", &format!("choose a role, or {NO_ROLE} to remove the member")));
    }
    read_role(fields, "role")
}

/// Sets a clearance.
pub(crate) async fn set_clearance(
    Accounts(web): Accounts,
    viewer: Viewer,
    ProjectPath(id): ProjectPath,
    fields: Fields,
) -> Result<Response, Problem> {
    match web.access().set_clearance(&viewer.context, &id, &read_clearance(&fields)).await {
        Ok(_) => Ok(to_clearances(&id)),
        Err(error) => not_changed(&web, &viewer, &id, &fields, Errors::from_service(error)?).await,
    }
}

/// Removes a clearance. One that is already gone is no error.
pub(crate) async fn remove_clearance(
    Accounts(web): Accounts,
    viewer: Viewer,
    ProjectPath(id): ProjectPath,
    fields: Fields,
) -> Result<Response, Problem> {
    match web.access().remove_clearance(&viewer.context, &id, fields.text("pattern")).await {
        Ok(_) => Ok(to_clearances(&id)),
        Err(error) => not_changed(&web, &viewer, &id, &fields, Errors::from_service(error)?).await,
    }
}

fn to_clearances(id: &ProjectId) -> Response {
    Redirect::to(&format!("/projects/{id}?notice=clearances")).into_response()
}

/// Shows the page with the errors of a form.
async fn not_changed(
    web: &WebInner,
    viewer: &Viewer,
    id: &ProjectId,
    fields: &Fields,
    errors: Errors,
) -> Result<Response, Problem> {
    let status = errors.status();
    Ok(with_status(status, page(&read(web, viewer, id, fields, errors).await?)))
}
