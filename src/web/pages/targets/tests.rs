//! Tests of the pages of targets.

use std::collections::BTreeMap;

use kastrel_actors::model::{Grants, ProjectRole, Put, ScanId, ScanResult, TargetRecord};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::testing::fixtures;
use kastrel_findings::Severity;
use kastrel_findings::identity::TargetId;

use crate::web::pages::findings::samples::{assert_harmless, finding, store};
use crate::web::testing::{TestApp, header_of, text_of};

async fn seeded(app: &TestApp) -> TargetId {
    let findings = vec![
        finding(app, "default", "shop.example", 1, Severity::High),
        finding(app, "default", "shop.example", 2, Severity::Low),
    ];
    store(app, "default", "shop.example", findings).await
}

fn of_role(project: &str, role: ProjectRole) -> TestApp {
    TestApp::with_anonymous(Some(Grants::new(None, BTreeMap::from([(project.parse().unwrap(), role)]))))
}

#[tokio::test]
async fn list_shows_open_findings_by_severity_and_filters_by_words_and_tags() {
    let app = TestApp::new();
    let id = seeded(&app).await;
    store(&app, "default", "other.example", Vec::new()).await;
    let html = text_of(app.get("/targets").await).await;
    assert_harmless(&html);
    assert_eq!(html.matches("<tr data-target=").count(), 2);
    assert!(html.contains("title=\"1 high\"") && html.contains("title=\"1 low\""), "{html}");
    assert!(html.contains(&format!("href=\"/findings?q=severity%3Ahigh+target%3A{id}\"")), "{html}");
    let html = text_of(app.get("/targets?q=shop&tag=prod").await).await;
    assert_eq!(html.matches("<tr data-target=").count(), 1);
    assert!(html.contains("href=\"/targets?q=shop\" aria-current=\"true\">prod"), "the link removes the tag: {html}");
    let html = text_of(app.get("/targets?tag=none-has-it").await).await;
    assert!(html.contains("No targets match") && html.contains("none-has-it"), "{html}");
}

#[tokio::test]
async fn targets_are_grouped_by_each_of_their_tags() {
    let app = TestApp::new();
    seeded(&app).await;
    let html = text_of(app.get("/targets?group=tag").await).await;
    let headings: Vec<&str> =
        html.split("<h2 class=\"group-title\">").skip(1).map(|rest| rest.split(" <span").next().unwrap()).collect();
    assert_eq!(headings, ["eu/west", "prod"]);
    assert_eq!(html.matches("<tr data-target=").count(), 2);
}

