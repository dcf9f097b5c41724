//! The public part of a public link of a scan.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The public part of a public link, which identifies it in lists and in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicLinkId(String);

text_id!(PublicLinkId);

/// The text is not the id of a public link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a link id has 10 letters and digits")]
pub struct ParsePublicLinkIdError;

impl PublicLinkId {
    /// The length, in characters.
    pub const LENGTH: usize = 10;
}

impl FromStr for PublicLinkId {
    type Err = ParsePublicLinkIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == Self::LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParsePublicLinkIdError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_id_has_its_length() {
        assert_eq!("a1B2c3D4e5".parse::<PublicLinkId>().unwrap().as_str(), "a1B2c3D4e5");
        for other in ["", "short", "a1B2c3D4e5f", "a1B2c3D4_5"] {
            assert_eq!(other.parse::<PublicLinkId>(), Err(ParsePublicLinkIdError), "{other}");
        }
    }
}
