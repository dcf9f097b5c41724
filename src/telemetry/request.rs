//! The spans that the program opens around its own work, through `tracing`: whatever is logged
//! within them belongs to them.

use kastrel_actors::model::TraceContext;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::filter::TARGET;
use super::ids;

/// The span of a request, under the caller's if it has one.
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
        // Without exporters nobody takes a parent.
        let _ = span.set_parent(ids::parent(caller));
    }
    span
}

/// The span of a command that hands a scan in.
#[must_use]
pub fn cli_span() -> Span {
    tracing::info_span!(target: TARGET, "cli.submit")
}
