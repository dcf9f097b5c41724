//! Tests scans of a plain HTTP site: files, their order, findings, redirects and hostile content.

use std::fs;
use std::sync::Mutex;
use std::sync::mpsc;

use kastrel_scanner::info;
use kastrel_scanner::issues as registry;
use kastrel_scanner::journal::Journal;
use kastrel_scanner::run::run_scan;
use tempfile::tempdir;

use crate::server::{Server, issues, options, processed, response, scan, status};

const PAGE: &str = r#"<html><head><meta name="generator" content="WordPress 6.4.2"><script src="https://cdn.test/x.js"></script></head>
<body><script>document.title = "</title><script>alert(1)"</script></body></html>"#;

async fn site() -> Server {
    Server::start(|request| match request.path.as_str() {
        "/" => {
            let origin = request.head.lines().find_map(|line| line.strip_prefix("origin: ")).unwrap_or_default();
            let cors = if origin.is_empty() {
                String::new()
            } else {
                format!("access-control-allow-origin: {origin}\r\naccess-control-allow-credentials: true\r\n")
            };
            response(200, &format!("server: <b>x</b>/1.2\r\nset-cookie: PHPSESSID=s3cret; path=/\r\n{cors}"), PAGE)
        }
        "/.git/HEAD" => response(200, "", "ref: refs/heads/main\n"),
        "/.env" => response(200, "", "DB_PASSWORD=hunter2\n"),
        "/robots.txt" => response(200, "", "User-agent: *\nDisallow: /secret-admin/\n"),
        "/mine" => response(200, "", "here"),
        _ => response(404, "", "not found"),
    })
    .await
}

#[tokio::test]
async fn every_plugin_reports_its_findings() {
    let server = site().await;
    let folder = tempdir().unwrap();
    let target = format!("http://{}", server.address);
    let info = scan(&target, &[], folder.path(), &["exposed_files.extra_paths=/mine,/nowhere"]).await;

    let names: Vec<_> = info.plugins.iter().map(|run| (run.plugin_name.as_str(), run.status.as_str())).collect();
    assert_eq!(
        names,
        [
            ("dns_posture", "skipped"),
            ("http_headers", "success"),
            ("cookie_flags", "success"),
            ("script_integrity", "success"),
            ("technology_hints", "success"),
            ("tls_certificate", "skipped"),
            ("cors_policy", "success"),
            ("exposed_files", "success"),
        ]
    );
    let folder = folder.path();
    assert!(issues(folder, "http_headers").contains(&"plain_http".to_owned()));
    assert_eq!(issues(folder, "cookie_flags"), ["session_cookie_without_httponly", "cookie_without_samesite"]);
    assert_eq!(issues(folder, "script_integrity"), ["script_without_integrity"]);
    assert_eq!(issues(folder, "technology_hints"), ["version_disclosed", "technology_detected"]);
    assert_eq!(
        issues(folder, "cors_policy"),
        ["cors_reflects_origin_with_credentials", "cors_null_origin_with_credentials", "cors_missing_vary"]
    );
    assert_eq!(
        issues(folder, "exposed_files"),
        [
            "environment_file_exposed",
            "git_repository_exposed",
            "requested_path_found",
            "robots_names_sensitive_paths",
            "security_txt_missing"
        ]
    );
    assert!(processed(folder, "tls_certificate")["summary"].as_str().unwrap().contains("no TLS on this port"));

    for run in &info.plugins {
        let file = processed(folder, &run.plugin_name);
        let results = &file["findings"]["results"];
        assert_eq!(
            file["findings_count"].as_u64().unwrap(),
            results.as_array().map_or(0, Vec::len) as u64,
            "{}",
            run.plugin_name
        );
        for id in file["issues"].as_array().unwrap() {
            assert!(registry::find(id.as_str().unwrap()).is_some(), "{id}");
        }
        assert!(folder.join(format!("{}.json", run.plugin_name)).exists());
    }
    assert_eq!(info::FILE_NAME, "kast_info.json");
    for name in ["kast_info.json", "kast_report.html", "kast_style.css"] {
        assert!(folder.join(name).exists(), "{name}");
    }
    let everything: String = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .inspect(|path| assert_ne!(path.extension().unwrap(), "tmp"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(!everything.contains("hunter2") && !everything.contains("s3cret"), "a secret of the site is in the files");
    let page = fs::read_to_string(folder.join("kast_report.html")).unwrap();
    assert!(!page.contains("<script") && !page.contains("<b>x</b>"), "the site's markup is in the report");

    for request in server.seen() {
        assert!(request.head.contains("user-agent: kastrel-scanner/"), "{}", request.head);
        assert!(request.head.starts_with("get "), "{}", request.head);
    }
}

#[tokio::test]
async fn the_start_marker_comes_first_and_the_info_last() {
    let (arrived, arrivals) = mpsc::channel::<()>();
    let (release, released) = mpsc::channel::<()>();
    let gate = Mutex::new((arrived, released));
    // The handler blocks a thread of a separate runtime, so the scan cannot end before the test has
    // inspected the files.
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (send, receive) = mpsc::channel();
        let handle = std::thread::spawn(move || {
            runtime.block_on(async {
                let server = Server::start(move |_| {
                    let gate = gate.lock().unwrap();
                    gate.0.send(()).unwrap();
                    gate.1.recv().unwrap();
                    response(200, "", "")
                })
                .await;
                send.send(server.address).unwrap();
                std::future::pending::<()>().await;
            });
        });
        (receive.recv().unwrap(), handle)
    });
    let (address, _server) = thread.join().unwrap();
    let folder = tempdir().unwrap();
    let scanning = options(&format!("http://{address}"), &["http_headers"], folder.path(), &[]);
    let task = tokio::task::spawn(async move { run_scan(scanning, &Journal::silent()).await });
    tokio::task::spawn_blocking(move || arrivals.recv().unwrap()).await.unwrap();
    assert!(folder.path().join("http_headers.json").exists());
    assert!(!folder.path().join("http_headers_processed.json").exists());
    assert!(!folder.path().join("kast_info.json").exists());
    release.send(()).unwrap();
    let info = task.await.unwrap().unwrap();
    assert_eq!(status(&info, "http_headers"), "success");
    assert!(folder.path().join("http_headers_processed.json").exists());
}

