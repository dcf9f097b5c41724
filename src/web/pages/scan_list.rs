//! The first page: hand in a scan, and see those that there are.

use askama::Template;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::desk::{Accepted, SubmitError};
use kastrel_actors::model::{FieldError, PluginStatus, ScanSnapshot, ScanStatus, SeverityCounts};
use kastrel_actors::policy::hindrance::Hindrance;

use super::badge::{Badge, SeverityChip, severities};
use super::form::{FormView, SubmitForm};
use super::layout::Layout;
use crate::web::api::submission::unreadable;
use crate::web::api::wire::{count_of, findings_of, plugins_of};
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::query::ScanListQuery;
use crate::web::state::{Web, WebInner};
use crate::web::text::{MomentText, clean, counted, duration};
use crate::web::trace::RequestTrace;

/// The first page.
#[derive(Template)]
#[template(path = "scan_list.html")]
pub(crate) struct ScanListPage {
    layout: Layout,
    running: u64,
    waiting: u64,
    form: FormView,
    /// Why the form shows no plugins, where it shows none.
    no_catalogue: &'static str,
    filter: FilterView,
    summary: String,
    rows: Vec<ScanRow>,
    newer: Option<String>,
    older: Option<String>,
    position: String,
}

/// What the list is narrowed to.
struct FilterView {
    target: String,
    statuses: Vec<StatusOption>,
    is_set: bool,
}

struct StatusOption {
    name: &'static str,
    is_chosen: bool,
}

/// A scan in the list.
struct ScanRow {
    id: u64,
    url: String,
    badge: Badge,
    target: String,
    mode: &'static str,
    plugins: String,
    failed: Option<String>,
    findings: String,
    severities: Vec<SeverityChip>,
    started: Option<MomentText>,
    duration: String,
}

impl ScanRow {
    fn new(scan: &ScanSnapshot, web: &WebInner) -> Self {
        let (record, plugins) = (&scan.record, plugins_of(scan));
        let failed = count_of(plugins, PluginStatus::Failed);
        let until = record.ended_at().unwrap_or_else(|| web.now());
        Self {
            id: record.id.0,
            url: format!("/scans/{}", record.id),
            badge: record.status().into(),
            target: clean(&record.request.target.to_string()),
            mode: record.request.mode.as_str(),
            plugins: if plugins.is_empty() { "–".into() } else { plugins.len().to_string() },
            failed: (failed > 0).then(|| format!("{failed} failed")),
            findings: if plugins.is_empty() { "–".into() } else { findings_of(plugins).to_string() },
            severities: severities(SeverityCounts::of(plugins)),
            started: record.started_at.map(Into::into),
            duration: record.started_at.map_or_else(|| "–".into(), |started| duration(until.duration_since(started))),
        }
    }
}

/// Shows the first page.
pub(crate) async fn show(State(web): State<Web>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    // A hand-written address with a wrong parameter shows what the right ones ask for.
    let (query, _) = ScanListQuery::parse(query.as_deref());
    draw(&web, &query, &SubmitForm::fresh(), &[]).await
}

/// Takes the form: to the scan's page, or back to the form with everything that is wrong.
pub(crate) async fn submit(State(web): State<Web>, trace: RequestTrace, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        return Err(Problem::new(ProblemKind::NotJson, "this address takes the form of the first page; programs use /api/scans"));
    }
    let form = SubmitForm::parse(&body.map_err(|rejection| unreadable(&rejection))?);
    let (draft, mut errors) = form.draft();
    if !errors.is_empty() {
        if let Err(SubmitError::Invalid(more)) = web.desk().check(&draft) {
            errors.extend(more);
        }
        return redraw(&web, &form, &errors).await;
    }
    let submitted = match web.desk().submit(&draft, form.idempotency_key(), trace.0).await {
        // The user went back and changed the form: that is a new scan.
        Err(SubmitError::KeyReused(_)) => web.desk().submit(&draft, None, trace.0).await,
        other => other,
    };
    match submitted {
        Ok(accepted) => Ok(to_scan(&accepted)),
        Err(SubmitError::Invalid(errors)) => redraw(&web, &form, &errors).await,
        Err(error) => Err(error.into()),
    }
}

/// To the page of a scan that was just accepted.
pub(crate) fn to_scan(accepted: &Accepted) -> Response {
    // What else keeps it from starting, its page finds out by itself.
    let queue = if accepted.hindrances.contains(&Hindrance::QueueSilent) { "&queue=silent" } else { "" };
    Redirect::to(&format!("/scans/{}?submitted=1{queue}", accepted.scan.record.id)).into_response()
}

async fn redraw(web: &WebInner, form: &SubmitForm, errors: &[FieldError]) -> Result<Response, Problem> {
    let mut response = draw(web, &ScanListQuery::default(), form, errors).await?;
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}

async fn draw(web: &WebInner, query: &ScanListQuery, form: &SubmitForm, errors: &[FieldError]) -> Result<Response, Problem> {
    let (list, stats) = tokio::try_join!(web.desk().list(query.for_store()), web.desk().stats())?;
    let catalogue = web.catalogue();
    let total = list.total.unwrap_or_default();
    let pages = query.pages(total);
    let is_set = query.target.is_some() || !query.statuses.is_empty();
    Ok(page(&ScanListPage {
        layout: Layout::of(web, "Scans"),
        running: stats.running,
        waiting: stats.pending,
        form: FormView::new(form, errors, catalogue.as_deref()),
        no_catalogue: web.no_catalogue(),
        filter: FilterView {
            target: clean(query.target.as_deref().unwrap_or_default()),
            statuses: ScanStatus::ALL.iter().map(|status| StatusOption { name: status.as_str(), is_chosen: query.statuses.contains(status) }).collect(),
            is_set,
        },
        summary: counted(total, if is_set { "scan matches" } else { "scan" }, if is_set { "scans match" } else { "scans" }),
        rows: list.scans.iter().map(|scan| ScanRow::new(scan, web)).collect(),
        newer: (query.page > 1).then(|| query.link(query.page - 1)),
        older: ((query.page as u64) < pages).then(|| query.link(query.page + 1)),
        position: format!("Page {} of {pages}", query.page),
    }))
}

#[cfg(test)]
#[path = "scan_list_tests.rs"]
mod tests;
