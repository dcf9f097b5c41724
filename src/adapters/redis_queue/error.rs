//! What can go wrong, in words for whoever runs Kastrel.

use std::time::Duration;

use kastrel_actors::ports::QueueError;

/// Why an address is none of a Redis. It never repeats the address, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// No URL at all.
    #[error("the address of Redis is no URL: {0}")]
    Syntax(#[from] url::ParseError),
    /// Of something else.
    #[error("the address of Redis begins with `{0}:`, but must begin with `redis://`, or with `rediss://` for TLS")]
    Scheme(String),
    /// No host.
    #[error("the address of Redis names no host")]
    NoHost,
    /// A host to listen on, not to connect to.
    #[error("the address of Redis names {0}, which is no host to connect to")]
    Wildcard(String),
    /// The path is no number.
    #[error("the path of Redis's address must be empty or the number of a database, such as `/0`")]
    Database,
    /// A user name alone.
    #[error("the address of Redis names a user without a password; a password alone is written `redis://:password@host`")]
    UserWithoutPassword,
    /// The password or the user is not UTF-8 after percent-decoding.
    #[error("the user or the password in the address of Redis is not UTF-8 text")]
    Credentials,
    /// A parameter.
    #[error("the address of Redis holds the parameter `{0}`, but it can hold none")]
    Parameter(String),
    /// A fragment, such as `#insecure`.
    #[error("the address of Redis must hold no `#`: certificates are always checked, and a `#` in a password is written `%23`")]
    Fragment,
    /// The prefix of the keys would break their hash tag.
    #[error("the prefix of the keys in Redis must be 1 to 64 characters of a-z, A-Z, 0-9, `.`, `_` and `-`")]
    Prefix,
    /// The certificate cannot be used.
    #[error("the root certificate for Redis cannot be used: {0}")]
    Certificate(String),
    /// Something that was not foreseen.
    #[error("the address of Redis cannot be used: {0}")]
    Other(String),
}

/// Why a call of Redis brought no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CallError {
    /// It was not even tried.
    #[error("no connection to Redis at {address}: {why}")]
    Down { address: String, why: String },
    /// Too slow. The call may have had its effect.
    #[error("Redis at {address} gave no answer within {} ms", .after.as_millis())]
    TimedOut { address: String, after: Duration },
    /// Redis refused, or the connection broke.
    #[error("Redis at {address} failed: {}", describe(.source))]
    Failed {
        address: String,
        #[source]
        source: redis::RedisError,
    },
    /// An answer of another shape than the scripts give.
    #[error("the answer of Redis could not be read: {0}")]
    Answer(String),
    /// A receipt that this queue never gave.
    #[error("`{0}` is no receipt of this queue")]
    Receipt(String),
    /// The queue is being dropped.
    #[error("the queue is closed")]
    Closed,
}

impl From<CallError> for QueueError {
    fn from(error: CallError) -> Self {
        Self(Box::new(error))
    }
}

/// One line, as Redis or the system says it.
pub(super) fn describe(error: &redis::RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        _ if error.is_timeout() => "no answer in time".to_owned(),
        _ if error.kind() == redis::ErrorKind::AuthenticationFailed => "the user or the password was refused".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether the connection cannot be used any more, or leads to a server that cannot serve.
pub(super) fn needs_another_connection(error: &redis::RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    let useless = [ServerErrorKind::ReadOnly, ServerErrorKind::BusyLoading, ServerErrorKind::MasterDown, ServerErrorKind::ClusterDown];
    error.is_io_error()
        || error.is_unrecoverable_error()
        || error.code() == Some("NOAUTH")
        || useless.iter().any(|kind| error.kind() == ErrorKind::Server(*kind))
}
