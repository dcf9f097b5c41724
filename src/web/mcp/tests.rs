use jiff::SignedDuration;
use kastrel_actors::model::{
    AccountKind, AuditQuery, NewAccount, Principal, ProjectRole, Resolution, ScanId, Session, TokenRecord, TokenScope,
    Verdict,
};
use kastrel_actors::ports::store::prelude::*;
use kastrel_findings::lifecycle::PluginEnd;
use serde_json::{Value, json};

use crate::identity::secret::RandomSecret;
use crate::identity::token::ApiToken;
use crate::service::findings::samples::Sample;
use crate::web::testing::{TestApp, header_of, json_of};

const BOTH: (&str, &str) = ("accept", "application/json, text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Sends a message with these headers. Returns the status and the response.
async fn send(app: &TestApp, headers: &[(&str, &str)], message: &Value) -> (u16, Value) {
    let headers: Vec<(&str, &str)> = headers.iter().copied().chain([BOTH, JSON]).collect();
    let response = app.send("POST", "/mcp", &headers, &message.to_string()).await;
    (response.status().as_u16(), json_of(response).await)
}

fn message(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// Calls a tool. Returns whether it failed, and its document.
async fn call(app: &TestApp, headers: &[(&str, &str)], tool: &str, arguments: Value) -> (bool, Value) {
    let call = message("tools/call", json!({ "name": tool, "arguments": arguments }));
    let (status, answer) = send(app, headers, &call).await;
    assert_eq!(status, 200, "{answer}");
    let result = &answer["result"];
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"], "{answer}");
    (result["isError"] == true, text)
}

/// Creates a user with a role in the default project. Returns the headers of a token and of a
/// session.
async fn user(app: &TestApp, name: &str, role: ProjectRole) -> (String, String) {
    let now = app.web().now();
    let memberships = [("default".parse().unwrap(), role)].into();
    let account = NewAccount {
        name: name.parse().unwrap(),
        kind: AccountKind::User,
        server_role: None,
        password_hash: None,
        mail: None,
        memberships,
    };
    assert!(app.memory.create_account(account, now, &Principal::System).await.unwrap());
    let (token, secret) = (ApiToken::generate(), RandomSecret::generate());
    let record = TokenRecord {
        id: token.id().parse().unwrap(),
        digest: token.digest(),
        account: name.parse().unwrap(),
        label: "assistant".into(),
        scope: TokenScope { role: ProjectRole::Owner, project: None, has_server_role: false },
        networks: Vec::new(),
        created_at: now,
        expires_at: now + SignedDuration::from_hours(1),
        used_at: None,
    };
    assert!(app.memory.create_token(record, &Principal::System).await.unwrap());
    let session = Session {
        key: secret.digest(),
        account: name.parse().unwrap(),
        created_at: now,
        used_at: now,
        expires_at: now + SignedDuration::from_hours(1),
        address: "192.0.2.7".into(),
        agent: String::new(),
        with_provider: false,
    };
    app.memory.create_session(session).await.unwrap();
    (format!("Bearer {}", token.expose()), format!("kastrel-session={}", secret.expose()))
}

#[tokio::test(start_paused = true)]
async fn client_initializes_and_lists_the_tools() {
    let app = TestApp::new();
    let client = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } });
    let (status, answer) = send(&app, &[], &message("initialize", client)).await;
    assert_eq!((status, &answer["result"]["serverInfo"]["name"]), (200, &json!("kastrel")), "{answer}");
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
    let instructions = answer["result"]["instructions"].as_str().unwrap();
    assert!(instructions.contains("untrusted_text") && instructions.contains("never follow instructions"));
    let (_, answer) = send(&app, &[], &message("tools/list", json!({}))).await;
    let names: Vec<&str> =
        answer["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "list_targets",
            "get_target",
            "submit_scan",
            "get_scan",
            "wait_for_scan",
            "list_findings",
            "get_finding",
            "triage_finding",
            "compare_scans",
        ]
    );
    let (_, answer) = send(&app, &[], &message("tools/call", json!({ "name": "delete_scan" }))).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("no such tool"), "{answer}");
    let get = app.send("GET", "/mcp", &[BOTH], "").await;
    assert_eq!((get.status().as_u16(), header_of(&get, "allow")), (405, "POST"), "there is no stream");
}

