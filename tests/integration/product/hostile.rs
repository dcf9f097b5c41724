//! Tests that hostile targets are refused with a reason and start nothing.

use serde_json::json;

use super::app::TestApp;

#[tokio::test]
async fn a_hostile_target_is_a_422_that_names_the_field() {
    let app = TestApp::with(&[("KASTREL_ALLOW_PRIVATE_TARGETS", "false")]).await;
    let long = "a".repeat(300);
    for target in [
        "-oX",
        "--plugins=/tmp/x",
        "a b",
        "http://u:p@h/",
        &long,
        "a\u{0}b",
        "a\u{1b}[31mb",
        "a\nb",
        "localhost",
        "127.0.0.1",
        "[::1]:80",
        "2130706433",
        "",
    ] {
        let (status, body) = app.post("/api/scans", &json!({ "target": target })).await;
        assert_eq!((status, body["errors"][0]["field"].as_str()), (422, Some("target")), "{target:?}: {body}");
        if target.contains('\0') {
            // A command-line argument cannot contain this character.
            continue;
        }
        let command = app.run(&["scan", "--", target]).await;
        assert_eq!(command.code, Some(2), "{target:?}: {}{}", command.stdout, command.stderr);
    }
    let list: serde_json::Value = app.get("/api/scans").await.json().await.unwrap();
    assert_eq!(list["total"], 0);
    assert!(app.processes().is_empty());
}
