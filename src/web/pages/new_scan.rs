//! The page for new scans: the form, the preview of several targets, and the submission.

use std::collections::HashMap;

use askama::Template;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{FieldError, IdempotencyKey, Operation, ScanId, ScanRequestDraft, Target};
use kastrel_actors::policy::access::{Denial, decide};
use kastrel_actors::policy::admission::QueueRefusal;
use kastrel_actors::policy::clearance::NotCleared;
use kastrel_actors::service::{Accepted, SubmitError};
use url::form_urlencoded;

use super::badge::Badge;
use super::batch::{LineOutcome, MOST_TARGETS, ValidatedLine, judge, targets};
use super::form::{FormView, MaySubmit, SubmitForm};
use super::layout::{Here, Layout};
use crate::web::api::submission::unreadable;
use crate::web::assets;
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::state::{Web, WebInner};
use crate::web::text::{clean, counted, sentence};
use crate::web::viewer::Viewer;

/// The page of a new scan.
#[derive(Template)]
#[template(path = "new_scan.html")]
pub(crate) struct NewScanPage {
    layout: Layout,
    form_script_url: String,
    form: FormView,
    /// Why the form shows no plugins, if it shows none.
    no_catalogue: &'static str,
    clone_of: Option<u64>,
    preview: Option<Preview>,
}

/// The preview of the lines of a form.
struct Preview {
    lines: Vec<PreviewLine>,
    summary: String,
    accepted: usize,
    /// The label of the button that starts all scans.
    button: String,
}

struct PreviewLine {
    number: usize,
    text: String,
    badge: Badge,
    outcome: String,
}

/// Shows the form. The query can name an earlier scan whose options it gets.
pub(crate) async fn show(
    State(web): State<Web>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let pairs: Vec<(String, String)> =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let of = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let mut form = SubmitForm::fresh();
    let mut clone_of = None;
    if let Some(id) = of("from").and_then(|id| id.parse::<ScanId>().ok())
        && let Some(scan) = web.scans().scan(&viewer.context, id).await?
    {
        form = SubmitForm::of(&scan.record.request, &web.scans().setting_rules());
        form.project = scan.record.project.to_string();
        // Who may only read the scan must not use its secrets in another project.
        if decide(&viewer.context.grants, Operation::SubmitPassive, Some(&scan.record.project)).is_err() {
            form = form.without_kept_secrets();
        }
        clone_of = Some(id.0);
    }
    if let Some(target) = of("target") {
        form.target = target.to_owned();
    }
    if let Some(project) = of("project") {
        form.project = project.to_owned();
    }
    Ok(render(&web, &viewer, &form, &[], clone_of, None).await)
}

/// Validates each line and shows the result, without submitting anything.
pub(crate) async fn preview(
    State(web): State<Web>,
    viewer: Viewer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let form = read(&headers, body)?;
    let lines = judged(&web, &viewer, &form).await;
    let errors = if lines.is_empty() { Vec::new() } else { shared_errors(&web, &viewer, &form).await };
    let preview = Preview::new(&lines);
    Ok(render(&web, &viewer, &form, &errors, None, Some(preview)).await)
}

/// Handles the form. It redirects to the new scan, or shows the preview of several targets, or
/// shows the form again with all errors.
pub(crate) async fn submit(
    State(web): State<Web>,
    viewer: Viewer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let form = read(&headers, body)?;
    let targets = targets(&form.target);
    if targets.len() <= 1 {
        return submit_one(&web, &viewer, &form, targets.first().copied().unwrap_or_default()).await;
    }
    let errors = shared_errors(&web, &viewer, &form).await;
    let lines = judged(&web, &viewer, &form).await;
    let accepted = lines.iter().filter(|line| matches!(line.outcome, LineOutcome::Accepted(_))).count();
    if !errors.is_empty() || !form.start || accepted == 0 {
        let is_wrong = !errors.is_empty() || accepted == 0;
        let rendered = render(&web, &viewer, &form, &errors, None, Some(Preview::new(&lines))).await;
        return Ok(if is_wrong { refused(rendered) } else { rendered });
    }
    submit_all(&web, &viewer, &form, &lines).await
}

async fn submit_one(web: &WebInner, viewer: &Viewer, form: &SubmitForm, target: &str) -> Result<Response, Problem> {
    let (draft, wrong) = form.draft_of(target);
    let errors = if wrong.is_empty() {
        match accept(web, viewer, &draft, form.idempotency_key(1)).await {
            Ok(accepted) => return Ok(to_scan(&accepted)),
            Err(SubmitError::Invalid(errors)) => errors,
            Err(SubmitError::Denied(Denial::NotCleared(missing))) => {
                return Ok(not_cleared(web, viewer, form, &missing).await);
            }
            Err(error) => return Err(error.into()),
        }
    } else {
        let checked = web.scans().check(&viewer.context, &draft);
        let (of_target, others): (Vec<_>, Vec<_>) = checked.into_iter().partition(|error| error.field == "target");
        let of_project = may_submit(web, viewer).await.check(&form.project).into_iter().collect();
        [of_target, of_project, wrong, others].concat()
    };
    Ok(refused(render(web, viewer, form, &errors, None, None).await))
}

