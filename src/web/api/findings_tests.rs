use kastrel_actors::model::ScanId;
use kastrel_findings::lifecycle::PluginEnd;
use serde_json::{Value, json};

use crate::service::findings::samples::Sample;
use crate::web::testing::{TestApp, header_of, json_of};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

struct World {
    app: TestApp,
    scan: ScanId,
    /// The ids of a finding of testssl and of one of whatweb.
    tls: String,
    old: String,
    target: String,
}

impl World {
    async fn new() -> Self {
        let app = TestApp::new();
        let scan = app.submitted("shop.example").await;
        let sample = Sample::new(&app.memory, "default", "shop.example");
        let done = [("testssl", PluginEnd::Completed), ("whatweb", PluginEnd::Completed)];
        sample.scan(scan, 100, &done, &[("testssl", "tls1", "/"), ("whatweb", "old", "/")]).await;
        let tls = sample.finding("testssl", "tls1", "/").to_string();
        let old = sample.finding("whatweb", "old", "/").to_string();
        let target = sample.target.to_string();
        Self { scan, tls, old, target, app }
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.app.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        json_of(response).await
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send("POST", path, body).await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let headers = [JSON[0], ("sec-fetch-site", "same-origin")];
        let response = self.app.send(method, path, &headers, &body.to_string()).await;
        let status = response.status().as_u16();
        (status, if status == 204 { Value::Null } else { json_of(response).await })
    }

