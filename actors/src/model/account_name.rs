//! The name of an account.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of an account. It identifies the account: it never changes, and no later account gets
/// it again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(String);

text_id!(AccountName);

/// The text is not a valid account name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an account name has 1 to 64 characters of a-z, 0-9 and `.`, `_`, `-`, `@`, `+`, and begins with a letter or a digit"
)]
pub struct ParseAccountNameError;

impl AccountName {
    /// The largest length, in characters.
    pub const MAX: usize = 64;
}

impl FromStr for AccountName {
    type Err = ParseAccountNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_valid = |byte: u8| is_alphanumeric(byte) || b"._-@+".contains(&byte);
        let begins_well = text.bytes().next().is_some_and(is_alphanumeric);
        if begins_well && text.len() <= Self::MAX && text.bytes().all(is_valid) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseAccountNameError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_are_plain_and_bounded() {
        for text in ["a", "ana", "ana@example.com", "0day", "ci-deploy_2+x.y", &"a".repeat(AccountName::MAX)] {
            let name: AccountName = text.parse().unwrap();
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!((name.to_string().as_str(), json.as_str()), (text, format!("\"{text}\"").as_str()));
            assert_eq!(serde_json::from_str::<AccountName>(&json).unwrap(), name);
        }
        for text in ["", "Ana", "a b", "a:b", "é", "-a", ".a", "a\n", &"a".repeat(AccountName::MAX + 1)] {
            assert!(text.parse::<AccountName>().is_err(), "{text}");
        }
    }
}
