//! Random secrets of sessions and links, and the digests that are stored in their place.
//!
//! A secret has 256 random bits, so nobody can guess it from its digest, and a plain SHA-256 is
//! enough: the slow functions of [`super::password`] exist for secrets that people choose. Who
//! reads the database learns no secret.

use std::fmt;

use hmac::{Hmac, Mac as _};
use kastrel_actors::model::SecretDigest;
use rand::Rng as _;
use rand::distr::{Alphanumeric, SampleString as _};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The size of a secret and of a digest, in bytes.
const SIZE: usize = 32;

/// Returns the generator of the operating system. It panics if the system has no randomness: no
/// secret can be made then.
pub(super) const fn system_rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// Returns the SHA-256 of a secret's text, which is stored in its place.
#[must_use]
pub fn digest_of(text: &str) -> SecretDigest {
    SecretDigest::new(Sha256::digest(text.as_bytes()).into())
}

/// Returns true if two digests are equal. The time of the comparison does not depend on them.
#[must_use]
pub fn is_same(one: &SecretDigest, other: &SecretDigest) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// Returns a random id of this many letters and digits, which is not secret.
#[must_use]
pub fn random_id(length: usize) -> String {
    let mut id = String::with_capacity(length);
    Alphanumeric.append_string(&mut system_rng(), &mut id, length);
    id
}

/// A random secret of 256 bits, for a session or a link. Its text is 64 lower-case
/// hexadecimal digits, which need no escape in a cookie or a URL. `Debug` does not show it, and
/// its memory is cleared when it is dropped.
#[derive(Clone)]
pub struct RandomSecret(Zeroizing<String>);

/// The text is not a secret that [`RandomSecret::generate`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret has 64 lower-case hexadecimal digits")]
pub struct SecretFault;

impl RandomSecret {
    /// Returns a new secret from the generator of the operating system.
    ///
    /// # Panics
    /// The operating system has no randomness.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0_u8; SIZE]);
        system_rng().fill_bytes(&mut *bytes);
        Self(Zeroizing::new(hex::encode(bytes.as_slice())))
    }

    /// Parses the text that a browser sends.
    ///
    /// # Errors
    /// The text does not have the form of a secret. Whether the secret is valid, only a lookup of
    /// its digest can say.
    pub fn parse(text: &str) -> Result<Self, SecretFault> {
        let is_secret = text.len() == 2 * SIZE && unhex(text).is_some();
        if is_secret { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(SecretFault) }
    }

    /// Returns the text, for the one cookie or link that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns a secret that follows from this one and a text: who lacks one of them cannot compute
    /// it.
    #[must_use]
    pub fn bound_to(&self, text: &str) -> Self {
        let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(self.0.as_bytes())
            .unwrap_or_else(|_| unreachable!("a key of any length will do"));
        mac.update(text.as_bytes());
        Self(Zeroizing::new(hex::encode(mac.finalize().into_bytes())))
    }

    /// Returns what is stored in place of the secret.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        digest_of(&self.0)
    }
}

impl fmt::Debug for RandomSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RandomSecret(..)")
    }
}

/// Returns the bytes of lower-case hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().filter(|_| !text.bytes().any(|byte| byte.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bound_secret_follows_from_the_secret_and_the_text() {
        let (one, other) = (RandomSecret::generate(), RandomSecret::generate());
        let bound = one.bound_to("$hash");
        assert_eq!(bound.digest(), one.bound_to("$hash").digest());
        assert_eq!(RandomSecret::parse(bound.expose()).unwrap().digest(), bound.digest());
        for different in [other.bound_to("$hash"), one.bound_to("$other"), one.bound_to(""), one.clone()] {
            assert_ne!(different.digest(), bound.digest());
        }
    }

    #[test]
    fn random_ids_have_their_length_and_differ() {
        let (one, other) = (random_id(10), random_id(10));
        assert!(one.len() == 10 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one}");
        assert_ne!(one, other);
    }

    #[test]
    fn digest_is_the_sha_256_of_the_text() {
        let secret = RandomSecret::parse(&"0".repeat(64)).unwrap();
        let expected = "60e05bd1b195af2f94112fa7197a5c88289058840ce7c6df9693756bc6250f55";
        assert_eq!(secret.digest().to_string(), expected);
        assert_eq!(expected.parse::<SecretDigest>().unwrap(), secret.digest());
    }

    #[test]
    fn digests_that_differ_in_one_bit_are_not_equal() {
        for bit in 0..8 * SIZE {
            let mut other = [7; SIZE];
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_same(&SecretDigest::new([7; SIZE]), &SecretDigest::new(other)), "{bit}");
        }
        assert!(is_same(&SecretDigest::new([7; SIZE]), &SecretDigest::new([7; SIZE])));
    }

    #[test]
    fn generated_secrets_differ_and_parse() {
        let secrets: HashSet<String> = (0..1000).map(|_| RandomSecret::generate().expose().to_owned()).collect();
        assert_eq!(secrets.len(), 1000);
        for text in &secrets {
            assert_eq!(RandomSecret::parse(text).unwrap().expose(), text);
        }
    }

    #[test]
    fn texts_of_another_form_are_no_secrets() {
        let valid = "0123456789abcdef".repeat(4);
        let of = |from: &str, to: &str| valid.replacen(from, to, 1);
        for text in ["", &valid[1..], &format!("{valid}0"), &of("a", "A"), &of("a", "g"), &of("01", "é"), &of("0", "+")]
        {
            assert_eq!(RandomSecret::parse(text).unwrap_err(), SecretFault, "{text}");
        }
    }

    #[test]
    fn debug_output_has_no_secret() {
        let secret = RandomSecret::generate();
        assert_eq!(format!("{secret:?}"), "RandomSecret(..)");
    }

    proptest! {
        #[test]
        fn hexadecimal_text_has_one_reading(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(unhex(&hex::encode(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_refused_or_read_as_itself(text in "\\PC{0,70}|[0-9a-f]{63,65}") {
            if let Ok(secret) = RandomSecret::parse(&text) {
                prop_assert_eq!(secret.expose(), text);
            }
        }
    }
}
