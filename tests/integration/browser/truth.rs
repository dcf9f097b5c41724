//! Tests that pages make no false statement: for each state of a scan, the texts of its pages and
//! which badges are green.

use serde_json::{Value, json};

use super::stage::Stage;
use crate::browser_driver::Browser;
use crate::kast_runner::stage::fake_kast;
use crate::product::app::TestApp;
use crate::redis_server::{Data, RedisServer};
use crate::surreal_server::SurrealServer;

/// The content of a page.
struct Shown {
    path: String,
    /// The badges of scans and attempts: the label, and true if it is green.
    scans: Vec<(String, bool)>,
    /// The badges of plugins: the plugin's name, the label, and true if it is green.
    plugins: Vec<(String, String, bool)>,
    /// The complete text, including folded parts.
    text: String,
    /// The number of running clocks.
    clocks: u64,
}

/// Collects the content. The colour of a badge is compared with the colour for completed scans, in
/// any theme.
const COLLECT: &str = "(() => {
    const probe = document.createElement('span');
    probe.style.color = 'var(--completed)';
    document.body.append(probe);
    const green = getComputedStyle(probe).color;
    probe.remove();
    const isGreen = (badge) => getComputedStyle(badge).color === green;
    const badges = [...document.querySelectorAll('main .badge')];
    const row = (badge) => badge.closest('[data-plugin]');
    return {
        scans: badges.filter((badge) => !row(badge) && !badge.closest('.panel header')).map((badge) => [badge.textContent.trim(), isGreen(badge)]),
        plugins: badges.filter(row).map((badge) => [row(badge).dataset.plugin, badge.textContent.trim(), isGreen(badge)]),
        text: document.getElementById('main').textContent.replace(/\\s+/g, ' '),
        clocks: document.querySelectorAll('[data-since]').length,
    };
})()";

async fn shown(stage: &Stage, path: &str) -> Shown {
    stage.open(path).await;
    stage
        .browser
        .until("document.readyState === 'complete' && document.querySelectorAll('.js[hidden]').length === 0")
        .await;
    let page = stage.browser.js(COLLECT).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Shown {
        path: path.to_owned(),
        scans: page["scans"].as_array().unwrap().iter().map(|one| (text(&one[0]), one[1] == true)).collect(),
        plugins: page["plugins"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (text(&one[0]), text(&one[1]), one[2] == true))
            .collect(),
        text: text(&page["text"]),
        clocks: page["clocks"].as_u64().unwrap(),
    }
}

/// Submits a scan with these plugins only.
async fn submit_only(stage: &Stage, target: &str, plugins: &[&str]) -> u64 {
    let (status, body) = stage.post("/api/scans", &json!({ "target": target, "plugins": plugins })).await;
    assert_eq!(status, 201, "{body}");
    body["scan_id"].as_u64().unwrap()
}

impl Shown {
    /// Asserts that no badge of a scan is green, and that a plugin's badge is green exactly if the
    /// API lists it as completed.
    fn has_no_false_green(&self, status: &Value) {
        assert!(self.scans.iter().all(|(_, green)| !green), "{}: {:?}", self.path, self.scans);
        for (plugin, label, green) in &self.plugins {
            let result = status["results"]
                .as_array()
                .unwrap()
                .iter()
                .find(|result| result["plugin_name"] == plugin.as_str())
                .unwrap();
            assert_eq!(*green, result["status"] == "completed", "{}: {plugin} is {label}", self.path);
        }
    }

    fn says(&self, sentences: &[&str]) {
        for sentence in sentences {
            assert!(self.text.contains(sentence), "{} does not say {sentence:?}: {}", self.path, self.text);
        }
    }

    fn says_none_of(&self, sentences: &[&str]) {
        for sentence in sentences {
            assert!(!self.text.contains(sentence), "{} says {sentence:?}: {}", self.path, self.text);
        }
    }
}

/// Texts that are false on every page of a scan with failed checks.
const CLEAN: &[&str] = &["No issues found."];
/// Texts that are false for an ended scan.
const GOES_ON: &[&str] = &[
    "No issues yet.",
    "Running:",
    "plugins done",
    "Starts when a slot is free",
    "Cancelling",
    "left ·",
    "This page updates live",
];
/// Texts that are false for a scan that a free slot would not start.
const ONLY_ITS_TURN: &[&str] = &["Starts when a slot is free", "This page updates live"];

/// Returns the pages that show a scan.
fn pages(id: u64) -> [String; 4] {
    ["/".to_owned(), "/scans".to_owned(), format!("/scans/{id}"), format!("/scans/{id}/trace")]
}

/// Asserts that every page of an ended scan is static and does not call the scan clean.
async fn is_over_and_not_clean(stage: &Stage, id: u64) {
    let status = stage.status(id).await;
    for path in pages(id) {
        let page = shown(stage, &path).await;
        page.has_no_false_green(&status);
        page.says_none_of(CLEAN);
        page.says_none_of(GOES_ON);
        assert_eq!(page.clocks, 0, "{path}: a clock runs");
    }
    stage.all_quiet().await;
}

