//! The trace of a request: the caller's if it sends a `traceparent`, otherwise a new one.

use axum::http::{HeaderMap, HeaderValue};
use kastrel_actors::model::TraceContext;

/// The header of the W3C trace context.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The trace of a request. The handler gets it as a part of its `Viewer`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestTrace(pub(crate) TraceContext);

/// Returns the caller's trace, if it sends one.
pub(crate) fn caller(headers: &HeaderMap) -> Option<TraceContext> {
    headers.get(TRACEPARENT)?.to_str().ok()?.parse().ok()
}

impl RequestTrace {
    /// Returns the caller's trace or a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self::of_header(headers.get(TRACEPARENT))
    }

    /// The same from the value of the header.
    pub(crate) fn of_header(traceparent: Option<&HeaderValue>) -> Self {
        let given = traceparent.and_then(|value| value.to_str().ok()?.parse().ok());
        Self(given.unwrap_or_else(|| TraceContext::generate(&mut rand::rng())))
    }
}
