//! Idempotency keys: what a client sends, and the form in which a row keeps it.

use super::Principal;

/// The maximum length of a key.
const MAX_LENGTH: usize = 255;

/// A client's idempotency key: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The text is not a valid key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {MAX_LENGTH} visible ASCII characters")]
pub struct IdempotencyKeyError;

impl IdempotencyKey {
    /// Returns the key that the row of a scan of `principal` keeps. Two principals never have the
    /// same one.
    ///
    /// An anonymous client has its key as it is, like rows of earlier versions. Every other
    /// principal has its name, a blank and the key: no key and no principal's name has a blank.
    #[must_use]
    pub fn of(&self, principal: &Principal) -> String {
        match principal {
            Principal::Anonymous => self.0.clone(),
            Principal::System | Principal::User(_) | Principal::Service(_) | Principal::Link(_) => {
                format!("{principal} {}", self.0)
            }
        }
    }

    /// Returns the key of one scan of a batch that was submitted with this key: the key, a slash
    /// and the place of the scan, counted from 0.
    ///
    /// # Errors
    /// The key would be too long.
    pub fn at(&self, place: usize) -> Result<Self, IdempotencyKeyError> {
        format!("{}/{place}", self.0).parse()
    }
}

impl std::str::FromStr for IdempotencyKey {
    type Err = IdempotencyKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdempotencyKeyError)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn key_is_visible_ascii_of_bounded_length() {
        for good in ["a-1", "!~", &"x".repeat(255)] {
            assert_eq!(good.parse(), Ok(IdempotencyKey(good.to_owned())));
        }
        for bad in ["", "with blank", "é", "a\n", &"x".repeat(256)] {
            assert_eq!(bad.parse::<IdempotencyKey>(), Err(IdempotencyKeyError), "{bad:?}");
        }
    }

    #[test]
    fn anonymous_client_has_the_keys_of_earlier_rows() {
        assert_eq!("a-1".parse::<IdempotencyKey>().unwrap().of(&Principal::Anonymous), "a-1");
    }

    proptest! {
        #[test]
        fn keys_of_two_principals_never_meet(one in "[!-~]{1,255}", other in "[!-~]{1,255}") {
            let (one, other): (IdempotencyKey, IdempotencyKey) = (one.parse().unwrap(), other.parse().unwrap());
            prop_assert_ne!(one.of(&Principal::System), other.of(&Principal::Anonymous));
            prop_assert_eq!(one.of(&Principal::System) == other.of(&Principal::System), one == other);
        }
    }
}
