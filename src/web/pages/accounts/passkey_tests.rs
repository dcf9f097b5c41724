//! Tests of the pages with passkeys: on the profile, at the sign-in, and for administrators.

use kastrel_actors::model::ServerRole;
use kastrel_actors::policy::second_factor::FactorRule;
use kastrel_actors::ports::store::prelude::*;
use serde_json::Value;

use super::testing::{Browser, PASSWORD, create_user, name};
use crate::identity::passkey::testing::Authenticator;
use crate::web::testing::{TestApp, header_of, json_of, text_of};

const ORIGIN: &str = "http://localhost:5000";

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Returns the value of an attribute that a page has once.
fn attribute(html: &str, attribute: &str) -> String {
    let marker = format!(r#"{attribute}=""#);
    let value = html.split(&marker).nth(1).unwrap_or_else(|| panic!("no {attribute}: {html}"));
    value.split('"').next().unwrap().replace("&#34;", "\"").replace("&#38;", "&").replace("&#39;", "'")
}

/// Returns the fields of an answer to a new request.
async fn signed(browser: &Browser<'_>, device: &mut Authenticator) -> (String, String) {
    let asked: Value = json_of(browser.post("/login/passkey/options", "").await).await;
    (asked["state"].as_str().unwrap().to_owned(), device.sign(&asked["options"].to_string()))
}

/// Adds a passkey to an account with [`PASSWORD`] alone, on its pages.
async fn add(browser: &mut Browser<'_>, label: &str) -> Authenticator {
    let body = form(&[("current_password", PASSWORD), ("label", label)]);
    let asked = browser.post("/profile/passkeys", &body).await;
    assert_eq!((asked.status().as_u16(), header_of(&asked, "cache-control")), (200, "no-store"));
    let asked = text_of(asked).await;
    let mut device = Authenticator::new(ORIGIN);
    let answer = device.create(&attribute(&asked, "data-passkey-create"));
    let state = attribute(&asked, r#"name="passkey_state" value"#);
    let body = form(&[("passkey_state", &state), ("passkey_answer", &answer)]);
    let added = browser.post("/profile/passkeys/confirm", &body).await;
    assert_eq!(header_of(&added, "location"), "/profile/passkeys?notice=added");
    browser.renew(&added);
    device
}

#[tokio::test(start_paused = true)]
async fn passkey_is_added_renamed_and_removed_on_the_profile() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[]).await;
    let (mut browser, other) = (Browser::of(&app, "ana").await, Browser::of(&app, "ana").await);
    assert!(browser.text("/profile").await.contains(r#"<dd id="passkeys">None"#));
    let page = browser.text("/profile/passkeys").await;
    assert!(page.contains("No passkey.") && page.contains(r#"id="add-passkey""#), "{page}");
    for (body, field) in [
        (form(&[("label", "Phone")]), "current_password"),
        (form(&[("label", "Phone"), ("current_password", "wrong password here")]), "current_password"),
        (form(&[("current_password", PASSWORD)]), "label"),
    ] {
        let answer = browser.post("/profile/passkeys", &body).await;
        assert_eq!(answer.status(), 422, "{body}");
        let html = text_of(answer).await;
        assert!(html.contains(&format!(r#"id="wrong-{field}""#)), "{html}");
    }
    let mut device = add(&mut browser, "My <phone>").await;
    assert_eq!(other.get("/profile").await.status(), 303, "the other session ended");
    assert!(browser.text("/profile").await.contains(r#"<dd id="passkeys">1 passkey"#));
    let page = browser.text("/profile/passkeys").await;
    assert!(page.contains("My &#60;phone&#62;") && page.contains("Never"), "{page}");
    assert!(page.contains(r#"id="add-with-passkey""#) && !page.contains(r#"id="add-passkey""#), "{page}");
    assert!(page.contains(r#"data-passkey-host="localhost""#), "{page}");
    let again = browser.post("/profile/passkeys/confirm", "").await;
    assert_eq!(again.status(), 422);
    assert!(text_of(again).await.contains("The time is over"));

    let id = app.memory.passkeys(&name("ana")).await.unwrap().remove(0).id.to_string();
    let edit = format!("/profile/passkeys/edit?id={id}");
    let shown = browser.text(&edit).await;
    assert!(
        shown.contains(r#"value="My &#60;phone&#62;""#) && shown.contains(r#"id="remove-with-passkey""#),
        "{shown}"
    );
    let renamed = browser.post("/profile/passkeys/rename", &form(&[("id", &id), ("label", "")])).await;
    assert_eq!(renamed.status(), 422);
    let renamed = browser.post("/profile/passkeys/rename", &form(&[("id", &id), ("label", "Phone")])).await;
    assert_eq!(header_of(&renamed, "location"), "/profile/passkeys?notice=renamed");
    for missing in ["/profile/passkeys/edit", "/profile/passkeys/edit?id=1", &edit.replace(&id, &"0".repeat(32))] {
        assert_eq!(browser.get(missing).await.status(), 404, "{missing}");
    }

    let body = form(&[("id", &id), ("current_password", PASSWORD)]);
    let refused = browser.post("/profile/passkeys/remove", &body).await;
    assert_eq!(refused.status(), 422);
    assert!(text_of(refused).await.contains(r#"id="wrong-passkey""#));
    let (state, answer) = signed(&browser, &mut device).await;
    let fields = [("id", &*id), ("current_password", PASSWORD), ("passkey_state", &state), ("passkey_answer", &answer)];
    let removed = browser.post("/profile/passkeys/remove", &form(&fields)).await;
    assert_eq!(header_of(&removed, "location"), "/profile/passkeys?notice=removed");
    assert!(!app.memory.account(&name("ana")).await.unwrap().unwrap().has_second_factor);
}

#[tokio::test(start_paused = true)]
async fn passkey_signs_in_without_the_password() {
    let app = TestApp::with_factor_rule(FactorRule::Off);
    create_user(&app, "ana", None, &[]).await;
    let mut device = add(&mut Browser::of(&app, "ana").await, "Phone").await;
    let browser = Browser::new(&app);
    let page = browser.text("/login").await;
    assert!(page.contains(r#"autocomplete="username webauthn""#), "{page}");
    assert!(page.contains("data-passkey-autofill") && page.contains("/assets/passkey.js?v="), "{page}");
    assert!(page.contains(r#"<p class="actions" data-passkey-shown hidden>"#), "hidden without the script: {page}");
    let options = browser.post("/login/passkey/options", "").await;
    assert_eq!(
        (header_of(&options, "content-type"), header_of(&options, "cache-control")),
        ("application/json", "no-store")
    );
    let (state, answer) = signed(&browser, &mut device).await;
    let body = form(&[("passkey_state", &state), ("passkey_answer", &answer), ("next", "/scans?status=failed")]);
    let signed_in = browser.post("/login/passkey", &body).await;
    assert_eq!(header_of(&signed_in, "location"), "/scans?status=failed");
    let cookie = header_of(&signed_in, "set-cookie");
    assert!(cookie.starts_with("kastrel-session=") && cookie.contains("; HttpOnly"), "{cookie}");
    let inside = Browser::with_cookie(&app, cookie.split(';').next().unwrap());
    assert_eq!(inside.get("/profile").await.status(), 200);

    let again = browser.post("/login/passkey", &body).await;
    assert_eq!(again.status(), 401, "it was used");
    let html = text_of(again).await;
    assert!(html.contains(r#"id="wrong-passkey""#) && html.contains("This passkey was not accepted"), "{html}");
    assert!(html.contains(r#"name="next" value="/scans?status=failed""#), "{html}");
    assert_eq!(browser.post("/login/passkey", "").await.status(), 401);
    let away = form(&[("next", "https://evil.example/")]);
    assert!(!text_of(browser.post("/login/passkey", &away).await).await.contains("evil.example"));
    assert_eq!(browser.post("/login/passkey", "").await.status(), 401);
    let throttled = browser.post("/login/passkey", "").await;
    assert_eq!(throttled.status(), 429);
    assert!(!header_of(&throttled, "retry-after").is_empty());
}

#[tokio::test(start_paused = true)]
async fn password_of_an_account_with_a_passkey_leads_to_the_passkey() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[]).await;
    let mut device = add(&mut Browser::of(&app, "ana").await, "Phone").await;
    let body = form(&[("name", "ana"), ("password", PASSWORD), ("next", "/scans")]);
    let answer = Browser::new(&app).post("/login", &body).await;
    assert_eq!(header_of(&answer, "location"), "/login/code?next=%2Fscans");
    let browser = Browser::with_cookie(&app, header_of(&answer, "set-cookie").split(';').next().unwrap());
    let page = browser.text("/login/code?next=%2Fscans").await;
    assert!(page.contains(r#"id="use-passkey""#) && !page.contains(r#"id="send-code""#), "{page}");
    assert!(page.contains("Passkeys need JavaScript"), "{page}");
    assert_eq!(browser.get("/login/second-factor").await.status(), 410, "no app in its place");
    let refused = browser.post("/login/code/passkey", "").await;
    assert_eq!(refused.status(), 401);
    assert!(text_of(refused).await.contains(r#"id="wrong-passkey""#));
    let (state, answer) = signed(&browser, &mut device).await;
    let body = form(&[("passkey_state", &state), ("passkey_answer", &answer), ("next", "/scans")]);
    let signed_in = browser.post("/login/code/passkey", &body).await;
    assert_eq!(header_of(&signed_in, "location"), "/scans");
    assert_eq!(browser.post("/login/code/passkey", &body).await.status(), 410, "it has ended");
    assert_eq!(Browser::new(&app).post("/login/code/passkey", "").await.status(), 410);
}

#[tokio::test(start_paused = true)]
async fn app_is_set_up_beside_a_passkey_with_that_passkey() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[]).await;
    let mut browser = Browser::of(&app, "ana").await;
    let mut device = add(&mut browser, "Phone").await;
    let page = browser.text("/profile/second-factor").await;
    assert!(page.contains(r#"id="set-up-with-passkey""#) && !page.contains(r#"id="set-up-factor""#), "{page}");
    let refused = browser.post("/profile/second-factor", &form(&[("current_password", PASSWORD)])).await;
    assert_eq!(refused.status(), 422);
    let (state, answer) = signed(&browser, &mut device).await;
    let fields = [("current_password", PASSWORD), ("passkey_state", &*state), ("passkey_answer", &answer)];
    let asked = browser.post("/profile/second-factor", &form(&fields)).await;
    assert_eq!(asked.status(), 200);
    assert!(text_of(asked).await.contains(r#"id="totp-secret""#));
}

#[tokio::test(start_paused = true)]
async fn administrator_sees_passkeys_and_removes_them_with_the_factor() {
    let app = TestApp::with_accounts();
    create_user(&app, "ana", None, &[]).await;
    add(&mut Browser::of(&app, "ana").await, "Phone").await;
    let admin = Browser::of_new(&app, "root", Some(ServerRole::Admin), &[]).await;
    let page = admin.text("/accounts/ana").await;
    assert!(page.contains(r#"<dd id="passkeys">1 passkey"#) && page.contains(r#"id="remove-factor""#), "{page}");
    let question = text_of(admin.post("/accounts/ana/second-factor/remove", "").await).await;
    assert!(question.contains("its passkeys are removed"), "{question}");
    let removed = admin.post("/accounts/ana/second-factor/remove", "confirmed=yes").await;
    assert_eq!(header_of(&removed, "location"), "/accounts/ana?notice=second-factor");
    assert_eq!(app.memory.passkeys(&name("ana")).await.unwrap(), []);
    assert!(!admin.text("/accounts/ana").await.contains(r#"id="passkeys""#));
}
