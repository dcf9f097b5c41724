//! One account for administrators: its roles, its state, its second factor, its sessions and its
//! tokens.

use askama::Template;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{Account, AccountChange, AccountKind, AccountName, Operation};
use kastrel_actors::policy::access::decide;

use super::fields::{Accounts, Errors, Fields, Input, Select, with_status, without_token};
use super::identity::{IdentityLine, subject_field};
use super::links::{NewLinkPage, account_url};
use super::passkeys::count_text;
use super::roles::{
    NO_ROLE, ProjectLine, kind_text, project_lines, read_role, roles_text, second_factor_text, server_role_field,
    server_role_text, state_badge,
};
use super::sessions::{SessionRow, ToEnd, session_rows};
use super::tokens::{NewTokenPage, TokenForm, TokenRow, read_token, read_token_id, token_rows};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::badge::Badge;
use crate::web::pages::confirm::{ConfirmPage, Permission};
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::pages::project_names::has_named_project;
use crate::web::path::{AccountPath, no_account};
use crate::web::state::WebInner;
use crate::web::text::{MomentText, clean};
use crate::web::viewer::Viewer;

/// The page of an account.
#[derive(Template)]
#[template(path = "accounts/account_detail.html")]
pub(crate) struct AccountDetailPage {
    layout: Layout,
    notice: Option<Notice>,
    name: String,
    url: String,
    kind: &'static str,
    state: Badge,
    created: MomentText,
    server_role: &'static str,
    second_factor: &'static str,
    /// The mail address; empty if the account has none.
    mail: String,
    /// How many passkeys it has, if it has any.
    passkeys: Option<String>,
    /// The identity at the identity provider.
    identity: Option<IdentityLine>,
    /// The role in the default project, if there is no other project.
    role: String,
    projects: Vec<ProjectLine>,
    /// The actions; `None` if the viewer may not change accounts.
    actions: Option<Actions>,
    sessions: Vec<SessionRow>,
    has_other_sessions: bool,
    sessions_url: String,
    tokens: Vec<TokenRow>,
    revoke_url: String,
    /// The form of a new token; only for service accounts, because users create their own.
    token_form: Option<TokenForm>,
    create_url: String,
}

/// What an administrator may change.
pub(crate) struct Actions {
    is_disabled: bool,
    has_password_link: bool,
    has_factor_reset: bool,
    /// The field of the form that links the account; `None` if it is linked, or nothing can be
    /// linked.
    subject: Option<Input>,
    server_role: Select,
    /// The field of the mail address; none for the viewer's own account and for programs.
    mail: Option<Input>,
}

/// What a form that was not carried out shows again.
#[derive(Default)]
struct Again {
    errors: Errors,
    typed: Fields,
}

/// Shows the page.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let shown = read(&web, &viewer, &name, Again::default()).await?;
    Ok(page(&AccountDetailPage { notice: notice_of(query.text("notice")), ..shown }))
}

fn notice_of(name: &str) -> Option<Notice> {
    let text = match name {
        "created" => "The account was created.",
        "disabled" => "The account was disabled. Its sessions were ended, and its tokens are refused.",
        "enabled" => "The account was enabled.",
        "server-role" => "The server role was changed.",
        "sessions" => "The sessions were ended.",
        "revoked" => "The token was revoked.",
        "mailed" => "The account was created. A one-time link was sent to its mail address.",
        "mail" => "The mail address was changed.",
        "second-factor" => "The second factor and the passkeys were removed. The sessions were ended.",
        "linked" => "The account was linked. Its person signs in with the identity provider.",
        "unlinked" => "The account was unlinked. The sessions were ended.",
        _ => return None,
    };
    Some(Notice::new("done", text))
}

