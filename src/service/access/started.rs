//! What a right password starts: a session, or a sign-in that waits for the second factor.

use std::time::Duration;

use kastrel_actors::model::AccountName;
use kastrel_actors::policy::second_factor::SignInStep;

use crate::identity::secret::RandomSecret;

/// The session of a successful sign-in, or one to which a change of the credentials of its account
/// gave a new secret. Each of both has a secret that no session had before.
#[derive(Debug)]
pub struct NewSession {
    /// The secret, for the cookie.
    pub secret: RandomSecret,
    /// The account.
    pub account: AccountName,
    /// The time after which the session ends, whatever its use.
    pub max_age: Duration,
}

/// A sign-in whose password was right.
#[derive(Debug)]
pub struct NewPendingSignIn {
    /// The secret, for the cookie.
    pub secret: RandomSecret,
    /// What the sign-in needs.
    pub step: SignInStep,
    /// How long it is valid.
    pub max_age: Duration,
}

/// What a right password starts.
#[derive(Debug)]
pub enum SignInStart {
    /// A session.
    Session(NewSession),
    /// A sign-in that waits for the second factor. It is no session and gives no right.
    Pending(NewPendingSignIn),
}

impl SignInStart {
    /// Returns the secret for the cookie.
    pub(super) fn secret(&self) -> &RandomSecret {
        match self {
            Self::Session(session) => &session.secret,
            Self::Pending(pending) => &pending.secret,
        }
    }
}
