//! The groups of routes, and the check that each request passes before its handler.
//!
//! A route is put into a group when it is added ([`Grouped`]), and a request without a principal
//! gets nothing: what was forgotten is denied.

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use kastrel_actors::policy::access::{Group, Principal, may};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::error::{Problem, ProblemKind};
use super::state::Web;

/// Adds described routes to a group.
pub(crate) trait Grouped {
    /// Adds what the principals of the group may use.
    fn grouped(self, group: Group, routes: UtoipaMethodRouter<Web>) -> Self;
}

impl Grouped for OpenApiRouter<Web> {
    fn grouped(self, group: Group, (schemas, paths, methods): UtoipaMethodRouter<Web>) -> Self {
        self.routes((schemas, paths, guarded(group, methods)))
    }
}

/// The handlers behind the check. Methods that the address does not take are answered as such to
/// everybody.
pub(crate) fn guarded(group: Group, methods: MethodRouter<Web>) -> MethodRouter<Web> {
    methods.route_layer(from_fn(move |request, next| check(group, request, next)))
}

async fn check(group: Group, request: Request, next: Next) -> Response {
    let principal = request.extensions().get::<Principal>().copied().unwrap_or(Principal::Anonymous(None));
    if may(principal, group) {
        return next.run(request).await;
    }
    Problem::new(ProblemKind::Forbidden, format!("this needs the rights of the group `{}`", group.as_str()))
        .into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kastrel_actors::policy::access::Role;

    use crate::web::router::page_routes;
    use crate::web::testing::{TestApp, api_description};

    /// Who may do nothing gets these alone.
    const PUBLIC: [&str; 7] = [
        "GET /api/openapi.json",
        "GET /api/proof",
        "GET /assets/{name}",
        "GET /livez",
        "GET /readyz",
        "POST /theme",
        "POST /zone",
    ];

    /// All routes: as the description of the API names them, and the paths of pages with each
    /// method that one may take.
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

    async fn statuses(role: Option<Role>) -> BTreeMap<String, u16> {
        let app = TestApp::with_anonymous(role);
        let mut found = BTreeMap::new();
        for (method, path) in all() {
            // The check comes before the handler looks for what it is about.
            let address = path.replace("{id}", "1").replace("{n}", "1").replace("{*path}", "x").replace("{name}", "x");
            let response = app
                .send(&method, &address, &[("sec-fetch-site", "same-origin"), ("accept", "application/json")], "")
                .await;
            // A page without this method.
            if response.status() != 405 {
                found.insert(format!("{method} {path}"), response.status().as_u16());
            }
        }
        found
    }

    #[tokio::test]
    async fn a_route_that_is_in_no_group_is_found() {
        let open: Vec<String> =
            statuses(None).await.into_iter().filter(|(_, status)| *status != 403).map(|(route, _)| route).collect();
        assert_eq!(open, PUBLIC);
    }

    #[tokio::test]
    async fn each_role_is_kept_from_what_others_may() {
        let denied = |statuses: &BTreeMap<String, u16>, route: &str| statuses[route] == 403;
        for (role, expected) in [
            (Role::Viewer, [false, true, true, true, true]),
            (Role::Scanner, [false, false, true, true, true]),
            (Role::Operator, [false, false, false, true, true]),
            (Role::Auditor, [false, true, true, false, true]),
            (Role::Admin, [false; 5]),
        ] {
            let found = statuses(Some(role)).await;
            let routes = [
                "GET /api/scans",
                "POST /api/scans",
                "DELETE /api/scans/{id}",
                "GET /settings",
                "POST /api/queue/pause",
            ];
            assert_eq!(routes.map(|route| denied(&found, route)), expected, "{role:?}: {found:?}");
        }
        assert!(statuses(Some(Role::Admin)).await.values().all(|status| *status != 403));
    }
}
