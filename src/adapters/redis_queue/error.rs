//! What can go wrong, in words for whoever runs Kastrel.

use std::time::Duration;

use kastrel_actors::ports::QueueError;

/// Why an address is none of a Redis. It never repeats the address, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// No URL at all.
    #[error("the address of Redis is not a URL: {0}")]
    Syntax(#[from] url::ParseError),
    /// Of something else.
    #[error("the address of Redis begins with `{0}:`, but must begin with `redis://`, or with `rediss://` for TLS")]
    Scheme(String),
    /// No host.
    #[error("the address of Redis has no host")]
    NoHost,
    /// A host to listen on, not to connect to.
    #[error("the address of Redis has the host {0}, which cannot be connected to")]
    Wildcard(String),
    /// The path is no number.
    #[error("the path of Redis's address must be empty or the number of a database, such as `/0`")]
    Database,
    /// A user name alone.
    #[error(
        "the address of Redis names a user without a password; a password alone is written `redis://:password@host`"
    )]
    UserWithoutPassword,
    /// The password or the user is not UTF-8 after percent-decoding.
    #[error("the user or the password in the address of Redis is not UTF-8 text")]
    Credentials,
    /// A parameter.
    #[error("the address of Redis holds the parameter `{0}`, but it can hold none")]
    Parameter(String),
    /// A fragment, such as `#insecure`.
    #[error(
        "the address of Redis must hold no `#`: certificates are always checked, and a `#` in a password is written `%23`"
    )]
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

impl CallError {
    /// What Redis or the system said, without the address.
    pub(super) fn cause(&self) -> String {
        match self {
            Self::Down { why, .. } => why.clone(),
            Self::TimedOut { .. } => "no answer in time".into(),
            Self::Failed { source, .. } => describe(source),
            Self::Answer(_) | Self::Receipt(_) | Self::Closed => self.to_string(),
        }
    }
}

impl From<CallError> for QueueError {
    fn from(error: CallError) -> Self {
        Self(Box::new(error))
    }
}

/// What a Redis in protected mode means by closing every connection from another machine.
const PROTECTED: &str = "Redis is in protected mode and refuses connections from other machines: set a password for it (`requirepass`) and name it in redis.url, or, where nobody else reaches it, set `protected-mode no`";

/// What the first line of a server says that takes no connection. It says so at once, before any
/// command, and a client that wrote first may find only a closed connection.
pub(super) fn greeting(line: &str) -> Option<&'static str> {
    line.starts_with("-DENIED").then_some(PROTECTED)
}

