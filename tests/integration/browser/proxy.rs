//! A proxy between browser and server for tests. It counts, cuts and refuses connections, and keeps
//! its address when the server restarts at another one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::kast_runner::stage::PATIENCE;

/// The proxy.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    refuses_streams: AtomicBool,
    mutes_streams: AtomicBool,
    /// Incremented to cut the open streams.
    cuts: watch::Sender<u32>,
    count: watch::Sender<Count>,
}

/// The counters of the proxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Requests for an event stream, including refused ones.
    pub(super) streams: u32,
    /// Accepted event streams that are open.
    pub(super) open: u32,
    /// POST requests.
    pub(super) posts: u32,
    /// All other requests.
    pub(super) gets: u32,
    /// Those of them with which a page requests itself to show a change.
    pub(super) polls: u32,
}

impl Proxy {
    /// Starts a proxy for `url`.
    pub(super) async fn start(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: Mutex::new(address_of(url)),
            refuses_streams: AtomicBool::new(false),
            mutes_streams: AtomicBool::new(false),
            cuts: watch::Sender::new(0),
            count: watch::Sender::new(Count::default()),
        });
        let ours = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&ours);
                tokio::spawn(async move { shared.serve(client).await });
            }
        });
        Self { address, shared, _task: AbortOnDropHandle::new(task) }
    }

    /// Returns the URL for the browser.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the server's new URL.
    pub(super) fn leads_to(&self, url: &str) {
        *self.shared.target.lock().unwrap_or_else(PoisonError::into_inner) = address_of(url);
    }

    /// Drops the connection of every open stream.
    pub(super) fn cut_streams(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Starts or stops dropping the connection of every request for a stream.
    pub(super) fn refuse_streams(&self, refuses: bool) {
        self.shared.refuses_streams.store(refuses, Ordering::SeqCst);
    }

    /// Discards all further data of open streams without closing them, like a network that has lost
    /// the state of a connection.
    pub(super) fn mute_streams(&self) {
        self.shared.mutes_streams.store(true, Ordering::SeqCst);
    }

    /// Returns the current counters.
    pub(super) fn count(&self) -> Count {
        *self.shared.count.borrow()
    }

    /// Waits until the counters meet the condition.
    pub(super) async fn until(&self, wanted: impl FnMut(&Count) -> bool) {
        let mut count = self.shared.count.subscribe();
        let waited = tokio::time::timeout(PATIENCE, count.wait_for(wanted)).await;
        assert!(waited.is_ok(), "it stayed at {:?}", self.count());
    }
}

impl Shared {
    /// Forwards one connection until either side closes it.
    async fn serve(&self, client: TcpStream) {
        let target = *self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(server) = TcpStream::connect(target).await else { return };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let mut cuts = self.cuts.subscribe();
        let (mut stream, mut asked) = (None, false);
        let (mut request, mut answer) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        loop {
            tokio::select! {
                read = from_client.read(&mut request) => {
                    let Ok(size @ 1..) = read else { return };
                    match kind_of(&request[..size]) {
                        Kind::Stream => {
                            self.count.send_modify(|count| count.streams += 1);
                            if self.refuses_streams.load(Ordering::SeqCst) {
                                return;
                            }
                            asked = true;
                        }
                        kind => {
                            let is_poll = String::from_utf8_lossy(&request[..size]).contains("x-kastrel-poll");
                            // The browser reuses a connection whose stream had ended.
                            stream = None;
                            self.count.send_modify(|count| match kind {
                                Kind::Get => {
                                    count.gets += 1;
                                    count.polls += u32::from(is_poll);
                                }
                                Kind::Post => count.posts += 1,
                                Kind::Stream | Kind::More => {}
                            });
                        }
                    }
                    if to_server.write_all(&request[..size]).await.is_err() {
                        return;
                    }
                }
                read = from_server.read(&mut answer) => {
                    let Ok(size @ 1..) = read else { return };
                    if stream.is_some() && self.mutes_streams.load(Ordering::SeqCst) {
                        continue;
                    }
                    if std::mem::take(&mut asked) && answer.starts_with(b"HTTP/1.1 200") {
                        cuts.mark_unchanged();
                        stream = Some(OpenStream::new(&self.count));
                    }
                    if to_client.write_all(&answer[..size]).await.is_err() {
                        return;
                    }
                }
                _ = cuts.changed(), if stream.is_some() => return,
            }
        }
    }
}

/// Counts a stream while it is open.
struct OpenStream<'a>(&'a watch::Sender<Count>);

impl<'a> OpenStream<'a> {
    fn new(count: &'a watch::Sender<Count>) -> Self {
        count.send_modify(|count| count.open += 1);
        Self(count)
    }
}

impl Drop for OpenStream<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| count.open -= 1);
    }
}

/// A read from the browser. The browser sends the head of a request in one piece, and the next
/// request only after the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stream,
    Get,
    Post,
    /// The rest of the previous request.
    More,
}

fn kind_of(bytes: &[u8]) -> Kind {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    match line.split_once(' ') {
        Some(("GET", rest)) if rest.contains("/events HTTP/") || rest.contains("/live?from=") => Kind::Stream,
        Some(("GET", _)) => Kind::Get,
        Some(("POST", _)) => Kind::Post,
        _ => Kind::More,
    }
}

fn address_of(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}
