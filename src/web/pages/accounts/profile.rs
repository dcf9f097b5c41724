//! The viewer's own account: who one is, the password, the second factor, the passkeys, the
//! sessions and the API tokens.

use askama::Template;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{Account, AccountKind, Project};

use super::fields::{Accounts, Errors, Fields, Input, own, with_status, without_token};
use super::identity::IdentityLine;
use super::passkeys::count_text;
use super::roles::{ProjectLine, kind_text, project_lines, roles_text, server_role_text};
use super::second_factor::FactorLine;
use super::sessions::{SessionRow, ToEnd, session_rows};
use super::set_up::new_password;
use super::sign_in::with_session;
use super::tokens::{NewTokenPage, TokenForm, TokenRow, read_token, read_token_id, token_rows};
use crate::service::access::SignedIn;
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::pages::project_names::has_named_project;
use crate::web::state::WebInner;
use crate::web::text::clean;
use crate::web::viewer::Viewer;

/// The page of the viewer's own account.
#[derive(Template)]
#[template(path = "accounts/profile.html")]
pub(crate) struct ProfilePage {
    layout: Layout,
    notice: Option<Notice>,
    name: String,
    kind: &'static str,
    server_role: &'static str,
    /// The role in the default project, if there is no other project.
    role: String,
    projects: Vec<ProjectLine>,
    /// The identity at the identity provider.
    identity: Option<IdentityLine>,
    password: Option<PasswordForm>,
    factor: Option<FactorLine>,
    /// The mail address; empty if the account has none.
    mail: String,
    /// How many passkeys the account has.
    passkeys: String,
    sessions: Vec<SessionRow>,
    has_other_sessions: bool,
    sessions_url: String,
    tokens: Vec<TokenRow>,
    revoke_url: String,
    token_form: TokenForm,
    create_url: String,
}

/// The form that changes the password.
pub(crate) struct PasswordForm {
    current: Input,
    new: Input,
    repeat: Input,
}

impl PasswordForm {
    fn new(errors: &mut Errors) -> Self {
        Self {
            current: Input::password("current_password", "Current password", "current-password", errors),
            new: new_password("new_password", "New password", errors),
            repeat: Input::password("repeat", "New password again", "new-password", errors),
        }
    }
}

/// What a form that was not carried out shows again.
#[derive(Default)]
struct Again {
    password: Errors,
    token: Errors,
    typed: Fields,
}

/// Shows the page.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let shown = read(&web, &viewer, Again::default()).await?;
    Ok(page(&ProfilePage { notice: notice_of(query.text("notice")), ..shown }))
}

fn notice_of(name: &str) -> Option<Notice> {
    let text = match name {
        "password" => "The password was changed. Your other sessions were ended.",
        "mail-removed" => "The mail address was removed.",
        "sessions" => "The sessions were ended.",
        "revoked" => "The token was revoked.",
        _ => return None,
    };
    Some(Notice::new("done", text))
}

async fn read_account(web: &WebInner, viewer: &Viewer, who: &SignedIn) -> Result<(Account, Vec<Project>), Problem> {
    let context = &viewer.context;
    let account = web.access().account(context, &who.account).await?;
    let account = account.ok_or_else(|| Problem::not_found("account not found"))?;
    Ok((account, web.access().projects(context).await?))
}

