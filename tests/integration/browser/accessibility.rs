//! Tests the accessibility of every page: axe-core finds no serious violation, and the keyboard
//! alone is sufficient.

use fantoccini::key::Key;
use serde_json::{Value, json};

use super::seed::{PAGES, every_state};
use super::stage::Stage;
use crate::browser_driver::Browser;

/// The options for a check with all rules. A report is the scanner's own page, in a frame that
/// blocks scripts, so frames are left out.
pub(super) const ALL_RULES: &str = "{ iframes: false, resultTypes: ['violations'] }";
/// The options for a check of the colours only.
pub(super) const COLOURS: &str = "{ iframes: false, resultTypes: ['violations'], runOnly: ['color-contrast'] }";

#[tokio::test]
async fn axe_finds_nothing_serious_in_light() {
    inspect("light", ALL_RULES).await;
}

#[tokio::test]
async fn axe_finds_nothing_serious_in_dark() {
    // The second run differs in colours only.
    inspect("dark", COLOURS).await;
}

/// Checks all pages.
async fn inspect(colours: &str, options: &str) {
    let stage = every_state().await;
    stage.browser.system_prefers(colours).await;
    inject_axe(&stage.browser).await;
    let mut found = Vec::new();
    for path in PAGES {
        stage.open(path).await;
        found.extend(serious_violations(&stage.browser, path, options).await);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Injects axe-core into every page that is opened later, before the page's own scripts. The policy
/// of the page does not apply to it.
pub(super) async fn inject_axe(page: &Browser) {
    let axe = tokio::task::spawn_blocking(crate::axe::script).await.unwrap();
    page.protocol("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": axe })).await;
}

/// Returns the serious violations of the open page, which the texts call `name`.
pub(super) async fn serious_violations(page: &Browser, name: &str, options: &str) -> Vec<String> {
    page.until("document.querySelectorAll('.js[hidden]').length === 0").await;
    let run = format!(
        "const done = arguments[0]; axe.run(document, {options}).then((result) => done(result), (error) => done(String(error)));"
    );
    let result = page.client().execute_async(&run, Vec::new()).await.unwrap();
    assert!(result["passes"].as_array().is_some_and(|passes| !passes.is_empty()), "{name}: {result}");
    let violations = result["violations"].as_array().unwrap().iter();
    violations.filter(|one| is_serious(one)).map(|one| format!("{name}: {}", described(one))).collect()
}

fn is_serious(violation: &Value) -> bool {
    matches!(violation["impact"].as_str(), Some("serious" | "critical"))
}

fn described(violation: &Value) -> String {
    let nodes: Vec<String> = violation["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .take(3)
        .map(|node| format!("{} {}", node["html"], node["failureSummary"]))
        .collect();
    format!("{}: {}\n  {}", violation["id"], violation["help"], nodes.join("\n  "))
}

#[tokio::test]
async fn pages_work_with_the_keyboard_alone() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    stage.open("/").await;
    let press = async |keys: &str| page.client().active_element().await.unwrap().send_keys(keys).await.unwrap();
    // The first tab stop is the link that skips the navigation.
    press(&Key::Tab.to_string()).await;
    page.until("document.activeElement.classList.contains('skip')").await;
    assert_ne!(
        page.js("getComputedStyle(document.activeElement).outlineStyle").await,
        "none",
        "where one is can be seen"
    );
    press(&Key::Enter.to_string()).await;
    page.until("document.activeElement.id === 'main'").await;
    stage.open("/new").await;
    page.until("document.activeElement.id === 'field-target'").await;
    press("1p.test").await;
    press(&format!("{}{}", Key::Control, Key::Enter)).await;
    page.until("location.pathname === '/scans/1'").await;
    stage.until_shown("completed").await;
}
