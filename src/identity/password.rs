//! Passwords: the rules for a new one, its hash with argon2id, and its verification.
//!
//! A hash is made for a password that a person chose, so it is slow and needs memory: argon2id with
//! 19 MiB and two passes, the first choice of OWASP's password storage cheat sheet. A semaphore
//! bounds how many run at once, so that many parallel logins wait and do not take the memory of
//! the server. Every verification does work, for an unknown account too: its answer must not come
//! sooner. An account whose hash is of Werkzeug takes another time until its first login.

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::{Output, PasswordHash as Phc, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand::Rng as _;
use subtle::ConstantTimeEq as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;
use zxcvbn::Score;

use super::secret::system_rng;
use super::werkzeug::WerkzeugHash;

/// The parameters of new hashes: memory in KiB, passes, lanes, and the sizes of output and salt in
/// bytes.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const OUTPUT: usize = 32;
const SALT: usize = 16;

/// The most that a stored hash may cost. The text may come from an import.
const MOST_MEMORY: u32 = 64 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 4;

/// The shortest salt and output that are accepted, in bytes.
const LEAST_SALT: usize = 8;
const LEAST_OUTPUT: usize = 16;

/// The hash that a password of an unknown account is compared with. Salt and output are no hash of
/// a known password, and a match would not count.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$S2FzdHJlbCBkZWNveSAwMQ$6H1cR0m2p3q8sVtXyZ4bKfJdLgNhWuAiEoTzCvBnMkQ";

/// The memory that is reserved for one hash, in blocks of 1 KiB. The allocator of glibc keeps freed
/// memory of up to 32 MiB for later, once for each of many threads; a larger allocation always
/// goes back to the system. Only the part that is written takes real memory.
const RESERVED_BLOCKS: usize = 33 * 1024;

/// The length of a new password, in Unicode characters.
const LEAST_LENGTH: usize = 12;
const MOST_LENGTH: usize = 256;

/// A word of this service that a guess would contain.
const OWN_WORD: &str = "kastrel";

/// A password as a person typed it. `Debug` does not show it, and its memory is cleared when it is
/// dropped.
pub struct Password(Zeroizing<String>);

/// Why a new password is refused. The text is for the field of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// It has fewer than 12 characters.
    #[error("Use at least 12 characters.")]
    TooShort,
    /// It has more than 256 characters.
    #[error("Use at most 256 characters.")]
    TooLong,
    /// It is a name of the account.
    #[error("Use a password that is not a name of the account.")]
    Name,
    /// It is one of the commonly used passwords, or few guesses find it.
    #[error("This password is easy to guess: use several words that do not belong together.")]
    Common,
}

impl Password {
    /// Wraps the text of a form or of a terminal.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Checks the length of a new password: the only rule for the password of a public link, which
    /// belongs to no account.
    ///
    /// # Errors
    /// The password is shorter than 12 or longer than 256 characters (of its normal form NFC).
    pub fn check_length(&self) -> Result<(), PasswordFault> {
        length_of(&self.normalized())
    }

    /// Checks a password that somebody chooses for an account. `names` are the account's name, mail
    /// address and display name, as far as it has them. There are no rules for kinds of characters.
    /// The check takes some milliseconds of computation.
    ///
    /// # Errors
    /// The password is shorter than 12 or longer than 256 characters (of its normal form NFC), is
    /// one of the names, or has a score below 3 of 4 with zxcvbn, which knows the common passwords
    /// and finds words, names, dates, repetitions and rows of keys.
    pub fn check_new(&self, names: &[&str]) -> Result<(), PasswordFault> {
        let text = self.normalized();
        length_of(&text)?;
        let names: Vec<String> = names
            .iter()
            .flat_map(|name| [*name, name.split('@').next().unwrap_or_default()])
            .map(folded)
            .filter(|name| !name.is_empty())
            .collect();
        let plain = Zeroizing::new(folded(&text));
        if names.contains(&plain) {
            return Err(PasswordFault::Name);
        }
        let known: Vec<&str> = names.iter().map(String::as_str).chain([OWN_WORD]).collect();
        if zxcvbn::zxcvbn(&text, &known).score() < Score::Three { Err(PasswordFault::Common) } else { Ok(()) }
    }

