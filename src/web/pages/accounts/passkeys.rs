//! The passkeys of the viewer's own account: their list, a new one, another label, and the removal.

use askama::Template;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{Passkey, PasskeyId};
use kastrel_actors::policy::second_factor::SecondStep;

use super::fields::{Accounts, Errors, Fields, Input, own, with_status, without_token};
use super::passkey_prompt::{PasskeyPrompt, answer_of, confirmation_of};
use super::sign_in::with_session;
use crate::service::access::{PasskeyAnswer, PasskeyRequest};
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::state::WebInner;
use crate::web::text::{MomentText, clean, counted, sentence};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// A passkey, as the pages show it.
pub(super) struct PasskeyRow {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) added: MomentText,
    pub(super) used: Option<MomentText>,
}

impl PasskeyRow {
    fn new(passkey: &Passkey, clock: &WallClock) -> Self {
        Self {
            id: passkey.id.to_string(),
            label: clean(&passkey.label),
            added: clock.moment(passkey.created_at),
            used: passkey.used_at.map(|at| clock.moment(at)),
        }
    }
}

/// Returns how many passkeys an account has, in words.
pub(super) fn count_text(passkeys: &[Passkey]) -> String {
    match passkeys.len() {
        0 => "None".to_owned(),
        count => counted(count as u64, "passkey", "passkeys"),
    }
}

/// The fields that confirm a change: the password, and a code or a passkey where the account has
/// one.
pub(super) struct ConfirmationForm {
    pub(super) name: String,
    pub(super) password: Input,
    pub(super) code: Option<Input>,
    /// Whether a passkey confirms the change.
    pub(super) prompt: Option<PasskeyPrompt>,
    /// The error of the passkey.
    pub(super) error: Option<String>,
}

impl ConfirmationForm {
    /// Whether the form can be sent without a passkey.
    pub(super) const fn is_direct(&self) -> bool {
        self.code.is_some() || self.prompt.is_none()
    }

    pub(super) fn new(web: &WebInner, name: String, step: SecondStep, errors: &mut Errors) -> Self {
        Self {
            name,
            password: Input::password("current_password", "Current password", "current-password", errors),
            code: step.takes_code().then(|| Input::any_code(errors)),
            prompt: PasskeyPrompt::of_step(web, step),
            error: errors.take("passkey"),
        }
    }
}

/// The page with the list.
#[derive(Template)]
#[template(path = "accounts/passkeys.html")]
struct PasskeysPage {
    layout: Layout,
    notice: Option<Notice>,
    passkeys: Vec<PasskeyRow>,
    /// Why the server accepts no passkeys.
    refusal: Option<String>,
    /// The form of a new passkey; none if the account has as many as it may have.
    form: Option<NewPasskeyForm>,
}

struct NewPasskeyForm {
    label: Input,
    confirmation: ConfirmationForm,
}

/// The page on which the authenticator makes the passkey.
#[derive(Template)]
#[template(path = "accounts/new_passkey.html")]
struct NewPasskeyPage {
    layout: Layout,
    label: String,
    options: String,
    state: String,
    prompt: PasskeyPrompt,
}

/// The page of one passkey.
#[derive(Template)]
#[template(path = "accounts/passkey.html")]
struct PasskeyPage {
    layout: Layout,
    notice: Option<Notice>,
    passkey: PasskeyRow,
    label: Input,
    confirmation: ConfirmationForm,
}

async fn read(web: &WebInner, viewer: &Viewer, typed: &Fields, mut errors: Errors) -> Result<PasskeysPage, Problem> {
    let who = own(viewer)?;
    let passkeys = web.access().passkeys(&viewer.context, &who.account).await?;
    let step = web.access().second_step(&who.account).await?;
    let clock = web.clock(viewer);
    let refusal = web.access().relying_party().err().map(|reason| sentence(&reason.to_string()));
    let form = (refusal.is_none() && passkeys.len() < Passkey::MOST).then(|| NewPasskeyForm {
        label: Input::text("label", "Name of the new passkey", typed, &mut errors)
            .with_hint("Such as the device or the password manager that keeps it."),
        confirmation: ConfirmationForm::new(web, who.account.to_string(), step, &mut errors),
    });
    Ok(PasskeysPage {
        layout: Layout::of(web, viewer, Here::Elsewhere, "Passkeys").await,
        passkeys: passkeys.iter().map(|passkey| PasskeyRow::new(passkey, &clock)).collect(),
        refusal,
        form,
        notice: errors.notice(),
    })
}

/// Shows the page with the list.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let shown = read(&web, &viewer, &Fields::default(), Errors::default()).await?;
    Ok(page(&PasskeysPage { notice: notice_of(query.text("notice")), ..shown }))
}

