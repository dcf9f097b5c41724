//! The mail address of one's own account, and the page of the link that confirms a new one.

use askama::Template;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::AccountKind;

use super::fields::{Accounts, Errors, Fields, Input, own, with_status, without_token};
use crate::identity::secret::RandomSecret;
use crate::service::access::MailChange;
use crate::web::error::Problem;
use crate::web::headers::{page, with_secret_address};
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::path::no_account;
use crate::web::state::WebInner;
use crate::web::text::clean;
use crate::web::viewer::Viewer;

/// The page of the viewer's mail address.
#[derive(Template)]
#[template(path = "accounts/mail.html")]
pub(crate) struct MailPage {
    layout: Layout,
    notice: Option<Notice>,
    name: String,
    /// The address that counts; empty if the account has none.
    mail: String,
    /// Whether a new address can be confirmed: the server sends mails.
    sends_mails: bool,
    password: Input,
    new: Input,
}

/// Shows the page.
pub(crate) async fn show(Accounts(web): Accounts, viewer: Viewer) -> Result<Response, Problem> {
    render(&web, &viewer, &Fields::default(), Errors::default(), None).await
}

async fn render(
    web: &WebInner,
    viewer: &Viewer,
    typed: &Fields,
    mut errors: Errors,
    notice: Option<Notice>,
) -> Result<Response, Problem> {
    let who = own(viewer)?;
    let account = web.access().account(&viewer.context, &who.account).await?.ok_or_else(no_account)?;
    if account.kind == AccountKind::Service {
        return Err(Problem::not_found("a service account has no mail address"));
    }
    let layout = Layout::of(web, viewer, Here::Elsewhere, "Mail address").await;
    let status = errors.status();
    let password = Input::password("current_password", "Current password", "current-password", &mut errors);
    let new =
        Input::text("mail", "New mail address", typed, &mut errors).with_hint("Leave it empty to remove the address.");
    let new = Input { kind: "email", autocomplete: "email", ..new.optional() };
    let shown = MailPage {
        layout,
        notice: notice.or_else(|| errors.notice()),
        name: account.name.to_string(),
        mail: account.mail.map(|mail| clean(mail.as_str())).unwrap_or_default(),
        sends_mails: web.access().has_mail(),
        password,
        new,
    };
    Ok(with_status(status, page(&shown)))
}

/// Enters a new address, which counts when it is confirmed, or removes the present one.
pub(crate) async fn change(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    match web.access().change_mail(who, fields.password("current_password"), fields.text("mail")).await {
        Ok(MailChange::Removed) => Ok(Redirect::to("/profile?notice=mail-removed").into_response()),
        Ok(MailChange::Waits(mail)) => {
            let text = format!("A link was sent to {mail}. The address counts when you confirm it with the link.");
            let notice = Some(Notice::new("done", text));
            render(&web, &viewer, &Fields::default(), Errors::default(), notice).await
        }
        Err(error) => render(&web, &viewer, &fields, Errors::from_service(error)?, None).await,
    }
}

/// The page of a link that confirms an address.
#[derive(Template)]
#[template(path = "accounts/confirm_mail.html")]
pub(crate) struct ConfirmMailPage {
    layout: Layout,
    /// The link, its account and the address; `None` if the link is not valid.
    waiting: Option<(String, String, String)>,
    is_done: bool,
}

impl ConfirmMailPage {
    fn gone(viewer: &Viewer) -> Response {
        let layout = Layout::public(viewer, "Link not valid");
        let shown = page(&Self { layout, waiting: None, is_done: false });
        with_secret_address(with_status(StatusCode::GONE, shown))
    }
}

/// Shows the address that the link confirms. The address is confirmed by the form, because programs
/// that check mails open the links in them.
pub(crate) async fn show_confirmation(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let Ok(link) = RandomSecret::parse(query.text("link")) else { return Ok(ConfirmMailPage::gone(&viewer)) };
    let Some(request) = web.access().waiting_mail(&link).await? else { return Ok(ConfirmMailPage::gone(&viewer)) };
    let waiting = Some((link.expose().to_owned(), request.account.to_string(), clean(request.mail.as_str())));
    let layout = Layout::public(&viewer, "Confirm a mail address");
    Ok(with_secret_address(page(&ConfirmMailPage { layout, waiting, is_done: false })))
}

/// Confirms the address.
pub(crate) async fn confirm(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    let Ok(link) = RandomSecret::parse(fields.text("link")) else { return Ok(ConfirmMailPage::gone(&viewer)) };
    let Some(request) = web.access().confirm_mail(&link).await? else { return Ok(ConfirmMailPage::gone(&viewer)) };
    let waiting = Some((String::new(), request.account.to_string(), clean(request.mail.as_str())));
    let layout = Layout::public(&viewer, "Mail address confirmed");
    Ok(with_secret_address(page(&ConfirmMailPage { layout, waiting, is_done: true })))
}
