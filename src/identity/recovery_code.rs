//! Recovery codes: what a user enters when the authenticator app is lost. Each one works once.
//!
//! A code has 120 random bits, so nobody can guess it from its digest, and a plain SHA-256 is
//! stored in its place.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use kastrel_actors::model::SecretDigest;
use rand::Rng as _;
use zeroize::Zeroizing;

use super::secret::{digest_of, system_rng};

/// The number of codes of an account.
const NUMBER: usize = 10;
/// The size of a code, in bytes.
const SIZE: usize = 15;
/// The length of a code without separators, in characters.
const LENGTH: usize = 24;
/// The length of a group of characters.
const GROUP: usize = 4;

/// A recovery code: 6 groups of 4 characters of `a-z` and `2-7`, with a `-` between them. `Debug`
/// does not show it, and its memory is cleared when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<String>);

/// The text is not a recovery code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a recovery code has 24 letters and digits")]
pub struct RecoveryCodeFault;

impl RecoveryCode {
    /// Returns a new code from the generator of the operating system.
    ///
    /// # Panics
    /// The operating system has no randomness.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0_u8; SIZE]);
        system_rng().fill_bytes(&mut *bytes);
        let plain = Zeroizing::new(BASE32_NOPAD.encode(&*bytes).to_lowercase());
        Self(grouped(&plain))
    }

    /// Returns the codes of an account.
    ///
    /// # Panics
    /// The operating system has no randomness.
    #[must_use]
    pub fn generate_all() -> Vec<Self> {
        (0..NUMBER).map(|_| Self::generate()).collect()
    }

    /// Parses a code as it was typed: capital letters, blanks and the places of `-` do not count.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse(typed: &str) -> Result<Self, RecoveryCodeFault> {
        let is_separator = |c: &char| *c == '-' || c.is_whitespace();
        let plain: Zeroizing<String> =
            Zeroizing::new(typed.chars().filter(|c| !is_separator(c)).map(|c| c.to_ascii_lowercase()).collect());
        let is_code = plain.len() == LENGTH && plain.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        if is_code { Ok(Self(grouped(&plain))) } else { Err(RecoveryCodeFault) }
    }

    /// Returns the text, for the one page that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns what is stored in place of the code.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        digest_of(&self.0)
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

/// Returns the text of a code, in groups. All characters are ASCII.
fn grouped(plain: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(LENGTH + LENGTH / GROUP));
    for (at, c) in plain.chars().enumerate() {
        if at > 0 && at % GROUP == 0 {
            text.push('-');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn generated_codes_differ_and_are_read_as_they_are_shown() {
        let codes = RecoveryCode::generate_all();
        assert_eq!(codes.len(), 10);
        let texts: HashSet<&str> = codes.iter().map(RecoveryCode::expose).collect();
        assert_eq!(texts.len(), 10);
        for code in &codes {
            let groups: Vec<usize> = code.expose().split('-').map(str::len).collect();
            assert_eq!(groups, [4; 6], "120 bits");
            assert_eq!(RecoveryCode::parse(code.expose()).as_ref(), Ok(code));
        }
    }

    #[test]
    fn typed_code_has_one_digest_in_each_form() {
        let code = RecoveryCode::parse("abcd-efgh-ijkl-mnop-qrst-uvw7").unwrap();
        for typed in ["abcdefghijklmnopqrstuvw7", " ABCD-EFGH-IJKL MNOP QRST UVW7\n", "a-b-c-d-efghijklmnop-qrstuvw7-"]
        {
            assert_eq!(RecoveryCode::parse(typed).unwrap().digest(), code.digest(), "{typed}");
        }
        assert_eq!(code.digest(), digest_of("abcd-efgh-ijkl-mnop-qrst-uvw7"));
    }

    #[test]
    fn texts_of_another_form_are_no_codes() {
        let code = "abcd-efgh-ijkl-mnop-qrst-uvw7";
        let of = |from: &str, to: &str| code.replacen(from, to, 1);
        for typed in ["", "287082", &code[1..], &format!("{code}a"), &of("a", "1"), &of("a", "é"), &of("-", "_")] {
            assert_eq!(RecoveryCode::parse(typed), Err(RecoveryCodeFault), "{typed}");
        }
        assert_eq!(format!("{:?}", RecoveryCode::generate()), "RecoveryCode(..)");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_has_24_characters(typed in "\\PC{0,40}|[a-z2-7-]{20,40}") {
            if let Ok(code) = RecoveryCode::parse(&typed) {
                prop_assert_eq!(code.expose().len(), 29);
                prop_assert_eq!(RecoveryCode::parse(code.expose()), Ok(code));
            }
        }
    }
}
