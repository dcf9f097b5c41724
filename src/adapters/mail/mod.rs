//! Sends mails through a mail server, over SMTP: the port [`Mailer`](crate::ports::Mailer).
//!
//! - **Each mail** is plain text for one recipient, over a connection of its own, tried once.
//! - **TLS** checks the certificate with the certificates that the system trusts.
//! - **Headers** have the configured sender, one parsed address and a constant subject.
//! - **Never** repeats the text of a mail in an error: a mail server may quote it in its response.

mod smtp;
#[cfg(test)]
mod tests;

pub use smtp::{SmtpError, SmtpMailer};
