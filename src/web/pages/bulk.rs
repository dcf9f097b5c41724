//! Bulk actions: one action for many scans. The page first asks for confirmation, with the number
//! of affected scans; then the server processes the scans one by one.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{CancelledBy, ScanId, ScanSnapshot};
use kastrel_actors::policy::access::Denial;
use kastrel_actors::policy::permission;
use kastrel_actors::service::{CancelOutcome, CommandError, SubmitError};
use url::form_urlencoded;

use super::confirm::{ConfirmPage, NamedScan, Permission};
use super::layout::{Here, Layout};
use crate::service::{DeletionError, DeletionOutcome};
use crate::web::api::submission::unreadable;
use crate::web::back::{to_list, with_flash};
use crate::web::error::{Problem, ProblemKind};
use crate::web::state::{Web, WebInner};
use crate::web::text::counted;
use crate::web::viewer::Viewer;

/// The maximum number of scans of a request. A page holds fewer, so no page sends more.
const MOST: usize = 500;
/// How many scans the question names.
const NAMED: usize = 20;

/// The action for each scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Cancel,
    Rerun,
    Delete,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Rerun => "rerun",
            Self::Delete => "delete",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Cancel, Self::Rerun, Self::Delete].into_iter().find(|action| action.name() == name)
    }

    /// Returns whether the action applies to a scan in its current state.
    fn reaches(self, scan: &ScanSnapshot) -> bool {
        match self {
            Self::Cancel => !scan.status().is_terminal(),
            Self::Rerun | Self::Delete => scan.status().is_terminal(),
        }
    }
}

/// The parsed form.
#[derive(Debug, PartialEq, Eq)]
struct BulkForm {
    action: Option<Action>,
    scans: Vec<ScanId>,
    confirmed: bool,
    /// Whether the user confirmed the permission to attack the targets.
    permitted: bool,
    /// The list on which the scans were selected.
    back: Option<String>,
}

impl BulkForm {
    fn parse(body: &[u8]) -> Self {
        let mut form =
            Self { action: None, scans: Vec::new(), confirmed: false, permitted: false, back: to_list(body) };
        for (name, value) in form_urlencoded::parse(body) {
            match &*name {
                "action" => form.action = Action::named(&value),
                "scan" => form.scans.extend(value.parse::<ScanId>().ok()),
                "confirmed" => form.confirmed = value == "yes",
                "confirm" => form.permitted = value == "yes",
                _ => {}
            }
        }
        form.scans.sort_unstable();
        form.scans.dedup();
        form
    }
}

/// Shows the question, or runs a confirmed action.
pub(crate) async fn act(
    State(web): State<Web>,
    viewer: Viewer,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let form = BulkForm::parse(&body.map_err(|rejection| unreadable(&rejection))?);
    let Some(action) = form.action else {
        return Err(Problem::new(ProblemKind::Malformed, "the form has no action: expected cancel, rerun or delete"));
    };
    if form.scans.len() > MOST {
        return Err(Problem::new(ProblemKind::Malformed, format!("more than {MOST} scans selected")));
    }
    let mut reached = Vec::new();
    for id in &form.scans {
        reached.extend(web.scans().scan(&viewer.context, *id).await?.filter(|scan| action.reaches(scan)));
    }
    let needs_permission =
        action == Action::Rerun && reached.iter().any(|scan| permission::is_required(scan.record.request.options.mode));
    let permission = Permission::of(needs_permission, form.confirmed, form.permitted);
    if form.confirmed && !permission.is_asked() {
        return carry_out(&web, &viewer, action, form).await;
    }
    let asked = form.scans.len();
    let question = question(Layout::of(&web, &viewer, Here::Scans, "Are you sure?").await, action, &reached, asked);
    Ok(ConfirmPage { permission, back_url: form.back.unwrap_or_else(|| "/scans".into()), returns: true, ..question }
        .answer())
}

/// The question about the `reached` scans, of `asked` selected ones.
fn question(layout: Layout, action: Action, reached: &[std::sync::Arc<ScanSnapshot>], asked: usize) -> ConfirmPage {
    let count = counted(reached.len() as u64, "scan", "scans");
    let left_out = asked - reached.len();
    let (verb, icon, consequence, why_not) = match action {
        Action::Cancel => (
            "Cancel",
            "stop",
            "Queued scans are cancelled at once; running scans are stopped, and their results so far are kept.",
            "finished",
        ),
        Action::Rerun => (
            "Re-run",
            "again",
            "Each is submitted once more with all its options, as a new scan.",
            "queued, running or deleted",
        ),
        Action::Delete => (
            "Delete",
            "trash",
            "Their results, reports and files are removed. This cannot be undone.",
            "queued, running or deleted",
        ),
    };
    ConfirmPage {
        layout,
        question: if reached.is_empty() {
            format!("Nothing to {}", verb.to_lowercase())
        } else {
            format!("{verb} {count}?")
        },
        consequence: if reached.is_empty() {
            match asked {
                0 => "No scan is selected.".into(),
                1 => format!("The selected scan is {why_not}."),
                all => format!("All {all} selected scans are {why_not}."),
            }
        } else {
            consequence.into()
        },
        button: format!("{verb} {count}"),
        icon,
        is_dangerous: action != Action::Rerun,
        can_go_on: !reached.is_empty(),
        permission: Permission::NotNeeded,
        post_url: "/scans/bulk".into(),
        back_url: "/scans".into(),
        returns: true,
        action: action.name(),
        scans: reached.iter().map(|scan| scan.record.id.0).collect(),
        named: reached.iter().take(NAMED).map(|scan| NamedScan::new(scan)).collect(),
        more: reached.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("and {more} more")),
        left_out: (left_out > 0 && !reached.is_empty())
            .then(|| format!("{} left out: {why_not}.", counted(left_out as u64, "scan is", "scans are"))),
    }
}

