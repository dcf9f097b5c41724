use kastrel_actors::model::ScanId;
use kastrel_findings::lifecycle::PluginEnd;
use serde_json::Value;

use crate::service::findings::samples::Sample;
use crate::web::testing::{TestApp, json_of};

async fn scans(app: &TestApp) -> [ScanId; 3] {
    let scans = [
        app.submitted("shop.example").await,
        app.submitted("shop.example").await,
        app.submitted("other.example").await,
    ];
    let sample = Sample::new(&app.memory, "default", "shop.example");
    let done = [("testssl", PluginEnd::Completed), ("whatweb", PluginEnd::Completed)];
    sample.scan(scans[0], 100, &done, &[("testssl", "tls1", "/"), ("whatweb", "old", "/")]).await;
    let failed = [("testssl", PluginEnd::Failed), ("whatweb", PluginEnd::Completed)];
    sample.scan(scans[1], 200, &failed, &[("whatweb", "new", "/")]).await;
    scans
}

fn issues(comparison: &Value, class: &str) -> Vec<String> {
    let findings = comparison[class].as_array().unwrap().iter();
    findings.map(|finding| finding["issue"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn scan_is_compared_with_the_last_one_or_with_a_named_one() {
    let app = TestApp::new();
    let [first, second, _] = scans(&app).await;
    for query in [String::new(), format!("?with={first}")] {
        let answer = app.get(&format!("/api/scans/{second}/compare{query}")).await;
        assert_eq!(answer.status(), 200, "{query}");
        let body = json_of(answer).await;
        assert_eq!((issues(&body, "new"), issues(&body, "fixed")), (vec!["new".into()], vec!["old".into()]));
        assert_eq!(issues(&body, "not_checked"), ["tls1"]);
        assert_eq!(body["not_checked"][0]["why"], "testssl: the plugin failed");
        assert_eq!((&body["earlier"]["scan_id"], &body["later"]["scan_id"]), (&first.0.into(), &second.0.into()));
        assert_eq!(body["new"][0]["status"], "open");
    }
    let turned = json_of(app.get(&format!("/api/scans/{first}/compare?with={second}")).await).await;
    assert_eq!(turned["earlier"]["scan_id"], first.0, "the one that ended first is the earlier one");
}

#[tokio::test]
async fn what_cannot_be_compared_is_named() {
    let app = TestApp::new();
    let [first, second, other] = scans(&app).await;
    for (path, status) in [
        (format!("/api/scans/{first}/compare"), 404),
        (format!("/api/scans/{other}/compare"), 404),
        ("/api/scans/99/compare".to_owned(), 404),
        (format!("/api/scans/{second}/compare?with=99"), 404),
        (format!("/api/scans/{second}/compare?with={other}"), 404),
        (format!("/api/scans/{second}/compare?with={second}"), 422),
        (format!("/api/scans/{second}/compare?with=0"), 400),
        (format!("/api/scans/{second}/compare?before=1"), 400),
    ] {
        assert_eq!(app.get(&path).await.status(), status, "{path}");
    }
    let sample = Sample::new(&app.memory, "default", "other.example");
    sample.scan(other, 300, &[("testssl", PluginEnd::Completed)], &[]).await;
    let foreign = app.get(&format!("/api/scans/{second}/compare?with={other}")).await;
    assert_eq!(foreign.status(), 422);
    let problem = json_of(foreign).await;
    assert_eq!(problem["errors"][0]["field"], "with");
    let text = problem["errors"][0]["message"].as_str().unwrap();
    assert!(text.contains("shop.example") && text.contains("other.example"), "{text}");
}

#[tokio::test]
async fn findings_of_a_scan_are_read_page_by_page() {
    let app = TestApp::new();
    let [first, _, other] = scans(&app).await;
    let page = async |query: &str| json_of(app.get(&format!("/api/scans/{first}/findings{query}")).await).await;
    let all = page("").await;
    assert_eq!((all["findings"].as_array().unwrap().len(), &all["next_skip"]), (2, &Value::Null));
    assert_eq!(all["scan"]["checks"][0]["end"], "completed");
    let one = page("?limit=1").await;
    assert_eq!((one["findings"].as_array().unwrap().len(), &one["next_skip"]), (1, &1.into()));
    let two = page("?limit=1&skip=1").await;
    assert_eq!(two["next_skip"], Value::Null);
    assert_eq!(all["findings"], serde_json::json!([one["findings"][0], two["findings"][0]]));
    for path in [format!("/api/scans/{other}/findings"), "/api/scans/99/findings".to_owned()] {
        assert_eq!(app.get(&path).await.status(), 404, "{path}");
    }
    assert_eq!(app.get(&format!("/api/scans/{first}/findings?limit=501")).await.status(), 400);
}
