//! Who a person is at an identity provider, and sign-ins that wait for the provider.

use std::fmt;

use jiff::Timestamp;

use super::{AccountName, SecretDigest};

/// The identity of a person at an identity provider: the issuer, and the subject that this issuer
/// never gives to another person. Names and mail addresses are no identity: providers change them
/// and give them to others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderIdentity {
    issuer: String,
    subject: String,
}

/// The issuer or the subject cannot be that of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProviderIdentityError {
    /// The issuer is wrong.
    #[error("an issuer is a URL of up to {} characters", ProviderIdentity::MOST_OF_ISSUER)]
    Issuer,
    /// The subject is wrong.
    #[error(
        "a subject has 1 to {} characters, without spaces and control characters",
        ProviderIdentity::MOST_OF_SUBJECT
    )]
    Subject,
}

impl ProviderIdentity {
    /// The longest issuer, in bytes.
    pub const MOST_OF_ISSUER: usize = 500;
    /// The longest subject, in bytes.
    pub const MOST_OF_SUBJECT: usize = 255;

    /// Returns the identity with this issuer and subject. Both are compared byte by byte.
    ///
    /// # Errors
    /// One of them is empty, too long, or has spaces or control characters.
    pub fn new(issuer: impl Into<String>, subject: impl Into<String>) -> Result<Self, ProviderIdentityError> {
        let (issuer, subject) = (issuer.into(), subject.into());
        let is_plain = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        };
        if !is_plain(&issuer, Self::MOST_OF_ISSUER) {
            return Err(ProviderIdentityError::Issuer);
        }
        if !is_plain(&subject, Self::MOST_OF_SUBJECT) {
            return Err(ProviderIdentityError::Subject);
        }
        Ok(Self { issuer, subject })
    }

    /// Returns the issuer: the URL of the identity provider.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the subject: the id of the person at this issuer.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for ProviderIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.subject, self.issuer)
    }
}

/// An identity that is linked to an account: its person signs in to this account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// The account.
    pub account: AccountName,
    /// The identity.
    pub identity: ProviderIdentity,
    /// When it was linked.
    pub linked_at: Timestamp,
}

/// A sign-in that waits for the identity provider. It is no session and gives no right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSignIn {
    /// The digest of its secret, which the browser has.
    pub key: SecretDigest,
    /// The path to which the sign-in leads.
    pub next: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The result of linking an identity to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkResult {
    /// The identity is linked to the account. It may have been so before.
    Linked,
    /// There is no such account, or it is a service account.
    NoAccount,
    /// Nothing was changed: the name belongs to another account that exists already, or the account
    /// has another identity.
    AccountTaken,
    /// Nothing was changed: the identity is linked to another account.
    IdentityTaken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_has_a_plain_issuer_and_subject() {
        let long = "x".repeat(256);
        for (issuer, subject, expected) in [
            ("https://id.example", "1", None),
            ("https://id.example/realms/team", "auth0|5f7c8ec7c33c6c004bbafe82", None),
            ("https://id.example", &long[..255], None),
            ("", "1", Some(ProviderIdentityError::Issuer)),
            ("https://id.example/a b", "1", Some(ProviderIdentityError::Issuer)),
            (&long.repeat(2), "1", Some(ProviderIdentityError::Issuer)),
            ("https://id.example", "", Some(ProviderIdentityError::Subject)),
            ("https://id.example", "a b", Some(ProviderIdentityError::Subject)),
            ("https://id.example", "a\u{0}", Some(ProviderIdentityError::Subject)),
            ("https://id.example", &long, Some(ProviderIdentityError::Subject)),
        ] {
            assert_eq!(ProviderIdentity::new(issuer, subject).err(), expected, "{issuer} {subject}");
        }
        let identity = ProviderIdentity::new("https://id.example", "A").unwrap();
        assert_eq!(identity.to_string(), "A of https://id.example");
        assert_ne!(identity, ProviderIdentity::new("https://id.example", "a").unwrap());
    }
}
