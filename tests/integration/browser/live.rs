//! Tests of live updates: after any fault between page and server, the page shows the current state
//! without a reload.

use serde_json::json;

use super::stage::Stage;

const TROUBLE: &str = "!document.getElementById('trouble').hidden";
const NO_TROUBLE: &str = "document.getElementById('trouble').hidden";

#[tokio::test]
async fn page_recovers_when_a_killed_server_restarts() {
    let mut stage = Stage::start().await;
    let id = stage.submit("hangfirst-2p.test").await;
    stage.until_busy(id).await;
    stage.open(&format!("/scans/{id}")).await;
    stage.until_shown("running").await;
    stage.until_live().await;
    stage.browser.js("window.sameDocument = true").await;
    stage.app.kill_server().await;
    stage.browser.until(TROUBLE).await;
    stage.restart().await;
    stage.browser.until(NO_TROUBLE).await;
    stage.until_shown("completed").await;
    let attempts =
        "[...document.querySelectorAll('#attempt-list [data-attempt]')].map((attempt) => attempt.dataset.attempt)";
    assert_eq!(stage.browser.js(attempts).await, json!(["2", "1"]));
    // The log belongs to the latest attempt.
    stage.browser.until("document.getElementById('log').dataset.logUrl.endsWith('attempt=2')").await;
    stage.browser.until("document.getElementById('log').textContent.includes('Running wafw00f')").await;
    assert_eq!(stage.browser.js("window.sameDocument").await, true);
    stage.all_quiet().await;
}

#[tokio::test]
async fn event_stream_is_reopened_after_a_cut() {
    let stage = Stage::start().await;
    let id = stage.submit("hang.test").await;
    stage.until_busy(id).await;
    stage.open(&format!("/scans/{id}")).await;
    stage.until_live().await;
    stage.proxy.cut_streams();
    stage.proxy.until(|count| count.streams >= 2 && count.open == 1).await;
    stage.browser.until(NO_TROUBLE).await;
    stage.cancel(id).await;
    stage.until_shown("cancelled").await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn page_polls_without_an_event_stream() {
    let stage = Stage::with(&[("KASTREL_SERVER__POLL_INTERVAL_SECONDS", "1")]).await;
    stage.proxy.refuse_streams(true);
    let id = stage.submit("hang.test").await;
    stage.until_busy(id).await;
    stage.open(&format!("/scans/{id}")).await;
    stage.proxy.until(|count| count.streams >= 1).await;
    let before = stage.proxy.count().gets;
    stage.proxy.until(|count| count.gets >= before + 2).await;
    assert_eq!(stage.proxy.count().open, 0);
    stage.cancel(id).await;
    stage.until_shown("cancelled").await;
}

#[tokio::test]
async fn page_polls_above_the_stream_limit_and_reconnects_when_a_stream_is_free() {
    let stage =
        Stage::with(&[("KASTREL_SERVER__POLL_INTERVAL_SECONDS", "1"), ("KASTREL_SERVER__MAX_EVENT_STREAMS", "1")])
            .await;
    let page = &stage.browser;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(stage.submit("hang.test").await);
        stage.until_busy(ids[ids.len() - 1]).await;
    }
    // The server notices with a delay that dropped streams are closed.
    let mut held = stage.get(&format!("/api/scans/{}/events", ids[2])).await;
    while held.status() != 200 {
        held = stage.get(&format!("/api/scans/{}/events", ids[2])).await;
    }
    stage.open("/scans").await;
    stage.proxy.until(|count| count.streams >= 1).await;
    let shown_cancelled = |id: u64| format!("document.getElementById('row-{id}').dataset.status === 'cancelled'");
    stage.cancel(ids[0]).await;
    page.until(&shown_cancelled(ids[0])).await;
    assert_eq!(stage.proxy.count().open, 0, "the stream was refused");
    stage.cancel(ids[2]).await;
    while held.chunk().await.unwrap().is_some() {}
    // The page reconnects by itself a little later, and immediately on the browser's `online`
    // event.
    page.js("dispatchEvent(new Event('online'))").await;
    stage.proxy.until(|count| count.open == 1).await;
    page.until(NO_TROUBLE).await;
    stage.cancel(ids[1]).await;
    page.until(&shown_cancelled(ids[1])).await;
}

