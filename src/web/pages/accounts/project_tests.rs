//! Tests of the pages of projects.

use kastrel_actors::Client;
use kastrel_actors::model::{AuditQuery, DomainEvent, ProjectRole, ScanId, ScanRequestDraft, ServerRole};
use kastrel_actors::ports::{AccessStore as _, AuditLog as _, ClearanceStore as _};
use kastrel_actors::testing::fixtures;

use super::testing::{Browser, create_project, name, project, roles};
use crate::web::testing::{TestApp, json_of, text_of};

#[tokio::test]
async fn administrator_creates_a_project_and_its_members_see_it() {
    let app = TestApp::with_accounts();
    let admin = Browser::of_new(&app, "root", Some(ServerRole::Admin), &[]).await;
    let member = Browser::of_new(&app, "ana", None, &[("default", ProjectRole::Viewer)]).await;
    let created = admin.lead("/projects", "id=team-a&title=Team+%3Cb%3E").await;
    assert_eq!(created, (303, "/projects/team-a?notice=created".into()));
    assert!(admin.text("/projects/team-a?notice=created").await.contains("The project was created."));
    assert!(admin.text("/projects").await.contains("Team &#60;b&#62;"));
    assert_eq!(member.get("/projects/team-a").await.status(), 404, "it is not visible");
    assert!(!member.text("/projects").await.contains("team-a"));
    assert_eq!(member.post("/projects", "id=x&title=x").await.status(), 403);
    for (body, error) in
        [("id=team-a&title=x", "taken"), ("id=A+b&title=x", "A project id has"), ("id=b&title=", "Expected 1 to 100")]
    {
        let answer = admin.post("/projects", body).await;
        assert_eq!(answer.status(), 422, "{body}");
        let html = text_of(answer).await;
        assert!(html.contains(error), "{error}: {html}");
    }
    let added = admin.lead("/projects/team-a/members", "name=ana&role=viewer").await;
    assert_eq!(added, (303, "/projects/team-a?notice=members".into()));
    let html = member.text("/projects/team-a").await;
    assert!(html.contains("ana") && !html.contains("member-form") && !html.contains("Remove"), "{html}");
    assert_eq!(member.get("/projects/nothing").await.status(), 404);
    assert_eq!(member.get("/projects/No%20Id").await.status(), 404);
}