/// Shows the form again, with the clearance that the target lacks.
async fn not_cleared(web: &WebInner, viewer: &Viewer, form: &SubmitForm, missing: &NotCleared) -> Response {
    web.access().record_denial(&viewer.context, "POST /scans").await;
    let error = FieldError::new("target", missing.to_string());
    let mut response = render(web, viewer, form, &[error], None, None).await;
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

async fn submit_all(
    web: &WebInner,
    viewer: &Viewer,
    form: &SubmitForm,
    lines: &[ValidatedLine],
) -> Result<Response, Problem> {
    let (mut done, mut not) = (0, 0);
    let mut stored = HashMap::new();
    let mut refusal = None;
    for line in lines {
        let LineOutcome::Accepted(target) = &line.outcome else { continue };
        let (draft, _) = form.draft_of(target);
        match accept(web, viewer, &draft, form.idempotency_key(line.number)).await {
            Ok(accepted) => {
                stored.insert(line.number, accepted.scan.record.id);
                done += 1;
            }
            // An earlier try may have stored the remaining lines, so they are tried as well.
            Err(SubmitError::Queue(one)) => refusal = Some(one),
            Err(SubmitError::Store(error)) => return Err(error.into()),
            Err(_) => not += 1,
        }
    }
    if let Some(refusal) = refusal {
        let lines: Vec<ValidatedLine> = lines.iter().map(|line| without_room(line, &stored, refusal)).collect();
        let problem = Problem::from(refusal);
        let mut rendered =
            render(web, viewer, form, &[], None, Some(Preview::after_refusal(&lines, &stored, refusal))).await;
        *rendered.status_mut() = problem.status();
        rendered.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(refusal.retry_after.as_secs()));
        return Ok(rendered);
    }
    Ok(Redirect::to(&format!("/scans?done=submitted&n={done}&not={not}")).into_response())
}

/// Returns the outcome of a line after the queue refused a part of the lines.
fn without_room(line: &ValidatedLine, stored: &HashMap<usize, ScanId>, refusal: QueueRefusal) -> ValidatedLine {
    let outcome = match &line.outcome {
        LineOutcome::Accepted(_) if !stored.contains_key(&line.number) => LineOutcome::Refused(refusal.to_string()),
        other => other.clone(),
    };
    ValidatedLine { number: line.number, text: line.text.clone(), outcome }
}

async fn accept(
    web: &WebInner,
    viewer: &Viewer,
    draft: &ScanRequestDraft,
    key: Option<IdempotencyKey>,
) -> Result<Accepted, SubmitError> {
    let submit = |key| web.scans().submit(&viewer.context, viewer.client, draft, key);
    match submit(key.as_ref()).await {
        // The user went back and changed the form: that is a new scan.
        Err(SubmitError::KeyReused(_)) => submit(None).await,
        other => other,
    }
}

/// Redirects to the page of a scan that was just accepted.
pub(crate) fn to_scan(accepted: &Accepted) -> Response {
    // The page of the scan itself shows what keeps it from starting.
    Redirect::to(&format!("/scans/{}?submitted=1", accepted.scan.record.id)).into_response()
}

fn read(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<SubmitForm, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        return Err(Problem::new(
            ProblemKind::NotJson,
            "this address accepts only the form of a new scan; programs use /api/scans",
        ));
    }
    Ok(SubmitForm::parse(&body.map_err(|rejection| unreadable(&rejection))?))
}

/// Returns the errors of all fields except the targets. Kept secrets belong to a target: they are
/// checked for the first valid one.
async fn shared_errors(web: &WebInner, viewer: &Viewer, form: &SubmitForm) -> Vec<FieldError> {
    let first = targets(&form.target).into_iter().take(MOST_TARGETS).find(|target| target.parse::<Target>().is_ok());
    let (draft, mut errors) = form.draft_of(first.unwrap_or_default());
    errors.extend(may_submit(web, viewer).await.check(&form.project));
    let checked = web.scans().check(&viewer.context, &draft);
    errors.extend(checked.into_iter().filter(|error| error.field != "target"));
    errors
}

/// Returns where the viewer may submit scans. If the store does not respond, the form names no
/// project, and the submission decides.
async fn may_submit(web: &WebInner, viewer: &Viewer) -> MaySubmit {
    let visible = web.access().projects(&viewer.context).await.unwrap_or_default();
    MaySubmit::of(&viewer.context.grants, visible)
}

