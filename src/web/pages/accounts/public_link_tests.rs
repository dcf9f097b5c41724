//! Tests of the public links of scans: their section on the page of the scan, their API, and what
//! their visitors see.

use std::time::Duration;

use jiff::SignedDuration;
use kastrel_actors::model::{
    AccountChange, AuditQuery, Deleted, DomainEvent, PluginResult, PluginStatus, Principal, ProjectRole, PublicLink,
    Resolution, ScanId, Verdict,
};
use kastrel_actors::ports::store::prelude::*;
use serde_json::json;

use super::testing::{Browser, element, name};
use crate::web::files::{PDF_REPORT, REPORT};
use crate::web::testing::{TestApp, header_of, json_of, text_of};

const OPERATOR: &[(&str, ProjectRole)] = &[("default", ProjectRole::Operator)];
const PASSWORD: &str = "twelve copper kettles";

/// An app with accounts, and a completed scan with reports and a file.
async fn stage() -> TestApp {
    let app = TestApp::with_accounts();
    let scan = app.running("shop.example.com").await;
    let folder = app.attempt_folder(&scan);
    std::fs::create_dir_all(&folder).unwrap();
    for name in [REPORT, PDF_REPORT, "raw data.json"] {
        std::fs::write(folder.join(name), "{}").unwrap();
    }
    let plugin =
        PluginResult { message: Some("found nginx".into()), ..PluginResult::new("whatweb", PluginStatus::Completed) };
    app.finish(&scan, Resolution::Complete(Verdict { plugins: vec![plugin], dry_run: false })).await;
    app
}

/// Creates a link with the form of the scan's page, and returns its path.
async fn link(browser: &Browser<'_>, form: &str) -> String {
    let html = text_of(browser.post("/scans/1/links", form).await).await;
    let address = element(&html, "new-link");
    let path = address.strip_prefix("http://localhost:5000").unwrap_or_else(|| panic!("{address}"));
    assert_eq!(path.len(), "/shared/".len() + 64, "{path}");
    path.to_owned()
}

async fn audited(app: &TestApp) -> Vec<(Principal, DomainEvent)> {
    let mut entries = app.memory.audit(&AuditQuery::of_scan(ScanId(1), 100)).await.unwrap().entries;
    entries.reverse();
    entries.into_iter().map(|entry| (entry.principal, entry.event)).collect()
}

#[tokio::test]
async fn public_link_shows_its_scan_to_a_client_without_an_account() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana-operator", None, OPERATOR).await;
    let path = link(&ana, "label=For+them&days=3").await;
    let visitor = Browser::new(&app);
    let response = visitor.get(&path).await;
    assert_eq!(response.status(), 200);
    for (name, value) in
        [("referrer-policy", "no-referrer"), ("cache-control", "no-store"), ("x-robots-tag", "noindex")]
    {
        assert_eq!(header_of(&response, name), value, "{name}");
    }
    let html = text_of(response).await;
    for shown in ["shop.example.com", "Completed", "whatweb", "found nginx", "raw data.json", "raw%20data.json"] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    for hidden in ["ana-operator", "For them", "node-a", "<script", "/scans", "href=\"/\"", "/login", "/api/"] {
        assert!(!html.contains(hidden), "{hidden}: {html}");
    }
    let row = ana.text("/scans/1").await;
    assert!(row.contains("For them") && row.contains("1 time, last"), "{row}");
    let opened = audited(&app).await.pop().unwrap();
    assert!(matches!(&opened, (Principal::Link(_), DomainEvent::PublicLinkOpened { .. })), "{opened:?}");
    let head = app.send("HEAD", &path, &[], "").await;
    assert_eq!((head.status().as_u16(), audited(&app).await.pop().unwrap()), (200, opened));
}

#[tokio::test]
async fn public_link_serves_the_report_and_the_files_in_their_sandbox() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    let path = link(&ana, "").await;
    let visitor = Browser::new(&app);
    let report = visitor.text(&format!("{path}/report")).await;
    assert!(report.contains(&format!("<iframe sandbox=\"\" src=\"{path}/files/1/{REPORT}?opened=1\"")), "{report}");
    assert!(report.contains(&format!("{path}/files/1/{PDF_REPORT}")), "{report}");
    let file = visitor.get(&format!("{path}/files/1/{REPORT}?opened=1")).await;
    let policy = header_of(&file, "content-security-policy");
    assert!(policy.starts_with("sandbox;") && policy.contains(&format!("localhost:5000{path}/files/1/ ")), "{policy}");
    for (name, value) in
        [("referrer-policy", "no-referrer"), ("cache-control", "no-store"), ("x-robots-tag", "noindex")]
    {
        assert_eq!(header_of(&file, name), value, "{name}");
    }
    let downloaded = audited(&app).await.pop().unwrap();
    assert!(matches!(&downloaded, (Principal::Link(_), DomainEvent::FilesDownloaded)), "{downloaded:?}");
    assert_eq!(text_of(visitor.get(&format!("{path}/files/1/raw%20data.json")).await).await, "{}");
    for missing in ["files/1/none.txt", "files/2/raw%20data.json", "files/x/raw%20data.json", "files/1/../1/x", "x"] {
        let response = visitor.get(&format!("{path}/{missing}")).await;
        assert_eq!((response.status().as_u16(), header_of(&response, "x-robots-tag")), (404, "noindex"), "{missing}");
        assert!(!text_of(response).await.contains(&path), "{missing}");
    }
}

