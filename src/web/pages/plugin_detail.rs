//! The page of one plugin of a scan: its state and reason, its results, and its files.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use kastrel_actors::model::{PluginClass, PluginInfo, ScanStatus, grouped_count};

use super::badge::Badge;
use super::coverage::{no_issues_of, state_of};
use super::file_view::Content;
use super::layout::{Here, Layout, Live};
use super::scan_detail::findings::{SeverityGroup, group};
use super::scan_detail::rows::message_of;
use crate::ports::Artifact;
use crate::web::error::Problem;
use crate::web::files::{head, list};
use crate::web::headers::page;
use crate::web::path::{PluginPath, no_scan};
use crate::web::state::Web;
use crate::web::text::{MomentText, clean, counted, duration, in_url, plugin_url, size};
use crate::web::viewer::Viewer;

const MOST_BYTES: u64 = 256 * 1024;

/// The page of one plugin of a scan.
#[derive(Template)]
#[template(path = "plugin_detail.html")]
pub(crate) struct PluginPage {
    layout: Layout,
    /// The live updates, until the scan has ended.
    live: Option<Live>,
    id: u64,
    target: String,
    name: String,
    title: String,
    about: String,
    kind: Option<&'static str>,
    badge: Badge,
    is_problem: bool,
    message: String,
    /// Why the plugin shows no issue.
    no_issues: &'static str,
    /// The number of issues, and how many of them are shown.
    issues: String,
    /// The number of other collected items.
    items: String,
    started: Option<MomentText>,
    ended: Option<MomentText>,
    duration: String,
    /// The earlier attempt that ran the plugin, if it was not the last one.
    kept_from: Option<u32>,
    needs: Vec<Need>,
    groups: Vec<SeverityGroup>,
    files: Vec<PluginFile>,
    result: Option<Content>,
    again_url: String,
}

/// A plugin that this one depends on, with its page if the scan has it.
struct Need {
    name: String,
    url: Option<String>,
}

struct PluginFile {
    name: String,
    url: String,
    size: String,
}

/// Shows a plugin.
pub(crate) async fn show(
    State(web): State<Web>,
    viewer: Viewer,
    PluginPath { id, name }: PluginPath,
) -> Result<Response, Problem> {
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let plugin = scan
        .last_plugins()
        .iter()
        .find(|plugin| plugin.name == name)
        .ok_or_else(|| Problem::not_found("this scan has no such plugin, or has not started it yet"))?;
    let (catalogue, clock) = (web.catalogue(), web.clock(&viewer));
    let info: Option<&PluginInfo> =
        catalogue.iter().flat_map(|catalogue| &catalogue.plugins).find(|info| info.name == name);
    let attempt = scan.record.attempt_of(plugin);
    let (files, result) = match attempt {
        Some(attempt) => {
            let others: Vec<String> = scan.last_plugins().iter().map(|plugin| plugin.name.clone()).collect();
            let listing = list(&web, &scan.record, attempt).await.unwrap_or_default();
            // The plugin's result file, formatted.
            let written = format!("{name}_processed.json");
            let start = head(&web, &scan.record, attempt, &written, MOST_BYTES).await.ok();
            let result = start.map(|(start, bytes)| super::file_view::content_of("result.json", &start, bytes));
            (own_files(listing.files, &name, &others), result)
        }
        None => Default::default(),
    };
    let ended = scan.status() != ScanStatus::Running;
    let issues = plugin.issues_count();
    let base = format!("/scans/{id}/attempts/{}/view", attempt.unwrap_or_default());
    let took = plugin.started_at.zip(plugin.ended_at).map(|(start, end)| duration(end.duration_since(start)));
    let file = |entry: Artifact| PluginFile {
        url: format!("{base}/{}", in_url(&entry.path)),
        name: clean(&entry.path),
        size: size(entry.size),
    };
    let need = |needed: &String| {
        let is_here = scan.last_plugins().iter().any(|plugin| plugin.name == *needed);
        Need { name: clean(needed), url: is_here.then(|| plugin_url(id, needed)) }
    };
    Ok(page(&PluginPage {
        layout: Layout::of(&web, &viewer, Here::Scans, format!("{} of scan {id}", clean(&name))).await,
        live: (!scan.status().is_terminal()).then(|| Live::new(&web, format!("/api/scans/{id}/events"))),
        id: id.0,
        target: clean(&scan.record.request.target.label()),
        title: clean(info.map_or(name.as_str(), |info| &info.display_name)),
        about: clean(info.map_or("", |info| &info.description)),
        kind: info.map(|info| info.kind.as_str()),
        badge: state_of(plugin, ended).into(),
        is_problem: plugin.status.class() == PluginClass::Problem,
        message: clean(&message_of(plugin)),
        no_issues: no_issues_of(plugin, scan.record.request.options.dry_run, ended),
        issues: plugin
            .issues_note()
            .unwrap_or_else(|| if issues > 0 { counted(issues, "issue", "issues") } else { String::new() }),
        items: match plugin.findings_count {
            0 => String::new(),
            1 => "1 item".into(),
            items => format!("{} items", grouped_count(items)),
        },
        started: plugin.started_at.map(|at| clock.moment(at)),
        ended: plugin.ended_at.map(|at| clock.moment(at)),
        duration: took.unwrap_or_default(),
        kept_from: plugin.attempt.map(|number| number.0),
        needs: info.iter().flat_map(|info| &info.dependencies).map(need).collect(),
        groups: group(std::slice::from_ref(plugin), catalogue.as_deref()),
        files: files.into_iter().map(file).collect(),
        result,
        again_url: format!("/new?from={id}"),
        name: clean(&name),
    }))
}

