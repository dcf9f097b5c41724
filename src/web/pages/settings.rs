//! What this server is and how it is set: versions, the scanner and its plugins, limits.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::badge::Badge;
use super::layout::{Here, Layout};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::state::{CatalogueView, SettingLine, Web};
use crate::web::text::{clean, counted};
use crate::web::viewer::Viewer;

/// Settings and about.
#[derive(Template)]
#[template(path = "settings.html")]
pub(crate) struct SettingsPage {
    layout: Layout,
    version: String,
    data: String,
    scanner: String,
    is_stand_in: bool,
    role: &'static str,
    attempts: String,
    settings: Vec<SettingLine>,
    plugins: Vec<PluginLine>,
    issues: String,
    streams: String,
}

struct PluginLine {
    name: String,
    label: String,
    about: String,
    kind: &'static str,
    badge: Badge,
    needs: String,
}

/// Shows the settings.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer) -> Result<Response, Problem> {
    let catalogue = web.catalogue();
    let layout = Layout::of(&web, &viewer, Here::Settings, "Settings").await;
    Ok(page(&SettingsPage {
        version: clean(&web.state.info.version),
        data: clean(&web.state.info.data_label),
        scanner: layout.scanner.clone(),
        is_stand_in: layout.is_stand_in,
        role: if web.state.runs_scans { "serves pages and runs scans" } else { "serves pages; workers run the scans" },
        attempts: counted(u64::from(web.state.max_attempts), "attempt", "attempts"),
        settings: web.state.settings.iter().map(|line| SettingLine { key: clean(&line.key), value: clean(&line.value) }).collect(),
        plugins: catalogue.as_deref().map(plugins).unwrap_or_default(),
        issues: catalogue
            .as_ref()
            .filter(|catalogue| !catalogue.issues.is_empty())
            .map(|catalogue| counted(catalogue.issues.len() as u64, "kind of issue", "kinds of issues"))
            .unwrap_or_default(),
        streams: format!("{} of {}", crate::web::api::stats::open_streams(&web), web.limits.event_streams),
        layout,
    }))
}

fn plugins(catalogue: &CatalogueView) -> Vec<PluginLine> {
    let line = |plugin: &kastrel_actors::model::PluginInfo| PluginLine {
        name: clean(&plugin.name),
        label: clean(&plugin.display_name),
        about: clean(&plugin.description),
        kind: plugin.kind.as_str(),
        badge: if plugin.available { Badge::new("ok", "completed", "available") } else { Badge::new("unavailable", "unavailable", "tool not installed") },
        needs: clean(&plugin.dependencies.join(", ")),
    };
    catalogue.plugins.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::testing::{TestApp, catalogue, text_of};

    impl SettingsPage {
        fn sample() -> Self {
            Self {
                layout: Layout::sample("Settings"),
                version: "0.0.0-test".into(),
                data: clean(HOSTILE),
                scanner: "built-in scanner 0.1.0 — KAST was not found".into(),
                is_stand_in: true,
                role: "serves pages and runs scans",
                attempts: "3 attempts".into(),
                settings: vec![SettingLine { key: "scans.concurrency".into(), value: clean(HOSTILE) }],
                plugins: plugins(&catalogue()),
                issues: "1 kind of issue".into(),
                streams: "0 of 512".into(),
            }
        }
    }

    #[test]
    fn looks_as_it_should() {
        insta::assert_snapshot!(SettingsPage::sample().render().unwrap());
    }

    #[tokio::test]
    async fn tells_which_scanner_and_which_limits() {
        let app = TestApp::new();
        assert!(text_of(app.get("/settings").await).await.contains("looking for the scanner"));
        app.load_catalogue();
        let html = text_of(app.get("/settings").await).await;
        assert!(
            html.contains("0.0.0-test") && html.contains("KAST was not found") && html.contains("scans.concurrency") && html.contains("tool not installed"),
            "{html}"
        );
    }
}
