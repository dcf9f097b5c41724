//! Verifies the password hashes of kast-web, which Werkzeug wrote: `scrypt:N:r:p$salt$hex` and
//! `pbkdf2:sha256:iterations$salt$hex`, the latter with sha1 and sha512 too.
//!
//! No new hash has this form. The salt is used as its ASCII text, and the password as its UTF-8
//! bytes, without a normal form, as Werkzeug did. The parameters come from the text, so they are
//! bounded before anything is computed: an imported row must not take the memory or the time of
//! the server. A hash without its parameters is refused: Werkzeug read such a text with the
//! defaults of its own version, which the text does not name.

use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use super::secret::unhex;

/// The most memory of scrypt, in bytes: `128 * N * r * p`. Werkzeug's own parameters need half.
const MOST_MEMORY: u64 = 64 << 20;
/// The most iterations of PBKDF2. Werkzeug's own defaults end at 1,000,000.
const MOST_ITERATIONS: u32 = 2_000_000;
/// The longest salt, in characters. Werkzeug's own salts have 8 or 16.
const MOST_SALT: usize = 64;
/// The size of scrypt's output in Werkzeug, in bytes.
const SCRYPT_SIZE: usize = 64;

/// A hash that Werkzeug wrote, with parameters within the bounds.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct WerkzeugHash {
    method: Method,
    salt: String,
    output: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Scrypt { log_n: u8, r: u32, p: u32 },
    Pbkdf2 { digest: Digest, iterations: u32 },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl WerkzeugHash {
    /// Parses a stored text; `None` if it has another form or parameters out of bounds.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('$');
        let (method, salt, output) = (parts.next()?, parts.next()?, parts.next()?);
        let is_salt = (1..=MOST_SALT).contains(&salt.len()) && salt.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if parts.next().is_some() || !is_salt {
            return None;
        }
        let (method, output) = (Method::parse(method)?, unhex(output)?);
        (output.len() == method.size()).then(|| Self { method, salt: salt.to_owned(), output })
    }

    /// Returns the memory that [`Self::is_of`] needs, in bytes.
    pub(super) const fn memory(&self) -> u64 {
        match self.method {
            Method::Scrypt { log_n, r, p } => scrypt_memory(log_n, r, p),
            Method::Pbkdf2 { .. } => 0,
        }
    }

    /// Returns whether the hash is that of a password. The computation takes up to a second or
    /// two, and the memory of [`Self::memory`].
    pub(super) fn is_of(&self, password: &str) -> bool {
        let (password, salt) = (password.as_bytes(), self.salt.as_bytes());
        let mut output = vec![0; self.output.len()];
        match self.method {
            Method::Scrypt { log_n, r, p } => {
                let computed = scrypt::Params::new(log_n, r, p, SCRYPT_SIZE)
                    .is_ok_and(|params| scrypt::scrypt(password, salt, &params, &mut output).is_ok());
                if !computed {
                    return false;
                }
            }
            Method::Pbkdf2 { digest, iterations } => match digest {
                Digest::Sha1 => pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut output),
                Digest::Sha256 => pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut output),
                Digest::Sha512 => pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut output),
            },
        }
        output.ct_eq(&self.output).into()
    }
}

