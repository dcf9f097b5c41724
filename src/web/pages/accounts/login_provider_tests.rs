//! Sign-in with the identity provider, through the pages.

use std::sync::Arc;

use axum::response::Response;
use kastrel_actors::model::{AccountKind, Principal};
use kastrel_actors::ports::store::prelude::*;
use serde_json::json;

use super::testing::{Browser, create, create_user, element, name};
use crate::ports::ProviderError;
use crate::service::access::ProviderSettings;
use crate::service::access::scripted_provider::{END, ScriptedProvider, identity, settings, state_of};
use crate::web::testing::{TestApp, header_of, text_of};

fn app_with(settings: ProviderSettings) -> (TestApp, Arc<ScriptedProvider>) {
    let provider = ScriptedProvider::new();
    (TestApp::with_provider(Arc::clone(&provider), settings), provider)
}

/// Returns the cookies that a response sets, each as the browser sends it.
fn cookies(response: &Response) -> Vec<String> {
    let all = response.headers().get_all("set-cookie").iter();
    all.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
}

/// Presses the button. Returns the state, and the browser with the cookie.
async fn begin<'a>(app: &'a TestApp, next: &str) -> (String, Browser<'a>) {
    let response = Browser::new(app).post("/login/oidc", &format!("next={next}")).await;
    assert_eq!(response.status(), 200);
    let refresh = header_of(&response, "refresh");
    let url = refresh.strip_prefix("0; url=").unwrap();
    let cookie = cookies(&response).remove(0);
    assert!(cookie.starts_with("kastrel-provider="), "{cookie}");
    let state = state_of(url);
    let html = text_of(response).await;
    assert!(html.contains(&state) && html.contains("Go to Team"), "it works without the header, too: {html}");
    (state, Browser::with_cookie(app, &cookie))
}

async fn come_back(browser: &Browser<'_>, query: &str) -> Response {
    browser.get(&format!("/login/oidc/callback?{query}")).await
}

#[tokio::test]
async fn login_page_has_the_button_of_the_provider_and_the_form_only_where_passwords_are_accepted() {
    let (app, _) = app_with(settings());
    let html = Browser::new(&app).text("/login?next=%2Fscans").await;
    assert!(html.contains("Sign in with Team") && html.contains("id=\"login-form\""), "{html}");
    assert!(html.contains("name=\"next\" value=\"/scans\""), "{html}");
    let (closed, _) = app_with(ProviderSettings { allows_passwords: false, ..settings() });
    let html = Browser::new(&closed).text("/login").await;
    assert!(html.contains("Sign in with Team") && !html.contains("id=\"login-form\""), "{html}");
    create_user(&closed, "ana", None, &[]).await;
    let refused = Browser::new(&closed).post("/login", "name=ana&password=x").await;
    assert_eq!(refused.status(), 403);
    let local = TestApp::with_accounts();
    let html = Browser::new(&local).text("/login").await;
    assert!(!html.contains("provider-form") && html.contains("id=\"login-form\""), "{html}");
    assert_eq!(Browser::new(&local).post("/login/oidc", "").await.status(), 404);
    assert_eq!(Browser::new(&local).get("/login/oidc/callback?state=x&code=y").await.status(), 404);
}

#[tokio::test]
async fn person_signs_in_and_is_sent_to_the_page_that_the_browser_came_for() {
    let (app, _) = app_with(settings());
    let (state, browser) = begin(&app, "%2Fscans%3Fstatus%3Dfailed").await;
    let response = come_back(&browser, &format!("code=abc&state={state}&iss=https%3A%2F%2Fid.example")).await;
    assert_eq!((response.status().as_u16(), header_of(&response, "location")), (303, "/scans?status=failed"));
    assert_eq!(
        (header_of(&response, "cache-control"), header_of(&response, "referrer-policy")),
        ("no-store", "strict-origin")
    );
    let set = cookies(&response);
    assert!(set.iter().any(|cookie| cookie == "kastrel-provider="), "{set:?}");
    let session = set.iter().find(|cookie| cookie.starts_with("kastrel-session=")).unwrap();
    let browser = Browser::with_cookie(&app, session);
    let html = browser.text("/profile").await;
    assert_eq!(element(&html, "account-name"), "ana");
    assert!(html.contains("With the identity provider") && !html.contains("password-form"), "{html}");
    let signed_out = browser.post("/logout", "").await;
    assert_eq!(
        (signed_out.status().as_u16(), header_of(&signed_out, "refresh")),
        (200, format!("0; url={END}").as_str())
    );
    assert_eq!(header_of(&signed_out, "clear-site-data"), "\"cache\"");
    assert_eq!(browser.get("/profile").await.status(), 303, "the session has ended");
}

#[tokio::test]
async fn next_never_leads_to_another_site() {
    let (app, _) = app_with(settings());
    for next in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example"] {
        let (state, browser) = begin(&app, next).await;
        let response = come_back(&browser, &format!("code=abc&state={state}")).await;
        assert_eq!(header_of(&response, "location"), "/", "{next}");
    }
}

