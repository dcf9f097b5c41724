//! Tests of a server with accounts: the API, and the commands on its data folder and with a token.

use kastrel_actors::ports::{Clock as _, SystemClock};
use reqwest::Method;
use serde_json::Value;

use super::app::{Ended, TestApp};

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
