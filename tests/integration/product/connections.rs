//! Tests of a real server with slow, silent or many clients: the server answers pages and health
//! checks, and scans keep their resources.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::app::TestApp;
use crate::kast_runner::stage::PATIENCE;

/// Opens a connection and sends only this text.
async fn send(app: &TestApp, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(app.url().strip_prefix("http://").unwrap()).await.unwrap();
    // The server may have closed it already; the rest of its response shows that.
    let _ = stream.write_all(text.as_bytes()).await;
    stream
}

/// Returns all data until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset also ends the connection.
    let _ =
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection was never closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

const SLOW_BODY: &str = "POST /api/scans HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"target\":";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_take_no_page_down_and_are_cut() {
    kastrel::descriptors::raise();
    let app = TestApp::with(&[("KASTREL_SERVER__BODY_TIMEOUT_SECONDS", "3")]).await;
    let mut slow = Vec::new();
    // More than `server.max_requests`.
    for _ in 0..620 {
        slow.push(send(&app, SLOW_BODY).await);
    }
    for path in ["/", "/scans", "/api/scans", "/livez", "/readyz"] {
        assert_eq!(app.get(path).await.status(), 200, "{path}");
    }
    let id = app.submit("ok-1p.test").await;
    app.until_status(id, "completed").await;
    for stream in &mut slow {
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("urn:kastrel:problem:slow-request"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_are_cut() {
    let app = TestApp::with(&[
        ("KASTREL_SERVER__HEADER_TIMEOUT_SECONDS", "1"),
        ("KASTREL_SERVER__IDLE_TIMEOUT_SECONDS", "3600"),
    ])
    .await;
    for sent in [
        "",
        "G",
        "GET / HTTP/1.1\r\nHost: localhost\r\n",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHo",
    ] {
        let answer = rest(&mut send(&app, sent).await).await;
        assert!(
            answer.matches("HTTP/1.1 200").count() <= usize::from(sent.starts_with("GET /livez")),
            "{sent:?}: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_cut_and_live_streams_are_not() {
    let mut app = TestApp::with(&[
        ("KASTREL_SERVER__HEADER_TIMEOUT_SECONDS", "3600"),
        ("KASTREL_SERVER__IDLE_TIMEOUT_SECONDS", "1"),
    ])
    .await;
    app.reuse_no_connection();
    let idle = async || rest(&mut send(&app, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await).await;
    assert!(idle().await.starts_with("HTTP/1.1 200"));
    let id = app.submit("hang-1p.test").await;
    app.until_busy(id).await;
    let mut events = app.events(id).await;
    events.next().await.unwrap();
    assert!(
        idle().await.starts_with("HTTP/1.1 200"),
        "until it is cut, the stream is silent for longer than the limit"
    );
    assert_eq!(app.cancel(id).await.0, 202);
    let mut last = serde_json::Value::Null;
    while let Some(status) = events.next().await {
        last = status["status"].clone();
    }
    assert_eq!(last, "cancelled");
    app.until_status(id, "cancelled").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_sockets_cost_no_scan_its_descriptors() {
    kastrel::descriptors::raise();
    let variables = [("KASTREL_SCANS__CONCURRENCY", "4"), ("KASTREL_SCANS__MAX_ATTEMPTS", "1")];
    let mut app = TestApp::prepare(&variables).after("ulimit -n 1024");
    app.restart().await;
    let mut idle = Vec::new();
    for number in 0..1500 {
        idle.push(send(&app, ["", "GET / HTTP/1.1\r\n", SLOW_BODY][number % 3]).await);
    }
    let scans = futures_util::future::join_all((0..8).map(|_| app.submit("ok-2p.test"))).await;
    for id in scans {
        app.until_status(id, "completed").await;
    }
    let open = std::fs::read_dir(format!("/proc/{}/fd", app.server_pid().as_raw_nonzero())).unwrap().count();
    // Enough is left to start another scan.
    assert!(open < 960, "{open} of 1024 descriptors are in use");
    for path in ["/", "/livez", "/readyz"] {
        assert_eq!(app.get(path).await.status(), 200, "{path}");
    }
    let settings = app.text("/settings").await;
    assert!(settings.contains("server.max_connections"), "{settings}");
}

/// Creates a file that is larger than the system's socket buffers in the folder of an ended scan.
/// Returns its URL path.
async fn large_file(app: &TestApp) -> String {
    let id = app.submit("ok-1p.test").await;
    app.until_status(id, "completed").await;
    let scan = std::fs::read_dir(app.data().join("results")).unwrap().next().unwrap().unwrap().path();
    std::fs::File::create(scan.join("attempt-1/large.bin")).unwrap().set_len(256 << 20).unwrap();
    format!("/scans/{id}/attempts/1/files/large.bin")
}

/// Opens a client that requests a path and reads no more than a small buffer.
async fn unread(app: &TestApp, path: &str) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(app.url().strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap();
    // The server may already have closed a connection above the limit.
    let _ = stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
    stream
}

/// Sends a request on new connections until the status is not 503. Liveness checks succeed in the
/// meantime. The server notices a disconnected or a slow client with a delay.
///
/// One caller at a time: if only new connections can be replaced, two callers replace each other.
async fn until_served(app: &TestApp, request: impl Fn() -> reqwest::RequestBuilder) -> reqwest::Response {
    let tries = async {
        loop {
            assert_eq!(app.get("/livez").await.status(), 200);
            let answer = request().send().await.unwrap();
            if answer.status() != 503 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, tries).await.expect("a request was never served")
}

/// Requests a path on new connections until the status is 200.
async fn until_answered(app: &TestApp, path: &str) -> reqwest::Response {
    let answer = until_served(app, || app.request(reqwest::Method::GET, path)).await;
    assert_eq!(answer.status(), 200, "{path}");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_downloads_cost_no_scan_its_descriptors() {
    kastrel::descriptors::raise();
    let variables = [("KASTREL_SCANS__CONCURRENCY", "4"), ("KASTREL_SCANS__MAX_ATTEMPTS", "1")];
    let mut app = TestApp::prepare(&variables).after("ulimit -n 1024");
    app.reuse_no_connection();
    app.restart().await;
    let path = large_file(&app).await;
    let mut downloads = Vec::new();
    for _ in 0..450 {
        downloads.push(unread(&app, &path).await);
    }
    until_answered(&app, "/api/scans").await;
    let mut scans = Vec::new();
    for _ in 0..8 {
        let submission = || app.request(reqwest::Method::POST, "/api/scans").json(&json!({ "target": "ok-2p.test" }));
        let answer = until_served(&app, submission).await;
        assert_eq!(answer.status(), 201);
        scans.push(answer.json::<serde_json::Value>().await.unwrap()["scan_id"].as_u64().unwrap());
    }
    for id in scans {
        let ended = async {
            loop {
                let answer = until_answered(&app, &format!("/api/scans/{id}")).await;
                let scan: serde_json::Value = answer.json().await.unwrap();
                if scan["completed_at"].is_string() {
                    return scan;
                }
            }
        };
        let scan = tokio::time::timeout(PATIENCE, ended).await.expect("a scan never ended");
        assert_eq!(scan["status"], "completed", "{scan:#}");
    }
    let open = std::fs::read_dir(format!("/proc/{}/fd", app.server_pid().as_raw_nonzero())).unwrap().count();
    assert!(open < 900, "{open} of 1024 descriptors are in use");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_unread_downloads_leave_pages_and_health_checks() {
    let mut app = TestApp::with(&[("KASTREL_SERVER__MAX_CONNECTIONS", "16")]).await;
    app.reuse_no_connection();
    let path = large_file(&app).await;
    // The maximum number of live streams, which is three quarters of all connections, and more
    // unread downloads than the remaining connections.
    let mut streams = Vec::new();
    for _ in 0..12 {
        streams.push(until_answered(&app, "/api/events").await);
    }
    let mut downloads = Vec::new();
    for _ in 0..8 {
        downloads.push(unread(&app, &path).await);
    }
    for path in ["/api/scans", "/readyz", "/"] {
        until_answered(&app, path).await;
    }
    assert_eq!(app.get("/api/events").await.status(), 503, "no stream was given up for them");
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(send(&app, "").await);
    }
    for path in ["/api/scans", "/readyz"] {
        until_answered(&app, path).await;
    }
    drop((streams, downloads, silent));
    until_answered(&app, "/api/events").await;
}

#[tokio::test]
async fn what_a_scanner_may_open_is_what_it_was_before() {
    let mut app = TestApp::prepare(&[]).after("ulimit -Sn 512");
    app.restart().await;
    let id = app.submit("hang-1p.test").await;
    app.until_busy(id).await;
    let soft = |pid: i32| {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        limits
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .unwrap()
            .split_whitespace()
            .nth(3)
            .unwrap()
            .to_owned()
    };
    assert_ne!(soft(app.server_pid().as_raw_nonzero().get()), "512");
    for pid in app.processes_of(id) {
        assert_eq!(soft(pid.as_raw_nonzero().get()), "512");
    }
    assert_eq!(app.cancel(id).await.0, 202);
    app.until_status(id, "cancelled").await;
}

#[tokio::test]
async fn odd_hosts_are_bad_requests_on_the_wire() {
    let app = TestApp::start().await;
    for (head, status) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: user@localhost\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: user:pw@localhost:5000\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost, evil.example\r\n", 400),
        ("GET / HTTP/1.1\r\n", 400),
        ("GET http://user@localhost/ HTTP/1.1\r\nHost: localhost\r\n", 400),
        ("GET /api/scans/1/status HTTP/1.1\r\nHost: a@localhost\r\n", 400),
        ("GET /livez HTTP/1.1\r\nHost: a@localhost\r\n", 400),
        ("GET /livez HTTP/1.1\r\n", 400),
        ("GET /livez HTTP/1.0\r\n", 200),
        ("GET / HTTP/1.0\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n", 421),
    ] {
        let answer = rest(&mut send(&app, &format!("{head}Connection: close\r\n\r\n")).await).await;
        let lower = answer.to_lowercase();
        assert_eq!(answer.split(' ').nth(1), Some(status.to_string().as_str()), "{head:?}: {answer}");
        assert!(
            lower.contains("x-content-type-options: nosniff")
                && lower.contains("cross-origin-resource-policy: same-origin"),
            "{head:?}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_command_sends_a_stranger_a_challenge_and_nothing_else() {
    use std::sync::{Arc, Mutex};

    let mut app = TestApp::start().await;
    let id = app.submit("ok-1p.test").await;
    app.until_status(id, "completed").await;
    let listed = app.run(&["list", "--json"]).await;
    assert!(listed.code == Some(0) && listed.stdout.contains("ok-1p.test"), "{listed:?}");
    app.kill_server().await;
    // Another program uses the server's port by now, and answers every request with success.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stranger = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(String::new()));
    let ours = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 4096];
            let size = stream.read(&mut bytes).await.unwrap_or_default();
            ours.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..size]));
            let body = r#"{"proof":"0000000000000000000000000000000000000000000000000000000000000000","scans":[],"total":0,"scan_id":7,"status":"alive"}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    std::fs::write(
        app.data().join("server.json"),
        json!({ "pid": 1, "url": format!("http://{stranger}") }).to_string(),
    )
    .unwrap();
    let listed = app.run(&["list", "--json"]).await;
    assert!(
        listed.code == Some(0) && listed.stdout.contains("ok-1p.test"),
        "it works on the folder itself: {listed:?}"
    );
    assert!(listed.stderr.contains("does not hold this data folder"), "{listed:?}");
    let seen = seen.lock().unwrap().clone();
    let lines: Vec<&str> = seen.lines().filter(|line| line.contains("HTTP/1.1")).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.starts_with("GET /api/proof?challenge=")), "{seen}");
    assert!(!seen.contains("example") && !seen.contains("ok-1p"), "{seen}");
}