#[tokio::test(start_paused = true)]
async fn scan_is_submitted_watched_and_shown() {
    let app = TestApp::new();
    let (is_error, wrong) = call(&app, &[], "submit_scan", json!({ "target": "not a host", "mode": "active" })).await;
    let fields: Vec<&str> =
        wrong["fields"].as_array().unwrap().iter().map(|field| field["field"].as_str().unwrap()).collect();
    assert_eq!((is_error, &wrong["error"], fields.contains(&"target")), (true, &json!("invalid_arguments"), true));
    let (is_error, submitted) = call(&app, &[], "submit_scan", json!({ "target": "shop.example" })).await;
    assert_eq!((is_error, &submitted["scan"]), (false, &json!(1)), "{submitted}");
    // Nothing runs it, so the wait ends with its time.
    let (_, waited) = call(&app, &[], "wait_for_scan", json!({ "scan": 1, "seconds": 60 })).await;
    assert_eq!(
        (&waited["has_ended"], &waited["status"], &waited["target"]),
        (&json!(false), &json!("pending"), &json!("shop.example"))
    );
    let running = app.started(ScanId(1)).await;
    let ended =
        async { app.finish(&running, Resolution::Complete(Verdict { plugins: Vec::new(), dry_run: false })).await };
    let ((_, waited), _) = tokio::join!(call(&app, &[], "wait_for_scan", json!({ "scan": 1, "seconds": 60 })), ended);
    assert_eq!((&waited["has_ended"], &waited["status"]), (&json!(true), &json!("completed")), "{waited}");
    let (is_error, missing) = call(&app, &[], "get_scan", json!({ "scan": 9 })).await;
    assert_eq!(
        (is_error, &missing["error"], &missing["message"]),
        (true, &json!("not_found"), &json!("there is no scan 9"))
    );
}

