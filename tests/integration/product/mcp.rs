//! Tests of the tools for assistants with a public client: the SDK of the Model Context Protocol
//! from PyPI, on standard input and output and over HTTP.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use super::app::{Ended, TestApp};
use crate::pypi::installed;

/// The package, and the versions of its dependencies.
const PACKAGE: &str = "mcp==2.3.0";
const VERSIONS: &str = include_str!("../../helpers/mcp_client.txt");
/// The limit of one client with all its calls.
const LIMIT: Duration = Duration::from_secs(90);
/// How a client negotiates the version of the protocol: the versions with a handshake, and those
/// without.
const MODES: [&str; 2] = ["legacy", "auto"];

/// Runs a client, and returns what it saw.
async fn client(mut wanted: Value, mode: &str, calls: Value) -> Value {
    let python = tokio::task::spawn_blocking(|| installed("mcp-client", PACKAGE, VERSIONS).join("bin/python"));
    wanted["mode"] = mode.into();
    wanted["calls"] = calls;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/helpers/mcp_client.py");
    let mut command = Command::new(python.await.unwrap());
    command.arg(script).arg(wanted.to_string()).stdin(Stdio::null()).kill_on_drop(true);
    // The configuration file of the repository is not that of the command.
    command.current_dir(std::env::temp_dir());
    let output = tokio::time::timeout(LIMIT, command.output()).await.expect("the client did not end").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{mode}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

fn done(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// Returns the document of a call that succeeded.
fn document(seen: &Value, call: usize) -> &Value {
    let result = &seen["results"][call];
    assert_eq!(result["is_error"], false, "{result}");
    &result["document"]
}

#[tokio::test]
async fn client_on_standard_streams_scans_reads_and_triages() {
    let app = TestApp::start().await;
    let wanted = json!({
        "command": [env!("CARGO_BIN_EXE_kastrel"), "mcp"],
        "env": { "KASTREL_DATA_DIR": app.data(), "XDG_CONFIG_HOME": app.data().join("config") },
    });
    for (mode, target) in MODES.into_iter().zip(["ok-2p.test", "fine-2p.test"]) {
        let calls = json!([
            { "tool": "submit_scan", "arguments": { "target": target, "plugins": ["whatweb", "wafw00f"] } },
            { "tool": "wait_for_scan", "arguments": { "scan": "$0.scan", "seconds": 60 }, "until": "has_ended" },
            { "tool": "get_scan", "arguments": { "scan": "$0.scan" } },
            { "tool": "list_findings", "arguments": { "filter": format!("target:{target}") }, "until": "total" },
            { "tool": "get_finding", "arguments": { "id": "$3.findings.0.id" } },
            { "tool": "triage_finding", "arguments": { "id": "$3.findings.0.id", "action": "false_positive", "reason": "a test host" } },
            { "tool": "list_findings", "arguments": { "filter": format!("target:{target} status:false_positive") } },
            { "tool": "list_targets", "arguments": { "words": target } },
            { "tool": "get_target", "arguments": { "id": "$7.targets.0.id" } },
            { "tool": "triage_finding", "arguments": { "id": "$3.findings.0.id", "action": "accept" } },
            { "tool": "get_scan", "arguments": { "scan": 9_999 } },
        ]);
        let seen = client(wanted.clone(), mode, calls).await;
        assert_eq!(seen["server"], "kastrel", "{seen}");
        assert!(seen["instructions"].as_str().unwrap().contains("untrusted_text"));
        assert_eq!(seen["tools"].as_object().unwrap().len(), 9, "{}", seen["tools"]);
        assert_eq!((&seen["tools"]["list_findings"], &seen["tools"]["triage_finding"]), (&json!(true), &json!(false)));
        let scan = document(&seen, 2);
        assert_eq!((&scan["status"], &scan["has_ended"]), (&json!("completed"), &json!(true)), "{scan}");
        assert_eq!(scan["results"].as_array().map(Vec::len), Some(2), "{scan}");
        let finding = document(&seen, 4);
        assert!(finding["untrusted_text"]["title"].is_string() && finding.get("title").is_none(), "{finding}");
        assert_eq!(document(&seen, 5)["status"], "false_positive");
        assert_eq!(document(&seen, 6)["total"], 1, "{mode}");
        assert_eq!(document(&seen, 8)["target"], format!("https://{target}"));
        let wrong = &seen["results"][9];
        assert_eq!((&wrong["is_error"], &wrong["document"]["error"]), (&json!(true), &json!("invalid_arguments")));
        let fields: Vec<&Value> =
            wrong["document"]["fields"].as_array().unwrap().iter().map(|field| &field["field"]).collect();
        assert!(fields.contains(&&json!("reason")) && fields.contains(&&json!("until")), "{wrong}");
        assert_eq!(seen["results"][10]["document"]["error"], "not_found");
    }
    // The command line sees the same decision.
    let listed = done(app.run(&["findings", "list", "status:false_positive"]).await);
    assert!(listed.contains("2 findings on 2 targets"), "{listed}");
}

#[tokio::test]
async fn client_over_http_has_the_rights_of_its_token() {
    let app = TestApp::with(&[("KASTREL_AUTH_MODE", "local")]).await;
    done(app.run(&["scan", "ok-1p.test"]).await);
    done(app.run(&["service-account", "create", "reader", "--role", "viewer"]).await);
    done(app.run(&["service-account", "create", "triager", "--role", "operator"]).await);
    let token = async |account: &str| {
        let words = ["token", "create", "--account", account, "--label", "assistant", "--role", "operator"];
        done(app.run(&words).await).trim().to_owned()
    };
    let wanted = |token: &str| json!({ "url": format!("{}/mcp", app.url()), "token": token });
    let (reader, triager) = (token("reader").await, token("triager").await);
    for mode in MODES {
        let calls = json!([
            { "tool": "list_findings", "arguments": {}, "until": "total" },
            { "tool": "triage_finding", "arguments": { "id": "$0.findings.0.id", "action": "confirm" } },
            { "tool": "submit_scan", "arguments": { "target": "ok-1p.test" } },
        ]);
        let seen = client(wanted(&reader), mode, calls).await;
        assert!(document(&seen, 0)["total"].as_u64().unwrap() > 0);
        for call in [1, 2] {
            let refused = &seen["results"][call];
            assert_eq!(
                (&refused["is_error"], &refused["document"]["error"]),
                (&json!(true), &json!("not_allowed")),
                "{refused}"
            );
        }
        let calls = json!([
            { "tool": "list_findings", "arguments": { "filter": "status:open,confirmed" }, "until": "total" },
            { "tool": "triage_finding", "arguments": { "id": "$0.findings.0.id", "action": "confirm" } },
            { "tool": "triage_finding", "arguments": { "id": "$0.findings.0.id", "action": "withdraw" } },
        ]);
        let seen = client(wanted(&triager), mode, calls).await;
        assert_eq!(
            (&document(&seen, 1)["status"], &document(&seen, 2)["status"]),
            (&json!("confirmed"), &json!("open"))
        );
    }
    let shown = done(app.run(&["findings", "list", "--json"]).await);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let id = shown["findings"][0]["id"].as_str().unwrap();
    let history = done(app.run(&["findings", "show", id]).await);
    assert!(history.contains("service:triager") && !history.contains("service:reader"), "{history}");
    let denied = done(app.run(&["audit", "list", "--json", "--principal", "service:reader"]).await);
    assert!(denied.contains("POST /mcp triage_finding") && denied.contains("POST /mcp submit_scan"), "{denied}");
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
    let unknown = app.request(reqwest::Method::POST, "/mcp").json(&message).send().await.unwrap();
    assert_eq!((unknown.status().as_u16(), unknown.headers()["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
}

#[tokio::test]
async fn client_without_a_server_uses_the_data_folder() {
    let mut app = TestApp::prepare(&[]);
    let wanted = json!({
        "command": [env!("CARGO_BIN_EXE_kastrel"), "mcp"],
        "env": {
            "KASTREL_DATA_DIR": app.data(),
            "KAST_CLI_PATH": crate::kast_runner::stage::fake_kast(),
            "XDG_CONFIG_HOME": app.data().join("config"),
        },
    });
    let calls = json!([
        { "tool": "submit_scan", "arguments": { "target": "ok-1p.test" } },
        { "tool": "wait_for_scan", "arguments": { "scan": "$0.scan" }, "until": "has_ended" },
        { "tool": "submit_scan", "arguments": { "target": "127.0.0.1" } },
    ]);
    let seen = client(wanted, "auto", calls).await;
    assert_eq!(document(&seen, 1)["scan_id"], 1);
    // An assistant chooses the targets, so private ones are refused here as well.
    let refused = &seen["results"][2];
    assert_eq!(
        (&refused["is_error"], &refused["document"]["fields"][0]["field"]),
        (&json!(true), &json!("target")),
        "{refused}"
    );
    // The command has ended in order: a server can use the folder.
    app.restart().await;
    assert_eq!(app.scan(1).await["status"].as_str(), document(&seen, 1)["status"].as_str());
}
