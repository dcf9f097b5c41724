//! The page on which somebody allows a command line to have an API token, or denies it. It first
//! shows what the command line says about itself, and never allows anything by its address alone.

use askama::Template;
use axum::extract::RawQuery;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{AccountName, DeviceDecision, DeviceLogin};

use super::fields::{Accounts, Errors, Fields, Input, own, with_status, without_token};
use super::sign_in::whole_seconds;
use crate::identity::user_code::UserCode;
use crate::service::access::DeviceCodeError;
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::state::WebInner;
use crate::web::text::{MomentText, clean, counted};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// The page.
#[derive(Template)]
#[template(path = "accounts/device.html")]
pub(crate) struct DevicePage {
    layout: Layout,
    notice: Option<Notice>,
    /// The account whose token it is about.
    name: String,
    /// The device login to decide about; without one, the page asks for its code.
    login: Option<LoginFacts>,
    code: Input,
}

/// What the page shows of a device login.
struct LoginFacts {
    code: String,
    label: String,
    address: String,
    started: MomentText,
    role: String,
    has_server_role: bool,
    server_role: String,
    days: String,
}

impl LoginFacts {
    fn new((code, login): &(UserCode, DeviceLogin), viewer: &Viewer, clock: &WallClock) -> Self {
        let own = viewer.context.grants.server_role();
        Self {
            code: code.to_string(),
            label: clean(&login.label),
            address: clean(&login.address),
            started: clock.moment(login.created_at),
            role: login.request.role.to_string(),
            has_server_role: login.request.has_server_role,
            server_role: own.map_or_else(|| "none: your account has none".into(), |role| role.to_string()),
            days: counted(login.request.days.into(), "day", "days"),
        }
    }
}

async fn empty(web: &WebInner, viewer: &Viewer, account: &AccountName, mut errors: Errors) -> DevicePage {
    let code = Input::text("code", "Code", &Fields::default(), &mut errors)
        .with_hint("The code on your terminal, such as BCDF-GHJK.")
        .focused();
    DevicePage {
        layout: Layout::of(web, viewer, Here::Elsewhere, "Log in a command line").await,
        notice: errors.notice(),
        name: account.to_string(),
        login: None,
        code,
    }
}

/// Returns the page for a code that leads to nothing. All such codes have the same page.
async fn refused(
    web: &WebInner,
    viewer: &Viewer,
    account: &AccountName,
    error: DeviceCodeError,
) -> Result<Response, Problem> {
    let text = error.to_string();
    let (status, retry_after) = match error {
        DeviceCodeError::NotValid => (StatusCode::UNPROCESSABLE_ENTITY, None),
        DeviceCodeError::Throttled { retry_after } => (StatusCode::TOO_MANY_REQUESTS, Some(whole_seconds(retry_after))),
        DeviceCodeError::Store(error) => return Err(error.into()),
    };
    let shown = empty(web, viewer, account, Errors::of("code", &text)).await;
    let mut response = with_status(status, page(&shown));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

/// Asks for a code, or shows the device login of the code in the address.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let mut shown = empty(&web, &viewer, &who.account, Errors::default()).await;
    if query.text("code").is_empty() {
        return Ok(page(&DevicePage { notice: notice_of(query.text("notice")), ..shown }));
    }
    match web.access().waiting_device_login(who, query.text("code"), viewer.address).await {
        Ok(found) => {
            shown.login = Some(LoginFacts::new(&found, &viewer, &web.clock(&viewer)));
            Ok(page(&shown))
        }
        Err(error) => refused(&web, &viewer, &who.account, error).await,
    }
}

fn notice_of(name: &str) -> Option<Notice> {
    match name {
        "allowed" => {
            let text = "The command line was allowed and gets its token now. You can close this page. \
                        Your account lists the token, and revokes it.";
            Some(Notice::new("done", text))
        }
        "denied" => Some(Notice::new("done", "The command line was denied. It gets no token.")),
        _ => None,
    }
}

/// Allows or denies a device login.
pub(crate) async fn decide(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    let (decision, notice) = match fields.text("decision") {
        "allow" => (DeviceDecision::Allow, "allowed"),
        "deny" => (DeviceDecision::Deny, "denied"),
        _ => return Err(Problem::new(ProblemKind::Malformed, "the form has no decision")),
    };
    match web.access().decide_device_login(who, fields.text("code"), decision, viewer.address).await {
        Ok(_) => Ok(Redirect::to(&format!("/device?notice={notice}")).into_response()),
        Err(error) => refused(&web, &viewer, &who.account, error).await,
    }
}