async fn read(web: &WebInner, viewer: &Viewer, name: &AccountName, again: Again) -> Result<AccountDetailPage, Problem> {
    let (access, context) = (web.access(), &viewer.context);
    let account = access.account(context, name).await?.ok_or_else(no_account)?;
    let projects = access.projects(context).await?;
    let sessions = access.sessions(context, name).await?;
    let tokens = access.tokens(context, name).await?;
    let passkeys = access.passkeys(context, name).await?;
    let identity = access.identity(context, name).await?;
    let layout = Layout::of(web, viewer, Here::Accounts, format!("Account {name}")).await;
    let clock = web.clock(viewer);
    let Again { mut errors, typed } = again;
    let may_change = decide(&context.grants, Operation::ManageAccounts, None).is_ok();
    let chosen = account.server_role.map_or(NO_ROLE, |role| role.as_str());
    let has_mail_field = account.kind == AccountKind::User && context.principal.account() != Some(name);
    let can_be_linked = may_change && account.kind == AccountKind::User && identity.is_none();
    let subject = if can_be_linked { subject_field(access, &typed, &mut errors) } else { None };
    let actions = may_change.then(|| Actions {
        is_disabled: account.is_disabled,
        has_password_link: account.kind == AccountKind::User && !account.is_disabled,
        has_factor_reset: account.has_second_factor && context.principal.account() != Some(name),
        subject,
        server_role: server_role_field(chosen, &mut errors),
        mail: has_mail_field.then(|| mail_field(&account, &typed, &mut errors)),
    });
    let creates_tokens = may_change && account.kind == AccountKind::Service;
    let token_form = creates_tokens.then(|| TokenForm::new(&account, &projects, &typed, &mut errors));
    let has_projects = has_named_project(&projects);
    let own_session = viewer.signed_in.as_ref().and_then(|who| who.session);
    let url = account_url(name);
    Ok(AccountDetailPage {
        layout,
        notice: errors.notice(),
        name: name.to_string(),
        kind: kind_text(account.kind),
        state: state_badge(&account),
        created: clock.moment(account.created_at),
        server_role: server_role_text(account.server_role),
        second_factor: second_factor_text(&account),
        mail: account.mail.as_ref().map(|mail| clean(mail.as_str())).unwrap_or_default(),
        passkeys: (!passkeys.is_empty()).then(|| count_text(&passkeys)),
        identity: identity.map(|linked| IdentityLine::new(&linked, &clock)),
        role: if has_projects { String::new() } else { roles_text(&account, false) },
        projects: if has_projects { project_lines(&account, &projects) } else { Vec::new() },
        actions,
        has_other_sessions: sessions.iter().any(|session| Some(session.key) != own_session),
        sessions: session_rows(&sessions, own_session, &clock),
        sessions_url: format!("{url}/sessions/end"),
        tokens: token_rows(&tokens, &projects, &clock),
        revoke_url: format!("{url}/tokens/revoke"),
        token_form,
        create_url: format!("{url}/tokens"),
        url,
    })
}

/// Shows the page with the errors of a form.
async fn again(web: &WebInner, viewer: &Viewer, name: &AccountName, again: Again) -> Result<Response, Problem> {
    let status = again.errors.status();
    Ok(with_status(status, page(&read(web, viewer, name, again).await?)))
}

/// Shows the page with the errors of a form of another file.
pub(super) async fn with_errors(
    web: &WebInner,
    viewer: &Viewer,
    name: &AccountName,
    errors: Errors,
    typed: Fields,
) -> Result<Response, Problem> {
    again(web, viewer, name, Again { errors, typed }).await
}

/// Returns the response to a change of an account.
async fn changed(
    web: &WebInner,
    viewer: &Viewer,
    name: &AccountName,
    change: AccountChange,
    notice: &str,
) -> Result<Response, Problem> {
    match web.access().change_account(&viewer.context, name, change).await {
        Ok(true) => Ok(Redirect::to(&format!("{}?notice={notice}", account_url(name))).into_response()),
        Ok(false) => Err(no_account()),
        Err(error) => {
            let errors = Errors::from_service(error)?;
            again(web, viewer, name, Again { errors, ..Again::default() }).await
        }
    }
}

/// Disables an account, after a confirmation.
pub(crate) async fn disable(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
    fields: Fields,
) -> Result<Response, Problem> {
    if fields.text("confirmed") == "yes" {
        return changed(&web, &viewer, &name, AccountChange::Disable, "disabled").await;
    }
    let question = format!("Disable the account {name}?");
    let consequence = "It cannot sign in, its sessions end, and its tokens are refused. It can be enabled again.";
    ask(&web, &viewer, &name, Question { question, consequence, button: "Disable account", path: "disable" }).await
}

/// A change of an account that is confirmed on a page of its own.
pub(super) struct Question {
    pub(super) question: String,
    pub(super) consequence: &'static str,
    pub(super) button: &'static str,
    /// The path of the form, below the page of the account.
    pub(super) path: &'static str,
}

/// Asks before a change of an account.
pub(super) async fn ask(
    web: &WebInner,
    viewer: &Viewer,
    name: &AccountName,
    asked: Question,
) -> Result<Response, Problem> {
    web.access().account(&viewer.context, name).await?.ok_or_else(no_account)?;
    let Question { question, consequence, button, path } = asked;
    Ok(page(&ConfirmPage {
        layout: Layout::of(web, viewer, Here::Accounts, question.clone()).await,
        question,
        consequence: consequence.into(),
        button: button.into(),
        icon: "stop",
        is_dangerous: true,
        can_go_on: true,
        permission: Permission::NotNeeded,
        post_url: format!("{}/{path}", account_url(name)),
        back_url: account_url(name),
        returns: false,
        action: "",
        scans: Vec::new(),
        named: Vec::new(),
        more: None,
        left_out: None,
    }))
}

