//! The spans that the program opens with `tracing`. Log lines within them belong to them.

use kastrel_actors::model::TraceContext;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::filter::TARGET;
use super::ids;

/// The span of a request, with the caller's span as its parent, if there is one.
#[must_use]
pub fn request_span(method: &'static str, route: &str, path: &str, caller: Option<TraceContext>) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "http.server",
        otel.name = if route.is_empty() { method.to_owned() } else { format!("{method} {route}") },
        otel.kind = "server",
        http.request.method = method,
        http.route = (!route.is_empty()).then_some(route),
        url.path = path,
        trace_id = field::Empty,
    );
    if let Some(caller) = caller {
        // Without exporters, setting the parent fails.
        let _ = span.set_parent(ids::parent(caller));
    }
    span
}

/// The span of a command that submits a scan.
#[must_use]
pub fn cli_span() -> Span {
    tracing::info_span!(target: TARGET, "cli.submit")
}
