//! Tests of a server with accounts: the API, and the commands on its data folder and with a token.

use std::time::Duration;

use kastrel_actors::ports::{Clock as _, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};

use super::app::{Ended, TestApp};
use crate::kast_runner::stage::PATIENCE;

/// Checks that a command succeeded, and returns its output.
fn done(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

async fn status(app: &TestApp, path: &str, authorization: &str) -> u16 {
    let request = app.request(Method::GET, path).header("authorization", authorization);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn accounts_are_created_on_the_data_folder_and_used_over_the_network() {
    let mut app = TestApp::with(&[("KASTREL_AUTH_MODE", "local")]).await;
    let answer = app.get("/api/scans").await;
    assert_eq!((answer.status().as_u16(), answer.headers()["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    // The command finds the running server and proves that it can read the data folder.
    let whoami: Value = serde_json::from_str(&done(app.run(&["whoami", "--json"]).await)).unwrap();
    assert_eq!(whoami["principal"], "system");
    let created = done(app.run(&["user", "create", "ana", "--admin"]).await);
    assert!(created.contains(&format!("{}/set-password?link=", app.url())), "{created}");
    let token = done(app.run(&["token", "create", "--account", "ana", "--label", "test", "--server-role"]).await);
    let token = token.trim().to_owned();
    assert_eq!(status(&app, "/api/scans", &format!("Bearer {token}")).await, 200);
    assert_eq!(status(&app, "/api/scans", &format!("Bearer {token}x")).await, 401);

    for (network, expected) in [("192.0.2.0/24", 401), ("127.0.0.0/8", 200)] {
        let words = ["token", "create", "--account", "ana", "--label", "near", "--network", network];
        let near = done(app.run(&words).await);
        assert_eq!(status(&app, "/api/scans", &format!("Bearer {}", near.trim())).await, expected, "{network}");
    }
    // The same address without a token, and with one.
    let url = app.url();
    let refused = app.run(&["list", "--server", &url]).await;
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    assert!(refused.stderr.contains("KASTREL_TOKEN"), "{}", refused.stderr);
    app.set("KASTREL_TOKEN", &token);
    assert!(done(app.run(&["list", "--server", &url]).await).contains("No scans match"));
    let whoami: Value = serde_json::from_str(&done(app.run(&["whoami", "--json", "--server", &url]).await)).unwrap();
    assert_eq!((&whoami["account"], &whoami["server_role"]), (&"ana".into(), &"admin".into()));
    let users = done(app.run(&["user", "list", "--server", &url]).await);
    assert!(users.contains("ana"), "{users}");
    // A token creates no other token of its own account.
    let second = app.run(&["token", "create", "--label", "more", "--server", &url]).await;
    assert!(second.code == Some(1) && second.stderr.contains("403"), "{}", second.stderr);

    // A disabled account has no rights, at once.
    done(app.run(&["user", "create", "bo", "--admin"]).await);
    done(app.run(&["user", "disable", "ana"]).await);
    let refused = app.run(&["list", "--server", &url]).await;
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    app.terminate_server().await;
    // The accounts outlive the server, and the command works on the folder itself.
    let shown = done(app.run(&["user", "show", "ana"]).await);
    assert!(shown.contains("disabled"), "{shown}");
}

#[tokio::test]
async fn public_link_opens_a_scan_for_a_client_without_credentials() {
    let app = TestApp::with(&[("KASTREL_AUTH_MODE", "local")]).await;
    done(app.run(&["user", "create", "ana", "--admin"]).await);
    let words = ["token", "create", "--account", "ana", "--label", "test", "--role", "owner", "--server-role"];
    let bearer = format!("Bearer {}", done(app.run(&words).await).trim());
    let ask = async |method: Method, path: &str, body: Option<Value>| {
        let request = app.request(method, path).header("authorization", &bearer);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
    };
    let (status, submitted) = ask(Method::POST, "/api/scans", Some(json!({ "target": "ok-2p.test" }))).await;
    assert_eq!(status, 201, "{submitted}");
    let scan = format!("/api/scans/{}", submitted["scan_id"]);
    let completed = async {
        while ask(Method::GET, &scan, None).await.1["status"] != "completed" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, completed).await.expect("the scan did not complete");

    let (status, created) = ask(Method::POST, &format!("{scan}/links"), Some(json!({ "label": "For them" }))).await;
    assert_eq!(status, 201, "{created}");
    let path = created["path"].as_str().unwrap();
    let answer = app.get(path).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["referrer-policy"].to_str().unwrap()), (200, "no-referrer"));
    let html = answer.text().await.unwrap();
    assert!(html.contains("ok-2p.test") && html.contains("Completed") && !html.contains("For them"), "{html}");
    assert_eq!(app.get(&scan).await.status(), 401, "the link opens nothing else");
    let listed = ask(Method::GET, &format!("{scan}/links"), None).await.1;
    assert_eq!(listed["links"][0]["opened"], 1, "{listed}");
    let link = format!("{scan}/links/{}", listed["links"][0]["id"].as_str().unwrap());
    assert_eq!(ask(Method::DELETE, &link, None).await.0, 204);
    assert_eq!(app.get(path).await.status(), 404);
    let entries = done(app.run(&["audit", "list", "--json"]).await);
    assert!(entries.contains("public_link_opened"), "{entries}");
    assert!(!entries.contains(path.trim_start_matches("/shared/")), "the secret is not in the audit log");
}

#[tokio::test]
async fn shared_scan_is_open_to_its_grantee_until_its_transfer() {
    let app = TestApp::with(&[("KASTREL_AUTH_MODE", "local")]).await;
    let scanned: Value = serde_json::from_str(&done(app.run(&["scan", "ok-2p.test", "--json"]).await)).unwrap();
    let scan = scanned["scan_id"].to_string();
    done(app.run(&["user", "create", "bo"]).await);
    done(app.run(&["project", "create", "shop"]).await);
    let words = ["token", "create", "--account", "bo", "--label", "test", "--role", "owner"];
    let bearer = format!("Bearer {}", done(app.run(&words).await).trim());
    let ask = async |path: String| {
        let answer = app.request(Method::GET, &path).header("authorization", &bearer).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
    };
    let status = async || ask(format!("/api/scans/{scan}/status")).await.0;
    assert_eq!(status().await, 404);
    done(app.run(&["share", "create", &scan, "user:bo", "--right", "edit", "--days", "1"]).await);
    let seen = async |wanted: u16| {
        // The server keeps an identity for 500 ms.
        let seen = async {
            while status().await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("the share took no effect");
    };
    seen(200).await;
    let shared = ask("/api/shared-scans".into()).await.1;
    assert_eq!(
        (&shared["scans"][0]["right"], &shared["scans"][0]["scan"]["target"]),
        (&"edit".into(), &"ok-2p.test".into())
    );
    assert_eq!(ask("/api/scans".into()).await.1["total"], 0, "other lists do not have it");
    let listed = done(app.run(&["share", "list", &scan]).await);
    assert!(listed.contains("user:bo") && listed.contains("edit"), "{listed}");
    done(app.run(&["transfer", &scan, "shop"]).await);
    seen(404).await;
    assert!(done(app.run(&["share", "list", &scan]).await).contains("No shares"));
    let entries = done(app.run(&["audit", "list", "--json"]).await);
    assert!(entries.contains("scan_shared") && entries.contains("scan_transferred"), "{entries}");
    let again = app.run(&["share", "revoke", &scan, "user:bo"]).await;
    assert!(again.code == Some(1) && again.stderr.contains("There is no share"), "{}", again.stderr);
}

#[tokio::test]
async fn public_link_is_managed_with_commands() {
    let app = TestApp::with(&[("KASTREL_AUTH_MODE", "local")]).await;
    let scanned: Value = serde_json::from_str(&done(app.run(&["scan", "ok-2p.test", "--json"]).await)).unwrap();
    let scan = scanned["scan_id"].to_string();
    let created = app.run(&["link", "create", &scan, "--label", "For them", "--days", "1"]).await;
    let said = format!("of scan {scan} is shown only now; it expires ");
    assert!(created.stderr.contains(&said), "{}", created.stderr);
    let page = done(created);
    let path = page.trim_end().strip_prefix(app.url().as_str()).expect("the complete address alone is printed");
    assert!(path.starts_with("/shared/"), "{page}");
    let html = app.text(path).await;
    assert!(html.contains("ok-2p.test") && !html.contains("For them"), "{html}");

    let shown = done(app.run(&["link", "list", &scan]).await);
    assert!(shown.contains("For them") && shown.contains("system"), "{shown}");
    let listed: Value = serde_json::from_str(&done(app.run(&["link", "list", &scan, "--json"]).await)).unwrap();
    assert_eq!(listed["links"][0]["opened"], 1, "{listed}");
    let id = listed["links"][0]["id"].as_str().unwrap();
    done(app.run(&["link", "revoke", &scan, id]).await);
    assert_eq!(app.get(path).await.status(), 404);
    for (words, why) in [
        (&["link", "revoke", &scan, id][..], "There is no public link"),
        (&["link", "list", "99"], "There is no scan 99"),
    ] {
        let refused = app.run(words).await;
        assert!(refused.code == Some(1) && refused.stderr.contains(why), "{words:?}: {}", refused.stderr);
    }
}

#[tokio::test]
async fn proof_of_another_folder_is_refused() {
    let app = TestApp::with(&[("KASTREL_AUTH_MODE", "local")]).await;
    let other = tempfile::tempdir().unwrap();
    let key = kastrel::server_proof::ServerKey::open(other.path()).unwrap();
    let own = kastrel::server_proof::ServerKey::read(&app.data()).unwrap();
    let now = SystemClock.now();
    let url = app.url();
    let foreign = key.prove_command(&url, "GET", "/api/accounts", now);
    assert_eq!(status(&app, "/api/accounts", &foreign).await, 401);
    let proof = own.prove_command(&url, "GET", "/api/accounts", now);
    assert_eq!(status(&app, "/api/whoami", &proof).await, 401, "the proof is for another path");
    assert_eq!(status(&app, "/api/accounts", &proof).await, 200);
    assert_eq!(status(&app, "/api/accounts", &proof).await, 401, "the proof is valid once");
    // A command of another folder finds no server there, and gets no right from the address alone.
    let data = format!("--data-dir={}", other.path().display());
    std::fs::copy(app.data().join("server.json"), other.path().join("server.json")).unwrap();
    let users = done(app.run(&["user", "list", &data]).await);
    assert!(users.contains("No users"), "{users}");
}
