//! Sign-in with a real identity provider in a browser.

use serde_json::{Value, json};

use super::accessibility::{ALL_RULES, inject_axe, serious_violations};
use super::proxy::Proxy;
use super::stage::Stage;
use crate::browser_driver::Browser;
use crate::oidc_provider::OidcProvider;
use crate::product::app::TestApp;

/// The HTTP status of the open page.
const STATUS: &str = "performance.getEntriesByType('navigation')[0].responseStatus";

fn people(groups: &[&str]) -> Value {
    json!({ "7": { "preferred_username": "ana", "groups": groups, "email": "ana@example.com" } })
}

/// Starts a provider, and a server that the browser reaches at the address of the stage's proxy.
async fn start(groups: &[&str]) -> (OidcProvider, Stage) {
    let proxy = Proxy::start("http://127.0.0.1:9").await;
    let provider = OidcProvider::start(&proxy.url(), &people(groups)).await;
    let mut app = TestApp::prepare(&[("KASTREL_OIDC__GROUPS", "sec=default:operator, audit=auditor")]);
    for (name, value) in provider.variables(&proxy.url()) {
        app.set(name, &value);
    }
    app.restart().await;
    proxy.leads_to(&app.url());
    (provider, Stage { browser: Browser::start().await, proxy, app })
}

/// Signs in from the open login page, and waits for the overview.
async fn sign_in(page: &Browser) {
    page.click("#provider-sign-in").await;
    page.fill("#subject", "7").await;
    page.click("#enter").await;
    page.until("location.pathname === '/' && document.getElementById('viewer').textContent === 'Your account: ana'")
        .await;
}

#[tokio::test]
async fn person_signs_in_with_the_provider_and_out_of_it() {
    let (provider, stage) = start(&["sec"]).await;
    let page = &stage.browser;
    inject_axe(page).await;
    stage.open("/login").await;
    assert_eq!(page.text("#provider-sign-in").await, "Sign in with Team login");
    assert_eq!(serious_violations(page, "login with a provider", ALL_RULES).await, Vec::<String>::new());
    sign_in(page).await;
    assert_eq!(page.js("document.getElementById('new-scan') !== null").await, true, "an operator submits scans");
    stage.open("/profile").await;
    assert!(page.text("#identity").await.starts_with("With the identity provider"));
    assert_eq!(page.js("document.getElementById('password-form')").await, Value::Null);
    // The sign-out leads to the provider, which ends its own session.
    page.click("#sign-out").await;
    page.click("#end").await;
    page.until("location.pathname === '/login' && document.getElementById('provider-sign-in') !== null").await;
    // The groups changed, and so do the roles.
    provider.set_people(&people(&["audit"]));
    sign_in(page).await;
    assert_eq!(page.js("document.getElementById('new-scan')").await, Value::Null);
    assert_eq!(page.js("document.getElementById('nav-audit') !== null").await, true, "an auditor reads the audit log");
}

#[tokio::test]
async fn sign_in_that_another_page_began_is_refused() {
    let (_provider, stage) = start(&["sec"]).await;
    let page = &stage.browser;
    stage.open("/login/oidc/callback?code=abc&state=def").await;
    assert_eq!(page.text("#problem").await, "Sign-in ended");
    assert_eq!(page.js(STATUS).await, 410);
    stage.all_quiet().await;
}

#[tokio::test]
async fn name_of_another_account_is_refused_until_it_is_linked() {
    let (_provider, stage) = start(&[]).await;
    let page = &stage.browser;
    let created = stage.app.run(&["user", "create", "ana"]).await;
    assert_eq!(created.code, Some(0), "{}", created.stderr);
    stage.open("/login").await;
    page.click("#provider-sign-in").await;
    page.fill("#subject", "7").await;
    page.click("#enter").await;
    assert_eq!(page.text("#problem").await, "Sign-in refused");
    assert!(page.text("#reason").await.contains("account ana"));
    let linked = stage.app.run(&["user", "link", "ana", "--subject", "7"]).await;
    assert_eq!(linked.code, Some(0), "{}", linked.stderr);
    // The session at the provider still exists: it asks nothing.
    stage.open("/login").await;
    page.click("#provider-sign-in").await;
    page.until("location.pathname === '/' && document.getElementById('viewer').textContent === 'Your account: ana'")
        .await;
}
