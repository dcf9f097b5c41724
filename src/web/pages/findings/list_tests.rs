//! Tests of the list of findings.

use std::collections::BTreeMap;

use kastrel_actors::model::{Grants, ProjectRole};
use kastrel_findings::Severity;

use super::samples::{assert_harmless, finding, store};
use crate::web::testing::{TestApp, header_of, text_of};

fn member(project: &str, role: ProjectRole) -> Grants {
    Grants::new(None, BTreeMap::from([(project.parse().unwrap(), role)]))
}

async fn seeded(app: &TestApp) -> String {
    let high = finding(app, "default", "shop.example", 1, Severity::High);
    let low = finding(app, "default", "shop.example", 2, Severity::Low);
    let other = finding(app, "default", "www.shop.example", 1, Severity::High);
    let id = high.id.to_string();
    store(app, "default", "shop.example", vec![high, low]).await;
    store(app, "default", "www.shop.example", vec![other]).await;
    id
}

/// The ids of the listed findings.
fn listed(html: &str) -> Vec<&str> {
    html.split("<tr id=\"finding-").skip(1).map(|row| row.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn list_shows_place_and_status_of_each_finding_and_hostile_texts_as_text() {
    let app = TestApp::new();
    let id = seeded(&app).await;
    let html = text_of(app.get("/findings").await).await;
    assert_harmless(&html);
    assert_eq!(listed(&html).len(), 3);
    let row = html.split(&format!("<tr id=\"finding-{id}\"")).nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(row.contains("&#60;script&#62;") || row.contains("&lt;script&gt;"), "{row}");
    assert!(row.contains(&format!("href=\"/findings/{id}\"")) && row.contains("page-x"), "{row}");
    assert!(row.contains("data-status=\"open\"") && row.contains("7 members"), "{row}");
    for link in ["export-csv", "export-jsonl", "export-sarif", "quick-new", "view-issues", "triage-apply"] {
        assert!(html.contains(&format!("id=\"{link}\"")), "{link}");
    }
}

#[tokio::test]
async fn filter_of_the_address_is_applied_and_kept_in_links() {
    let app = TestApp::new();
    seeded(&app).await;
    let html = text_of(app.get("/findings?q=severity%3Alow&sort=newest").await).await;
    assert_eq!(listed(&html).len(), 1);
    assert!(html.contains("value=\"severity:low\""), "{html}");
    assert!(html.contains("/api/findings/export?format=csv&#38;q=severity%3Alow"), "{html}");
    // The facet adds its value to the filter, and removes it.
    assert!(html.contains("q=severity%3Ahigh%2Clow&#38;sort=newest"), "{html}");
    assert!(html.contains("href=\"/findings?sort=newest\" aria-current=\"true\">Low"), "{html}");
    let none = text_of(app.get("/findings?q=severity%3Acritical").await).await;
    assert!(none.contains("No findings match") && listed(&none).is_empty());
}

#[tokio::test]
async fn wrong_filter_is_named_and_nothing_is_listed() {
    let app = TestApp::new();
    seeded(&app).await;
    let response = app.get("/findings?q=severity%3Aloud+%3Cscript%3Ealert&sort=best").await;
    assert_eq!(response.status(), 400);
    let html = text_of(response).await;
    assert_harmless(&html);
    assert!(html.contains("severity:loud") && html.contains("Sort: expected severity"), "{html}");
    assert!(listed(&html).is_empty() && !html.contains("export-csv"), "a list without the filter would mislead");
}

#[tokio::test]
async fn groups_name_the_issue_once_with_its_findings_and_targets() {
    let app = TestApp::new();
    seeded(&app).await;
    let html = text_of(app.get("/findings?group=issue").await).await;
    assert_harmless(&html);
    assert!(html.contains("data-issue=\"tls1\"") && html.contains(">3 findings<") && html.contains(">2 targets<"));
    assert!(html.contains("href=\"/findings?q=plugin%3Atestssl+issue%3Atls1\""), "{html}");
    assert!(!html.contains("id=\"triage\""), "decisions are about findings");
}

#[tokio::test]
async fn list_has_only_findings_of_readable_projects_and_no_form_for_a_viewer() {
    for (grants, rows, may_triage) in [
        (member("default", ProjectRole::Viewer), 3, false),
        (member("default", ProjectRole::Operator), 3, true),
        (member("other", ProjectRole::Owner), 0, false),
    ] {
        let app = TestApp::with_anonymous(Some(grants));
        seeded(&app).await;
        let html = text_of(app.get("/findings?q=status%3Aany").await).await;
        assert_eq!((listed(&html).len(), html.contains("id=\"triage\"")), (rows, may_triage));
        assert!(rows > 0 || !html.contains("https://shop.example"), "{html}");
    }
}

#[tokio::test]
async fn filter_is_saved_applied_and_deleted() {
    let app = TestApp::new();
    let back = "%2Ffindings%3Fq%3Dseverity%253Ahigh";
    let saved = app.post_form("/findings/filters", &format!("name=%3Cscript%3Ealert&back={back}")).await;
    assert_eq!(header_of(&saved, "location"), "/findings?q=severity%3Ahigh&done=saved");
    let html = text_of(app.get("/findings?q=severity%3Ahigh&done=saved").await).await;
    assert_harmless(&html);
    assert!(
        html.contains("The filter was saved.") && html.contains("href=\"/findings?q=severity%3Ahigh\" aria-current")
    );
    let wrong = app.post_form("/findings/filters", &format!("name=+&back={back}")).await;
    assert_eq!(wrong.status(), 422);
    let html = text_of(wrong).await;
    assert!(html.contains("Name: expected") && html.contains("value=\"severity:high\""), "nothing is lost: {html}");
    let deleted = app.post_form("/findings/filters/delete", &format!("name=%3Cscript%3Ealert&back={back}")).await;
    assert_eq!(header_of(&deleted, "location"), "/findings?q=severity%3Ahigh&done=deleted");
    assert!(!text_of(app.get("/findings").await).await.contains("id=\"saved\""));
}

#[tokio::test]
async fn long_list_has_pages() {
    let app = TestApp::new();
    let findings = (1..=130).map(|n| finding(&app, "default", "shop.example", n, Severity::Low)).collect();
    store(&app, "default", "shop.example", findings).await;
    let first = text_of(app.get("/findings").await).await;
    assert_eq!(listed(&first).len(), 100);
    assert!(first.contains("1 to 100 of 130 findings on 1 target") && first.contains("href=\"/findings?skip=100\""));
    assert!(first.contains("Apply to all 130 matches"), "{first}");
    let second = text_of(app.get("/findings?skip=100").await).await;
    assert_eq!(listed(&second).len(), 30);
    let both: std::collections::BTreeSet<&str> = listed(&first).into_iter().chain(listed(&second)).collect();
    assert_eq!(both.len(), 130);
    assert!(!second.contains("id=\"page-next\"") && second.contains("id=\"page-previous\""));
}
