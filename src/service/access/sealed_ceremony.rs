//! What the check of an authenticator's answer needs, as a page keeps it: sealed, with a time
//! limit.
//!
//! So a request costs the database nothing, and nobody can fill it with requests. The store
//! remembers the challenges that were signed and accepted, until they expire: each is accepted
//! once.

use jiff::Timestamp;
use kastrel_actors::model::{AccountName, SecretDigest};
use serde::{Deserialize, Serialize};

use super::AccessService;
use super::service::after;
use crate::identity::passkey::ANSWER_WITHIN;
use crate::identity::secret::digest_of;

/// The purpose of a sealed request.
const REQUEST: &str = "passkey request";

/// The state of a request for a signature.
pub(super) struct SealedRequest {
    /// What the check needs.
    pub(super) state: String,
    /// The digest of the challenge with its state, which is random.
    pub(super) digest: SecretDigest,
    /// When it expires.
    pub(super) expires_at: Timestamp,
}

/// The state of a creation.
pub(super) struct SealedCreation {
    pub(super) label: String,
    pub(super) handle: String,
    pub(super) state: String,
    pub(super) digest: SecretDigest,
    pub(super) expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Clear {
    /// When it expires, in seconds since 1970.
    until: i64,
    state: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    label: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    handle: String,
}

/// The server cannot seal: its log has the reason.
#[derive(Debug, Clone, Copy)]
pub(super) struct CannotSeal;

impl SealedRequest {
    pub(super) fn seal(access: &AccessService, state: String) -> Result<String, CannotSeal> {
        seal(access, REQUEST, state, String::new(), String::new())
    }

    /// Opens a request that has not expired.
    pub(super) fn open(access: &AccessService, sealed: &str) -> Option<Self> {
        let (Clear { state, .. }, digest, expires_at) = open(access, REQUEST, sealed)?;
        Some(Self { state, digest, expires_at })
    }
}

impl SealedCreation {
    /// Seals a creation for an account and the session in which it began.
    pub(super) fn seal(
        access: &AccessService,
        (account, session): (&AccountName, SecretDigest),
        state: String,
        label: String,
        handle: String,
    ) -> Result<String, CannotSeal> {
        seal(access, &of_creation(account, session), state, label, handle)
    }

    /// Opens a creation that has not expired, and that began for this account in this session.
    pub(super) fn open(
        access: &AccessService,
        (account, session): (&AccountName, SecretDigest),
        sealed: &str,
    ) -> Option<Self> {
        let (clear, digest, expires_at) = open(access, &of_creation(account, session), sealed)?;
        let Clear { state, label, handle, .. } = clear;
        Some(Self { label, handle, state, digest, expires_at })
    }
}

fn of_creation(account: &AccountName, session: SecretDigest) -> String {
    format!("passkey creation\n{account}\n{session}")
}

fn seal(
    access: &AccessService,
    purpose: &str,
    state: String,
    label: String,
    handle: String,
) -> Result<String, CannotSeal> {
    let until = after(access.clock.now(), ANSWER_WITHIN).as_second();
    let clear = serde_json::to_string(&Clear { until, state, label, handle }).map_err(|_| CannotSeal)?;
    access.sealer.seal(purpose, &clear).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the state of a passkey request was not sealed");
        CannotSeal
    })
}

fn open(access: &AccessService, purpose: &str, sealed: &str) -> Option<(Clear, SecretDigest, Timestamp)> {
    let text = access.sealer.open(purpose, sealed).ok()?;
    let clear: Clear = serde_json::from_str(&text).ok()?;
    let expires_at = Timestamp::from_second(clear.until).ok()?;
    (expires_at > access.clock.now()).then(|| (clear, digest_of(&text), expires_at))
}