impl Method {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let method = match parts.next()? {
            "scrypt" => {
                let (n, r, p) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
                let log_n = u8::try_from(n.trailing_zeros()).ok()?;
                let is_bounded = n.is_power_of_two() && n > 1 && scrypt_memory(log_n, r, p) <= MOST_MEMORY;
                // The crate knows the other bounds of the algorithm.
                if !is_bounded || scrypt::Params::new(log_n, r, p, SCRYPT_SIZE).is_err() {
                    return None;
                }
                Self::Scrypt { log_n, r, p }
            }
            "pbkdf2" => {
                let digest = match parts.next()? {
                    "sha1" => Digest::Sha1,
                    "sha256" => Digest::Sha256,
                    "sha512" => Digest::Sha512,
                    _ => return None,
                };
                let iterations = number(parts.next()?).filter(|count| *count <= MOST_ITERATIONS)?;
                Self::Pbkdf2 { digest, iterations }
            }
            _ => return None,
        };
        parts.next().is_none().then_some(method)
    }

    /// The size of the output, in bytes.
    const fn size(self) -> usize {
        match self {
            Self::Scrypt { .. } => SCRYPT_SIZE,
            Self::Pbkdf2 { digest: Digest::Sha1, .. } => 20,
            Self::Pbkdf2 { digest: Digest::Sha256, .. } => 32,
            Self::Pbkdf2 { digest: Digest::Sha512, .. } => 64,
        }
    }
}

const fn scrypt_memory(log_n: u8, r: u32, p: u32) -> u64 {
    // N has at most 32 bits, so only the product can be too large.
    (128_u64 << log_n).saturating_mul(r as u64).saturating_mul(p as u64)
}