    async fn refused(&self, method: &str, path: &str, body: &Value) -> Vec<String> {
        let (status, problem) = self.send(method, path, body).await;
        assert_eq!(status, 422, "{path} {body}: {problem}");
        let errors = problem["errors"].as_array().unwrap().iter();
        errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn findings_are_listed_filtered_and_grouped() {
    let world = World::new().await;
    let list = world.get("/api/findings").await;
    assert_eq!((&list["total"], &list["targets"]), (&2.into(), &1.into()));
    assert!(list["facets"].as_array().unwrap().iter().any(|facet| facet["name"] == "plugin"), "{list}");
    let one = world.get("/api/findings?q=plugin%3Atestssl&sort=newest&limit=1").await;
    assert_eq!((&one["total"], &one["findings"][0]["id"]), (&1.into(), &world.tls.as_str().into()));
    assert_eq!((&one["findings"][0]["status"], &one["findings"][0]["sla"]), (&"open".into(), &"none".into()));
    let groups = world.get("/api/findings/groups").await;
    assert_eq!((&groups["total"], &groups["groups"][0]["findings"]), (&2.into(), &1.into()));
    let wrong = world.app.get("/api/findings?q=colour%3Ared&limit=0&sort=colour").await;
    assert_eq!(wrong.status(), 400);
    let errors = json_of(wrong).await["errors"].to_string();
    assert!(["\"q\"", "\"limit\"", "\"sort\""].iter().all(|field| errors.contains(field)), "{errors}");
    assert!(errors.contains("colour"), "the message names the token: {errors}");
}

#[tokio::test]
async fn finding_is_shown_with_its_history_and_an_explanation() {
    let world = World::new().await;
    let finding = world.get(&format!("/api/findings/{}", world.tls)).await;
    assert_eq!((&finding["plugin"], &finding["issue"]), (&"testssl".into(), &"tls1".into()));
    assert_eq!((&finding["log"][0]["kind"], &finding["log"][0]["scan_id"]), (&"found".into(), &world.scan.0.into()));
    assert_eq!(finding["may_triage"], true);
    let explained = world.get(&format!("/api/findings/{}/explain", world.tls)).await;
    assert!(!explained["lines"].as_array().unwrap().is_empty());
    for id in ["0123456789abcdef0123", "7", "%2E%2E", &world.tls.to_uppercase()] {
        assert_eq!(world.app.get(&format!("/api/findings/{id}")).await.status(), 404, "{id}");
    }
}

#[tokio::test]
async fn findings_are_triaged_each_with_a_result() {
    let world = World::new().await;
    let ids = json!([world.tls, world.old]);
    let (status, answer) = world.post("/api/findings/triage", &json!({ "ids": ids, "action": "confirm" })).await;
    assert_eq!((status, &answer["changed"]), (200, &2.into()), "{answer}");
    assert_eq!(answer["results"][0]["status"], "confirmed");
    let body = json!({ "q": "plugin:testssl", "action": "false_positive", "reason": "a test host" });
    let (status, answer) = world.post("/api/findings/triage", &body).await;
    assert_eq!((status, &answer["changed"]), (200, &1.into()), "{answer}");
    let finding = world.get(&format!("/api/findings/{}", world.tls)).await;
    assert_eq!((&finding["status"], &finding["decision"]["reason"]), (&"false_positive".into(), &"a test host".into()));
    let (_, again) = world.post("/api/findings/triage", &json!({ "ids": [world.tls], "action": "confirm" })).await;
    assert_eq!((&again["changed"], &again["results"][0]["status"]), (&0.into(), &Value::Null));
    assert!(again["results"][0]["error"].is_string(), "{again}");
}

#[tokio::test]
async fn each_invalid_field_of_a_triage_is_named() {
    let world = World::new().await;
    let refused = async |body: Value| world.refused("POST", "/api/findings/triage", &body).await;
    assert_eq!(refused(json!({})).await, ["ids", "action"]);
    assert_eq!(refused(json!({ "ids": [world.tls, "x"], "action": "accept" })).await, ["ids[1]", "reason", "until"]);
    assert_eq!(refused(json!({ "q": "colour:red", "action": "confirm" })).await, ["q"]);
    assert_eq!(refused(json!({ "ids": [world.tls], "q": "", "action": "confirm" })).await, ["q"]);
    let past = json!({ "ids": [world.tls], "action": "accept", "reason": "later", "until": "2020-01-01" });
    assert_eq!(refused(past).await, ["until"]);
    assert_eq!(world.get(&format!("/api/findings/{}", world.tls)).await["status"], "open", "nothing was changed");
    let (status, _) = world.post("/api/findings/triage", &json!([])).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn comment_is_stored_and_an_empty_one_is_refused() {
    let world = World::new().await;
    let path = format!("/api/findings/{}/comments", world.tls);
    assert_eq!(world.post(&path, &json!({ "text": "see <ticket>" })).await.0, 204);
    let finding = world.get(&format!("/api/findings/{}", world.tls)).await;
    let last = finding["log"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["kind"], &last["text"]), (&"comment".into(), &"see <ticket>".into()));
    assert_eq!(world.refused("POST", &path, &json!({ "text": " " })).await, ["text"]);
    let missing = world.post("/api/findings/0123456789abcdef0123/comments", &json!({ "text": "x" })).await;
    assert_eq!(missing.0, 404);
}

#[tokio::test]
async fn target_is_listed_shown_and_edited() {
    let world = World::new().await;
    let list = world.get("/api/targets?q=shop&limit=10").await;
    assert_eq!((&list["total"], &list["targets"][0]["id"]), (&1.into(), &world.target.as_str().into()));
    assert_eq!(list["targets"][0]["open"], json!({ "high": 2 }));
    assert_eq!(world.get("/api/targets?q=nothing").await["total"], 0);
    let path = format!("/api/targets/{}", world.target);
    let target = world.get(&path).await;
    assert_eq!((&target["scans"][0]["scan_id"], &target["may_edit"]), (&world.scan.0.into(), &true.into()));
    let edit = json!({ "tags": ["web", "prod"], "notes": "a shop" });
    let (status, edited) = world.send("PATCH", &path, &edit).await;
    assert_eq!((status, &edited["tags"], &edited["notes"]), (200, &json!(["prod", "web"]), &"a shop".into()));
    let (_, kept) = world.send("PATCH", &path, &json!({ "notes": "" })).await;
    assert_eq!((&kept["tags"], &kept["notes"]), (&json!(["prod", "web"]), &"".into()));
    assert_eq!(world.get("/api/targets?tag=prod,web").await["total"], 1);
    assert_eq!(world.get("/api/targets?tag=prod&tag=other").await["total"], 0);
    assert_eq!(world.refused("PATCH", &path, &json!({ "tags": ["two words"] })).await, ["tags"]);
    assert_eq!(world.send("PATCH", "/api/targets/0123456789abcdef", &edit).await.0, 404);
}

#[tokio::test]
async fn target_is_checked_again_by_a_new_scan() {
    let world = World::new().await;
    let path = format!("/api/targets/{}/check", world.target);
    let headers = [JSON[0], ("sec-fetch-site", "same-origin")];
    let response = world.app.send("POST", &path, &headers, "{}").await;
    assert_eq!(response.status(), 201);
    let location = header_of(&response, "location").to_owned();
    let scan = json_of(response).await;
    assert_eq!(location, format!("/api/scans/{}", scan["scan_id"]));
    let missing = world.post("/api/targets/0123456789abcdef/check", &json!({})).await;
    assert_eq!(missing.0, 404);
    let unknown = world.refused("POST", &path, &json!({ "plugin": "x", "colour": 1 })).await;
    assert!(unknown[0].contains("colour"), "{unknown:?}");
}

#[tokio::test]
async fn notes_filters_and_times_to_fix_are_set_and_read_back() {
    let world = World::new().await;
    let path = format!("/api/scans/{}/notes", world.scan);
    assert_eq!(world.get(&path).await, json!({ "tags": [], "notes": "" }));
    let notes = json!({ "tags": ["release"], "notes": "before the release" });
    assert_eq!(world.send("PUT", &path, &notes).await, (200, notes.clone()));
    assert_eq!(world.get(&path).await, notes);
    assert_eq!(world.send("PUT", "/api/scans/99/notes", &notes).await.0, 404);

    let filter = json!({ "filter": "severity:high" });
    assert_eq!(world.send("PUT", "/api/filters/High%20ones", &filter).await.0, 204);
    let filters = world.get("/api/filters").await;
    assert_eq!(filters, json!({ "filters": [{ "name": "High ones", "filter": "severity:high" }] }));
    assert_eq!(world.refused("PUT", "/api/filters/x", &json!({ "filter": "colour:red" })).await, ["filter"]);
    assert_eq!(world.refused("PUT", "/api/filters/x", &json!({})).await, ["filter"]);
    assert_eq!(world.send("DELETE", "/api/filters/High%20ones", &json!({})).await.0, 204);
    assert_eq!(world.send("DELETE", "/api/filters/High%20ones", &json!({})).await.0, 404);

    let path = "/api/projects/default/sla";
    let none = json!({
        "critical": null, "high": null, "medium": null, "low": null, "informational": null, "unknown": null
    });
    assert_eq!(world.get(path).await, none);
    let (status, set) = world.send("PUT", path, &json!({ "critical": 7, "high": 30 })).await;
    assert_eq!((status, &set["high"], &set["low"]), (200, &30.into(), &Value::Null));
    assert_eq!(world.get(path).await, set);
    assert_eq!(world.refused("PUT", path, &json!({ "high": 0, "low": 3651 })).await, ["high", "low"]);
    assert_eq!(world.get(path).await, set, "nothing was changed");
    assert_eq!(world.app.get("/api/projects/none/sla").await.status(), 404);
}
