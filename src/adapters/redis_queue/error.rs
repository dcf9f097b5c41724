//! Errors of the Redis adapter, worded for operators.

use std::time::Duration;

use kastrel_actors::ports::QueueError;

/// The reason why a Redis call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CallError {
    /// The call was not sent.
    #[error("no connection to Redis at {address}: {why}")]
    Down { address: String, why: String },
    /// The call timed out. It may have taken effect.
    #[error("Redis at {address} gave no answer within {} ms", .after.as_millis())]
    TimedOut { address: String, after: Duration },
    /// Redis returned an error, or the connection broke.
    #[error("Redis at {address} failed: {}", describe(.source))]
    Failed {
        address: String,
        #[source]
        source: redis::RedisError,
    },
    /// The response has a different shape than the scripts return.
    #[error("the answer of Redis could not be read: {0}")]
    Answer(String),
    /// A receipt that this queue did not issue.
    #[error("`{0}` is no receipt of this queue")]
    Receipt(String),
    /// The queue is being dropped.
    #[error("the queue is closed")]
    Closed,
}

impl CallError {
    /// The error text of Redis or of the operating system, without the address.
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

/// The explanation for a Redis in protected mode, which closes every connection from another
/// machine.
const PROTECTED: &str = "Redis is in protected mode and refuses connections from other machines: set a password for it (`requirepass`) and name it in redis.url, or, where nobody else reaches it, set `protected-mode no`";

/// The meaning of the first line of a server that refuses connections. The server sends it before
/// any command; a client that writes first may find only a closed connection.
pub(super) fn greeting(line: &str) -> Option<&'static str> {
    line.starts_with("-DENIED").then_some(PROTECTED)
}

/// The error text of Redis or of the operating system, as one line.
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

/// Removes the position in a script, which users cannot use:
/// `… 'maxmemory'. script: ec22d1, on @user_script:2.`
fn without_script(detail: &str) -> &str {
    detail.split(" script: ").next().unwrap_or(detail).trim_end_matches('.')
}

/// The effect of an error on the server connection, beyond the failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Trouble {
    /// Only this call is affected.
    None,
    /// The connection is unusable, or leads to a server that cannot serve. A new connection may
    /// work.
    Connection,
    /// The connection works, but the server refuses signals because it lacks memory, disk, replicas
    /// or a permission.
    Refusal,
}

/// Classifies the error of a call.
pub(super) fn trouble(error: &redis::RedisError) -> Trouble {
    if error.is_io_error() || error.is_unrecoverable_error() {
        return Trouble::Connection;
    }
    trouble_of(error.code(), &describe(error))
}

/// Classifies an error by its code and text. Old servers name the error of a command in a script
/// only in the text: `ERR Error running script (…): -OOM command not allowed …`.
fn trouble_of(code: Option<&str>, text: &str) -> Trouble {
    const WORDS: [(&str, Trouble); 14] = [
        ("OOM", Trouble::Refusal),
        ("MISCONF", Trouble::Refusal),
        ("NOREPLICAS", Trouble::Refusal),
        ("NOPERM", Trouble::Refusal),
        // Another client's script runs for too long.
        ("BUSY", Trouble::Refusal),
        ("UNKILLABLE", Trouble::Refusal),
        ("READONLY", Trouble::Connection),
        ("LOADING", Trouble::Connection),
        ("MASTERDOWN", Trouble::Connection),
        ("CLUSTERDOWN", Trouble::Connection),
        ("MOVED", Trouble::Connection),
        ("NOAUTH", Trouble::Connection),
        ("WRONGPASS", Trouble::Connection),
        // A different kind of server, or a missing module.
        ("NOPROTO", Trouble::Connection),
    ];
    let named = |word: &str| WORDS.iter().find(|(known, _)| *known == word).map(|(_, trouble)| *trouble);
    if let Some(trouble) = code.and_then(named) {
        return trouble;
    }
    if text.contains("max number of clients reached") {
        return Trouble::Connection;
    }
    // The text of Redis 7 for a command in a script.
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
    fn script_positions_are_removed_from_errors() {
        let said = "command not allowed when used memory > 'maxmemory'. script: ec22d168, on @user_script:2.";
        assert_eq!(without_script(said), "command not allowed when used memory > 'maxmemory'");
        assert_eq!(without_script("Authentication required."), "Authentication required");
    }

    #[test]
    fn protected_mode_is_recognized_by_the_first_line() {
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
    fn errors_are_classified_for_every_server_version() {
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
