//! User codes of device logins: what a terminal shows, and a person enters in a browser.
//!
//! A code has 34.5 random bits. That is enough for a code that is valid for minutes, whose guesses
//! are throttled, and which gives no right by itself (RFC 8628, 5.1 and 6.1). Who reads the
//! database can find a code from its digest. With it, everybody with an account can allow the
//! command line to use the own account, or deny it, and nothing else.

use std::fmt;

use kastrel_actors::model::SecretDigest;
use rand::RngExt as _;

use super::secret::{digest_of, system_rng};

/// The alphabet of RFC 8628, 6.1: without vowels, so that no code is a word, and in one case.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// The length of a code, in characters.
const LENGTH: usize = 8;
/// The length of a group of characters.
const GROUP: usize = 4;

/// A user code, without separators. `Display` shows it in two groups: `BCDF-GHJK`. It is shown on a
/// terminal and stands in an address, so it is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode(String);

/// The text is not a user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code has 8 letters, such as BCDF-GHJK")]
pub struct UserCodeFault;

impl UserCode {
    /// Returns a new code from the generator of the operating system.
    ///
    /// # Panics
    /// The operating system has no randomness.
    #[must_use]
    pub fn generate() -> Self {
        let mut rng = system_rng();
        Self((0..LENGTH).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect())
    }

    /// Parses a code as it was typed: small letters, blanks and the places of `-` do not count.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse(typed: &str) -> Result<Self, UserCodeFault> {
        let is_separator = |c: &char| *c == '-' || c.is_whitespace();
        // A long text is not copied.
        let code: String =
            typed.chars().filter(|c| !is_separator(c)).take(LENGTH + 1).map(|c| c.to_ascii_uppercase()).collect();
        let is_code = code.len() == LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte));
        if is_code { Ok(Self(code)) } else { Err(UserCodeFault) }
    }

    /// Returns what is stored in place of the code.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        digest_of(&self.0)
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(GROUP);
        write!(f, "{first}-{second}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn generated_user_codes_differ_and_are_read_as_they_are_shown() {
        let codes: HashSet<String> = (0..1000).map(|_| UserCode::generate().to_string()).collect();
        assert!(codes.len() > 995, "{}", codes.len());
        let letters: HashSet<u8> = codes.iter().flat_map(|code| code.bytes()).collect();
        assert_eq!(letters.len(), ALPHABET.len() + 1, "all letters, and the separator");
        for code in &codes {
            assert_eq!((code.len(), &code[4..5]), (9, "-"));
            assert_eq!(UserCode::parse(code).unwrap().to_string(), *code);
        }
    }

    #[test]
    fn typed_user_code_has_one_digest_in_each_form() {
        let code = UserCode::parse("BCDF-GHJK").unwrap();
        for typed in ["bcdfghjk", " bcdf ghjk\n", "B-C-D-F-G-H-J-K-", "bCdF\u{a0}GhJk"] {
            assert_eq!(UserCode::parse(typed).unwrap().digest(), code.digest(), "{typed}");
        }
    }

    #[test]
    fn texts_of_another_form_are_no_user_codes() {
        for typed in ["", "BCDF-GHJ", "BCDF-GHJKL", "BCDF-GHJA", "BCDF-GHJ1", "BCDF_GHJK", "BCDF-GHJé", "--------"] {
            assert_eq!(UserCode::parse(typed), Err(UserCodeFault), "{typed}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_has_one_form(typed in "\\PC{0,20}|[a-zA-Z -]{6,12}") {
            if let Ok(code) = UserCode::parse(&typed) {
                prop_assert_eq!(UserCode::parse(&code.to_string()), Ok(code));
            }
        }
    }
}