#[tokio::test]
async fn replayed_and_foreign_callbacks_have_a_page_and_start_nothing() {
    let (app, provider) = app_with(settings());
    let (state, browser) = begin(&app, "").await;
    let query = format!("code=code-hunter2&state={state}");
    assert_eq!(come_back(&browser, &query).await.status(), 303);
    for (browser, query) in [
        (&browser, query.as_str()),
        (&browser, "code=code-hunter2&state=wrong"),
        (&browser, ""),
        (&Browser::new(&app), query.as_str()),
    ] {
        let response = come_back(browser, query).await;
        assert_eq!((response.status().as_u16(), header_of(&response, "referrer-policy")), (410, "strict-origin"));
        assert!(cookies(&response).is_empty(), "a waiting sign-in stays");
        let html = text_of(response).await;
        assert!(html.contains("Sign-in ended") && !html.contains("hunter2"), "{html}");
    }
    assert_eq!(provider.redeemed().len(), 1);
    assert_eq!(app.memory.sessions(&name("ana")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn refusals_have_our_own_words_and_nothing_of_the_provider() {
    let (app, provider) = app_with(settings());
    create(&app, "ana", AccountKind::User, None, &[]).await;
    for (query, failure, words) in [
        ("error=access_denied&error_description=%3Cb%3Ehunter2", None, "cancelled at Team"),
        ("error=%3Cscript%3E&error_description=hunter2", None, "Team reported an error"),
        ("code=hunter2", Some(ProviderError::Invalid("hunter2".into())), "not valid for this sign-in"),
        ("code=hunter2", None, "user link NAME"),
    ] {
        let (state, browser) = begin(&app, "").await;
        match failure {
            Some(error) => provider.fails(error),
            None => provider.says("7", json!({ "preferred_username": "ana" })),
        }
        let response = come_back(&browser, &format!("{query}&state={state}")).await;
        assert_eq!(response.status(), 403, "{query}");
        assert_eq!(cookies(&response), ["kastrel-provider="]);
        let html = text_of(response).await;
        assert!(html.contains(words) && !html.contains("hunter2"), "{words}: {html}");
    }
    let (state, browser) = begin(&app, "").await;
    provider.goes_down();
    let response = come_back(&browser, &format!("code=x&state={state}")).await;
    assert_eq!(response.status(), 503);
    assert!(text_of(response).await.contains("Team does not respond"));
    let response = Browser::new(&app).post("/login/oidc", "").await;
    assert_eq!(response.status(), 503);
    assert!(app.memory.sessions(&name("ana")).await.unwrap().is_empty());
}

#[tokio::test]
async fn form_of_another_site_begins_no_sign_in() {
    let (app, _) = app_with(settings());
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "cross-site")];
    let refused = app.send("POST", "/login/oidc", &headers, "next=%2F").await;
    assert_eq!(refused.status(), 403);
    assert!(cookies(&refused).is_empty());
}

#[tokio::test]
async fn administrator_links_and_unlinks_an_account_on_its_page() {
    let (app, _) = app_with(settings());
    create_user(&app, "ana", None, &[]).await;
    let admin = Browser::of_new(&app, "root", Some(kastrel_actors::model::ServerRole::Admin), &[]).await;
    let html = admin.text("/accounts/ana").await;
    assert!(html.contains("identity-form") && !html.contains("unlink-identity"), "{html}");
    let wrong = admin.post("/accounts/ana/identity", "subject=").await;
    assert_eq!(wrong.status(), 422);
    assert_eq!(admin.lead("/accounts/ana/identity", "subject=7").await, (303, "/accounts/ana?notice=linked".into()));
    assert_eq!(app.memory.account_of_identity(&identity("7")).await.unwrap(), Some(name("ana")));
    let html = admin.text("/accounts/ana").await;
    assert!(!html.contains("identity-form") && html.contains("unlink-identity"), "{html}");
    let asked = text_of(admin.post("/accounts/ana/identity/unlink", "").await).await;
    assert!(asked.contains("Unlink ana from the identity provider?"), "{asked}");
    assert!(app.memory.identity_of(&name("ana")).await.unwrap().is_some(), "it asks first");
    let unlinked = admin.lead("/accounts/ana/identity/unlink", "confirmed=yes").await;
    assert_eq!(unlinked, (303, "/accounts/ana?notice=unlinked".into()));
    assert_eq!(app.memory.identity_of(&name("ana")).await.unwrap(), None);
    let again = admin.post("/accounts/ana/identity/unlink", "confirmed=yes").await;
    assert_eq!(again.status(), 404);
    let by = Principal::User(name("root"));
    let entries = app.memory.audit(&kastrel_actors::model::AuditQuery::newest(2)).await.unwrap().entries;
    assert!(entries.iter().all(|entry| entry.principal == by), "{entries:?}");
}