/// Returns a positive number in decimal digits alone.
fn number(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hashes of the password `Kastrel-Test-1`, computed with Werkzeug 3.0.1 and Python's hashlib.
    const OF_WERKZEUG: [&str; 5] = [
        "scrypt:32768:8:1$AbCdEf0123456789$a9ef84a1133e086301001d63e6c328d894558112e2c705f46e5244392e193cdc25f846444a549ff739b18e8eff5c848bcbd4c48c4a846367762d5d1573b6eded",
        "scrypt:1024:8:2$AbCdEf0123456789$12bcb21e7a68bcc9c4fca08e77a1309ed6ef3b9c40240c079dd552e39892bd3098a8ced653374d8c8675d6695a47632b8a78b41592522ea6e68e12b8658c5bb2",
        "pbkdf2:sha256:600000$AbCdEf0123456789$a2c064a6ab577082be922be1569e46c98a4bc920da9c8dc2921e5c5cfc21727a",
        "pbkdf2:sha1:1000$AbCdEf0123456789$98bc0a7443f806e12ecce906ddac13907b506f0f",
        "pbkdf2:sha512:1000$AbCdEf0123456789$3f3c32f99e29722b1a1a5a0d530a11cf08f708ba25cd14eb33cda6ac4490e50ffda385399c71785189b3af94c03061246b6be104247a2b151322486a027b9cb6",
    ];

    #[test]
    fn hashes_of_werkzeug_verify() {
        for text in OF_WERKZEUG {
            assert!(WerkzeugHash::parse(text).unwrap().is_of("Kastrel-Test-1"), "{text}");
        }
    }

    #[test]
    fn another_password_salt_parameter_or_output_does_not_verify() {
        for text in [OF_WERKZEUG[1], OF_WERKZEUG[3], OF_WERKZEUG[4]] {
            for password in ["", "Kastrel-Test-2", "kastrel-test-1", "Kastrel-Test-1 "] {
                assert!(!WerkzeugHash::parse(text).unwrap().is_of(password), "{text} {password}");
            }
            let last = text.chars().last().unwrap();
            let flipped = format!("{}{}", &text[..text.len() - 1], if last == '0' { '1' } else { '0' });
            let changed = text.replace("1024", "2048").replace("1000", "1001");
            for other in [flipped, text.replace("AbCd", "AbCe"), changed] {
                assert_ne!(other, text);
                assert!(!WerkzeugHash::parse(&other).unwrap().is_of("Kastrel-Test-1"), "{other}");
            }
        }
    }

    #[test]
    fn password_is_hashed_as_its_bytes_without_a_normal_form() {
        let text = "pbkdf2:sha256:10$AbCdEf0123456789$c9d88a1b80b48328fc6854ceae69544a6e8620eda548dec3ed5bec14f834fb5c";
        let hash = WerkzeugHash::parse(text).unwrap();
        assert!(hash.is_of("Cafe\u{301}-Kastrel"));
        assert!(!hash.is_of("Caf\u{e9}-Kastrel"));
    }

    #[test]
    fn parameters_are_bounded() {
        let is_read = |method: &str, size: usize| {
            WerkzeugHash::parse(&format!("{method}$AbCdEf01${}", "0".repeat(2 * size))).is_some()
        };
        for (method, size, expected) in [
            ("scrypt:32768:8:1", 64, true),
            ("scrypt:65536:8:1", 64, true),
            ("scrypt:32768:8:2", 64, true),
            ("scrypt:2:1:1", 64, true),
            ("scrypt:131072:8:1", 64, false),
            ("scrypt:65536:8:2", 64, false),
            ("scrypt:32768:4294967295:1", 64, false),
            ("scrypt:32768:8:4294967295", 64, false),
            ("scrypt:2147483648:4294967295:4294967295", 64, false),
            ("scrypt:32767:8:1", 64, false),
            ("scrypt:1:8:1", 64, false),
            ("scrypt:0:8:1", 64, false),
            ("scrypt:32768:0:1", 64, false),
            ("scrypt:32768:8:0", 64, false),
            ("scrypt:65536:1:1", 64, false),
            ("scrypt:32768:8:1", 32, false),
            ("pbkdf2:sha256:2000000", 32, true),
            ("pbkdf2:sha256:2000001", 32, false),
            ("pbkdf2:sha256:1", 32, true),
            ("pbkdf2:sha256:0", 32, false),
            ("pbkdf2:sha256:1000", 20, false),
            ("pbkdf2:sha1:1000", 20, true),
            ("pbkdf2:sha512:1000", 64, true),
            ("pbkdf2:md5:1000", 16, false),
        ] {
            assert_eq!(is_read(method, size), expected, "{method} {size}");
        }
    }

    #[test]
    fn texts_of_another_form_are_no_hashes() {
        let output = "0".repeat(64);
        for text in [
            String::new(),
            "$$".to_owned(),
            "plain$$secret".to_owned(),
            format!("sha1$AbCdEf01${output}"),
            format!("pbkdf2$AbCdEf01${output}"),
            format!("pbkdf2:sha256$AbCdEf01${output}"),
            format!("pbkdf2:sha256:+10$AbCdEf01${output}"),
            format!("pbkdf2:sha256:010$AbCdEf01${output}"),
            format!("pbkdf2:sha256: 10$AbCdEf01${output}"),
            format!("pbkdf2:sha256:10:1$AbCdEf01${output}"),
            format!("pbkdf2:sha256:99999999999$AbCdEf01${output}"),
            format!("pbkdf2:sha256:10$${output}"),
            format!("pbkdf2:sha256:10$Ab-d${output}"),
            format!("pbkdf2:sha256:10${}${output}", "a".repeat(65)),
            format!("pbkdf2:sha256:10$AbCdEf01${}", output.replacen('0', "A", 1)),
            format!("pbkdf2:sha256:10$AbCdEf01${output}$"),
            "pbkdf2:sha256:10$AbCdEf01".to_owned(),
            format!("scrypt:32768:8$AbCdEf01${output}{output}"),
            format!("scrypt:32768:8:1:1$AbCdEf01${output}{output}"),
            format!("scrypt$AbCdEf01${output}{output}"),
        ] {
            assert!(WerkzeugHash::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn memory_is_that_of_the_table_of_scrypt() {
        let memory = |text: &str| WerkzeugHash::parse(text).unwrap().memory();
        assert_eq!(memory(OF_WERKZEUG[0]), 32 << 20);
        assert_eq!(memory(OF_WERKZEUG[2]), 0);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(scrypt|pbkdf2)(:[0-9a-z]{0,12}){0,4}\\$[a-z$]{0,5}\\$[0-9a-f]{0,130}") {
            if let Some(hash) = WerkzeugHash::parse(&text) {
                prop_assert!(hash.memory() <= MOST_MEMORY);
            }
        }
    }
}
