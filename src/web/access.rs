//! The access groups of routes, and the guard that runs before each handler.
//!
//! Each route joins a group when it is added ([`Grouped`]). A request without an identity is
//! denied, so a forgotten check denies access instead of granting it. The services decide about the
//! objects of a request; the guard only refuses what no object could allow.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use kastrel_actors::model::Principal;
use kastrel_actors::policy::access::{Group, may};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::error::{Problem, ProblemKind, is_for_programs};
use super::sender::{Sender, UnknownSender};
use super::state::Web;
use super::viewer::PART;

/// Adds documented routes to an access group.
pub(crate) trait Grouped {
    /// Adds routes that the principals of the group may call.
    fn grouped(self, group: Group, routes: UtoipaMethodRouter<Web>) -> Self;
}

impl Grouped for OpenApiRouter<Web> {
    fn grouped(self, group: Group, (schemas, paths, methods): UtoipaMethodRouter<Web>) -> Self {
        self.routes((schemas, paths, guarded(group, methods)))
    }
}

/// Puts the guard in front of the handlers. A method that the route does not support gets its usual
/// response (405), for every principal.
pub(crate) fn guarded(group: Group, methods: MethodRouter<Web>) -> MethodRouter<Web> {
    methods.route_layer(from_fn(move |request, next| check(group, request, next)))
}

async fn check(group: Group, request: Request, next: Next) -> Response {
    let identity = request.extensions().get::<Arc<Sender>>().map(|sender| &sender.identity);
    let grants = identity.and_then(|identity| identity.grants.as_deref());
    if may(grants, group) {
        return next.run(request).await;
    }
    if let Some(UnknownSender(error)) = request.extensions().get() {
        return Problem::unknown_sender(error).into_response();
    }
    if grants.is_none() && identity.is_some_and(|identity| identity.principal == Principal::Anonymous) {
        return sign_in_first(&request);
    }
    Problem::denied(format!("this needs the rights of the group `{}`", group.as_str())).into_response()
}

/// Returns the response to a client that must say who it is: a browser that opens a page goes to
/// the login page, and then back.
fn sign_in_first(request: &Request) -> Response {
    let path = request.uri().path();
    if is_for_programs(path) || request.headers().contains_key(PART) {
        return Problem::new(
            ProblemKind::Unauthorized,
            "sign in, or send an API token: `Authorization: Bearer kst_...`",
        )
        .into_response();
    }
    let wanted = request.uri().path_and_query().map_or(path, |wanted| wanted.as_str());
    let next = if *request.method() == Method::GET { wanted } else { "/" };
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    let address = if next == "/" { "/login".to_owned() } else { format!("/login?{query}") };
    (StatusCode::SEE_OTHER, [(header::LOCATION, address), (header::CACHE_CONTROL, "no-store".to_owned())])
        .into_response()
}