#[tokio::test]
async fn owner_manages_the_members_and_others_do_not() {
    let app = TestApp::with_accounts();
    create_project(&app, "team-a", "Team A").await;
    let owner = Browser::of_new(&app, "ana", None, &[("team-a", ProjectRole::Owner)]).await;
    let operator = Browser::of_new(&app, "bob", None, &[("team-a", ProjectRole::Operator)]).await;
    assert_eq!(operator.post("/projects/team-a/members", "name=bob&role=owner").await.status(), 403);
    assert_eq!(owner.post("/projects/default/members", "name=bob&role=owner").await.status(), 404);
    assert_eq!(owner.lead("/projects/team-a/members", "name=bob&role=scanner").await.0, 303);
    let role = async || app.memory.account(&name("bob")).await.unwrap().unwrap().memberships;
    assert_eq!(role().await, roles(&[("team-a", ProjectRole::Scanner)]));
    let html = owner.text("/projects/team-a").await;
    assert!(html.contains(r#"aria-label="Role of bob""#) && html.contains(r#"aria-label="Remove bob""#), "{html}");
    for (body, field) in [("name=nobody&role=viewer", "name"), ("name=bob&role=king", "role"), ("name=bob", "role")] {
        let answer = owner.post("/projects/team-a/members", body).await;
        assert_eq!(answer.status(), 422, "{body}");
        let html = text_of(answer).await;
        assert!(html.contains(&format!("id=\"wrong-{field}\"")), "{body}: {html}");
    }
    assert_eq!(owner.lead("/projects/team-a/members", "name=bob&role=none").await.0, 303);
    assert!(role().await.is_empty());
    assert_eq!(owner.lead("/projects/team-a/members", "name=ana&role=none").await, (303, "/projects".into()));
    assert_eq!(operator.get("/projects/team-a").await.status(), 404);
}

/// Submits a passive scan in a project.
async fn submit(app: &TestApp, target: &str, project: &str, overrides: &[&str]) -> ScanId {
    let draft = ScanRequestDraft {
        target: target.into(),
        project: Some(project.into()),
        overrides: overrides.iter().map(ToString::to_string).collect(),
        ..ScanRequestDraft::default()
    };
    app.service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap().scan.record.id
}

#[tokio::test]
async fn scan_is_submitted_in_the_chosen_project_and_its_form_keeps_it() {
    let app = TestApp::with_accounts();
    create_project(&app, "team-a", "Team A").await;
    let scans_in = [("default", ProjectRole::Scanner), ("team-a", ProjectRole::Scanner)];
    let browser = Browser::of_new(&app, "ana", None, &scans_in).await;
    let html = browser.text("/new").await;
    assert!(html.contains(r#"<label for="field-project">Project</label>"#), "{html}");
    assert!(html.contains(r#"<option value="default" selected>"#), "{html}");
    let form = "key=k&target=example.com&project=team-a";
    assert_eq!(browser.lead("/scans", form).await, (303, "/scans/1?submitted=1".into()));
    let scan = app.service.scan(&fixtures::context(), ScanId(1)).await.unwrap().unwrap();
    assert_eq!(scan.record.project, project("team-a"));
    // The same form with another project is another scan.
    let other = "key=k&target=example.com&project=default";
    assert_eq!(browser.lead("/scans", other).await, (303, "/scans/2?submitted=1".into()));
    for path in ["/new?from=1", "/new?project=team-a"] {
        assert!(browser.text(path).await.contains(r#"<option value="team-a" selected>Team A"#), "{path}");
    }
    let again = browser.post("/scans", "target=-oX&project=team-a").await;
    assert_eq!(again.status(), 422);
    assert!(text_of(again).await.contains(r#"<option value="team-a" selected>Team A"#));
}

#[tokio::test]
async fn unknown_project_is_an_error_beside_the_field() {
    let app = TestApp::with_accounts();
    for id in ["team-a", "team-b"] {
        create_project(&app, id, id).await;
    }
    let scans_in = [("default", ProjectRole::Scanner), ("team-a", ProjectRole::Viewer)];
    let browser = Browser::of_new(&app, "ana", None, &scans_in).await;
    for id in ["missing", "team-b", "No Id"] {
        for target in ["example.com", "-oX", "a.test%0Ab.test"] {
            let refused = browser.post("/scans", &format!("target={target}&project={id}")).await;
            assert_eq!(refused.status(), 422, "{id} {target}");
            let html = text_of(refused).await;
            assert!(html.contains(r#"id="wrong-project">There is no such project<"#), "{id} {target}: {html}");
        }
    }
    assert_eq!(browser.post("/scans", "target=a.test&project=team-a").await.status(), 403, "it reads there");
    assert!(app.memory.history().is_empty());
}

#[tokio::test]
async fn form_names_no_project_while_there_is_only_the_default_one() {
    let app = TestApp::with_accounts();
    let scanner = Browser::of_new(&app, "ana", None, &[("default", ProjectRole::Scanner)]).await;
    assert_eq!(scanner.lead("/scans", "target=example.com").await.0, 303);
    for path in ["/new", "/new?from=1", "/scans", "/scans/1", "/"] {
        assert!(!scanner.text(path).await.contains("Project"), "{path}");
    }
    create_project(&app, "team-a", "Team A").await;
    let member = Browser::of_new(&app, "bob", None, &[("team-a", ProjectRole::Scanner)]).await;
    let html = member.text("/new").await;
    assert!(html.contains("Project: Team A") && !html.contains("<select id=\"field-project\""), "{html}");
    assert!(html.contains(r#"<input type="hidden" name="project" value="team-a">"#), "{html}");
}

#[tokio::test]
async fn active_modes_are_for_operators() {
    let app = TestApp::with_accounts();
    for (account, role, is_available) in [("ana", ProjectRole::Scanner, false), ("bob", ProjectRole::Operator, true)] {
        let html = Browser::of_new(&app, account, None, &[("default", role)]).await.text("/new").await;
        assert_eq!(html.matches("Active scans need the role operator.").count(), if is_available { 0 } else { 2 });
        for mode in ["active", "both"] {
            let is_off = html.contains(&format!(r#"id="mode-{mode}" disabled"#));
            assert_eq!(is_off, !is_available, "{account} {mode}: {html}");
        }
        assert!(html.contains(r#"id="mode-passive" checked>"#), "{html}");
    }
}

#[tokio::test]
async fn scans_are_shown_with_their_project_and_filtered_by_it() {
    let app = TestApp::with_accounts();
    for id in ["team-a", "team-b"] {
        create_project(&app, id, &format!("The {id}")).await;
        submit(&app, &format!("{id}.example.com"), id, &[]).await;
    }
    submit(&app, "default.example.com", "default", &[]).await;
    let reads = [("default", ProjectRole::Viewer), ("team-a", ProjectRole::Viewer)];
    let browser = Browser::of_new(&app, "ana", None, &reads).await;
    assert!(browser.text("/scans/1").await.contains("The team-a"));
    let all = browser.text("/scans").await;
    assert!(all.contains(" · The team-a</span>") && !all.contains("team-b"), "{all}");
    let filtered = browser.text("/scans?project=team-a").await;
    assert!(filtered.contains("team-a.example.com") && !filtered.contains("default.example.com"), "{filtered}");
    assert!(filtered.contains("/api/scans/export.csv?project=team-a"), "{filtered}");
    assert_eq!(json_of(browser.get("/api/scans?project=team-a").await).await["total"], 1);
    // A project that is not visible is like one that does not exist, and like a text that is no id.
    for id in ["team-b", "missing", "No%20Id"] {
        let html = browser.text(&format!("/scans?project={id}")).await;
        assert!(html.contains("Project: there is no such project"), "{id}: {html}");
        for path in ["/api/scans", "/api/scans/export.csv"] {
            let refused = browser.get(&format!("{path}?project={id}")).await;
            assert_eq!(refused.status(), 400, "{path} {id}");
            let problem = json_of(refused).await;
            assert_eq!(problem["detail"], "project: there is no such project", "{path} {id}");
        }
    }
}

#[tokio::test]
async fn who_may_only_read_a_scan_gets_no_form_with_its_secrets() {
    let app = TestApp::with_accounts();
    app.load_catalogue();
    create_project(&app, "team-a", "Team A").await;
    submit(&app, "example.com", "team-a", &["zap.api_key=hunter2"]).await;
    for (account, role, is_kept) in [("ana", ProjectRole::Viewer, false), ("bob", ProjectRole::Scanner, true)] {
        let roles = [("default", ProjectRole::Scanner), ("team-a", role)];
        let html = Browser::of_new(&app, account, None, &roles).await.text("/new?from=1").await;
        assert!(html.contains("zap.api_key=••••••"), "{html}");
        assert_eq!(html.contains(r#"name="kept""#), is_kept, "{account}: {html}");
    }
}

#[tokio::test]
async fn owner_sets_and_removes_clearances_and_members_read_them() {
    let app = TestApp::with_accounts();
    create_project(&app, "team-a", "Team A").await;
    let owner = Browser::of_new(&app, "ana", None, &[("team-a", ProjectRole::Owner)]).await;
    let operator = Browser::of_new(&app, "bob", None, &[("team-a", ProjectRole::Operator)]).await;
    assert!(owner.text("/projects/team-a").await.contains("No clearance."));
    let form = "pattern=*.Example.com&level=active&until=2026-12-31&text=Contract+%3Cb%3E7";
    let set = owner.lead("/projects/team-a/clearances", form).await;
    assert_eq!(set, (303, "/projects/team-a?notice=clearances".into()));
    assert!(owner.text("/projects/team-a?notice=clearances").await.contains("The clearances were changed."));
    for (browser, is_owner) in [(&owner, true), (&operator, false)] {
        let html = browser.text("/projects/team-a").await;
        for part in ["*.example.com", "user:ana", "Contract &#60;b&#62;7", "2027-01-01"] {
            assert!(html.contains(part), "{part}: {html}");
        }
        let button = r#"aria-label="Remove the clearance of *.example.com""#;
        assert_eq!([html.contains("clearance-form"), html.contains(button)], [is_owner; 2], "{html}");
    }
    assert_eq!(operator.post("/projects/team-a/clearances", form).await.status(), 403);
    assert_eq!(operator.post("/projects/team-a/clearances/remove", "pattern=a.test").await.status(), 403);
    assert_eq!(owner.post("/projects/default/clearances", form).await.status(), 404);
    for (body, field, kept) in [
        ("pattern=*&level=none", "pattern", r#"value="*""#),
        ("pattern=a.test&level=king", "level", r#"value="a.test""#),
        ("pattern=a.test&level=active&text=x&until=tomorrow", "until", r#"value="tomorrow""#),
        ("pattern=a.test&level=active", "text", r#"<option value="active" selected>"#),
    ] {
        let refused = owner.post("/projects/team-a/clearances", body).await;
        assert_eq!(refused.status(), 422, "{body}");
        let html = text_of(refused).await;
        assert!(html.contains(&format!("id=\"wrong-{field}\"")) && html.contains(kept), "{body}: {html}");
    }
    assert_eq!(app.memory.clearances(&project("team-a")).await.unwrap().len(), 1);
    assert_eq!(owner.lead("/projects/team-a/clearances/remove", "pattern=*.example.com").await.0, 303);
    assert_eq!(app.memory.clearances(&project("team-a")).await.unwrap(), []);
}

#[tokio::test]
async fn form_of_a_new_scan_says_which_clearance_is_missing() {
    let app = TestApp::with_accounts();
    app.load_catalogue();
    let browser = Browser::of_new(&app, "ana", None, &[("default", ProjectRole::Owner)]).await;
    let missing =
        "This scan needs the clearance `active` for example.com in this project, which an owner of the project gives";
    let form = "key=k&target=https://example.com/a&mode=both&confirm=yes";
    let refused = browser.post("/scans", form).await;
    assert_eq!(refused.status(), 403);
    let html = text_of(refused).await;
    assert!(html.contains(missing) && html.contains(r#"id="wrong-target""#), "{html}");
    assert!(html.contains("https://example.com/a</textarea>"), "it keeps what was typed: {html}");
    let denied = DomainEvent::AccessDenied { operation: "POST /scans".into(), project: None };
    assert!(
        app.memory.audit(&AuditQuery::newest(100)).await.unwrap().entries.iter().any(|entry| entry.event == denied)
    );
    let html = text_of(browser.post("/new/preview", form).await).await;
    assert!(html.contains(missing) && html.contains("0 valid targets"), "{html}");
    let several = "key=k&target=example.com%0Ab.example.com&mode=active&confirm=yes";
    let set = "pattern=example.com&level=active&text=contract";
    assert_eq!(browser.lead("/projects/default/clearances", set).await.0, 303);
    let html = text_of(browser.post("/scans", several).await).await;
    assert!(html.contains("1 valid target, 1 invalid") && html.contains("for b.example.com"), "{html}");
    assert_eq!(browser.lead("/scans", form).await, (303, "/scans/1?submitted=1".into()));
    // A passive scan needs no clearance.
    assert_eq!(browser.lead("/scans", "key=p&target=b.example.com").await.0, 303);
    // A re-run of several scans counts those without clearance.
    assert_eq!(browser.lead("/scans/bulk", "action=cancel&scan=1&scan=2&confirmed=yes").await.0, 303);
    assert_eq!(browser.lead("/projects/default/clearances/remove", "pattern=example.com").await.0, 303);
    let rerun = "action=rerun&scan=1&scan=2&confirmed=yes&confirm=yes";
    let result = (303, "/scans?done=rerun&n=1&not=1&uncleared=1".to_owned());
    assert_eq!(browser.lead("/scans/bulk", rerun).await, result);
    let denied = DomainEvent::AccessDenied { operation: "POST /scans/bulk".into(), project: None };
    let entries = app.memory.audit(&AuditQuery::newest(100)).await.unwrap().entries;
    assert!(entries.iter().any(|entry| entry.event == denied));
}

#[tokio::test]
async fn api_names_the_missing_clearance_after_the_missing_role() {
    let app = TestApp::with_accounts();
    app.load_catalogue();
    let body = r#"{"target":"example.com","mode":"active","confirm_active":true}"#;
    for (account, role, detail) in [
        ("ana", ProjectRole::Scanner, "This needs the role `operator` in this project"),
        (
            "bob",
            ProjectRole::Operator,
            "This scan needs the clearance `active` for example.com in this project, which an owner of the project gives",
        ),
    ] {
        let browser = Browser::of_new(&app, account, None, &[("default", role)]).await;
        let headers = [
            ("cookie", browser.cookie.as_str()),
            ("content-type", "application/json"),
            ("sec-fetch-site", "same-origin"),
        ];
        let refused = app.send("POST", "/api/scans", &headers, body).await;
        assert_eq!(refused.status(), 403, "{account}");
        assert_eq!(json_of(refused).await["detail"], detail, "{account}");
    }
    assert!(app.memory.history().is_empty());
}
