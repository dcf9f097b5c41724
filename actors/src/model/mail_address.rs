//! The mail address of an account, a change of it that waits for its confirmation, and a one-time
//! link that is sent to it.

use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccountName, SecretDigest};

/// A mail address: `local@domain`, in ASCII, without quotes, comments and a display name. So it has
/// no character that could end a header of a mail or a command of SMTP.
///
/// Addresses that differ only in the case of letters are those of one mailbox: see
/// [`is_same_mailbox`](Self::is_same_mailbox). The address is kept as it was entered, because the
/// mail server decides about its first part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailAddress(String);

text_id!(MailAddress);

/// The text is not a mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a mail address such as ana@example.com: up to 254 ASCII characters, without blanks, quotes and a name"
)]
pub struct ParseMailAddressError;

impl MailAddress {
    /// The largest length, in characters.
    pub const MAX: usize = 254;
    /// The largest length of the part before the `@`, in characters.
    const MOST_OF_LOCAL: usize = 64;
    /// The largest length of a label of the domain, in characters.
    const MOST_OF_LABEL: usize = 63;

    /// Returns true if both are addresses of one mailbox: they differ at most in the case of
    /// letters.
    #[must_use]
    pub fn is_same_mailbox(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl FromStr for MailAddress {
    type Err = ParseMailAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (local, domain) = text.split_once('@').ok_or(ParseMailAddressError)?;
        let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
        let is_local = local.len() <= Self::MOST_OF_LOCAL
            && local.split('.').all(|part| !part.is_empty() && part.bytes().all(is_atom));
        let is_label = |label: &str| {
            (1..=Self::MOST_OF_LABEL).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A domain whose last label is a number would be an IP address.
        let is_name = domain.split('.').all(is_label)
            && domain.rsplit('.').next().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()));
        if text.len() <= Self::MAX && is_local && is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseMailAddressError)
        }
    }
}

/// A new mail address of an account that waits for its confirmation, with a link that is sent to
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRequest {
    /// The digest of the secret of the link.
    pub key: SecretDigest,
    /// The account.
    pub account: AccountName,
    /// The new address.
    pub mail: MailAddress,
    /// When the link expires.
    pub expires_at: Timestamp,
}

/// A one-time link for a password that is sent to the mail address of its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailedLink {
    /// The digest of its secret.
    pub key: SecretDigest,
    /// The account.
    pub account: AccountName,
    /// The address to which it is sent.
    pub mail: MailAddress,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The network address of the client that requested it; `None` if an administrator sends it.
    pub address: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_address_is_plain_and_bounded() {
        let long = format!("{}@{}.example", "a".repeat(64), "b".repeat(63));
        for text in ["ana@example.com", "Ana.B+scans@Example.COM", "a@localhost", "o'neil@x-1.example", "a@1.2x", &long]
        {
            let mail: MailAddress = text.parse().unwrap();
            assert_eq!(mail.as_str(), text);
            let json = serde_json::to_string(&mail).unwrap();
            assert_eq!(serde_json::from_str::<MailAddress>(&json).unwrap(), mail);
        }
        for text in [
            "",
            "ana",
            "@example.com",
            "ana@",
            "a@b@c.example",
            "ana @example.com",
            "ana@example.com ",
            "Ana <ana@example.com>",
            "\"ana\"@example.com",
            "ana@example.com\r\nBcc: ben@example.com",
            "ana\n@example.com",
            "ana@exa\0mple.com",
            ".ana@example.com",
            "ana.@example.com",
            "a..b@example.com",
            "ana@-example.com",
            "ana@example-.com",
            "ana@example..com",
            "ana@example.com.",
            "ana@[192.0.2.1]",
            "ana@192.0.2.1",
            "änä@example.com",
            "ana@exämple.com",
            "ana,ben@example.com",
            "ana;ben@example.com",
            "ana:ben@example.com",
            "-oProxy(x)@example.com",
            &format!("{}@example.com", "a".repeat(65)),
            &format!("ana@{}.example", "b".repeat(64)),
            &format!("ana@{}example", "b.".repeat(125)),
        ] {
            assert_eq!(text.parse::<MailAddress>(), Err(ParseMailAddressError), "{text:?}");
        }
    }

    #[test]
    fn case_of_letters_makes_no_other_mailbox() {
        let mail = |text: &str| text.parse::<MailAddress>().unwrap();
        assert!(mail("Ana@Example.com").is_same_mailbox(&mail("ana@example.COM")));
        assert!(!mail("ana@example.com").is_same_mailbox(&mail("ann@example.com")));
    }
}
