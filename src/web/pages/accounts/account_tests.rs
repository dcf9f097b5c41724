//! Tests of the pages of all accounts.

use kastrel_actors::model::{AccountKind, ProjectRole, ServerRole};
use kastrel_actors::ports::AccessStore as _;

use super::testing::{Browser, PASSWORD, create, create_user, element, name, roles};
use crate::web::testing::{TestApp, header_of, text_of};

async fn admin(app: &TestApp) -> Browser<'_> {
    create_user(app, "chief", Some(ServerRole::Admin), &[]).await;
    Browser::of(app, "chief").await
}

#[tokio::test]
async fn account_pages_need_a_server_role() {
    let app = TestApp::with_accounts();
    let member = Browser::of_new(&app, "ana", None, &[("default", ProjectRole::Owner)]).await;
    let auditor = Browser::of_new(&app, "bob", Some(ServerRole::Auditor), &[]).await;
    for path in ["/accounts", "/accounts/ana"] {
        assert_eq!(member.get(path).await.status(), 403, "{path}");
        let html = auditor.text(path).await;
        assert!(html.contains("ana") && !html.contains("<form method=\"post\" action=\"/accounts"), "{path}: {html}");
    }
    for path in ["/accounts", "/accounts/ana/disable", "/accounts/ana/password-link", "/accounts/ana/tokens"] {
        assert_eq!(auditor.post(path, "confirmed=yes").await.status(), 403, "{path}");
    }
    assert_eq!(auditor.get("/accounts/nobody").await.status(), 404);
    assert_eq!(auditor.get("/accounts/No%20Body").await.status(), 404);
}