/// Removes the second factor and the passkeys of an account whose user lost them, after a
/// confirmation.
pub(crate) async fn remove_second_factor(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
    fields: Fields,
) -> Result<Response, Problem> {
    without_token(&viewer)?;
    if fields.text("confirmed") == "yes" {
        return match web.access().reset_second_factor(&viewer.context, &name).await {
            Ok(true) => Ok(Redirect::to(&format!("{}?notice=second-factor", account_url(&name))).into_response()),
            Ok(false) => Err(Problem::not_found("this account has no second factor")),
            Err(error) => {
                let errors = Errors::from_service(error)?;
                again(&web, &viewer, &name, Again { errors, ..Again::default() }).await
            }
        };
    }
    let question = format!("Remove the second factor of {name}?");
    let consequence = "Its authenticator app, its recovery codes and its passkeys are removed, and its sessions end. \
                      The password alone then opens the account, unless the server requires a second factor. Do this \
                      only when you know that the user asks for it.";
    let path = "second-factor/remove";
    ask(&web, &viewer, &name, Question { question, consequence, button: "Remove second factor", path }).await
}

/// Enables an account.
pub(crate) async fn enable(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
) -> Result<Response, Problem> {
    changed(&web, &viewer, &name, AccountChange::Enable, "enabled").await
}

/// Changes the role on the server.
pub(crate) async fn set_server_role(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
    fields: Fields,
) -> Result<Response, Problem> {
    match read_role(&fields, "server_role") {
        Ok(role) => changed(&web, &viewer, &name, AccountChange::SetServerRole(role), "server-role").await,
        Err(errors) => again(&web, &viewer, &name, Again { errors, ..Again::default() }).await,
    }
}

/// Returns the field for the mail address, with the present one unless another was typed.
fn mail_field(account: &Account, typed: &Fields, errors: &mut Errors) -> Input {
    let field = Input::text("mail", "Mail address", typed, errors).optional();
    let own = account.mail.as_ref().map(|mail| clean(mail.as_str())).unwrap_or_default();
    let value = if field.value.is_empty() { own } else { field.value.clone() };
    Input { kind: "email", value, ..field }
        .with_hint("For new passwords and notices. It counts without a confirmation.")
}

/// Sets the mail address, or removes it.
pub(crate) async fn set_mail(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
    fields: Fields,
) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let mail = Some(fields.text("mail")).filter(|mail| !mail.is_empty());
    match web.access().set_mail(&viewer.context, &name, mail).await {
        Ok(true) => Ok(Redirect::to(&format!("{}?notice=mail", account_url(&name))).into_response()),
        Ok(false) => Err(no_account()),
        Err(error) => {
            let errors = Errors::from_service(error)?;
            again(&web, &viewer, &name, Again { errors, typed: fields }).await
        }
    }
}

/// Makes a one-time link with which the password is set, and shows it once.
pub(crate) async fn password_link(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    without_token(&viewer)?;
    match web.access().password_link(&viewer.context, &name).await {
        Ok(Some(link)) => {
            let layout = Layout::of(&web, &viewer, Here::Accounts, "Password link").await;
            Ok(page(&NewLinkPage::new(&web, &viewer, layout, (&uri, &headers), &name, &link)))
        }
        Ok(None) => Err(no_account()),
        Err(error) => {
            let errors = Errors::from_service(error)?;
            again(&web, &viewer, &name, Again { errors, ..Again::default() }).await
        }
    }
}

/// Ends a session of an account, or all. The viewer's own session is kept when all others end.
pub(crate) async fn end_sessions(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
    fields: Fields,
) -> Result<Response, Problem> {
    let (access, context) = (web.access(), &viewer.context);
    match ToEnd::read(&fields)? {
        ToEnd::One(key) => {
            access.end_session(context, &name, key).await?;
        }
        ToEnd::Others => {
            let keep = viewer.signed_in.as_ref().and_then(|who| who.session);
            access.end_other_sessions(context, &name, keep).await?;
        }
    }
    Ok(Redirect::to(&format!("{}?notice=sessions", account_url(&name))).into_response())
}

/// Creates a token of an account, and shows it once.
pub(crate) async fn create_token(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
    fields: Fields,
) -> Result<Response, Problem> {
    without_token(&viewer)?;
    let (access, context) = (web.access(), &viewer.context);
    let errors = match read_token(&name, &fields) {
        Ok(request) => match access.create_token(context, request).await {
            Ok(created) => {
                let projects = access.projects(context).await?;
                let layout = Layout::of(&web, &viewer, Here::Accounts, "New token").await;
                return Ok(NewTokenPage::answer(layout, &created, &projects, &web.clock(&viewer), account_url(&name)));
            }
            Err(error) => Errors::from_service(error)?,
        },
        Err(errors) => errors,
    };
    again(&web, &viewer, &name, Again { errors, typed: fields }).await
}

/// Revokes a token of an account.
pub(crate) async fn revoke_token(
    Accounts(web): Accounts,
    viewer: Viewer,
    AccountPath(name): AccountPath,
    fields: Fields,
) -> Result<Response, Problem> {
    let id = read_token_id(&fields)?;
    web.access().revoke_token(&viewer.context, &name, &id).await?;
    Ok(Redirect::to(&format!("{}?notice=revoked", account_url(&name))).into_response())
}
