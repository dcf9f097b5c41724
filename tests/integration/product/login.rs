//! Tests of `kastrel login` and `kastrel logout` with a real server: the command waits, and the
//! requests of a browser allow it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use super::app::{Ended, TestApp, signal};
use crate::kast_runner::stage::PATIENCE;

const PASSWORD: &str = "seven green ladders under rain";

/// Checks that a command succeeded, and returns its output.
fn done(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// Starts a server with the administrator `admin`.
async fn with_admin() -> TestApp {
    let mut app = TestApp::prepare(&[("KASTREL_AUTH_MODE", "local")]);
    let file = app.data().with_file_name("password");
    std::fs::write(&file, PASSWORD).unwrap();
    app.set("KASTREL_ADMIN_PASSWORD_FILE", &file.display().to_string());
    app.restart().await;
    app
}

/// A browser in which somebody signed in.
struct Browser {
    http: reqwest::Client,
    url: String,
    cookie: String,
}

impl Browser {
    async fn sign_in(app: &TestApp, name: &str) -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        let mut browser = Self { http, url: app.url(), cookie: String::new() };
        let answer = browser.post("/login", &[("name", name), ("password", PASSWORD)]).await;
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        browser.cookie = cookie.split(';').next().unwrap().to_owned();
        browser
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> reqwest::Response {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(format!("{}{path}", self.url)).header(COOKIE, &self.cookie);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.header("sec-fetch-site", "same-origin").body(body).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let request = self.http.get(format!("{}{path}", self.url)).header(COOKIE, &self.cookie);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// A command that waits for its login.
struct Waiting {
    child: Child,
    code: String,
    /// Kept open: the command writes to it.
    stderr: Lines<BufReader<ChildStderr>>,
}

async fn waiting(app: &TestApp, args: &[&str]) -> Waiting {
    let mut child = app.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let code = async {
        while let Some(line) = stderr.next_line().await.unwrap() {
            if let Some((_, code)) = line.split_once("Code: ") {
                return code.trim().to_owned();
            }
        }
        panic!("the command ended without a code");
    };
    let code = tokio::time::timeout(PATIENCE, code).await.expect("the command shows no code");
    Waiting { child, code, stderr }
}

impl Waiting {
    async fn ended(self) -> (Option<i32>, String) {
        let output = tokio::time::timeout(PATIENCE, self.child.wait_with_output()).await.expect("it waits too long");
        let output = output.unwrap();
        drop(self.stderr);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }
}

#[tokio::test]
async fn command_line_logs_in_works_with_the_stored_token_and_logs_out() {
    let app = with_admin().await;
    let url = app.url();
    let refused = app.run(&["list", "--server", &url]).await;
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("kastrel login --server {url}")), "{}", refused.stderr);
    let command = waiting(&app, &["login", "--server", &url, "--server-role", "--json"]).await;
    let browser = Browser::sign_in(&app, "admin").await;
    let (status, html) = browser.get(&format!("/device?code={}", command.code)).await;
    assert!(status == 200 && html.contains(&command.code) && html.contains("127.0.0.1"), "{html}");
    let answer = browser.post("/device", &[("code", &command.code), ("decision", "allow")]).await;
    assert_eq!(answer.headers()[LOCATION], "/device?notice=allowed");
    let (code, out) = command.ended().await;
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &said["account"]), (Some(0), &"admin".into()), "{said}");
    let id = said["token"]["id"].as_str().unwrap();

    let file = app.data().with_file_name("config").join("kastrel/credentials.toml");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let stored = std::fs::read_to_string(&file).unwrap();
    let secret = stored.split('"').find(|text| text.starts_with("kst_")).unwrap();
    assert!(!out.contains(secret), "the token is not printed");
    assert!(done(app.run(&["list", "--server", &url]).await).contains("No scans match"));
    let whoami: Value = serde_json::from_str(&done(app.run(&["whoami", "--json", "--server", &url]).await)).unwrap();
    assert_eq!((&whoami["account"], &whoami["token"]), (&"admin".into(), &id.into()));
    let listed = done(app.run(&["token", "list", "--server", &url]).await);
    assert!(listed.contains("kastrel login on"), "{listed}");

    let logged_out = done(app.run(&["logout", "--server", &url]).await);
    assert!(logged_out.contains("the token was revoked"), "{logged_out}");
    assert!(!std::fs::read_to_string(&file).unwrap().contains("kst_"));
    let bearer = format!("Bearer {secret}");
    let request = app.request(reqwest::Method::GET, "/api/scans").header("authorization", bearer);
    assert_eq!(request.send().await.unwrap().status(), 401);
    assert_eq!(app.run(&["list", "--server", &url]).await.code, Some(6));
    let entries = done(app.run(&["audit", "list", "--json"]).await);
    for action in ["device_login_allowed", "token_created", "token_revoked"] {
        assert!(entries.contains(action), "{action}: {entries}");
    }
    assert!(!entries.contains(secret));
}

#[tokio::test]
async fn interrupted_login_ends_on_the_server_too() {
    let app = with_admin().await;
    let command = waiting(&app, &["login", "--server", &app.url()]).await;
    let code = command.code.clone();
    let browser = Browser::sign_in(&app, "admin").await;
    assert_eq!(browser.get(&format!("/device?code={code}")).await.0, 200);
    signal(&command.child, Signal::INT);
    assert_eq!(command.ended().await.0, Some(130));
    assert_eq!(browser.get(&format!("/device?code={code}")).await.0, 422);
    assert!(!app.data().with_file_name("config").join("kastrel/credentials.toml").exists());
}

#[tokio::test]
async fn server_without_accounts_says_that_it_needs_no_login() {
    let app = TestApp::start().await;
    let said = done(app.run(&["login", "--server", &app.url()]).await);
    assert!(said.contains("has no accounts and needs no login"), "{said}");
}
