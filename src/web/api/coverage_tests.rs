//! Tests of the API's responses about scans whose checks did not run, or ran only partly, and of
//! the submissions that the API rejects.

use kastrel_actors::model::{IssueRef, PluginResult, PluginStatus, Resolution, Severity, Verdict};
use kastrel_actors::testing::fixtures;
use kastrel_actors::testing::unchecked::ways;
use serde_json::{Value, json};

use crate::web::testing::{TestApp, json_of, text_of};

/// Goes through each way in which a check can fail to run: no response may look as if every check
/// had run.
#[tokio::test]
async fn no_response_is_green_for_checks_that_did_not_run() {
    let app = TestApp::new();
    for way in ways() {
        let record = way.play(app.memory.as_ref()).await;
        app.snapshots.publish(record.clone());
        let status = json_of(app.get(&format!("/api/scans/{}/status", record.id)).await).await;
        let detail = json_of(app.get(&format!("/api/scans/{}", record.id)).await).await;
        let list = json_of(app.get("/api/scans?per_page=1").await).await;
        let export = json_of(app.get("/api/scans/export.json").await).await;
        for answer in [&status, &detail, &list["scans"][0], &export[0]] {
            let coverage = &answer["coverage"];
            assert_eq!(answer["scan_id"], record.id.0, "{}", way.name);
            assert_eq!(
                (&coverage["complete"], &coverage["ran"]),
                (&false.into(), &(way.ran as u64).into()),
                "{}: {coverage}",
                way.name
            );
            assert_eq!(coverage["nothing_checked"], way.ran == 0, "{}: {coverage}", way.name);
            assert!(coverage["gaps"].as_u64().unwrap() > 0 || way.ran == 0, "{}: {coverage}", way.name);
            let ran_of_all = coverage["ran"] == coverage["total"] && way.ran > 0;
            assert!(
                !ran_of_all && coverage["label"].as_str().is_some_and(|label| !label.is_empty()),
                "{}: {coverage}",
                way.name
            );
            assert_eq!(coverage["unfinished"], 0, "{}", way.name);
        }
        for plugin in status["results"].as_array().unwrap() {
            assert!(!matches!(plugin["status"].as_str(), Some("pending" | "in_progress")), "{}: {plugin}", way.name);
        }
    }
}

#[tokio::test]
async fn absurd_counts_break_no_response() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    let absurd =
        |name: &str| PluginResult { findings_count: u64::MAX, ..PluginResult::new(name, PluginStatus::Completed) };
    let low =
        (0..1_339).map(|number| IssueRef { id: number.to_string(), severity: Severity::Low, title: String::new() });
    let high = IssueRef { id: "worst".into(), severity: Severity::High, title: "Worst".into() };
    let plugins = vec![absurd("one").with_issues(low.chain([high])), absurd("two")];
    app.finish(&scan, Resolution::Complete(Verdict { plugins, dry_run: false })).await;
    let detail = json_of(app.get("/api/scans/1").await).await;
    assert_eq!(
        (&detail["issues"]["total"], &detail["issues"]["high"], &detail["issues_count"]),
        (&1_340.into(), &1.into(), &1_340.into())
    );
    assert_eq!(detail["findings_count"], 9_007_199_254_740_991_u64);
    let plugin = &detail["plugins"][0];
    assert_eq!((&plugin["issues_count"], &plugin["issues_note"]), (&1_340.into(), &"200 of 1,340 shown".into()));
    assert_eq!(
        (plugin["issues"].as_array().unwrap().len(), &plugin["issues"][0]["id"]),
        (200, &"worst".into()),
        "the worst is first"
    );
    for path in [
        "/",
        "/scans",
        "/scans/1",
        "/api/scans",
        "/api/scans/1/status",
        "/api/scans/export.csv",
        "/api/scans/export.json",
        "/api/scans?sort=worst",
    ] {
        assert_eq!(app.get(path).await.status(), 200, "{path}");
    }
    let listed = async |query: &str| {
        json_of(app.get(&format!("/api/scans?{query}")).await).await["scans"].as_array().unwrap().len()
    };
    assert_eq!(
        (
            listed("min_severity=high").await,
            listed("min_severity=critical").await,
            listed("sort=worst&min_severity=low").await
        ),
        (1, 0, 1)
    );
    assert_eq!(app.get("/api/scans?min_severity=awful").await.status(), 400);
    let csv = text_of(app.get("/api/scans/export.csv").await).await;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let names = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    let cell = |name: &str| row[names.iter().position(|one| one == name).unwrap()].to_owned();
    assert_eq!(
        ["issues", "high", "low", "coverage", "gaps"].map(cell),
        ["1340", "1", "1339", "2 of 2 checks ran", "0"]
    );
}

