//! The actions on one scan from its page or its row: cancel, repeat, delete, regenerate the report.
//! A harmful action asks for confirmation first.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::{SignedDuration, Timestamp};
use kastrel_actors::model::{CancelledBy, Operation, ReportFormat, ScanId, ScanRecord, ScanSnapshot, ScanStatus};
use kastrel_actors::policy::{permission, reports};
use kastrel_actors::service::{CancelOutcome, RerunPlugins};
use url::form_urlencoded;

use crate::service::DeletionOutcome;
use crate::web::api::submission::unreadable;
use crate::web::back::{to_list, with_flash};
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::pages::confirm::{ConfirmPage, NamedScan, Permission};
use crate::web::pages::layout::{Here, Layout};
use crate::web::pages::new_scan::to_scan;
use crate::web::pages::rights::ScanRights;
use crate::web::path::{PathId, no_scan};
use crate::web::state::{Web, WebInner};
use crate::web::text::duration;
use crate::web::viewer::Viewer;

/// Cancelling a scan that has run for longer needs a confirmation.
const ASK_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// The value of the button that runs only the plugins without a result again.
const FAILED: &str = "failed";

/// The form of an action button: the page that it is on, and the confirmations.
#[derive(Debug, Default, PartialEq, Eq)]
struct ActionForm {
    /// The scan list that the button is on.
    list: Option<String>,
    confirmed: bool,
    permitted: bool,
    /// True for the button that runs only the plugins without a result again.
    only_failed: bool,
}

impl ActionForm {
    fn read(body: Result<Bytes, BytesRejection>) -> Result<Self, Problem> {
        let body = body.map_err(|rejection| unreadable(&rejection))?;
        let is =
            |field: &str, text: &str| form_urlencoded::parse(&body).any(|(name, value)| name == field && value == text);
        Ok(Self {
            list: to_list(&body),
            confirmed: is("confirmed", "yes"),
            permitted: is("confirm", "yes"),
            only_failed: is("action", FAILED),
        })
    }
}

/// Checks that the viewer may do an operation on a scan. Its role in this project may be lower than
/// that in another one, by which the guard of the route admits it.
async fn authorize(web: &WebInner, viewer: &Viewer, id: ScanId, operation: Operation) -> Result<(), Problem> {
    if web.scans().authorize(&viewer.context, id, operation).await? { Ok(()) } else { Err(no_scan()) }
}

/// Returns how long a scan has run, if that is long enough to ask before a cancel.
fn asks_after(record: &ScanRecord, now: Timestamp) -> Option<SignedDuration> {
    let run = (record.status() == ScanStatus::Running && record.cancel_requested.is_none())
        .then(|| record.started_at.map(|at| now.duration_since(at)))??;
    (run > ASK_AFTER).then_some(run)
}

/// The confirmation page for one scan. Its way back is the list with the button, or the scan's
/// page.
async fn question(
    web: &WebInner,
    viewer: &Viewer,
    scan: &ScanSnapshot,
    list: Option<String>,
    verb: &str,
    consequence: String,
) -> ConfirmPage {
    let id = scan.record.id;
    let returns = list.is_some();
    ConfirmPage {
        layout: Layout::of(web, viewer, Here::Scans, format!("{verb} scan {id}?")).await,
        question: format!("{verb} scan {id}?"),
        consequence,
        button: format!("{verb} scan"),
        icon: "trash",
        is_dangerous: true,
        can_go_on: true,
        permission: Permission::NotNeeded,
        post_url: format!("/scans/{id}/{}", verb.to_lowercase().replace('-', "")),
        back_url: list.unwrap_or_else(|| format!("/scans/{id}")),
        returns,
        action: "",
        scans: Vec::new(),
        named: vec![NamedScan::new(scan)],
        more: None,
        left_out: None,
    }
}

/// Cancels a scan, and redirects to its page or to the list with the button.
pub(crate) async fn cancel(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let form = ActionForm::read(body)?;
    authorize(&web, &viewer, id, Operation::CancelScans).await?;
    if !form.confirmed {
        let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
        if let Some(run) = asks_after(&scan.record, web.now()) {
            let consequence =
                format!("It has run for {}. The scanner is stopped; results so far are kept.", duration(run));
            let asked = question(&web, &viewer, &scan, form.list, "Cancel", consequence).await;
            return Ok(page(&ConfirmPage { icon: "stop", ..asked }));
        }
    }
    let notice = match web.scans().cancel(&viewer.context, id, CancelledBy::User).await? {
        CancelOutcome::Cancelled(_) => "cancelled",
        CancelOutcome::Requested(_) => "cancelling",
        CancelOutcome::AlreadyEnded(_) => "ended",
        CancelOutcome::Missing => return Err(no_scan()),
    };
    if form.list.is_some() {
        let done = usize::from(notice != "ended");
        return Ok(
            Redirect::to(&with_flash(form.list, &format!("done=cancel&n={done}&not={}", 1 - done))).into_response()
        );
    }
    Ok(Redirect::to(&format!("/scans/{id}?notice={notice}")).into_response())
}

