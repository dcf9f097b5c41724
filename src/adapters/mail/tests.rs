//! Tests with mail servers that refuse, stay silent or quote what they got. They are servers of
//! this file, because a real one does none of that on request; `tests/integration/product/mail.rs`
//! has a real one.

use std::net::SocketAddr;
use std::time::Duration;

use kastrel_actors::model::MailAddress;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::smtp::shown;
use super::{SmtpError, SmtpMailer};
use crate::ports::{Mail, MailError, Mailer as _};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn mail() -> Mail {
    let text = format!("Grüße an ana,\n.\nhttps://scans.example.com/set-password?link={SECRET}\n");
    Mail { to: "ana@example.com".parse().unwrap(), subject: "Kastrel: test", text }
}

fn mailer(server: SocketAddr, limit: Duration) -> SmtpMailer {
    let from: MailAddress = "kastrel@example.com".parse().unwrap();
    SmtpMailer::new(&format!("smtp://{server}"), ("Kästrel", &from), limit).unwrap()
}

/// Starts a server that answers each command with what `answer` returns; `None` is silence. It
/// reports the lines that it got.
async fn server(
    answer: impl Fn(&str) -> Option<String> + Send + Clone + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (lines, got) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (answer, lines) = (answer.clone(), lines.clone());
            tokio::spawn(async move {
                let (from_client, mut to_client) = client.into_split();
                let mut from_client = BufReader::new(from_client).lines();
                let (mut command, mut is_data) = ("CONNECT".to_owned(), false);
                loop {
                    if let Some(answer) = answer(&command).filter(|_| !is_data) {
                        is_data = answer.starts_with("354");
                        if to_client.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                            return;
                        }
                    }
                    let Ok(Some(line)) = from_client.next_line().await else { return };
                    let _ = lines.send(line.clone());
                    is_data = is_data && line != ".";
                    command = line;
                }
            });
        }
    });
    (address, got)
}

/// The answers of a server that accepts everything.
fn accepting(command: &str) -> Option<String> {
    let answer = match command.split(' ').next().unwrap_or_default() {
        "CONNECT" => "220 ready",
        "EHLO" => "250 mail.example.com",
        "DATA" => "354 go on",
        "QUIT" => "221 bye",
        _ => "250 ok",
    };
    Some(answer.to_owned())
}

#[tokio::test]
async fn mail_is_plain_text_with_constant_headers() {
    let (address, mut got) = server(accepting).await;
    let mailer = mailer(address, Duration::from_secs(10));
    mailer.check().await.unwrap();
    mailer.send(mail()).await.unwrap();
    drop(mailer);
    let mut lines = Vec::new();
    while let Ok(Some(line)) = tokio::time::timeout(Duration::from_secs(10), got.recv()).await {
        let is_end = line.starts_with("QUIT") && lines.iter().any(|line| line == "DATA");
        lines.push(line);
        if is_end {
            break;
        }
    }
    let all = lines.join("\n");
    for part in [
        "EHLO example.com",
        "MAIL FROM:<kastrel@example.com>",
        "RCPT TO:<ana@example.com>",
        "To: ana@example.com",
        "Subject: Kastrel: test",
        "Auto-Submitted: auto-generated",
        "Content-Type: text/plain; charset=utf-8",
        "@example.com>",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert_eq!(all.matches("RCPT TO:").count(), 1, "{all}");
}

#[tokio::test]
async fn refusal_has_the_reason_and_not_the_secret() {
    for (refused, answer) in
        [("MAIL", "550 5.7.1 you may not send from here"), ("RCPT", "450 4.2.1 mailbox busy"), (".", "554 5.7.1 spam")]
    {
        let (address, _got) = server(move |command: &str| {
            if command.split(' ').next() == Some(refused) {
                Some(format!("{answer}: https://scans.example.com/set-password?link={SECRET}"))
            } else {
                accepting(command)
            }
        })
        .await;
        let error = mailer(address, Duration::from_secs(10)).send(mail()).await.unwrap_err();
        assert!(matches!(error, MailError::Refused(_)), "{refused}: {error:?}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(&answer[..3]) && !text.contains(&SECRET[..32]), "{refused}: {text}");
    }
}

#[tokio::test]
async fn server_that_stays_silent_is_left_after_the_limit() {
    for silent in ["CONNECT", "RCPT", "."] {
        let (address, _got) =
            server(move |command: &str| accepting(command).filter(|_| command.split(' ').next() != Some(silent))).await;
        let limit = Duration::from_millis(300);
        let error = mailer(address, limit).send(mail()).await.unwrap_err();
        assert_eq!(error, MailError::TimedOut(limit), "{silent}");
    }
}

#[tokio::test]
async fn server_that_is_gone_or_has_no_tls_is_not_used() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let error = mailer(gone, Duration::from_secs(10)).send(mail()).await.unwrap_err();
    assert!(matches!(error, MailError::Unreachable(_)), "{error:?}");
    let (plain, mut got) = server(accepting).await;
    let from: MailAddress = "kastrel@example.com".parse().unwrap();
    let url = format!("smtp://user:hunter2@{plain}?tls=required");
    let with_tls = SmtpMailer::new(&url, ("", &from), Duration::from_secs(10)).unwrap();
    let error = with_tls.send(mail()).await.unwrap_err();
    assert!(!format!("{error:?} {with_tls:?}").contains("hunter2"), "{error:?}");
    drop(with_tls);
    let mut sent = Vec::new();
    while let Ok(line) = got.try_recv() {
        sent.push(line);
    }
    assert!(!sent.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{sent:?}");
}

#[test]
fn url_that_cannot_be_used_is_not_repeated() {
    let from: MailAddress = "kastrel@example.com".parse().unwrap();
    for url in ["http://user:hunter2@mail.example.com", "smtp://user:hunter2@", "hunter2"] {
        let error = SmtpMailer::new(url, ("", &from), Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, SmtpError::Url(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn each_address_of_the_model_is_one_of_the_transport() {
    for text in
        ["ana@example.com", "Ana.B+scans@Example.COM", "a@localhost", "o'neil@x-1.example", "#!$%&'*+/=?^_`{|}~-@a.b"]
    {
        let mail: MailAddress = text.parse().unwrap();
        let parsed: lettre::Address = mail.as_str().parse().unwrap();
        assert_eq!(parsed.to_string(), text);
    }
}

#[test]
fn response_is_one_short_line_without_secrets() {
    assert_eq!(shown(&format!("550 no\r\nlink={SECRET}!")), "550 no  link=…!");
    assert_eq!(shown(&format!("link={SECRET}")), "link=…");
    assert_eq!(shown("code 0123456789abcdef"), "code 0123456789abcdef");
    assert_eq!(shown(&"x".repeat(9999)).chars().count(), 300);
}
