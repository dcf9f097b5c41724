//! What a client proves its identity with, as the store keeps it: sessions, API tokens and one-time
//! links. The store has only digests of the secrets.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccountName, Network, TokenScope};

/// The SHA-256 digest of a random secret, which identifies a session or a link without revealing
/// the secret. As text: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretDigest([u8; 32]);

/// The text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 64 hexadecimal digits")]
pub struct ParseSecretDigestError;

impl SecretDigest {
    /// Returns the digest with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretDigest({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

impl fmt::Display for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for SecretDigest {
    type Err = ParseSecretDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes)).map_err(|_| ParseSecretDigestError)
    }
}

/// A session: a browser in which somebody signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The digest of the secret in the browser's cookie.
    pub key: SecretDigest,
    /// Who signed in.
    pub account: AccountName,
    /// When that was.
    pub created_at: Timestamp,
    /// The last known use, correct to a minute.
    pub used_at: Timestamp,
    /// When it ends, whatever its use.
    pub expires_at: Timestamp,
    /// The network address of the client at its sign-in.
    pub address: String,
    /// The `User-Agent` of the client at its sign-in, shortened.
    pub agent: String,
    /// True if it began with the identity provider.
    pub with_provider: bool,
}

/// A new secret for a session that stays while the others of its account end. The session keeps
/// its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRenewal {
    /// The digest of the secret that the session has had. It is valid no more.
    pub old: SecretDigest,
    /// The digest of the new secret.
    pub new: SecretDigest,
}

/// The public part of an API token, which identifies it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);

text_id!(TokenId);

/// The text is not the id of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token id has 10 letters and digits")]
pub struct ParseTokenIdError;

impl TokenId {
    /// The length, in characters.
    pub const LENGTH: usize = 10;
}

impl FromStr for TokenId {
    type Err = ParseTokenIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == Self::LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseTokenIdError)
        }
    }
}

/// An API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its public part.
    pub id: TokenId,
    /// The digest of the token.
    pub digest: SecretDigest,
    /// The account whose rights it has.
    pub account: AccountName,
    /// What it is for, in the words of its owner.
    pub label: String,
    /// The limits of its rights.
    pub scope: TokenScope,
    /// The networks from which it is accepted; none means from everywhere.
    pub networks: Vec<Network>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Its last known use, correct to a minute.
    pub used_at: Option<Timestamp>,
}

/// What a one-time link allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Creates the first administrator.
    SetUp,
    /// Sets the password of an account.
    SetPassword(AccountName),
}

/// A one-time link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimeLink {
    /// The digest of its secret.
    pub key: SecretDigest,
    /// What it allows.
    pub purpose: LinkPurpose,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The result of the set-up of the first administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetUpResult {
    /// The account was created.
    Done,
    /// The link does not exist, has expired or was used.
    NoLink,
    /// The name belongs to another account.
    NameTaken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_read_as_it_is_written_and_not_shown_in_debug_output() {
        let digest = SecretDigest::new(std::array::from_fn(|index| u8::try_from(index * 8).unwrap()));
        let text = digest.to_string();
        assert_eq!((text.len(), text.parse()), (64, Ok(digest)));
        assert!(!format!("{digest:?}").contains(&text[8..16]));
        for other in ["", "00", &"g".repeat(64), &"0".repeat(63), &"é".repeat(32)] {
            assert_eq!(other.parse::<SecretDigest>(), Err(ParseSecretDigestError), "{other}");
        }
    }

    #[test]
    fn token_id_has_its_length() {
        assert_eq!("a1B2c3D4e5".parse::<TokenId>().unwrap().as_str(), "a1B2c3D4e5");
        for other in ["", "short", "a1B2c3D4e5f", "a1B2c3D4_5"] {
            assert_eq!(other.parse::<TokenId>(), Err(ParseTokenIdError), "{other}");
        }
    }
}
