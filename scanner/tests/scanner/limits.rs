//! Tests of time, size, count and scope limits, and of plugins that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kastrel_scanner::http::{Client, HttpError};
use kastrel_scanner::journal::Journal;
use kastrel_scanner::plugin::{Meta, Outcome, Plugin};
use kastrel_scanner::run::run_scan;
use kastrel_scanner::scan::Scan;
use kastrel_scanner::settings::Settings;
use kastrel_scanner::target::Target;
use tempfile::tempdir;
use tokio::net::TcpListener;
use tokio::time::Instant;
use url::Url;

use crate::server::{Server, options, processed, response, scan, status};

const HTTP_PLUGINS: [&str; 6] =
    ["http_headers", "cookie_flags", "script_integrity", "technology_hints", "cors_policy", "exposed_files"];

#[tokio::test]
async fn a_refused_connection_fails_every_plugin_with_the_reason() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let folder = tempdir().unwrap();
    let info = scan(&address.to_string(), &[], folder.path(), &[]).await;
    for plugin in HTTP_PLUGINS.iter().chain(&["tls_certificate"]) {
        assert_eq!(status(&info, plugin), "fail", "{plugin}");
        let file = processed(folder.path(), plugin);
        assert_eq!(file["findings"]["disposition"], "fail");
        for text in [&file["summary"], &file["findings"]["results"]] {
            assert!(text.as_str().unwrap().contains("refused"), "{plugin}: {text}");
        }
    }
    let page = std::fs::read_to_string(folder.path().join("kast_report.html")).unwrap();
    assert!(page.contains("Not everything was checked") && page.contains("No check was made"));
}

#[tokio::test]
async fn silent_server_ends_the_check_with_the_time_limit() {
    // The listener never accepts: the kernel opens the connections, and no process answers them.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempdir().unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    let info = scan(&target, &HTTP_PLUGINS, folder.path(), &["http.timeout_seconds=1"]).await;
    for plugin in HTTP_PLUGINS {
        assert_eq!(status(&info, plugin), "fail", "{plugin}");
        assert!(
            processed(folder.path(), plugin)["summary"].as_str().unwrap().contains("no answer within 1 s"),
            "{plugin}"
        );
    }
    // All plugins share one visit of the landing page, so the scan waits for one timeout only.
    assert!(info.duration_seconds < 3.0, "{} s", info.duration_seconds);
}

fn client(server: &Server, settings: &[&str]) -> (Client, Url) {
    let mut parsed = Settings::default();
    for setting in settings {
        parsed.apply(setting).unwrap();
    }
    let url = format!("http://{}/", server.address);
    (Client::new(&Target::parse(&url).unwrap(), &[server.address.ip()], &parsed).unwrap(), Url::parse(&url).unwrap())
}

#[tokio::test]
async fn a_body_is_read_up_to_the_limit() {
    let server = Server::start(|_| response(200, "", &"x".repeat(3 * 1024 * 1024))).await;
    let (client, url) = client(&server, &["http.max_body_mib=1"]);
    let page = client.get(&url, &[]).await.unwrap();
    assert!(page.truncated);
    assert_eq!(page.body.len(), 1024 * 1024);
}

#[tokio::test]
async fn requests_are_counted_and_limited() {
    let server = Server::start(|_| response(200, "", "")).await;
    let (client, url) = client(&server, &["http.max_requests=2"]);
    client.get(&url, &[]).await.unwrap();
    client.get(&url, &[]).await.unwrap();
    assert_eq!(client.get(&url, &[]).await.unwrap_err(), HttpError::Budget(2));
    assert_eq!(server.seen().len(), 2);
    assert_eq!(client.requests_sent(), 2);
}

#[tokio::test]
async fn the_client_refuses_other_hosts_and_ports() {
    let server = Server::start(|_| response(200, "", "")).await;
    let (client, url) = client(&server, &[]);
    for other in ["http://127.0.0.2/", "http://127.0.0.1:1/", "http://example.com/", "ftp://127.0.0.1/"] {
        assert!(matches!(client.get(&Url::parse(other).unwrap(), &[]).await, Err(HttpError::OutOfScope(_))), "{other}");
    }
    assert!(client.get(&url, &[]).await.is_ok());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_loop_of_redirects_ends() {
    let server = Server::start(|_| response(302, "location: /again\r\n", "")).await;
    let (client, url) = client(&server, &[]);
    let visit = client.visit(&url).await.unwrap();
    assert_eq!(visit.pages.len(), 6);
}

static BROKEN_META: Meta =
    Meta { name: "broken", display_name: "Broken", description: "Panics.", website_url: "", priority: 1 };

struct Broken;

#[async_trait]
impl Plugin for Broken {
    fn meta(&self) -> &'static Meta {
        &BROKEN_META
    }

    async fn run(&self, _scan: &Scan) -> Outcome {
        panic!("this plugin always panics");
    }
}

