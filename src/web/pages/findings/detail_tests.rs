//! Tests of the page of a finding.

use std::collections::BTreeMap;

use kastrel_actors::model::{Grants, ProjectRole};
use kastrel_actors::ports::store::prelude::*;
use kastrel_findings::Severity;
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::{Check, Observation};

use super::samples::{assert_harmless, finding, order, store};
use crate::web::testing::{TestApp, header_of, json_of, text_of};

async fn seeded(app: &TestApp) -> FindingId {
    let finding = finding(app, "default", "shop.example", 1, Severity::High);
    let id = finding.id;
    store(app, "default", "shop.example", vec![finding]).await;
    id
}

fn member(role: ProjectRole) -> Option<Grants> {
    Some(Grants::new(None, BTreeMap::from([("default".parse().unwrap(), role)])))
}

#[tokio::test]
async fn page_shows_place_proof_and_history_and_hostile_texts_as_text() {
    let app = TestApp::new();
    let id = seeded(&app).await;
    let html = text_of(app.get(&format!("/findings/{id}")).await).await;
    assert_harmless(&html);
    for (part, text) in [
        ("id=\"place\"", "https://shop.example/page-x"),
        ("id=\"evidence\"", "alert("),
        ("id=\"members\"", "second"),
        ("id=\"references\"", "CVE-2024-1"),
        ("id=\"log\"", "user:ana"),
        ("id=\"explanation\"", "<li"),
        ("id=\"curl\"", "curl --globoff"),
        ("id=\"state\"", "data-status=\"open\""),
    ] {
        let shown = html.split(part).nth(1).unwrap_or_else(|| panic!("{part}: {html}"));
        assert!(shown.chars().take(1_500).collect::<String>().contains(text), "{part}: {html}");
    }
    assert!(html.contains("href=\"https://cve.example/1\" rel=\"noreferrer noopener\""), "{html}");
    assert!(!html.contains("href=\"CVE"), "{html}");
    assert!(html.contains("2 of 7 shown") && html.contains("href=\"/scans/1\""), "{html}");
}

#[tokio::test]
async fn fixed_finding_shows_its_proof_and_an_unchecked_one_why() {
    let app = TestApp::new();
    let mut fixed = finding(&app, "default", "shop.example", 1, Severity::High);
    let mut unchecked = finding(&app, "default", "shop.example", 2, Severity::High);
    let observe = |check| Observation { order: order(&app, 2), check, seen: false, plugin_version: "3.2" };
    fixed.life = fixed.life.observe(&observe(Check::Completed), 1).0;
    unchecked.life = unchecked.life.observe(&observe(Check::TimedOut), 1).0;
    let ids = [fixed.id, unchecked.id];
    store(&app, "default", "shop.example", vec![fixed, unchecked]).await;
    let html = text_of(app.get(&format!("/findings/{}", ids[0])).await).await;
    assert!(html.contains("data-status=\"fixed\"") && html.contains("These complete checks prove"), "{html}");
    assert!(html.contains("testssl (3.2)"), "{html}");
    let html = text_of(app.get(&format!("/findings/{}", ids[1])).await).await;
    assert!(html.contains("Not checked since") && html.contains("the plugin ran out of time"), "{html}");
}

#[tokio::test]
async fn forms_are_for_those_who_may_use_them() {
    for (role, may_triage, may_check) in
        [(ProjectRole::Viewer, false, false), (ProjectRole::Scanner, false, true), (ProjectRole::Operator, true, true)]
    {
        let app = TestApp::with_anonymous(member(role));
        let id = seeded(&app).await;
        let html = text_of(app.get(&format!("/findings/{id}")).await).await;
        let has = |part: &str| html.contains(&format!("id=\"{part}\""));
        assert_eq!(
            [has("triage"), has("comment-form"), has("check-again")],
            [may_triage, may_triage, may_check],
            "{role}"
        );
        let comment = app.post_form(&format!("/findings/{id}/comments"), "text=x").await;
        assert_eq!(comment.status() == 403, !may_triage, "{role}");
        let check = app.post_form(&format!("/findings/{id}/check"), "").await;
        assert_eq!(check.status() == 403, !may_check, "{role}");
    }
}