#[tokio::test]
async fn a_partially_covered_scan_is_never_green() {
    let stage = Stage::start().await;
    let id = submit_only(&stage, "3p-failp.test", &["whatweb", "wafw00f", "testssl"]).await;
    stage.until_status(id, "completed").await;
    is_over_and_not_clean(&stage, id).await;
    let page = shown(&stage, &format!("/scans/{id}")).await;
    page.says(&["Completed, 1 gap", "2 of 3 checks ran", "1 failed: testssl"]);
    shown(&stage, "/scans").await.says(&["Completed, 1 gap", "2 of 3 checks ran", "1 failed"]);
    let failed = shown(&stage, &format!("/scans/{id}/plugins/testssl")).await;
    failed.says(&["Failed", "Testssl says"]);
    failed.says_none_of(CLEAN);
}

#[tokio::test]
async fn a_scan_in_which_nothing_was_checked_says_so() {
    let stage = Stage::start().await;
    let id = submit_only(&stage, "1p-failp.test", &["whatweb"]).await;
    stage.until(id, |status| matches!(status["status"].as_str(), Some("completed" | "failed"))).await;
    is_over_and_not_clean(&stage, id).await;
    let page = shown(&stage, &format!("/scans/{id}")).await;
    page.says(&["0 of 1 checks ran", "Nothing could be checked: 1 of 1 plugin failed"]);
    assert!(page.plugins.iter().all(|(_, _, green)| !green), "{:?}", page.plugins);
    shown(&stage, "/scans").await.says(&["Nothing checked"]);
}

#[tokio::test]
async fn dry_run_is_not_a_clean_result() {
    let stage = Stage::start().await;
    let (status, body) = stage.post("/api/scans", &json!({ "target": "1p.test", "dry_run": true })).await;
    assert_eq!(status, 201, "{body}");
    let id = body["scan_id"].as_u64().unwrap();
    stage.until_status(id, "completed").await;
    is_over_and_not_clean(&stage, id).await;
    shown(&stage, &format!("/scans/{id}")).await.says(&["Completed, dry run", "Not run: dry run"]);
    shown(&stage, "/scans").await.says(&["Completed, dry run", "Not run"]);
}

#[tokio::test]
async fn failed_scan_shows_the_reason_and_no_running_clock() {
    let stage = Stage::with(&[("KASTREL_SCANS__MAX_ATTEMPTS", "1")]).await;
    let id = stage.submit("crash.test").await;
    stage.until_status(id, "failed").await;
    is_over_and_not_clean(&stage, id).await;
    shown(&stage, &format!("/scans/{id}"))
        .await
        .says(&["Scan failed", "Not checked: the scan failed, and no check completed."]);
    shown(&stage, "/").await.says(&["Recent failures", "exit code 1"]);
}

#[tokio::test]
async fn cancelled_scan_page_is_static() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    let id = stage.submit("hang-3p.test").await;
    stage.until_busy(id).await;
    stage.open(&format!("/scans/{id}")).await;
    stage.until_shown("running").await;
    page.click("#cancel").await;
    stage.until_shown("cancelled").await;
    is_over_and_not_clean(&stage, id).await;
    // An hour later the page is the same, except for the relative time.
    for path in [format!("/scans/{id}"), format!("/scans/{id}/trace")] {
        let without_ago = "(() => { const main = document.getElementById('main').cloneNode(true); main.querySelectorAll('[data-ago]').forEach((one) => one.remove()); return main.textContent; })()";
        stage.open(&path).await;
        page.until("document.querySelectorAll('.js[hidden]').length === 0").await;
        let before = page.js(without_ago).await;
        page.js("(() => { const now = Date.now; Date.now = () => now() + 3_600_000; document.dispatchEvent(new Event('visibilitychange')); })()").await;
        assert_eq!(page.js(without_ago).await, before, "{path}");
    }
    let open: Vec<_> = shown(&stage, &format!("/scans/{id}")).await.plugins;
    assert!(open.iter().all(|(_, label, _)| !matches!(label.as_str(), "Running" | "Queued")), "{open:?}");
}

#[tokio::test]
async fn scan_cancelled_before_its_start_is_shown_as_not_run() {
    let stage = Stage::start().await;
    stage.post("/api/queue/pause", &json!({})).await;
    let id = stage.submit("1p.test").await;
    stage.cancel(id).await;
    stage.until_status(id, "cancelled").await;
    stage.post("/api/queue/resume", &json!({})).await;
    is_over_and_not_clean(&stage, id).await;
    shown(&stage, &format!("/scans/{id}")).await.says(&["Not run: cancelled before it started", "No attempt yet."]);
    shown(&stage, "/scans").await.says(&["Not run: cancelled before it started"]);
}

