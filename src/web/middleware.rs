//! The middleware of every request: host and origin guards, load and time limits; and the rendering
//! of problems.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use tokio::time::Instant;
use tracing::Instrument;

use super::error::{MOST_NAME, Problem, ProblemKind, is_for_programs, shortened};
use super::headers::set_link_headers;
use super::hosts::host_of;
use super::identify::identify;
use super::identity_watch::watched;
use super::limits::is_old_health_check;
use super::pages::reader::Reader;
use super::problem_response::render;
use super::request_span::{RequestSpan, method_name};
use super::same_origin::{is_proven, may_be_seen};
use super::sender::{Sender, UnknownSender, address_of};
use super::shared_path::{is_shared, without_secret};
use super::state::Web;
use super::trace::{RequestTrace, TRACEPARENT};
use super::viewer::Theme;

/// The minimum rate of a body, in bytes per second, on top of its time limit.
const SLOWEST: usize = 16 * 1024;
/// The first bytes of each body that do not count against the memory that bodies share. Small
/// submissions therefore arrive, however many large ones are slow.
const FREE: usize = 16 * 1024;
/// The status route, which has no span.
const HOT_ROUTE: &str = "/api/scans/{id}/status";

/// The middleware of all routes except the status route.
pub(crate) async fn middleware(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let request_span = RequestSpan::new(&web.state.telemetry, &request);
    let trace = request_span.trace;
    request.extensions_mut().insert(trace);
    let mut sender = None;
    let method = method_name(request.method());
    let uri = request.uri().clone();
    let theme = Theme::of(request.headers());
    let answer = async {
        if let Err(problem) = guard(&web, &request) {
            return problem.into_response();
        }
        // The body is read before the permit is taken: a slow client holds only its own connection.
        let mut request = match whole(&web, request).await {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        };
        let answered = async {
            let Ok(_turn) = web.turn(request.uri().path()).await else {
                return Problem::new(
                    ProblemKind::Busy,
                    "the server already handles its maximum number of requests; try again in a moment",
                )
                .retry_after(1)
                .into_response();
            };
            // The read of a credential counts against the limits: anybody can send a wrong one.
            sender = note_sender(&web, &mut request).await;
            next.run(request).await
        };
        match tokio::time::timeout(web.limits.timeout, answered).await {
            Ok(response) => response,
            Err(_) => {
                Problem::new(ProblemKind::TimedOut, "the response was not ready in time; an accepted scan is not lost")
                    .into_response()
            }
        }
    };
    let mut answer = answer.instrument(request_span.span.clone()).await;
    if let Some(sender) = &sender {
        record_denial(&web, sender, trace, method, without_secret(uri.path()), &answer);
        answer = watched(&web, sender, answer);
    }
    let reader = Reader { theme, sender: sender.as_deref(), has_accounts: web.has_accounts() };
    let mut answer = request_span.span.in_scope(|| show(answer, &uri, &reader, || trace));
    if is_shared(uri.path()) {
        set_link_headers(answer.headers_mut());
    }
    request_span.end(&web.state.telemetry, answer.status(), began.elapsed());
    answer
}

/// Finds out who sends a request, and notes it for the guard and the handler.
async fn note_sender(web: &Web, request: &mut Request) -> Option<Arc<Sender>> {
    let address = address_of(request.extensions().get::<ConnectInfo<SocketAddr>>());
    match identify(web, request.method(), request.uri(), request.headers(), address).await {
        Ok(sender) => {
            let sender = Arc::new(sender);
            request.extensions_mut().insert(Arc::clone(&sender));
            Some(sender)
        }
        Err(error) => {
            request.extensions_mut().insert(UnknownSender(Arc::new(error)));
            None
        }
    }
}

/// Writes a denial of a known principal to the audit log. The response does not wait for it.
fn record_denial(web: &Web, sender: &Sender, trace: RequestTrace, method: &'static str, path: &str, answer: &Response) {
    let is_denial = answer.extensions().get::<Problem>().is_some_and(|problem| problem.is_unrecorded_denial);
    // The other clients have no entry, and need no task.
    if !is_denial || sender.identity.principal.account().is_none() {
        return;
    }
    let operation = format!("{method} {}", shortened(path, MOST_NAME));
    let (access, context) = (web.access().clone(), sender.context(trace));
    tokio::spawn(async move { access.record_denial(&context, operation).await });
}