#[tokio::test]
async fn page_recovers_from_a_silent_stream_after_sleep() {
    // The poll interval is so long that polling cannot repair the page.
    let stage = Stage::with(&[("KASTREL_SERVER__POLL_INTERVAL_SECONDS", "600")]).await;
    let id = stage.submit("hang.test").await;
    stage.until_busy(id).await;
    stage.open(&format!("/scans/{id}")).await;
    stage.until_live().await;
    stage.proxy.mute_streams();
    stage.cancel(id).await;
    stage.until_status(id, "cancelled").await;
    assert_eq!(
        stage.browser.js("document.querySelector('#scan-badge .badge').classList.contains('is-running')").await,
        true
    );
    stage.browser.js("(() => { const now = Date.now; Date.now = () => now() + 60_000; })()").await;
    stage.until_shown("cancelled").await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn hidden_page_sends_no_requests_and_catches_up_when_visible() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    let id = stage.submit("hang.test").await;
    stage.until_busy(id).await;
    stage.open(&format!("/scans/{id}")).await;
    stage.until_live().await;
    // A headless browser never hides a tab, so the test sets `document.hidden`.
    page.js("(() => { window.unseen = true; Object.defineProperty(document, 'hidden', { get: () => window.unseen }); document.dispatchEvent(new Event('visibilitychange')); })()").await;
    stage.proxy.until(|count| count.open == 0).await;
    let asked = stage.proxy.count();
    stage.cancel(id).await;
    stage.until_status(id, "cancelled").await;
    assert_eq!(stage.proxy.count(), asked);
    assert!(page.js("document.querySelector('#scan-badge .badge').classList.contains('is-running')").await == true);
    page.js("(() => { window.unseen = false; document.dispatchEvent(new Event('visibilitychange')); })()").await;
    stage.until_shown("cancelled").await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn two_tabs_show_the_same_state() {
    let stage = Stage::start().await;
    let (page, client) = (&stage.browser, stage.browser.client());
    let id = stage.submit("hang-2p.test").await;
    stage.until_busy(id).await;
    stage.open(&format!("/scans/{id}")).await;
    let first = client.window().await.unwrap();
    // The second page is in a separate window, because a hidden tab sends no requests.
    let second = client.new_window(false).await.unwrap().handle;
    client.switch_to_window(second.clone()).await.unwrap();
    stage.open("/scans").await;
    page.until(&format!("document.getElementById('row-{id}').dataset.status === 'running'")).await;
    stage.proxy.until(|count| count.open == 2).await;
    client.switch_to_window(first.clone()).await.unwrap();
    page.click("#cancel").await;
    stage.until_shown("cancelled").await;
    client.switch_to_window(second).await.unwrap();
    page.until(&format!("document.getElementById('row-{id}').dataset.status === 'cancelled'")).await;
    // A scan started in one tab appears in the other tab of the same page.
    stage.open(&format!("/scans/{id}")).await;
    page.click("#rerun").await;
    page.until("location.pathname === '/scans/2'").await;
    stage.until_shown("running").await;
    // The scan hangs there, so its plugins do not change any more.
    page.until("document.querySelector('tr[data-plugin=whatweb]')?.dataset.status === 'in_progress'").await;
    let here = stage.plugins().await;
    client.switch_to_window(first).await.unwrap();
    stage.open("/scans/2").await;
    assert_eq!(stage.plugins().await, here);
    page.click("#cancel").await;
    stage.until_shown("cancelled").await;
}

#[tokio::test]
async fn overview_shows_scan_changes_and_a_paused_queue() {
    let stage = Stage::with(&[("KASTREL_SERVER__POLL_INTERVAL_SECONDS", "1")]).await;
    let page = &stage.browser;
    stage.open("/").await;
    assert!(page.text("main").await.contains("No scans running."));
    stage.until_live().await;
    let id = stage.submit("hang.test").await;
    page.until(&format!(
        "document.getElementById('run-{id}') !== null && document.querySelector('#tile-running b').textContent === '1'"
    ))
    .await;
    let failed = stage.submit("usage.test").await;
    page.until(&format!("document.getElementById('failure-{failed}').textContent.includes('Usage')")).await;
    stage.post("/api/queue/pause", &json!({ "reason": "for the <b>weekend</b>" })).await;
    let waiting = stage.submit("1p.test").await;
    page.until("document.querySelector('#tile-pending b').textContent === '1'").await;
    assert!(page.text("#queue-paused").await.contains("for the <b>weekend</b>"));
    page.click("#queue-resume").await;
    page.until("document.getElementById('queue-paused') === null").await;
    stage.until_status(waiting, "completed").await;
    page.until("document.querySelector('#tile-completed b').textContent === '1'").await;
    page.click(&format!("#run-{id} [data-act=cancel]")).await;
    stage.until_status(id, "cancelled").await;
}
