//! Tests of the pages of forgotten passwords and mail addresses.

use std::sync::Arc;

use kastrel_actors::model::{MailAddress, Principal, ServerRole};
use kastrel_actors::ports::{AccessStore as _, MailStore as _};

use super::testing::{Browser, PASSWORD, create_user, element, name};
use crate::ports::{Mail, MemoryMailer};
use crate::web::testing::{TestApp, header_of, text_of};

const ANSWER: &str = "If an account matches and has a mail address, a link is on its way.";
const NEW_PASSWORD: &str = "a violet tram climbs slowly";

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn mails(app: &TestApp, mailer: &MemoryMailer) -> Vec<Mail> {
    app.web().access().finish_mails(std::time::Duration::from_secs(60)).await;
    mailer.take()
}

/// Returns the path of the link in a mail.
fn path_of(mail: &Mail) -> &str {
    let (_, rest) = mail.text.split_once("https://scans.test").unwrap();
    rest.lines().next().unwrap()
}

async fn with_ana() -> (TestApp, Arc<MemoryMailer>) {
    let (app, mailer) = TestApp::with_mails();
    create_user(&app, "ana", None, &[]).await;
    let mail: MailAddress = "ana@example.com".parse().unwrap();
    assert!(app.memory.set_mail(&name("ana"), Some(&mail), &Principal::System).await.unwrap());
    (app, mailer)
}