/// Checks each line. If the store does not respond, the submission decides about the clearances.
async fn judged(web: &WebInner, viewer: &Viewer, form: &SubmitForm) -> Vec<ValidatedLine> {
    let (draft, _) = form.draft_of("");
    let clearances = web.scans().target_check(&viewer.context, &draft).await.unwrap_or_default();
    // The errors of the other fields are the same for every line, and are shown once.
    judge(&form.target, |line| {
        let target = web.scans().check_target(&viewer.context, line).map_err(|error| error.message)?;
        clearances.check(&target).map_err(|missing| missing.to_string())?;
        Ok(target.to_string())
    })
}

fn refused(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    response
}

async fn render(
    web: &WebInner,
    viewer: &Viewer,
    form: &SubmitForm,
    errors: &[FieldError],
    clone_of: Option<u64>,
    preview: Option<Preview>,
) -> Response {
    let may_submit = may_submit(web, viewer).await;
    page(&NewScanPage {
        layout: Layout::of(web, viewer, Here::Elsewhere, "New scan").await,
        form_script_url: assets::url("form.js"),
        form: FormView::new(form, errors, web.catalogue().as_deref(), &web.scans().setting_rules(), &may_submit),
        no_catalogue: web.no_catalogue(),
        clone_of,
        preview,
    })
}

impl Preview {
    fn new(lines: &[ValidatedLine]) -> Self {
        let count = |outcome: fn(&LineOutcome) -> bool| lines.iter().filter(|line| outcome(&line.outcome)).count();
        let accepted = count(|outcome| matches!(outcome, LineOutcome::Accepted(_)));
        let refused = count(|outcome| matches!(outcome, LineOutcome::Refused(_)));
        let unread: usize =
            lines.iter().map(|line| if let LineOutcome::Unread(count) = line.outcome { count } else { 0 }).sum();
        let repeated = count(|outcome| matches!(outcome, LineOutcome::Duplicate(_)));
        let mut summary = counted(accepted as u64, "valid target", "valid targets");
        if refused > 0 {
            summary = format!("{summary}, {refused} invalid");
        }
        if repeated > 0 {
            summary = format!("{summary}, {}", counted(repeated as u64, "duplicate", "duplicates"));
        }
        if unread > 0 {
            summary = format!("{summary}, {} not checked", counted(unread as u64, "line", "lines"));
        }
        Self {
            lines: lines
                .iter()
                .filter(|line| line.outcome != LineOutcome::Ignored || !line.text.is_empty())
                .map(PreviewLine::new)
                .collect(),
            summary,
            accepted,
            button: format!("Start {}", counted(accepted as u64, "scan", "scans")),
        }
    }
}

impl Preview {
    /// Returns the preview after the queue refused a part of the lines. The button submits all
    /// lines again; stored lines are not stored twice.
    fn after_refusal(lines: &[ValidatedLine], stored: &HashMap<usize, ScanId>, refusal: QueueRefusal) -> Self {
        let mut preview = Self::new(lines);
        for line in &mut preview.lines {
            if let Some(id) = stored.get(&line.number) {
                line.outcome = format!("{}: scan {id}", line.outcome);
            }
        }
        let left = lines
            .iter()
            .filter(|line| matches!(&line.outcome, LineOutcome::Refused(why) if *why == refusal.to_string()))
            .count();
        preview.summary = format!("{} queued, {left} not: {refusal}", counted(stored.len() as u64, "scan", "scans"));
        preview.accepted = stored.len() + left;
        preview.button = "Try again".into();
        preview
    }
}

/// Returns a target in both forms, if it has two.
fn labelled(target: &str) -> String {
    target.parse::<Target>().map_or_else(|_| target.to_owned(), |target| target.label())
}

impl PreviewLine {
    fn new(line: &ValidatedLine) -> Self {
        let (badge, outcome) = match &line.outcome {
            LineOutcome::Accepted(target) => {
                (Badge::new("completed", "completed", "OK"), format!("→ {}", labelled(target)))
            }
            LineOutcome::Refused(why) => (Badge::new("failed", "failed", "Invalid"), sentence(why)),
            LineOutcome::Duplicate(first) => {
                (Badge::new("cancelled", "cancelled", "Duplicate"), format!("of line {first}"))
            }
            LineOutcome::Ignored => (Badge::new("skipped", "skipped", "Comment"), String::new()),
            LineOutcome::Unread(count) => {
                (Badge::new("skipped", "skipped", "Not checked"), counted(*count as u64, "more line", "more lines"))
            }
        };
        Self { number: line.number, text: clean(&line.text), badge, outcome: clean(&outcome) }
    }
}

#[cfg(test)]
#[path = "new_scan_tests.rs"]
mod tests;
