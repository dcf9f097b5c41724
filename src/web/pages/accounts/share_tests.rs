//! Tests of the shares of scans: their section on the page of the scan, what their grantees see,
//! their API, and the transfer of a scan.

use kastrel_actors::model::{ProjectRole, Resolution, ScanId, Verdict};
use kastrel_actors::ports::store::prelude::*;
use serde_json::json;

use super::testing::{Browser, create_project};
use crate::web::testing::{TestApp, json_of, text_of};

const OPERATOR: &[(&str, ProjectRole)] = &[("default", ProjectRole::Operator), ("web", ProjectRole::Scanner)];

/// An app with accounts, a project `web`, and a scan that has ended in the default project.
async fn stage() -> TestApp {
    let app = TestApp::with_accounts();
    create_project(&app, "web", "Web").await;
    let scan = app.running("shop.example.com").await;
    app.finish(&scan, Resolution::Complete(Verdict::default())).await;
    app
}

#[tokio::test]
async fn user_sees_a_scan_that_is_shared_and_a_notice_and_no_button_of_other_rights() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    let ben = Browser::of_new(&app, "ben", None, &[]).await;
    assert_eq!(ben.get("/scans/1").await.status(), 404);
    assert!(!ben.text("/").await.contains("/shared-with-me"));
    let form = "kind=user&name=ben&right=view&share_days=3";
    assert_eq!(ana.lead("/scans/1/shares", form).await, (303, "/scans/1#shares".into()));
    let section = ana.text("/scans/1").await;
    assert!(section.contains("data-grantee=\"user:ben\"") && !section.contains("shared-notice"), "{section}");
    let html = ben.text("/scans/1").await;
    for shown in ["shop.example.com", "id=\"shared-notice\"", "Shared with you by ana until", "the right view"] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    for hidden in ["share-form", "public-links", "id=\"delete\"", "id=\"rerun\"", "id=\"transfer\"", "id=\"clone\""] {
        assert!(!html.contains(hidden), "{hidden}: {html}");
    }
    let list = ben.text("/shared-with-me").await;
    assert!(list.contains("shop.example.com") && list.contains("aria-current=\"page\""), "{list}");
    assert!(!ben.text("/scans").await.contains("shop.example.com"), "the list of scans is that of projects");
    let revoke = "grantee=user%3Aben";
    assert_eq!(ana.lead("/scans/1/shares/revoke", revoke).await, (303, "/scans/1#shares".into()));
    assert_eq!(ana.post("/scans/1/shares/revoke", revoke).await.status(), 404);
    assert_eq!(ben.get("/scans/1").await.status(), 404);
    assert!(ben.text("/shared-with-me").await.contains("No scan is shared with you."));
}

#[tokio::test]
async fn edit_cancels_a_running_scan_and_view_does_not() {
    let app = stage().await;
    let scan = app.running("other.example.com").await.id;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    for (name, right, status) in [("ben", "view", 403), ("cy", "edit", 303)] {
        let guest = Browser::of_new(&app, name, None, &[]).await;
        let form = format!("kind=user&name={name}&right={right}");
        assert_eq!(ana.post(&format!("/scans/{scan}/shares"), &form).await.status(), 303);
        assert_eq!(guest.text(&format!("/scans/{scan}")).await.contains("id=\"cancel\""), status == 303);
        assert_eq!(guest.post(&format!("/scans/{scan}/cancel"), "confirmed=yes").await.status(), status, "{right}");
        assert_eq!(guest.post(&format!("/scans/{scan}/rerun"), "").await.status(), 403);
    }
}

#[tokio::test]
async fn wrong_fields_of_the_form_are_named_at_the_form() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    let refused = ana.post("/scans/1/shares", "kind=user&name=nobody&right=own&share_days=soon").await;
    assert_eq!(refused.status(), 422);
    let html = text_of(refused).await;
    for wrong in ["wrong-name", "wrong-right", "wrong-share_days", "There is no active user with this name"] {
        assert!(html.contains(wrong), "{wrong}: {html}");
    }
    let bob = Browser::of_new(&app, "bob", None, &[("default", ProjectRole::Scanner)]).await;
    assert!(!bob.text("/scans/1").await.contains("share-form"));
    assert_eq!(bob.post("/scans/1/shares", "kind=user&name=ana").await.status(), 403);
}

