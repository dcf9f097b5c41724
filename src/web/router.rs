//! All routes, and the middleware of each request.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use kastrel_actors::model::Grants;
use kastrel_actors::policy::access::Group;
use tower_http::catch_panic::CatchPanicLayer;

use super::access::guarded;
use super::api::openapi::{describe, hot_routes, routes};
use super::api::{health, metrics};
use super::edge::{Edge, around};
use super::error::{Problem, ProblemKind, is_for_programs};
use super::hosts::named_host;
use super::limits::{RequestLimits, is_old_health_check};
use super::middleware::{hot_middleware, middleware, panicked};
use super::state::{Web, WebInner, WebState};
use super::{archive, assets, files, mcp, pages};

/// Returns the dashboard and the API as a router that is ready to serve.
pub fn router(state: WebState, limits: RequestLimits) -> Router {
    let (api, mut description) = routes().split_for_parts();
    let (hot, hot_description) = hot_routes().split_for_parts();
    description.merge(hot_description);
    let description = Bytes::from(describe(description, &state.info.version));
    let (body_bytes, edge) = (limits.body_bytes, state.edge.clone());
    let web: Web = Arc::new(WebInner::new(state, limits, description));

    let pages = page_routes()
        .into_iter()
        .fold(Router::new(), |pages, (group, path, methods)| pages.route(path, guarded(group, methods)));
    let api = api
        .merge(pages)
        .fallback(unknown_address)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(body_bytes))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(web.clone(), middleware));
    let hot = hot
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(web.clone(), hot_middleware));
    around(api.merge(hot).with_state(web), edge)
}

/// Returns a router with health checks and metrics only, for a process without pages and API. It
/// accepts any `Host`, because its routes change nothing. Every client that reaches it may read the
/// state of the process: it has no accounts.
pub fn health_router(state: WebState, limits: RequestLimits) -> Router {
    let edge = Edge { trusted: state.edge.trusted.clone(), ..Edge::default() };
    let state = WebState { anonymous: Some(Arc::new(Grants::all())), ..state };
    let web: Web = Arc::new(WebInner::new(state, limits, Bytes::new()));
    let routes = Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(async || (StatusCode::NOT_FOUND, "A worker serves only /livez, /readyz and /metrics\n"))
        .layer(from_fn(of_one_host))
        .with_state(web);
    around(routes, edge)
}

async fn of_one_host(request: Request, next: Next) -> Response {
    if is_old_health_check(&request) {
        return next.run(request).await;
    }
    match named_host(request.uri(), request.headers()) {
        Ok(_) => next.run(request).await,
        Err(_) => {
            (StatusCode::BAD_REQUEST, "Send one Host header: a host name or an address, with a port if there is one\n")
                .into_response()
        }
    }
}

