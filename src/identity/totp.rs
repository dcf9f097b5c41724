//! Time-based one-time passwords (RFC 6238): SHA-1, 6 digits, steps of 30 seconds. Authenticator
//! apps support these parameters, and many no others.
//!
//! A code is accepted in its own step, and in the one before and after it, because clocks differ. A
//! step is accepted once: [`TotpSecret::verify`] says which step a code belongs to, and the caller
//! stores it. The secret has 160 bits, as RFC 4226 recommends; HMAC-SHA-1 is not weakened by
//! collisions of SHA-1.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rand::Rng as _;
use sha1::Sha1;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::secret::system_rng;

/// The size of a secret, in bytes.
const SIZE: usize = 20;
/// The duration of a step, in seconds.
const STEP_SECONDS: u64 = 30;
/// The number of digits of a code.
pub const DIGITS: usize = 6;

/// The secret of an account's authenticator app. `Debug` does not show it, and its memory is
/// cleared when it is dropped.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<[u8; SIZE]>);

/// The text is not a secret that [`TotpSecret::generate`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret of an authenticator app has 32 characters of base32")]
pub struct TotpSecretFault;

impl TotpSecret {
    /// Returns a new secret from the generator of the operating system.
    ///
    /// # Panics
    /// The operating system has no randomness.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0_u8; SIZE]);
        system_rng().fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// Parses the text of a secret, which [`base32`](Self::base32) made.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse(text: &str) -> Result<Self, TotpSecretFault> {
        let bytes = Zeroizing::new(BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| TotpSecretFault)?);
        let bytes = <[u8; SIZE]>::try_from(bytes.as_slice()).map_err(|_| TotpSecretFault)?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// Returns the text of the secret, as it is entered into an app: 32 characters of base32.
    #[must_use]
    pub fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(&*self.0))
    }

    /// Returns the URI that a QR code shows to an app. The app shows the issuer and the account.
    #[must_use]
    pub fn uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (issuer, account) = (encoded(issuer), encoded(account));
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}",
            *self.base32()
        ))
    }

    /// Returns the code of a step.
    #[must_use]
    pub fn code(&self, step: u64) -> Zeroizing<String> {
        Zeroizing::new(format!("{:0DIGITS$}", truncated(&*self.0, step) % 10_u32.pow(6)))
    }

    /// Returns the step of a typed code: the step `now`, the one before or the one after, and later
    /// than `last`, which was accepted before. Blanks do not count. The time of the comparison does
    /// not depend on the code.
    #[must_use]
    pub fn verify(&self, typed: &str, now: u64, last: u64) -> Option<u64> {
        let typed = digits(typed)?;
        let steps = now.saturating_sub(1)..=now.saturating_add(1);
        steps.fold(None, |found, step| {
            let is_right: bool = self.code(step).as_bytes().ct_eq(typed.as_bytes()).into();
            if is_right && step > last { Some(step) } else { found }
        })
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(..)")
    }
}

/// Returns the step at a time; 0 before 1970.
#[must_use]
pub fn step_at(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or(0) / STEP_SECONDS
}

