//! One thing done to many scans: asked first, with how many it would reach, then done one by one.

use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::Client;
use kastrel_actors::desk::CancelOutcome;
use kastrel_actors::model::{CancelledBy, ScanId, ScanSnapshot, TraceContext};
use url::form_urlencoded;

use super::layout::{Here, Layout};
use crate::web::api::submission::unreadable;
use crate::web::back::{telling, to_list};
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::removal::{Removal, remove};
use crate::web::state::{Web, WebInner};
use crate::web::text::{clean, counted};
use crate::web::trace::RequestTrace;
use crate::web::viewer::Viewer;

/// More than a page holds; a request that names more was not made by one.
const MOST: usize = 500;
/// How many are named in the question.
const NAMED: usize = 20;

/// What is done to each.
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

    /// Whether it can be done to a scan in its present state.
    fn reaches(self, scan: &ScanSnapshot) -> bool {
        match self {
            Self::Cancel => !scan.status().is_terminal(),
            Self::Rerun => true,
            Self::Delete => scan.status().is_terminal(),
        }
    }
}

/// The form as it was sent.
#[derive(Debug, PartialEq, Eq)]
struct BulkForm {
    action: Option<Action>,
    scans: Vec<ScanId>,
    confirmed: bool,
    /// That its user has permission to attack the targets.
    permitted: bool,
    /// The list that the scans were chosen on.
    back: Option<String>,
}

impl BulkForm {
    fn parse(body: &[u8]) -> Self {
        let mut form = Self { action: None, scans: Vec::new(), confirmed: false, permitted: false, back: to_list(body) };
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

/// The question before something is done.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct ConfirmPage {
    pub(crate) layout: Layout,
    pub(crate) question: String,
    pub(crate) consequence: String,
    pub(crate) button: String,
    pub(crate) icon: &'static str,
    pub(crate) is_dangerous: bool,
    /// Whether there is anything to do.
    pub(crate) can_go_on: bool,
    pub(crate) post_url: String,
    pub(crate) back_url: String,
    /// Whether to go there afterwards.
    pub(crate) returns: bool,
    pub(crate) action: &'static str,
    pub(crate) scans: Vec<u64>,
    pub(crate) named: Vec<NamedScan>,
    pub(crate) more: Option<String>,
    pub(crate) left_out: Option<String>,
}

/// A scan in a question.
pub(crate) struct NamedScan {
    pub(crate) id: u64,
    pub(crate) target: String,
    pub(crate) state: super::badge::Badge,
}

impl NamedScan {
    pub(crate) fn new(scan: &ScanSnapshot) -> Self {
        Self { id: scan.record.id.0, target: clean(&scan.record.request.target.to_string()), state: scan.status().into() }
    }
}

/// Asks, or does what was confirmed.
pub(crate) async fn act(State(web): State<Web>, viewer: Viewer, trace: RequestTrace, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let form = BulkForm::parse(&body.map_err(|rejection| unreadable(&rejection))?);
    let Some(action) = form.action else { return Err(Problem::new(ProblemKind::Malformed, "the form names nothing to do: cancel, rerun or delete")) };
    if form.scans.len() > MOST {
        return Err(Problem::new(ProblemKind::Malformed, format!("more than {MOST} scans were chosen at once")));
    }
    if form.confirmed {
        return carry_out(&web, viewer.client, action, form, trace.0).await;
    }
    let mut reached = Vec::new();
    for id in &form.scans {
        reached.extend(web.desk().scan(*id).await?.filter(|scan| action.reaches(scan)));
    }
    let left_out = form.scans.len() - reached.len();
    let question = question(Layout::of(&web, &viewer, Here::Scans, "Are you sure?").await, action, &reached, left_out);
    Ok(page(&ConfirmPage { back_url: form.back.unwrap_or_else(|| "/scans".into()), returns: true, ..question }))
}

fn question(layout: Layout, action: Action, reached: &[std::sync::Arc<ScanSnapshot>], left_out: usize) -> ConfirmPage {
    let count = counted(reached.len() as u64, "scan", "scans");
    let (verb, icon, consequence, why_not) = match action {
        Action::Cancel => ("Cancel", "stop", "What waits is cancelled at once; what runs is ended, and what it found so far is kept.", "have ended"),
        Action::Rerun => ("Run again", "again", "Each is submitted once more with all its options, as a new scan.", "are gone"),
        Action::Delete => ("Delete", "trash", "Their results, reports and files are removed. This cannot be undone.", "have not ended or are gone"),
    };
    let question = match action {
        Action::Rerun => format!("Run {count} again?"),
        Action::Cancel | Action::Delete => format!("{verb} {count}?"),
    };
    ConfirmPage {
        layout,
        question: if reached.is_empty() { "Nothing to do".into() } else { question },
        consequence: if reached.is_empty() { "None of the chosen scans can be treated this way.".into() } else { consequence.into() },
        button: match action {
            Action::Rerun => format!("Run {count} again"),
            Action::Cancel | Action::Delete => format!("{verb} {count}"),
        },
        icon,
        is_dangerous: action != Action::Rerun,
        can_go_on: !reached.is_empty(),
        post_url: "/scans/bulk".into(),
        back_url: "/scans".into(),
        returns: true,
        action: action.name(),
        scans: reached.iter().map(|scan| scan.record.id.0).collect(),
        named: reached.iter().take(NAMED).map(|scan| NamedScan::new(scan)).collect(),
        more: reached.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("and {more} more")),
        left_out: (left_out > 0).then(|| format!("{} left out: they {why_not}.", counted(left_out as u64, "scan is", "scans are"))),
    }
}

