//! Tests of the pages of second factors: on the profile, at the sign-in, and for administrators.

use std::time::Duration;

use kastrel_actors::model::{AccountKind, ServerRole};
use kastrel_actors::policy::second_factor::FactorRule;
use kastrel_actors::ports::store::prelude::*;

use super::testing::{Browser, PASSWORD, create, create_user, element, name};
use crate::identity::totp::{TotpSecret, step_at};
use crate::web::testing::{TestApp, header_of, text_of};

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Returns the value of a hidden field.
fn hidden<'a>(html: &'a str, field: &str) -> &'a str {
    let marker = format!(r#"name="{field}" value=""#);
    html.split(&marker).nth(1).unwrap_or_else(|| panic!("no field {field}: {html}")).split('"').next().unwrap()
}

/// Returns the secret that a page of a set-up shows.
fn secret_on(html: &str) -> TotpSecret {
    TotpSecret::parse(&element(html, "totp-secret").replace(' ', "")).unwrap()
}

fn code(app: &TestApp, secret: &TotpSecret, ahead: u64) -> String {
    secret.code(step_at(app.web().now()) + ahead).to_string()
}

/// Returns the recovery codes that a page shows.
fn codes_on(html: &str) -> Vec<String> {
    element(html, "recovery-codes").lines().map(str::to_owned).collect()
}

/// Sets up a second factor on the profile, and returns its secret and recovery codes.
async fn set_up(app: &TestApp, browser: &mut Browser<'_>) -> (TotpSecret, Vec<String>) {
    let asked = text_of(browser.post("/profile/second-factor", &form(&[("current_password", PASSWORD)])).await).await;
    let secret = secret_on(&asked);
    let body = form(&[("sealed", hidden(&asked, "sealed")), ("code", &code(app, &secret, 0))]);
    let shown = browser.post("/profile/second-factor/confirm", &body).await;
    browser.renew(&shown);
    (secret, codes_on(&text_of(shown).await))
}

/// Enters name and password, and returns the browser with the pending sign-in and where it leads.
async fn enter_password<'a>(app: &'a TestApp, account: &str, next: &str) -> (Browser<'a>, String) {
    let body = form(&[("name", account), ("password", PASSWORD), ("next", next)]);
    let answer = Browser::new(app).post("/login", &body).await;
    assert_eq!(answer.status(), 303);
    let cookie = header_of(&answer, "set-cookie");
    assert!(cookie.starts_with("kastrel-sign-in=") && cookie.contains("; Max-Age=300; HttpOnly"), "{cookie}");
    let location = header_of(&answer, "location").to_owned();
    (Browser::with_cookie(app, cookie.split(';').next().unwrap()), location)
}