/// One line, as Redis or the system says it.
pub(super) fn describe(error: &redis::RedisError) -> String {
    if error.code() == Some("DENIED") {
        return PROTECTED.to_owned();
    }
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {}", without_script(detail)),
        (Some(code), None) => code.to_owned(),
        _ if error.is_timeout() => "no answer in time".to_owned(),
        _ if error.kind() == redis::ErrorKind::AuthenticationFailed => {
            "the user or the password was refused".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Without the place in a script, which means nothing to people:
/// `… 'maxmemory'. script: ec22d1, on @user_script:2.`
fn without_script(detail: &str) -> &str {
    detail.split(" script: ").next().unwrap_or(detail).trim_end_matches('.')
}

/// What an error says of the server, beside that a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Trouble {
    /// Only this call is concerned.
    None,
    /// The connection cannot be used any more, or leads to a server that cannot serve: another one
    /// may.
    Connection,
    /// The connection is good, and the server refuses to take signals: for want of memory or disk,
    /// of replicas, or of a right.
    Refusal,
}

/// Judges an error of a call.
pub(super) fn trouble(error: &redis::RedisError) -> Trouble {
    if error.is_io_error() || error.is_unrecoverable_error() {
        return Trouble::Connection;
    }
    trouble_of(error.code(), &describe(error))
}

/// The same by the words of the server. An old one names the error of a command in a script only in
/// the text: `ERR Error running script (…): -OOM command not allowed …`.
fn trouble_of(code: Option<&str>, text: &str) -> Trouble {
    const WORDS: [(&str, Trouble); 14] = [
        ("OOM", Trouble::Refusal),
        ("MISCONF", Trouble::Refusal),
        ("NOREPLICAS", Trouble::Refusal),
        ("NOPERM", Trouble::Refusal),
        // A script of somebody else runs for too long.
        ("BUSY", Trouble::Refusal),
        ("UNKILLABLE", Trouble::Refusal),
        ("READONLY", Trouble::Connection),
        ("LOADING", Trouble::Connection),
        ("MASTERDOWN", Trouble::Connection),
        ("CLUSTERDOWN", Trouble::Connection),
        ("MOVED", Trouble::Connection),
        ("NOAUTH", Trouble::Connection),
        ("WRONGPASS", Trouble::Connection),
        // A server of another kind, or a module that is missing.
        ("NOPROTO", Trouble::Connection),
    ];
    let named = |word: &str| WORDS.iter().find(|(known, _)| *known == word).map(|(_, trouble)| *trouble);
    if let Some(trouble) = code.and_then(named) {
        return trouble;
    }
    if text.contains("max number of clients reached") {
        return Trouble::Connection;
    }
    // Redis 7, of a command in a script.
    if text.contains("The user executing the script can't") {
        return Trouble::Refusal;
    }
    // Redis 6.2: "@user_script: 71: -READONLY You can't write against a read only replica."
    let words = text.split_whitespace().filter_map(|word| word.trim_start_matches('\'').strip_prefix('-'));
    words.filter_map(named).next().unwrap_or(Trouble::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_in_a_script_is_left_out() {
        let said = "command not allowed when used memory > 'maxmemory'. script: ec22d168, on @user_script:2.";
        assert_eq!(without_script(said), "command not allowed when used memory > 'maxmemory'");
        assert_eq!(without_script("Authentication required."), "Authentication required");
    }

    #[test]
    fn a_server_in_protected_mode_is_known_by_its_first_line() {
        let said = "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user.";
        assert!(greeting(said).is_some_and(|text| text.contains("protected mode")
            && text.contains("requirepass")
            && text.contains("redis.url")));
        assert_eq!(
            (greeting("-ERR max number of clients reached"), greeting("+PONG"), greeting("")),
            (None, None, None)
        );
    }

    #[test]
    fn what_a_server_says_is_judged_by_its_words_whatever_its_version() {
        for (code, text, expected) in [
            (
                Some("OOM"),
                "OOM command not allowed when used memory > 'maxmemory'. script: 3f2, on @user_script:71.",
                Trouble::Refusal,
            ),
            (
                Some("ERR"),
                "ERR Error running script (call to f_3f2): @user_script:71: @user_script: 71: -OOM command not allowed when used memory > 'maxmemory'. ",
                Trouble::Refusal,
            ),
            (
                Some("MISCONF"),
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
                Trouble::Refusal,
            ),
            (Some("NOREPLICAS"), "NOREPLICAS Not enough good replicas to write.", Trouble::Refusal),
            (Some("NOPERM"), "NOPERM User kastrel has no permissions to run the 'xadd' command", Trouble::Refusal),
            (
                Some("ERR"),
                "ERR The user executing the script can't run this command or subcommand script: 3f2, on @user_script:4.",
                Trouble::Refusal,
            ),
            (Some("BUSY"), "BUSY Redis is busy running a script.", Trouble::Refusal),
            (Some("READONLY"), "READONLY You can't write against a read only replica.", Trouble::Connection),
            (
                Some("ERR"),
                "ERR Error running script: @user_script: 7: -READONLY You can't write against a read only replica.",
                Trouble::Connection,
            ),
            (Some("LOADING"), "LOADING Redis is loading the dataset in memory", Trouble::Connection),
            (Some("CLUSTERDOWN"), "CLUSTERDOWN The cluster is down", Trouble::Connection),
            (Some("MASTERDOWN"), "MASTERDOWN Link with MASTER is down", Trouble::Connection),
            (Some("ERR"), "ERR max number of clients reached", Trouble::Connection),
            (Some("NOAUTH"), "NOAUTH Authentication required.", Trouble::Connection),
            (Some("WRONGTYPE"), "WRONGTYPE Operation against a key holding the wrong kind of value", Trouble::None),
            (Some("ERR"), "ERR unknown command 'xadd'", Trouble::None),
            (None, "no answer in time", Trouble::None),
        ] {
            assert_eq!(trouble_of(code, text), expected, "{text}");
        }
    }
}