async fn carry_out(web: &WebInner, client: Client, action: Action, form: BulkForm, trace: TraceContext) -> Result<Response, Problem> {
    let BulkForm { scans, permitted, back, .. } = form;
    let (mut done, mut left) = (0, 0);
    for id in &scans {
        let worked = match action {
            Action::Cancel => matches!(web.desk().cancel(*id, CancelledBy::User).await?, CancelOutcome::Cancelled(_) | CancelOutcome::Requested(_)),
            // One whose target is out of scope by now, or that lacks a permission, does not hold up the others.
            Action::Rerun => match web.desk().rerun(client, *id, trace, permitted).await {
                Ok(accepted) => accepted.is_some(),
                // What follows would find no room either.
                Err(kastrel_actors::desk::SubmitError::Queue(refusal)) => {
                    return Err(Problem::from(refusal).after(&format!("{} of {} were submitted", done, counted(scans.len() as u64, "scan", "scans"))));
                }
                Err(kastrel_actors::desk::SubmitError::Store(error)) => return Err(error.into()),
                Err(_) => false,
            },
            Action::Delete => match remove(web, *id).await? {
                Removal::Gone { files_left } => {
                    left += usize::from(files_left);
                    true
                }
                Removal::Refused(_) | Removal::Missing => false,
            },
        };
        done += usize::from(worked);
    }
    let not = scans.len() - done;
    let left = if left > 0 { format!("&left={left}") } else { String::new() };
    Ok(Redirect::to(&telling(back, &format!("done={}&n={done}&not={not}{left}", action.name()))).into_response())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kastrel_actors::model::{Resolution, ScanStatus, Verdict};
    use kastrel_actors::testing::fixtures;

    use super::*;
    use crate::web::testing::{TestApp, header_of, text_of};

    impl ConfirmPage {
        fn sample() -> Self {
            let scan = |id| Arc::new(ScanSnapshot::of(fixtures::record(id, jiff::Timestamp::UNIX_EPOCH)));
            question(Layout::sample("Are you sure?"), Action::Delete, &(1..=22).map(scan).collect::<Vec<_>>(), 3)
        }
    }

    #[test]
    fn looks_as_it_should() {
        insta::assert_snapshot!(ConfirmPage::sample().render().unwrap());
    }

    #[test]
    fn a_form_is_read_without_trust() {
        let form = BulkForm::parse(b"action=delete&scan=3&scan=1&scan=3&scan=x&scan=-1&confirmed=yes&other=1");
        assert_eq!(form, BulkForm { action: Some(Action::Delete), scans: vec![ScanId(1), ScanId(3)], confirmed: true, permitted: false, back: None });
        assert_eq!(BulkForm::parse(b"action=drop").action, None);
    }

    #[tokio::test]
    async fn many_are_deleted_only_after_a_question_that_counts_them() {
        let app = TestApp::new();
        let ended = app.running("example.com").await;
        app.finish(&ended, Resolution::Complete(Verdict::default())).await;
        std::fs::create_dir_all(app.attempt_folder(&ended)).unwrap();
        let waiting = app.submitted("example.org").await;
        let body = format!("action=delete&scan={}&scan={waiting}&scan=99&back=%2Fscans%3Ftarget%3Dexample", ended.id);
        let asked = text_of(app.post_form("/scans/bulk", &body).await).await;
        assert!(asked.contains("Delete 1 scan?") && asked.contains("2 scans are left out"), "{asked}");
        assert!(asked.contains(r#"href="/scans?target=example""#) && asked.contains(r#"name="back" value="/scans?target=example""#), "{asked}");
        assert!(app.get("/scans/1").await.status().is_success(), "a question deletes nothing");
        let done = app.post_form("/scans/bulk", &format!("{body}&confirmed=yes")).await;
        assert_eq!((done.status().as_u16(), header_of(&done, "location")), (303, "/scans?target=example&done=delete&n=1&not=2"));
        assert_eq!(app.get("/scans/1").await.status(), 404);
        assert!(!app.attempt_folder(&ended).parent().unwrap().exists(), "its files are gone");
        assert_eq!(app.desk.scan(waiting).await.unwrap().unwrap().status(), ScanStatus::Pending);
    }

    #[tokio::test]
    async fn many_are_cancelled_and_run_again() {
        let app = TestApp::new();
        for _ in 0..3 {
            app.submitted("example.com").await;
        }
        let cancelled = app.post_form("/scans/bulk", "action=cancel&scan=1&scan=2&confirmed=yes").await;
        assert_eq!(header_of(&cancelled, "location"), "/scans?done=cancel&n=2&not=0");
        assert_eq!(header_of(&app.post_form("/scans/bulk", "action=rerun&scan=1&scan=7&confirmed=yes").await, "location"), "/scans?done=rerun&n=1&not=1");
        assert_eq!(app.desk.stats().await.unwrap().pending, 2);
        assert_eq!(app.post_form("/scans/bulk", "scan=1").await.status(), 400);
        let none = text_of(app.post_form("/scans/bulk", "action=cancel").await).await;
        assert!(none.contains("Nothing to do") && !none.contains("confirmed"), "{none}");
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