/// Returns the files whose names begin with the plugin's name, and not with the longer name of
/// another plugin.
fn own_files(entries: Vec<Artifact>, name: &str, plugins: &[String]) -> Vec<Artifact> {
    let bears = |file: &str, name: &str| {
        file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_', '-', '/']))
    };
    let is_own = |entry: &Artifact| {
        let file = entry.path.rsplit('/').next().unwrap_or_default();
        (bears(file, name) || bears(&entry.path, name))
            && !plugins.iter().any(|other| other.len() > name.len() && bears(file, other))
    };
    entries.into_iter().filter(is_own).collect()
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{IssueRef, PluginResult, PluginStatus, Resolution, Severity, Verdict};

    use super::*;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::testing::{TestApp, catalogue, text_of};

    impl PluginPage {
        fn sample() -> Self {
            let issue = IssueRef { id: "weak-cipher".into(), severity: Severity::High, title: HOSTILE.into() };
            let plugin = PluginResult { issues: vec![issue], ..PluginResult::new("testssl", PluginStatus::Failed) };
            Self {
                layout: Layout::sample("testssl of scan 17"),
                live: Some(Live::sample()),
                id: 17,
                target: clean(HOSTILE),
                name: "testssl".into(),
                title: clean(HOSTILE),
                about: clean(HOSTILE),
                kind: Some("passive"),
                badge: plugin.status.into(),
                is_problem: true,
                message: clean(HOSTILE),
                no_issues: "Not checked: the plugin failed.",
                issues: "200 of 1,340 shown".into(),
                items: "3 items".into(),
                started: Some(crate::web::zone::WallClock::sample().moment(jiff::Timestamp::UNIX_EPOCH)),
                ended: Some(crate::web::zone::WallClock::sample().moment(jiff::Timestamp::UNIX_EPOCH)),
                duration: "12 s".into(),
                kept_from: Some(1),
                needs: vec![Need { name: "whatweb".into(), url: Some("/scans/17/plugins/whatweb".into()) }],
                groups: group(&[plugin], Some(&catalogue())),
                files: vec![PluginFile {
                    name: clean(HOSTILE),
                    url: format!("/scans/17/attempts/2/view/{}", in_url(HOSTILE)),
                    size: "412 bytes".into(),
                }],
                result: Some(Content::Text { text: clean(HOSTILE), is_cut: true, is_pretty: true }),
                again_url: "/new?from=17".into(),
            }
        }
    }

    #[test]
    fn plugin_page_matches_snapshot() {
        let html = PluginPage::sample().render().unwrap();
        assert!(!html.contains("<script>"));
        insta::assert_snapshot!(html);
    }

    #[test]
    fn a_plugin_owns_the_files_of_its_own_name() {
        let entries = ["zap.json", "zap_processed.json", "zap_api.json", "zapper.json", "logs/zap.log", "kast.log"]
            .map(|path| Artifact { path: path.into(), size: 1, modified: None });
        let own: Vec<String> = own_files(entries.into(), "zap", &["zap".into(), "zap_api".into()])
            .into_iter()
            .map(|entry| entry.path)
            .collect();
        assert_eq!(own, ["zap.json", "zap_processed.json", "logs/zap.log"]);
    }

    #[tokio::test]
    async fn plugin_page_shows_why_a_plugin_did_not_run() {
        let app = TestApp::new();
        app.load_catalogue();
        let scan = app.running("example.com").await;
        app.snapshots.update_attempt(scan.id, scan.token, |live| {
            live.plugins(vec![
                PluginResult::new("whatweb", PluginStatus::Unavailable),
                PluginResult::new("odd name", PluginStatus::Failed),
            ]);
        });
        std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
        std::fs::write(app.attempt_folder(&scan).join("whatweb_processed.json"), r#"{"x":"<b>"}"#).unwrap();
        let html = text_of(app.get("/scans/1/plugins/whatweb").await).await;
        assert!(html.contains(r#"data-events="/api/scans/1/events""#), "what is in progress is followed: {html}");
        assert!(
            html.contains("Tool not installed")
                && html.contains("whatweb_processed.json")
                && html.contains("&#60;b&#62;"),
            "{html}"
        );
        assert!(text_of(app.get("/scans/1/plugins/odd%20name").await).await.contains("Failed without a message"));
        for name in ["my plugin/1", "<b>x</b>", "../x", "..", ".", "~", "~.", "a?b#c", "%2e%2e", "näme", "\\"] {
            app.snapshots.update_attempt(scan.id, scan.token, |live| {
                live.plugins(vec![PluginResult::new(name, PluginStatus::Failed)]);
            });
            let html = text_of(app.get("/scans/1").await).await;
            let (_, rest) = html.split_once("href=\"/scans/1/plugins/").unwrap_or_else(|| panic!("{name}: {html}"));
            let link = format!("/scans/1/plugins/{}", rest.split('"').next().unwrap());
            // A browser resolves dot segments as steps.
            let read = url::Url::parse("http://k.test/scans/1").unwrap().join(&link).unwrap();
            let shown = text_of(app.get(&read[url::Position::BeforePath..]).await).await;
            assert!(shown.contains("Failed without a message"), "{name}: {link}: {shown}");
        }
        for path in ["/scans/1/plugins/none", "/scans/1/plugins/..%2f..", "/scans/9/plugins/whatweb"] {
            assert_eq!(app.get(path).await.status(), 404, "{path}");
        }
        let plugins = vec![PluginResult::new("whatweb", PluginStatus::Completed)];
        app.finish(&scan, Resolution::Complete(Verdict { plugins, dry_run: false })).await;
        assert!(
            !text_of(app.get("/scans/1/plugins/whatweb").await).await.contains("data-live"),
            "an ended scan changes no more"
        );
    }
}
