//! Sign-in with a real identity provider, without a browser: each redirect is followed by hand.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::app::TestApp;
use crate::oidc_provider::OidcProvider;

/// The address of Kastrel as the provider knows it. Requests to it go to the server.
const BASE: &str = "https://scans.example.com";

/// A client that keeps cookies, as a browser does, and follows no redirect.
struct Visitor {
    client: Client,
    server: String,
    cookies: BTreeMap<String, String>,
}

impl Visitor {
    fn new(app: &TestApp) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { client, server: app.url(), cookies: BTreeMap::new() }
    }

    async fn send(&mut self, form: Option<&str>, url: &str) -> Response {
        let url = url.replacen(BASE, &self.server, 1);
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = match form {
            None => self.client.get(&url),
            Some(form) => self
                .client
                .post(&url)
                .header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-site", "same-origin")
                .body(form.to_owned()),
        };
        let response = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    async fn get(&mut self, url: &str) -> Response {
        self.send(None, url).await
    }

    /// Opens a page of the server.
    async fn page(&mut self, path: &str) -> (u16, String) {
        let response = self.get(&format!("{BASE}{path}")).await;
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Begins a sign-in. Returns the address of the provider.
    async fn begin(&mut self) -> String {
        let response = self.send(Some("next=%2Fscans"), &format!("{BASE}/login/oidc")).await;
        assert_eq!(response.status(), 200);
        header(&response, "refresh").strip_prefix("0; url=").unwrap().to_owned()
    }

    /// Signs in at the provider. Returns the address of Kastrel to which it sends the browser.
    async fn at_provider(&mut self, provider: &OidcProvider, url: &str, form: &str) -> String {
        let mut url = url.to_owned();
        loop {
            let response = self.get(&url).await;
            let location = location(&response, provider.issuer());
            url = match location {
                Some(location) if location.starts_with(BASE) => return location,
                Some(location) => location,
                None => {
                    // The form for the sign-in.
                    let response = self.send(Some(form), &url).await;
                    location_of(&response, provider.issuer())
                }
            };
        }
    }

    /// Signs in completely. Returns the response to the callback.
    async fn sign_in(&mut self, provider: &OidcProvider, subject: &str) -> Response {
        let url = self.begin().await;
        let callback = self.at_provider(provider, &url, &format!("subject={subject}")).await;
        self.get(&callback).await
    }
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// Returns the address to which a response leads.
fn location(response: &Response, issuer: &str) -> Option<String> {
    let text = response.headers().get(LOCATION)?.to_str().unwrap();
    Some(if text.starts_with('/') { format!("{issuer}{text}") } else { text.to_owned() })
}

fn location_of(response: &Response, issuer: &str) -> String {
    location(response, issuer).unwrap_or_else(|| panic!("no redirect: {response:?}"))
}

fn people(groups: &[&str]) -> Value {
    json!({
        "7": { "preferred_username": "Ana Ruiz", "groups": groups, "email": "ana@example.com" },
        "8": { "preferred_username": "ben", "groups": [], "email": "ben@example.com" },
    })
}

async fn start(groups: &[&str], more: &[(&'static str, &str)]) -> (OidcProvider, TestApp) {
    let provider = OidcProvider::start(BASE, &people(groups)).await;
    let variables = provider.variables(BASE);
    let mut all: Vec<(&'static str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.extend(more);
    let app = TestApp::with(&all).await;
    (provider, app)
}

async fn account(app: &TestApp, name: &str) -> Value {
    let ended = app.run(&["user", "show", name, "--json"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test]
async fn provider_signs_in_creates_the_account_and_sets_its_roles() {
    let rules = [("KASTREL_OIDC__GROUPS", "boss=admin, sec=default:operator")];
    let (provider, app) = start(&["boss", "sec"], &rules).await;
    let mut visitor = Visitor::new(&app);
    let response = visitor.sign_in(&provider, "7").await;
    assert_eq!((response.status().as_u16(), header(&response, "location")), (303, "/scans".into()));
    let (status, html) = visitor.page("/profile").await;
    assert!(status == 200 && html.contains("With the identity provider") && html.contains("ana-ruiz"), "{html}");
    let shown = account(&app, "ana-ruiz").await;
    assert_eq!((&shown["server_role"], &shown["has_password"]), (&json!("admin"), &json!(false)));
    assert_eq!(shown["memberships"]["default"], "operator");
    // The groups change; the last administrator stays one.
    provider.set_people(&people(&[]));
    assert_eq!(Visitor::new(&app).sign_in(&provider, "7").await.status(), 303);
    let shown = account(&app, "ana-ruiz").await;
    assert_eq!((&shown["server_role"], &shown["memberships"]), (&json!("admin"), &json!({})));
    let created = app.run(&["user", "create", "root", "--admin"]).await;
    assert_eq!(created.code, Some(0), "{}", created.stderr);
    assert_eq!(Visitor::new(&app).sign_in(&provider, "7").await.status(), 303);
    assert_eq!(account(&app, "ana-ruiz").await["server_role"], Value::Null);
    assert_eq!(visitor.page("/profile").await.0, 303, "the change ended the earlier session");
}

#[tokio::test]
async fn callback_is_accepted_once_in_the_browser_that_began() {
    let (provider, app) = start(&[], &[]).await;
    let mut visitor = Visitor::new(&app);
    let url = visitor.begin().await;
    let callback = visitor.at_provider(&provider, &url, "subject=7").await;
    let mut stranger = Visitor::new(&app);
    stranger.begin().await;
    assert_eq!(stranger.get(&callback).await.status(), 410, "another browser, with a sign-in of its own");
    let wrong_state = callback.replacen("state=", "state=0", 1);
    assert_eq!(visitor.get(&wrong_state).await.status(), 410);
    let cookies = visitor.cookies.clone();
    assert_eq!(visitor.get(&callback).await.status(), 303);
    for mut replay in [Visitor { cookies, ..Visitor::new(&app) }, visitor] {
        let response = replay.get(&callback).await;
        assert_eq!(response.status(), 410);
        let html = response.text().await.unwrap();
        let code = callback.split("code=").nth(1).unwrap().split('&').next().unwrap();
        assert!(html.contains("Sign-in ended") && !html.contains(code), "{html}");
    }
    // A code that was made for another sign-in.
    let mut victim = Visitor::new(&app);
    let own = victim.begin().await;
    let state = own.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let url = stranger.begin().await;
    let foreign = stranger.at_provider(&provider, &url, "subject=8").await;
    let foreign_state = foreign.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_eq!(victim.get(&foreign.replacen(&foreign_state, &state, 1)).await.status(), 403);
    let sessions = app.run(&["user", "show", "ben"]).await;
    assert_eq!(sessions.code, Some(1), "nobody signed in as ben: {}", sessions.stdout);
}

#[tokio::test]
async fn taken_names_cancelled_sign_ins_and_disabled_accounts_are_refused() {
    let (provider, app) = start(&[], &[]).await;
    let created = app.run(&["user", "create", "ben"]).await;
    assert_eq!(created.code, Some(0), "{}", created.stderr);
    let mut visitor = Visitor::new(&app);
    let refused = visitor.sign_in(&provider, "8").await;
    assert_eq!(refused.status(), 403);
    let html = refused.text().await.unwrap();
    assert!(html.contains("account ben") && html.contains("user link NAME"), "{html}");
    let linked = app.run(&["user", "link", "ben", "--subject", "8"]).await;
    assert!(
        linked.stdout.contains(provider.issuer()),
        "the issuer of the settings: {} {}",
        linked.stdout,
        linked.stderr
    );
    assert_eq!(visitor.sign_in(&provider, "8").await.status(), 303);
    assert_eq!(visitor.page("/profile").await.0, 200);
    let disabled = app.run(&["user", "disable", "ben"]).await;
    assert_eq!(disabled.code, Some(0), "{}", disabled.stderr);
    assert_eq!(visitor.sign_in(&provider, "8").await.status(), 403);
    let mut other = Visitor::new(&app);
    let url = other.begin().await;
    let callback = other.at_provider(&provider, &url, "cancel=1").await;
    let cancelled = other.get(&callback).await;
    assert_eq!(cancelled.status(), 403);
    let html = cancelled.text().await.unwrap();
    assert!(html.contains("cancelled at Team login") && !html.contains("by the person"), "{html}");
    let audit = app.run(&["audit", "list", "--json"]).await.stdout;
    for action in ["identity_linked", "signed_in_with_provider", "provider_sign_in_failed"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
}

#[tokio::test]
async fn server_starts_without_its_provider_and_says_that_it_does_not_respond() {
    let mut provider = OidcProvider::start(BASE, &people(&[])).await;
    let variables = provider.variables(BASE);
    provider.end();
    let all: Vec<(&'static str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let app = TestApp::with(&all).await;
    let mut visitor = Visitor::new(&app);
    let response = visitor.send(Some(""), &format!("{BASE}/login/oidc")).await;
    assert_eq!(response.status(), 503);
    assert!(response.text().await.unwrap().contains("Team login does not respond"));
    assert_eq!(visitor.page("/login").await.0, 200, "passwords still work");
    let doctor = app.run(&["doctor"]).await;
    assert!(doctor.stdout.contains("sign-in") && doctor.stdout.contains("does not respond"), "{}", doctor.stdout);
}

#[tokio::test]
async fn mode_without_its_settings_is_refused_at_the_start() {
    let mut app = TestApp::prepare(&[("KASTREL_AUTH_MODE", "oidc")]);
    let ended = app.try_restart().await.unwrap_err();
    for key in ["oidc.issuer", "oidc.client_id", "server.public_url"] {
        assert!(ended.stderr.contains(key), "{}", ended.stderr);
    }
}
