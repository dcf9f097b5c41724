//! Tests of a server that hands mails to a real mail server, and of the commands about mails.

use serde_json::Value;

use super::app::TestApp;
use crate::smtp_server::SmtpServer;

/// The password of the mail server, as a URL has it.
const RIGHT: &str = "p%40ss%20word";
const NEW_PASSWORD: &str = "a violet tram climbs slowly";

fn prepared(smtp: &SmtpServer, password: &str) -> TestApp {
    TestApp::prepare(&[
        ("KASTREL_AUTH_MODE", "local"),
        ("KASTREL_PUBLIC_URL", "https://scans.example.com"),
        ("KASTREL_MAIL__SMTP_URL", &smtp.url(password)),
        ("KASTREL_MAIL__FROM", "Kästrel <kastrel@example.com>"),
        ("KASTREL_MAIL__TIMEOUT_SECONDS", "30"),
        ("SSL_CERT_FILE", smtp.certificate.to_str().unwrap()),
    ])
}

/// Returns the path of the link in a mail, on the public address of the server.
fn path_of(mail: &Value) -> String {
    let text = mail["text"].as_str().unwrap();
    let (_, rest) = text.split_once("https://scans.example.com").unwrap_or_else(|| panic!("no link: {text}"));
    rest.lines().next().unwrap().to_owned()
}

/// Sends a form as a browser does from Kastrel's own page. Returns the status and where it leads.
async fn post(app: &TestApp, path: &str, pairs: &[(&str, &str)]) -> (u16, String) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let answer = client
        .post(format!("{}{path}", app.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
        .body(body)
        .send()
        .await
        .unwrap();
    let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), location.unwrap_or_default())
}

#[tokio::test]
async fn forgotten_password_is_reset_by_mail_and_the_new_one_signs_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut smtp = SmtpServer::start(folder.path()).await;
    let mut app = prepared(&smtp, RIGHT);
    app.restart().await;
    // The first link of a new account.
    let created = app.run(&["user", "create", "ana", "--admin", "--mail", "ana@example.com", "--send-link"]).await;
    assert_eq!(created.code, Some(0), "{}", created.stderr);
    assert!(created.stdout.contains("mailed to ana@example.com") && !created.stdout.contains("link="), "{created:?}");
    let first = smtp.next().await;
    assert_eq!((&first["from"], &first["to"][0]), (&"kastrel@example.com".into(), &"ana@example.com".into()));
    let path = path_of(&first);
    let link = path.split_once("link=").unwrap().1.to_owned();
    let old = [
        ("link", link.as_str()),
        ("password", "seven lamps behind the harbour"),
        ("repeat", "seven lamps behind the harbour"),
    ];
    assert_eq!(post(&app, "/set-password", &old).await.0, 303);
    assert!(smtp.next().await["text"].as_str().unwrap().contains("password of the account ana on Kastrel was changed"));

    // The request of somebody who is not signed in. A name that does not exist has the same answer.
    assert!(app.text("/login").await.contains("/forgot-password"));
    for typed in ["nobody", "ANA@example.com"] {
        assert_eq!(post(&app, "/forgot-password", &[("name", typed)]).await.0, 200, "{typed}");
    }
    let mail = smtp.next().await;
    let data = mail["data"].as_str().unwrap();
    for part in ["Auto-Submitted: auto-generated", "charset=utf-8", "To: ana@example.com"] {
        assert!(data.contains(part), "{part}: {data}");
    }
    let text = mail["text"].as_str().unwrap();
    assert!(text.contains("127.0.0.1") && text.contains("60 minutes"), "{text}");
    let path = path_of(&mail);
    assert!(app.text(&path).await.contains("For the account ana"));
    let link = path.split_once("link=").unwrap().1.to_owned();
    let new = [("link", link.as_str()), ("password", NEW_PASSWORD), ("repeat", NEW_PASSWORD)];
    assert_eq!(post(&app, "/set-password", &new).await, (303, "/login?notice=password".into()));
    assert_eq!(post(&app, "/set-password", &new).await.0, 410, "it works once");
    assert_eq!(post(&app, "/login", &[("name", "ana"), ("password", NEW_PASSWORD)]).await, (303, "/".into()));
    let old = [("name", "ana"), ("password", "seven lamps behind the harbour")];
    assert_eq!(post(&app, "/login", &old).await.0, 401);
    assert!(smtp.next().await["text"].as_str().unwrap().contains("was changed"));

    let entries = app.run(&["audit", "list", "--json"]).await.stdout;
    assert!(entries.contains("password_link_mailed") && !entries.contains(&link), "{entries}");
    app.terminate_server().await;
    // A command on the data folder sends its notice before it ends.
    let changed = app.run(&["user", "mail", "ana", "new@example.com"]).await;
    assert_eq!(changed.code, Some(0), "{}", changed.stderr);
    let notice = smtp.next().await;
    assert_eq!(notice["to"][0], "ana@example.com");
    assert!(notice["text"].as_str().unwrap().contains("not the mail address of the account ana"), "{notice}");
}

#[tokio::test]
async fn doctor_checks_the_mail_server_and_sends_a_test_mail() {
    let folder = tempfile::tempdir().unwrap();
    let mut smtp = SmtpServer::start(folder.path()).await;
    let app = prepared(&smtp, RIGHT);
    let checked = app.run(&["doctor", "--mail", "ana@example.com"]).await;
    assert!(checked.stdout.contains("accepts mails"), "{}{}", checked.stdout, checked.stderr);
    let mail = smtp.next().await;
    assert_eq!(mail["to"][0], "ana@example.com");
    let checked = app.run(&["doctor"]).await;
    assert!(checked.stdout.contains("accepts mails"), "{}", checked.stdout);

    let wrong = prepared(&smtp, "wrong-hunter2");
    let refused = wrong.run(&["doctor"]).await;
    assert!(refused.stdout.contains("cannot be used") && refused.stdout.contains("535"), "{}", refused.stdout);
    assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
}