    /// Returns the password in the normal form NFC: keyboards and systems write one letter as
    /// different characters.
    fn normalized(&self) -> Zeroizing<String> {
        // The normal form is not longer than three times the text, so the text is not moved, and
        // no copy of a part stays in freed memory.
        let mut text = Zeroizing::new(String::with_capacity(3 * self.0.len()));
        text.extend(self.0.nfc());
        text
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Checks the length of a password in its normal form.
fn length_of(text: &str) -> Result<(), PasswordFault> {
    match text.chars().count() {
        ..LEAST_LENGTH => Err(PasswordFault::TooShort),
        LEAST_LENGTH..=MOST_LENGTH => Ok(()),
        _ => Err(PasswordFault::TooLong),
    }
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase().nfc().collect()
}

/// A stored password hash: a PHC text of argon2id, or the text of Werkzeug that an import took
/// over. `Debug` shows no part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: String,
    scheme: Scheme,
}

/// The text is not a password hash that Kastrel verifies: it has another form or method, or its
/// parameters are out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password hash has an unknown form, or parameters out of bounds")]
pub struct PasswordHashFault;

#[derive(Clone, PartialEq, Eq)]
enum Scheme {
    Argon2id { memory: u32, passes: u32, lanes: u32, salt: Vec<u8>, output: Vec<u8> },
    Werkzeug(WerkzeugHash),
}

impl PasswordHash {
    /// Parses a stored text.
    ///
    /// # Errors
    /// The text has another form or method, or parameters out of bounds. Such an account has no
    /// usable password.
    pub fn parse(text: &str) -> Result<Self, PasswordHashFault> {
        let scheme = Scheme::argon2id(text).or_else(|| WerkzeugHash::parse(text).map(Scheme::Werkzeug));
        scheme.map(|scheme| Self { text: text.to_owned(), scheme }).ok_or(PasswordHashFault)
    }

    /// Returns the text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Computes a new hash.
    fn of(password: &str) -> Self {
        let mut salt = vec![0; SALT];
        system_rng().fill_bytes(&mut salt);
        let mut output = vec![0; OUTPUT];
        let is_computed = argon2id(password, MEMORY, PASSES, LANES, &salt, &mut output);
        assert!(is_computed, "the parameters of new hashes are valid");
        let text = match (SaltString::encode_b64(&salt), Output::new(&output)) {
            (Ok(salt), Ok(output)) => format!("$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}${salt}${output}"),
            _ => unreachable!("salt and output have a valid length"),
        };
        Self { text, scheme: Scheme::Argon2id { memory: MEMORY, passes: PASSES, lanes: LANES, salt, output } }
    }

