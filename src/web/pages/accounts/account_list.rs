//! All accounts, and the form of a new one.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{Account, AccountKind, Operation, Project, ProjectId};
use kastrel_actors::policy::access::decide;

use super::fields::{Accounts, Errors, Fields, Input, Select, with_status};
use super::links::{NewLinkPage, account_url};
use super::roles::{
    kind_text, optional_role_field, read_role, roles_text, second_factor_text, server_role_field, server_role_text,
    state_badge,
};
use super::set_up::new_password;
use crate::service::access::AccountRequest;
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::badge::Badge;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::pages::project_names::has_named_project;
use crate::web::state::WebInner;
use crate::web::text::MomentText;
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// The page with all accounts.
#[derive(Template)]
#[template(path = "accounts/account_list.html")]
pub(crate) struct AccountListPage {
    layout: Layout,
    notice: Option<Notice>,
    rows: Vec<AccountRow>,
    /// The heading of the roles in projects.
    roles_label: &'static str,
    form: Option<AccountForm>,
}

/// An account.
pub(crate) struct AccountRow {
    name: String,
    url: String,
    kind: &'static str,
    server_role: &'static str,
    roles: String,
    state: Badge,
    second_factor: &'static str,
    created: MomentText,
}

impl AccountRow {
    fn new(account: &Account, has_projects: bool, clock: &WallClock) -> Self {
        Self {
            name: account.name.to_string(),
            url: account_url(&account.name),
            kind: kind_text(account.kind),
            server_role: server_role_text(account.server_role),
            roles: roles_text(account, has_projects),
            state: state_badge(account),
            second_factor: second_factor_text(account),
            created: clock.moment(account.created_at),
        }
    }
}

/// The form of a new account.
pub(crate) struct AccountForm {
    name: Input,
    kind: Select,
    server_role: Select,
    role: Select,
    password: Input,
    mail: Input,
    /// Whether the tick is shown that mails the link: the server sends mails.
    can_send: bool,
    sends_link: bool,
    send_error: Option<String>,
}

impl AccountForm {
    fn new(has_projects: bool, can_send: bool, typed: &Fields, errors: &mut Errors) -> Self {
        let kinds = AccountKind::ALL.iter().map(|kind| (kind.to_string(), kind_text(*kind).to_owned()));
        let role_label = if has_projects { "Role in the project default" } else { "Role" };
        Self {
            name: Input::text("name", "Name", typed, errors)
                .with_hint("a-z, 0-9 and . _ - @ +. The name identifies the account and cannot be changed."),
            kind: Select::new("kind", "Kind", kinds, typed.text("kind"), errors),
            server_role: server_role_field(typed.text("server_role"), errors),
            role: optional_role_field(role_label, typed.text("role"), errors),
            password: new_password("password", "Password (optional)", errors)
                .optional()
                .with_hint("Without a password, the next page shows a one-time link with which the user sets it."),
            mail: Input { kind: "email", ..Input::text("mail", "Mail address (optional)", typed, errors).optional() }
                .with_hint("For new passwords and notices."),
            can_send,
            sends_link: typed.text("send_link") == "yes",
            send_error: errors.take("send_link"),
        }
    }
}

/// Shows the page.
pub(crate) async fn show(Accounts(web): Accounts, viewer: Viewer) -> Result<Response, Problem> {
    Ok(page(&read(&web, &viewer, &Fields::default(), Errors::default()).await?))
}

async fn read(web: &WebInner, viewer: &Viewer, typed: &Fields, mut errors: Errors) -> Result<AccountListPage, Problem> {
    let accounts = web.access().accounts(&viewer.context).await?;
    let projects: Vec<Project> = web.access().projects(&viewer.context).await?;
    let has_projects = has_named_project(&projects);
    let layout = Layout::of(web, viewer, Here::Accounts, "Accounts").await;
    let clock = web.clock(viewer);
    let may_create = decide(&viewer.context.grants, Operation::ManageAccounts, None).is_ok();
    let form = may_create.then(|| AccountForm::new(has_projects, web.access().has_mail(), typed, &mut errors));
    Ok(AccountListPage {
        layout,
        notice: errors.notice(),
        rows: accounts.iter().map(|account| AccountRow::new(account, has_projects, &clock)).collect(),
        roles_label: if has_projects { "Roles in projects" } else { "Role" },
        form,
    })
}

fn read_form(fields: &Fields) -> Result<AccountRequest, Errors> {
    let kind = fields.text("kind").parse::<AccountKind>().map_err(|_| Errors::of("kind", "choose user or service"))?;
    if kind == AccountKind::Service && !fields.is_empty("password") {
        return Err(Errors::of("password", "a service account has no password; it uses tokens"));
    }
    let role = read_role(fields, "role")?;
    Ok(AccountRequest {
        name: fields.text("name").to_owned(),
        kind,
        server_role: read_role(fields, "server_role")?,
        password: (!fields.is_empty("password")).then(|| fields.password("password")),
        mail: Some(fields.text("mail").to_owned()).filter(|mail| !mail.is_empty()),
        send_link: fields.text("send_link") == "yes",
        memberships: role.map(|role| (ProjectId::default(), role)).into_iter().collect::<BTreeMap<_, _>>(),
    })
}

/// Creates an account. A user without a password gets a one-time link, which is shown once.
pub(crate) async fn create(
    Accounts(web): Accounts,
    viewer: Viewer,
    uri: Uri,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    let errors = match read_form(&fields) {
        Ok(request) => match web.access().create_account(&viewer.context, request).await {
            Ok((account, Some(link))) => {
                let layout = Layout::of(&web, &viewer, Here::Accounts, "Account created").await;
                return Ok(page(&NewLinkPage::new(&web, &viewer, layout, (&uri, &headers), &account.name, &link)));
            }
            Ok((account, None)) => {
                let notice = if fields.text("send_link") == "yes" { "mailed" } else { "created" };
                return Ok(Redirect::to(&format!("{}?notice={notice}", account_url(&account.name))).into_response());
            }
            Err(error) => Errors::from_service(error)?,
        },
        Err(errors) => errors,
    };
    let status = errors.status();
    Ok(with_status(status, page(&read(&web, &viewer, &fields, errors).await?)))
}
