//! Tests of the viewer's own account.

use kastrel_actors::model::{ProjectRole, ServerRole, TokenScope};
use kastrel_actors::ports::AccessStore as _;

use super::testing::{Browser, PASSWORD, create_project, create_user, element, name};
use crate::web::pages::layout::HOSTILE;
use crate::web::testing::{TestApp, header_of, text_of};

const NEW: &str = "nine red boats behind snow";

#[tokio::test]
async fn profile_shows_who_one_is_without_projects_while_there_is_one() {
    let app = TestApp::with_accounts();
    let browser = Browser::of_new(&app, "ana", None, &[("default", ProjectRole::Scanner)]).await;
    let html = browser.text("/profile").await;
    assert_eq!(element(&html, "account-name"), "ana");
    assert_eq!((element(&html, "server-role"), element(&html, "role")), ("None", "scanner"));
    let main = html.split("<main").nth(1).unwrap().to_lowercase();
    assert!(!main.contains("project"), "{main}");
    create_project(&app, "team-a", "Team <A>").await;
    let other = Browser::of_new(&app, "bob", Some(ServerRole::Auditor), &[("team-a", ProjectRole::Owner)]).await;
    let html = other.text("/profile").await;
    assert!(html.contains(r#"<a href="/projects/team-a">Team &#60;A&#62;</a>"#), "{html}");
    assert!(html.contains(r#"<select id="field-project""#), "{html}");
    assert_eq!(element(&html, "server-role"), "auditor");
}

#[tokio::test]
async fn password_is_changed_with_the_current_one() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[]).await;
    let (mut browser, other) = (Browser::of(&app, "ana").await, Browser::of(&app, "ana").await);
    let form = |current: &str, new: &str, repeat: &str| {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("current_password", current), ("new_password", new), ("repeat", repeat)])
            .finish()
    };
    for (body, error, field) in [
        (form("wrong", NEW, NEW), "This is not the current password", "current_password"),
        (form(PASSWORD, NEW, "other"), "The passwords differ", "repeat"),
        (form(PASSWORD, "short", "short"), "Use at least 12 characters.", "new_password"),
    ] {
        let answer = browser.post("/profile/password", &body).await;
        assert_eq!(answer.status(), 422, "{error}");
        let html = text_of(answer).await;
        assert!(html.contains(error) && html.contains(&format!("id=\"wrong-{field}\"")), "{error}: {html}");
        assert!(!html.contains(NEW) && !html.contains(PASSWORD), "{html}");
    }
    let changed = browser.post("/profile/password", &form(PASSWORD, NEW, NEW)).await;
    assert_eq!((changed.status().as_u16(), header_of(&changed, "location")), (303, "/profile?notice=password"));
    let before = Browser::with_cookie(&app, &browser.cookie);
    browser.renew(&changed);
    assert_eq!(before.get("/profile").await.status(), 303, "the session has a new secret");
    assert!(browser.text("/profile?notice=password").await.contains("The password was changed."));
    assert_eq!(other.get("/profile").await.status(), 303, "the other session ended");
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let app = TestApp::with_accounts();
    let browser = Browser::of_new(&app, "ana", None, &[]).await;
    let other = Browser::with_agent(&app, "ana", HOSTILE).await;
    let _third = Browser::of(&app, "ana").await;
    let html = browser.text("/profile").await;
    assert_eq!(html.matches(r#"id="this-session""#).count(), 1);
    assert!(html.contains("192.0.2.7") && html.contains("&#60;script&#62;"), "{html}");
    assert!(!html.contains("<script>") && !html.contains('\u{202e}') && !html.contains('\u{1b}'), "{html}");
    let sessions = app.memory.sessions(&name("ana")).await.unwrap();
    let key = sessions.iter().find(|session| session.agent == HOSTILE).unwrap().key;
    assert_eq!(browser.lead("/profile/sessions/end", &format!("key={key}")).await.0, 303);
    assert_eq!(other.get("/profile").await.status(), 303);
    assert_eq!(app.memory.sessions(&name("ana")).await.unwrap().len(), 2);
    assert_eq!(browser.lead("/profile/sessions/end", "all=1").await, (303, "/profile?notice=sessions".into()));
    assert_eq!(app.memory.sessions(&name("ana")).await.unwrap().len(), 1);
    let html = browser.text("/profile").await;
    assert!(html.contains("this-session") && !html.contains("end-others"), "{html}");
    assert_eq!(browser.post("/profile/sessions/end", "key=x").await.status(), 400);
}

#[tokio::test]
async fn session_of_another_account_is_not_ended() {
    let app = TestApp::with_accounts();
    let browser = Browser::of_new(&app, "ana", None, &[]).await;
    let other = Browser::of_new(&app, "bob", None, &[]).await;
    let key = app.memory.sessions(&name("bob")).await.unwrap()[0].key;
    browser.post("/profile/sessions/end", &format!("key={key}")).await;
    assert_eq!(other.get("/profile").await.status(), 200);
}

#[tokio::test]
async fn networks_of_a_token_are_read_and_shown() {
    let app = TestApp::with_accounts();
    let browser = Browser::of_new(&app, "ana", None, &[]).await;
    let refused = browser.post("/profile/tokens", "label=x&role=viewer&days=7&networks=10.0.0.1/8").await;
    assert_eq!(refused.status(), 422);
    let html = text_of(refused).await;
    assert!(html.contains("the range is 10.0.0.0/8") && html.contains(r#"value="10.0.0.1/8""#), "{html}");
    browser.post("/profile/tokens", "label=x&role=viewer&days=7&networks=192.0.2.0/24,+::1").await;
    let record = app.memory.tokens(&name("ana")).await.unwrap().remove(0);
    assert_eq!(record.networks, ["192.0.2.0/24", "::1"].map(|text| text.parse().unwrap()));
    assert!(browser.text("/profile").await.contains("viewer, from 192.0.2.0/24 ::1"));
}

#[tokio::test]
async fn token_is_shown_once_and_revoked() {
    let app = TestApp::with_accounts();
    let browser = Browser::of_new(&app, "ana", Some(ServerRole::Admin), &[]).await;
    let label: String = url::form_urlencoded::byte_serialize(b"<i>CI</i>").collect();
    for (body, error) in [
        ("label=&role=viewer&days=90".to_owned(), "Expected 1 to 100 characters"),
        (format!("label={label}&role=king&days=90"), "Choose a role"),
        (format!("label={label}&role=viewer&days=0"), "Expected 1 to 366 days"),
    ] {
        let answer = browser.post("/profile/tokens", &body).await;
        assert_eq!(answer.status(), 422, "{body}");
        let html = text_of(answer).await;
        assert!(html.contains(error), "{error}: {html}");
    }
    let again = text_of(browser.post("/profile/tokens", &format!("label={label}&role=x&days=7")).await).await;
    assert!(again.contains("&#60;i&#62;CI") && again.contains(r#"value="7""#), "the form keeps what was typed");
    let answer = browser.post("/profile/tokens", &format!("label={label}&role=scanner&days=7")).await;
    assert_eq!((answer.status().as_u16(), header_of(&answer, "cache-control")), (200, "no-store"));
    let html = text_of(answer).await;
    let token = element(&html, "new-token").to_owned();
    assert!(token.starts_with("kst_") && !html.contains("<i>CI"), "{html}");
    let record = app.memory.tokens(&name("ana")).await.unwrap().remove(0);
    assert_eq!(record.scope, TokenScope { role: ProjectRole::Scanner, project: None, has_server_role: false });
    let profile = browser.text("/profile").await;
    assert!(profile.contains(&format!("kst_{}_…", record.id)) && !profile.contains(&token), "{profile}");
    assert!(profile.contains("&#60;i&#62;CI&#60;/i&#62;") && profile.contains("Never"), "{profile}");

    let authorization = format!("Bearer {token}");
    for (path, body) in [
        ("/profile/password", ""),
        ("/profile/tokens", "label=x&role=viewer"),
        ("/accounts/ana/password-link", ""),
        ("/accounts/ana/tokens", "label=x&role=viewer"),
    ] {
        let headers = [("authorization", authorization.as_str()), ("sec-fetch-site", "same-origin")];
        assert_eq!(app.send("POST", path, &headers, body).await.status(), 403, "{path}");
    }
    assert_eq!(app.memory.tokens(&name("ana")).await.unwrap().len(), 1);
    let revoked = browser.lead("/profile/tokens/revoke", &format!("id={}", record.id)).await;
    assert_eq!(revoked, (303, "/profile?notice=revoked".into()));
    assert!(app.memory.tokens(&name("ana")).await.unwrap().is_empty());
}