#[tokio::test]
async fn a_stopped_scan_leaves_no_info() {
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |_| {
        arrived.send(()).unwrap();
        // A response head that announces a body which is never sent.
        "HTTP/1.1 200 X\r\ncontent-length: 10\r\n\r\n".to_owned()
    })
    .await;
    let folder = tempdir().unwrap();
    let scanning = options(&format!("http://{}", server.address), &["http_headers"], folder.path(), &[]);
    let silent = Journal::silent();
    tokio::select! {
        biased;
        _ = arrivals.recv() => {}
        _ = run_scan(scanning, &silent) => panic!("the scan ended"),
    }
    assert!(folder.path().join("http_headers.json").exists());
    assert!(!folder.path().join("kast_info.json").exists());
}

#[tokio::test]
async fn redirect_to_another_host_is_reported_and_not_followed() {
    let other = Server::start(|_| response(200, "", "other")).await;
    let away = format!("http://{}/landing", other.address);
    let server = Server::start(move |_| response(302, &format!("location: {away}\r\n"), "")).await;
    let folder = tempdir().unwrap();
    scan(&server.address.to_string(), &["http_headers", "exposed_files", "cors_policy"], folder.path(), &[]).await;
    assert_eq!(issues(folder.path(), "http_headers"), ["plain_http", "redirect_off_host"]);
    assert!(processed(folder.path(), "http_headers")["summary"].as_str().unwrap().contains("which was not scanned"));
    assert!(other.seen().is_empty(), "the scan left its target");
}

#[tokio::test]
async fn a_redirect_on_the_host_is_followed_and_its_cookies_count() {
    let server = Server::start(|request| match request.path.as_str() {
        "/" => response(301, "location: /login\r\nset-cookie: first=1; HttpOnly\r\n", ""),
        "/login" => response(200, "set-cookie: sid=1; SameSite=Lax\r\n", "<p>login"),
        _ => response(404, "", ""),
    })
    .await;
    let folder = tempdir().unwrap();
    scan(&format!("http://{}", server.address), &["cookie_flags"], folder.path(), &[]).await;
    assert_eq!(issues(folder.path(), "cookie_flags"), ["session_cookie_without_httponly", "cookie_without_samesite"]);
}

