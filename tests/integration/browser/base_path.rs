//! Tests the dashboard under a base path, as behind a proxy that also serves other programs.

use super::stage::Stage;

#[tokio::test]
async fn pages_forms_streams_and_cookies_work_under_a_base_path() {
    let stage = Stage::with(&[("KASTREL_SERVER__BASE_PATH", "/kastrel")]).await;
    let page = &stage.browser;
    stage.open("/kastrel/new").await;
    page.fill("#field-target", "hang-1p.test").await;
    page.click("#submit").await;
    page.until("location.pathname === '/kastrel/scans/1'").await;
    stage.until_live().await;
    stage.until_shown("running").await;
    assert_eq!(stage.cancel(1).await.0, 202);
    stage.until_shown("cancelled").await;
    stage.until_status(1, "cancelled").await;
    // A setting applies to each page, and other programs on the host do not receive its cookie.
    page.click("#theme-dark").await;
    stage.open("/kastrel").await;
    assert_eq!(page.js("document.documentElement.dataset.theme").await, "dark");
    assert_eq!(page.js("document.getElementById('zone').textContent").await, "Pacific/Auckland");
    page.click("#nav-scans").await;
    page.until("location.pathname === '/kastrel/scans' && document.querySelectorAll('#scans tbody tr').length === 1")
        .await;
    stage.all_quiet().await;
    stage.open("/elsewhere").await;
    assert_eq!(page.js("document.cookie").await, "");
}
