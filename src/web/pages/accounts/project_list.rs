//! The projects that the viewer may see, and the form of a new one.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{Operation, Project};
use kastrel_actors::policy::access::decide;

use super::fields::{Accounts, Errors, Fields, Input, with_status};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::state::WebInner;
use crate::web::text::clean;
use crate::web::viewer::Viewer;

/// The page with the projects.
#[derive(Template)]
#[template(path = "accounts/project_list.html")]
pub(crate) struct ProjectListPage {
    layout: Layout,
    notice: Option<Notice>,
    rows: Vec<ProjectRow>,
    form: Option<ProjectForm>,
}

/// A project.
pub(crate) struct ProjectRow {
    id: String,
    title: String,
    url: String,
    /// The viewer's role in it.
    role: &'static str,
}

/// The form of a new project.
pub(crate) struct ProjectForm {
    id: Input,
    title: Input,
}

/// Shows the page.
pub(crate) async fn show(Accounts(web): Accounts, viewer: Viewer) -> Result<Response, Problem> {
    Ok(page(&read(&web, &viewer, &Fields::default(), Errors::default()).await?))
}

async fn read(web: &WebInner, viewer: &Viewer, typed: &Fields, mut errors: Errors) -> Result<ProjectListPage, Problem> {
    let grants = &viewer.context.grants;
    let projects = web.access().projects(&viewer.context).await?;
    let layout = Layout::of(web, viewer, Here::Projects, "Projects").await;
    let row = |project: &Project| ProjectRow {
        id: project.id.to_string(),
        title: clean(&project.title),
        url: format!("/projects/{}", project.id),
        role: grants.role_in(&project.id).map_or("–", |role| role.as_str()),
    };
    let form = decide(grants, Operation::ManageAccounts, None).is_ok().then(|| ProjectForm {
        id: Input::text("id", "Id", typed, &mut errors)
            .with_hint("a-z, 0-9 and -. The id identifies the project and cannot be changed."),
        title: Input::text("title", "Title", typed, &mut errors),
    });
    Ok(ProjectListPage { layout, notice: errors.notice(), rows: projects.iter().map(row).collect(), form })
}

/// Creates a project, and leads to its page.
pub(crate) async fn create(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    match web.access().create_project(&viewer.context, fields.text("id"), fields.text("title")).await {
        Ok(project) => Ok(Redirect::to(&format!("/projects/{}?notice=created", project.id)).into_response()),
        Err(error) => {
            let errors = Errors::from_service(error)?;
            let status = errors.status();
            Ok(with_status(status, page(&read(&web, &viewer, &fields, errors).await?)))
        }
    }
}
