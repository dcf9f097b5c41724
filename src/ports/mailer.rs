//! The sender of mails.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model::MailAddress;

/// A mail: plain text, for one recipient.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The recipient.
    pub to: MailAddress,
    /// The subject. It is a constant, so nothing that somebody entered gets into a header.
    pub subject: &'static str,
    /// The text. It may have the secret of a link, so `Debug` does not show it.
    pub text: String,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("to", &self.to).field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// A mail that was not sent. No error repeats the text of the mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The mail server refused the mail, the sender, the recipient or the credentials.
    #[error("the mail server refused: {0}")]
    Refused(String),
    /// The mail server did not respond in time. It may have accepted the mail.
    #[error("the mail server did not respond within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The mail server cannot be reached, or its certificate is not valid.
    #[error("failed to reach the mail server: {0}")]
    Unreachable(String),
}

/// Hands mails to a mail server.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Hands over a mail. `Ok` means that the mail server accepted it. It is tried once.
    async fn send(&self, mail: Mail) -> Result<(), MailError>;

    /// Connects to the mail server and signs in to it, and sends nothing.
    async fn check(&self) -> Result<(), MailError>;
}