async fn carry_out(web: &WebInner, viewer: &Viewer, action: Action, form: BulkForm) -> Result<Response, Problem> {
    let BulkForm { scans, permitted, back, .. } = form;
    let (mut done, mut left, mut uncleared) = (0, 0, 0);
    for id in &scans {
        let worked = match action {
            Action::Cancel => match web.scans().cancel(&viewer.context, *id, CancelledBy::User).await {
                Ok(outcome) => matches!(outcome, CancelOutcome::Cancelled(_) | CancelOutcome::Requested(_)),
                // A scan of a project in which the viewer lacks the right does not stop the others.
                Err(CommandError::Denied(_)) => false,
                Err(error) => return Err(error.into()),
            },
            Action::Rerun
                if !web.scans().scan(&viewer.context, *id).await?.is_some_and(|scan| action.reaches(&scan)) =>
            {
                false
            }
            // A scan whose target is out of scope by now, or that lacks a permission, does not stop
            // the others.
            Action::Rerun => match web.scans().rerun(&viewer.context, viewer.client, *id, permitted).await {
                Ok(accepted) => accepted.is_some(),
                // The queue would refuse the remaining scans too.
                Err(SubmitError::Queue(refusal)) => {
                    return Err(Problem::from(refusal).after(&format!(
                        "{} of {} were submitted",
                        done,
                        counted(scans.len() as u64, "scan", "scans")
                    )));
                }
                Err(SubmitError::Store(error)) => return Err(error.into()),
                Err(SubmitError::Denied(Denial::NotCleared(_))) => {
                    uncleared += 1;
                    false
                }
                Err(_) => false,
            },
            Action::Delete => match web.state.deletion.delete(&viewer.context, *id).await {
                Ok(DeletionOutcome::Gone { files_left }) => {
                    left += usize::from(files_left);
                    true
                }
                Ok(DeletionOutcome::Refused(_) | DeletionOutcome::Missing) => false,
                Err(DeletionError::Command(CommandError::Denied(_))) => false,
                Err(error) => return Err(error.into()),
            },
        };
        done += usize::from(worked);
    }
    if uncleared > 0 {
        web.access().record_denial(&viewer.context, "POST /scans/bulk").await;
    }
    let not = scans.len() - done;
    let uncleared = if uncleared > 0 { format!("&uncleared={uncleared}") } else { String::new() };
    let left = if left > 0 { format!("&left={left}") } else { String::new() };
    Ok(Redirect::to(&with_flash(back, &format!("done={}&n={done}&not={not}{left}{uncleared}", action.name())))
        .into_response())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use askama::Template as _;
    use kastrel_actors::model::{Resolution, ScanStatus, Verdict};
    use kastrel_actors::testing::fixtures;

    use super::*;
    use crate::web::testing::{TestApp, header_of, text_of};

    impl ConfirmPage {
        fn sample() -> Self {
            let scan = |id| Arc::new(ScanSnapshot::of(fixtures::record(id, jiff::Timestamp::UNIX_EPOCH)));
            question(Layout::sample("Are you sure?"), Action::Delete, &(1..=22).map(scan).collect::<Vec<_>>(), 25)
        }
    }

    #[test]
    fn bulk_question_matches_snapshot() {
        insta::assert_snapshot!(ConfirmPage::sample().render().unwrap());
    }

    #[test]
    fn bulk_form_is_parsed_defensively() {
        let form = BulkForm::parse(b"action=delete&scan=3&scan=1&scan=3&scan=x&scan=-1&confirmed=yes&other=1");
        assert_eq!(
            form,
            BulkForm {
                action: Some(Action::Delete),
                scans: vec![ScanId(1), ScanId(3)],
                confirmed: true,
                permitted: false,
                back: None
            }
        );
        assert_eq!(BulkForm::parse(b"action=drop").action, None);
    }

    #[tokio::test]
    async fn bulk_delete_asks_with_the_number_of_scans() {
        let app = TestApp::new();
        let ended = app.running("example.com").await;
        app.finish(&ended, Resolution::Complete(Verdict::default())).await;
        std::fs::create_dir_all(app.attempt_folder(&ended)).unwrap();
        let waiting = app.submitted("example.org").await;
        let body = format!("action=delete&scan={}&scan={waiting}&scan=99&back=%2Fscans%3Ftarget%3Dexample", ended.id);
        let asked = text_of(app.post_form("/scans/bulk", &body).await).await;
        assert!(asked.contains("Delete 1 scan?") && asked.contains("2 scans are left out"), "{asked}");
        assert!(
            asked.contains(r#"href="/scans?target=example""#)
                && asked.contains(r#"name="back" value="/scans?target=example""#),
            "{asked}"
        );
        assert!(app.get("/scans/1").await.status().is_success(), "a question deletes nothing");
        let done = app.post_form("/scans/bulk", &format!("{body}&confirmed=yes")).await;
        assert_eq!(
            (done.status().as_u16(), header_of(&done, "location")),
            (303, "/scans?target=example&done=delete&n=1&not=2")
        );
        assert_eq!(app.get("/scans/1").await.status(), 404);
        assert!(!app.attempt_folder(&ended).parent().unwrap().exists(), "its files are gone");
        assert_eq!(
            app.service.scan(&fixtures::context(), waiting).await.unwrap().unwrap().status(),
            ScanStatus::Pending
        );
    }

    #[tokio::test]
    async fn bulk_cancel_and_bulk_rerun_process_all_scans() {
        let app = TestApp::new();
        for _ in 0..3 {
            app.submitted("example.com").await;
        }
        let cancelled = app.post_form("/scans/bulk", "action=cancel&scan=1&scan=2&confirmed=yes").await;
        assert_eq!(header_of(&cancelled, "location"), "/scans?done=cancel&n=2&not=0");
        assert_eq!(
            header_of(&app.post_form("/scans/bulk", "action=rerun&scan=1&scan=7&confirmed=yes").await, "location"),
            "/scans?done=rerun&n=1&not=1"
        );
        assert_eq!(app.services.reporting.stats(&fixtures::context()).await.unwrap().pending, 2);
        assert_eq!(app.post_form("/scans/bulk", "scan=1").await.status(), 400);
        let none = text_of(app.post_form("/scans/bulk", "action=cancel").await).await;
        assert!(
            none.contains("Nothing to cancel") && none.contains("No scan is selected.") && !none.contains("confirmed"),
            "{none}"
        );
        let over = text_of(app.post_form("/scans/bulk", "action=cancel&scan=1&scan=2").await).await;
        assert!(over.contains("Nothing to cancel") && over.contains("All 2 selected scans are finished."), "{over}");
        let waits = text_of(app.post_form("/scans/bulk", "action=rerun&scan=3").await).await;
        assert!(
            waits.contains("Nothing to re-run") && waits.contains("The selected scan is queued, running or deleted."),
            "{waits}"
        );
        assert_eq!(
            header_of(&app.post_form("/scans/bulk", "action=rerun&scan=3&confirmed=yes").await, "location"),
            "/scans?done=rerun&n=0&not=1"
        );
    }

    #[tokio::test]
    async fn bulk_rerun_of_active_scans_needs_permission() {
        let app = TestApp::new();
        for mode in ["both", "passive"] {
            app.post_form("/scans", &format!("target=example.com&mode={mode}&confirm=yes")).await;
        }
        app.post_form("/scans/bulk", "action=cancel&scan=1&scan=2&confirmed=yes").await;
        let asked = text_of(app.post_form("/scans/bulk", "action=rerun&scan=1&scan=2").await).await;
        assert!(
            asked.contains("Re-run 2 scans?")
                && asked.contains(r#"name="confirm""#)
                && asked.contains("permission to attack these targets"),
            "{asked}"
        );
        let passive = text_of(app.post_form("/scans/bulk", "action=rerun&scan=2").await).await;
        assert!(!passive.contains(r#"name="confirm""#), "{passive}");
        let refused = app.post_form("/scans/bulk", "action=rerun&scan=1&scan=2&confirmed=yes").await;
        assert_eq!(refused.status(), 422);
        assert!(text_of(refused).await.contains("Confirm that you have permission to run active plugins."));
        assert_eq!(app.services.reporting.stats(&fixtures::context()).await.unwrap().pending, 0);
        let done = app.post_form("/scans/bulk", "action=rerun&scan=1&scan=2&confirmed=yes&confirm=yes").await;
        assert_eq!(header_of(&done, "location"), "/scans?done=rerun&n=2&not=0");
    }

    #[tokio::test]
    async fn reruns_without_room_say_how_many_were_submitted() {
        let app = TestApp::with_room_for(1, 100);
        for target in ["a.test", "b.test"] {
            let scan = app.running(target).await;
            app.finish(&scan, Resolution::Complete(Verdict::default())).await;
        }
        let answer = app.post_form("/scans/bulk", "action=rerun&scan=1&scan=2&confirmed=yes").await;
        assert_eq!((answer.status().as_u16(), header_of(&answer, "retry-after")), (503, "1"));
        let html = text_of(answer).await;
        assert!(html.contains("1 of 2 scans were submitted; the queue is full: 1 scans may wait"), "{html}");
    }
}
