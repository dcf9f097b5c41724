//! Tests of what each role sees on the other pages: the navigation, and the buttons.

use kastrel_actors::model::{AuditQuery, DomainEvent, Principal, ProjectRole, Resolution, ScanId, ServerRole, Verdict};
use kastrel_actors::ports::AuditLog as _;
use kastrel_actors::testing::fixtures;

use super::testing::{Browser, create_project};
use crate::service::access::TokenRequest;
use crate::web::testing::{TestApp, json_of, text_of};

/// The links of the navigation.
fn nav(html: &str) -> Vec<&str> {
    let list = html.split("<ul class=\"nav\">").nth(1).unwrap().split("</ul>").next().unwrap();
    let links = list.split("<a href=\"").skip(1);
    links.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn navigation_has_what_the_viewer_may_open() {
    assert_eq!(
        nav(&text_of(TestApp::new().get("/").await).await),
        ["/", "/scans", "/targets", "/findings", "/supervision", "/audit", "/settings"]
    );
    let app = TestApp::with_accounts();
    let member = Browser::of_new(&app, "ana", None, &[("default", ProjectRole::Owner)]).await;
    let auditor = Browser::of_new(&app, "bob", Some(ServerRole::Auditor), &[]).await;
    let admin = Browser::of_new(&app, "root", Some(ServerRole::Admin), &[]).await;
    assert_eq!(
        nav(&member.text("/").await),
        ["/", "/scans", "/targets", "/findings", "/projects"],
        "an owner sets clearances"
    );
    let operator = Browser::of_new(&app, "joe", None, &[("default", ProjectRole::Operator)]).await;
    assert_eq!(nav(&operator.text("/").await), ["/", "/scans", "/targets", "/findings"]);
    assert_eq!(
        nav(&auditor.text("/").await),
        ["/", "/scans", "/targets", "/findings", "/supervision", "/accounts", "/audit", "/settings"]
    );
    let all = ["/", "/scans", "/targets", "/findings", "/projects", "/supervision", "/accounts", "/audit", "/settings"];
    assert_eq!(nav(&admin.text("/").await), all);
    create_project(&app, "team-a", "Team A").await;
    let other = Browser::of_new(&app, "eve", None, &[("team-a", ProjectRole::Viewer)]).await;
    assert_eq!(nav(&other.text("/").await), ["/", "/scans", "/targets", "/findings", "/projects"]);
    assert_eq!(nav(&auditor.text("/").await), all);
    for (browser, name) in [(&member, "ana"), (&auditor, "bob")] {
        let html = browser.text("/").await;
        assert!(html.contains(r#"action="/logout""#) && html.contains(&format!("</span>{name}</a>")), "{html}");
    }
}

/// Whether a page has each of the buttons.
async fn buttons(browser: &Browser<'_>, path: &str, wanted: &[&str]) -> Vec<bool> {
    let html = browser.text(path).await;
    wanted.iter().map(|button| html.contains(button)).collect()
}

#[tokio::test]
async fn buttons_are_shown_to_those_who_may_press_them() {
    let app = TestApp::with_accounts();
    let ended = app.running("a.example.com").await;
    app.finish(&ended, Resolution::Complete(Verdict::default())).await;
    app.submitted("b.example.com").await;
    let of = |role| [("default", role)];
    let viewer = Browser::of_new(&app, "viewer", None, &of(ProjectRole::Viewer)).await;
    let scanner = Browser::of_new(&app, "scanner", None, &of(ProjectRole::Scanner)).await;
    let operator = Browser::of_new(&app, "operator", None, &of(ProjectRole::Operator)).await;
    let auditor = Browser::of_new(&app, "auditor", Some(ServerRole::Auditor), &[]).await;
    let admin = Browser::of_new(&app, "admin", Some(ServerRole::Admin), &[]).await;
    for (browser, can_scan, can_delete) in [
        (&viewer, false, false),
        (&scanner, true, false),
        (&operator, true, true),
        (&auditor, false, false),
        (&admin, true, true),
    ] {
        let on_list = ["id=\"new-scan\"", "/scans/2/cancel", "/scans/1/rerun", "id=\"bulk\"", "data-pick "];
        assert_eq!(
            buttons(browser, "/scans", &on_list).await,
            [can_scan, can_scan, can_scan, can_delete, can_delete],
            "list: {}",
            browser.cookie
        );
        assert_eq!(buttons(browser, "/", &["/scans/2/cancel"]).await, [can_scan]);
        let on_scan = ["/scans/1/rerun", "id=\"clone\"", "/scans/1/delete"];
        assert_eq!(buttons(browser, "/scans/1", &on_scan).await, [can_scan, can_scan, can_delete]);
        assert_eq!(buttons(browser, "/scans/2", &["/scans/2/cancel"]).await, [can_scan]);
    }
    assert_eq!(buttons(&auditor, "/", &["id=\"health\""]).await, [true]);
    assert_eq!(buttons(&operator, "/", &["id=\"health\"", "id=\"tile-running\""]).await, [false, true]);
    assert_eq!(buttons(&auditor, "/supervision", &["id=\"queue-pause\""]).await, [false]);
    assert_eq!(buttons(&admin, "/supervision", &["id=\"queue-pause\""]).await, [true]);
    admin.post("/queue/pause", "").await;
    assert_eq!(buttons(&auditor, "/", &["id=\"queue-paused\"", "id=\"queue-resume\""]).await, [true, false]);
    assert_eq!(buttons(&admin, "/", &["id=\"queue-resume\""]).await, [true]);
}

#[tokio::test]
async fn fragments_are_shared_only_with_the_same_rights() {
    let app = TestApp::with_accounts();
    app.submitted("a.example.com").await;
    let operator = Browser::of_new(&app, "operator", None, &[("default", ProjectRole::Operator)]).await;
    let viewer = Browser::of_new(&app, "viewer", None, &[("default", ProjectRole::Viewer)]).await;
    let part = async |browser: &Browser<'_>| {
        let headers = [("cookie", browser.cookie.as_str()), ("x-kastrel-part", "live")];
        text_of(app.send("GET", "/scans", &headers, "").await).await
    };
    assert!(part(&operator).await.contains("/scans/1/cancel"));
    assert!(!part(&viewer).await.contains("/scans/1/cancel"));
}

#[tokio::test]
async fn downloads_of_known_principals_are_recorded() {
    let app = TestApp::with_accounts();
    let scan = app.running("example.com").await;
    let folder = app.attempt_folder(&scan);
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["kast_report.html", "shot.png", "raw.json"] {
        std::fs::write(folder.join(file), "x").unwrap();
    }
    let admin = Browser::of_new(&app, "root", Some(ServerRole::Admin), &[]).await;
    let (files, exported) = (DomainEvent::FilesDownloaded, DomainEvent::ScansExported);
    for (path, expected) in [
        ("/api/scans/export.csv", Some((exported.clone(), None))),
        ("/api/scans/export.json", Some((exported, None))),
        ("/scans/1/files.zip", Some((files.clone(), Some(ScanId(1))))),
        ("/scans/1/attempts/1/files/kast_report.html", Some((files.clone(), Some(ScanId(1))))),
        ("/scans/1/attempts/1/files/raw.json", Some((files.clone(), Some(ScanId(1))))),
        ("/scans/1/attempts/1/files/shot.png", Some((files.clone(), Some(ScanId(1))))),
        ("/scans/1/attempts/1/files/shot.png?download=1", Some((files.clone(), Some(ScanId(1))))),
        ("/scans/1/attempts/1/view/raw.json", Some((files.clone(), Some(ScanId(1))))),
        ("/scans/1/attempts/1/view/shot.png", Some((files, Some(ScanId(1))))),
        ("/api/backup", Some((DomainEvent::BackupDownloaded, None))),
        ("/api/audit/export", Some((DomainEvent::AuditExported, None))),
        // Its frame loads the report.
        ("/scans/1/attempts/1/view/kast_report.html", None),
        ("/scans/1/report", None),
        // What is read while a page is open.
        ("/api/scans/1/log", None),
        ("/api/scans/1/status", None),
        ("/scans/1", None),
        ("/api/scans", None),
    ] {
        let before = app.memory.audit(&AuditQuery::newest(100)).await.unwrap().entries.len();
        assert_eq!(admin.get(path).await.status(), 200, "{path}");
        let mut written = app.memory.audit(&AuditQuery::newest(100)).await.unwrap().entries;
        written.truncate(written.len() - before);
        let principal = Principal::User("root".parse().unwrap());
        let written: Vec<_> = written.into_iter().map(|entry| (entry.principal, (entry.event, entry.scan))).collect();
        assert_eq!(written, expected.map(|entry| (principal, entry)).into_iter().collect::<Vec<_>>(), "{path}");
    }
}

#[tokio::test]
async fn download_has_one_entry_a_request_and_none_for_headers_or_the_parts_of_a_report() {
    let app = TestApp::with_accounts();
    let scan = app.running("example.com").await;
    let folder = app.attempt_folder(&scan);
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["raw.json", "shot.png"] {
        std::fs::write(folder.join(file), "0123456789").unwrap();
    }
    let admin = Browser::of_new(&app, "root", Some(ServerRole::Admin), &[]).await;
    let json = "/scans/1/attempts/1/files/raw.json";
    let image = "/scans/1/attempts/1/files/shot.png";
    for (method, path, header, status, entries) in [
        ("HEAD", json, ("x-none", ""), 200, 0),
        ("HEAD", "/scans/1/files.zip", ("x-none", ""), 200, 0),
        ("HEAD", "/api/scans/export.csv", ("x-none", ""), 200, 0),
        ("HEAD", "/api/backup", ("x-none", ""), 200, 0),
        ("HEAD", "/scans/1/attempts/1/view/raw.json", ("x-none", ""), 200, 0),
        ("GET", json, ("range", "bytes=1-"), 206, 1),
        ("GET", json, ("range", "bytes=99-"), 416, 0),
        ("GET", json, ("sec-fetch-dest", "image"), 200, 1),
        ("GET", image, ("sec-fetch-dest", "image"), 200, 0),
        ("GET", image, ("sec-fetch-dest", "document"), 200, 1),
        ("GET", "/scans/1/attempts/1/files/none.json", ("x-none", ""), 404, 0),
    ] {
        let before = app.memory.audit(&AuditQuery::newest(100)).await.unwrap().entries.len();
        let response = app.send(method, path, &[("cookie", admin.cookie.as_str()), header], "").await;
        assert_eq!(response.status(), status, "{method} {path} {header:?}");
        let after = app.memory.audit(&AuditQuery::newest(100)).await.unwrap().entries.len();
        assert_eq!(after - before, entries, "{method} {path} {header:?}");
    }
    // A program shows no report.
    let request = TokenRequest {
        account: "root".parse().unwrap(),
        label: "script".into(),
        role: ProjectRole::Viewer,
        project: None,
        has_server_role: false,
        networks: Vec::new(),
        days: None,
    };
    let (token, _) = app.web().access().create_token(&fixtures::context(), request).await.unwrap();
    let bearer = format!("Bearer {}", token.expose());
    let before = app.memory.audit(&AuditQuery::newest(100)).await.unwrap().entries.len();
    let headers = [("authorization", bearer.as_str()), ("sec-fetch-dest", "image")];
    assert_eq!(app.send("GET", image, &headers, "").await.status(), 200);
    let after = app.memory.audit(&AuditQuery::newest(100)).await.unwrap().entries.len();
    assert_eq!(after - before, 1);
}

#[tokio::test]
async fn download_whose_entry_cannot_be_written_is_refused() {
    let app = TestApp::as_system_without_access_store();
    let scan = app.running("example.com").await;
    std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
    std::fs::write(app.attempt_folder(&scan).join("raw.json"), "secret").unwrap();
    for path in [
        "/api/scans/export.csv",
        "/api/scans/export.json",
        "/scans/1/files.zip",
        "/scans/1/attempts/1/files/raw.json",
        "/scans/1/attempts/1/view/raw.json",
        "/api/backup",
    ] {
        let response = app.get(path).await;
        assert_eq!(response.status(), 503, "{path}");
        assert!(!text_of(response).await.contains("secret"), "{path}");
    }
    assert_eq!(app.get("/scans/1").await.status(), 200, "a page is no download");
}

#[tokio::test]
async fn downloads_on_a_server_without_accounts_are_not_recorded() {
    let app = TestApp::new();
    app.submitted("example.com").await;
    let before = app.memory.audit(&AuditQuery::newest(100)).await.unwrap().entries.len();
    for path in ["/api/scans/export.csv", "/scans/1/files.zip", "/api/backup"] {
        assert_eq!(app.get(path).await.status(), 200, "{path}");
    }
    assert_eq!(app.memory.audit(&AuditQuery::newest(100)).await.unwrap().entries.len(), before);
}

#[tokio::test]
async fn reports_are_rendered_by_those_who_may_scan_in_the_project() {
    let app = TestApp::with_accounts();
    create_project(&app, "team-a", "Team A").await;
    let ended = app.running("example.com").await;
    app.finish(&ended, Resolution::Complete(Verdict::default())).await;
    // The scan is in the default project.
    for (account, roles, status) in [
        ("ana", &[("default", ProjectRole::Viewer), ("team-a", ProjectRole::Owner)][..], 403),
        ("bob", &[("team-a", ProjectRole::Owner)], 404),
        // The test server cannot render.
        ("eve", &[("default", ProjectRole::Scanner)], 409),
    ] {
        let browser = Browser::of_new(&app, account, None, roles).await;
        assert_eq!(browser.post("/scans/1/render", "format=html").await.status(), status, "{account}");
    }
}

#[tokio::test]
async fn details_of_readiness_are_for_who_may_read_the_server() {
    let app = TestApp::with_accounts();
    let details = async |browser: &Browser<'_>| {
        let body = json_of(browser.get("/readyz").await).await;
        let checks = body["checks"].as_array().unwrap().clone();
        checks.iter().map(|check| check["detail"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let unknown = details(&Browser::new(&app)).await;
    assert!(
        unknown
            .iter()
            .all(|detail| matches!(detail.as_str(), "ok" | "failed; sign in with a role on the server to read why")),
        "{unknown:?}"
    );
    let auditor = Browser::of_new(&app, "eve", Some(ServerRole::Auditor), &[]).await;
    assert!(details(&auditor).await.contains(&"responding".to_owned()));
}
