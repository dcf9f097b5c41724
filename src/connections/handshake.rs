//! The begin of a connection with TLS: the handshake, or the answer to a client that does not
//! begin one.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The answer to a plain HTTP request.
const HTTPS_ONLY: &str = "HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    x-content-type-options: nosniff\r\n\
    cross-origin-resource-policy: same-origin\r\n\
    cache-control: no-store\r\n\
    connection: close\r\n\
    content-length: 54\r\n\r\n\
    This port serves https only. Use an https:// address.\n";
/// The maximum size of a plain HTTP request that is read after its answer, in bytes.
const MOST_PLAIN: u64 = 64 * 1024;

/// Completes the handshake. Returns `None` if the client closed the connection, or spoke plain HTTP
/// and has its answer. The caller limits the time.
///
/// # Errors
/// The connection broke, or the client and the server have no common version or cipher.
pub(super) async fn handshake(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0_u8];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    // A method begins with a letter, and a TLS record of a handshake with the byte 22.
    if first[0].is_ascii_alphabetic() {
        stream.write_all(HTTPS_ONLY.as_bytes()).await?;
        stream.shutdown().await?;
        // With unread bytes, the close would be a reset, and the client might not get the answer.
        tokio::io::copy(&mut stream.take(MOST_PLAIN), &mut tokio::io::sink()).await?;
        return Ok(None);
    }
    TlsAcceptor::from(config).accept(stream).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::HTTPS_ONLY;

    #[test]
    fn answer_to_plain_http_states_its_length() {
        let (head, body) = HTTPS_ONLY.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head} {}", body.len());
    }
}
