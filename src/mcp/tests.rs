use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model::{FieldError, ScanId, ScanRequestDraft};
use kastrel_findings::identity::{FindingId, TargetId};
use serde_json::{Value, json};

use super::access::{FindingsWanted, TargetsWanted, ToolAccess, Triage};
use super::fault::ToolFault;
use super::tools::{self, ToolName};

/// Answers of Kastrel that a test chooses, and what it was asked.
struct Scripted {
    scan: Option<Value>,
    fault: Option<ToolFault>,
    asked: Mutex<Vec<String>>,
}

impl Scripted {
    fn with(scan: Option<Value>) -> Self {
        Self { scan, fault: None, asked: Mutex::default() }
    }

    fn note(&self, text: String) -> Result<(), ToolFault> {
        self.asked.lock().unwrap().push(text);
        self.fault.clone().map_or(Ok(()), Err)
    }

    async fn call(&self, name: &str, arguments: Value) -> Result<Value, ToolFault> {
        let Value::Object(arguments) = arguments else { panic!("an object: {arguments}") };
        tools::call(self, ToolName::of(name).unwrap(), Some(arguments)).await
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl ToolAccess for Scripted {
    async fn targets(&self, wanted: &TargetsWanted) -> Result<Value, ToolFault> {
        self.note(format!("{wanted:?}"))?;
        Ok(json!({ "targets": [], "total": 0 }))
    }

    async fn target(&self, id: TargetId) -> Result<Option<Value>, ToolFault> {
        self.note(format!("target {id}"))?;
        Ok(None)
    }

    async fn submit(&self, draft: &ScanRequestDraft) -> Result<(ScanId, Option<String>), ToolFault> {
        self.note(format!("{} {:?} {:?}", draft.target, draft.mode, draft.confirm_active))?;
        Ok((ScanId(7), None))
    }

    async fn scan(&self, id: ScanId) -> Result<Option<Value>, ToolFault> {
        self.note(format!("scan {id}"))?;
        Ok(self.scan.clone())
    }

    async fn wait(&self, id: ScanId, at_most: Duration) -> Result<Option<Value>, ToolFault> {
        self.note(format!("wait {id} {at_most:?}"))?;
        Ok(self.scan.clone())
    }

    async fn findings(&self, wanted: &FindingsWanted) -> Result<Value, ToolFault> {
        self.note(format!("{} {} {}", wanted.filter, wanted.sort.name(), wanted.limit))?;
        Ok(json!({ "findings": [], "total": 0 }))
    }

    async fn finding(&self, id: FindingId) -> Result<Option<Value>, ToolFault> {
        self.note(format!("finding {id}"))?;
        Ok(None)
    }

    async fn triage(&self, id: FindingId, triage: &Triage) -> Result<Value, ToolFault> {
        self.note(format!("{id} {}", triage.kind.name()))?;
        Ok(json!({ "id": id }))
    }

    async fn compare(&self, earlier: Option<ScanId>, later: ScanId) -> Result<Option<Value>, ToolFault> {
        self.note(format!("compare {earlier:?} {later}"))?;
        Ok(None)
    }

    fn longest_wait(&self) -> Duration {
        Duration::from_secs(20)
    }
}

fn fields(answer: Result<Value, ToolFault>) -> Vec<String> {
    match answer.unwrap_err() {
        ToolFault::Invalid(errors) => errors.into_iter().map(|error| error.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn invalid_arguments_are_named_and_nothing_is_done() {
    let kastrel = Scripted::with(None);
    let id = "0123456789abcdef0123";
    for (tool, arguments, wrong) in [
        ("submit_scan", json!({}), "target"),
        ("submit_scan", json!({ "target": "shop.example", "mode": "wild" }), "mode"),
        ("submit_scan", json!({ "target": 7 }), "target"),
        ("submit_scan", json!({ "target": "shop.example", "speed": 9 }), "speed"),
        ("submit_scan", json!({ "target": "shop.example", "plugins": ["zap", 3] }), "plugins[1]"),
        ("list_findings", json!({ "limit": 41 }), "limit"),
        ("list_findings", json!({ "limit": 0 }), "limit"),
        ("list_findings", json!({ "sort": "colour" }), "sort"),
        ("list_targets", json!({ "skip": -1 }), "skip"),
        ("list_targets", json!({ "words": "x".repeat(501) }), "words"),
        ("list_targets", json!({ "tags": vec!["x"; 21] }), "tags"),
        ("list_targets", json!({ "tags": ["x".repeat(101)] }), "tags"),
        ("get_scan", json!({ "scan": 0 }), "scan"),
        ("wait_for_scan", json!({ "scan": 1, "seconds": 61 }), "seconds"),
        ("get_finding", json!({ "id": "0123" }), "id"),
        ("get_target", json!({ "id": id }), "id"),
        ("triage_finding", json!({ "id": id }), "action"),
        ("triage_finding", json!({ "id": id, "action": "delete" }), "action"),
        ("compare_scans", json!({ "later": 1, "earlier": 0 }), "earlier"),
    ] {
        assert_eq!(fields(kastrel.call(tool, arguments.clone()).await), [wrong], "{tool} {arguments}");
    }
    assert_eq!(kastrel.asked(), [""; 0]);
}

#[tokio::test]
async fn errors_of_the_api_have_the_names_of_the_arguments() {
    for (tool, arguments, field, expected) in [
        ("list_findings", json!({ "filter": "colour:red" }), "q", "filter"),
        ("list_targets", json!({ "words": "x" }), "q", "words"),
        ("triage_finding", json!({ "id": "0123456789abcdef0123", "action": "accept" }), "until", "until"),
        ("triage_finding", json!({ "id": "0123456789abcdef0123", "action": "confirm" }), "ids[0]", "id"),
        ("compare_scans", json!({ "later": 2, "earlier": 1 }), "with", "earlier"),
        ("submit_scan", json!({ "target": "x" }), "target", "target"),
    ] {
        let fault = Some(ToolFault::Invalid(vec![FieldError::new(field, "wrong")]));
        let kastrel = Scripted { fault, ..Scripted::with(None) };
        assert_eq!(fields(kastrel.call(tool, arguments).await), [expected], "{tool}");
    }
}

#[tokio::test]
async fn arguments_that_are_left_out_have_their_defaults() {
    let kastrel = Scripted::with(Some(json!({ "status": "running", "scan_id": 7, "trace_id": "x" })));
    kastrel.call("submit_scan", json!({ "target": "shop.example" })).await.unwrap();
    assert_eq!(kastrel.call("list_findings", json!({})).await.unwrap()["skip"], 0);
    let waited = kastrel.call("wait_for_scan", json!({ "scan": 7 })).await.unwrap();
    assert_eq!(waited, json!({ "has_ended": false, "scan_id": 7, "status": "running" }));
    let asked = ["shop.example Some(\"passive\") Some(false)", " severity 20", "wait 7 20s"];
    assert_eq!(kastrel.asked(), asked);
    kastrel.call("wait_for_scan", json!({ "scan": 7, "seconds": 5 })).await.unwrap();
    assert_eq!(kastrel.asked(), ["wait 7 5s"]);
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let kastrel = Scripted::with(None);
    for (tool, arguments, text) in [
        ("get_scan", json!({ "scan": 7 }), "there is no scan 7"),
        ("wait_for_scan", json!({ "scan": 7 }), "there is no scan 7"),
        ("get_finding", json!({ "id": "0123456789abcdef0123" }), "there is no finding 0123456789abcdef0123"),
        ("get_target", json!({ "id": "0123456789abcdef" }), "there is no target 0123456789abcdef"),
        ("compare_scans", json!({ "later": 7 }), "there is no earlier scan of the target of scan 7, or no scan 7"),
    ] {
        let fault = kastrel.call(tool, arguments).await.unwrap_err();
        assert_eq!(fault.to_string(), text, "{tool}");
        assert_eq!(fault.document()["error"], "not_found", "{tool}");
    }
    let ended = Scripted::with(Some(json!({ "status": "failed", "error_message": "broke" })));
    let scan = ended.call("get_scan", json!({ "scan": 7 })).await.unwrap();
    assert_eq!(scan, json!({ "has_ended": true, "status": "failed", "error_message": "broke" }));
}

#[test]
fn each_tool_has_a_closed_schema_and_says_whether_it_changes_something() {
    for tool in tools::all() {
        let schema = Value::Object(tool.input_schema.as_ref().clone());
        assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)), "{schema}");
        assert!(schema.get("title").is_none() && schema.get("description").is_none(), "{schema}");
        for (name, field) in schema["properties"].as_object().unwrap() {
            assert!(field["description"].is_string(), "{}: {name}: {field}", tool.name);
        }
        jsonschema::validator_for(&schema).unwrap();
        let hints = tool.annotations.unwrap();
        let reads = !matches!(tool.name.as_ref(), "submit_scan" | "triage_finding");
        assert_eq!(hints.read_only_hint, Some(reads), "{}", tool.name);
        if !reads {
            assert_eq!(hints.destructive_hint, Some(tool.name == "triage_finding"), "{}", tool.name);
        }
        assert_eq!(hints.open_world_hint, Some(tool.name == "submit_scan"), "{}", tool.name);
        assert!(tool.description.is_some_and(|text| text.len() > 60));
    }
    assert_eq!(ToolName::of("delete_scan"), None);
}

#[test]
fn schemas_accept_what_is_read_and_refuse_what_is_not() {
    for (tool, arguments, is_valid) in [
        ("submit_scan", json!({ "target": "shop.example", "mode": "passive", "plugins": [] }), true),
        ("submit_scan", json!({ "target": "shop.example", "mode": "wild" }), false),
        ("submit_scan", json!({ "target": "shop.example", "speed": 9 }), false),
        ("list_findings", json!({}), true),
        ("list_findings", json!({ "limit": 41 }), false),
        ("get_finding", json!({ "id": "0123456789abcdef0123" }), true),
        ("get_finding", json!({ "id": "0123" }), false),
        ("triage_finding", json!({ "id": "0123456789abcdef0123", "action": "false_positive", "reason": "x" }), true),
        ("triage_finding", json!({ "id": "0123456789abcdef0123", "action": "delete" }), false),
        ("wait_for_scan", json!({ "scan": 1, "seconds": 60 }), true),
        ("wait_for_scan", json!({ "scan": 0 }), false),
    ] {
        let schema = Value::Object(tools::tool(ToolName::of(tool).unwrap()).input_schema.as_ref().clone());
        assert_eq!(jsonschema::is_valid(&schema, &arguments), is_valid, "{tool} {arguments}");
    }
}
