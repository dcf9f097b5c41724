//! Decisions about findings: of the list, of all matches of a filter, or of one finding's page. A
//! decision about all matches is confirmed first. What could not be changed is listed with the
//! reason, and nothing that was typed is lost.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::FieldError;
use kastrel_findings::identity::FindingId;

use super::address::ListAddress;
use super::form::{Typed, field_error, other_errors};
use super::marks::{FINDINGS, finding_url, status_badge};
use super::triage_form::{TriageFields, Wanted, selected, wanted};
use crate::service::findings::{FindingFilter, TriageResult};
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::pages::badge::Badge;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::state::{Web, WebInner};
use crate::web::text::{clean, counted, sentence};
use crate::web::viewer::Viewer;

/// The most findings of one decision.
const MOST: usize = crate::service::findings::MOST_TRIAGED;
/// How many findings the page names.
const NAMED: usize = 20;

/// The page of a decision that is not complete: a question, wrong fields, or what is left.
#[derive(Template)]
#[template(path = "findings/triage.html")]
pub(crate) struct TriagePage {
    pub(super) layout: Layout,
    pub(super) notice: Option<Notice>,
    pub(super) title: String,
    /// The findings to which the form applies.
    pub(super) ids: Vec<String>,
    pub(super) named: Vec<NamedFinding>,
    pub(super) more: Option<String>,
    pub(super) fields: TriageFields,
    /// The page to which the form returns.
    pub(super) back_url: String,
    /// Whether the form is on the page of a finding.
    pub(super) of_detail: bool,
}

/// A finding that the page names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedFinding {
    pub(super) url: String,
    pub(super) title: String,
    pub(super) place: String,
    pub(super) status: Badge,
    /// Why it was not changed.
    pub(super) why: Option<String>,
}

/// Where a form was.
struct Place {
    list: ListAddress,
    detail: Option<FindingId>,
}

impl Place {
    fn of(form: &Typed, ids: &[FindingId]) -> Self {
        let detail = ids.first().filter(|_| form.text("from") == "finding" && ids.len() == 1).copied();
        Self { list: ListAddress::of_link(form.text("back")), detail }
    }

    fn url(&self) -> String {
        self.detail.map_or_else(|| self.list.link(), finding_url)
    }

    /// Returns the address that shows what was done.
    fn after(&self, changed: usize) -> String {
        match self.detail {
            Some(id) => format!("{}?notice=changed", finding_url(id)),
            None => {
                let link = self.list.link();
                let sign = if link.contains('?') { '&' } else { '?' };
                format!("{link}{sign}done=triage&n={changed}")
            }
        }
    }
}

/// Applies a decision, or shows what is missing.
pub(crate) async fn act(State(web): State<Web>, viewer: Viewer, form: Typed) -> Result<Response, Problem> {
    let mut ids = selected(&form);
    let takes_all = form.has("all");
    let mut errors = Vec::new();
    let place = Place::of(&form, &ids);
    if takes_all {
        let filter = place.list.tokens.parse::<FindingFilter>().map_err(|error| {
            Problem::fields(ProblemKind::InvalidFields, vec![FieldError::new("q", error.to_string())])
        })?;
        ids = web.findings().matching(&viewer.context, &filter, MOST + 1).await?;
    }
    if ids.len() > MOST {
        errors.push(FieldError::new(
            "findings",
            format!("at most {MOST} findings are changed at once; narrow the filter, or select fewer"),
        ));
        ids.truncate(MOST);
    } else if ids.is_empty() {
        errors.push(FieldError::new("findings", "none is selected"));
    }
    let read = wanted(&form, &viewer.zone);
    let asks = takes_all && errors.is_empty();
    match read {
        Ok(wanted) if errors.is_empty() && !asks => carry_out(&web, &viewer, &form, &place, &ids, &wanted).await,
        read => {
            errors.extend(read.err().into_iter().flatten());
            let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
            let shown = question(&web, &viewer, &form, &place, &ids, &errors).await?;
            Ok((status, page(&shown)).into_response())
        }
    }
}

async fn carry_out(
    web: &WebInner,
    viewer: &Viewer,
    form: &Typed,
    place: &Place,
    ids: &[FindingId],
    wanted: &Wanted,
) -> Result<Response, Problem> {
    let results = match wanted {
        Wanted::Act(action) => web.findings().triage(&viewer.context, ids, action).await,
        Wanted::Assign(owner) => web.findings().assign(&viewer.context, ids, owner.clone()).await,
    };
    let results = match results {
        Ok(results) => results,
        Err(error) => {
            let error = field_error(error)?;
            let shown = question(web, viewer, form, place, ids, &[error]).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&shown)).into_response());
        }
    };
    let (changed, left) = split(results);
    if left.is_empty() {
        return Ok(Redirect::to(&place.after(changed)).into_response());
    }
    let left_ids: Vec<FindingId> = left.keys().copied().collect();
    let mut shown = question(web, viewer, form, place, &left_ids, &[]).await?;
    for (finding, why) in shown.named.iter_mut().zip(left.values()) {
        finding.why = Some(sentence(&clean(why)));
    }
    shown.title = format!("{} not changed", counted(left.len() as u64, "finding was", "findings were"));
    let text = format!("{} changed.", counted(changed as u64, "finding was", "findings were"));
    shown.notice = Some(Notice::new(if changed > 0 { "warning" } else { "error" }, text));
    Ok((StatusCode::CONFLICT, page(&shown)).into_response())
}

/// Returns the number of findings that changed, and the others with the reasons.
fn split(results: Vec<TriageResult>) -> (usize, BTreeMap<FindingId, String>) {
    let all = results.len();
    let left: BTreeMap<FindingId, String> =
        results.into_iter().filter_map(|result| result.outcome.err().map(|why| (result.id, why))).collect();
    (all - left.len(), left)
}

/// The page that asks for what is missing.
async fn question(
    web: &WebInner,
    viewer: &Viewer,
    form: &Typed,
    place: &Place,
    ids: &[FindingId],
    errors: &[FieldError],
) -> Result<TriagePage, Problem> {
    let mut named = Vec::new();
    for id in ids.iter().take(NAMED) {
        let found = web.findings().get(&viewer.context, *id).await?;
        named.push(found.map_or_else(
            || NamedFinding::missing(*id),
            |found| NamedFinding {
                url: finding_url(*id),
                title: clean(&found.row.title),
                place: clean(&found.row.place),
                status: status_badge(found.row.status),
                why: None,
            },
        ));
    }
    let title = if ids.is_empty() {
        "No finding is selected".to_owned()
    } else {
        format!("Change {}?", counted(ids.len() as u64, "finding", "findings"))
    };
    let others = other_errors(&TriageFields::NAMES, errors);
    Ok(TriagePage {
        layout: Layout::of(web, viewer, Here::Findings, title.clone()).await,
        notice: (!others.is_empty()).then(|| Notice::new("error", others.join(" "))),
        title,
        ids: ids.iter().map(ToString::to_string).collect(),
        named,
        more: ids.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("and {more} more")),
        fields: TriageFields::new(form, errors),
        back_url: place.url(),
        of_detail: place.detail.is_some(),
    })
}

impl NamedFinding {
    /// A finding that the viewer may not see, or that is gone.
    fn missing(id: FindingId) -> Self {
        Self {
            url: FINDINGS.to_owned(),
            title: format!("Finding {id}"),
            place: "not found".into(),
            status: Badge::new("gone", "not_run", "Not found"),
            why: None,
        }
    }
}