fn notice_of(name: &str) -> Option<Notice> {
    let text = match name {
        "added" => "The passkey was added. Your other sessions were ended.",
        "renamed" => "The passkey was renamed.",
        "removed" => "The passkey was removed. Your other sessions were ended.",
        _ => return None,
    };
    Some(Notice::new("done", text))
}

async fn again(web: &WebInner, viewer: &Viewer, typed: &Fields, errors: Errors) -> Result<Response, Problem> {
    let status = errors.status();
    Ok(with_status(status, page(&read(web, viewer, typed, errors).await?)))
}

/// Returns the error of a form without the password, which is not looked at.
fn missing_password(fields: &Fields) -> Option<Errors> {
    fields.is_empty("current_password").then(|| Errors::of("current_password", "enter the current password"))
}

/// Begins the addition of a passkey.
pub(crate) async fn begin(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    if let Some(errors) = missing_password(&fields) {
        return again(&web, &viewer, &fields, errors).await;
    }
    let label = fields.text("label");
    let begun = web.access().begin_passkey(who, confirmation_of(&fields), label).await;
    match (begun, PasskeyPrompt::of(&web)) {
        (Ok(PasskeyRequest { options, state }), Some(prompt)) => {
            let layout = Layout::of(&web, &viewer, Here::Elsewhere, "New passkey").await;
            Ok(page(&NewPasskeyPage { layout, label: clean(label), options, state, prompt }))
        }
        (Ok(_), None) => Ok(Redirect::to("/profile/passkeys").into_response()),
        (Err(error), _) => again(&web, &viewer, &fields, Errors::from_service(error)?).await,
    }
}

/// Adds the passkey that the authenticator made.
pub(crate) async fn confirm(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    let answer = answer_of(&fields).unwrap_or_else(|| PasskeyAnswer { state: String::new(), answer: String::new() });
    match web.access().finish_passkey(who, &answer).await {
        Ok(session) => {
            let added = Redirect::to("/profile/passkeys?notice=added").into_response();
            Ok(with_session(added, &viewer, &session))
        }
        Err(error) => again(&web, &viewer, &Fields::default(), Errors::from_service(error)?).await,
    }
}

fn id_of(fields: &Fields) -> Result<PasskeyId, Problem> {
    fields.text("id").parse().map_err(|_| Problem::new(ProblemKind::Malformed, "the form names no passkey"))
}

/// Returns the page of one passkey.
async fn read_one(
    web: &WebInner,
    viewer: &Viewer,
    id: &PasskeyId,
    typed: Option<&Fields>,
    mut errors: Errors,
) -> Result<PasskeyPage, Problem> {
    let who = own(viewer)?;
    let passkeys = web.access().passkeys(&viewer.context, &who.account).await?;
    let passkey = passkeys.iter().find(|passkey| passkey.id == *id);
    let passkey = passkey.ok_or_else(|| Problem::not_found("this account has no such passkey"))?;
    let step = web.access().second_step(&who.account).await?;
    let label = Input::text("label", "Name", typed.unwrap_or(&Fields::default()), &mut errors);
    let row = PasskeyRow::new(passkey, &web.clock(viewer));
    Ok(PasskeyPage {
        layout: Layout::of(web, viewer, Here::Elsewhere, format!("Passkey {}", row.label)).await,
        label: if typed.is_some() { label } else { Input { value: row.label.clone(), ..label } },
        passkey: row,
        confirmation: ConfirmationForm::new(web, who.account.to_string(), step, &mut errors),
        notice: errors.notice(),
    })
}

/// Shows the page of one passkey.
pub(crate) async fn show_one(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let id = id_of(&query).map_err(|_| Problem::not_found("this account has no such passkey"))?;
    Ok(page(&read_one(&web, &viewer, &id, None, Errors::default()).await?))
}

/// Gives a passkey another name.
pub(crate) async fn rename(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    let id = id_of(&fields)?;
    match web.access().rename_passkey(who, &id, fields.text("label")).await {
        Ok(()) => Ok(Redirect::to("/profile/passkeys?notice=renamed").into_response()),
        Err(error) => {
            let errors = Errors::from_service(error)?;
            let status = errors.status();
            Ok(with_status(status, page(&read_one(&web, &viewer, &id, Some(&fields), errors).await?)))
        }
    }
}

/// Removes a passkey, after the password and a code or a passkey.
pub(crate) async fn remove(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    let id = id_of(&fields)?;
    let errors = match missing_password(&fields) {
        Some(errors) => errors,
        None => match web.access().remove_passkey(who, &id, confirmation_of(&fields)).await {
            Ok(session) => {
                let removed = Redirect::to("/profile/passkeys?notice=removed").into_response();
                return Ok(with_session(removed, &viewer, &session));
            }
            Err(error) => Errors::from_service(error)?,
        },
    };
    let status = errors.status();
    Ok(with_status(status, page(&read_one(&web, &viewer, &id, None, errors).await?)))
}