#[tokio::test]
async fn target_page_shows_issues_scans_assets_and_coverage() {
    let app = TestApp::new();
    let id = seeded(&app).await;
    let html = text_of(app.get(&format!("/targets/{id}")).await).await;
    assert_harmless(&html);
    let strip: Vec<&str> = html.split("<li data-scan=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(strip, ["2", "1"], "newest first");
    assert!(
        html.contains("name=\"earlier\" value=\"1\" checked") && html.contains("name=\"later\" value=\"2\" checked")
    );
    assert!(html.contains("action=\"/compare\"") && html.contains("id=\"compare\""));
    let coverage = html.split("<tr data-plugin=\"testssl\">").nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(
        coverage.contains("Not checked since") && coverage.contains("because the plugin ran out of time"),
        "{coverage}"
    );
    assert!(html.contains("class=\"bad\">ended") || html.contains("class=\"bad\">ends within a day"), "{html}");
    for kind in ["technology", "certificate"] {
        assert!(html.contains(&format!("id=\"asset-{kind}\"")), "{kind}");
    }
    assert!(html.contains("value=\"eu/west, prod\""), "{html}");
}

#[tokio::test]
async fn tags_and_notes_are_changed_and_wrong_ones_are_shown_again() {
    let app = TestApp::new();
    let id = seeded(&app).await;
    let path = format!("/targets/{id}/edit");
    let done = app.post_form(&path, "tags=prod%2C+web&notes=a%0Ab").await;
    assert_eq!(header_of(&done, "location"), format!("/targets/{id}?notice=changed"));
    let stored = app.memory.target(id).await.unwrap().unwrap();
    assert_eq!((stored.tags, stored.notes.as_str()), (vec!["prod".to_owned(), "web".to_owned()], "a\nb"));
    let wrong = app.post_form(&path, "tags=%3Cscript%3Ealert&notes=typed").await;
    assert_eq!(wrong.status(), 422);
    let html = text_of(wrong).await;
    assert_harmless(&html);
    assert!(html.contains("id=\"wrong-tags\"") && html.contains(">typed</textarea>"), "{html}");
    assert_eq!(app.memory.target(id).await.unwrap().unwrap().notes, "a\nb");
}

#[tokio::test]
async fn target_that_was_never_checked_does_not_look_clean() {
    let app = TestApp::new();
    let project = "default".parse().unwrap();
    let target = fixtures::target_record(&project, "never.example");
    let target = TargetRecord { checks: BTreeMap::new(), ..target };
    let order = target.last_scan;
    let result = ScanResult { checks: BTreeMap::new(), ..fixtures::scan_result(&target, order, 0) };
    let id = target.id;
    app.memory.suppose_scan(ScanId(order.scan), Some(&project));
    assert_eq!(app.memory.put_result(result, target, Vec::new()).await.unwrap(), Put::Stored);
    let list = text_of(app.get("/targets").await).await;
    assert!(list.contains("never checked") && list.contains("all plugins"), "{list}");
    let page = text_of(app.get(&format!("/targets/{id}")).await).await;
    assert!(page.contains("id=\"never-checked\"") && page.contains("nothing checked"), "{page}");
    assert!(!page.contains("No open finding"), "{page}");
}

#[tokio::test]
async fn forms_are_for_those_who_may_use_them() {
    for (role, may_edit, may_check) in
        [(ProjectRole::Viewer, false, false), (ProjectRole::Scanner, false, true), (ProjectRole::Operator, true, true)]
    {
        let app = of_role("default", role);
        let id = seeded(&app).await;
        let html = text_of(app.get(&format!("/targets/{id}")).await).await;
        let has = |part: &str| html.contains(&format!("id=\"{part}\""));
        assert_eq!([has("edit-form"), has("check-again")], [may_edit, may_check], "{role}");
        assert!(html.contains("a note"), "notes are for all readers");
        let edit = app.post_form(&format!("/targets/{id}/edit"), "tags=&notes=").await;
        assert_eq!(edit.status() == 403, !may_edit, "{role}");
        let check = app.post_form(&format!("/targets/{id}/check"), "").await;
        assert_eq!(check.status() == 403, !may_check, "{role}");
    }
}

#[tokio::test]
async fn target_that_the_viewer_may_not_see_is_not_found() {
    let app = of_role("other", ProjectRole::Owner);
    let id = seeded(&app).await;
    assert!(!text_of(app.get("/targets").await).await.contains("shop.example"));
    for path in [format!("/targets/{id}"), "/targets/0123456789abcdef".into(), "/targets/x".into()] {
        assert_eq!(app.get(&path).await.status(), 404, "{path}");
    }
    for path in ["edit", "check"] {
        let response = app.post_form(&format!("/targets/{id}/{path}"), "tags=&notes=").await;
        assert_eq!(response.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn active_plugin_is_checked_again_only_with_the_permission() {
    let app = TestApp::new();
    app.load_catalogue();
    let id = seeded(&app).await;
    let asked = app.post_form(&format!("/targets/{id}/check"), "plugin=zap").await;
    assert_eq!(asked.status(), 200);
    let html = text_of(asked).await;
    assert!(html.contains("name=\"confirm\"") && html.contains(&format!("/targets/{id}/check?plugin=zap")), "{html}");
    let address = format!("/targets/{id}/check?plugin=zap");
    let missing = app.post_form(&address, "confirmed=yes").await;
    assert_eq!(missing.status(), 422);
    let done = app.post_form(&address, "confirmed=yes&confirm=yes").await;
    assert!(header_of(&done, "location").starts_with("/scans/"), "{}", done.status());
}