#[tokio::test]
async fn a_site_that_answers_everything_exposes_nothing() {
    let page = "<html><title>Welcome</title>DB_PASSWORD aws_access_key_id Apache Server Status <p>this page is here for whatever you ask for</html>";
    let server = Server::start(move |_| response(200, "", page)).await;
    let folder = tempdir().unwrap();
    let info = scan(
        &format!("http://{}", server.address),
        &["exposed_files"],
        folder.path(),
        &["exposed_files.extra_paths=/x"],
    )
    .await;
    assert_eq!(status(&info, "exposed_files"), "success");
    assert_eq!(issues(folder.path(), "exposed_files"), ["security_txt_missing"]);
    assert!(
        processed(folder.path(), "exposed_files")["details"]
            .as_str()
            .unwrap()
            .contains("answers 200 to paths that do not exist")
    );
}

#[tokio::test]
async fn security_txt_is_found_behind_a_redirect_and_in_its_old_place() {
    const TEXT: &str = "Contact: mailto:security@example.com\nExpires: 2999-01-01T00:00:00Z\n";
    let redirect = |to: &str| response(301, &format!("location: {to}\r\n"), "");
    type Case<'a> = (&'a [(&'a str, String)], &'a [&'a str], &'a str);
    let cases: [Case<'_>; 6] = [
        (
            &[
                ("/.well-known/security.txt", redirect("/about/security.txt")),
                ("/about/security.txt", response(200, "", TEXT)),
            ],
            &[],
            "present and valid at",
        ),
        (
            &[("/.well-known/security.txt", redirect("https://other.example.com/security.txt"))],
            &[],
            "redirects to https://other.example.com/security.txt",
        ),
        (&[("/security.txt", response(200, "", TEXT))], &[], "present and valid at"),
        (&[("/.well-known/security.txt", redirect("/missing"))], &["security_txt_missing"], ""),
        (
            &[("/.well-known/security.txt", redirect("/old")), ("/old", response(200, "", "Contact: a\n"))],
            &["security_txt_invalid"],
            "",
        ),
        (&[], &["security_txt_missing"], ""),
    ];
    for (pages, expected, detail) in cases {
        let known: Vec<(String, String)> =
            pages.iter().map(|(path, page)| ((*path).to_owned(), page.clone())).collect();
        let server = Server::start(move |request| {
            let page = known.iter().find(|(path, _)| *path == request.path).map(|(_, page)| page.clone());
            page.unwrap_or_else(|| response(if request.path == "/" { 200 } else { 404 }, "", "nothing"))
        })
        .await;
        let folder = tempdir().unwrap();
        scan(&format!("http://{}", server.address), &["exposed_files"], folder.path(), &[]).await;
        assert_eq!(issues(folder.path(), "exposed_files"), expected, "{pages:?}");
        let details = processed(folder.path(), "exposed_files")["details"].as_str().unwrap().to_owned();
        assert!(details.contains(detail), "{details}");
    }
}

#[tokio::test]
async fn a_page_sets_its_own_policies_and_deletes_its_cookies() {
    let page = "<head><meta http-equiv=Content-Security-Policy content=\"default-src 'self'\"><meta name=referrer content=no-referrer>";
    let headers =
        "set-cookie: old=; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\nset-cookie: sid=1; HttpOnly; SameSite=Lax\r\n";
    let server = Server::start(move |_| response(200, headers, page)).await;
    let folder = tempdir().unwrap();
    scan(&format!("http://{}", server.address), &["http_headers", "cookie_flags"], folder.path(), &[]).await;
    let found = issues(folder.path(), "http_headers");
    assert!(
        !found.contains(&"csp_missing".to_owned())
            && !found.contains(&"csp_weak".to_owned())
            && !found.contains(&"referrer_policy_missing".to_owned()),
        "{found:?}"
    );
    assert!(found.contains(&"framing_allowed".to_owned()), "{found:?}");
    assert!(issues(folder.path(), "cookie_flags").is_empty());
    assert!(processed(folder.path(), "cookie_flags")["details"].as_str().unwrap().contains("cookie old deleted"));
}