#[tokio::test]
async fn public_link_of_a_resumed_scan_says_what_its_report_does_not_have() {
    let app = TestApp::with_accounts();
    let scan = app.running("shop.example.com").await;
    std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
    std::fs::write(app.attempt_folder(&scan).join(REPORT), "x").unwrap();
    let kept = PluginResult {
        attempt: Some(kastrel_actors::model::AttemptNumber(1)),
        ..PluginResult::new("whatweb", PluginStatus::Completed)
    };
    app.finish(&scan, Resolution::Complete(Verdict { plugins: vec![kept], dry_run: false })).await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    let path = link(&ana, "").await;
    let visitor = Browser::new(&app);
    for path in [path.clone(), format!("{path}/report")] {
        let html = visitor.text(&path).await;
        assert!(html.contains("The results of 1 plugin are kept from attempt 1. The report has only those"), "{html}");
    }
}

#[tokio::test(start_paused = true)]
async fn link_that_opens_nothing_has_one_page() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    let (revoked, expired, of_deleted) =
        (link(&ana, "").await, link(&ana, "days=1").await, link(&ana, "days=30").await);
    let visitor = Browser::new(&app);
    let of_a_week = |link: &PublicLink| link.expires_at == link.created_at + SignedDuration::from_hours(7 * 24);
    let id = app.memory.public_links(ScanId(1)).await.unwrap().into_iter().find(of_a_week).unwrap().id;
    let body = format!("id={id}");
    assert_eq!(ana.lead("/scans/1/links/revoke", &body).await, (303, "/scans/1#public-links".into()));
    assert_eq!(ana.post("/scans/1/links/revoke", &body).await.status(), 404);
    tokio::time::advance(Duration::from_hours(24)).await;
    assert_eq!(visitor.get(&of_deleted).await.status(), 200);
    assert!(matches!(app.memory.delete(ScanId(1), &Principal::System).await.unwrap(), Deleted::Gone(_)));
    let unknown = format!("/shared/{}", "0".repeat(64));
    let expected = text_of(visitor.get(&unknown).await).await;
    assert!(expected.contains("Link not valid"), "{expected}");
    for path in [revoked, expired, of_deleted, "/shared/x".into(), format!("{unknown}/report"), unknown.clone()] {
        let response = visitor.get(&path).await;
        assert_eq!((response.status().as_u16(), header_of(&response, "x-robots-tag")), (404, "noindex"), "{path}");
        assert_eq!(text_of(response).await, expected, "{path}");
    }
    assert_eq!(text_of(visitor.post(&unknown, "password=x").await).await, expected);
}

#[tokio::test]
async fn link_of_a_disabled_creator_opens_nothing_and_its_list_says_why() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    let boss = Browser::of_new(&app, "boss", None, OPERATOR).await;
    let path = link(&ana, "").await;
    let visitor = Browser::new(&app);
    assert!(!boss.text("/scans/1").await.contains("paused"));
    let disable = AccountChange::Disable;
    app.memory.change_account(&name("ana"), disable, &Principal::System).await.unwrap();
    let unknown = text_of(visitor.get(&format!("/shared/{}", "0".repeat(64))).await).await;
    for below in ["", "/report", "/files/1/raw%20data.json"] {
        let response = visitor.get(&format!("{path}{below}")).await;
        assert_eq!((response.status().as_u16(), text_of(response).await), (404, unknown.clone()), "{below}");
    }
    assert!(boss.text("/scans/1").await.contains("paused: its creator is disabled"));
    let listed = json_of(boss.get("/api/scans/1/links").await).await;
    assert_eq!(listed["links"][0]["paused"], "creator_disabled");
    app.memory.change_account(&name("ana"), AccountChange::Enable, &Principal::System).await.unwrap();
    assert_eq!(visitor.get(&path).await.status(), 200);
    let (project, role) = ("default".parse().unwrap(), Some(ProjectRole::Viewer));
    app.memory.set_member(&project, &name("ana"), role, &Principal::System).await.unwrap();
    assert_eq!(visitor.get(&path).await.status(), 404);
    assert!(boss.text("/scans/1").await.contains("paused: its creator may not share scans here any more"));
}

