//! The connection to the mail server.

use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model::MailAddress;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::Error as TransportError;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::ports::{Mail, MailError, Mailer};

/// The most of a response of the mail server that an error repeats, in characters.
const MOST_OF_RESPONSE: usize = 300;
/// Runs of so many hexadecimal digits are left out of an error: they may be the secret of a link.
const SECRET_DIGITS: usize = 32;

/// The settings of the mail server cannot be used. The error does not repeat the URL.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// The URL cannot be used.
    #[error("the URL of the mail server cannot be used: {0}")]
    Url(String),
    /// The sender is not a mail address.
    #[error("the sender of mails is not a mail address")]
    Sender(#[source] lettre::address::AddressError),
}

/// Hands mails to a mail server. See the module documentation.
#[derive(Clone)]
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    limit: Duration,
}

impl SmtpMailer {
    /// Uses the mail server at `url`: `smtps://user:password@host:port`,
    /// `smtp://host:port?tls=required`, or without TLS `smtp://host:port`. Mails have the sender
    /// `from` with a name that may be empty. `limit` is for each mail. Connects to nothing yet.
    ///
    /// # Errors
    /// The URL or the sender cannot be used.
    pub fn new(url: &str, (name, from): (&str, &MailAddress), limit: Duration) -> Result<Self, SmtpError> {
        let address = address(from).map_err(SmtpError::Sender)?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error| SmtpError::Url(cause_of(&error)))?
            .hello_name(ClientId::Domain(address.domain().to_owned()))
            .timeout(Some(limit))
            .build();
        let name = (!name.is_empty()).then(|| name.to_owned());
        Ok(Self { transport, from: Mailbox::new(name, address), limit })
    }

    fn message(&self, mail: Mail) -> Result<Message, MailError> {
        let Mail { to, subject, text } = mail;
        let refused = |why: String| MailError::Refused(why);
        let to = address(&to).map_err(|error| refused(error.to_string()))?;
        let id = format!("<{}@{}>", uuid::Uuid::new_v4().simple(), self.from.email.domain());
        // RFC 3834: keeps programs that answer mails from answering this one.
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .message_id(Some(id))
            .raw_header(automatic)
            .singlepart(SinglePart::plain(text))
            .map_err(|error| refused(error.to_string()))
    }

    async fn within_limit<T>(
        &self,
        call: impl Future<Output = Result<T, TransportError>> + Send,
    ) -> Result<T, MailError> {
        // The limit of the transport is for each step of a conversation, this one for all of it.
        match tokio::time::timeout(self.limit, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.is_timeout() => Err(MailError::TimedOut(self.limit)),
            Ok(Err(error)) if error.is_permanent() || error.is_transient() => {
                Err(MailError::Refused(shown(&full(&error))))
            }
            Ok(Err(error)) => Err(MailError::Unreachable(shown(&full(&error)))),
            Err(_) => Err(MailError::TimedOut(self.limit)),
        }
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let message = self.message(mail)?;
        self.within_limit(self.transport.send(message)).await.map(drop)
    }

    async fn check(&self) -> Result<(), MailError> {
        if self.within_limit(self.transport.test_connection()).await? {
            Ok(())
        } else {
            Err(MailError::Refused("it closed the connection".to_owned()))
        }
    }
}

impl std::fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpMailer").field("from", &self.from).finish_non_exhaustive()
    }
}

/// Converts an address. Each address of the model is one of the transport; a test holds it.
fn address(mail: &MailAddress) -> Result<Address, lettre::address::AddressError> {
    mail.as_str().parse()
}

/// Returns an error with its causes. The text of the transport names the kind and the code.
fn full(error: &TransportError) -> String {
    let own = error.to_string();
    let cause = cause_of(error);
    if cause.is_empty() || own.contains(&cause) { own } else { format!("{own}: {cause}") }
}

/// Returns the innermost cause of an error.
fn cause_of(error: &TransportError) -> String {
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause.and_then(std::error::Error::source) {
        cause = Some(next);
    }
    cause.map(ToString::to_string).unwrap_or_default()
}

/// Returns a text of a mail server as one short line without secrets.
pub(super) fn shown(text: &str) -> String {
    let mut line = String::new();
    let mut digits = String::new();
    for c in text.chars().take(MOST_OF_RESPONSE).chain(['\n']) {
        if c.is_ascii_hexdigit() {
            digits.push(c);
            continue;
        }
        if digits.len() >= SECRET_DIGITS {
            line.push('…');
        } else {
            line.push_str(&digits);
        }
        digits.clear();
        line.push(if c.is_control() { ' ' } else { c });
    }
    line.trim().to_owned()
}
