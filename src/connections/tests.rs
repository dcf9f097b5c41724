//! Tests with real sockets.

use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::limits::Phase;
use super::*;

mod tls;

/// The timeout of every wait.
const PATIENCE: Duration = Duration::from_secs(20);
/// A limit that no test reaches.
const NEVER: Duration = Duration::from_secs(3600);

struct Served {
    connections: Arc<Connections>,
    address: SocketAddr,
    stop: CancellationToken,
    /// Releases requests to `/slow`.
    gate: Arc<Semaphore>,
    task: AbortOnDropHandle<()>,
}

async fn serve(limits: ConnectionLimits) -> Served {
    serve_with(limits, None).await
}

/// The same with TLS.
async fn serve_with(limits: ConnectionLimits, tls: Option<TlsConfig>) -> Served {
    let gate = Arc::new(Semaphore::new(0));
    let ours = Arc::clone(&gate);
    let slow = move || async move {
        ours.acquire().await.unwrap().forget();
        "slow"
    };
    let ready = slow.clone();
    let router = Router::new()
        .route("/", get(async || "page"))
        .route("/livez", get(async || "alive"))
        .route(
            "/large",
            get(async || {
                Body::from_stream(futures_util::stream::repeat_with(|| {
                    Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 16 * 1024]))
                }))
            }),
        )
        .route(
            "/scheme",
            get(
                async |request: Request| {
                    if request.extensions().get::<OverTls>().is_some() { "https" } else { "http" }
                },
            ),
        )
        .route("/echo", post(async |body: Bytes| body))
        .route("/slow", get(slow))
        .route("/readyz", get(ready));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let reserved_use = |path: &str| match path {
        "/livez" => ReservedUse::Liveness,
        "/readyz" => ReservedUse::Health,
        _ => ReservedUse::Nothing,
    };
    let (connections, stop) = (Connections::new(limits, router, tls, reserved_use), CancellationToken::new());
    let task = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&connections).serve(listener, stop.clone())));
    Served { connections, address, stop, gate, task }
}

