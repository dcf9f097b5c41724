//! Telemetry of a request: a span, unless the request is polling or for an asset, and always a
//! duration measurement.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use kastrel_actors::model::TraceContext;
use opentelemetry::KeyValue;
use opentelemetry::trace::Status;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::error::Problem;
use super::shared_path::without_secret;
use super::trace::{RequestTrace, caller};
use crate::telemetry::catalog::{attribute, event};
use crate::telemetry::{self, Telemetry, is_traced};

/// The header that our own script sends when it polls its page.
const POLL: &str = "x-kastrel-poll";

/// The span and the trace of a request. See the module documentation.
pub(crate) struct RequestSpan {
    /// The span; disabled if the request gets none.
    pub(crate) span: Span,
    /// The trace of the request: that of its span, otherwise the caller's, otherwise a new one, so
    /// that every error can be found in the log.
    pub(crate) trace: RequestTrace,
    method: &'static str,
    route: Option<MatchedPath>,
}

impl RequestSpan {
    pub(crate) fn new(telemetry: &Telemetry, request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        let method = method_name(request.method());
        let pattern = route.as_ref().map_or("", MatchedPath::as_str);
        let caller = if telemetry.ignores_callers() { None } else { caller(request.headers()) };
        let is_poll = request.headers().contains_key(POLL);
        let span = if is_traced(method, pattern, is_poll) {
            telemetry::request_span(method, pattern, without_secret(request.uri().path()), caller)
        } else {
            Span::none()
        };
        let own = span.in_scope(telemetry::current);
        let trace = own.or(caller).unwrap_or_else(|| TraceContext::generate(&mut rand::rng()));
        // An exported span brings its own trace id. Without exporters, the request's log lines get
        // the trace id from this field.
        if own.is_none() {
            span.record("trace_id", trace.trace_id());
        }
        Self { span, trace: RequestTrace(trace), method, route }
    }

    /// Adds an event about a problem to the request's span.
    pub(crate) fn note(problem: &Problem) {
        Span::current().add_event(event::PROBLEM, vec![KeyValue::new(attribute::PROBLEM_KIND, problem.slug())]);
    }

    pub(crate) fn end(self, telemetry: &Telemetry, status: StatusCode, took: Duration) {
        self.span.set_attribute(attribute::HTTP_STATUS, i64::from(status.as_u16()));
        if status.is_server_error() {
            self.span.set_attribute(attribute::ERROR_TYPE, status.as_str().to_owned());
            self.span.set_status(Status::error(""));
        }
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str).to_owned();
        telemetry.instruments().request(self.method, route, status.as_u16(), took);
    }
}

/// Returns the method as one of a few fixed names, which bounds the number of label values.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}
