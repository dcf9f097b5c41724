//! Tests of the pages of findings and targets.

use serde_json::json;

use super::accessibility::{ALL_RULES, inject_axe, serious_violations};
use super::seed::DEMO;
use super::stage::Stage;
use crate::browser_driver::Browser;
use crate::kast_runner::stage::PATIENCE;
use crate::product::app::TestApp;

/// The number of listed findings.
const ROWS: &str = "document.querySelectorAll('#findings tbody tr').length";

/// Starts a server with the findings of two scans.
async fn scanned() -> Stage {
    let stage = Stage::of(Browser::start().await, TestApp::with(DEMO).await).await;
    for _ in 0..2 {
        let id = stage.submit("www.example.com").await;
        stage.until_status(id, "completed").await;
    }
    // The findings are stored after the scan has ended.
    let stored = async {
        loop {
            stage.open("/targets").await;
            if stage.browser.js("document.querySelector('tr[data-target] a[href=\"/scans/2\"]') !== null").await == true
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, stored).await.expect("the findings are stored");
    stage
}

#[tokio::test]
async fn where_a_new_high_is_and_whether_it_is_fixed_takes_two_clicks() {
    let stage = scanned().await;
    let page = &stage.browser;
    stage.open("/").await;
    page.click("#quick-new").await;
    page.until(&format!("location.pathname === '/findings' && {ROWS} > 0")).await;
    let severities = page
        .js("[...new Set([...document.querySelectorAll('#findings [data-label=Severity]')].map((cell) => cell.textContent.trim()))].every((word) => ['critical', 'high'].includes(word))")
        .await;
    assert_eq!(severities, true);
    page.click("#findings tbody tr th a").await;
    page.until("location.pathname.startsWith('/findings/') && document.getElementById('place') !== null").await;
    assert_eq!(page.js("document.getElementById('state').dataset.status").await, "open");
    assert!(!page.text("#place").await.is_empty());
    assert!(page.text(".crumbs").await.contains("www.example.com"));
    stage.all_quiet().await;
}

#[tokio::test]
async fn findings_are_filtered_and_decided_about_in_bulk() {
    let stage = scanned().await;
    let page = &stage.browser;
    stage.open("/findings").await;
    let all = page.js(ROWS).await.as_u64().unwrap();
    assert!(all > 2, "{all}");
    page.click("#triage-open").await;
    page.click("#findings tbody tr:first-child [data-pick]").await;
    page.until("document.getElementById('pick-count').textContent === '1 selected'").await;
    page.js("document.getElementById('field-action').value = 'false_positive'").await;
    // Without a reason, the form comes back with what was chosen.
    page.click("#triage-apply").await;
    page.until("document.getElementById('wrong-reason') !== null").await;
    page.fill("#field-reason", "a test").await;
    page.click("#confirm").await;
    page.until(&format!("document.getElementById('notice') !== null && {ROWS} === {}", all - 1)).await;
    page.fill("#filter-q", "status:false_positive").await;
    page.click("#filter-apply").await;
    page.until(&format!("location.search.includes('false_positive') && {ROWS} === 1")).await;
    page.click("#view-issues").await;
    page.until("document.querySelectorAll('#issues tbody tr').length === 1").await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn target_page_has_its_scans_and_axe_finds_nothing_serious() {
    let stage = scanned().await;
    let page = &stage.browser;
    inject_axe(page).await;
    stage.open("/targets").await;
    page.click("tr[data-target] th a").await;
    page.until("location.pathname.startsWith('/targets/')").await;
    assert_eq!(
        page.js("[...document.querySelectorAll('#strip [data-scan]')].map((scan) => scan.dataset.scan)").await,
        json!(["2", "1"])
    );
    assert_eq!(
        page.js("['earlier', 'later'].map((name) => document.querySelector(`[name=${name}]:checked`).value)").await,
        json!(["1", "2"]),
        "one click compares the last two"
    );
    let target = page.js("location.pathname").await;
    stage.open("/findings").await;
    let finding = page.js("document.querySelector('#findings tbody th a').getAttribute('href')").await;
    let pages = ["/targets", "/targets?group=tag", "/findings", "/findings?group=issue", "/findings?q=severity%3Aloud"];
    let mut found = Vec::new();
    for path in pages.into_iter().chain([target.as_str().unwrap(), finding.as_str().unwrap()]) {
        stage.open(path).await;
        found.extend(serious_violations(page, path, ALL_RULES).await);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
