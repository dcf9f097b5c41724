//! Tests a scan's page, from submission to the end of the scan.

use super::stage::Stage;

#[tokio::test]
async fn scan_is_shown_from_submission_to_end_without_reload() {
    let gates = tempfile::tempdir().unwrap();
    let stage = Stage::with(&[
        ("FAKE_KAST_GATES", gates.path().to_str().unwrap()),
        ("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_GATES"),
    ])
    .await;
    let page = &stage.browser;
    let let_on = |plugin: &str| std::fs::write(gates.path().join(plugin), "").unwrap();
    stage.open("/new").await;
    page.fill("#field-target", "gated-3p-failp.test").await;
    // The preview shows the validation result at once.
    page.until("document.querySelector('#preview-lines .badge.is-completed') !== null").await;
    page.click("#submit").await;
    page.until("location.pathname === '/scans/1' && document.querySelector('#notice.is-submitted') !== null").await;
    page.js("window.sameDocument = true").await;

    stage.until_shown("running").await;
    stage.until_plugin("whatweb", "in_progress").await;
    let_on("whatweb");
    stage.until_plugin("whatweb", "completed").await;
    stage.until_plugin("wafw00f", "in_progress").await;
    page.until("document.getElementById('progress-bar').value > 0 && document.getElementById('progress-text').textContent.includes('plugins done')").await;
    // The log did not exist when the page was loaded, and the page still follows it.
    page.until("document.getElementById('log').textContent.includes('Running wafw00f')").await;

    let_on("wafw00f");
    stage.until_plugin("testssl", "in_progress").await;
    let_on("testssl");
    stage.until_shown("completed").await;
    page.until("!document.getElementById('live').hasAttribute('data-live')").await;
    assert_eq!(page.js("window.sameDocument").await, true, "the page was never loaded again");
    assert_eq!(stage.plugins().await, stage.plugins_of(1).await);
    let failed = page.text("tr[data-plugin=testssl]").await;
    assert!(failed.contains("Failed"), "{failed}");
    let coverage = page.text("#coverage").await;
    assert!(coverage.contains("2 of 6 checks ran") && coverage.contains("1 failed: testssl"), "{coverage}");
    page.until("document.getElementById('log').textContent.includes('Running testssl')").await;
    for gone in ["progress", "cancel", "notice"] {
        assert_eq!(page.js(&format!("document.getElementById('{gone}')")).await, serde_json::Value::Null, "{gone}");
    }
    for there in ["report", "rerun", "clone", "delete", "files", "download-zip", "download-html", "render", "command"] {
        assert_eq!(page.js(&format!("document.getElementById('{there}') !== null")).await, true, "{there}");
    }
    stage.proxy.until(|count| count.open == 0).await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn progress_is_shown_without_a_request_for_the_page() {
    let gates = tempfile::tempdir().unwrap();
    let stage = Stage::with(&[
        ("FAKE_KAST_GATES", gates.path().to_str().unwrap()),
        ("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_GATES"),
    ])
    .await;
    let page = &stage.browser;
    let let_on = |plugin: &str| std::fs::write(gates.path().join(plugin), "").unwrap();
    let id = stage.submit("gated-3p-failp.test").await;
    stage.open(&format!("/scans/{id}")).await;
    stage.until_shown("running").await;
    stage.until_plugin("whatweb", "in_progress").await;
    // The scan waits at its gate, so a page that is loaded now is up to date.
    let streams = stage.proxy.count().streams;
    stage.open(&format!("/scans/{id}")).await;
    stage.proxy.until(|count| count.streams > streams && count.open == 1).await;
    let before = stage.proxy.count().polls;
    let_on("whatweb");
    stage.until_plugin("whatweb", "completed").await;
    stage.until_plugin("wafw00f", "in_progress").await;
    page.until("document.getElementById('progress-bar').value > 0 && document.getElementById('progress-text').textContent.includes('plugins done')").await;
    let_on("wafw00f");
    stage.until_plugin("testssl", "in_progress").await;
    assert_eq!(stage.proxy.count().polls, before, "the events had all that the page shows");
    assert_eq!(stage.plugins().await, stage.plugins_of(id).await);
    // Another state changes the page as a whole.
    let_on("testssl");
    stage.until_shown("completed").await;
    assert!(stage.proxy.count().polls > before);
    stage.all_quiet().await;
}

#[tokio::test]
async fn scan_is_cancelled_by_one_click() {
    let stage = Stage::start().await;
    let id = stage.submit("family-hang-stubborn.test").await;
    stage.until_busy(id).await;
    stage.open(&format!("/scans/{id}")).await;
    stage.until_shown("running").await;
    stage.browser.click("#cancel").await;
    stage.until_shown("cancelled").await;
    assert_eq!(stage.status(id).await["status"], "cancelled");
    assert!(stage.processes().is_empty(), "cancelled means that nothing is left");
    stage
        .browser
        .until("document.getElementById('cancel') === null && document.getElementById('scan-cancelling') === null")
        .await;
    stage.browser.until("document.querySelector('#attempt-list .is-cancelled') !== null").await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn scan_is_rerun_and_rendered_again_and_deleted() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    let id = stage.submit("2p.test").await;
    stage.until_status(id, "completed").await;
    stage.open(&format!("/scans/{id}")).await;
    page.click("#render").await;
    page.until("document.querySelector('#notice.is-done')?.textContent.includes('Report regenerated')").await;
    page.click("#rerun").await;
    page.until("location.pathname === '/scans/2'").await;
    stage.until_shown("completed").await;
    assert!(page.text(".sub").await.contains("re-run of scan 1"));
    // The form contains all options of the earlier scan.
    page.click("#clone").await;
    page.until("location.pathname === '/new'").await;
    assert_eq!(page.js("document.getElementById('field-target').value").await, "2p.test");
    stage.open("/scans/2").await;
    page.click("#delete").await;
    page.click("#confirm").await;
    page.until("location.pathname === '/scans'").await;
    assert_eq!(
        page.js("[...document.querySelectorAll('#scans tbody tr')].map((row) => row.id)").await,
        serde_json::json!(["row-1"])
    );
    assert_eq!(stage.get("/api/scans/2").await.status(), 404);
    stage.open("/scans/2").await;
    assert!(
        page.text("#problem").await.to_lowercase().contains("not found") || page.text("main").await.contains("404")
    );
    page.click("main a[href='/']").await;
    page.until("location.pathname === '/'").await;
}

#[tokio::test]
async fn scan_log_is_followed_paused_and_searched() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    let id = stage.submit("env-2p.test").await;
    stage.until_status(id, "completed").await;
    stage.open(&format!("/scans/{id}/log")).await;
    page.until("document.getElementById('log').textContent.includes('Running wafw00f')").await;
    page.fill("#log-search", "RUNNING ").await;
    page.until(
        "document.querySelectorAll('#log .hit').length === 2 && document.querySelectorAll('#log mark').length === 2",
    )
    .await;
    assert!(page.text("#log-hits").await.starts_with("2 of "));
    page.click("#log-follow").await;
    page.until("document.getElementById('log-follow').textContent === 'Paused'").await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn running_scan_offers_no_rerun() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    let id = stage.submit("hang.test").await;
    stage.until_busy(id).await;
    stage.open(&format!("/scans/{id}")).await;
    stage.until_shown("running").await;
    assert_eq!(page.js("document.getElementById('rerun')").await, serde_json::Value::Null);
    page.click("#cancel").await;
    stage.until_shown("cancelled").await;
    page.until("document.getElementById('rerun') !== null").await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn an_active_scan_asks_for_permission_on_every_run() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    stage.open("/new").await;
    page.fill("#field-target", "1p.test").await;
    page.click("#mode-both").await;
    page.click("#field-confirm").await;
    page.click("#submit").await;
    page.until("location.pathname === '/scans/1'").await;
    stage.until_status(1, "completed").await;
    stage.until_shown("completed").await;
    page.click("#rerun").await;
    assert!(page.text("#question").await.contains("Re-run scan 1?"));
    // The browser requires the box before it sends the form.
    page.click("#confirm").await;
    assert_eq!(page.js("document.querySelector('#confirm-form :invalid').id").await, "field-confirm");
    assert_eq!(stage.json("/api/scans").await["total"], 1);
    page.click("#field-confirm").await;
    page.click("#confirm").await;
    page.until("location.pathname === '/scans/2'").await;
    assert_eq!(stage.until_status(2, "completed").await["mode"], "both");
    // The same from the list, for several scans.
    stage.open("/scans").await;
    page.click("#pick-all").await;
    page.click("#bulk-rerun").await;
    page.click("#field-confirm").await;
    page.click("#confirm").await;
    page.until("document.querySelectorAll('#scans tbody tr').length === 4").await;
    // The form does not keep the permission.
    stage.open("/new?from=1").await;
    assert_eq!(page.js("document.getElementById('field-confirm').checked").await, false);
}