#[tokio::test]
async fn forgotten_password_is_replaced_with_a_mailed_link() {
    let (app, mailer) = with_ana().await;
    let browser = Browser::new(&app);
    assert!(browser.text("/login").await.contains(r#"href="/forgot-password""#));
    let page = browser.text("/forgot-password").await;
    assert!(page.contains(r#"id="field-name""#) && page.contains(r#"autocomplete="username""#), "{page}");
    assert_eq!(browser.post("/forgot-password", "name=+").await.status(), 422);
    let answer = browser.post("/forgot-password", "name=ana").await;
    assert_eq!((answer.status().as_u16(), header_of(&answer, "cache-control")), (200, "no-store"));
    assert!(text_of(answer).await.contains(ANSWER));
    let sent = mails(&app, &mailer).await;
    let path = path_of(&sent[0]);
    let page = browser.text(path).await;
    let link = path.split_once("link=").unwrap().1;
    assert!(page.contains(link) && page.contains("For the account ana"), "{page}");
    let body = form(&[("link", link), ("password", NEW_PASSWORD), ("repeat", NEW_PASSWORD)]);
    assert_eq!(browser.lead("/set-password", &body).await, (303, "/login?notice=password".into()));
    let body = form(&[("name", "ana"), ("password", NEW_PASSWORD)]);
    assert_eq!(browser.lead("/login", &body).await, (303, "/".into()));
    assert_eq!(browser.get(path).await.status(), 410);
    assert_eq!(mails(&app, &mailer).await[0].subject, "Kastrel: your password was changed");
}

#[tokio::test]
async fn answer_to_a_request_is_the_same_for_every_name() {
    let (app, mailer) = with_ana().await;
    create_user(&app, "ben", None, &[]).await;
    let browser = Browser::new(&app);
    let mut pages = Vec::new();
    for typed in ["ana", "ana@example.com", "ben", "nobody", "no name", "<b>\"x"] {
        let answer = browser.post("/forgot-password", &form(&[("name", typed)])).await;
        assert_eq!(answer.status(), 200, "{typed}");
        pages.push(text_of(answer).await);
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:?}");
    assert_eq!(mails(&app, &mailer).await.len(), 2);
}

#[tokio::test]
async fn network_with_many_requests_gets_429() {
    let (app, _mailer) = with_ana().await;
    let browser = Browser::new(&app);
    for _ in 0..10 {
        assert_eq!(browser.post("/forgot-password", "name=nobody").await.status(), 200);
    }
    let refused = browser.post("/forgot-password", "name=nobody").await;
    assert_eq!(refused.status(), 429);
    assert!(header_of(&refused, "retry-after").parse::<u64>().unwrap() > 3000, "{refused:?}");
}

#[tokio::test]
async fn server_without_mails_has_no_page_for_forgotten_passwords() {
    let app = TestApp::with_accounts();
    let browser = Browser::new(&app);
    assert!(!browser.text("/login").await.contains("/forgot-password"));
    assert_eq!(browser.get("/forgot-password").await.status(), 404);
    assert_eq!(browser.post("/forgot-password", "name=ana").await.status(), 404);
}

#[tokio::test]
async fn own_address_is_confirmed_with_the_link_in_the_new_mailbox() {
    let (app, mailer) = with_ana().await;
    let browser = Browser::of(&app, "ana").await;
    assert_eq!(element(&browser.text("/profile").await, "mail"), "ana@example.com ");
    let body = form(&[("current_password", "wrong"), ("mail", "new@example.com")]);
    let refused = browser.post("/profile/mail", &body).await;
    assert_eq!(refused.status(), 422);
    assert!(text_of(refused).await.contains(r#"value="new@example.com""#));
    let body = form(&[("current_password", PASSWORD), ("mail", "new@example.com")]);
    let page = text_of(browser.post("/profile/mail", &body).await).await;
    assert!(page.contains("A link was sent to new@example.com"), "{page}");
    assert_eq!(element(&page, "mail"), "ana@example.com");
    let sent = mails(&app, &mailer).await;
    assert_eq!((sent[0].to.as_str(), sent[1].to.as_str()), ("new@example.com", "ana@example.com"));
    let path = path_of(&sent[0]);
    // Another browser, which is not signed in, and a program that opens links twice.
    let other = Browser::new(&app);
    for _ in 0..2 {
        let shown = other.get(path).await;
        assert_eq!(header_of(&shown, "referrer-policy"), "strict-origin");
        assert!(element(&text_of(shown).await, "to-confirm").contains("new@example.com"));
    }
    let body = form(&[("link", path.split_once("link=").unwrap().1)]);
    let done = text_of(other.post("/confirm-mail", &body).await).await;
    assert!(element(&done, "confirmed").contains("new@example.com"), "{done}");
    assert_eq!(other.post("/confirm-mail", &body).await.status(), 410);
    assert_eq!(other.get(path).await.status(), 410);
    for wrong in ["/confirm-mail", "/confirm-mail?link=x"] {
        assert_eq!(other.get(wrong).await.status(), 410, "{wrong}");
    }
    assert_eq!(app.memory.account(&name("ana")).await.unwrap().unwrap().mail.unwrap().as_str(), "new@example.com");
    let body = form(&[("current_password", PASSWORD), ("mail", "")]);
    assert_eq!(browser.lead("/profile/mail", &body).await, (303, "/profile?notice=mail-removed".into()));
}

#[tokio::test]
async fn administrator_sets_the_address_of_others_and_mails_the_first_link() {
    let (app, mailer) = with_ana().await;
    let admin = Browser::of_new(&app, "root", Some(ServerRole::Admin), &[]).await;
    let page = admin.text("/accounts/ana").await;
    assert!(page.contains(r#"id="field-mail""#) && page.contains(r#"value="ana@example.com""#), "{page}");
    assert_eq!(admin.post("/accounts/ana/mail", "mail=ana").await.status(), 422);
    assert_eq!(
        admin.lead("/accounts/ana/mail", "mail=a%40example.org").await,
        (303, "/accounts/ana?notice=mail".into())
    );
    assert!(!admin.text("/accounts/root").await.contains(r#"id="field-mail""#), "the own one is on the profile");
    mails(&app, &mailer).await;
    assert!(admin.text("/accounts").await.contains(r#"id="field-send_link""#));
    let body = form(&[("name", "ben"), ("kind", "user"), ("mail", "ben@example.com"), ("send_link", "yes")]);
    assert_eq!(admin.lead("/accounts", &body).await, (303, "/accounts/ben?notice=mailed".into()));
    let sent = mails(&app, &mailer).await;
    assert_eq!((sent[0].to.as_str(), sent[0].subject), ("ben@example.com", "Kastrel: your new account"));
    assert!(admin.text(path_of(&sent[0])).await.contains("For the account ben"));
    let refused = admin.post("/accounts", &form(&[("name", "cy"), ("kind", "user"), ("send_link", "yes")])).await;
    assert_eq!(refused.status(), 422);
    assert!(text_of(refused).await.contains(r#"id="wrong-send_link""#));
}
