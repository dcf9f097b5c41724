//! The transfer of a scan to another project: the question with the choice of the project, and the
//! transfer itself.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{Operation, ScanId, ScanSnapshot};
use kastrel_actors::policy::access::decide;
use kastrel_actors::policy::permission;
use kastrel_actors::service::{CommandError, TransferOutcome};

use super::fields::{Errors, Fields, Select, with_status};
use crate::web::api::shares::not_ended;
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::path::{PathId, no_scan};
use crate::web::state::{Web, WebInner};
use crate::web::text::clean;
use crate::web::viewer::Viewer;

/// The question.
#[derive(Template)]
#[template(path = "accounts/transfer.html")]
struct TransferPage {
    layout: Layout,
    id: u64,
    target: String,
    notice: Option<Notice>,
    /// Why the scan cannot be transferred now; then there is no form.
    why_not: Option<&'static str>,
    project: Select,
}

/// Asks for the project.
pub(crate) async fn ask(State(web): State<Web>, viewer: Viewer, PathId(id): PathId) -> Result<Response, Problem> {
    let shown = read(&web, &viewer, id, &Fields::default(), Errors::default()).await?;
    Ok(page(&shown))
}

/// Transfers the scan, and leads back to its page.
pub(crate) async fn transfer(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, Problem> {
    match web.scans().transfer(&viewer.context, id, fields.text("project")).await {
        Ok(TransferOutcome::Transferred(_)) => {
            Ok(Redirect::to(&format!("/scans/{id}?notice=transferred")).into_response())
        }
        Ok(TransferOutcome::NotEnded(record)) => Err(not_ended(&record)),
        Ok(TransferOutcome::Missing) => Err(no_scan()),
        Err(CommandError::Invalid(error)) => {
            let errors = Errors::of(&error.field, &error.message);
            let status = errors.status();
            Ok(with_status(status, page(&read(&web, &viewer, id, &fields, errors).await?)))
        }
        Err(error) => Err(error.into()),
    }
}

async fn read(
    web: &WebInner,
    viewer: &Viewer,
    id: ScanId,
    typed: &Fields,
    mut errors: Errors,
) -> Result<TransferPage, Problem> {
    if !web.scans().authorize(&viewer.context, id, Operation::DeleteScans).await? {
        return Err(no_scan());
    }
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let options = destinations(web, viewer, &scan).await?;
    let why_not = if !scan.status().is_terminal() {
        Some("The scan has not finished. Cancel it first.")
    } else if options.is_empty() {
        Some("There is no other project in which you may submit such a scan.")
    } else {
        None
    };
    Ok(TransferPage {
        layout: Layout::of(web, viewer, Here::Scans, format!("Transfer scan {id}?")).await,
        id: id.0,
        target: clean(&scan.record.request.target.label()),
        why_not,
        project: Select::new("project", "Project", options, typed.text("project"), &mut errors),
        notice: errors.notice(),
    })
}

/// Returns the id and the title of each project to which the viewer may transfer a scan.
async fn destinations(web: &WebInner, viewer: &Viewer, scan: &ScanSnapshot) -> Result<Vec<(String, String)>, Problem> {
    let operation = permission::operation(scan.record.request.options.mode);
    let projects = web.access().projects(&viewer.context).await?.into_iter();
    let projects = projects.filter(|project| project.id != scan.record.project);
    let projects = projects.filter(|project| decide(&viewer.context.grants, operation, Some(&project.id)).is_ok());
    Ok(projects.map(|project| (project.id.to_string(), project.title)).collect())
}
