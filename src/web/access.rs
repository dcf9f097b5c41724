//! The access groups of routes, and the guard that runs before each handler.
//!
//! Each route joins a group when it is added ([`Grouped`]). A request without an identity is
//! denied, so a forgotten check denies access instead of granting it.

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use kastrel_actors::policy::access::{Group, Identity, may};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::error::{Problem, ProblemKind};
use super::state::Web;

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
    let role = request.extensions().get::<Identity>().and_then(|identity| identity.role);
    if may(role, group) {
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

    /// The only routes that a principal without any role may call.
    const PUBLIC: [&str; 7] = [
        "GET /api/openapi.json",
        "GET /api/proof",
        "GET /assets/{name}",
        "GET /livez",
        "GET /readyz",
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

    async fn statuses(role: Option<Role>) -> BTreeMap<String, u16> {
        let app = TestApp::with_anonymous(role);
        let mut found = BTreeMap::new();
        for (method, path) in all() {
            // The guard runs before the handler looks up the resource.
            let address = path.replace("{id}", "1").replace("{n}", "1").replace("{*path}", "x").replace("{name}", "x");
            let response = app
                .send(&method, &address, &[("sec-fetch-site", "same-origin"), ("accept", "application/json")], "")
                .await;
            // 405: this page does not support the method.
            if response.status() != 405 {
                found.insert(format!("{method} {path}"), response.status().as_u16());
            }
        }
        found
    }

    #[tokio::test]
    async fn every_route_belongs_to_a_group() {
        let open: Vec<String> =
            statuses(None).await.into_iter().filter(|(_, status)| *status != 403).map(|(route, _)| route).collect();
        assert_eq!(open, PUBLIC);
    }

    #[tokio::test]
    async fn each_role_is_denied_the_routes_of_other_roles() {
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