#[tokio::test]
async fn user_without_a_password_gets_a_link_that_works() {
    let app = TestApp::with_accounts();
    let browser = admin(&app).await;
    let answer = browser.post("/accounts", "name=ana&kind=user&server_role=none&role=scanner&password=").await;
    assert_eq!((answer.status().as_u16(), header_of(&answer, "cache-control")), (200, "no-store"));
    let html = text_of(answer).await;
    assert!(html.contains("within 24 hours") && html.contains(r#"href="/accounts/ana""#), "{html}");
    let link = element(&html, "new-link").replace("&#38;", "&");
    let path = link.strip_prefix("http://localhost:5000").unwrap_or_else(|| panic!("{link}"));
    assert_eq!(Browser::new(&app).get(path).await.status(), 200);
    let account = app.memory.account(&name("ana")).await.unwrap().unwrap();
    assert_eq!(account.memberships, roles(&[("default", ProjectRole::Scanner)]));
    assert!(browser.text("/accounts").await.contains("No password yet"));

    let answer = browser.post("/accounts/ana/password-link", "").await;
    assert!(element(&text_of(answer).await, "new-link").contains("/set-password?link="));
}

#[tokio::test]
async fn accounts_are_created_and_wrong_fields_are_named() {
    let app = TestApp::with_accounts();
    let browser = admin(&app).await;
    let password: String = url::form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect();
    let with = browser.lead("/accounts", &format!("name=ana&kind=user&server_role=auditor&password={password}")).await;
    assert_eq!(with, (303, "/accounts/ana?notice=created".into()));
    assert!(app.memory.account(&name("ana")).await.unwrap().unwrap().has_password);
    assert_eq!(
        browser.lead("/accounts", "name=ci%2Bx&kind=service&role=operator").await.1,
        "/accounts/ci%2Bx?notice=created"
    );
    assert!(browser.text("/accounts/ci%2Bx?notice=created").await.contains("The account was created."));
    for (body, field, error) in [
        ("name=ana&kind=user", "name", "This name is taken"),
        ("name=A%3Cb%3E&kind=user", "name", "An account name has"),
        ("name=x&kind=service&password=y", "password", "A service account has no password"),
        ("name=x&kind=user&password=y", "password", "Use at least 12 characters."),
        ("name=x&kind=robot", "kind", "Choose user or service"),
        ("name=x&kind=user&server_role=king", "server_role", "is not one of"),
    ] {
        let answer = browser.post("/accounts", body).await;
        assert_eq!(answer.status(), 422, "{body}");
        let html = text_of(answer).await;
        assert!(html.contains(error) && html.contains(&format!("id=\"wrong-{field}\"")), "{body}: {html}");
        assert!(!html.contains("<b>"), "{html}");
    }
    assert!(app.memory.account(&name("x")).await.unwrap().is_none());
}

#[tokio::test]
async fn account_is_disabled_after_a_question_and_enabled_again() {
    let app = TestApp::with_accounts();
    let browser = admin(&app).await;
    let user = Browser::of_new(&app, "ana", None, &[]).await;
    let question = text_of(browser.post("/accounts/ana/disable", "").await).await;
    assert!(question.contains("Disable the account ana?") && question.contains(r#"action="/accounts/ana/disable""#));
    assert_eq!(user.get("/profile").await.status(), 200, "a question disables nothing");
    let disabled = browser.lead("/accounts/ana/disable", "confirmed=yes").await;
    assert_eq!(disabled, (303, "/accounts/ana?notice=disabled".into()));
    assert_eq!(user.get("/profile").await.status(), 303);
    let html = browser.text("/accounts/ana").await;
    assert!(html.contains("Disabled") && html.contains(r#"id="enable""#), "{html}");
    assert_eq!(browser.lead("/accounts/ana/enable", "").await.1, "/accounts/ana?notice=enabled");
    assert!(!app.memory.account(&name("ana")).await.unwrap().unwrap().is_disabled);
    assert_eq!(browser.post("/accounts/nobody/disable", "confirmed=yes").await.status(), 404);
}

#[tokio::test]
async fn last_administrator_stays() {
    let app = TestApp::with_accounts();
    let browser = admin(&app).await;
    for (path, body) in
        [("/accounts/chief/disable", "confirmed=yes"), ("/accounts/chief/server-role", "server_role=none")]
    {
        let answer = browser.post(path, body).await;
        assert_eq!(answer.status(), 409, "{path}");
        let html = text_of(answer).await;
        assert!(html.contains("This is the last administrator that can sign in"), "{html}");
    }
    create_user(&app, "ana", None, &[]).await;
    let role = browser.lead("/accounts/ana/server-role", "server_role=admin").await;
    assert_eq!(role, (303, "/accounts/ana?notice=server-role".into()));
    assert_eq!(browser.lead("/accounts/chief/disable", "confirmed=yes").await.0, 303);
}

#[tokio::test]
async fn administrator_ends_sessions_and_manages_tokens_of_service_accounts() {
    let app = TestApp::with_accounts();
    let browser = admin(&app).await;
    let user = Browser::of_new(&app, "ana", None, &[]).await;
    create(&app, "ci", AccountKind::Service, None, &[("default", ProjectRole::Scanner)]).await;
    assert_eq!(browser.lead("/accounts/ana/sessions/end", "all=1").await.1, "/accounts/ana?notice=sessions");
    assert_eq!(user.get("/profile").await.status(), 303);
    assert!(!browser.text("/accounts/ana").await.contains("token-form"), "users create their own tokens");
    assert!(browser.text("/accounts/ci").await.contains("token-form"));
    let html = text_of(browser.post("/accounts/ci/tokens", "label=ci&role=scanner").await).await;
    assert!(element(&html, "new-token").starts_with("kst_"), "{html}");
    let id = app.memory.tokens(&name("ci")).await.unwrap().remove(0).id;
    assert!(browser.text("/accounts/ci").await.contains(&format!("kst_{id}_…")));
    assert_eq!(browser.lead("/accounts/ci/tokens/revoke", &format!("id={id}")).await.1, "/accounts/ci?notice=revoked");
    assert!(app.memory.tokens(&name("ci")).await.unwrap().is_empty());
    let refused = browser.post("/accounts/ana/tokens", "label=x&role=scanner").await;
    assert_eq!(refused.status(), 422, "a token of a user is created by the user");
}
