//! `GET /api/plugins`: the scanner, its plugins and its settings.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use kastrel_actors::model::SettingNatures;
use kastrel_actors::policy::overrides::{SettingRule, SettingsSchema};
use kastrel_actors::service::SettingRules;

use super::scans::fresh;
use crate::api_types::{Catalogue, ProblemBody, SettingBody};
use crate::web::error::{Problem, ProblemKind};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

fn settings(schema: &SettingsSchema, natures: &SettingNatures, rules: &SettingRules) -> Vec<SettingBody> {
    let all = schema.plugins.iter().flat_map(|(plugin, keys)| keys.iter().map(move |(key, rule)| (plugin, key, rule)));
    let body = |(plugin, key, rule): (&String, &String, &SettingRule)| {
        let nature = natures.nature(plugin, key);
        let lock = rules.lock(plugin, key, nature);
        SettingBody {
            name: format!("{plugin}.{key}"),
            description: rule.description.clone(),
            default: if nature.secret { String::new() } else { rule.default.clone() },
            locked: lock.is_some(),
            reason: lock.map(|lock| lock.to_string()),
            secret: nature.secret,
        }
    };
    all.map(body).collect()
}

/// Lists the scanner's plugins and settings.
#[utoipa::path(
    get, path = "/api/plugins", tag = "scanner",
    responses(
        (status = 200, description = "The scanner and its plugins", body = Catalogue, content_type = "application/json"),
        (status = 503, description = "Scanner not detected yet", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_plugins(State(web): State<Web>, _viewer: Viewer) -> Result<Response, Problem> {
    let catalogue =
        web.catalogue().ok_or_else(|| Problem::new(ProblemKind::Loading, web.no_catalogue()).retry_after(2))?;
    let settings = catalogue
        .settings
        .as_ref()
        .map(|schema| settings(schema, &catalogue.natures, &web.scans().setting_rules()))
        .unwrap_or_default();
    let body = Catalogue {
        scanner: catalogue.scanner.clone(),
        label: catalogue.scanner.headline(),
        plugins: catalogue.plugins.clone(),
        settings,
    };
    Ok(fresh(StatusCode::OK, &body))
}

#[cfg(test)]
mod tests {
    use crate::web::testing::{TestApp, header_of, json_of};

    #[tokio::test]
    async fn plugin_list_has_the_scanner_once_it_is_known() {
        let app = TestApp::new();
        let loading = app.get("/api/plugins").await;
        assert_eq!((loading.status().as_u16(), header_of(&loading, "retry-after")), (503, "2"));
        app.load_catalogue();
        let body = json_of(app.get("/api/plugins").await).await;
        assert_eq!(
            (body["label"].as_str(), body["scanner"]["kind"].as_str()),
            (Some("built-in scanner 0.1.0 — KAST was not found"), Some("builtin"))
        );
        assert_eq!(
            (body["plugins"][0]["name"].as_str(), body["plugins"][0]["available"].as_bool()),
            (Some("whatweb"), Some(true))
        );
    }

    #[tokio::test]
    async fn settings_say_whether_they_are_locked_and_why() {
        let app = TestApp::new();
        app.load_catalogue();
        let body = json_of(app.get("/api/plugins").await).await;
        let of =
            |name: &str| body["settings"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
        let told = |name: &str| {
            (
                of(name)["locked"].as_bool().unwrap(),
                of(name)["reason"].as_str().map(str::to_owned),
                of(name)["secret"].as_bool().unwrap(),
            )
        };
        assert_eq!(told("whatweb.timeout"), (false, None, false));
        assert_eq!(told("zap.image"), (true, Some("it names a container image".into()), false));
        assert_eq!(told("zap.report"), (true, Some("it names a file or a folder".into()), false), "by its description");
        assert_eq!(told("zap.api_key"), (false, None, true));
        assert_eq!(told("zap.pin"), (false, None, true), "by its mark");
    }
}
