//! Serves HTTP connections up to a cap, closes slow and idle ones, and leaves file descriptors for
//! the scans.
//!
//! A connection beyond the cap replaces the one that has been idle for longest, or whose client has
//! not read its response for longest. If all connections are in use, [`RESERVED`] more are
//! accepted, for health checks only: a process under load must not look dead. Some of these are for
//! liveness checks only, because a readiness check waits for the database. An incomplete request
//! counts as idle, because its handling has not started. Connections are closed on a slow request
//! head, a client that does not read its response, and a missing next request. `web::limits`
//! defines the timeout of request bodies. A TLS handshake is a part of the new connection: the time
//! limit for its first byte includes the handshake, and it may be replaced meanwhile.

mod handshake;
mod limits;
mod state;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

use handshake::handshake;
pub use limits::{ConnectionLimits, RESERVED, RESERVED_FOR_LIVENESS, ReservedUse, connections_within, own_descriptors};
use limits::{Open, Place, place};
use state::{Answer, Arriving, State, Watched};

/// The maximum size of a request's head, in bytes.
const MOST_HEAD: usize = 64 * 1024;
/// The pause after the system had no descriptor for a new connection.
const PAUSE: Duration = Duration::from_millis(250);

/// The current TLS configuration of a listener. New connections use the newest one.
pub(crate) type TlsConfig = watch::Receiver<Arc<ServerConfig>>;

/// The extension of a request that arrived over a TLS connection of this server.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;

/// The connections of one listener.
pub(crate) struct Connections {
    limits: ConnectionLimits,
    router: Router,
    /// The TLS configuration; `None` for plain HTTP.
    tls: Option<TlsConfig>,
    /// Returns the reserved connections that a path may use.
    reserved_use: Box<dyn Fn(&str) -> ReservedUse + Send + Sync>,
    /// The permits of health checks on reserved connections that are not liveness checks.
    health: Semaphore,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Held>,
}

struct Held {
    state: Arc<State>,
    reserved: bool,
    cut: CancellationToken,
}

/// An accepted connection. Dropping it removes the connection from the table.
struct Lent {
    connections: Arc<Connections>,
    id: u64,
    reserved: bool,
    state: Arc<State>,
    cut: CancellationToken,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.connections.table().open.remove(&self.id);
    }
}

