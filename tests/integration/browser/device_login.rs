//! The login of a command line, in a browser.

use serde_json::json;

use super::accounts::{PASSWORD, sign_in_here, with_admin};

#[tokio::test]
async fn user_compares_the_code_and_allows_the_command_line() {
    let stage = with_admin().await;
    let page = &stage.browser;
    let (status, new) = stage.post("/api/device/code", &json!({ "label": "ana@laptop", "role": "scanner" })).await;
    assert_eq!(status, 200, "{new}");
    let code = new["user_code"].as_str().unwrap();
    // Without a session, the sign-in leads back with the code.
    stage.open(new["verification_uri_complete"].as_str().unwrap()).await;
    page.until("location.pathname === '/login'").await;
    sign_in_here(page, "admin", PASSWORD).await;
    page.until("location.pathname === '/device' && document.getElementById('device-code') !== null").await;
    assert_eq!(page.text("#device-code").await, code);
    assert!(page.text("#device-label").await.starts_with("ana@laptop"));
    page.click("#deny-device").await;
    page.until("location.search === '?notice=denied'").await;
    assert_eq!(page.text("#notice").await, "The command line was denied. It gets no token.");

    // The code can be typed, too: in any case, with blanks.
    let (_, new) = stage.post("/api/device/code", &json!({ "label": "ana@laptop", "role": "scanner" })).await;
    let typed = new["user_code"].as_str().unwrap().to_lowercase().replace('-', " ");
    page.until("document.activeElement.id === 'field-code'").await;
    page.fill("#field-code", "bcdf").await;
    page.click("#find-device").await;
    page.until("document.getElementById('wrong-code') !== null").await;
    page.fill("#field-code", &typed).await;
    page.click("#find-device").await;
    page.until("document.getElementById('allow-device') !== null").await;
    assert_eq!(page.text("#device-role").await, "scanner, at most your own in each project");
    page.click("#allow-device").await;
    page.until("location.search === '?notice=allowed'").await;
    let (status, token) = stage.post("/api/device/token", &json!({ "device_code": new["device_code"] })).await;
    assert_eq!(status, 200, "{token}");
    stage.open("/profile").await;
    page.until(&format!(
        "document.querySelector('tr[data-token={}] th').textContent === 'kastrel login on ana@laptop'",
        token["token"]["id"]
    ))
    .await;
}