/// Returns the digits of a typed code; `None` if it is no code of an app.
#[must_use]
pub fn digits(typed: &str) -> Option<String> {
    let digits: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    (digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// The dynamic truncation of RFC 4226: 31 bits of the HMAC.
fn truncated(key: &[u8], counter: u64) -> u32 {
    let mut mac =
        <Hmac<Sha1> as hmac::Mac>::new_from_slice(key).unwrap_or_else(|_| unreachable!("a key of any length will do"));
    mac.update(&counter.to_be_bytes());
    let hash: [u8; 20] = mac.finalize().into_bytes().into();
    let at = usize::from(hash[19] & 0x0f);
    u32::from_be_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]) & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn of_rfc() -> TotpSecret {
        TotpSecret(Zeroizing::new(*b"12345678901234567890"))
    }

    /// RFC 6238, appendix B, with SHA-1: the last 6 of the 8 digits there.
    #[test]
    fn codes_are_those_of_rfc_6238() {
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = step_at(Timestamp::from_second(second).unwrap());
            assert_eq!(of_rfc().code(step).as_str(), code, "{second}");
        }
    }

    /// RFC 4226, appendix D.
    #[test]
    fn codes_are_those_of_rfc_4226() {
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (step, code) in (0..).zip(codes) {
            assert_eq!(of_rfc().code(step).as_str(), code, "{step}");
        }
    }

    #[test]
    fn step_has_30_seconds() {
        for (second, step) in [(-31, 0), (0, 0), (29, 0), (30, 1), (59, 1), (60, 2)] {
            assert_eq!(step_at(Timestamp::from_second(second).unwrap()), step, "{second}");
        }
    }

    #[test]
    fn code_is_accepted_one_step_before_and_after_its_own_and_once() {
        let secret = of_rfc();
        let code = secret.code(100);
        for (now, last, found) in [
            (98, 0, None),
            (99, 0, Some(100)),
            (100, 0, Some(100)),
            (101, 0, Some(100)),
            (102, 0, None),
            (100, 99, Some(100)),
            (100, 100, None),
            (101, 100, None),
            (99, 101, None),
        ] {
            assert_eq!(secret.verify(&code, now, last), found, "{now} {last}");
        }
        assert_eq!(secret.verify(&secret.code(101), 100, 100), Some(101), "the next code follows at once");
        assert_eq!(secret.verify(&secret.code(u64::MAX), u64::MAX, 0), Some(u64::MAX));
    }

    #[test]
    fn code_is_read_with_blanks_and_in_no_other_form() {
        let secret = of_rfc();
        for typed in ["359152", " 359 152 ", "359\u{a0}152"] {
            assert_eq!(secret.verify(typed, 2, 0), Some(2), "{typed}");
        }
        for typed in ["", "35915", "3591520", "359-152", "35915x", "٣٥٩١٥٢", "-59152", "+59152", "0x9152"] {
            assert_eq!(secret.verify(typed, 2, 0), None, "{typed}");
        }
    }

    #[test]
    fn secret_is_read_as_it_is_shown_and_in_no_other_form() {
        let secrets: HashSet<String> = (0..100).map(|_| TotpSecret::generate().base32().to_string()).collect();
        assert_eq!(secrets.len(), 100);
        for text in &secrets {
            assert_eq!(text.len(), 32, "160 bits");
            assert_eq!(TotpSecret::parse(text).unwrap().base32().as_str(), text);
        }
        let text = of_rfc().base32();
        assert_eq!(text.as_str(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        for other in ["", &text[1..], &format!("{}A", *text), &text.to_lowercase(), &text.replacen('G', "1", 1)] {
            assert_eq!(TotpSecret::parse(other).unwrap_err(), TotpSecretFault, "{other}");
        }
        assert_eq!(format!("{:?}", of_rfc()), "TotpSecret(..)");
    }

    #[test]
    fn uri_names_issuer_and_account_and_escapes_them() {
        assert_eq!(
            of_rfc().uri("Kastrel a.example:5000", "ana+ci@b").as_str(),
            "otpauth://totp/Kastrel%20a%2Eexample%3A5000:ana%2Bci%40b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Kastrel%20a%2Eexample%3A5000&algorithm=SHA1&digits=6&period=30"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_verified_without_a_panic(typed in "\\PC{0,12}", now in any::<u64>(), last in any::<u64>()) {
            if let Some(step) = of_rfc().verify(&typed, now, last) {
                prop_assert!(step > last && step.abs_diff(now) <= 1);
            }
        }

        #[test]
        fn another_step_has_another_code_almost_always(step in 0_u64..1 << 40) {
            let secret = of_rfc();
            let far = secret.verify(&secret.code(step), step + 5, 0);
            prop_assert!(far.is_none_or(|found| secret.code(found) == secret.code(step)));
        }
    }
}
