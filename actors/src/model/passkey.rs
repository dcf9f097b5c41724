//! Passkeys: keys in a device or a password manager of a user, by WebAuthn. The store has the
//! public half of each.

use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccountName, SecretDigest};

/// Identifies a passkey: the first half of the SHA-256 digest of its credential id, as 32
/// hexadecimal digits. A credential id has up to 1023 bytes, and is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasskeyId(String);

text_id!(PasskeyId);

/// The text is not the id of a passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a passkey id has 32 hexadecimal digits")]
pub struct ParsePasskeyIdError;

impl PasskeyId {
    /// The length, in characters.
    pub const LENGTH: usize = 32;
}

impl FromStr for PasskeyId {
    type Err = ParsePasskeyIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == Self::LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParsePasskeyIdError)
        }
    }
}

/// A passkey of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Identifies it among those of all accounts.
    pub id: PasskeyId,
    /// The account.
    pub account: AccountName,
    /// What it is, in the words of its owner.
    pub label: String,
    /// The random text by which authenticators know the account. All passkeys of an account have
    /// the same.
    pub user_handle: String,
    /// The credential as WebAuthn describes it, with its public key and its counter, as JSON.
    pub credential: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last used.
    pub used_at: Option<Timestamp>,
}

impl Passkey {
    /// The most passkeys of an account.
    pub const MOST: usize = 10;
}

/// A challenge that an authenticator signed. A store accepts each one once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedChallenge {
    /// Its SHA-256 digest.
    pub digest: SecretDigest,
    /// When it expires. Until then the store remembers that it was used.
    pub expires_at: Timestamp,
}

/// The use of a passkey: a signature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyUse {
    /// The passkey.
    pub id: PasskeyId,
    /// Its account.
    pub account: AccountName,
    /// The challenge that was signed.
    pub challenge: SignedChallenge,
    /// The stored credential with which the signature was verified.
    pub before: String,
    /// The credential after the use, with its new counter.
    pub after: String,
    /// When that is.
    pub at: Timestamp,
}

/// The result of the addition of a passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasskeyAddition {
    /// It was added.
    Added,
    /// The account does not exist.
    NoAccount,
    /// An account has this passkey already.
    Taken,
    /// The account has [`Passkey::MOST`] passkeys.
    TooMany,
    /// The challenge was used before.
    Used,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkey_id_has_its_length_and_digits() {
        let text = "0123456789abcdef0123456789abcdef";
        assert_eq!(text.parse::<PasskeyId>().unwrap().as_str(), text);
        for other in ["", "0123456789abcdef", &text.to_uppercase(), &text.replace('f', "g"), &format!("{text}0")] {
            assert_eq!(other.parse::<PasskeyId>(), Err(ParsePasskeyIdError), "{other}");
        }
    }
}
