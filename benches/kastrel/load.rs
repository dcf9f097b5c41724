//! Load on one route: a few keep-alive connections, each of which sends its next request after the
//! response.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::Instant;

const CONNECTIONS: usize = 32;

/// Returns the requests per second.
pub(crate) async fn run(address: SocketAddr, path: &str, length: Duration) -> f64 {
    run_as(address, path, None, length).await
}

/// Returns the requests per second, each with this API token.
pub(crate) async fn run_as(address: SocketAddr, path: &str, token: Option<&str>, length: Duration) -> f64 {
    let credential = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request: Arc<[u8]> = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{credential}\r\n").into_bytes().into();
    let count = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(ask(address, Arc::clone(&request), Arc::clone(&count), start + length)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand requests")]
    let count = count.load(Ordering::Relaxed) as f64;
    count / start.elapsed().as_secs_f64()
}

async fn ask(address: SocketAddr, request: Arc<[u8]>, count: Arc<AtomicU64>, until: Instant) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 64 * 1024];
    while Instant::now() < until {
        stream.write_all(&request).await.unwrap();
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..]).await.unwrap();
            assert!(read > 0, "the server closed the connection");
            filled += read;
            if is_whole(&buffer[..filled]) {
                break;
            }
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..filled]));
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns true if a response with `Content-Length` is complete.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let text = std::str::from_utf8(&answer[..head]).unwrap();
    let length = text.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:").map(|value| value.trim().parse::<usize>().unwrap())
    });
    answer.len() >= head + 4 + length.expect("an answer of known length")
}

/// A process that serves only an empty route, as a baseline for this machine.
pub(crate) struct EmptyRoute {
    pub(crate) address: SocketAddr,
    _process: Child,
}

impl EmptyRoute {
    pub(crate) async fn start() -> Self {
        let own = std::env::current_exe().unwrap();
        let mut process =
            Command::new(own).arg("empty-route").stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let line = BufReader::new(process.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
        Self { address: line.parse().unwrap(), _process: process }
    }
}

pub(crate) async fn serve_empty_route() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, axum::Router::new().route("/", axum::routing::get(|| async { "" }))).await.unwrap();
}