/// Repeats a finished scan, and redirects to the new scan or to the list with the button. An active
/// scan needs the permission each time.
pub(crate) async fn rerun(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let form = ActionForm::read(body)?;
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    // The service refuses what the viewer may not do, and a scan that has not ended.
    let asks = scan.status().is_terminal() && ScanRights::of(&viewer.context.grants, &scan.record).can_rerun;
    let permission =
        Permission::of(permission::is_required(scan.record.request.options.mode), form.confirmed, form.permitted);
    if asks && permission.is_asked() {
        let (action, consequence) = if form.only_failed {
            (FAILED, "Its plugins without a result are submitted once more with all its options, as a new scan.")
        } else {
            ("", "It is submitted once more with all its options, as a new scan.")
        };
        let asked = question(&web, &viewer, &scan, form.list, "Re-run", consequence.to_owned()).await;
        return Ok(ConfirmPage { icon: "again", is_dangerous: false, permission, action, ..asked }.answer());
    }
    let which = if form.only_failed { RerunPlugins::Failed } else { RerunPlugins::All };
    let accepted = web.scans().rerun_plugins(&viewer.context, viewer.client, id, form.permitted, &which).await?;
    let accepted = accepted.ok_or_else(no_scan)?;
    Ok(if form.list.is_some() {
        Redirect::to(&with_flash(form.list, "done=rerun&n=1&not=0")).into_response()
    } else {
        to_scan(&accepted)
    })
}

/// Shows the confirmation page of a deletion.
pub(crate) async fn ask_delete(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    authorize(&web, &viewer, id, Operation::DeleteScans).await?;
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let can_go_on = scan.status().is_terminal();
    let consequence = if can_go_on {
        "Its results, reports and files are removed. This cannot be undone."
    } else {
        "The scan has not finished. Cancel it first."
    };
    let asked = question(&web, &viewer, &scan, None, "Delete", consequence.into()).await;
    Ok(page(&ConfirmPage { can_go_on, ..asked }))
}

/// Deletes a scan that has ended.
pub(crate) async fn delete(State(web): State<Web>, viewer: Viewer, PathId(id): PathId) -> Result<Response, Problem> {
    match web.state.deletion.delete(&viewer.context, id).await? {
        DeletionOutcome::Gone { files_left } => {
            Ok(Redirect::to(&with_flash(None, if files_left { "done=delete&n=1&left=1" } else { "done=delete&n=1" }))
                .into_response())
        }
        DeletionOutcome::Refused(record) => Err(Problem::new(
            ProblemKind::NotEnded,
            format!("scan {id} is {}; cancel it first", record.status().word()),
        )),
        DeletionOutcome::Missing => Err(no_scan()),
    }
}

const NO_RENDERER: &str = "reports are regenerated only by a server that runs the scanner itself and keeps the files of scans in its own folder";

/// Regenerates the reports of the last attempt.
pub(crate) async fn render(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let given = form_urlencoded::parse(&body)
        .find(|(name, _)| name == "format")
        .and_then(|(_, value)| value.parse::<ReportFormat>().ok());
    authorize(&web, &viewer, id, Operation::CancelScans).await?;
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let Some(renderer) = &web.state.renderer else {
        return Err(Problem::new(ProblemKind::NotRendered, NO_RENDERER));
    };
    let (Some(attempt), true) = (scan.record.last_attempt(), scan.status().is_terminal()) else {
        return Err(Problem::new(ProblemKind::NotEnded, "a report can be regenerated when the scan has finished"));
    };
    let format = given.unwrap_or(scan.record.request.options.format);
    match renderer.render(&scan.record, attempt.number, format).await {
        Ok(written) => {
            let notice = match reports::missing(format, written) {
                None => "rendered",
                Some(ReportFormat::Html) => "rendered-pdf",
                Some(ReportFormat::Pdf | ReportFormat::Both) => "rendered-html",
            };
            Ok(Redirect::to(&format!("/scans/{id}?notice={notice}")).into_response())
        }
        Err(why) => Err(Problem::new(ProblemKind::NotRendered, why)),
    }
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