#[tokio::test]
async fn api_creates_lists_and_revokes_shares() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    let ben = Browser::of_new(&app, "ben", None, &[("web", ProjectRole::Viewer)]).await;
    let send = async |who: &Browser<'_>, method: &str, path: &str, body: &str| {
        let headers =
            [("cookie", who.cookie.as_str()), ("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
        app.send(method, path, &headers, body).await
    };
    let body = json!({ "grantee": "project:web", "right": "edit" }).to_string();
    let created = send(&ana, "POST", "/api/scans/1/shares", &body).await;
    assert_eq!(created.status(), 201);
    let created = json_of(created).await;
    assert_eq!((&created["created_by"], &created["expires_at"]), (&json!("user:ana"), &json!(null)));
    let listed = json_of(send(&ana, "GET", "/api/scans/1/shares", "").await).await;
    assert_eq!(listed["shares"], json!([created]));
    let received = json_of(send(&ben, "GET", "/api/shared-scans", "").await).await;
    let one = &received["scans"][0];
    assert_eq!((&one["scan"]["scan_id"], &one["right"], &one["share"]), (&json!(1), &json!("view"), &created));
    assert_eq!(received["next_before"], json!(null));
    assert_eq!(json_of(send(&ben, "GET", "/api/shared-scans?before=1", "").await).await["scans"], json!([]));
    for query in ["before=x", "limit=0", "limit=101", "page=2"] {
        assert_eq!(send(&ben, "GET", &format!("/api/shared-scans?{query}"), "").await.status(), 400, "{query}");
    }
    let wrong = json!({ "grantee": "ben", "right": "own", "days": 0 }).to_string();
    assert_eq!(send(&ana, "POST", "/api/scans/1/shares", &wrong).await.status(), 422);
    for status in [204, 404] {
        assert_eq!(send(&ana, "DELETE", "/api/scans/1/shares/project:web", "").await.status(), status);
    }
    assert_eq!(send(&ana, "DELETE", "/api/scans/1/shares/x", "").await.status(), 404);
    assert_eq!(send(&ana, "GET", "/api/scans/9/shares", "").await.status(), 404);
}

#[tokio::test]
async fn list_of_shared_scans_has_pages() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    let ben = Browser::of_new(&app, "ben", None, &[]).await;
    for _ in 0..51 {
        let scan = app.submitted("many.example.com").await;
        assert_eq!(ana.post(&format!("/scans/{scan}/shares"), "name=ben").await.status(), 303);
    }
    let first = ben.text("/shared-with-me").await;
    assert_eq!(first.matches("data-scan=").count(), 50);
    let next = "/shared-with-me?before=3";
    assert!(first.contains(next), "{first}");
    let second = ben.text(next).await;
    assert_eq!(second.matches("data-scan=").count(), 1, "{second}");
    assert!(second.contains("id=\"newest\""), "{second}");
}

#[tokio::test]
async fn scan_is_transferred_after_a_question() {
    let app = stage().await;
    let ana = Browser::of_new(&app, "ana", None, OPERATOR).await;
    let ben = Browser::of_new(&app, "ben", None, &[("web", ProjectRole::Viewer)]).await;
    assert!(ana.text("/scans/1").await.contains("id=\"transfer\""));
    let asked = ana.text("/scans/1/transfer").await;
    assert!(asked.contains("value=\"web\"") && !asked.contains("value=\"default\""), "{asked}");
    assert_eq!(ana.post("/scans/1/shares", "kind=user&name=ben").await.status(), 303);
    let refused = ana.post("/scans/1/transfer", "project=nowhere").await;
    assert_eq!(refused.status(), 422);
    assert!(text_of(refused).await.contains("There is no such project"));
    let done = ana.lead("/scans/1/transfer", "project=web").await;
    assert_eq!(done, (303, "/scans/1?notice=transferred".into()));
    assert!(ana.text("/scans/1?notice=transferred").await.contains("Scan transferred."));
    assert_eq!(app.memory.shares_of_scan(ScanId(1)).await.unwrap(), []);
    let html = ben.text("/scans/1").await;
    assert!(html.contains("shop.example.com") && !html.contains("shared-notice"), "{html}");
    assert_eq!(ana.get("/scans/1/transfer").await.status(), 403, "the right to delete is that in the new project");
    let waiting = app.submitted("other.example.com").await;
    let headers =
        [("cookie", ana.cookie.as_str()), ("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
    let body = json!({ "project": "web" }).to_string();
    let early = app.send("POST", &format!("/api/scans/{waiting}/transfer"), &headers, &body).await;
    assert_eq!(early.status(), 409);
}

#[tokio::test]
async fn server_without_accounts_has_no_shares() {
    let app = TestApp::new();
    app.running("example.com").await;
    assert!(!text_of(app.get("/scans/1").await).await.contains("id=\"shares\""));
    for path in ["/shared-with-me", "/api/scans/1/shares"] {
        assert_eq!(app.get(path).await.status(), 404, "{path}");
    }
    assert_eq!(json_of(app.get("/api/shared-scans").await).await["scans"], json!([]));
    assert_eq!(app.post_form("/scans/1/shares", "").await.status(), 404);
}
