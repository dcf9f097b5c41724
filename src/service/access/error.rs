//! Why an operation on accounts, or a sign-in, was not carried out.

use std::time::Duration;

use kastrel_actors::model::FieldError;
use kastrel_actors::policy::access::Denial;
use kastrel_actors::ports::StoreError;

/// An operation on accounts that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Fields are invalid: all that are wrong. Nothing was changed.
    #[error("the request has invalid fields")]
    Invalid(Vec<FieldError>),
    /// The caller may not do it. Nothing was changed.
    #[error(transparent)]
    Denied(Denial),
    /// Nothing was changed: the server would have no administrator that can sign in.
    #[error("this is the last administrator: make another account an administrator first")]
    LastAdmin,
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccountError {
    /// Returns the error of one field.
    pub(super) fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }
}

/// A code of the second factor that ended no sign-in.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The pending sign-in does not exist, was used, has expired, or had too many wrong codes.
    #[error("this sign-in has ended: sign in again")]
    Gone,
    /// The code was not accepted. The sign-in still waits.
    #[error(transparent)]
    Refused(#[from] CodeFault),
    /// The set-up of a second factor has expired, or belongs to another sign-in.
    #[error("the set-up has expired: begin again")]
    Expired,
    /// There were too many attempts. The code was not looked at.
    #[error("too many attempts: try again in {:.0} s", .retry_after.as_secs_f64().ceil())]
    Throttled {
        /// The time after which an attempt is let through; never zero.
        retry_after: Duration,
    },
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a code of the second factor was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeFault {
    /// It is wrong, or it was used before.
    #[error("this code is wrong, or it was used before")]
    Wrong,
    /// A passkey is not accepted, or its answer was used before.
    #[error("this passkey was not accepted: try again")]
    Passkey,
    /// Too many codes of the app were tried; recovery codes are accepted.
    #[error("too many wrong codes were entered for this account: use a recovery code, or ask an administrator")]
    TooMany,
    /// The secret of the app was sealed with another key; recovery codes are accepted.
    #[error("this server cannot check codes of the app: use a recovery code, or ask an administrator")]
    Unreadable,
    /// This server cannot seal the secret of the app.
    #[error("this server cannot store the secret of the app: its log has the reason")]
    NoKey,
}

/// A password of a public link that was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum LinkPasswordError {
    /// It is wrong.
    #[error("the password is wrong")]
    Wrong,
    /// There were too many attempts. The password was not looked at.
    #[error("too many attempts: try again in {:.0} s", .retry_after.as_secs_f64().ceil())]
    Throttled {
        /// The time after which an attempt is let through; never zero.
        retry_after: Duration,
    },
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A device login that was not created.
#[derive(Debug, thiserror::Error)]
pub enum DeviceLoginError {
    /// Fields are invalid: all that are wrong.
    #[error("the request has invalid fields")]
    Invalid(Vec<FieldError>),
    /// There are too many, of the network of the client or at all.
    #[error("too many logins wait for a decision: try again in {} s", .retry_after.as_secs())]
    Full {
        /// The time after which there is room; at least a second.
        retry_after: Duration,
    },
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A code of a device login that leads to nothing.
#[derive(Debug, thiserror::Error)]
pub enum DeviceCodeError {
    /// It is wrong, was used or has expired. The caller learns no more.
    #[error("this code is not valid: it is wrong, was used or has expired")]
    NotValid,
    /// There were too many attempts. The code was not looked at.
    #[error("too many attempts: try again in {:.0} s", .retry_after.as_secs_f64().ceil())]
    Throttled {
        /// The time after which an attempt is let through; never zero.
        retry_after: Duration,
    },
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A sign-in that was refused.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// People sign in with the identity provider alone.
    #[error("passwords and passkeys are not accepted here: sign in with the identity provider")]
    NoPasswords,
    /// The name or the password is wrong, or the account is disabled or has no password. The caller
    /// learns no more.
    #[error("the name or the password is wrong")]
    Wrong,
    /// There were too many attempts. The password was not looked at.
    #[error("too many attempts: try again in {:.0} s", .retry_after.as_secs_f64().ceil())]
    Throttled {
        /// The time after which an attempt is let through; never zero.
        retry_after: Duration,
    },
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}
