//! Parses the Redis URL: `redis[s]://[[user]:password@]host[:port][/database]`.

use redis::{ConnectionInfo, IntoConnectionInfo};
use url::{Host, Url};

/// The reason why a Redis URL is invalid. It never repeats the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// Not a URL.
    #[error("the address of Redis is not a URL: {0}")]
    Syntax(#[from] url::ParseError),
    /// Not a Redis scheme.
    #[error("the address of Redis begins with `{0}:`, but must begin with `redis://`, or with `rediss://` for TLS")]
    Scheme(String),
    /// No host.
    #[error("the address of Redis has no host")]
    NoHost,
    /// A wildcard address, which is for listening and not for connecting.
    #[error("the address of Redis has the host {0}, which cannot be connected to")]
    Wildcard(String),
    /// The path is not a number.
    #[error("the path of Redis's address must be empty or the number of a database, such as `/0`")]
    Database,
    /// A user name without a password.
    #[error(
        "the address of Redis names a user without a password; a password alone is written `redis://:password@host`"
    )]
    UserWithoutPassword,
    /// The password or the user is not UTF-8 after percent-decoding.
    #[error("the user or the password in the address of Redis is not UTF-8 text")]
    Credentials,
    /// A query parameter.
    #[error("the address of Redis holds the parameter `{0}`, but it can hold none")]
    Parameter(String),
    /// A fragment, such as `#insecure`.
    #[error(
        "the address of Redis must hold no `#`: certificates are always checked, and a `#` in a password is written `%23`"
    )]
    Fragment,
    /// The prefix contains a character that would break the hash tag of the keys.
    #[error("the prefix of the keys in Redis must be 1 to 64 characters of a-z, A-Z, 0-9, `.`, `_` and `-`")]
    Prefix,
    /// The root certificate is invalid.
    #[error("the root certificate for Redis cannot be used: {0}")]
    Certificate(String),
    /// Any other error.
    #[error("the address of Redis cannot be used: {0}")]
    Other(String),
}

/// Checks that `url` is a usable Redis URL. Opens no connection.
///
/// # Errors
/// The reason why the URL is invalid. The error never repeats the URL.
pub fn check_redis_url(url: &str) -> Result<(), RedisUrlError> {
    parse_redis_url(url).map(drop)
}

/// Parses a Redis URL.
///
/// # Errors
/// The reason why the URL is invalid. The error never repeats the URL.
pub fn parse_redis_url(text: &str) -> Result<ConnectionInfo, RedisUrlError> {
    let url = Url::parse(text)?;
    if !matches!(url.scheme(), "redis" | "rediss" | "valkey" | "valkeys") || !text.contains("://") {
        return Err(RedisUrlError::Scheme(url.scheme().to_owned()));
    }
    match url.host() {
        None => return Err(RedisUrlError::NoHost),
        Some(Host::Domain("")) => return Err(RedisUrlError::NoHost),
        Some(host) if matches!(host.to_string().as_str(), "0.0.0.0" | "[::]") => {
            return Err(RedisUrlError::Wildcard(host.to_string()));
        }
        Some(_) => {}
    }
    if url.fragment().is_some() {
        return Err(RedisUrlError::Fragment);
    }
    if let Some((name, _)) = url.query_pairs().next() {
        return Err(RedisUrlError::Parameter(name.into_owned()));
    }
    let database = url.path().trim_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return Err(RedisUrlError::Database);
    }
    if !url.username().is_empty() && url.password().is_none() {
        return Err(RedisUrlError::UserWithoutPassword);
    }
    // The checks above cover every other error of this call. Its own message is dropped because it
    // could repeat the password.
    url.into_connection_info().map_err(|_| RedisUrlError::Credentials)
}

#[cfg(test)]
mod tests {
    use redis::ConnectionAddr;

    use super::*;

    #[test]
    fn redis_urls_are_parsed() {
        for (text, address, tls, user, password, database) in [
            ("redis://localhost", "localhost:6379", false, None, None, 0),
            ("redis://[::1]:7000/3", "::1:7000", false, None, None, 3),
            ("rediss://ann:p%40ss%23@redis.example:1/", "redis.example:1", true, Some("ann"), Some("p@ss#"), 0),
            ("valkey://:secret@10.0.0.1/15", "10.0.0.1:6379", false, None, Some("secret"), 15),
        ] {
            let info = parse_redis_url(text).unwrap();
            assert_eq!(info.addr().to_string(), address);
            assert_eq!(matches!(info.addr(), ConnectionAddr::TcpTls { insecure: false, .. }), tls);
            let redis = info.redis_settings();
            assert_eq!((redis.username(), redis.password(), redis.db()), (user, password, database), "{text}");
        }
    }

    #[test]
    fn url_errors_do_not_repeat_the_password() {
        for (text, expected) in [
            ("hunter2", RedisUrlError::Syntax(url::ParseError::RelativeUrlWithoutBase)),
            ("http://:hunter2@localhost", RedisUrlError::Scheme("http".into())),
            ("redis:hunter2@localhost", RedisUrlError::Scheme("redis".into())),
            ("unix:///run/hunter2", RedisUrlError::Scheme("unix".into())),
            ("redis:///1", RedisUrlError::NoHost),
            ("redis://:hunter2@0.0.0.0", RedisUrlError::Wildcard("0.0.0.0".into())),
            ("redis://:hunter2@[::]:1", RedisUrlError::Wildcard("[::]".into())),
            ("redis://:hunter2@localhost/jobs", RedisUrlError::Database),
            ("redis://:hunter2@localhost/-1", RedisUrlError::Database),
            ("redis://hunter2@localhost", RedisUrlError::UserWithoutPassword),
            ("redis://:%ffhunter2@localhost", RedisUrlError::Credentials),
            ("rediss://:hunter2@localhost/0?ssl_cert_reqs=none", RedisUrlError::Parameter("ssl_cert_reqs".into())),
            ("rediss://:hunter2@localhost/#insecure", RedisUrlError::Fragment),
            ("redis://:hunter2@localhost:99999", RedisUrlError::Syntax(url::ParseError::InvalidPort)),
        ] {
            let error = parse_redis_url(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