/// Returns the cookies that a response sets, without their attributes.
fn cookies(response: &axum::response::Response) -> Vec<String> {
    let values = response.headers().get_all("set-cookie").iter();
    values.map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn factor_is_set_up_on_the_profile_with_password_and_code() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[]).await;
    let (mut browser, other) = (Browser::of(&app, "ana").await, Browser::of(&app, "ana").await);
    let profile = browser.text("/profile").await;
    assert!(profile.contains(r#"<dd id="second-factor">None"#), "{profile}");
    for (body, error) in [
        (String::new(), "Enter the current password"),
        (form(&[("current_password", "wrong password here")]), "This is not the current password"),
    ] {
        let answer = browser.post("/profile/second-factor", &body).await;
        assert_eq!(answer.status(), 422, "{body}");
        let html = text_of(answer).await;
        assert!(html.contains(error) && html.contains(r#"id="wrong-current_password""#), "{html}");
    }
    let asked = browser.post("/profile/second-factor", &form(&[("current_password", PASSWORD)])).await;
    assert_eq!((asked.status().as_u16(), header_of(&asked, "cache-control")), (200, "no-store"));
    let asked = text_of(asked).await;
    let secret = secret_on(&asked);
    let uri = format!("otpauth://totp/Kastrel%20localhost%3A5000:ana?secret={}&#38;", *secret.base32());
    assert!(asked.contains(&uri) && asked.contains(r#"<svg class="qr""#), "{asked}");
    assert!(asked.contains(r#"autocomplete="one-time-code" inputmode="numeric""#), "{asked}");
    assert!(!asked.contains("style="), "the policy of the page allows no inline style: {asked}");
    let sealed = hidden(&asked, "sealed");
    let wrong = form(&[("sealed", sealed), ("code", &code(&app, &secret, 50))]);
    let again = browser.post("/profile/second-factor/confirm", &wrong).await;
    assert_eq!(again.status(), 422);
    let again = text_of(again).await;
    assert!(again.contains("This is not the code that the app shows now") && again.contains(r#"id="wrong-code""#));
    assert_eq!(secret_on(&again).base32(), secret.base32(), "the same secret is shown");
    assert!(!app.memory.account(&name("ana")).await.unwrap().unwrap().has_second_factor);
    let right = form(&[("sealed", sealed), ("code", &code(&app, &secret, 0))]);
    let shown = browser.post("/profile/second-factor/confirm", &right).await;
    assert_eq!((shown.status().as_u16(), header_of(&shown, "cache-control")), (200, "no-store"));
    let before = Browser::with_cookie(&app, &browser.cookie);
    browser.renew(&shown);
    assert_eq!(codes_on(&text_of(shown).await).len(), 10);
    assert_eq!(other.get("/profile").await.status(), 303, "the other session ended");
    assert_eq!(before.get("/profile").await.status(), 303, "this one has a new secret");
    let profile = browser.text("/profile").await;
    assert!(profile.contains("10 recovery codes left"), "{profile}");
    let expired = browser.post("/profile/second-factor/confirm", &form(&[("sealed", "x"), ("code", "123456")])).await;
    assert_eq!(expired.status(), 422);
    assert!(text_of(expired).await.contains("The set-up has expired"));
}

#[tokio::test(start_paused = true)]
async fn sign_in_with_a_factor_needs_the_code() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[]).await;
    let (secret, codes) = set_up(&app, &mut Browser::of(&app, "ana").await).await;
    let (browser, location) = enter_password(&app, "ana", "/scans?status=failed").await;
    assert_eq!(location, "/login/code?next=%2Fscans%3Fstatus%3Dfailed");
    assert_eq!(browser.get("/scans").await.status(), 303, "there is no session yet");
    let page = browser.text(&location).await;
    assert!(page.contains(r#"name="next" value="/scans?status=failed""#) && page.contains("Sign-in of ana"), "{page}");
    assert!(!page.contains("<nav"), "it shows nothing of the server: {page}");
    for typed in ["", "12", &code(&app, &secret, 0)] {
        let answer = browser.post("/login/code", &form(&[("code", typed), ("next", "/")])).await;
        assert_eq!((answer.status().as_u16(), cookies(&answer).len()), (401, 0), "{typed}");
        let html = text_of(answer).await;
        assert!(html.contains("This code is wrong, or it was used before") && html.contains(r#"id="wrong-code""#));
    }
    let waits = browser.post("/login/code", &form(&[("code", &code(&app, &secret, 1))])).await;
    assert_eq!((waits.status().as_u16(), header_of(&waits, "retry-after")), (429, "1"));
    assert!(text_of(waits).await.contains("Try again in 1 second"));
    tokio::time::advance(Duration::from_secs(60)).await;
    let (browser, _) = enter_password(&app, "ana", "/").await;
    let body = form(&[("code", &code(&app, &secret, 0)), ("next", "/scans?status=failed")]);
    let answer = browser.post("/login/code", &body).await;
    assert_eq!((answer.status().as_u16(), header_of(&answer, "location")), (303, "/scans?status=failed"));
    let set = cookies(&answer);
    assert!(set[0].starts_with("kastrel-session=") && set[1] == "kastrel-sign-in=", "{set:?}");
    assert_eq!(Browser::with_cookie(&app, &set[0]).get("/scans").await.status(), 200);
    let gone = browser.post("/login/code", &form(&[("code", codes[0].as_str())])).await;
    assert_eq!((gone.status().as_u16(), cookies(&gone)), (410, vec!["kastrel-sign-in=".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn recovery_code_signs_in_and_the_profile_counts_those_left() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[]).await;
    let (_, codes) = set_up(&app, &mut Browser::of(&app, "ana").await).await;
    let (browser, _) = enter_password(&app, "ana", "/").await;
    let wrong = browser.post("/login/code", &form(&[("code", ""), ("recovery_code", "abcd")])).await;
    assert_eq!(wrong.status(), 401);
    let html = text_of(wrong).await;
    assert!(html.contains(r#"id="wrong-recovery_code""#) && html.contains(r#"<details id="recovery" open>"#), "{html}");
    let answer = browser.post("/login/code", &form(&[("recovery_code", codes[2].as_str())])).await;
    assert_eq!((answer.status().as_u16(), header_of(&answer, "location")), (303, "/"));
    let signed_in = Browser::with_cookie(&app, &cookies(&answer)[0]);
    assert!(signed_in.text("/profile/second-factor").await.contains("9 recovery codes left"));
}

#[tokio::test(start_paused = true)]
async fn sign_in_without_a_pending_one_has_ended() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[]).await;
    let unknown = format!("kastrel-sign-in={}", "a".repeat(64));
    for browser in [Browser::new(&app), Browser::with_cookie(&app, &unknown), Browser::of(&app, "ana").await] {
        for path in ["/login/code", "/login/second-factor"] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status(), 410, "{path}");
            assert!(text_of(answer).await.contains("Sign in again with your password"));
            assert_eq!(browser.post(path, "code=123456&sealed=x").await.status(), 410, "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn account_that_must_have_a_factor_sets_it_up_at_its_sign_in() {
    let app = TestApp::with_factor_rule(FactorRule::Admins);
    create_user(&app, "chief", Some(ServerRole::Admin), &[]).await;
    create_user(&app, "ana", None, &[]).await;
    let free = Browser::new(&app).lead("/login", &form(&[("name", "ana"), ("password", PASSWORD)])).await;
    assert_eq!(free, (303, "/".into()), "the rule is for administrators");
    let before = Browser::of(&app, "chief").await;
    assert_eq!(before.get("/accounts").await.status(), 303, "a session from before the rule has no effect");
    let (browser, location) = enter_password(&app, "chief", "/accounts").await;
    assert_eq!(location, "/login/second-factor?next=%2Faccounts");
    assert_eq!(header_of(&browser.get("/login/code?next=%2Faccounts").await, "location"), location);
    assert_eq!(browser.get("/accounts").await.status(), 303);
    let asked = browser.text(&location).await;
    let secret = secret_on(&asked);
    assert!(asked.contains("The account chief must have one.") && !asked.contains("<nav"), "{asked}");
    let sealed = hidden(&asked, "sealed");
    let send = async |sealed: &str, typed: &str| {
        let body = form(&[("sealed", sealed), ("code", typed), ("next", hidden(&asked, "next"))]);
        browser.post("/login/second-factor", &body).await
    };
    let wrong = send(sealed, &code(&app, &secret, 50)).await;
    assert_eq!(wrong.status(), 401);
    assert_eq!(secret_on(&text_of(wrong).await).base32(), secret.base32());
    let expired = send("x", &code(&app, &secret, 0)).await;
    assert_eq!(expired.status(), 401);
    assert_ne!(secret_on(&text_of(expired).await).base32(), secret.base32(), "a new secret is shown");
    let shown = send(sealed, &code(&app, &secret, 0)).await;
    assert_eq!((shown.status().as_u16(), header_of(&shown, "cache-control")), (200, "no-store"));
    let set = cookies(&shown);
    assert!(set[0].starts_with("kastrel-session=") && set[1] == "kastrel-sign-in=", "{set:?}");
    let html = text_of(shown).await;
    assert_eq!(codes_on(&html).len(), 10);
    assert!(html.contains(r#"href="/accounts" id="continue""#), "{html}");
    assert_eq!(Browser::with_cookie(&app, &set[0]).get("/accounts").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn recovery_codes_are_replaced_and_the_factor_is_removed_with_password_and_code() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[]).await;
    let mut browser = Browser::of(&app, "ana").await;
    let (_, codes) = set_up(&app, &mut browser).await;
    let page = browser.text("/profile/second-factor").await;
    assert!(page.contains(r#"formaction="/profile/second-factor/remove""#), "{page}");
    let body = |typed: &str| form(&[("current_password", PASSWORD), ("code", typed)]);
    for path in ["/profile/second-factor/recovery-codes", "/profile/second-factor/remove"] {
        for (sent, field) in
            [(form(&[("code", codes[0].as_str())]), "current_password"), (body(""), "code"), (body("123"), "code")]
        {
            let answer = browser.post(path, &sent).await;
            assert_eq!(answer.status(), 422, "{path} {field}");
            let html = text_of(answer).await;
            assert!(html.contains(&format!("id=\"wrong-{field}\"")) && !html.contains(PASSWORD), "{html}");
        }
    }
    let shown = browser.post("/profile/second-factor/recovery-codes", &body(&codes[0])).await;
    let before = Browser::with_cookie(&app, &browser.cookie);
    browser.renew(&shown);
    assert_eq!(before.get("/profile").await.status(), 303, "the session has a new secret");
    let shown = text_of(shown).await;
    let new = codes_on(&shown);
    assert!(new.len() == 10 && new.iter().all(|code| !codes.contains(code)), "{shown}");
    let removed = browser.post("/profile/second-factor/remove", &body(&new[0])).await;
    assert_eq!(header_of(&removed, "location"), "/profile/second-factor?notice=removed");
    let before = Browser::with_cookie(&app, &browser.cookie);
    browser.renew(&removed);
    assert_eq!(before.get("/profile").await.status(), 303, "the session has a new secret");
    assert!(browser.text("/profile/second-factor?notice=removed").await.contains("The second factor was removed."));
    assert!(!app.memory.account(&name("ana")).await.unwrap().unwrap().has_second_factor);
    let none = browser.post("/profile/second-factor/remove", &body(&new[1])).await;
    assert_eq!(none.status(), 422);
}

#[tokio::test(start_paused = true)]
async fn administrator_removes_a_lost_factor_after_a_question() {
    let app = TestApp::with_accounts();
    create_user(&app, "chief", Some(ServerRole::Admin), &[]).await;
    create_user(&app, "ana", None, &[]).await;
    create(&app, "ci", AccountKind::Service, None, &[]).await;
    let (mut admin, mut user) = (Browser::of(&app, "chief").await, Browser::of(&app, "ana").await);
    set_up(&app, &mut user).await;
    set_up(&app, &mut admin).await;
    assert!(admin.text("/accounts").await.contains(r#"data-label="Second factor" class="small">Yes<"#));
    let page = admin.text("/accounts/ana").await;
    assert_eq!(element(&page, "second-factor"), "Yes");
    assert!(page.contains(r#"id="remove-factor""#), "{page}");
    assert!(!admin.text("/accounts/chief").await.contains(r#"id="remove-factor""#), "the own one is on the profile");
    assert!(!admin.text("/accounts/ci").await.contains(r#"id="second-factor""#));
    let path = "/accounts/ana/second-factor/remove";
    let question = text_of(admin.post(path, "").await).await;
    assert!(question.contains("Remove the second factor of ana?"), "{question}");
    assert_eq!(user.get("/profile").await.status(), 200, "a question removes nothing");
    let removed = admin.lead(path, "confirmed=yes").await;
    assert_eq!(removed, (303, "/accounts/ana?notice=second-factor".into()));
    assert_eq!(user.get("/profile").await.status(), 303);
    assert_eq!(admin.post(path, "confirmed=yes").await.status(), 404, "it has none");
    assert_eq!(admin.post("/accounts/chief/second-factor/remove", "confirmed=yes").await.status(), 422);
    let free = Browser::new(&app).lead("/login", &form(&[("name", "ana"), ("password", PASSWORD)])).await;
    assert_eq!(free, (303, "/".into()));
}
