//! Makes the Redis client of a URL.

use kastrel_actors::model::NodeId;
use redis::io::tcp::TcpSettings;
use redis::{Client, TlsCertificates};

use super::options::RedisOptions;
use crate::config::{RedisUrlError, parse_redis_url};

/// Returns an unconnected client for `url`, and the address without user and password.
pub(super) fn client(url: &str, node: &NodeId, options: &RedisOptions) -> Result<(Client, String), RedisUrlError> {
    let info = parse_redis_url(url)?;
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
