//! Tests of what accounts may do, in a browser: the clearances of a project, public links, the
//! sessions of several tabs, and the second factor without scripts.

use std::time::Duration;

use fantoccini::Locator;
use kastrel::identity::totp::TotpSecret;
use reqwest::Method;
use serde_json::json;

use super::accounts::{
    PASSWORD, STATUS, app_code, create_user, open, shown_once, sign_in, sign_in_here, with_admin, with_admin_in,
};
use crate::browser_driver::Browser;
use crate::kast_runner::stage::PATIENCE;

#[tokio::test]
async fn clearances_are_set_and_removed_on_the_page_of_the_project() {
    let stage = with_admin().await;
    let page = &stage.browser;
    create_user(&stage, "vera", "viewer").await;
    sign_in(&stage, page, "admin").await;
    stage.open("/projects/default").await;
    assert_eq!(page.js("document.getElementById('clearance-table')").await, json!(null));
    page.fill("#field-pattern", "*.example.com").await;
    page.click("#field-level option[value=active]").await;
    page.click("#set-clearance").await;
    // Nobody attacks a host without a word about the permission; what was typed stays.
    page.until("document.getElementById('wrong-text') !== null").await;
    assert_eq!(page.js("document.getElementById('field-pattern').value").await, "*.example.com");
    page.fill("#field-text", "Contract 7 of the web shop").await;
    page.click("#set-clearance").await;
    page.until("document.querySelector('#clearance-table tr[data-pattern=\"*.example.com\"]') !== null").await;
    let row = "[...document.querySelectorAll('#clearance-table tbody td')].map((cell) => cell.textContent)";
    let shown = page.js(row).await.to_string();
    assert!(shown.contains("\"active\"") && shown.contains("Contract 7 of the web shop"), "{shown}");

    let vera = page.another().await;
    sign_in(&stage, &vera, "vera").await;
    open(&stage, &vera, "/projects/default").await;
    assert_eq!(vera.js("document.querySelectorAll('#clearance-table tbody tr').length").await, 1);
    assert_eq!(vera.js("document.querySelectorAll('#clearance-form, #clearance-table button').length").await, 0);

    page.click("#clearance-table tr[data-pattern] button").await;
    page.until("location.pathname === '/projects/default' && document.getElementById('clearance-table') === null")
        .await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn public_link_opens_its_scan_in_another_browser_until_it_is_revoked() {
    let stage = with_admin().await;
    let page = &stage.browser;
    sign_in(&stage, page, "admin").await;
    stage.open("/new").await;
    page.fill("#field-target", "1p.test").await;
    page.click("#submit").await;
    page.until("location.pathname === '/scans/1'").await;
    stage.until_shown("completed").await;
    stage.open("/scans/1").await;
    page.fill("#field-label", "For the customer").await;
    page.click("#create-public-link").await;
    let link = shown_once(page, "new-link").await;

    let visitor = page.another().await;
    visitor.open(&link).await;
    assert_eq!(visitor.js(STATUS).await, 200);
    let badge = visitor.js("document.getElementById('scan-badge').textContent").await;
    assert!(badge.as_str().unwrap().contains("Completed"), "{badge}");
    assert_eq!(visitor.js("document.querySelectorAll('nav, form, script').length").await, 0);
    visitor.click("#report").await;
    visitor.until("location.pathname.endsWith('/report') && document.getElementById('report-frame') !== null").await;
    // The link gives the scan, and no session.
    open(&stage, &visitor, "/scans/1").await;
    visitor.until("location.pathname === '/login'").await;

    page.click("#back").await;
    page.until("location.pathname === '/scans/1' && document.querySelector('tr[data-link]') !== null").await;
    let opened = page.js("document.querySelector('tr[data-link] td[data-label=Opened]').textContent").await;
    assert!(opened.as_str().unwrap().starts_with("1 time, last"), "{opened}");
    page.click("tr[data-link] button").await;
    page.until("location.pathname === '/scans/1' && document.querySelector('tr[data-link]') === null").await;
    visitor.open(&link).await;
    assert_eq!(visitor.text("#problem").await, "Link not valid");
    assert_eq!(visitor.js(STATUS).await, 404);
    stage.all_quiet().await;
}

#[tokio::test]
async fn second_tab_has_the_new_cookie_of_the_first_one_and_the_end_of_its_session() {
    let stage = with_admin().await;
    let page = &stage.browser;
    sign_in(&stage, page, "admin").await;
    let cookie = async || {
        let cookie = page.client().get_named_cookie("kastrel-session").await.unwrap();
        format!("kastrel-session={}", cookie.value())
    };
    let status = async |cookie: &str| {
        let request = stage.request(Method::GET, "/api/scans").header("cookie", cookie);
        request.send().await.unwrap().status().as_u16()
    };
    let before = cookie().await;
    assert_eq!(status(&before).await, 200);
    let first = page.client().window().await.unwrap();
    let second = page.client().new_window(true).await.unwrap().handle;
    page.client().switch_to_window(second.clone()).await.unwrap();
    stage.open("/profile").await;
    page.fill("#field-current_password", PASSWORD).await;
    page.fill("#field-new_password", "nine red boats behind snow").await;
    page.fill("#field-repeat", "nine red boats behind snow").await;
    page.click("#change-password").await;
    page.until("location.search === '?notice=password' && document.getElementById('notice') !== null").await;
    // Who copied the cookie has nothing any more; the other tab has the new one.
    let after = cookie().await;
    assert_eq!((status(&before).await, status(&after).await), (401, 200));
    page.client().switch_to_window(first.clone()).await.unwrap();
    page.click("#nav-scans").await;
    page.until("location.pathname === '/scans'").await;

    page.client().switch_to_window(second).await.unwrap();
    page.click("#sign-out").await;
    page.until("location.pathname === '/login'").await;
    assert_eq!(status(&after).await, 401);
    page.client().switch_to_window(first).await.unwrap();
    stage.open("/scans").await;
    page.until("location.pathname === '/login'").await;
}

#[tokio::test]
async fn second_factor_is_set_up_and_entered_without_script() {
    let stage = with_admin_in(Browser::without_script().await).await;
    let page = &stage.browser;
    let there = async |selector: &str| {
        let wait = page.client().wait().at_most(PATIENCE).every(Duration::from_millis(50));
        wait.for_element(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    };
    stage.open("/login").await;
    sign_in_here(page, "admin", PASSWORD).await;
    there("#viewer").await;
    stage.open("/profile/second-factor").await;
    page.fill("#field-current_password", PASSWORD).await;
    page.click("#set-up-factor").await;
    let secret = TotpSecret::parse(&page.text("#totp-secret").await.replace(' ', "")).unwrap();
    page.fill("#field-code", &app_code(page, &secret, 0).await).await;
    page.click("#confirm-factor").await;
    there("#recovery-codes").await;
    // The cookie of the session was replaced in the same answer.
    page.click("#continue").await;
    there("#second-factor").await;

    page.click("#sign-out").await;
    there("#login-form").await;
    sign_in_here(page, "admin", PASSWORD).await;
    there("#code-form").await;
    page.fill("#field-code", "000000").await;
    page.click("#send-code").await;
    there("#wrong-code").await;
    // The code of the set-up was used, and the next one is accepted a step early.
    page.fill("#field-code", &app_code(page, &secret, 1).await).await;
    page.click("#send-code").await;
    there("#viewer").await;
}
