//! Tests of decisions about several findings.

use std::collections::BTreeMap;

use kastrel_actors::model::{Grants, ProjectRole};
use kastrel_actors::ports::store::prelude::*;
use kastrel_findings::Severity;
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::Status;

use super::samples::{assert_harmless, finding, store};
use crate::web::testing::{TestApp, header_of, text_of};

const PATH: &str = "/findings/triage";

async fn seeded(app: &TestApp, count: u64) -> Vec<FindingId> {
    let findings: Vec<_> = (1..=count).map(|n| finding(app, "default", "shop.example", n, Severity::High)).collect();
    let ids = findings.iter().map(|finding| finding.id).collect();
    store(app, "default", "shop.example", findings).await;
    ids
}

async fn status(app: &TestApp, id: FindingId) -> Status {
    app.memory.finding(id).await.unwrap().unwrap().status(app.service.now())
}

#[tokio::test]
async fn selected_findings_are_changed_and_the_list_is_kept() {
    let app = TestApp::new();
    let ids = seeded(&app, 3).await;
    let body =
        format!("back=%2Ffindings%3Fq%3Dtls&finding={}&finding={}&action=false_positive&reason=a+test", ids[0], ids[1]);
    let response = app.post_form(PATH, &body).await;
    assert_eq!(header_of(&response, "location"), "/findings?q=tls&done=triage&n=2");
    let states = [status(&app, ids[0]).await, status(&app, ids[1]).await, status(&app, ids[2]).await];
    assert_eq!(states, [Status::FalsePositive, Status::FalsePositive, Status::Open]);
    assert!(text_of(app.get("/findings?done=triage&n=2").await).await.contains("2 findings changed."));
}

#[tokio::test]
async fn form_with_a_wrong_field_is_shown_again_and_changes_nothing() {
    let app = TestApp::new();
    let id = seeded(&app, 1).await[0];
    for (fields, wrong) in [
        ("action=false_positive", "wrong-reason"),
        ("action=accept&reason=%3Cscript%3Ealert&owner=ana&until=2020-01-01", "wrong-until"),
        ("action=accept&reason=%3Cscript%3Ealert&owner=&until=2026-06-01", "wrong-owner"),
        ("action=assign&owner=Not+A+Name", "wrong-owner"),
        ("action=destroy", "wrong-action"),
    ] {
        let response = app.post_form(PATH, &format!("finding={id}&{fields}")).await;
        assert_eq!(response.status(), 422, "{fields}");
        let html = text_of(response).await;
        assert_harmless(&html);
        assert!(html.contains(&format!("id=\"{wrong}\"")), "{fields}: {html}");
        assert!(html.contains(&format!("name=\"finding\" value=\"{id}\"")), "{fields}");
        assert!(!fields.contains("script") || html.contains("alert\" autocomplete"), "typed texts stay: {html}");
        assert_eq!(status(&app, id).await, Status::Open, "{fields}");
    }
    let none = app.post_form(PATH, "action=confirm").await;
    assert_eq!(none.status(), 422);
    assert!(text_of(none).await.contains("No finding is selected"));
}

#[tokio::test]
async fn decision_about_all_matches_is_confirmed_first() {
    let app = TestApp::new();
    let ids = seeded(&app, 25).await;
    let asked = app.post_form(PATH, "back=%2Ffindings%3Fq%3Dseverity%253Ahigh&all=yes&action=confirm").await;
    assert_eq!(asked.status(), 200);
    let html = text_of(asked).await;
    assert_harmless(&html);
    assert!(html.contains("Change 25 findings?") && html.contains("and 5 more"), "{html}");
    assert_eq!(html.matches("name=\"finding\"").count(), 25);
    assert_eq!(status(&app, ids[0]).await, Status::Open);
    let body: String = ids.iter().map(|id| format!("finding={id}&")).collect();
    let done = app.post_form(PATH, &format!("{body}action=confirm&back=%2Ffindings")).await;
    assert_eq!(header_of(&done, "location"), "/findings?done=triage&n=25");
    assert_eq!(status(&app, ids[24]).await, Status::Confirmed);
}

#[tokio::test]
async fn findings_that_cannot_be_changed_are_named_with_the_reason() {
    let app = TestApp::new();
    let ids = seeded(&app, 2).await;
    app.post_form(PATH, &format!("finding={}&action=confirm", ids[0])).await;
    let body = format!("finding={}&finding={}&action=confirm", ids[0], ids[1]);
    let response = app.post_form(PATH, &body).await;
    assert_eq!(response.status(), 409);
    let html = text_of(response).await;
    assert_harmless(&html);
    assert!(html.contains("1 finding was not changed") && html.contains("1 finding was changed."), "{html}");
    assert!(html.contains("The finding is confirmed already"), "{html}");
    assert_eq!(html.matches("name=\"finding\"").count(), 1, "the form has what is left");
}

#[tokio::test]
async fn finding_of_its_own_page_returns_to_this_page() {
    let app = TestApp::new();
    let id = seeded(&app, 1).await[0];
    let body = format!("from=finding&finding={id}&action=accept&reason=r&owner=ana&until=2026-06-01");
    let response = app.post_form(PATH, &body).await;
    assert_eq!(header_of(&response, "location"), format!("/findings/{id}?notice=changed"));
    let html = text_of(app.get(&format!("/findings/{id}?notice=changed")).await).await;
    assert!(html.contains("The finding was changed.") && html.contains("Risk accepted"), "{html}");
}

#[tokio::test]
async fn too_many_findings_and_missing_rights_are_refused() {
    let app = TestApp::new();
    let many: String = (0..501).map(|n| format!("finding={n:020x}&")).collect();
    let response = app.post_form(PATH, &format!("{many}action=confirm")).await;
    assert_eq!(response.status(), 422);
    assert!(text_of(response).await.contains("at most 500 findings are changed at once"));

    let viewer = Grants::new(None, BTreeMap::from([("default".parse().unwrap(), ProjectRole::Viewer)]));
    let of_other = Grants::new(
        None,
        BTreeMap::from([
            ("default".parse().unwrap(), ProjectRole::Viewer),
            ("other".parse().unwrap(), ProjectRole::Operator),
        ]),
    );
    for grants in [viewer, of_other] {
        let app = TestApp::with_anonymous(Some(grants));
        let id = seeded(&app, 1).await[0];
        let response = app.post_form(PATH, &format!("finding={id}&action=confirm")).await;
        assert_eq!(response.status(), 403);
        assert_eq!(status(&app, id).await, Status::Open);
    }
}
