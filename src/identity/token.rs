//! API tokens: `kst_<id>_<secret>` and a checksum of 6 characters.
//!
//! The form follows GitHub's. The prefix lets secret scanners find a token that got into a
//! repository or a log. The id names the token in lists, in the audit log and in the lookup of its
//! row. The secret has 32 characters of base62, which is 190 random bits. The checksum is the
//! CRC-32 (ISO-HDLC) of everything before it, as 6 characters of base62 with leading zeros. It
//! protects nothing: it shows a mistyped or shortened token, and a scanner's false find, without a
//! lookup. Only the digest of a token is stored.

use std::fmt;

use crc_fast::CrcAlgorithm;
use kastrel_actors::model::SecretDigest;
use rand::distr::{Alphanumeric, SampleString as _};
use zeroize::Zeroizing;

use super::secret::{digest_of, system_rng};

const PREFIX: &str = "kst_";
/// The lengths of the parts, in characters.
const ID: usize = 10;
const SECRET: usize = 32;
const CHECKSUM: usize = 6;
/// The length of everything before the checksum, with the underscore between id and secret.
const BODY: usize = PREFIX.len() + ID + 1 + SECRET;
/// The digits of base62, in the order of their values.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An API token with its secret. `Debug` shows the id alone, and the memory of the text is cleared
/// when the token is dropped.
#[derive(Clone)]
pub struct ApiToken(Zeroizing<String>);

/// Why a text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// The text does not have the form of a token.
    #[error("an API token begins with kst_ and has 53 characters")]
    Form,
    /// The checksum does not belong to the text before it.
    #[error("the API token has a wrong character")]
    Checksum,
}

impl ApiToken {
    /// Returns a new token from the generator of the operating system.
    ///
    /// # Panics
    /// The operating system has no randomness.
    #[must_use]
    pub fn generate() -> Self {
        let mut text = Zeroizing::new(String::with_capacity(BODY + CHECKSUM));
        text.push_str(PREFIX);
        Alphanumeric.append_string(&mut system_rng(), &mut text, ID);
        text.push('_');
        Alphanumeric.append_string(&mut system_rng(), &mut text, SECRET);
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Self(text)
    }

    /// Parses the text of a token.
    ///
    /// # Errors
    /// The text does not have the form of a token, or was changed. Whether the token is valid, only
    /// a lookup of its id and its digest can say.
    pub fn parse(text: &str) -> Result<Self, TokenFault> {
        let has_form = text.len() == BODY + CHECKSUM
            && text.is_ascii()
            && text.starts_with(PREFIX)
            && text.bytes().enumerate().all(|(at, byte)| match at {
                _ if at < PREFIX.len() => true,
                _ if at == PREFIX.len() + ID => byte == b'_',
                _ => byte.is_ascii_alphanumeric(),
            });
        if !has_form {
            return Err(TokenFault::Form);
        }
        let (body, given) = text.split_at(BODY);
        if checksum(body) != given {
            return Err(TokenFault::Checksum);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Returns the id, which is not secret.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0[PREFIX.len()..PREFIX.len() + ID]
    }

    /// Returns the complete text. It is shown once, to the person who makes the token.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns what is stored in place of the token.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        digest_of(&self.0)
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiToken({}..)", self.id())
    }
}

/// Returns the CRC-32 of a text in base62, padded with zeros.
fn checksum(text: &str) -> String {
    let mut rest = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, text.as_bytes());
    let mut digits = [0; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(rest % 62).unwrap_or_default()];
        rest /= 62;
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const FIXED: &str = "kst_0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef3o5QDO";

    #[test]
    fn token_has_an_id_a_secret_and_the_checksum_of_both() {
        let token = ApiToken::parse(FIXED).unwrap();
        assert_eq!((token.id(), token.expose()), ("0123456789", FIXED));
        let digest = "d0203825833fc5510979fe13602870c8eb83ed8106116f78eda6b0adb20c8cb2";
        assert_eq!(token.digest().to_string(), digest);
    }

    #[test]
    fn checksum_of_a_small_value_has_leading_zeros() {
        assert_eq!(checksum(""), "000000");
    }

    #[test]
    fn generated_tokens_parse_and_share_neither_id_nor_secret() {
        let tokens: Vec<ApiToken> = (0..500).map(|_| ApiToken::generate()).collect();
        for token in &tokens {
            assert_eq!(ApiToken::parse(token.expose()).unwrap().id(), token.id());
        }
        let ids: HashSet<&str> = tokens.iter().map(ApiToken::id).collect();
        let secrets: HashSet<&str> = tokens.iter().map(|token| &token.expose()[15..47]).collect();
        assert_eq!((ids.len(), secrets.len()), (500, 500));
        // A uniform sample of 21,000 characters has all digits.
        let digits: HashSet<u8> = tokens.iter().flat_map(|token| token.expose().bytes().skip(4)).collect();
        assert_eq!(digits.len(), 63);
    }

    #[test]
    fn texts_of_another_form_are_no_tokens() {
        for text in [
            "",
            "kst_",
            &FIXED[1..],
            &FIXED[..52],
            &format!("{FIXED}0"),
            &format!(" {}", &FIXED[..52]),
            &FIXED.replacen("kst", "ghp", 1),
            &FIXED.replacen("9_A", "9-A", 1),
            &FIXED.replacen("0123", "01_3", 1),
            &FIXED.replacen("YZ", "é", 1),
            &FIXED.replacen("XYZ", "X Z", 1),
        ] {
            assert_eq!(ApiToken::parse(text).unwrap_err(), TokenFault::Form, "{text}");
        }
    }

    #[test]
    fn debug_output_has_the_id_alone() {
        assert_eq!(format!("{:?}", ApiToken::parse(FIXED).unwrap()), "ApiToken(0123456789..)");
    }

    proptest! {
        #[test]
        fn one_changed_character_is_found(at in 0_usize..53, to in 0_usize..62) {
            let mut bytes = FIXED.as_bytes().to_vec();
            bytes[at] = DIGITS[to];
            let text = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(ApiToken::parse(&text).is_ok(), text == FIXED);
        }

        #[test]
        fn any_text_is_refused_or_read_as_itself(text in "\\PC{0,60}") {
            prop_assert!(ApiToken::parse(&text).is_err());
        }
    }
}