#[tokio::test]
async fn a_panic_of_one_plugin_is_its_own_failure() {
    let server = Arc::new(Server::start(|_| response(200, "", "")).await);
    let folder = tempdir().unwrap();
    let mut scanning = options(&format!("http://{}", server.address), &["http_headers"], folder.path(), &[]);
    scanning.plugins.insert(0, &Broken);
    scanning.workers = 1;
    let info = run_scan(scanning, &Journal::silent()).await.unwrap();
    assert_eq!(status(&info, "broken"), "fail");
    assert_eq!(status(&info, "http_headers"), "success");
    assert!(processed(folder.path(), "broken")["summary"].as_str().unwrap().contains("always panics"));
}

static SPINNING_META: Meta = Meta {
    name: "spinning",
    display_name: "Spinning",
    description: "Computes and never waits.",
    website_url: "",
    priority: 1,
};

struct Spinning(&'static AtomicBool);

#[async_trait]
impl Plugin for Spinning {
    fn meta(&self) -> &'static Meta {
        &SPINNING_META
    }

    async fn run(&self, _scan: &Scan) -> Outcome {
        while !self.0.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        Outcome::Skipped("somebody let it go".to_owned())
    }
}

/// Lets the plugin's thread end, even if an assertion fails.
struct LetGo(&'static AtomicBool);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn plugin_that_never_awaits_ends_with_its_limit_and_others_continue() {
    static FREE: AtomicBool = AtomicBool::new(false);
    static SPINNING_PLUGIN: Spinning = Spinning(&FREE);
    let _let_go = LetGo(&FREE);
    let server = Server::start(|_| response(200, "", "")).await;
    for workers in [1, 4] {
        let folder = tempdir().unwrap();
        let mut scanning = options(&format!("http://{}", server.address), &HTTP_PLUGINS, folder.path(), &[]);
        scanning.plugins.insert(0, &SPINNING_PLUGIN);
        scanning.workers = workers;
        scanning.settings.plugin_timeout = Duration::from_secs(2);
        let started = Instant::now();
        let info = run_scan(scanning, &Journal::silent()).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        assert_eq!(status(&info, "spinning"), "fail");
        assert!(processed(folder.path(), "spinning")["summary"].as_str().unwrap().contains("did not end within 2 s"));
        for plugin in HTTP_PLUGINS {
            assert_eq!(status(&info, plugin), "success", "{plugin} with {workers} workers");
        }
    }
}

#[tokio::test]
async fn a_plugin_that_never_waits_ends_with_the_limit_of_the_scan() {
    static FREE: AtomicBool = AtomicBool::new(false);
    static SPINNING_PLUGIN: Spinning = Spinning(&FREE);
    let _let_go = LetGo(&FREE);
    let server = Server::start(|_| response(200, "", "")).await;
    let folder = tempdir().unwrap();
    let mut scanning = options(&format!("http://{}", server.address), &["http_headers"], folder.path(), &[]);
    scanning.plugins.insert(0, &SPINNING_PLUGIN);
    scanning.workers = 1;
    scanning.settings.scan_timeout = Duration::from_secs(2);
    let started = Instant::now();
    let info = run_scan(scanning, &Journal::silent()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    for plugin in ["spinning", "http_headers"] {
        assert_eq!(status(&info, plugin), "fail", "{plugin}");
        assert!(
            processed(folder.path(), plugin)["summary"].as_str().unwrap().contains("http.scan_timeout_seconds"),
            "{plugin}"
        );
    }
}

/// The child process of the test below. It does nothing on its own.
#[tokio::test]
#[ignore = "runs as a process of its own, started by the test of a process that ends"]
async fn child_with_a_plugin_that_spins_for_ever() {
    static NEVER: AtomicBool = AtomicBool::new(false);
    static SPINNING_PLUGIN: Spinning = Spinning(&NEVER);
    let folder = std::path::PathBuf::from(std::env::var("SCANNER_TEST_OUT").unwrap());
    let mut scanning = options("http://127.0.0.1:9", &[], &folder, &[]);
    scanning.plugins = vec![&SPINNING_PLUGIN];
    scanning.settings.plugin_timeout = Duration::from_secs(1);
    let info = run_scan(scanning, &Journal::silent()).await.unwrap();
    assert_eq!(status(&info, "spinning"), "fail");
}

#[tokio::test]
async fn a_process_ends_while_a_plugin_still_spins() {
    let folder = tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "limits::child_with_a_plugin_that_spins_for_ever", "--ignored"])
        .env("SCANNER_TEST_OUT", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        loop {
            pace.tick().await;
            if let Some(ended) = child.try_wait().unwrap() {
                break ended;
            }
        }
    })
    .await;
    if waited.is_err() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(waited.expect("the process did not end").success());
    assert!(folder.path().join("kast_info.json").exists() && folder.path().join("kast_report.html").exists());
}
