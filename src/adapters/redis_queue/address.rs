//! Parses the Redis URL: `redis[s]://[[user]:password@]host[:port][/database]`.

use kastrel_actors::model::NodeId;
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use url::{Host, Url};

use super::connections::RedisOptions;
use super::error::RedisUrlError;

/// Returns an unconnected client for `url`, and the address without user and password.
pub(super) fn client(url: &str, node: &NodeId, options: &RedisOptions) -> Result<(Client, String), RedisUrlError> {
    let info = parse(url)?;
    let redis = info.redis_settings().clone().set_lib_name("kastrel", env!("CARGO_PKG_VERSION"));
    let address = format!("{}/{}", info.addr(), redis.db());
    // Without `TCP_NODELAY`, a small request waits for the acknowledgement of the previous one
    // (Nagle's algorithm).
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true)).set_redis_settings(redis);
    let encrypted = matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. });
    let client = match (&options.root_certificate, encrypted) {
        (Some(certificate), true) => {
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(certificate.clone()) };
            Client::build_with_tls(info, certificates).map_err(|error| RedisUrlError::Certificate(error.to_string()))?
        }
        _ => Client::open(info).map_err(|error| RedisUrlError::Other(error.category().to_owned()))?,
    };
    tracing::debug!(node.id = %node, redis.address = address, redis.tls = encrypted, "will use Redis");
    Ok((client, address))
}

/// Checks that `url` is a usable Redis URL. Opens no connection.
///
/// # Errors
/// The reason why the URL is invalid. The error never repeats the URL.
pub fn check_redis_url(url: &str) -> Result<(), RedisUrlError> {
    parse(url).map(drop)
}

fn parse(text: &str) -> Result<ConnectionInfo, RedisUrlError> {
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
            let info = parse(text).unwrap();
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
            let error = parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