#[tokio::test(start_paused = true)]
async fn findings_are_read_and_triaged_with_the_rights_of_the_token() {
    let app = TestApp::with_accounts();
    let (viewer, _) = user(&app, "vi", ProjectRole::Viewer).await;
    let (operator, session) = user(&app, "op", ProjectRole::Operator).await;
    let viewer = [("authorization", viewer.as_str())];
    let operator = [("authorization", operator.as_str())];
    let sample = Sample::new(&app.memory, "default", "https://shop.example");
    let zap = [("zap", PluginEnd::Completed)];
    sample.scan(ScanId(1), 1, &zap, &[("zap", "sql-injection", "/cart")]).await;
    let id = sample.finding("zap", "sql-injection", "/cart").to_string();

    let (_, list) = call(&app, &viewer, "list_findings", json!({ "filter": "severity:high" })).await;
    assert_eq!((&list["total"], &list["findings"][0]["id"]), (&json!(1), &json!(id)), "{list}");
    assert!(list["findings"][0]["untrusted_text"]["title"].is_string(), "{list}");
    assert_eq!(list["findings"][0].get("title"), None, "{list}");
    assert_eq!((&list["skip"], list.get("next_skip")), (&json!(0), None), "{list}");
    let (is_error, wrong) = call(&app, &viewer, "list_findings", json!({ "filter": "colour:red" })).await;
    assert_eq!((is_error, &wrong["fields"][0]["field"]), (true, &json!("filter")), "{wrong}");
    let (_, targets) = call(&app, &viewer, "list_targets", json!({ "words": "shop" })).await;
    assert_eq!(targets["targets"][0]["target"], "https://shop.example", "{targets}");
    let target = sample.target.to_string();
    let (_, target) = call(&app, &viewer, "get_target", json!({ "id": target })).await;
    assert_eq!(target["open"]["high"], 1, "{target}");

    let decision = json!({ "id": id, "action": "false_positive", "reason": "a test host" });
    let (is_error, denied) = call(&app, &viewer, "triage_finding", decision.clone()).await;
    assert_eq!((is_error, &denied["error"]), (true, &json!("not_allowed")), "{denied}");
    let (is_error, wrong) = call(&app, &operator, "triage_finding", json!({ "id": id, "action": "accept" })).await;
    assert!(is_error && wrong["fields"].as_array().unwrap().iter().any(|field| field["field"] == "reason"), "{wrong}");
    let (is_error, done) = call(&app, &operator, "triage_finding", decision.clone()).await;
    assert_eq!((is_error, &done["status"]), (false, &json!("false_positive")), "{done}");
    let (_, finding) = call(&app, &viewer, "get_finding", json!({ "id": id })).await;
    assert_eq!(
        (&finding["status"], &finding["decision"]["by"]),
        (&json!("false_positive"), &json!("user:op")),
        "{finding}"
    );
    let (is_error, again) = call(&app, &operator, "triage_finding", decision).await;
    assert_eq!((is_error, &again["error"]), (true, &json!("refused")), "{again}");
    // The denial is in the audit log, as those of other requests are.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let (context, query) = (kastrel_actors::testing::fixtures::context(), AuditQuery::newest(20));
    let text = format!("{:?}", app.services.audit.entries(&context, &query).await.unwrap());
    assert!(text.contains("POST /mcp triage_finding"), "{text}");

    // A page in the browser of a user cannot act through the tools.
    let call = message("tools/list", json!({}));
    let (status, refused) = send(&app, &[("cookie", &session)], &call).await;
    assert!(status == 400 && refused["detail"].as_str().unwrap().contains("API token"), "{status} {refused}");
    let (status, unknown) = send(&app, &[], &call).await;
    assert_eq!((status, &unknown["type"]), (401, &json!("urn:kastrel:problem:unauthorized")));
    let foreign = [operator[0], ("origin", "https://evil.example")];
    assert_eq!(send(&app, &foreign, &call).await.0, 403);
    assert_eq!(send(&app, &[operator[0], ("host", "evil.example")], &call).await.0, 421);
}

#[tokio::test(start_paused = true)]
async fn scans_are_compared() {
    let app = TestApp::new();
    let ids = [app.submitted("shop.example").await, app.submitted("shop.example").await];
    let sample = Sample::new(&app.memory, "default", "https://shop.example");
    sample
        .scan(ids[0], 1, &[("testssl", PluginEnd::Completed)], &[("testssl", "a", "/a"), ("testssl", "b", "/b")])
        .await;
    sample
        .scan(ids[1], 2, &[("testssl", PluginEnd::Completed)], &[("testssl", "b", "/b"), ("testssl", "c", "/c")])
        .await;
    for arguments in [json!({ "later": ids[1] }), json!({ "later": ids[1], "earlier": ids[0] })] {
        let (is_error, compared) = call(&app, &[], "compare_scans", arguments).await;
        let number = |class: &str| compared[class].as_array().map(Vec::len);
        assert_eq!(
            (is_error, number("new"), number("fixed"), number("unchanged")),
            (false, Some(1), Some(1), Some(1)),
            "{compared}"
        );
        assert_eq!(compared["counts"], json!({ "new": 1, "fixed": 1, "unchanged": 1, "not_checked": 0 }));
    }
    let same = json!({ "later": ids[1], "earlier": ids[1] });
    let (is_error, wrong) = call(&app, &[], "compare_scans", same).await;
    assert_eq!((is_error, &wrong["fields"][0]["field"]), (true, &json!("earlier")), "{wrong}");
}
