//! `GET /api/plugins`: the scanner and what it offers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use kastrel_actors::model::{PluginInfo, PluginKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::scans::fresh;
use super::wire::{PluginKindName, ScannerBody};
use crate::web::error::{Problem, ProblemBody, ProblemKind};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// The scanner and its plugins.
#[derive(Debug, Serialize, ToSchema)]
struct Catalogue<'a> {
    scanner: ScannerBody<'a>,
    /// The scanner in words.
    label: String,
    plugins: Vec<PluginInfoBody<'a>>,
}

/// A plugin that the scanner offers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plugin)]
struct PluginInfoBody<'a> {
    name: &'a str,
    display_name: &'a str,
    description: &'a str,
    #[schema(value_type = PluginKindName)]
    kind: PluginKind,
    /// Whether its tool is installed on this node.
    available: bool,
    /// The plugins that must be selected with it.
    dependencies: &'a [String],
}

impl<'a> From<&'a PluginInfo> for PluginInfoBody<'a> {
    fn from(plugin: &'a PluginInfo) -> Self {
        let PluginInfo { name, display_name, description, kind, available, dependencies } = plugin;
        Self { name, display_name, description, kind: *kind, available: *available, dependencies }
    }
}

/// Lists the scanner's plugins.
#[utoipa::path(
    get, path = "/api/plugins", tag = "scanner",
    responses(
        (status = 200, description = "The scanner and its plugins", body = Catalogue<'_>, content_type = "application/json"),
        (status = 503, description = "The scanner has not answered yet", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_plugins(State(web): State<Web>, _viewer: Viewer) -> Result<Response, Problem> {
    let catalogue = web.catalogue().ok_or_else(|| Problem::new(ProblemKind::Loading, web.no_catalogue()).retry_after(2))?;
    let plugins = catalogue.plugins.iter().map(Into::into).collect();
    Ok(fresh(StatusCode::OK, &Catalogue { scanner: (&catalogue.scanner).into(), label: catalogue.scanner.headline(), plugins }))
}

#[cfg(test)]
mod tests {
    use crate::web::testing::{TestApp, header_of, json_of};

    #[tokio::test]
    async fn says_which_scanner_it_is_once_it_is_known() {
        let app = TestApp::new();
        let loading = app.get("/api/plugins").await;
        assert_eq!((loading.status().as_u16(), header_of(&loading, "retry-after")), (503, "2"));
        app.load_catalogue();
        let body = json_of(app.get("/api/plugins").await).await;
        assert_eq!((body["label"].as_str(), body["scanner"]["kind"].as_str()), (Some("built-in scanner 0.1.0 — KAST was not found"), Some("builtin")));
        assert_eq!((body["plugins"][0]["name"].as_str(), body["plugins"][0]["available"].as_bool()), (Some("whatweb"), Some(true)));
    }
}
