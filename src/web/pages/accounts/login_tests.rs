//! Tests of sign-in, sign-out, set-up, and one-time links.

use kastrel_actors::model::{AccountKind, ProjectRole, ServerRole};
use kastrel_actors::ports::AccessStore as _;
use kastrel_actors::testing::fixtures;

use super::testing::{Browser, PASSWORD, create, create_user, name};
use crate::web::testing::{TestApp, header_of, text_of};

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[tokio::test]
async fn server_without_accounts_says_how_to_turn_them_on() {
    let app = TestApp::new();
    for path in [
        "/login",
        "/login/code",
        "/login/second-factor",
        "/profile/second-factor",
        "/setup",
        "/set-password",
        "/forgot-password",
        "/confirm-mail",
        "/profile/mail",
        "/profile",
        "/accounts",
        "/accounts/ana",
        "/projects",
    ] {
        let response = app.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        let html = text_of(response).await;
        assert!(html.contains("set `auth.mode` to `local`"), "{path}: {html}");
    }
    assert_eq!(app.post_form("/logout", "").await.status(), 404);
}

#[tokio::test]
async fn sign_in_leads_to_the_page_and_sign_out_ends_it() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[("default", ProjectRole::Viewer)]).await;
    let anonymous = Browser::new(&app);
    let asked = anonymous.get("/scans?status=failed").await;
    assert_eq!(asked.status(), 303);
    assert!(header_of(&asked, "location").starts_with("/login?next="), "{asked:?}");
    let page = anonymous.text(header_of(&asked, "location")).await;
    assert!(page.contains(r#"name="next" value="/scans?status=failed""#), "{page}");
    for part in
        [r#"autocomplete="username webauthn""#, r#"autocomplete="current-password""#, r#"<label for="field-name">"#]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<nav") && !page.contains("0.0.0-test"), "it shows nothing of the server: {page}");

    let body = form(&[("name", " Ana "), ("password", PASSWORD), ("next", "/scans?status=failed")]);
    let answer = anonymous.post("/login", &body).await;
    assert_eq!((answer.status().as_u16(), header_of(&answer, "location")), (303, "/scans?status=failed"));
    let cookie = header_of(&answer, "set-cookie");
    assert!(cookie.starts_with("kastrel-session=") && cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");

    let browser = Browser::with_cookie(&app, cookie.split(';').next().unwrap());
    let scans = browser.text("/scans").await;
    assert!(scans.contains(r#"href="/profile""#) && scans.contains("</span>ana</a>"), "{scans}");
    assert_eq!(header_of(&browser.get("/login?next=/scans").await, "location"), "/scans");

    let out = browser.post("/logout", "").await;
    assert_eq!((out.status().as_u16(), header_of(&out, "location")), (303, "/login"));
    assert_eq!(header_of(&out, "clear-site-data"), "\"cache\"");
    assert!(header_of(&out, "set-cookie").contains("kastrel-session=; Path=/; Max-Age=0"), "{out:?}");
    assert!(app.memory.sessions(&name("ana")).await.unwrap().is_empty());
    assert_eq!(browser.get("/scans").await.status(), 303);
}

#[tokio::test]
async fn wrong_sign_in_keeps_the_name_and_not_the_password() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", Some(ServerRole::Admin), &[]).await;
    let browser = Browser::new(&app);
    for given in ["ana", "nobody", "<b>\"x"] {
        let body = form(&[("name", given), ("password", "secret-guess"), ("next", "//evil.example")]);
        let answer = browser.post("/login", &body).await;
        assert_eq!((answer.status().as_u16(), header_of(&answer, "set-cookie")), (401, ""), "{given}");
        let html = text_of(answer).await;
        assert!(html.contains("The name or the password is wrong."), "{html}");
        assert!(html.contains(r#"aria-invalid="true" aria-describedby="wrong-password""#), "{html}");
        assert!(html.contains(r#"name="next" value="/""#), "{html}");
        assert!(!html.contains("secret-guess") && !html.contains("<b>"), "{html}");
    }
    assert!(text_of(browser.post("/login", "name=ana&password=x").await).await.contains(r#"value="ana""#));
}

#[tokio::test(start_paused = true)]
async fn many_wrong_sign_ins_are_throttled() {
    let app = TestApp::with_accounts();
    let browser = Browser::new(&app);
    for _ in 0..100 {
        let answer = browser.post("/login", "name=ana&password=x").await;
        if answer.status() == 429 {
            let seconds = header_of(&answer, "retry-after").to_owned();
            assert!(seconds.parse::<u64>().unwrap() > 0);
            let html = text_of(answer).await;
            assert!(html.contains(&format!("Try again in {seconds} second")), "{html}");
            return;
        }
        assert_eq!(answer.status(), 401);
    }
    panic!("100 wrong attempts were not throttled");
}

#[tokio::test]
async fn second_sign_in_in_a_browser_ends_the_first_session() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[]).await;
    let browser = Browser::of(&app, "ana").await;
    let answer = browser.post("/login", &form(&[("name", "ana"), ("password", PASSWORD)])).await;
    assert_eq!((answer.status().as_u16(), header_of(&answer, "location")), (303, "/"));
    assert_eq!(app.memory.sessions(&name("ana")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn set_up_creates_the_first_administrator_once() {
    let app = TestApp::with_accounts();
    let browser = Browser::new(&app);
    assert!(browser.text("/login").await.contains(r#"id="needs-set-up""#));
    let link = app.web().access().new_set_up_link().await.unwrap().expose().to_owned();
    let address = format!("/setup?link={link}");
    let shown = browser.get(&address).await;
    assert_eq!(header_of(&shown, "referrer-policy"), "strict-origin", "no request names the address");
    let page = text_of(shown).await;
    assert_eq!(page.matches(r#"autocomplete="new-password""#).count(), 2, "{page}");

    let set_up = |pairs: &[(&str, &str)]| form(&[pairs, &[("link", link.as_str())]].concat());
    for (pairs, error) in [
        (&[("name", "ana"), ("password", PASSWORD), ("repeat", "other")][..], "The passwords differ"),
        (&[("name", "ana"), ("password", "short"), ("repeat", "short")], "Use at least 12 characters."),
        (&[("name", "Ana B"), ("password", PASSWORD), ("repeat", PASSWORD)], "An account name has"),
    ] {
        let answer = browser.post("/setup", &set_up(pairs)).await;
        assert_eq!(answer.status(), 422);
        let html = text_of(answer).await;
        assert!(html.contains(error) && html.contains(pairs[0].1) && !html.contains(PASSWORD), "{error}: {html}");
    }
    let body = set_up(&[("name", "ana"), ("password", PASSWORD), ("repeat", PASSWORD)]);
    assert_eq!(browser.lead("/setup", &body).await, (303, "/login?notice=set-up".into()));
    assert!(app.memory.account(&name("ana")).await.unwrap().unwrap().is_active_admin());
    let login = browser.text("/login?notice=set-up").await;
    assert!(login.contains("The account was created.") && !login.contains("needs-set-up"), "{login}");

    for gone in [browser.get(&address).await, browser.post("/setup", &body).await, browser.get("/setup?link=x").await] {
        assert_eq!(gone.status(), 410);
        assert!(text_of(gone).await.contains("kastrel user create NAME --admin"));
    }
}

#[tokio::test]
async fn password_link_sets_the_password_once() {
    let app = TestApp::with_accounts();
    create_user(&app, "root", Some(ServerRole::Admin), &[]).await;
    create(&app, "ana", AccountKind::User, None, &[]).await;
    let link = app.web().access().password_link(&fixtures::context(), &name("ana")).await.unwrap().unwrap();
    let address = format!("/set-password?link={}", link.expose());
    let browser = Browser::new(&app);
    let shown = browser.get(&address).await;
    assert_eq!(header_of(&shown, "referrer-policy"), "strict-origin", "no request names the address");
    let page = text_of(shown).await;
    assert!(page.contains(r#"value="ana" autocomplete="username""#), "{page}");
    let short = form(&[("link", link.expose()), ("password", "short"), ("repeat", "short")]);
    assert_eq!(browser.post("/set-password", &short).await.status(), 422);
    let body = form(&[("link", link.expose()), ("password", PASSWORD), ("repeat", PASSWORD)]);
    assert_eq!(browser.lead("/set-password", &body).await, (303, "/login?notice=password".into()));
    assert!(app.memory.account(&name("ana")).await.unwrap().unwrap().has_password);
    for gone in [browser.get(&address).await, browser.post("/set-password", &body).await] {
        assert_eq!((gone.status().as_u16(), header_of(&gone, "referrer-policy")), (410, "strict-origin"));
    }
    let set_up = app.web().access().new_set_up_link().await.unwrap();
    assert_eq!(browser.get(&format!("/set-password?link={}", set_up.expose())).await.status(), 410);
}
