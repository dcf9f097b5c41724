//! Tests of passkeys in a browser with a virtual authenticator.

use serde_json::Value;

use super::accounts::{PASSWORD, STATUS, command, sign_in_here, until_signed_in, with_admin};
use super::stage::Stage;
use crate::browser_driver::Browser;

/// Opens a page of the server under the name to which its passkeys belong.
async fn open(stage: &Stage, path: &str) {
    let url = stage.app.url().replace("127.0.0.1", "localhost");
    stage.browser.open(&format!("{url}{path}")).await;
}

async fn until_at(page: &Browser, path: &str) {
    page.until(&format!("location.pathname === '{path}' && document.readyState === 'complete'")).await;
}

/// Adds a passkey to the account `admin`, which has no other factor.
async fn add_passkey(stage: &Stage) {
    let page = &stage.browser;
    open(stage, "/profile/passkeys").await;
    page.fill("#field-label", "Laptop").await;
    page.fill("#field-current_password", PASSWORD).await;
    page.click("#add-passkey").await;
    page.click("#create-passkey:not([hidden])").await;
    page.until("document.querySelector('tr[data-passkey-id]') !== null").await;
    assert_eq!(page.text("tr[data-passkey-id] th").await, "Laptop");
}

/// Signs out on the profile. The request that waits on the login page may be answered at once by
/// the authenticator, so the login page may be gone again.
async fn sign_out(stage: &Stage) {
    stage.all_quiet().await;
    stage.browser.click("#sign-out").await;
    stage.browser.until("document.getElementById('login-form') !== null || location.pathname === '/'").await;
    // The browser writes to its console that the sign-out has removed its stored pages.
    stage.browser.said().await;
}

/// Starts a server, signs in as `admin`, and adds a passkey.
async fn with_passkey() -> Stage {
    let stage = with_admin().await;
    let page = &stage.browser;
    page.virtual_authenticator().await;
    open(&stage, "/login").await;
    sign_in_here(page, "admin", PASSWORD).await;
    until_signed_in(page, "admin").await;
    add_passkey(&stage).await;
    stage
}

#[tokio::test]
async fn passkey_is_added_signs_in_alone_and_is_removed() {
    let stage = with_passkey().await;
    let page = &stage.browser;
    open(&stage, "/profile").await;
    assert!(page.text("#passkeys").await.starts_with("1 passkey"));
    sign_out(&stage).await;
    page.js("document.getElementById('sign-in-passkey')?.click()").await;
    until_signed_in(page, "admin").await;

    open(&stage, "/profile/passkeys").await;
    page.until("document.querySelector('tr[data-passkey-id] [data-ago]') !== null").await;
    page.click("tr[data-passkey-id] a").await;
    until_at(page, "/profile/passkeys/edit").await;
    page.click("#remove-with-passkey:not([hidden])").await;
    page.until("document.querySelector('[data-passkey-note]').textContent.includes('password')").await;
    page.fill("#field-current_password", PASSWORD).await;
    page.click("#remove-with-passkey").await;
    page.until("document.getElementById('notice') !== null").await;
    assert_eq!(page.text("#notice").await, "The passkey was removed. Your other sessions were ended.");
    stage.all_quiet().await;

    let log = command(&stage, &["audit", "list"]).await;
    for done in ["added", "used", "removed"] {
        assert!(log.lines().any(|line| line.contains("Passkey") && line.contains(done)), "{done}: {log}");
    }
}

#[tokio::test]
async fn passkey_is_the_second_step_after_the_password() {
    let stage = with_passkey().await;
    let page = &stage.browser;
    // A browser without the passkey has the password alone.
    let other = page.another().await;
    let url = stage.app.url().replace("127.0.0.1", "localhost");
    other.open(&format!("{url}/login")).await;
    sign_in_here(&other, "admin", PASSWORD).await;
    until_at(&other, "/login/code").await;
    assert_eq!(other.js("document.getElementById('send-code')").await, Value::Null);
    other.open(&format!("{url}/scans")).await;
    until_at(&other, "/login").await;
    other.open(&format!("{url}/login/second-factor")).await;
    assert_eq!(other.js(STATUS).await, 410);

    // Under another name, no passkey is offered.
    page.client().delete_all_cookies().await.unwrap();
    page.open(&format!("{}/login", stage.app.url())).await;
    assert_eq!(page.js("document.getElementById('sign-in-passkey').closest('[hidden]') !== null").await, true);
    // This page has no request that waits for a passkey.
    open(&stage, "/login/code").await;
    let script = format!(
        "(() => {{
            const form = Object.assign(document.createElement('form'), {{ method: 'post', action: '/login' }});
            for (const [name, value] of Object.entries({{ name: 'admin', password: '{PASSWORD}', next: '/profile' }})) {{
                form.append(Object.assign(document.createElement('input'), {{ name, value }}));
            }}
            document.body.append(form);
            form.submit();
            return null;
        }})()"
    );
    page.js(&script).await;
    page.click("p:not([hidden]) > #use-passkey").await;
    until_at(page, "/profile").await;
    assert_eq!(page.text("#account-name").await, "admin");
    stage.all_quiet().await;

    command(&stage, &["user", "reset-second-factor", "admin"]).await;
    other.open(&format!("{url}/login")).await;
    sign_in_here(&other, "admin", PASSWORD).await;
    until_signed_in(&other, "admin").await;
}
