//! The proof that the audit log is as it was written: seals, which form a chain, and the keys that
//! sign them.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The text is not the hexadecimal form of a value of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {digits} hexadecimal digits in lower case")]
pub struct ParseHexError {
    /// The expected number of digits.
    pub digits: usize,
}

/// Declares a value of a fixed number of bytes, whose text has hexadecimal digits in lower case.
macro_rules! hex_bytes {
    ($(#[$meta:meta])* $name:ident, $length:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; $length]);

        impl $name {
            /// Returns the value with these bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// Returns the bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = ParseHexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let (mut bytes, wrong) = ([0; $length], ParseHexError { digits: 2 * $length });
                // One value has one text.
                if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return Err(wrong);
                }
                hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes)).map_err(|_| wrong)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseHexError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

hex_bytes!(
    /// A SHA-256 digest within the chain of the audit log.
    ChainDigest,
    32
);

hex_bytes!(
    /// The public key of ed25519 with which seals are verified.
    SealKey,
    32
);

hex_bytes!(
    /// The id of a key: the first 8 bytes of the SHA-256 digest of its public part.
    SealKeyId,
    8
);

hex_bytes!(
    /// An ed25519 signature of a seal.
    SealSignature,
    64
);

impl ChainDigest {
    /// What the first seal has in place of the digest of the one before it.
    pub const NONE: Self = Self([0; 32]);
}

impl SealKey {
    /// Returns the id of the key.
    #[must_use]
    pub fn id(&self) -> SealKeyId {
        let digest = Sha256::digest(self.0);
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        SealKeyId(id)
    }
}

/// The identity of an entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey {
    /// When it was committed, by the store's clock.
    pub at: Timestamp,
    /// The random part.
    pub nonce: String,
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The nonce comes from a file that anybody may have written.
        let nonce: String = self.nonce.chars().take(36).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
        write!(f, "{} {nonce}", self.at)
    }
}

/// An entry of the audit log as it is stored, so that entries of any version can be sealed and
/// verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its identity.
    pub key: EntryKey,
    /// Who did it.
    pub principal: String,
    /// The scan, if it happened to one.
    pub scan: Option<i64>,
    /// What happened, as JSON text.
    pub event: String,
}

/// An entry as its seal lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEntry {
    /// The identity of the entry.
    pub key: EntryKey,
    /// The digest of the entry.
    pub digest: ChainDigest,
}

/// A seal: a signed statement that some entries exist. Each seal has the digest of the one before
/// it, so that the seals form a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Its place in the chain; the first one is 1.
    pub number: u64,
    /// When it was made, by the clock of the process that signed it.
    pub at: Timestamp,
    /// The number of its entries.
    pub count: u64,
    /// The time of its newest entry.
    pub newest: Timestamp,
    /// The digest of its entries.
    pub entries: ChainDigest,
    /// The digest of the seal before it.
    pub previous: ChainDigest,
    /// The id of the key that signed it.
    pub key: SealKeyId,
    /// The signature of everything above.
    pub signature: SealSignature,
    /// When its entries were deleted because of their age. Not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned_at: Option<Timestamp>,
}

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// The number of the last seal; 0 before the first one.
    pub number: u64,
    /// The digest of the last seal.
    pub digest: ChainDigest,
    /// The number of the last seal whose entries were deleted because of their age.
    pub pruned: u64,
}

impl Default for ChainHead {
    fn default() -> Self {
        Self { number: 0, digest: ChainDigest::NONE, pruned: 0 }
    }
}

/// A seal with its entries, as they are stored now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealContent {
    /// The seal.
    pub seal: Seal,
    /// The entries that it lists, each with its stored row; `None` for an entry that is gone. Empty
    /// if the seal is pruned.
    pub entries: Vec<(SealedEntry, Option<StoredEntry>)>,
}

/// The entries that wait for their seal, and the end of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// The end of the chain.
    pub head: ChainHead,
    /// The oldest entries without a seal, oldest first.
    pub entries: Vec<StoredEntry>,
}

/// An entry that no seal lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooseEntry {
    /// The entry.
    pub entry: StoredEntry,
    /// True if it waits for its seal, as a new entry does. False if it is in the log and neither
    /// sealed nor waits: it did not come there as entries do.
    pub waits: bool,
}

/// Some of the entries that no seal lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoosePage {
    /// The entries.
    pub entries: Vec<LooseEntry>,
    /// Where the search continues; `None` at the end of the log.
    pub next: Option<EntryKey>,
}

/// Seals whose entries are deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// The last pruned seal before.
    pub after: u64,
    /// The last pruned seal afterwards.
    pub through: u64,
    /// The number of deleted entries.
    pub count: u64,
    /// When it happens.
    pub at: Timestamp,
}

/// How far the sealing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SealingState {
    /// The number of seals.
    pub seals: u64,
    /// The number of entries that wait for their seal; counted to 10,000.
    pub waiting: u64,
    /// The time of the oldest of them; `None` if none waits.
    pub oldest: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_chain_have_one_text() {
        let key = SealKey::new([0xab; 32]);
        assert_eq!(key.to_string().parse::<SealKey>(), Ok(key));
        assert_eq!(serde_json::from_str::<SealKey>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
        for wrong in ["", "ab", &"AB".repeat(32), &"ab".repeat(33), &"zz".repeat(32)] {
            assert_eq!(wrong.parse::<SealKey>(), Err(ParseHexError { digits: 64 }), "{wrong}");
        }
        assert_eq!(key.id().to_string().len(), 16);
        assert_ne!(key.id(), SealKey::new([0xac; 32]).id());
    }
}