#[tokio::test]
async fn selection_without_a_runnable_plugin_is_refused_and_a_mixed_one_names_left_out_plugins() {
    let app = TestApp::new();
    let submit = async |body: Value| app.post_json("/api/scans", &[], &body).await;
    let only_zap = || json!({"target": "example.com", "plugins": ["zap"]});
    assert_eq!(submit(only_zap()).await.status(), 201, "nobody knows yet what the scanner offers");
    app.load_catalogue();
    let refused = submit(only_zap()).await;
    assert_eq!(refused.status(), 422);
    let refused = json_of(refused).await;
    let expected = json!([{"field": "plugins", "message": "`zap` is an active plugin; choose mode active or both"}]);
    assert_eq!(refused["errors"], expected);
    app.send("POST", "/api/scans/1/cancel", &[], "").await;
    let rerun = json_of(app.send("POST", "/api/scans/1/rerun", &[], "").await).await;
    assert_eq!(rerun["errors"], expected, "nor is it repeated");
    let mixed = json_of(submit(json!({"target": "example.com", "plugins": ["whatweb", "zap"]})).await).await;
    assert_eq!(
        (&mixed["left_out"], &mixed["coverage"]["left_out"], &mixed["coverage"]["total"]),
        (&json!(["zap"]), &json!(["zap"]), &1.into())
    );
    assert!(
        mixed["warnings"][0]
            .as_str()
            .unwrap()
            .starts_with("`zap` is an active plugin and not part of this passive scan"),
        "{mixed}"
    );
    assert_eq!(json_of(app.get("/api/scans/2").await).await["left_out"], json!(["zap"]), "the record keeps it");
}

#[tokio::test]
async fn active_scans_need_a_confirmation_on_every_way_to_run_one() {
    let app = TestApp::new();
    for mode in ["active", "both"] {
        let refused = app.post_json("/api/scans", &[], &json!({"target": "example.com", "mode": mode})).await;
        assert_eq!(refused.status(), 422);
        assert_eq!(json_of(refused).await["errors"][0]["field"], "confirm_active");
        let not = app
            .post_json("/api/scans", &[], &json!({"target": "example.com", "mode": mode, "confirm_active": false}))
            .await;
        assert_eq!(not.status(), 422);
    }
    let wrong = json_of(app.post_json("/api/scans", &[], &json!({"target": "-x", "mode": "active"})).await).await;
    let fields: Vec<&str> =
        wrong["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["target", "confirm_active"], "all at once");
    let accepted = app
        .post_json("/api/scans", &[], &json!({"target": "example.com", "mode": "active", "confirm_active": true}))
        .await;
    assert_eq!(accepted.status(), 201);
    // A scan can be repeated only after its end.
    assert_eq!(app.post_json("/api/scans/1/rerun", &[], &json!({"confirm_active": true})).await.status(), 409);
    assert_eq!(app.post_form("/scans/1/rerun", "confirmed=yes&confirm=yes").await.status(), 409);
    app.post_form("/scans/1/cancel", "").await;
    // A confirmation is valid for one scan only.
    for body in [json!({}), json!({"confirm_active": false})] {
        let refused = app.post_json("/api/scans/1/rerun", &[], &body).await;
        assert_eq!(refused.status(), 422);
        assert_eq!(json_of(refused).await["errors"][0]["field"], "confirm_active");
    }
    assert_eq!(app.post_json("/api/scans/1/rerun", &[], &json!({"confirm_active": true})).await.status(), 201);
    assert_eq!(app.post_form("/scans/1/rerun", "confirmed=yes").await.status(), 422);
    assert_eq!(app.post_form("/scans/1/rerun", "confirmed=yes&confirm=yes").await.status(), 303);
    let before = app.services.reporting.stats(&fixtures::context()).await.unwrap().pending;
    app.post_form("/scans/bulk", "action=rerun&scan=1&confirmed=yes").await;
    assert_eq!(app.services.reporting.stats(&fixtures::context()).await.unwrap().pending, before);
    app.post_form("/scans/bulk", "action=rerun&scan=1&confirmed=yes&confirm=yes").await;
    assert_eq!(app.services.reporting.stats(&fixtures::context()).await.unwrap().pending, before + 1);
    // A passive scan needs no confirmation.
    app.post_json("/api/scans", &[], &json!({"target": "example.com"})).await;
    let passive = before + 3;
    app.post_form(&format!("/scans/{passive}/cancel"), "").await;
    assert_eq!(app.send("POST", &format!("/api/scans/{passive}/rerun"), &[], "").await.status(), 201);
}