impl Connections {
    pub(crate) fn new(
        limits: ConnectionLimits,
        router: Router,
        tls: Option<TlsConfig>,
        reserved_use: impl Fn(&str) -> ReservedUse + Send + Sync + 'static,
    ) -> Arc<Self> {
        let health = Semaphore::new(RESERVED - RESERVED_FOR_LIVENESS);
        Arc::new(Self { limits, router, tls, reserved_use: Box::new(reserved_use), health, table: Mutex::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts connections until `stop`, and then waits for open requests. Dropping the future ends
    /// them immediately.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let (tasks, abandoned) = (TaskTracker::new(), CancellationToken::new());
        let _abandon = abandoned.clone().drop_guard();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, address)) => {
                    let Some(lent) = self.lend() else { continue };
                    let task = serve_one(lent, stream, address, stop.clone());
                    let abandoned = abandoned.clone();
                    tasks.spawn(async move {
                        tokio::select! {
                            () = task => {}
                            () = abandoned.cancelled() => {}
                        }
                    });
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "no connection can be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(listener);
        tasks.close();
        tasks.wait().await;
    }

    /// Admits a new connection, if the limits permit it.
    fn lend(self: &Arc<Self>) -> Option<Lent> {
        let mut table = self.table();
        // While there is room, the number of connections decides.
        let place = if table.open.len() < self.limits.connections {
            Place::General
        } else {
            let open = table.open.iter().map(|(id, held)| Open {
                id: *id,
                reserved: held.reserved,
                phase: held.state.phase(),
            });
            place(open, self.limits.connections)
        };
        let reserved = matches!(place, Place::Reserved | Place::ReservedInsteadOf(_));
        match place {
            Place::General | Place::Reserved => {}
            Place::InsteadOf(id) | Place::ReservedInsteadOf(id) => {
                if let Some(held) = table.open.remove(&id) {
                    held.cut.cancel();
                }
            }
            Place::Refused => return None,
        }
        let (id, state, cut) = (table.next, State::new(), CancellationToken::new());
        table.next += 1;
        table.open.insert(id, Held { state: Arc::clone(&state), reserved, cut: cut.clone() });
        drop(table);
        Some(Lent { connections: Arc::clone(self), id, reserved, state, cut })
    }

    async fn answer(
        &self,
        reserved: bool,
        state: &Arc<State>,
        address: SocketAddr,
        request: hyper::Request<Incoming>,
    ) -> Response<Answer> {
        let answering = state.begin();
        let usage = if reserved { (self.reserved_use)(request.uri().path()) } else { ReservedUse::Liveness };
        let turn = match usage {
            ReservedUse::Liveness => Ok(None),
            ReservedUse::Health => self.health.try_acquire().map(Some).map_err(drop),
            ReservedUse::Nothing => Err(()),
        };
        let response = if let Ok(_turn) = turn {
            let mut request: Request = request.map(|body| Arriving::body(body, state));
            request.extensions_mut().insert(ConnectInfo(address));
            if self.tls.is_some() {
                request.extensions_mut().insert(OverTls);
            }
            self.router.clone().oneshot(request).await.unwrap_or_else(|never: Infallible| match never {})
        } else {
            too_many()
        };
        response.map(|body| Answer { body, _answering: answering })
    }
}

/// Serves one connection until it ends.
async fn serve_one(lent: Lent, stream: TcpStream, address: SocketAddr, stop: CancellationToken) {
    // Responses are small and written at once, so Nagle's algorithm would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(error = &error as &dyn std::error::Error, "could not set TCP_NODELAY");
    }
    // The configuration is taken once: a reload does not concern open connections.
    let config = lent.connections.tls.as_ref().map(|current| Arc::clone(&current.borrow()));
    let Some(config) = config else { return serve_http(&lent, stream, address, &stop).await };
    let limit = lent.connections.limits.head;
    let secured = tokio::select! {
        secured = tokio::time::timeout(limit, handshake(stream, config)) => secured,
        () = lent.cut.cancelled() => return,
        () = stop.cancelled() => return,
    };
    match secured {
        Ok(Ok(Some(stream))) => serve_http(&lent, stream, address, &stop).await,
        Ok(Err(error)) => debug!(error = &error as &dyn std::error::Error, "a TLS handshake failed"),
        // The client closed the connection, spoke plain HTTP, or was too slow.
        Ok(Ok(None)) | Err(_) => {}
    }
}

/// Serves the requests of one connection until it ends.
async fn serve_http<S>(lent: &Lent, stream: S, address: SocketAddr, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (connections, state, reserved) = (&lent.connections, &lent.state, lent.reserved);
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(connections.answer(reserved, state, address, request).await)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None::<Duration>)
        .max_buf_size(MOST_HEAD)
        .keep_alive(!reserved);
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(Watched { stream, state: Arc::clone(state) }), service));
    let (limits, mut stops) = (&connections.limits, false);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(error = &error as &dyn std::error::Error, "a connection broke");
                }
                return;
            }
            () = lent.cut.cancelled() => return,
            () = stop.cancelled(), if !stops => {
                stops = true;
                if state.phase().idle_since().is_some() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(limits.look_every()) => {
                if state.phase().ends(limits).is_some_and(|ends| ends <= Instant::now()) {
                    return;
                }
            }
        }
    }
}

/// True if an `accept` error concerns only the connection.
fn is_of_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The response on a reserved connection to a request that is not a health check.
fn too_many() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::RETRY_AFTER, HeaderValue::from_static("1")),
        (header::CONNECTION, HeaderValue::from_static("close")),
    ];
    (StatusCode::SERVICE_UNAVAILABLE, headers, "All connections are in use. Try again in a moment.\n").into_response()
}

#[cfg(test)]
mod tests;