#[tokio::test]
async fn paused_queue_is_shown_as_the_waiting_reason() {
    let stage = Stage::start().await;
    stage.post("/api/queue/pause", &json!({ "reason": "an upgrade" })).await;
    let id = stage.submit("1p.test").await;
    for path in pages(id) {
        let page = shown(&stage, &path).await;
        page.has_no_false_green(&stage.status(id).await);
        page.says(&["Queue paused: no scan starts.", "an upgrade", "Queued"]);
        page.says_none_of(&["Queue OK"]);
        page.says_none_of(ONLY_ITS_TURN);
        page.says_none_of(CLEAN);
        assert_eq!(
            stage.browser.js("document.querySelectorAll('#standing .notice').length").await,
            1,
            "{path}: one banner"
        );
    }
    stage.post("/api/queue/resume", &json!({})).await;
    stage.until_status(id, "completed").await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn held_back_scan_shows_only_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("kast");
    let stage = Stage::with(&[("KAST_CLI_PATH", program.to_str().unwrap())]).await;
    let id = stage.submit("1p.test").await;
    stage.until(id, |status| status["waiting"]["reason"] == "held_back").await;
    for path in pages(id) {
        let page = shown(&stage, &path).await;
        page.has_no_false_green(&stage.status(id).await);
        page.says(&["Scans are held back.", program.to_str().unwrap()]);
        page.says_none_of(ONLY_ITS_TURN);
        page.says_none_of(CLEAN);
        page.says_none_of(&["Backoff", "crash", "Queue OK"]);
    }
    shown(&stage, &format!("/scans/{id}")).await.says(&["Held back:", "Not checked yet: the scan is queued."]);
    std::os::unix::fs::symlink(fake_kast(), &program).unwrap();
    stage.until_status(id, "completed").await;
    let page = shown(&stage, &format!("/scans/{id}")).await;
    page.says_none_of(&["Held back"]);
    stage.all_quiet().await;
}

/// Asserts that one banner gives the reason why no scan starts, and that the pages of this scan do
/// not say that a free slot would start it.
async fn waits_and_says_why(stage: &Stage, id: u64, sentences: &[&str]) {
    for path in pages(id) {
        let page = shown(stage, &path).await;
        page.has_no_false_green(&stage.status(id).await);
        page.says(sentences);
        page.says_none_of(ONLY_ITS_TURN);
        page.says_none_of(CLEAN);
        page.says_none_of(&["Backoff", "crash", "Queue OK"]);
        assert_eq!(
            stage.browser.js("document.querySelectorAll('#standing .notice').length").await,
            1,
            "{path}: one banner"
        );
    }
}

#[tokio::test]
async fn without_a_worker_a_scan_waits_for_one() {
    let (redis, database) = tokio::join!(RedisServer::start(), SurrealServer::on_disk());
    let (redis_url, database_url) = (redis.url(), database.url("kastrel", "kastrel"));
    let mut app = TestApp::prepare(&[("KASTREL_DATABASE_URL", &*database_url), ("REDIS_URL", &*redis_url)]);
    app.restart_with(&["--no-worker"]).await;
    let stage = Stage::of(Browser::start().await, app).await;
    let id = stage.submit("1p.test").await;
    stage.until(id, |status| status["waiting"]["reason"] == "no_worker").await;
    waits_and_says_why(
        &stage,
        id,
        &["No worker connected: no scan starts.", "Start `kastrel worker` or `kastrel serve`."],
    )
    .await;
    shown(&stage, &format!("/scans/{id}"))
        .await
        .says(&["Starts when a worker connects.", "Not checked yet: the scan is queued."]);
    stage.all_quiet().await;
}

#[tokio::test]
async fn scan_without_redis_is_kept_and_shows_its_waiting_reason() {
    let mut redis = RedisServer::durable().await;
    let url = redis.url();
    let stage = Stage::with(&[("REDIS_URL", &*url)]).await;
    redis.kill().await;
    let id = stage.submit("1p.test").await;
    stage.until(id, |status| status["waiting"]["reason"] == "queue_down").await;
    waits_and_says_why(&stage, id, &["Job queue unavailable: no scan starts.", "start when the queue is back"]).await;
    redis.restart(Data::Kept).await;
    stage.until_status(id, "completed").await;
    shown(&stage, &format!("/scans/{id}")).await.says_none_of(&["Job queue unavailable", "job queue is unavailable"]);
    stage.all_quiet().await;
}

#[tokio::test]
async fn a_complete_scan_may_be_green() {
    let stage = Stage::start().await;
    let id = submit_only(&stage, "2p.test", &["whatweb", "wafw00f"]).await;
    stage.until_status(id, "completed").await;
    let page = shown(&stage, &format!("/scans/{id}")).await;
    assert!(
        page.scans.iter().any(|(label, green)| label == "Completed" && *green),
        "the test would see green: {:?}",
        page.scans
    );
    page.says(&["2 of 2 checks ran"]);
}