const fn patient(connections: usize) -> ConnectionLimits {
    ConnectionLimits { connections, head: NEVER, idle: NEVER, stall: NEVER }
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        // The server may have closed the connection already; the received response shows that.
        let _ = stream.write_all(text.as_bytes()).await;
        stream
    }

    /// Opens a connection, sends a request, and keeps the connection open.
    async fn ask(&self, path: &str) -> TcpStream {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }

    async fn get(&self, path: &str) -> String {
        let mut stream =
            self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
        rest(&mut stream).await
    }

    /// Waits until the phases of the connections satisfy `wanted`, because the server updates them
    /// asynchronously.
    async fn until(&self, wanted: impl Fn(&[Phase]) -> bool) {
        let looks = async {
            loop {
                let phases: Vec<Phase> =
                    self.connections.table().open.values().map(|held| held.state.phase()).collect();
                if wanted(&phases) {
                    return;
                }
                // Phases change with the bytes, so there is no event to subscribe to.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        in_time("the expected state", looks).await;
    }
}

/// Reads everything until the connection is closed.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset also ends the connection.
    let _ = in_time("the end of a connection", stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one response from a connection that stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let size = in_time("an answer", stream.read(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes[..size]).into_owned()
}

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_and_silent_connections_are_cut() {
    let served = serve(ConnectionLimits { head: SHORT, ..patient(100) }).await;
    let mut all = vec![served.connect().await];
    for part in ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "\r\n\r\n"] {
        all.push(served.send(part).await);
    }
    for stream in &mut all {
        assert_eq!(rest(stream).await, "");
    }
    served.until(<[Phase]>::is_empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_next_request_is_cut_and_one_that_is_served_is_not() {
    let served = serve(ConnectionLimits { idle: SHORT, ..patient(100) }).await;
    let mut slow = served.ask("/slow").await;
    let mut idle = served.ask("/").await;
    assert!(answer(&mut idle).await.ends_with("page"));
    assert_eq!(rest(&mut idle).await, "", "it was closed");
    served.until(|phases| phases == [Phase::Busy]).await;
    served.gate.add_permits(1);
    assert!(answer(&mut slow).await.ends_with("slow"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_is_cut() {
    let served = serve(ConnectionLimits { stall: SHORT, ..patient(100) }).await;
    let mut stream = served.ask("/large").await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"), "it was served");
    served.until(<[Phase]>::is_empty).await;
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partial_next_request_is_cut_like_any_head() {
    let served = serve(ConnectionLimits { head: SHORT, ..patient(100) }).await;
    // The timeout of the first head also applies, so the connection may be closed before the
    // response.
    let mut stream = served.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHo").await;
    let answers = rest(&mut stream).await;
    assert!(answers.matches("HTTP/1.1 200").count() <= 1, "{answers}");
    served.until(<[Phase]>::is_empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_take_nothing_make_room_for_others() {
    let served = serve(patient(8)).await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        unread.push(served.ask("/large").await);
    }
    served.until(|phases| phases.iter().filter(|phase| matches!(phase, Phase::Stalled { .. })).count() == 8).await;
    for path in ["/", "/livez"] {
        let page = served.get(path).await;
        assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
    }
    // A client that is being served keeps its connection, however many others connect.
    let mut slow = served.ask("/slow").await;
    served.until(|phases| phases.contains(&Phase::Busy)).await;
    for _ in 0..16 {
        served.get("/").await;
    }
    served.gate.add_permits(1);
    assert!(answer(&mut slow).await.ends_with("slow"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_checks_that_hang_leave_connections_for_liveness_checks() {
    let served = serve(patient(8)).await;
    let mut busy = Vec::new();
    for path in std::iter::repeat_n("/slow", 8).chain(std::iter::repeat_n("/readyz", RESERVED)) {
        let count = busy.len() + 1;
        busy.push(served.ask(path).await);
        if count <= 8 + RESERVED - RESERVED_FOR_LIVENESS {
            served.until(|phases| phases.iter().filter(|phase| **phase == Phase::Busy).count() == count).await;
        } else {
            // No permit is left for this health check.
            assert!(rest(&mut busy[count - 1]).await.starts_with("HTTP/1.1 503"));
        }
    }
    for _ in 0..RESERVED {
        let alive = served.get("/livez").await;
        assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_and_half_sent_requests_make_room_for_others() {
    let served = serve(patient(8)).await;
    let mut open = Vec::new();
    for number in 0..40 {
        let sent =
            ["", "GET / HT", "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc"][number % 3];
        open.push(served.send(sent).await);
    }
    for path in ["/", "/livez"] {
        let answer = served.get(path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    assert!(served.connections.table().open.len() <= 8);
    // The connection that was idle for longest was replaced first, and the newest one is still
    // open.
    assert_eq!(rest(&mut open[0]).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_are_answered_when_all_connections_are_in_use() {
    let served = serve(patient(8)).await;
    let mut busy = Vec::new();
    for _ in 0..8 {
        busy.push(served.ask("/slow").await);
    }
    served.until(|phases| phases.iter().filter(|phase| **phase == Phase::Busy).count() == 8).await;
    // Silent connections do not use up the reserved ones either.
    let mut silent = Vec::new();
    for _ in 0..RESERVED * 3 {
        silent.push(served.connect().await);
    }
    for _ in 0..RESERVED * 2 {
        let alive = served.get("/livez").await;
        assert!(alive.starts_with("HTTP/1.1 200") && alive.ends_with("alive"), "{alive}");
    }
    let page = served.get("/").await.to_lowercase();
    for part in [
        "http/1.1 503",
        "retry-after: 1",
        "connection: close",
        "x-content-type-options: nosniff",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    served.gate.add_permits(8);
    for stream in &mut busy {
        assert!(answer(stream).await.ends_with("slow"));
    }
    let page = served.get("/").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_idle_connections_at_once_and_lets_requests_end() {
    let served = serve(patient(100)).await;
    let (mut fresh, mut idle, mut slow) = (served.connect().await, served.ask("/").await, served.ask("/slow").await);
    answer(&mut idle).await;
    served.until(|phases| phases.len() == 3 && phases.contains(&Phase::Busy)).await;
    served.stop.cancel();
    assert_eq!((rest(&mut fresh).await, rest(&mut idle).await), (String::new(), String::new()));
    served.gate.add_permits(1);
    assert!(rest(&mut slow).await.ends_with("slow"));
    in_time("the stop", served.task).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_come_one_after_the_other_and_too_large_heads_are_refused() {
    let served = serve(patient(100)).await;
    let mut stream = served.connect().await;
    for _ in 0..3 {
        stream.write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody").await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.to_lowercase().contains("content-length: 4") && answer.ends_with("body"), "{answer}");
    }
    // Sends exactly as many bytes as the server reads: it would close a connection with unread
    // bytes by a reset, which may overtake the response.
    let start = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: ";
    let large = format!("{start}{}", "x".repeat(MOST_HEAD - start.len()));
    let refused = rest(&mut served.send(&large).await).await;
    assert!(
        refused.starts_with("HTTP/1.1 431") && refused.ends_with("\r\n\r\n"),
        "an answer without a body: {refused}"
    );
    // More bytes change nothing: no handler sees such a request.
    let refused = rest(&mut served.send(&format!("{large}{}\r\n\r\n", "x".repeat(200_000))).await).await;
    assert!(!refused.contains("page"), "{refused}");
}
