use kastrel_actors::model::{AuditQuery, ProjectRole, ServerRole};
use kastrel_actors::ports::store::prelude::*;
use serde_json::{Value, json};

use super::testing::{Browser, element, name};
use crate::web::testing::{TestApp, header_of, json_of, text_of};

/// Starts a device login. Returns its user code and its device code.
async fn started(app: &TestApp, body: &Value) -> (String, Value) {
    let new = json_of(app.post_json("/api/device/code", &[], body).await).await;
    (new["user_code"].as_str().unwrap().to_owned(), new["device_code"].clone())
}

async fn polled(app: &TestApp, code: &Value) -> Value {
    json_of(app.post_json("/api/device/token", &[], &json!({ "device_code": code })).await).await
}

#[tokio::test(start_paused = true)]
async fn page_shows_what_the_command_line_requests_and_the_token_follows() {
    let app = TestApp::with_accounts();
    let roles = [("default", ProjectRole::Operator)];
    let browser = Browser::of_new(&app, "ana", Some(ServerRole::Auditor), &roles).await;
    let body = json!({ "label": "ana@lap<b>top", "role": "scanner", "server_role": true, "days": 7 });
    let (code, device) = started(&app, &body).await;
    let html = browser.text(&format!("/device?code={}", code.to_lowercase())).await;
    assert_eq!(element(&html, "device-code"), code);
    assert!(html.contains("ana@lap&#60;b&#62;top") && !html.contains("<b>top"), "{html}");
    assert_eq!(element(&html, "device-address"), "127.0.0.1");
    assert_eq!(element(&html, "device-role"), "scanner, at most your own in each project");
    assert_eq!((element(&html, "device-server-role"), element(&html, "device-days")), ("auditor", "7 days"));
    assert!(polled(&app, &device).await["type"].as_str().unwrap().ends_with("authorization-pending"), "no approval");
    let lead = browser.lead("/device", &format!("code={code}&decision=allow")).await;
    assert_eq!(lead, (303, "/device?notice=allowed".into()));
    assert!(browser.text("/device?notice=allowed").await.contains("gets its token now"));
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    let token = polled(&app, &device).await;
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(7 * 24 * 3600)));
    assert_eq!(token["token"]["label"], "kastrel login on ana@lap<b>top");
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let whoami = json_of(app.send("GET", "/api/whoami", &[("authorization", bearer.as_str())], "").await).await;
    assert_eq!((&whoami["account"], &whoami["server_role"]), (&json!("ana"), &json!("auditor")));
    assert!(browser.text("/profile").await.contains("kastrel login on ana@lap"), "it is listed");
}

#[tokio::test(start_paused = true)]
async fn denied_device_login_ends_and_is_in_the_audit_log() {
    let app = TestApp::with_accounts();
    let browser = Browser::of_new(&app, "ana", None, &[]).await;
    let (code, device) = started(&app, &json!({ "label": "laptop" })).await;
    let lead = browser.lead("/device", &format!("code={code}&decision=deny")).await;
    assert_eq!(lead, (303, "/device?notice=denied".into()));
    assert!(polled(&app, &device).await["type"].as_str().unwrap().ends_with("access-denied"));
    let entries = app.memory.audit(&AuditQuery::newest(9)).await.unwrap().entries;
    assert_eq!(entries[0].event.action(), "device_login_denied");
    assert!(app.memory.tokens(&name("ana")).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn codes_that_lead_to_nothing_have_one_page() {
    let app = TestApp::with_accounts();
    let browser = Browser::of_new(&app, "ana", None, &[]).await;
    let (used, _) = started(&app, &json!({ "label": "laptop" })).await;
    browser.post("/device", &format!("code={used}&decision=deny")).await;
    let mut pages = Vec::new();
    for code in [used.as_str(), "BCDF-GHJK", "x"] {
        for response in [
            browser.get(&format!("/device?code={code}")).await,
            browser.post("/device", &format!("code={code}&decision=allow")).await,
        ] {
            if response.status() == 429 {
                assert!(!header_of(&response, "retry-after").is_empty());
            } else {
                assert_eq!(response.status(), 422, "{code}");
                pages.push(text_of(response).await);
            }
        }
    }
    assert!(pages.len() >= 3 && pages.iter().all(|page| page.contains("This code is not valid")), "{pages:?}");
    assert_eq!(browser.post("/device", "code=BCDF-GHJK").await.status(), 400, "no decision");
}

#[tokio::test(start_paused = true)]
async fn anonymous_browser_comes_back_with_the_code_after_the_sign_in() {
    let app = TestApp::with_accounts();
    let response = app.get("/device?code=BCDF-GHJK").await;
    assert_eq!(header_of(&response, "location"), "/login?next=%2Fdevice%3Fcode%3DBCDF-GHJK");
}

#[tokio::test(start_paused = true)]
async fn page_of_another_site_allows_no_device_login() {
    let app = TestApp::with_accounts();
    let browser = Browser::of_new(&app, "ana", None, &[]).await;
    let (code, device) = started(&app, &json!({ "label": "laptop" })).await;
    let cookie = browser.cookie();
    let headers =
        [("cookie", cookie), ("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "cross-site")];
    let refused = app.send("POST", "/device", &headers, &format!("code={code}&decision=allow")).await;
    assert_eq!(refused.status(), 403);
    assert!(polled(&app, &device).await["type"].as_str().unwrap().ends_with("authorization-pending"));
}
