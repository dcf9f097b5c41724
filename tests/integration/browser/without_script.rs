//! Tests that all functions work with JavaScript disabled, by forms and page loads.

use std::time::Duration;

use fantoccini::Locator;

use super::stage::Stage;
use crate::browser_driver::Browser;
use crate::kast_runner::stage::PATIENCE;
use crate::product::app::TestApp;

#[tokio::test]
async fn scans_are_submitted_watched_and_cancelled_without_script() {
    let app = TestApp::with(&[("KASTREL_SERVER__POLL_INTERVAL_SECONDS", "1")]).await;
    let stage = Stage::of(Browser::without_script().await, app).await;
    let page = &stage.browser;
    let there = async |selector: &str| {
        let wait = page.client().wait().at_most(PATIENCE).every(Duration::from_millis(50));
        wait.for_element(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    };
    stage.open("/new").await;
    page.fill("#field-target", "1500ms-2p.test").await;
    page.click("#check").await;
    there("#preview-lines .is-completed").await;
    page.click("#submit").await;
    there("#scan-badge .is-running, #scan-badge .is-pending").await;
    // The page reloads itself until the scan has ended.
    there("#scan-badge .is-partial").await;
    there("#report").await;
    assert_eq!(stage.plugins().await, stage.plugins_of(1).await);
    // The browser records the paint after the elements are there.
    let painted = async {
        while page.js("performance.getEntriesByName('first-contentful-paint').length").await != 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, painted).await.expect("it is painted without script");
    page.click("#report").await;
    there("#report-frame").await;
    // Several targets show a preview page first, because the form cannot preview them.
    stage.open("/new").await;
    page.fill("#field-target", "hang-a.test\nhang-b.test").await;
    page.click("#submit").await;
    page.click("#start-all").await;
    there("#row-3").await;
    there("#row-2 .is-running").await;
    page.click("#row-2 [data-act=cancel]").await;
    // The action started in the list, so the server redirects back to the list.
    there("#row-2[data-status=cancelled]").await;
    stage.cancel(3).await;
    page.click("#theme-dark").await;
    there("html[data-theme=dark]").await;
    stage.open("/").await;
    there("html[data-theme=dark]").await;
    stage.until_status(3, "cancelled").await;
}
