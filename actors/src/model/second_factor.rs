//! The second factor of an account, and sign-ins that wait for one. The store has the secret
//! sealed, and only digests of recovery codes.

use jiff::Timestamp;

use super::{AccountName, SecretDigest};

/// The second factor of an account: the secret of its time-based one-time passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// The secret, sealed for the account.
    pub sealed_secret: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// The time step of the last code that was accepted. No code of this step or an earlier one is
    /// accepted again.
    pub last_step: u64,
    /// How many codes were tried since the last one that was right. A store counts a try before it
    /// returns the factor for it.
    pub tries: u32,
    /// How many recovery codes are left.
    pub recovery_codes: u64,
}

/// A second factor to add to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSecondFactor {
    /// The account.
    pub account: AccountName,
    /// The secret, sealed for the account.
    pub sealed_secret: String,
    /// The time step of the code that confirmed the secret.
    pub last_step: u64,
    /// The digests of its recovery codes.
    pub recovery_codes: Vec<SecretDigest>,
    /// When it is added.
    pub created_at: Timestamp,
}

/// The use of a second factor. A store accepts each one once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorUse {
    /// A code of this time step, which must be later than the last one that was accepted.
    Step(u64),
    /// A recovery code with this digest.
    RecoveryCode(SecretDigest),
}

/// A sign-in whose password was right and which waits for the second factor. It is no session and
/// gives no right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingSignIn {
    /// The digest of its secret, which the browser has.
    pub key: SecretDigest,
    /// The account.
    pub account: AccountName,
    /// When it expires.
    pub expires_at: Timestamp,
    /// How many codes were tried. A store counts a try before it returns the sign-in for it.
    pub tries: u32,
}

/// The result of the end of a pending sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInEnd {
    /// The session was started. The pending sign-in is gone.
    Started,
    /// The pending sign-in does not exist, has expired or was ended.
    NoSignIn,
    /// The factor was refused: the code was used before or does not exist, or an account that adds
    /// a factor has one already. The pending sign-in stays.
    Refused,
}

/// The result of a change that needs the second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorChange {
    /// The change was made.
    Changed,
    /// The account has no second factor.
    NoFactor,
    /// The code was used before or does not exist.
    Refused,
}
