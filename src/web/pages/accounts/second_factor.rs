//! The second factor of the viewer's own account: its set-up, new recovery codes, and its removal.

use askama::Template;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};

use super::enrolment::{EnrolmentPage, RecoveryCodesPage, issuer};
use super::fields::{Accounts, Errors, Fields, own, with_status, without_token};
use super::passkey_prompt::{answer_of, confirmation_of};
use super::passkeys::ConfirmationForm;
use super::sign_in::with_session;
use crate::service::access::{AccountError, FactorState, NewSession};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::state::WebInner;
use crate::web::text::{MomentText, counted};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// The number of recovery codes below which the page warns.
const FEW_CODES: u64 = 3;

/// The page of the second factor.
#[derive(Template)]
#[template(path = "accounts/second_factor.html")]
pub(crate) struct SecondFactorPage {
    layout: Layout,
    notice: Option<Notice>,
    factor: Option<FactorLine>,
    confirmation: ConfirmationForm,
}

/// A second factor, as the pages show it.
pub(super) struct FactorLine {
    pub(super) added: MomentText,
    pub(super) codes: String,
    /// Whether new recovery codes are due.
    pub(super) has_few_codes: bool,
}

impl FactorLine {
    pub(super) fn new(factor: &FactorState, clock: &WallClock) -> Self {
        Self {
            added: clock.moment(factor.created_at),
            codes: counted(factor.recovery_codes, "recovery code left", "recovery codes left"),
            has_few_codes: factor.recovery_codes < FEW_CODES,
        }
    }
}

async fn read(web: &WebInner, viewer: &Viewer, mut errors: Errors) -> Result<SecondFactorPage, Problem> {
    let who = own(viewer)?;
    let factor = web.access().second_factor(&viewer.context, &who.account).await?;
    let step = web.access().second_step(&who.account).await?;
    let clock = web.clock(viewer);
    Ok(SecondFactorPage {
        layout: Layout::of(web, viewer, Here::Elsewhere, "Second factor").await,
        factor: factor.map(|factor| FactorLine::new(&factor, &clock)),
        confirmation: ConfirmationForm::new(web, who.account.to_string(), step, &mut errors),
        notice: errors.notice(),
    })
}

/// Shows the page.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let shown = read(&web, &viewer, Errors::default()).await?;
    let notice = (query.text("notice") == "removed")
        .then(|| Notice::new("done", "The second factor was removed. Your other sessions were ended."));
    Ok(page(&SecondFactorPage { notice, ..shown }))
}

async fn again(web: &WebInner, viewer: &Viewer, errors: Errors) -> Result<Response, Problem> {
    let status = errors.status();
    Ok(with_status(status, page(&read(web, viewer, errors).await?)))
}

/// Returns the error of a form without the password or the code. An empty one is not looked at.
fn missing(fields: &Fields, names: &[(&str, &str)]) -> Option<Errors> {
    names.iter().find(|(name, _)| fields.is_empty(name)).map(|(name, text)| Errors::of(name, text))
}

const PASSWORD: (&str, &str) = ("current_password", "enter the current password");
const CODE: (&str, &str) = ("code", "enter a code");

/// Begins the set-up, after the password, and after a passkey if the account has one.
pub(crate) async fn begin(
    Accounts(web): Accounts,
    viewer: Viewer,
    uri: Uri,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    if let Some(errors) = missing(&fields, &[PASSWORD]) {
        return again(&web, &viewer, errors).await;
    }
    match web.access().begin_enrolment(who, confirmation_of(&fields)).await {
        Ok(enrolment) => {
            let layout = Layout::of(&web, &viewer, Here::Elsewhere, "Set up a second factor").await;
            let name = issuer(&uri, &headers);
            Ok(page(&EnrolmentPage::on_profile(layout, &enrolment, &name, &mut Errors::default())))
        }
        Err(error) => again(&web, &viewer, Errors::from_service(error)?).await,
    }
}

/// Confirms the set-up with a code. The page shows the recovery codes once.
pub(crate) async fn confirm(
    Accounts(web): Accounts,
    viewer: Viewer,
    uri: Uri,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    let sealed = fields.text("sealed");
    let error = match web.access().confirm_enrolment(who, sealed, fields.text("code")).await {
        Ok((session, codes)) => {
            let layout = Layout::of(&web, &viewer, Here::Elsewhere, "Recovery codes").await;
            let shown = page(&RecoveryCodesPage::new(layout, "The second factor was added", &codes, "/profile"));
            return Ok(with_session(shown, &viewer, &session));
        }
        Err(error) => error,
    };
    let mut errors = Errors::from_service(error)?;
    match who.session.and_then(|session| web.access().enrolment(&who.account, session, sealed)) {
        Some(enrolment) => {
            let layout = Layout::of(&web, &viewer, Here::Elsewhere, "Set up a second factor").await;
            let name = issuer(&uri, &headers);
            let shown = EnrolmentPage::on_profile(layout, &enrolment, &name, &mut errors);
            Ok(with_status(StatusCode::UNPROCESSABLE_ENTITY, page(&shown)))
        }
        None => again(&web, &viewer, errors).await,
    }
}

/// Replaces the recovery codes, after the password and a code. The page shows them once.
pub(crate) async fn new_codes(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    if let Some(errors) = missing(&fields, &[PASSWORD, CODE]) {
        return again(&web, &viewer, errors).await;
    }
    let password = fields.password("current_password");
    match web.access().new_recovery_codes(who, password, fields.text("code")).await {
        Ok((session, codes)) => {
            let layout = Layout::of(&web, &viewer, Here::Elsewhere, "Recovery codes").await;
            let shown = page(&RecoveryCodesPage::new(layout, "New recovery codes", &codes, "/profile"));
            Ok(with_session(shown, &viewer, &session))
        }
        Err(error) => again(&web, &viewer, Errors::from_service(error)?).await,
    }
}

/// Removes the app, after the password and a code or a passkey.
pub(crate) async fn remove(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    let passkey = answer_of(&fields);
    let needed: &[(&str, &str)] = if passkey.is_some() { &[PASSWORD] } else { &[PASSWORD, CODE] };
    if let Some(errors) = missing(&fields, needed) {
        return again(&web, &viewer, errors).await;
    }
    let password = fields.password("current_password");
    let removed: Result<NewSession, AccountError> = match passkey {
        Some(passkey) => web.access().remove_app_with_passkey(who, password, passkey).await,
        None => web.access().remove_second_factor(who, password, fields.text("code")).await,
    };
    match removed {
        Ok(session) => {
            let removed = Redirect::to("/profile/second-factor?notice=removed").into_response();
            Ok(with_session(removed, &viewer, &session))
        }
        Err(error) => again(&web, &viewer, Errors::from_service(error)?).await,
    }
}
