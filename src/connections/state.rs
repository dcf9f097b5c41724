//! Tracks the phase of a connection from its bytes and requests.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::limits::Phase;

/// The shared state of a connection; see the module docs.
#[derive(Debug)]
pub(super) struct State(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    /// The number of requests being handled.
    requests: u32,
    /// The time when the connection was opened, or the last response ended.
    since: Instant,
    /// True until the first request arrives.
    is_fresh: bool,
    /// The time since which the body of a request is arriving.
    arriving: Option<Instant>,
    /// The time since which a part of a head has arrived.
    head: Option<Instant>,
    /// The time since which the client reads nothing.
    stalled: Option<Instant>,
    /// The last bytes of the connection, and of the body of the last request.
    read: Last,
    body: Last,
}

impl Seen {
    /// True if the received bytes end with the last request: with the empty line after its head, or
    /// with its body. Otherwise they contain a part of the next request.
    fn is_at_end_of_request(&self) -> bool {
        let (read, body) = (self.read.as_slice(), self.body.as_slice());
        read.ends_with(b"\n\r\n") || read.ends_with(b"\n\n") || (!body.is_empty() && read.ends_with(body))
    }
}

/// The last bytes of a stream.
#[derive(Debug, Default)]
struct Last {
    bytes: [u8; 4],
    size: usize,
}

impl Last {
    fn push(&mut self, bytes: &[u8]) {
        for byte in &bytes[bytes.len().saturating_sub(self.bytes.len())..] {
            if self.size == self.bytes.len() {
                self.bytes.rotate_left(1);
                self.size -= 1;
            }
            self.bytes[self.size] = *byte;
            self.size += 1;
        }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

impl State {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Seen {
            requests: 0,
            since: Instant::now(),
            is_fresh: true,
            arriving: None,
            head: None,
            stalled: None,
            read: Last::default(),
            body: Last::default(),
        })))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> Phase {
        let seen = self.seen();
        match (seen.stalled, seen.requests, seen.head) {
            (Some(since), _, _) => Phase::Stalled { since },
            (None, 1.., _) => seen.arriving.map_or(Phase::Busy, |since| Phase::Arriving { since }),
            (None, 0, Some(since)) => Phase::Head { since },
            (None, 0, None) if seen.is_fresh => Phase::Fresh { since: seen.since },
            (None, 0, None) => Phase::Idle { since: seen.since },
        }
    }

    /// Records that a request has arrived. It is being handled until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Answering {
        let mut seen = self.seen();
        seen.requests += 1;
        (seen.is_fresh, seen.head, seen.body) = (false, None, Last::default());
        drop(seen);
        Answering(Arc::clone(self))
    }

    fn arrives(&self, is_whole: bool) {
        self.seen().arriving = if is_whole { None } else { Some(Instant::now()) };
    }

    /// Records that a part of a request's body was passed to the handler.
    fn has_taken(&self, bytes: &[u8]) {
        self.seen().body.push(bytes);
    }

    fn has_read(&self, bytes: &[u8]) {
        let mut seen = self.seen();
        seen.read.push(bytes);
        if seen.requests == 0 && seen.head.is_none() {
            seen.head = Some(Instant::now());
        }
    }

    fn has_written(&self, is_taken: bool) {
        let mut seen = self.seen();
        if is_taken {
            seen.stalled = None;
        } else if seen.stalled.is_none() {
            seen.stalled = Some(Instant::now());
        }
    }
}

/// The guard of a request that is being handled.
#[derive(Debug)]
pub(super) struct Answering(Arc<State>);

impl Drop for Answering {
    fn drop(&mut self) {
        let mut seen = self.0.seen();
        seen.requests -= 1;
        seen.since = Instant::now();
        if seen.requests == 0 && !seen.is_at_end_of_request() {
            // A part of the next request arrived before this response ended, and its rest may never
            // come.
            seen.head = Some(seen.since);
        }
    }
}

/// The body of a request. It is arriving until its end, or until it is dropped.
pub(super) struct Arriving {
    body: Incoming,
    state: Arc<State>,
}

impl Arriving {
    /// Wraps the body for the router. An empty body never arrives.
    pub(super) fn body(body: Incoming, state: &Arc<State>) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        state.arrives(false);
        Body::new(Self { body, state: Arc::clone(state) })
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.state.arrives(true);
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(bytes) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.state.has_taken(bytes);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. The request ends together with it.
pub(super) struct Answer {
    pub(super) body: Body,
    pub(super) _answering: Answering,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that updates the state from its bytes.
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) state: Arc<State>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.state.has_read(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn seen<T>(&self, answer: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.state.has_written(answer.is_ready());
        answer
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.seen(answer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TLS stream takes bytes that it cannot send yet, and then does not finish its flush.
        let answer = Pin::new(&mut self.stream).poll_flush(context);
        self.seen(answer)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.seen(answer)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_phase_follows_bytes_and_requests() {
        let state = State::new();
        let opened = Instant::now();
        assert_eq!(state.phase(), Phase::Fresh { since: opened });
        let (mut client, server) = duplex(4);
        let mut server = Watched { stream: server, state: Arc::clone(&state) };
        tokio::time::advance(Duration::from_secs(1)).await;
        client.write_all(b"G").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'G');
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        client.write_all(b"E").await.unwrap();
        server.read_u8().await.unwrap();
        assert_eq!(state.phase(), Phase::Head { since: begun }, "a further byte does not begin anew");
        let request = state.begin();
        assert_eq!(state.phase(), Phase::Busy);
        client.write_all(b"B").await.unwrap();
        server.read_u8().await.unwrap();
        state.has_taken(b"B");
        let mut write = Box::pin(server.write_all(b"12345678"));
        assert!(futures_util::poll!(&mut write).is_pending());
        assert_eq!(state.phase(), Phase::Stalled { since: Instant::now() });
        let mut taken = [0; 8];
        let (written, read) = tokio::join!(&mut write, client.read_exact(&mut taken));
        written.unwrap();
        read.unwrap();
        assert_eq!(state.phase(), Phase::Busy);
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(request);
        assert_eq!(state.phase(), Phase::Idle { since: Instant::now() }, "what arrived of a body is no next request");
    }

    #[tokio::test(start_paused = true)]
    async fn an_early_part_of_the_next_request_has_the_timeout_of_a_head() {
        for (first, body, later, is_next) in [
            ("GET / HTTP/1.1\r\n\r\n", "", "", false),
            ("GET / HTTP/1.1\n\n", "", "", false),
            ("GET / HTTP/1.1\r\n\r\nGET / HT", "", "", true),
            ("GET / HTTP/1.1\r\n\r\n", "", "G", true),
            ("POST / HTTP/1.1\r\n\r\nbody", "body", "", false),
            ("POST / HTTP/1.1\r\n\r\nb", "body", "ody", false),
            ("POST / HTTP/1.1\r\n\r\n}", "}", "", false),
            ("POST / HTTP/1.1\r\n\r\nbodyGE", "body", "", true),
            ("POST / HTTP/1.1\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "body", "", false),
        ] {
            let state = State::new();
            state.has_read(first.as_bytes());
            let request = state.begin();
            state.has_read(later.as_bytes());
            for byte in body.bytes() {
                state.has_taken(&[byte]);
            }
            drop(request);
            let since = Instant::now();
            assert_eq!(
                state.phase(),
                if is_next { Phase::Head { since } } else { Phase::Idle { since } },
                "{first:?} {later:?}"
            );
        }
    }
}