async fn read(web: &WebInner, viewer: &Viewer, again: Again) -> Result<ProfilePage, Problem> {
    let who = own(viewer)?;
    let (account, projects) = read_account(web, viewer, who).await?;
    let sessions = web.access().sessions(&viewer.context, &who.account).await?;
    let tokens = web.access().tokens(&viewer.context, &who.account).await?;
    let factor = web.access().second_factor(&viewer.context, &who.account).await?;
    let passkeys = web.access().passkeys(&viewer.context, &who.account).await?;
    let identity = web.access().identity(&viewer.context, &who.account).await?;
    let layout = Layout::of(web, viewer, Here::Elsewhere, "Your account").await;
    let clock = web.clock(viewer);
    let Again { mut password, token: mut token_errors, typed } = again;
    let has_projects = has_named_project(&projects);
    // An account that only signs in with the identity provider has no password to change.
    let has_password = account.kind == AccountKind::User && (account.has_password || identity.is_none());
    let form = has_password.then(|| PasswordForm::new(&mut password));
    let token_form = TokenForm::new(&account, &projects, &typed, &mut token_errors);
    Ok(ProfilePage {
        layout,
        notice: password.notice().or_else(|| token_errors.notice()),
        name: account.name.to_string(),
        kind: kind_text(account.kind),
        server_role: server_role_text(account.server_role),
        role: if has_projects { String::new() } else { roles_text(&account, false) },
        projects: if has_projects { project_lines(&account, &projects) } else { Vec::new() },
        identity: identity.map(|linked| IdentityLine::new(&linked, &clock)),
        password: form,
        mail: account.mail.as_ref().map(|mail| clean(mail.as_str())).unwrap_or_default(),
        factor: factor.map(|factor| FactorLine::new(&factor, &clock)),
        passkeys: count_text(&passkeys),
        has_other_sessions: sessions.iter().any(|session| Some(session.key) != who.session),
        sessions: session_rows(&sessions, who.session, &clock),
        sessions_url: "/profile/sessions/end".into(),
        tokens: token_rows(&tokens, &projects, &clock),
        revoke_url: "/profile/tokens/revoke".into(),
        token_form,
        create_url: "/profile/tokens".into(),
    })
}

/// Changes the password. The viewer's other sessions end, and this one gets a new cookie.
pub(crate) async fn change_password(
    Accounts(web): Accounts,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    let errors = match fields.repeated("new_password", "repeat") {
        Ok(new) => match web.access().change_password(who, fields.password("current_password"), new).await {
            Ok(session) => {
                let changed = Redirect::to("/profile?notice=password").into_response();
                return Ok(with_session(changed, &viewer, &session));
            }
            Err(error) => Errors::from_service(error)?,
        },
        Err(errors) => errors,
    };
    let status = errors.status();
    let shown = read(&web, &viewer, Again { password: errors, ..Again::default() }).await?;
    Ok(with_status(status, page(&shown)))
}

/// Ends a session, or all except this one.
pub(crate) async fn end_sessions(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    let who = own(&viewer)?;
    match ToEnd::read(&fields)? {
        ToEnd::One(key) => {
            web.access().end_session(&viewer.context, &who.account, key).await?;
        }
        ToEnd::Others => {
            web.access().end_other_sessions(&viewer.context, &who.account, who.session).await?;
        }
    }
    Ok(Redirect::to("/profile?notice=sessions").into_response())
}

/// Creates a token, and shows it once.
pub(crate) async fn create_token(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let who = own(&viewer)?;
    let errors = match read_token(&who.account, &fields) {
        Ok(request) => match web.access().create_token(&viewer.context, request).await {
            Ok(created) => {
                let projects = web.access().projects(&viewer.context).await?;
                let layout = Layout::of(&web, &viewer, Here::Elsewhere, "New token").await;
                return Ok(NewTokenPage::answer(layout, &created, &projects, &web.clock(&viewer), "/profile".into()));
            }
            Err(error) => Errors::from_service(error)?,
        },
        Err(errors) => errors,
    };
    let status = errors.status();
    let again = Again { token: errors, typed: fields, ..Again::default() };
    Ok(with_status(status, page(&read(&web, &viewer, again).await?)))
}

/// Revokes a token.
pub(crate) async fn revoke_token(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    let who = own(&viewer)?;
    let id = read_token_id(&fields)?;
    web.access().revoke_token(&viewer.context, &who.account, &id).await?;
    Ok(Redirect::to("/profile?notice=revoked").into_response())
}