#[cfg(test)]
mod walk_tests;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kastrel_actors::model::{Grants, ProjectId, ProjectRole, ServerRole};

    use crate::web::router::page_routes;
    use crate::web::testing::{TestApp, api_description, header_of};

    /// The only routes that a principal without any role may call.
    ///
    /// The handlers of `POST /login` and `POST /login/passkey` answer 401 by themselves.
    const PUBLIC: [&str; 31] = [
        "GET /api/openapi.json",
        "GET /api/proof",
        "GET /assets/{name}",
        "GET /confirm-mail",
        "GET /forgot-password",
        "GET /livez",
        "GET /login",
        "GET /login/code",
        "GET /login/oidc/callback",
        "GET /login/second-factor",
        "GET /readyz",
        "GET /set-password",
        "GET /setup",
        "GET /shared/{secret}",
        "GET /shared/{secret}/files/{n}/{*path}",
        "GET /shared/{secret}/report",
        "POST /api/device/cancel",
        "POST /api/device/code",
        "POST /api/device/token",
        "POST /confirm-mail",
        "POST /forgot-password",
        "POST /login/code",
        "POST /login/code/passkey",
        "POST /login/oidc",
        "POST /login/passkey/options",
        "POST /login/second-factor",
        "POST /set-password",
        "POST /setup",
        "POST /shared/{secret}",
        "POST /theme",
        "POST /zone",
    ];

    /// All routes: those of the OpenAPI description, and the page paths with each method that a
    /// page may take.
    fn all() -> Vec<(String, String)> {
        let api = api_description();
        let of_api = api["paths"].as_object().unwrap().iter();
        let of_api = of_api.flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
        });
        let of_pages = page_routes()
            .into_iter()
            .flat_map(|(_, path, _)| ["GET", "POST"].map(|method| (method.to_owned(), path.to_owned())));
        of_api.chain(of_pages).collect()
    }

    async fn statuses(grants: Option<Grants>) -> BTreeMap<String, u16> {
        statuses_of(&TestApp::with_anonymous(grants)).await
    }

    async fn statuses_of(app: &TestApp) -> BTreeMap<String, u16> {
        let mut found = BTreeMap::new();
        for (method, path) in all() {
            // The guard runs before the handler looks up the resource.
            let address = path.replace("{id}", "1").replace("{n}", "1").replace("{*path}", "x").replace("{name}", "x");
            let address = address.replace("{secret}", &"0".repeat(64)).replace("{link}", "0123456789");
            let address = address.replace("{grantee}", "user:x");
            let address = address.replace("{pattern}", "x");
            let response = app
                .send(&method, &address, &[("sec-fetch-site", "same-origin"), ("accept", "application/json")], "")
                .await;
            // A page sends a client that is not known to the login page.
            let goes_to_login = header_of(&response, "location").starts_with("/login");
            let status = if goes_to_login { 401 } else { response.status().as_u16() };
            // 405: this page does not support the method.
            if status != 405 {
                found.insert(format!("{method} {path}"), status);
            }
        }
        found
    }

    #[tokio::test]
    async fn every_route_belongs_to_a_group() {
        let found = statuses(None).await;
        let open: Vec<&String> = found.iter().filter(|(_, status)| **status != 401).map(|(route, _)| route).collect();
        assert_eq!(open, PUBLIC);
    }

    #[tokio::test]
    async fn each_role_is_denied_the_routes_of_other_roles() {
        let denied = |statuses: &BTreeMap<String, u16>, route: &str| statuses[route] == 403;
        let member = |role| Grants::new(None, BTreeMap::from([(ProjectId::default(), role)]));
        let server = |role| Grants::new(Some(role), BTreeMap::new());
        for (grants, expected) in [
            (Grants::none(), [false, true, true, true, true]),
            (member(ProjectRole::Viewer), [false, true, true, true, true]),
            (member(ProjectRole::Scanner), [false, false, true, true, true]),
            (member(ProjectRole::Operator), [false, false, false, true, true]),
            (server(ServerRole::Auditor), [false, true, true, false, true]),
            (server(ServerRole::Admin), [false; 5]),
        ] {
            let found = statuses(Some(grants.clone())).await;
            let routes = [
                "GET /api/scans",
                "POST /api/scans",
                "DELETE /api/scans/{id}",
                "GET /settings",
                "POST /api/queue/pause",
            ];
            assert_eq!(routes.map(|route| denied(&found, route)), expected, "{grants:?}: {found:?}");
        }
        assert!(statuses_of(&TestApp::as_system()).await.values().all(|status| *status != 403));
    }

    #[tokio::test]
    async fn accounts_that_are_off_are_managed_by_commands_of_the_data_folder_only() {
        let found = statuses(Some(Grants::all())).await;
        let denied: Vec<&String> = found.iter().filter(|(_, status)| **status == 403).map(|(route, _)| route).collect();
        assert_eq!(
            denied,
            [
                "DELETE /api/accounts/{name}/identity",
                "DELETE /api/accounts/{name}/second-factor",
                "DELETE /api/accounts/{name}/tokens/{id}",
                "DELETE /api/projects/{id}/clearances/{pattern}",
                "DELETE /api/projects/{id}/members/{name}",
                "GET /api/accounts",
                "GET /api/accounts/{name}",
                "GET /api/accounts/{name}/identity",
                "GET /api/accounts/{name}/tokens",
                "GET /api/projects",
                "GET /api/projects/{id}/clearances",
                "GET /api/projects/{id}/members",
                "PATCH /api/accounts/{name}",
                "POST /api/accounts",
                "POST /api/accounts/{name}/password-link",
                "POST /api/accounts/{name}/tokens",
                "POST /api/projects",
                "PUT /api/accounts/{name}/identity",
                "PUT /api/projects/{id}/clearances/{pattern}",
                "PUT /api/projects/{id}/members/{name}",
            ]
        );
    }
}