/// Returns the routes of the pages and their forms, each with its access group.
pub(crate) fn page_routes() -> Vec<(Group, &'static str, MethodRouter<Web>)> {
    use Group::{Admin, Auditor, Editor, Operator, Public, Scanner, Viewer};
    use pages::accounts;
    vec![
        (Viewer, "/", get(pages::overview::show)),
        (Scanner, "/new", get(pages::new_scan::show)),
        (Scanner, "/new/preview", post(pages::new_scan::preview)),
        (Viewer, "/scans", get(pages::scan_list::show)),
        (Scanner, "/scans", post(pages::new_scan::submit)),
        (Operator, "/scans/bulk", post(pages::bulk::act)),
        (Viewer, "/scans/{id}", get(pages::scan_detail::show)),
        (Viewer, "/scans/{id}/live", get(pages::scan_detail::stream::live)),
        (Editor, "/scans/{id}/cancel", post(pages::scan_detail::actions::cancel)),
        (Scanner, "/scans/{id}/rerun", post(pages::scan_detail::actions::rerun)),
        (
            Operator,
            "/scans/{id}/delete",
            get(pages::scan_detail::actions::ask_delete).post(pages::scan_detail::actions::delete),
        ),
        (Operator, "/scans/{id}/notes", post(pages::scan_detail::set_notes::set)),
        (Editor, "/scans/{id}/render", post(pages::scan_detail::actions::render)),
        (Viewer, "/scans/{id}/plugins/{name}", get(pages::plugin_detail::show)),
        (Viewer, "/scans/{id}/report", get(pages::report::show)),
        (Viewer, "/scans/{id}/log", get(pages::log::show)),
        (Viewer, "/scans/{id}/trace", get(pages::scan_trace::show)),
        (Viewer, "/scans/{id}/files", get(pages::file_list::show)),
        (Viewer, "/scans/{id}/files.zip", get(archive::serve)),
        (Viewer, "/scans/{id}/attempts/{n}/files/{*path}", get(files::serve)),
        (Viewer, "/scans/{id}/attempts/{n}/view/{*path}", get(pages::file_view::show)),
        (Operator, "/scans/{id}/links", post(accounts::public_links::create)),
        (Operator, "/scans/{id}/links/revoke", post(accounts::public_links::revoke)),
        (Operator, "/scans/{id}/shares", post(accounts::shares::create)),
        (Operator, "/scans/{id}/shares/revoke", post(accounts::shares::revoke)),
        (Operator, "/scans/{id}/transfer", get(accounts::transfer::ask).post(accounts::transfer::transfer)),
        (Viewer, "/targets", get(pages::targets::list::show)),
        (Viewer, "/targets/{id}", get(pages::targets::detail::show)),
        (Operator, "/targets/{id}/edit", post(pages::targets::actions::edit)),
        (Scanner, "/targets/{id}/check", post(pages::targets::actions::check)),
        (Viewer, "/findings", get(pages::findings::list::show)),
        (Operator, "/findings/triage", post(pages::findings::triage::act)),
        (Viewer, "/findings/filters", post(pages::findings::saved::save)),
        (Viewer, "/findings/filters/delete", post(pages::findings::saved::delete)),
        (Viewer, "/findings/{id}", get(pages::findings::detail::show)),
        (Operator, "/findings/{id}/comments", post(pages::findings::actions::comment)),
        (Scanner, "/findings/{id}/check", post(pages::findings::actions::check)),
        (Viewer, accounts::shared_with_me::PATH, get(accounts::shared_with_me::show)),
        (Public, "/shared/{secret}", get(pages::scan_detail::shared::show).post(accounts::link_password::enter)),
        (Public, "/shared/{secret}/report", get(pages::scan_detail::shared::report)),
        (Public, "/shared/{secret}/files/{n}/{*path}", get(pages::scan_detail::shared::file)),
        (Viewer, pages::compare::PATH, get(pages::compare::show)),
        (Auditor, "/supervision", get(pages::supervision::show)),
        (Auditor, "/settings", get(pages::settings::show)),
        (Auditor, "/audit", get(pages::audit::show)),
        (Admin, "/queue/pause", post(pages::queue::pause)),
        (Admin, "/queue/resume", post(pages::queue::resume)),
        (Public, "/login", get(accounts::login::show).post(accounts::login::sign_in)),
        (Public, "/login/code", get(accounts::login_code::show).post(accounts::login_code::enter)),
        (Public, "/login/code/passkey", post(accounts::login_code::enter_passkey)),
        (Public, "/login/passkey", post(accounts::login::sign_in_with_passkey)),
        (Public, "/login/passkey/options", post(accounts::passkey_prompt::options)),
        (Public, "/login/second-factor", get(accounts::login_code::show_enrolment).post(accounts::login_code::enrol)),
        (Public, "/forgot-password", get(accounts::forgot_password::show).post(accounts::forgot_password::request)),
        (Public, "/confirm-mail", get(accounts::mail::show_confirmation).post(accounts::mail::confirm)),
        (Public, "/login/oidc", post(accounts::login_provider::start)),
        (Public, "/login/oidc/callback", get(accounts::login_provider::finish)),
        (Viewer, "/logout", post(accounts::login::sign_out)),
        (Public, "/setup", get(accounts::set_up::show).post(accounts::set_up::create)),
        (Public, "/set-password", get(accounts::set_password::show).post(accounts::set_password::set)),
        (Viewer, "/profile", get(accounts::profile::show)),
        (Viewer, "/profile/password", post(accounts::profile::change_password)),
        (Viewer, "/profile/mail", get(accounts::mail::show).post(accounts::mail::change)),
        (Viewer, "/profile/second-factor", get(accounts::second_factor::show).post(accounts::second_factor::begin)),
        (Viewer, "/profile/second-factor/confirm", post(accounts::second_factor::confirm)),
        (Viewer, "/profile/second-factor/recovery-codes", post(accounts::second_factor::new_codes)),
        (Viewer, "/profile/second-factor/remove", post(accounts::second_factor::remove)),
        (Viewer, "/profile/passkeys", get(accounts::passkeys::show).post(accounts::passkeys::begin)),
        (Viewer, "/profile/passkeys/confirm", post(accounts::passkeys::confirm)),
        (Viewer, "/profile/passkeys/edit", get(accounts::passkeys::show_one)),
        (Viewer, "/profile/passkeys/rename", post(accounts::passkeys::rename)),
        (Viewer, "/profile/passkeys/remove", post(accounts::passkeys::remove)),
        (Viewer, "/profile/sessions/end", post(accounts::profile::end_sessions)),
        (Viewer, "/profile/tokens", post(accounts::profile::create_token)),
        (Viewer, "/profile/tokens/revoke", post(accounts::profile::revoke_token)),
        (Viewer, "/device", get(accounts::device::show).post(accounts::device::decide)),
        (Auditor, "/accounts", get(accounts::account_list::show)),
        (Admin, "/accounts", post(accounts::account_list::create)),
        (Auditor, "/accounts/{name}", get(accounts::account_detail::show)),
        (Admin, "/accounts/{name}/disable", post(accounts::account_detail::disable)),
        (Admin, "/accounts/{name}/enable", post(accounts::account_detail::enable)),
        (Admin, "/accounts/{name}/server-role", post(accounts::account_detail::set_server_role)),
        (Admin, "/accounts/{name}/password-link", post(accounts::account_detail::password_link)),
        (Admin, "/accounts/{name}/mail", post(accounts::account_detail::set_mail)),
        (Admin, "/accounts/{name}/second-factor/remove", post(accounts::account_detail::remove_second_factor)),
        (Admin, "/accounts/{name}/identity", post(accounts::account_identity::link)),
        (Admin, "/accounts/{name}/identity/unlink", post(accounts::account_identity::unlink)),
        (Admin, "/accounts/{name}/sessions/end", post(accounts::account_detail::end_sessions)),
        (Admin, "/accounts/{name}/tokens", post(accounts::account_detail::create_token)),
        (Admin, "/accounts/{name}/tokens/revoke", post(accounts::account_detail::revoke_token)),
        (Viewer, "/projects", get(accounts::project_list::show)),
        (Admin, "/projects", post(accounts::project_list::create)),
        (Viewer, "/projects/{id}", get(accounts::project_detail::show)),
        (Viewer, "/projects/{id}/members", post(accounts::project_detail::set_member)),
        (Viewer, "/projects/{id}/clearances", post(accounts::project_detail::set_clearance)),
        (Viewer, "/projects/{id}/clearances/remove", post(accounts::project_detail::remove_clearance)),
        (Viewer, "/mcp", post(mcp::serve)),
        (Public, "/theme", post(pages::theme::choose)),
        (Public, "/zone", post(pages::zone::choose)),
        (Public, "/assets/{name}", get(assets::serve)),
    ]
}

/// The problem of an address that no route has.
async fn unknown_address(uri: Uri) -> Problem {
    Problem::not_found(if is_for_programs(uri.path()) { "the API has no such address" } else { "page not found" })
}

async fn wrong_method() -> Problem {
    Problem::new(ProblemKind::MethodNotAllowed, "the `Allow` header lists the allowed methods")
}
