//! What every request passes: host, origin, load and time; and the place where a problem gets its face.

use std::any::Any;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tracing::Instrument;

use super::error::{Problem, ProblemKind, is_for_programs};
use super::request_span::{RequestSpan, method_name};
use super::same_origin::is_proven;
use super::state::Web;
use super::trace::{RequestTrace, TRACEPARENT};
use super::viewer::Theme;

/// The route that has no span.
const HOT_ROUTE: &str = "/api/scans/{id}/status";

/// How much a client may ask for at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLimits {
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// How many requests are answered at the same time.
    pub requests: usize,
    /// How long an answer may take to begin.
    pub timeout: Duration,
    /// How many event streams may be open.
    pub event_streams: usize,
    /// How often an event stream shows that it lives.
    pub keep_alive: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { body_bytes: 256 * 1024, requests: 512, timeout: Duration::from_secs(30), event_streams: 512, keep_alive: Duration::from_secs(15) }
    }
}

/// The layer of all routes but the hot one.
pub(crate) async fn attend(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let told = RequestSpan::new(&web.state.telemetry, &request);
    let trace = told.trace;
    request.extensions_mut().insert(trace);
    let uri = request.uri().clone();
    let theme = Theme::of(request.headers());
    let answer = async {
        if let Err(problem) = admit(&web, &request) {
            return problem.into_response();
        }
        let Ok(_permit) = web.in_flight.try_acquire() else {
            return Problem::new(ProblemKind::Busy, "the server answers as many requests as it can; try again in a moment").retry_after(1).into_response();
        };
        match tokio::time::timeout(web.limits.timeout, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(ProblemKind::TimedOut, "the answer was not ready in time; a scan that was accepted is not lost").into_response(),
        }
    };
    let answer = answer.instrument(told.span.clone()).await;
    let answer = told.span.in_scope(|| show(answer, &uri, theme, || trace));
    told.end(&web.state.telemetry, answer.status(), began.elapsed());
    answer
}

/// The layer of the hot route: the host check, and nothing else that costs while all is well.
pub(crate) async fn attend_hot(State(web): State<Web>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let uri = request.uri().clone();
    let method = method_name(request.method());
    let traceparent = request.headers().get(TRACEPARENT).cloned();
    let response = if web.state.hosts.admits_request(&uri, request.headers()) { next.run(request).await } else { wrong_host().into_response() };
    let answer = show(response, &uri, Theme::System, || RequestTrace::of_header(traceparent.as_ref()));
    web.state.telemetry.instruments().request(method, HOT_ROUTE, answer.status().as_u16(), began.elapsed());
    answer
}

/// Turns a panic into a problem; the panic hook has logged it.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::new(ProblemKind::Internal, "the cause is in the server's log, under the trace id").into_response()
}

fn admit(web: &Web, request: &Request) -> Result<(), Problem> {
    let (uri, headers) = (request.uri(), request.headers());
    if !web.state.hosts.admits_request(uri, headers) {
        return Err(wrong_host());
    }
    if !is_proven(request.method(), uri, headers) {
        let how = if is_for_programs(uri.path()) { "send JSON with `Content-Type: application/json`" } else { "open the page again and use its form" };
        return Err(Problem::new(
            ProblemKind::CrossSite,
            format!("a request that changes something must come from this site's own pages or from a program; {how}"),
        ));
    }
    Ok(())
}

fn wrong_host() -> Problem {
    Problem::new(ProblemKind::WrongHost, "use localhost, or add the name to the configured host names")
}

fn show(mut response: Response, uri: &Uri, theme: Theme, trace: impl FnOnce() -> RequestTrace) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    RequestSpan::note(&problem);
    let drawn = problem.draw(uri.path(), &trace().0, theme);
    let (mut parts, _) = response.into_parts();
    let (drawn, body) = drawn.into_parts();
    // What the router said, such as `Allow`, stays; what described the empty body goes.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(drawn.headers);
    Response::from_parts(parts, body)
}
