//! Tests of the built-in scanner on a machine without KAST, with a real web server as target.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::app::TestApp;

/// Starts a web server whose page sets a cookie without flags and contains a script that breaks out
/// of unescaped pages. Returns its address.
async fn site() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let found = request[..read].starts_with(b"GET / ");
                let body = if found {
                    "<html><head><script src=\"https://cdn.example.com/a.js\"></script></head><body>hello</body></html>"
                } else {
                    "nothing"
                };
                let status = if found { "200 OK" } else { "404 Not Found" };
                let head = "Content-Type: text/html\r\nSet-Cookie: session=1\r\nServer: <script>alert(1)</script>/2.0\r\nConnection: close";
                let answer = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn builtin_scanner_scans_a_real_server_and_is_named_in_the_results() {
    let app = TestApp::prepare(&[("KASTREL_KAST__SCANNER", "builtin")]);
    let target = site().await;
    let scan = app.run(&["scan", &target, "--json"]).await;
    assert_eq!(scan.code, Some(0), "{}{}", scan.stdout, scan.stderr);
    let document: Value = serde_json::from_str(&scan.stdout).unwrap();
    let text = document.to_string();
    assert_eq!(document["status"], "completed", "{document:#}");
    assert!(text.contains("builtin") || text.contains("built-in"), "{text}");
    for plugin in ["http_headers", "cookie_flags", "script_integrity"] {
        let found = document["results"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["plugin_name"] == plugin)
            .unwrap_or_else(|| panic!("{plugin}: {document:#}"));
        assert!(found["findings_count"].as_u64().unwrap() > 0, "{plugin}: {found:#}");
    }
    let failing = app.run(&["scan", &target, "--fail-on", "low"]).await;
    assert_eq!(failing.code, Some(10), "{}", failing.stderr);
    assert!(
        failing.stdout.contains("built-in scanner") && failing.stdout.contains("cookie_flags"),
        "{}",
        failing.stdout
    );
    assert!(!failing.stdout.contains('\u{1b}'), "NO_COLOR is honoured");
}

#[tokio::test]
async fn builtin_report_is_served_without_permissions() {
    let app = TestApp::with(&[("KASTREL_KAST__SCANNER", "builtin")]).await;
    let id = app.submit(&site().await).await;
    app.until_status(id, "completed").await;
    let report = app.get(&format!("/scans/{id}/attempts/1/files/kast_report.html")).await;
    assert_eq!(report.status(), 200);
    let policy = report.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("sandbox") && !policy.contains("allow-scripts"), "{policy}");
    assert_eq!(report.headers()["x-content-type-options"], "nosniff");
    let html = report.text().await.unwrap();
    assert!(!html.contains("<script>alert(1)"), "what the site says is text");
    let page = app.get(&format!("/scans/{id}")).await.text().await.unwrap();
    assert!(page.contains("built-in scanner") && !page.contains("<script>alert(1)"));
    for escape in ["../../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/id"] {
        let answer = app.get(&format!("/scans/{id}/attempts/1/files/{escape}")).await;
        assert!(answer.status().is_client_error(), "{escape}: {}", answer.status());
    }
}