#[tokio::test]
async fn password_of_a_link_is_entered_once_in_a_browser() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    let path = link(&ana, &format!("password={}", PASSWORD.replace(' ', "+"))).await;
    let visitor = Browser::new(&app);
    let asked = visitor.get(&path).await;
    assert_eq!((asked.status().as_u16(), header_of(&asked, "referrer-policy")), (200, "strict-origin"));
    let html = text_of(asked).await;
    assert!(html.contains(&format!("action=\"{path}\"")) && !html.contains("shop.example.com"), "{html}");
    for below in ["report", "files/1/kast_report.html"] {
        let response = visitor.get(&format!("{path}/{below}")).await;
        assert_eq!((response.status().as_u16(), header_of(&response, "location")), (303, path.as_str()), "{below}");
    }
    let wrong = visitor.post(&path, "password=wrong+wrong+wrong").await;
    assert_eq!(wrong.status(), 403);
    assert!(text_of(wrong).await.contains("The password is wrong."));
    let entered = visitor.post(&path, &format!("password={}", PASSWORD.replace(' ', "+"))).await;
    assert_eq!((entered.status().as_u16(), header_of(&entered, "location")), (303, path.as_str()));
    let cookie = header_of(&entered, "set-cookie").to_owned();
    assert!(cookie.contains(&format!("; Path={path}; ")) && cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    let inside = Browser::with_cookie(&app, cookie.split(';').next().unwrap());
    assert!(inside.text(&path).await.contains("shop.example.com"));
    let other = link(&ana, &format!("password={}", PASSWORD.replace(' ', "+"))).await;
    assert!(!inside.text(&other).await.contains("shop.example.com"), "the cookie is of the other link");
    let events: Vec<&str> = audited(&app).await.iter().map(|(_, event)| event.action()).collect();
    assert_eq!(events.iter().filter(|action| **action == "public_link_refused").count(), 1);
}

#[tokio::test]
async fn section_is_for_those_who_share_scans() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    assert!(ana.text("/scans/1").await.contains("id=\"public-link-form\""));
    let bob = Browser::of_new(&app, "bob", None, &[("default", ProjectRole::Scanner)]).await;
    assert!(!bob.text("/scans/1").await.contains("public-links"));
    let refused = ana.post("/scans/1/links", "label=x&days=soon&password=short").await;
    assert_eq!(refused.status(), 422);
    let html = text_of(refused).await;
    assert!(html.contains("id=\"wrong-days\"") && html.contains("id=\"wrong-password\""), "{html}");
    let waiting = app.submitted("other.example.com").await;
    let page = ana.text(&format!("/scans/{waiting}")).await;
    assert!(page.contains("public-links") && !page.contains("public-link-form"), "{page}");
    assert_eq!(ana.post(&format!("/scans/{waiting}/links"), "").await.status(), 422);
}

#[tokio::test]
async fn api_creates_lists_and_revokes_links() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    let send = async |method: &str, path: &str, body: &str| {
        let headers =
            [("cookie", ana.cookie.as_str()), ("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
        app.send(method, path, &headers, body).await
    };
    let body = json!({ "label": "For them", "days": 2, "password": PASSWORD }).to_string();
    let created = send("POST", "/api/scans/1/links", &body).await;
    assert_eq!(created.status(), 201);
    let created = json_of(created).await;
    assert_eq!(app.get(created["path"].as_str().unwrap()).await.status(), 200);
    let listed = json_of(send("GET", "/api/scans/1/links", "").await).await;
    assert_eq!(listed["links"], json!([created["link"]]));
    assert_eq!(
        (&listed["links"][0]["has_password"], &listed["links"][0]["created_by"]),
        (&json!(true), &json!("user:ana"))
    );
    let wrong = send("POST", "/api/scans/1/links", &json!({ "days": 0, "password": "short" }).to_string()).await;
    assert_eq!(wrong.status(), 422);
    let path = format!("/api/scans/1/links/{}", listed["links"][0]["id"].as_str().unwrap());
    for status in [204, 404] {
        assert_eq!(send("DELETE", &path, "").await.status(), status);
    }
    assert_eq!(send("GET", "/api/scans/9/links", "").await.status(), 404);
}

#[tokio::test]
async fn server_without_accounts_has_no_public_links() {
    let app = TestApp::new();
    app.running("example.com").await;
    assert!(!text_of(app.get("/scans/1").await).await.contains("public-links"));
    let shared = format!("/shared/{}", "0".repeat(64));
    for path in [shared.as_str(), "/api/scans/1/links"] {
        assert_eq!(app.get(path).await.status(), 404, "{path}");
    }
    assert_eq!(app.post_form("/scans/1/links", "").await.status(), 404);
}