/// The middleware of the status route: the guards of every request, and nothing else that costs
/// time on success.
pub(crate) async fn hot_middleware(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let uri = request.uri().clone();
    let method = method_name(request.method());
    let traceparent = request.headers().get(TRACEPARENT).cloned();
    let response = match guard(&web, &request) {
        Ok(()) => {
            note_sender(&web, &mut request).await;
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    // The route is for programs, whose problems have no frame.
    let reader = Reader { theme: Theme::System, sender: None, has_accounts: web.has_accounts() };
    let answer = show(response, &uri, &reader, || RequestTrace::of_header(traceparent.as_ref()));
    web.state.telemetry.instruments().request(method, HOT_ROUTE, answer.status().as_u16(), began.elapsed());
    answer
}

/// Returns the deadline of a body of which `arrived` bytes have arrived.
fn body_ends(began: Instant, patience: Duration, arrived: usize) -> Instant {
    began + patience + Duration::from_secs((arrived / SLOWEST) as u64)
}

/// Reads the body of a request into memory. The body must arrive in time, and all bodies share a
/// bounded memory for the bytes beyond their first [`FREE`] ones.
async fn whole(web: &Web, request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok(Request::from_parts(parts, body));
    }
    let most = web.limits.body_bytes;
    if body.size_hint().lower() > most as u64 {
        return Err(too_large(most));
    }
    let (began, mut arrived, mut chunks) = (Instant::now(), Vec::new(), body.into_data_stream());
    let mut held = Vec::new();
    loop {
        let next =
            tokio::time::timeout_at(body_ends(began, web.limits.body_timeout, arrived.len()), chunks.next()).await;
        let chunk = match next {
            Err(_) => {
                return Err(Problem::new(
                    ProblemKind::SlowBody,
                    "the request body did not arrive in time; send it again",
                ));
            }
            Ok(None) => return Ok(Request::from_parts(parts, Body::from(arrived))),
            Ok(Some(Err(_))) => return Err(Problem::new(ProblemKind::Malformed, "the request body was cut off")),
            Ok(Some(Ok(chunk))) => chunk,
        };
        if arrived.len() + chunk.len() > most {
            return Err(too_large(most));
        }
        let charged = chunk.len().saturating_sub(FREE.saturating_sub(arrived.len()));
        let Ok(memory) = web.bodies.try_acquire_many(u32::try_from(charged).unwrap_or(u32::MAX)) else {
            return Err(Problem::new(ProblemKind::Busy, "too many large requests at once; try again in a moment")
                .retry_after(1));
        };
        held.push(memory);
        arrived.extend_from_slice(&chunk);
    }
}

fn too_large(most: usize) -> Problem {
    Problem::new(
        ProblemKind::TooLarge,
        format!("the request body is larger than {most} bytes (server.body_limit_bytes)"),
    )
}

/// Turns a panic into a problem; the panic hook has logged it.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::new(ProblemKind::Internal, "the cause is in the server's log under this trace id").into_response()
}

fn guard(web: &Web, request: &Request) -> Result<(), Problem> {
    let (uri, headers) = (request.uri(), request.headers());
    if is_old_health_check(request) {
        return Ok(());
    }
    web.state.hosts.check(uri, headers)?;
    if request.method().is_safe() {
        return if may_be_seen(uri, headers, &web.state.hosts) {
            Ok(())
        } else {
            Err(Problem::new(
                ProblemKind::CrossSite,
                "pages of other sites can link to most addresses of this site, but load none of them; open this address from this site, or with a program such as curl",
            ))
        };
    }
    if is_proven(request.method(), uri, headers, &web.state.hosts) {
        return Ok(());
    }
    let how = if is_for_programs(uri.path()) {
        "send JSON with `Content-Type: application/json`"
    } else {
        "open the page again and use its form"
    };
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|origin| origin.to_str().ok())
        .filter(|_| !headers.contains_key("sec-fetch-site"));
    let names = match (origin, host_of(uri, headers)) {
        (Some(origin), Some(host)) => format!(
            ". Here `Origin` is `{}` and `Host` is `{}`: a proxy must pass the browser's `Host` on (nginx: `proxy_set_header Host $http_host`), and server.allowed_hosts must name it",
            shortened(origin, MOST_NAME),
            shortened(host, MOST_NAME)
        ),
        _ => String::new(),
    };
    Err(Problem::new(
        ProblemKind::CrossSite,
        format!(
            "a request that changes something must come from this site's own pages or from a program; {how}{names}"
        ),
    ))
}

