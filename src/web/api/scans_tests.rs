use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::Client;
use kastrel_actors::model::{
    AttemptNumber, Failure, FailureKind, PluginResult, PluginStatus, Principal, Resolution, ScanId, ScanNotes,
    ScanRequestDraft, Verdict,
};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::testing::fixtures;
use serde_json::{Value, json};

use crate::web::RequestLimits;
use crate::web::testing::{NoArtifacts, TestApp, header_of, json_of, text_of};

fn fields(body: &Value) -> Vec<&str> {
    body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_submission_is_stored_and_has_an_address() {
    let app = TestApp::new();
    let response = app
        .post_json(
            "/api/scans",
            &[],
            &json!({"target": "Example.com", "mode": "both", "confirm_active": true, "overrides": ["zap.depth=8081"]}),
        )
        .await;
    assert_eq!((response.status().as_u16(), header_of(&response, "location")), (201, "/api/scans/1"));
    let body = json_of(response).await;
    assert_eq!(
        (&body["scan_id"], &body["status"], &body["target"]),
        (&1.into(), &"pending".into(), &"example.com".into())
    );
    // While no scanner is known, any value may be a secret.
    assert_eq!((&body["request"]["overrides"][0], &body["warning"]), (&"zap.depth=••••••".into(), &Value::Null));
    assert_eq!(app.memory.history().len(), 1);
    assert_eq!(json_of(app.get("/api/scans/1").await).await["request"]["mode"], "both");
}

#[tokio::test]
async fn batch_is_stored_once_and_each_scan_has_its_result() {
    let app = TestApp::new();
    let body = json!({"scans": [{"target": "a.example"}, {"target": "B.example", "dry_run": true}]});
    let key = [("idempotency-key", "nightly-1")];
    for (status, created) in [(201, true), (200, false)] {
        let response = app.post_json("/api/scans/batch", &key, &body).await;
        assert_eq!(response.status(), status);
        let body = json_of(response).await;
        assert_eq!(body["accepted"], 2);
        let item = |at: usize| {
            let item = &body["scans"][at];
            (item["target"].as_str().unwrap(), item["scan_id"].as_u64().unwrap(), item["created"].as_bool().unwrap())
        };
        assert_eq!([item(0), item(1)], [("a.example", 1, created), ("B.example", 2, created)]);
        assert_eq!(body["scans"][0]["problem"], Value::Null);
    }
    // One scan of the batch alone has the key of its place.
    let one = app.post_json("/api/scans", &[("idempotency-key", "nightly-1/0")], &json!({"target": "a.example"})).await;
    assert_eq!((one.status().as_u16(), json_of(one).await["scan_id"].as_u64()), (200, Some(1)));
    // A key that belongs to another request refuses that scan alone.
    let body = json!({"scans": [{"target": "a.example"}, {"target": "c.example"}]});
    let response = app.post_json("/api/scans/batch", &key, &body).await;
    assert_eq!(response.status(), 207);
    let body = json_of(response).await;
    assert_eq!((&body["accepted"], &body["scans"][1]["scan_id"]), (&1.into(), &Value::Null));
    assert_eq!(body["scans"][1]["problem"]["type"], "urn:kastrel:problem:idempotency-key-reused");
    assert_eq!(body["scans"][1]["problem"]["instance"], "/api/scans/batch");
    assert_eq!(app.memory.history().len(), 2);
}

#[tokio::test]
async fn batch_with_an_invalid_field_stores_nothing_and_names_each() {
    let app = TestApp::new();
    let refused = async |body: Value| {
        let response = app.post_json("/api/scans/batch", &[], &body).await;
        assert_eq!(response.status(), 422, "{body}");
        json_of(response).await
    };
    let body =
        json!({"scans": [{"target": "a.example"}, {"target": "10.0.0.1", "mode": "x"}, {"target": 5}, {"colour": 1}]});
    let named = refused(body).await;
    assert_eq!(
        fields(&named),
        ["scans[1].target", "scans[1].mode", "scans[2].target", "scans[3].colour", "scans[3].target"]
    );
    // The same without fields of a wrong type, which only the service finds.
    let named = refused(json!({"scans": [{"target": "a.example"}, {"target": "10.0.0.1"}]})).await;
    assert_eq!(fields(&named), ["scans[1].target"]);
    let many: Vec<Value> = (0..501).map(|_| json!({"target": "a.example"})).collect();
    for (body, field) in [
        (json!({}), "scans"),
        (json!({"scans": []}), "scans"),
        (json!({"scans": {"target": "a.example"}}), "scans"),
        (json!({"scans": many}), "scans"),
        (json!({"scans": [{"target": "a.example"}], "mode": "passive"}), "mode"),
        (json!({"scans": ["a.example"]}), "scans[0]"),
    ] {
        assert_eq!(fields(&refused(body).await), [field]);
    }
    let body = json!({"scans": [{"target": "a.example"}]});
    let long = "x".repeat(252);
    let response = app.post_json("/api/scans/batch", &[("idempotency-key", &long)], &body).await;
    assert_eq!((response.status().as_u16(), app.memory.history().len()), (400, 0));
    assert_eq!(app.post_json("/api/scans/batch", &[], &json!([])).await.status(), 400);
}

#[tokio::test]
async fn scans_are_listed_by_tag() {
    let app = TestApp::new();
    for _ in 0..3 {
        app.submitted("shop.example").await;
    }
    for (scan, tag) in [(1, "release"), (2, "eu"), (3, "release")] {
        let notes = ScanNotes { tags: vec![tag.into()], notes: String::new() };
        assert!(app.memory.set_scan_notes(ScanId(scan), notes, &Principal::System).await.unwrap());
    }
    let body = json_of(app.get("/api/scans?tag=release").await).await;
    let listed: Vec<u64> =
        body["scans"].as_array().unwrap().iter().map(|scan| scan["scan_id"].as_u64().unwrap()).collect();
    assert_eq!((listed, &body["total"]), (vec![3, 1], &2.into()));
    let page = text_of(app.get("/scans?tag=release").await).await;
    assert!(page.contains("/scans/3\"") && !page.contains("/scans/2\""), "{page}");
    assert!(page.contains("id=\"filter-tag\" name=\"tag\" value=\"release\""), "{page}");
    let scan = text_of(app.get("/scans/3").await).await;
    assert!(scan.contains("<a class=\"tag\" href=\"/scans?tag=release\">release</a>"), "{scan}");
    let csv = text_of(app.get("/api/scans/export.csv?tag=eu").await).await;
    assert_eq!(csv.lines().count(), 2, "{csv}");
}

#[tokio::test]
async fn a_submission_to_a_paused_queue_says_so_with_the_reason() {
    let app = TestApp::new();
    app.services.queue.pause(&fixtures::context(), Some("an <upgrade>")).await.unwrap();
    let body = json_of(app.post_json("/api/scans", &[], &json!({"target": "example.com"})).await).await;
    let expected = "Scan accepted and stored. The queue is paused (an <upgrade>). Starts when the queue is resumed.";
    assert_eq!((&body["warning"], &body["warnings"]), (&expected.into(), &json!([expected])));
    app.services.queue.resume(&fixtures::context()).await.unwrap();
    let body = json_of(app.post_json("/api/scans", &[], &json!({"target": "example.com"})).await).await;
    assert_eq!((&body["warning"], &body["warnings"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn a_submission_continues_the_callers_trace() {
    let app = TestApp::new();
    let headers = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    let body = json_of(app.post_json("/api/scans", &headers, &json!({"target": "example.com"})).await).await;
    assert_eq!(body["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    let other = json_of(app.post_json("/api/scans", &[], &json!({"target": "example.com"})).await).await;
    assert!(other["trace_id"].as_str().is_some_and(|id| id.len() == 32 && id != "0af7651916cd43dd8448eb211c80319c"));
}

#[tokio::test]
async fn a_locked_setting_is_refused_by_name_at_a_submission_and_at_a_rerun() {
    let app = TestApp::new();
    let body = json!({"target": "a.test", "overrides": ["zap.local.docker_image=evil", "katana.proxy=http://10.0.0.1:3128", "whatweb.timeout=5"]});
    let refused = json_of(app.post_json("/api/scans", &[], &body).await).await;
    assert_eq!(fields(&refused), ["overrides", "overrides"]);
    let message = refused["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("`zap.local.docker_image` is locked: it names a container image")
            && message.contains("overrides.allow"),
        "{message}"
    );
    // A scan that an earlier version of Kastrel accepted.
    let mut scan = fixtures::new_scan("a.test");
    scan.request.overrides =
        vec![kastrel_actors::model::ConfigOverride::parse("ftap.wordlist_path=/etc/passwd").unwrap()];
    app.memory.submit(scan).await.unwrap();
    app.send("POST", "/api/scans/1/cancel", &[], "").await;
    let before = app.memory.history().len();
    let refused = app.post_json("/api/scans/1/rerun", &[], &json!({})).await;
    assert_eq!(refused.status(), 422);
    assert!(json_of(refused).await["errors"][0]["message"].as_str().unwrap().contains("`ftap.wordlist_path`"));
    let bulk = app.post_form("/scans/bulk", "action=rerun&scan=1&confirmed=yes").await;
    assert!(bulk.status().is_redirection() || bulk.status().is_client_error());
    assert_eq!(app.memory.history().len(), before, "nothing was accepted");
}

#[tokio::test]
async fn a_secret_of_a_submission_is_sealed_shown_hidden_and_repeated_with_its_key() {
    let app = TestApp::new();
    let body =
        json!({"target": "a.test", "overrides": ["zap.remote.api_key=hunter2", "secret:whatweb.user_agent=hunter2"]});
    let headers = [("idempotency-key", "k")];
    let accepted = json_of(app.post_json("/api/scans", &headers, &body).await).await;
    assert_eq!(accepted["request"]["overrides"], json!(["zap.remote.api_key=••••••", "whatweb.user_agent=••••••"]));
    let again = app.post_json("/api/scans", &headers, &body).await;
    assert_eq!(
        (again.status().as_u16(), json_of(again).await["scan_id"].as_u64()),
        (200, Some(1)),
        "the same submission"
    );
    let other =
        json!({"target": "a.test", "overrides": ["zap.remote.api_key=other", "secret:whatweb.user_agent=hunter2"]});
    assert_eq!(app.post_json("/api/scans", &headers, &other).await.status(), 422, "another one");
    app.send("POST", "/api/scans/1/cancel", &[], "").await;
    let rerun = json_of(app.post_json("/api/scans/1/rerun", &[], &json!({})).await).await;
    assert_eq!(rerun["request"]["overrides"], accepted["request"]["overrides"]);
    let (first, second) = (
        app.service.scan(&fixtures::context(), ScanId(1)).await.unwrap().unwrap(),
        app.service.scan(&fixtures::context(), ScanId(2)).await.unwrap().unwrap(),
    );
    assert_eq!(first.record.request, second.record.request, "the secret goes with a rerun");
    let row = serde_json::to_string(&first.record).unwrap();
    assert!(!row.contains("hunter2") && !format!("{first:?}").contains("hunter2"), "{row}");
    // An invalid override is not repeated in the response.
    let wrong = app
        .post_json("/api/scans", &[], &json!({"target": "a.test", "overrides": ["zap.a b=hunter2", "token hunter2"]}))
        .await;
    assert!(!json_of(wrong).await.to_string().contains("hunter2"));
}

/// A key is reused only if the request differs. The same request is not a reuse, even if the first
/// one was sealed before the scanner was known.
#[tokio::test]
async fn a_submission_before_the_scanner_is_known_is_the_same_after() {
    let app = TestApp::new();
    let (headers, body) = ([("idempotency-key", "k")], json!({"target": "a.test", "overrides": ["whatweb.timeout=5"]}));
    assert_eq!(app.post_json("/api/scans", &headers, &body).await.status(), 201);
    app.load_catalogue();
    assert_eq!(app.post_json("/api/scans", &headers, &body).await.status(), 200);
    let other = json!({"target": "a.test", "overrides": ["whatweb.timeout=6"]});
    assert_eq!(app.post_json("/api/scans", &headers, &other).await.status(), 422);
    let known = json_of(app.post_json("/api/scans", &[], &body).await).await;
    assert_eq!(known["request"]["overrides"], json!(["whatweb.timeout=5"]));
}

/// The check also runs without the page or the API: for the command line without a server, and for
/// the form and the API of a process without a scanner.
#[tokio::test]
async fn override_values_are_validated_on_every_path() {
    let app = TestApp::new();
    app.load_catalogue();
    for text in ["whatweb.timeout=fast", "whatweb.speed=1", "nothing.x=1"] {
        let draft = ScanRequestDraft { target: "a.test".into(), overrides: vec![text.into()], ..Default::default() };
        let refused =
            app.service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap_err().to_string();
        assert!(refused.contains(text.split('=').next().unwrap()), "{refused}");
    }
    let mut scan = fixtures::new_scan("a.test");
    scan.request.overrides = vec![kastrel_actors::model::ConfigOverride::parse("whatweb.timeout=fast").unwrap()];
    app.memory.submit(scan).await.unwrap();
    app.send("POST", "/api/scans/1/cancel", &[], "").await;
    let refused = app.post_json("/api/scans/1/rerun", &[], &json!({})).await;
    assert_eq!(refused.status(), 422);
    assert!(json_of(refused).await["errors"][0]["message"].as_str().unwrap().contains("expected a whole number"));
}

#[tokio::test]
async fn a_rerun_whose_secret_this_key_does_not_open_is_not_accepted() {
    let app = TestApp::new();
    let mut scan = fixtures::new_scan("a.test");
    let sealed = kastrel_actors::model::SettingValue::Sealed("sealed elsewhere".into());
    scan.request.overrides = vec![kastrel_actors::model::ConfigOverride {
        plugin: "zap".into(),
        key: "remote.api_key".into(),
        value: sealed,
    }];
    app.memory.submit(scan).await.unwrap();
    app.send("POST", "/api/scans/1/cancel", &[], "").await;
    let before = app.memory.history().len();
    let refused = app.post_json("/api/scans/1/rerun", &[], &json!({})).await;
    assert_eq!(refused.status(), 422);
    assert!(json_of(refused).await["errors"][0]["message"].as_str().unwrap().contains("`zap.remote.api_key`"));
    assert_eq!(app.memory.history().len(), before);
}

#[tokio::test]
async fn internationalised_target_is_shown_in_both_forms_and_found_by_both() {
    let app = TestApp::new();
    let accepted = json_of(app.post_json("/api/scans", &[], &json!({"target": "Bücher.example/"})).await).await;
    assert_eq!(
        (accepted["target"].as_str(), accepted["target_unicode"].as_str()),
        (Some("xn--bcher-kva.example"), Some("bücher.example"))
    );
    for text in ["b%C3%BCch", "B%C3%9CCHER", "xn--bcher", "example"] {
        assert_eq!(json_of(app.get(&format!("/api/scans?target={text}")).await).await["total"], 1, "{text}");
    }
    assert_eq!(json_of(app.get("/api/scans?target=bucher.").await).await["total"], 0);
    assert!(text_of(app.get("/scans/1").await).await.contains("bücher.example (xn--bcher-kva.example)"));
}

#[tokio::test]
async fn every_wrong_field_is_named_and_nothing_is_stored() {
    let app = TestApp::new();
    let response = app
        .post_json(
            "/api/scans",
            &[],
            &json!({"target": "-oX", "mode": 3, "max_workers": 99, "colour": "red", "plugins": ["ok", {}]}),
        )
        .await;
    assert_eq!((response.status().as_u16(), header_of(&response, "content-type")), (422, "application/problem+json"));
    let body = json_of(response).await;
    let mut named = fields(&body);
    named.sort_unstable();
    assert_eq!(named, ["colour", "max_workers", "mode", "plugins[1]", "target"]);
    assert_eq!(body["type"], "urn:kastrel:problem:invalid-fields");
    assert!(app.memory.history().is_empty());
}

#[tokio::test]
async fn a_target_out_of_scope_or_of_the_wrong_type_or_missing_is_named_once() {
    let app = TestApp::new();
    for target in [json!({"target": "10.0.0.1"}), json!({"target": 5}), json!({})] {
        let response = app.post_json("/api/scans", &[], &target).await;
        assert_eq!(response.status(), 422);
        assert_eq!(fields(&json_of(response).await), ["target"], "{target}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_object_are_problems() {
    let app = TestApp::with_limits(RequestLimits { body_bytes: 1000, ..RequestLimits::default() });
    let json = ("content-type", "application/json");
    let long = format!("{{\"target\":\"{}\"}}", "x".repeat(2000));
    for (headers, body, status) in [
        (vec![json], "{\"target\":", 400),
        (vec![json], "[]", 400),
        (vec![json], "\u{0}", 400),
        (vec![json], long.as_str(), 413),
        (vec![("content-type", "text/plain"), ("sec-fetch-site", "same-origin")], "{\"target\":\"example.com\"}", 415),
        (vec![], "{\"target\":\"example.com\"}", 415),
    ] {
        let response = app.send("POST", "/api/scans", &headers, body).await;
        assert_eq!(
            (response.status().as_u16(), header_of(&response, "content-type")),
            (status, "application/problem+json"),
            "{body:.20}"
        );
    }
    let deep = "[".repeat(900);
    assert_eq!(app.send("POST", "/api/scans", &[json], &format!("{{\"target\":{deep}")).await.status(), 400);
}

#[tokio::test]
async fn two_submissions_with_one_key_create_one_scan() {
    let app = TestApp::new();
    let key = [("idempotency-key", "ci-1")];
    let first = app.post_json("/api/scans", &key, &json!({"target": "example.com"})).await;
    let second = app.post_json("/api/scans", &key, &json!({"target": "example.com", "mode": "passive"})).await;
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (201, 200));
    assert_eq!(header_of(&second, "location"), "/api/scans/1");
    assert_eq!(json_of(first).await["scan_id"], json_of(second).await["scan_id"]);
    let other = app.post_json("/api/scans", &key, &json!({"target": "example.org"})).await;
    assert_eq!(other.status(), 422);
    let body = json_of(other).await;
    assert_eq!(
        (body["type"].as_str(), fields(&body)),
        (Some("urn:kastrel:problem:idempotency-key-reused"), vec!["Idempotency-Key"])
    );
    let bad = app.post_json("/api/scans", &[("idempotency-key", "a b")], &json!({"target": "example.com"})).await;
    assert_eq!(bad.status(), 400);
    assert_eq!(app.memory.history().len(), 1);
}

#[tokio::test]
async fn scan_list_has_pages_newest_first() {
    let app = TestApp::new();
    for n in 0..5 {
        app.submitted(&format!("host{n}.example.com")).await;
    }
    let body = json_of(app.get("/api/scans?per_page=2&page=2").await).await;
    assert_eq!((&body["total"], &body["pages"], &body["current_page"]), (&5.into(), &3.into(), &2.into()));
    let ids = |body: &Value| {
        body["scans"].as_array().unwrap().iter().map(|scan| scan["scan_id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((ids(&body), &body["next_before"]), (vec![3, 2], &2.into()));
    let next = json_of(app.get("/api/scans?per_page=2&before=2").await).await;
    assert_eq!((ids(&next), &next["next_before"]), (vec![1], &Value::Null));
    assert_eq!(ids(&json_of(app.get("/api/scans?target=HOST3").await).await), [4]);
    assert_eq!(json_of(app.get("/api/scans?status=running,failed").await).await["total"], 0);
}

#[tokio::test]
async fn invalid_list_parameters_are_named() {
    let response = TestApp::new().get("/api/scans?page=0&status=done").await;
    assert_eq!(response.status(), 400);
    assert_eq!(fields(&json_of(response).await), ["page", "status"]);
}

#[tokio::test]
async fn scan_details_have_each_attempt() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    let after = Duration::from_secs(2);
    app.finish(
        &scan,
        Resolution::Retry { failure: Failure::new(FailureKind::Stalled, "no sign of life for 300 s"), after },
    )
    .await;
    let body = json_of(app.get("/api/scans/1").await).await;
    assert_eq!((&body["attempts"][0]["end"], &body["attempts"][0]["reason"]), (&"failed".into(), &"stalled".into()));
    assert_eq!(
        (&body["waiting"]["reason"], &body["waiting"]["kind"], &body["failures"]),
        (&"retry".into(), &"stalled".into(), &1.into())
    );
    let status = json_of(app.get("/api/scans/1/status").await).await;
    assert!(status["next_attempt_at"].is_string() && status["error_message"].is_null());
}

#[tokio::test]
async fn a_completed_scan_counts_its_plugins() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    let found = PluginResult { findings_count: 4, ..PluginResult::new("whatweb", PluginStatus::Completed) };
    let verdict = Verdict { plugins: vec![found, PluginResult::new("testssl", PluginStatus::Failed)], dry_run: false };
    app.finish(&scan, Resolution::Complete(verdict)).await;
    let body = json_of(app.get("/api/scans").await).await;
    let row = &body["scans"][0];
    assert_eq!(
        (&row["status"], &row["results_count"], &row["plugins_failed"], &row["findings_count"]),
        (&"completed".into(), &2.into(), &1.into(), &4.into())
    );
}

#[tokio::test]
async fn cancel_response_depends_on_the_state_of_the_scan() {
    let app = TestApp::new();
    let waiting = app.submitted("example.com").await;
    let cancelled = app.send("POST", &format!("/api/scans/{waiting}/cancel"), &[], "").await;
    assert_eq!(cancelled.status(), 200);
    assert_eq!(json_of(cancelled).await["status"], "cancelled");
    assert_eq!(app.send("POST", &format!("/api/scans/{waiting}/cancel"), &[], "").await.status(), 409);
    let running = app.running("example.org").await;
    for _ in 0..2 {
        let requested = app.send("POST", &format!("/api/scans/{}/cancel", running.id), &[], "").await;
        assert_eq!(requested.status(), 202);
        assert_eq!(json_of(requested).await["cancel_requested"], "user");
    }
    assert_eq!(app.send("POST", "/api/scans/99/cancel", &[], "").await.status(), 404);
}

#[tokio::test]
async fn rerun_creates_a_new_scan_of_the_same_request() {
    let app = TestApp::new();
    app.post_json("/api/scans", &[], &json!({"target": "example.com", "max_workers": 7})).await;
    let early = app.send("POST", "/api/scans/1/rerun", &[], "").await;
    assert_eq!(early.status(), 409);
    assert_eq!(json_of(early).await["detail"], "Scan 1 is queued; it can be re-run when it has finished");
    app.send("POST", "/api/scans/1/cancel", &[], "").await;
    let response = app.send("POST", "/api/scans/1/rerun", &[], "").await;
    assert_eq!((response.status().as_u16(), header_of(&response, "location")), (201, "/api/scans/2"));
    let body = json_of(response).await;
    assert_eq!((&body["rerun_of"], &body["request"]["max_workers"]), (&1.into(), &7.into()));
    assert_eq!((&body["project"], &body["owner"]), (&"default".into(), &"anonymous".into()));
    assert_eq!(app.send("POST", "/api/scans/99/rerun", &[], "").await.status(), 404);
}

#[tokio::test]
async fn rerun_of_the_failed_plugins_names_only_those() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    let plugins = vec![
        PluginResult { attempt: Some(AttemptNumber(3)), ..PluginResult::new("whatweb", PluginStatus::Completed) },
        PluginResult::new("testssl", PluginStatus::Failed),
        PluginResult::new("katana", PluginStatus::NotRun),
    ];
    app.finish(&scan, Resolution::Complete(Verdict { plugins, dry_run: false })).await;
    let shown = json_of(app.get("/api/scans/1").await).await;
    let attempts: Vec<&Value> = shown["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["attempt"]).collect();
    assert_eq!(attempts, [&json!(3), &Value::Null, &Value::Null]);
    let again = json_of(app.post_json("/api/scans/1/rerun", &[], &json!({"plugins": "failed"})).await).await;
    assert_eq!((&again["request"]["plugins"], &again["rerun_of"]), (&json!(["testssl", "katana"]), &json!(1)));
    let all = json_of(app.post_json("/api/scans/1/rerun", &[], &json!({"plugins": "all"})).await).await;
    assert_eq!(all["request"]["plugins"], json!([]));
    let unknown = app.post_json("/api/scans/1/rerun", &[], &json!({"plugins": "some"})).await;
    assert_eq!(unknown.status(), 422);
    assert_eq!(json_of(unknown).await["errors"][0]["field"], "plugins");
}

#[tokio::test]
async fn a_submission_without_room_is_refused_and_one_that_was_accepted_is_not() {
    let app = TestApp::with_room_for(2, 50);
    let body = json!({ "target": "example.com" });
    assert_eq!(app.post_json("/api/scans", &[("idempotency-key", "a")], &body).await.status(), 201);
    let share = app.post_json("/api/scans", &[], &body).await;
    assert_eq!((share.status().as_u16(), header_of(&share, "retry-after")), (429, "300"));
    assert_eq!(json_of(share).await["type"], "urn:kastrel:problem:client-share");
    app.send("POST", "/api/scans/1/cancel", &[], "").await;
    assert_eq!(app.post_json("/api/scans", &[], &body).await.status(), 201);
    let draft = ScanRequestDraft { target: "example.com".into(), ..ScanRequestDraft::default() };
    let other = Client::Address([10, 0, 0, 7].into());
    app.service.submit(&fixtures::context(), other, &draft, None).await.unwrap();
    let full = app.send("POST", "/api/scans/1/rerun", &[], "").await;
    assert_eq!(full.status(), 503);
    assert_eq!(json_of(full).await["type"], "urn:kastrel:problem:queue-full");
    assert_eq!(app.post_json("/api/scans", &[("idempotency-key", "a")], &body).await.status(), 200);
    assert_eq!(
        app.post_json("/api/scans", &[("idempotency-key", "a")], &json!({ "target": "other.example.com" }))
            .await
            .status(),
        422
    );
}

#[tokio::test]
async fn scan_is_deleted_even_if_the_artifact_store_is_unavailable() {
    let app = TestApp::with_artifacts(Arc::new(NoArtifacts));
    for _ in 0..2 {
        let scan = app.running("example.com").await;
        app.finish(&scan, Resolution::Complete(Verdict::default())).await;
    }
    assert_eq!(app.send("DELETE", "/api/scans/1", &[], "").await.status(), 204);
    assert_eq!(app.get("/api/scans/1").await.status(), 404);
    let done = app.post_form("/scans/2/delete", "").await;
    assert_eq!(header_of(&done, "location"), "/scans?done=delete&n=1&left=1");
    let page = text_of(app.get("/scans?done=delete&n=1&left=1").await).await;
    assert!(page.contains("1 scan deleted.") && page.contains("The files of 1 could not be removed"), "{page}");
}
