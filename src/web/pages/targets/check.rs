//! Another check of a target: a new scan with one plugin, or with those of its last scan.

use axum::response::Response;
use kastrel_actors::policy::permission::CONFIRM_ACTIVE;
use kastrel_actors::service::SubmitError;
use kastrel_findings::identity::TargetId;

use crate::web::error::Problem;
use crate::web::pages::confirm::{ConfirmPage, Permission};
use crate::web::pages::layout::{Here, Layout};
use crate::web::pages::new_scan::to_scan;
use crate::web::state::WebInner;
use crate::web::text::clean;
use crate::web::viewer::Viewer;

/// What is checked again.
pub(crate) struct CheckAgain<'a> {
    pub(crate) target: TargetId,
    /// The plugin; `None`: all of the last scan.
    pub(crate) plugin: Option<&'a str>,
    /// The address of the form.
    pub(crate) post_url: String,
    /// The page with the button.
    pub(crate) back_url: String,
    pub(crate) is_confirmed: bool,
    /// Whether the permission box is ticked.
    pub(crate) is_permitted: bool,
}

/// Submits the scan and redirects to its page, or asks for the permission to attack the target.
/// `missing` is the problem of a target that the viewer may not see.
pub(crate) async fn check_again(
    web: &WebInner,
    viewer: &Viewer,
    again: CheckAgain<'_>,
    missing: fn() -> Problem,
) -> Result<Response, Problem> {
    let CheckAgain { target, plugin, is_permitted, .. } = again;
    match web.targets().check_again(&viewer.context, viewer.client, target, plugin, is_permitted).await {
        Ok(accepted) => Ok(to_scan(&accepted.ok_or_else(missing)?)),
        Err(SubmitError::Invalid(errors))
            if !is_permitted && errors.iter().all(|error| error.field == CONFIRM_ACTIVE) =>
        {
            Ok(question(web, viewer, again).await.answer())
        }
        Err(error) => Err(error.into()),
    }
}

async fn question(web: &WebInner, viewer: &Viewer, again: CheckAgain<'_>) -> ConfirmPage {
    let what = again
        .plugin
        .map_or_else(|| "Check the target again".to_owned(), |plugin| format!("Check again with {}", clean(plugin)));
    ConfirmPage {
        layout: Layout::of(web, viewer, Here::Targets, format!("{what}?")).await,
        question: format!("{what}?"),
        consequence: "It is submitted as a new scan with the options of the last one.".into(),
        button: "Check again".into(),
        icon: "again",
        is_dangerous: false,
        can_go_on: true,
        permission: Permission::of(true, again.is_confirmed, again.is_permitted),
        post_url: again.post_url,
        back_url: again.back_url,
        returns: false,
        action: "",
        scans: Vec::new(),
        named: Vec::new(),
        more: None,
        left_out: None,
    }
}