#[tokio::test]
async fn finding_that_the_viewer_may_not_see_is_not_found() {
    let app = TestApp::with_anonymous(Some(Grants::new(
        None,
        BTreeMap::from([("other".parse().unwrap(), ProjectRole::Owner)]),
    )));
    let id = seeded(&app).await;
    for path in [format!("/findings/{id}"), "/findings/0123456789abcdef0123".into(), "/findings/x".into()] {
        let response = app.get(&path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert!(!text_of(response).await.contains("shop.example"), "{path}");
    }
    for path in ["comments", "check"] {
        let response = app.post_form(&format!("/findings/{id}/{path}"), "text=x").await;
        assert_eq!(response.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn comment_is_added_and_an_empty_one_is_refused() {
    let app = TestApp::new();
    let id = seeded(&app).await;
    let path = format!("/findings/{id}/comments");
    let added = app.post_form(&path, "text=%3Cscript%3Ealert").await;
    assert_eq!(header_of(&added, "location"), format!("/findings/{id}?notice=commented"));
    let html = text_of(app.get(&format!("/findings/{id}?notice=commented")).await).await;
    assert_harmless(&html);
    assert!(html.contains("The comment was added."), "{html}");
    let before = app.memory.finding(id).await.unwrap();
    let long = "x".repeat(2_001);
    for (text, typed) in [("+", ""), (long.as_str(), long.as_str())] {
        let response = app.post_form(&path, &format!("text={text}")).await;
        assert_eq!(response.status(), 422);
        let html = text_of(response).await;
        assert!(html.contains("id=\"wrong-text\"") && html.contains(&format!(">{typed}</textarea>")), "{html}");
    }
    assert_eq!(app.memory.finding(id).await.unwrap(), before);
}

#[tokio::test]
async fn check_again_submits_a_scan_with_the_plugin_alone() {
    let app = TestApp::new();
    app.load_catalogue();
    let mut record = finding(&app, "default", "shop.example", 1, Severity::High);
    record.plugin = "whatweb".into();
    let id = record.id;
    store(&app, "default", "shop.example", vec![record]).await;
    let response = app.post_form(&format!("/findings/{id}/check"), "").await;
    let location = header_of(&response, "location");
    assert!(location.starts_with("/scans/"), "{}: {location}", response.status());
    let scan = location.trim_start_matches("/scans/").split('?').next().unwrap().parse().unwrap();
    let scan = app.memory.get(kastrel_actors::model::ScanId(scan)).await.unwrap().unwrap();
    assert_eq!(scan.request.options.plugins, ["whatweb"]);
    assert!(scan.request.target.to_string().contains("shop.example"));
}

#[tokio::test]
async fn page_and_api_say_how_the_issue_is_best_fixed() {
    let app = TestApp::new();
    let mut known = finding(&app, "default", "shop.example", 1, Severity::High);
    known.sighting = known.sighting.registry_ids(["weak-cipher"]);
    let id = known.id;
    store(&app, "default", "shop.example", vec![known]).await;
    let before = text_of(app.get(&format!("/findings/{id}")).await).await;
    assert!(!before.contains("id=\"fix\""), "no scanner is known yet");
    app.load_catalogue();
    let html = text_of(app.get(&format!("/findings/{id}")).await).await;
    let shown = html.split("id=\"fix\"").nth(1).unwrap_or_else(|| panic!("{html}"));
    for part in [
        "a change of the application, and a rule of a web application firewall",
        "can stop attacks on it",
        "1-2 &#60;days&#62;",
        "2 hours",
    ] {
        assert!(shown.contains(part), "{part}: {html}");
    }
    let fix = json_of(app.get(&format!("/api/findings/{id}")).await).await["fix"].take();
    let expected = serde_json::json!({
        "waf_addressable": true,
        "approach": "combined",
        "code_fix_time": "1-2 <days>",
        "waf_time": "2 hours",
        "infrastructure_time": null,
    });
    assert_eq!(fix, expected);
}
