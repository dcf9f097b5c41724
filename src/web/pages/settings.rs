//! The about page: versions, the scanner and its plugins, limits and backups.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::badge::Badge;
use super::layout::{Here, Layout};
use crate::backup::{BackupFailure, BackupFile};
use crate::ports::ScannerCatalog;
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::state::{SettingLine, Web};
use crate::web::text::{MomentText, clean, counted, duration, size};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// The about page.
#[derive(Template)]
#[template(path = "settings.html")]
pub(crate) struct SettingsPage {
    layout: Layout,
    version: String,
    data: String,
    scanner: String,
    is_stand_in: bool,
    role: &'static str,
    attempts: u32,
    settings: Vec<SettingLine>,
    plugins: Vec<PluginLine>,
    issues: String,
    streams: String,
    /// Whether this process makes automatic backups.
    makes_backups: bool,
    backups: Vec<BackupLine>,
    /// Why the last backup failed; empty if it succeeded.
    backup_failure: String,
}

struct BackupLine {
    made: MomentText,
    age: String,
    size: String,
    missing: String,
    why: String,
    file: String,
}

struct PluginLine {
    name: String,
    label: String,
    about: String,
    kind: &'static str,
    badge: Badge,
    needs: String,
}

/// Shows the about page.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer) -> Result<Response, Problem> {
    let catalogue = web.catalogue();
    let status = web.state.backups.as_ref().map(|backups| backups.borrow().clone()).unwrap_or_default();
    let layout = Layout::of(&web, &viewer, Here::Settings, "About").await;
    let clock = web.clock(&viewer);
    Ok(page(&SettingsPage {
        version: clean(&web.state.info.version),
        data: clean(&web.state.info.data_label),
        scanner: layout.scanner.clone(),
        is_stand_in: layout.is_stand_in,
        role: if web.state.runs_scans { "Serves pages and runs scans" } else { "Serves pages; workers run the scans" },
        attempts: web.state.max_attempts,
        settings: web
            .state
            .settings
            .iter()
            .map(|line| SettingLine { key: clean(&line.key), value: clean(&line.value) })
            .collect(),
        plugins: catalogue.as_deref().map(plugins).unwrap_or_default(),
        issues: catalogue
            .as_ref()
            .filter(|catalogue| !catalogue.issues.is_empty())
            .map(|catalogue| counted(catalogue.issues.len() as u64, "kind of issue", "kinds of issues"))
            .unwrap_or_default(),
        makes_backups: web.state.backups.is_some(),
        backups: status.files.iter().map(|file| BackupLine::new(file, &clock)).collect(),
        backup_failure: status.failure.as_ref().map(failure).unwrap_or_default(),
        streams: format!("{} of {}", crate::web::api::stats::open_streams(&web), web.limits.event_streams),
        layout,
    }))
}

impl BackupLine {
    fn new(file: &BackupFile, clock: &WallClock) -> Self {
        let mark = file.mark;
        Self {
            made: clock.moment(mark.made_at),
            age: duration(clock.now.duration_since(mark.made_at)),
            size: size(file.bytes),
            missing: if mark.missing > 0 {
                counted(mark.missing, "scan could not be read", "scans could not be read")
            } else {
                String::new()
            },
            why: mark
                .before_migration_of
                .map_or_else(|| "Regular".to_owned(), |schema| format!("Before the migration of schema {schema}")),
            file: clean(&file.name()),
        }
    }
}

fn failure(failure: &BackupFailure) -> String {
    let times = counted(u64::from(failure.failures), "try", "tries");
    format!("The last backup failed ({times}): {}. It is retried automatically.", clean(&failure.why))
}

fn plugins(catalogue: &ScannerCatalog) -> Vec<PluginLine> {
    let line = |plugin: &kastrel_actors::model::PluginInfo| PluginLine {
        name: clean(&plugin.name),
        label: clean(&plugin.display_name),
        about: clean(&plugin.description),
        kind: plugin.kind.as_str(),
        badge: if plugin.available {
            Badge::new("ok", "completed", "Available")
        } else {
            Badge::new("warning", "unavailable", "Tool not installed")
        },
        needs: clean(&plugin.dependencies.join(", ")),
    };
    catalogue.plugins.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::testing::{TestApp, backup_status, catalogue, text_of};

    impl SettingsPage {
        fn sample() -> Self {
            Self {
                layout: Layout::sample("About"),
                version: "0.0.0-test".into(),
                data: clean(HOSTILE),
                scanner: "built-in scanner 0.1.0 — KAST was not found".into(),
                is_stand_in: true,
                role: "Serves pages and runs scans",
                attempts: 3,
                settings: vec![SettingLine { key: "scans.concurrency".into(), value: clean(HOSTILE) }],
                plugins: plugins(&catalogue()),
                issues: "1 kind of issue".into(),
                streams: "0 of 512".into(),
                makes_backups: true,
                backups: backup_status()
                    .files
                    .iter()
                    .map(|file| {
                        BackupLine::new(
                            file,
                            &WallClock {
                                now: jiff::Timestamp::from_second(1_767_312_000).unwrap(),
                                ..WallClock::sample()
                            },
                        )
                    })
                    .collect(),
                backup_failure: failure(&BackupFailure { why: HOSTILE.into(), ..backup_status().failure.unwrap() }),
            }
        }
    }

    #[test]
    fn settings_page_matches_snapshot() {
        insta::assert_snapshot!(SettingsPage::sample().render().unwrap());
    }

    #[tokio::test]
    async fn settings_page_shows_scanner_and_limits() {
        let app = TestApp::new();
        assert!(text_of(app.get("/settings").await).await.contains("Detecting scanner…"));
        app.load_catalogue();
        let html = text_of(app.get("/settings").await).await;
        assert!(
            html.contains("0.0.0-test")
                && html.contains("KAST was not found")
                && html.contains("scans.concurrency")
                && html.contains("Tool not installed"),
            "{html}"
        );
    }

    #[tokio::test]
    async fn settings_page_shows_backups_with_age_and_size() {
        let app = TestApp::new();
        assert!(text_of(app.get("/settings").await).await.contains("No backup yet"));
        app.backups.send_replace(backup_status());
        let html = text_of(app.get("/settings").await).await;
        for part in [
            "kastrel-000002-20260101T000000Z-missing-3.backup",
            "4.1 KB",
            "3 scans could not be read",
            "The last backup failed (2 tries): no space",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