fn show(mut response: Response, uri: &Uri, reader: &Reader<'_>, trace: impl FnOnce() -> RequestTrace) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    RequestSpan::note(&problem);
    let rendered = render(&problem, without_secret(uri.path()), &trace().0, reader);
    let (mut parts, _) = response.into_parts();
    let (rendered, body) = rendered.into_parts();
    // Keep the headers of the router, such as `Allow`, but not those of its empty body.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(rendered.headers);
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use tokio::io::AsyncWriteExt as _;
    use tokio_util::io::ReaderStream;

    use super::*;
    use crate::web::RequestLimits;
    use crate::web::testing::{TestApp, header_of, json_of};

    #[test]
    fn a_large_body_may_take_longer() {
        let began = Instant::now();
        for (arrived, seconds) in [(0, 10), (SLOWEST - 1, 10), (SLOWEST, 11), (256 * 1024, 26)] {
            assert_eq!(
                body_ends(began, Duration::from_secs(10), arrived),
                began + Duration::from_secs(seconds),
                "{arrived}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credential_of_a_refused_request_is_not_read() {
        use jiff::SignedDuration;
        use kastrel_actors::model::{AccountKind, AccountName, NewAccount, Principal, ProjectId, ProjectRole, Session};
        use kastrel_actors::ports::AccessStore as _;

        use crate::identity::secret::RandomSecret;

        let app = TestApp::with_accounts();
        let (name, secret, now) = ("ana".parse::<AccountName>().unwrap(), RandomSecret::generate(), app.web().now());
        let account = NewAccount {
            name: name.clone(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: [(ProjectId::default(), ProjectRole::Viewer)].into_iter().collect(),
        };
        assert!(app.memory.create_account(account, now, &Principal::System).await.unwrap());
        let begin = now - SignedDuration::from_mins(10);
        let session = Session {
            key: secret.digest(),
            account: name.clone(),
            created_at: begin,
            used_at: begin,
            expires_at: now + SignedDuration::from_hours(1),
            address: "192.0.2.7".into(),
            agent: String::new(),
            with_provider: false,
        };
        app.memory.create_session(session).await.unwrap();
        let cookie = format!("kastrel-session={}", secret.expose());
        let cookie = ("cookie", cookie.as_str());
        // The read of a session notes its use, in a task of its own.
        let used_after = async |headers: &[(&str, &str)], path: &str, status: u16| {
            assert_eq!(app.send("GET", path, headers, "").await.status(), status, "{path}");
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            app.memory.sessions(&name).await.unwrap()[0].used_at
        };
        for path in ["/scans", "/api/scans/1/status"] {
            assert_eq!(used_after(&[cookie, ("host", "evil.example")], path, 421).await, begin);
        }
        assert_eq!(used_after(&[cookie], "/scans", 200).await, now);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bodies_take_no_permit_and_time_out() {
        let app = TestApp::with_limits(RequestLimits { requests: 1, ..RequestLimits::default() });
        let (mut client, body) = tokio::io::duplex(64);
        client.write_all(br#"{"target":"#).await.unwrap();
        let began = Instant::now();
        let slow = app.send_body(
            "POST",
            "/api/scans",
            &[("content-type", "application/json")],
            Body::from_stream(ReaderStream::new(body)),
        );
        let other = async {
            for path in ["/", "/api/scans", "/livez"] {
                assert_eq!(app.get(path).await.status(), 200, "{path}");
            }
            assert_eq!(
                app.post_json("/api/scans", &[], &serde_json::json!({"target": "example.com"})).await.status(),
                201
            );
        };
        let (slow, ()) = tokio::join!(slow, other);
        assert_eq!((slow.status(), header_of(&slow, "connection")), (StatusCode::REQUEST_TIMEOUT, "close"));
        assert_eq!(began.elapsed().as_secs(), 10);
        assert_eq!(json_of(slow).await["type"], "urn:kastrel:problem:slow-request");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bodies_do_not_block_small_submissions() {
        let app = TestApp::with_limits(RequestLimits {
            body_bytes: 64 * 1024,
            arriving_bytes: 0,
            ..RequestLimits::default()
        });
        let json = [("content-type", "application/json")];
        // Together, these bodies need more memory than the limit.
        let slow = (0..8).map(|_| {
            let beginning = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![b' '; 60 * 1024])]);
            app.send_body(
                "POST",
                "/api/scans",
                &json,
                Body::from_stream(beginning.chain(futures_util::stream::pending())),
            )
        });
        let other = async { app.post_json("/api/scans", &[], &serde_json::json!({"target": "example.com"})).await };
        let (slow, other) = tokio::join!(futures_util::future::join_all(slow), other);
        let statuses: Vec<u16> = slow.iter().map(|answer| answer.status().as_u16()).collect();
        assert_eq!(
            (
                statuses.iter().filter(|status| **status == 408).count(),
                statuses.iter().filter(|status| **status == 503).count()
            ),
            (5, 3),
            "{statuses:?}"
        );
        assert_eq!(other.status(), 201);
    }

    #[tokio::test(start_paused = true)]
    async fn liveness_check_needs_no_permit_and_other_requests_time_out() {
        let app = TestApp::with_limits(RequestLimits { health_checks: 0, ..RequestLimits::default() });
        assert_eq!(app.get("/livez").await.status(), 200);
        let began = Instant::now();
        assert_eq!((app.get("/readyz").await.status().as_u16(), began.elapsed().as_secs()), (504, 30));
    }

    #[tokio::test]
    async fn health_checks_have_their_own_permits() {
        let app = TestApp::with_limits(RequestLimits { requests: 0, ..RequestLimits::default() });
        assert_eq!(app.get("/").await.status(), 503);
        assert_eq!(app.get("/livez").await.status(), 200);
        assert_ne!(json_of(app.get("/readyz").await).await["checks"], serde_json::Value::Null);
    }

    #[tokio::test]
    async fn a_body_that_says_its_size_is_refused_before_it_is_read() {
        let app = TestApp::with_limits(RequestLimits { body_bytes: 10, ..RequestLimits::default() });
        let response = app
            .send("POST", "/api/scans", &[("content-type", "application/json")], r#"{"target":"example.com"}"#)
            .await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
