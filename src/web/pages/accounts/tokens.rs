//! API tokens, as the pages of accounts show them and create them.

use askama::Template;
use axum::response::Response;
use kastrel_actors::model::{Account, AccountName, Project, ProjectId, ProjectRole, TokenId, TokenRecord};

use super::fields::{Errors, Fields, Input, Select};
use super::roles::role_field;
use crate::identity::token::ApiToken;
use crate::service::access::TokenRequest;
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::pages::layout::Layout;
use crate::web::pages::project_names::has_named_project;
use crate::web::text::{MomentText, clean};
use crate::web::zone::WallClock;

/// The longest lifetime of a token, and the usual one, in days.
const MOST_DAYS: u32 = 366;
const USUAL_DAYS: &str = "90";

/// A token.
pub(super) struct TokenRow {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) scope: String,
    pub(super) created: MomentText,
    pub(super) expires: MomentText,
    pub(super) used: Option<MomentText>,
    pub(super) is_expired: bool,
}

/// Returns the rows of tokens.
pub(super) fn token_rows(tokens: &[TokenRecord], projects: &[Project], clock: &WallClock) -> Vec<TokenRow> {
    let has_projects = has_named_project(projects);
    let row = |token: &TokenRecord| TokenRow {
        id: token.id.to_string(),
        label: clean(&token.label),
        scope: scope_text(token, has_projects),
        created: clock.moment(token.created_at),
        expires: clock.moment(token.expires_at),
        used: token.used_at.map(|at| clock.moment(at)),
        is_expired: token.expires_at <= clock.now,
    };
    tokens.iter().map(row).collect()
}

fn scope_text(token: &TokenRecord, has_projects: bool) -> String {
    let TokenRecord { scope, networks, .. } = token;
    let place = match &scope.project {
        Some(project) => format!(" in {project}"),
        None if has_projects => " in all projects".to_owned(),
        None => String::new(),
    };
    let server = if scope.has_server_role { ", with the server role" } else { "" };
    let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
    let from = if networks.is_empty() { String::new() } else { format!(", from {}", networks.join(" ")) };
    format!("{}{place}{server}{from}", scope.role)
}

/// The form of a new token.
pub(super) struct TokenForm {
    pub(super) label: Input,
    pub(super) role: Select,
    /// The projects, if there are several.
    pub(super) project: Option<Select>,
    /// Whether the account has a role on the server, which the token can have too.
    pub(super) has_server_role: bool,
    pub(super) takes_server_role: bool,
    pub(super) days: Input,
    pub(super) networks: Input,
}

impl TokenForm {
    /// Returns the form of an account, with what was typed into it.
    pub(super) fn new(account: &Account, projects: &[Project], typed: &Fields, errors: &mut Errors) -> Self {
        let most = account.grants().highest_role().unwrap_or(ProjectRole::Viewer);
        let all = ("all".to_owned(), "All projects".to_owned());
        let each = projects.iter().map(|project| (project.id.to_string(), project.title.clone()));
        let days = Input::number("days", "Valid for (days)", (1, MOST_DAYS), typed, errors);
        Self {
            label: Input::text("label", "Label", typed, errors).with_hint("What the token is for."),
            role: role_field("Highest role", most, typed.text("role"), errors),
            project: has_named_project(projects).then(|| {
                Select::new("project", "Project", std::iter::once(all).chain(each), typed.text("project"), errors)
            }),
            has_server_role: account.server_role.is_some(),
            takes_server_role: typed.text("has_server_role") == "yes",
            networks: Input::text("networks", "Only from networks", typed, errors).optional().with_hint(
                "Addresses or ranges such as 192.0.2.0/24, with blanks between them. Empty: from everywhere.",
            ),
            days: Input { value: if days.value.is_empty() { USUAL_DAYS.into() } else { days.value.clone() }, ..days },
        }
    }
}

/// Reads the form of a new token for an account.
pub(super) fn read_token(account: &AccountName, fields: &Fields) -> Result<TokenRequest, Errors> {
    let role = fields.text("role").parse::<ProjectRole>().map_err(|_| Errors::of("role", "choose a role"))?;
    let project = match fields.text("project") {
        "" | "all" => None,
        text => Some(text.parse::<ProjectId>().map_err(|error| Errors::of("project", &error.to_string()))?),
    };
    let days = match fields.text("days") {
        "" => None,
        text => {
            let days = text.parse::<u32>().ok().filter(|days| (1..=MOST_DAYS).contains(days));
            Some(days.ok_or_else(|| Errors::of("days", &format!("expected 1 to {MOST_DAYS} days")))?)
        }
    };
    Ok(TokenRequest {
        account: account.clone(),
        label: fields.text("label").to_owned(),
        role,
        project,
        has_server_role: fields.text("has_server_role") == "yes",
        networks: split_networks(fields.text("networks")),
        days,
    })
}

/// Splits what was typed at blanks and commas.
fn split_networks(typed: &str) -> Vec<String> {
    let parts = typed.split(|c: char| c == ',' || c.is_whitespace());
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Reads the id of the token that a form revokes.
pub(super) fn read_token_id(fields: &Fields) -> Result<TokenId, Problem> {
    fields.text("id").parse::<TokenId>().map_err(|_| Problem::new(ProblemKind::Malformed, "the form names no token"))
}

/// The page with a new token, which is shown once.
#[derive(Template)]
#[template(path = "accounts/new_token.html")]
pub(super) struct NewTokenPage {
    layout: Layout,
    label: String,
    token: String,
    scope: String,
    expires: MomentText,
    back_url: String,
}

impl NewTokenPage {
    /// Returns the page of a token that was just created. `back_url` is the page of its account.
    pub(super) fn answer(
        layout: Layout,
        (token, record): &(ApiToken, TokenRecord),
        projects: &[Project],
        clock: &WallClock,
        back_url: String,
    ) -> Response {
        page(&Self {
            layout,
            label: clean(&record.label),
            token: token.expose().to_owned(),
            scope: scope_text(record, has_named_project(projects)),
            expires: clock.moment(record.expires_at),
            back_url,
        })
    }
}