    fn decoy() -> Self {
        Self::parse(DECOY).unwrap_or_else(|_| unreachable!("the decoy is a valid hash"))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl Scheme {
    /// Parses a PHC text of argon2id in version 19.
    fn argon2id(text: &str) -> Option<Self> {
        let phc = Phc::new(text).ok()?;
        if phc.algorithm != Algorithm::Argon2id.ident() || phc.version != Some(Version::V0x13.into()) {
            return None;
        }
        let params = Params::try_from(&phc).ok()?;
        let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
        let is_bounded = memory <= MOST_MEMORY && passes <= MOST_PASSES && lanes <= MOST_LANES;
        // Key ids and associated data are no part of our hashes.
        if !is_bounded || !params.keyid().is_empty() || !params.data().is_empty() {
            return None;
        }
        let mut salt = [0; 64];
        let salt = phc.salt?.decode_b64(&mut salt).ok()?.to_vec();
        let output = phc.hash?.as_bytes().to_vec();
        let is_long = salt.len() >= LEAST_SALT && output.len() >= LEAST_OUTPUT;
        is_long.then_some(Self::Argon2id { memory, passes, lanes, salt, output })
    }

    /// Returns whether the password should be hashed again when it is known.
    fn is_old(&self) -> bool {
        match self {
            Self::Argon2id { memory, passes, lanes, salt, output } => {
                *memory < MEMORY || *passes < PASSES || *lanes < LANES || salt.len() < SALT || output.len() < OUTPUT
            }
            Self::Werkzeug(_) => true,
        }
    }

    /// The memory of a verification, in KiB.
    fn memory(&self) -> u64 {
        match self {
            Self::Argon2id { memory, .. } => u64::from(*memory),
            Self::Werkzeug(hash) => hash.memory() / 1024,
        }
    }

    fn is_of(&self, password: &Password) -> bool {
        match self {
            Self::Argon2id { memory, passes, lanes, salt, output } => {
                let mut computed = vec![0; output.len()];
                argon2id(&password.normalized(), *memory, *passes, *lanes, salt, &mut computed)
                    && computed.ct_eq(output).into()
            }
            // Werkzeug used no normal form.
            Self::Werkzeug(hash) => hash.is_of(&password.0),
        }
    }
}

/// Computes a hash, and returns whether the parameters are valid.
fn argon2id(password: &str, memory: u32, passes: u32, lanes: u32, salt: &[u8], output: &mut [u8]) -> bool {
    let Ok(params) = Params::new(memory, passes, lanes, Some(output.len())) else { return false };
    let mut blocks = Vec::with_capacity(RESERVED_BLOCKS.max(params.block_count()));
    blocks.resize(params.block_count(), Block::new());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, &mut blocks).is_ok()
}

/// Whether a password belongs to a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// It does.
    Right,
    /// It does, and the hash is of Werkzeug or has weaker parameters than new ones. The caller
    /// stores a new hash of the password.
    RightButOld,
    /// It does not, or the account is unknown.
    Wrong,
}

/// Hashes and verifies passwords on the threads for blocking work, a few at once. Clones share the
/// limit.
#[derive(Debug, Clone)]
pub struct PasswordHasher {
    /// One permit stands for the memory of one new hash.
    permits: Arc<Semaphore>,
    most: u32,
}

impl PasswordHasher {
    /// Creates a hasher that computes at most `parallel` hashes at once, but at least one. All
    /// others wait in order. The memory of all is at most `parallel` times 19 MiB: an old hash that
    /// needs more counts as several, and runs alone if it needs more than that.
    #[must_use]
    pub fn new(parallel: usize) -> Self {
        // More threads than this have no use.
        let most = u32::try_from(parallel).unwrap_or(u32::MAX).clamp(1, 1024);
        Self { permits: Arc::new(Semaphore::new(most as usize)), most }
    }

    /// Returns the hash of a password, with a new salt. The password is not checked here.
    ///
    /// # Panics
    /// The operating system has no randomness.
    pub async fn hash(&self, password: &Password) -> PasswordHash {
        let text = password.normalized();
        self.run(u64::from(MEMORY), move || PasswordHash::of(&text)).await
    }

    /// Compares a password with the hash of an account. Without a hash, for an unknown account or
    /// one without a password, it does the work of a new hash and answers [`Verified::Wrong`].
    pub async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Verified {
        let is_known = hash.is_some();
        let scheme = hash.cloned().unwrap_or_else(PasswordHash::decoy).scheme;
        let password = Password(password.0.clone());
        self.run(scheme.memory(), move || match (scheme.is_of(&password) && is_known, scheme.is_old()) {
            (true, false) => Verified::Right,
            (true, true) => Verified::RightButOld,
            (false, _) => Verified::Wrong,
        })
        .await
    }

    /// Runs a computation that needs `memory` KiB when there is room for it. The computation holds
    /// the permits: it runs to its end even when the caller stops waiting.
    async fn run<T: Send + 'static>(&self, memory: u64, compute: impl FnOnce() -> T + Send + 'static) -> T {
        let permits = self.acquire(memory).await;
        let computed = tokio::task::spawn_blocking(move || {
            let computed = compute();
            drop(permits);
            computed
        });
        match computed.await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(computed) => computed,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime shuts down, and with it the caller.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    async fn acquire(&self, memory: u64) -> OwnedSemaphorePermit {
        let count = memory.div_ceil(u64::from(MEMORY)).clamp(1, u64::from(self.most));
        let count = u32::try_from(count).unwrap_or(self.most);
        let permits = Arc::clone(&self.permits).acquire_many_owned(count).await;
        permits.unwrap_or_else(|_| unreachable!("the semaphore is never closed"))
    }
}

#[cfg(test)]
mod tests;
