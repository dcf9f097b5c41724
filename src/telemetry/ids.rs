//! Span ids: converts the contexts in rows and queue entries, and derives ids that every node
//! computes independently.
//!
//! The start and the end of an attempt are separate spans, often written by different processes.
//! Their ids are derived from the trace and the attempt's fencing token, so that a node can refer
//! to a span of another node, as parent or in a link, without communication.

use std::cell::Cell;

use kastrel_actors::model::{FencingToken, TraceContext};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use sha2::{Digest as _, Sha256};

/// The context of the span `name` of the attempt with the fencing token `token`.
#[must_use]
pub(crate) fn of_attempt(trace: TraceContext, name: &str, token: FencingToken) -> TraceContext {
    let (trace_id, _) = trace.ids();
    let digest = Sha256::new()
        .chain_update(trace_id.to_be_bytes())
        .chain_update(token.0.to_be_bytes())
        .chain_update(name)
        .finalize();
    let id = digest.iter().take(8).fold(0_u64, |id, byte| id << 8 | u64::from(*byte));
    // A span id of zero is invalid.
    TraceContext::of_span(trace_id, id.max(1), trace.is_sampled()).unwrap_or(trace)
}

/// Converts a stored context to OpenTelemetry's.
#[must_use]
pub(crate) fn span_context(trace: TraceContext) -> SpanContext {
    let (trace_id, span_id) = trace.ids();
    let flags = TraceFlags::default().with_sampled(trace.is_sampled());
    SpanContext::new(TraceId::from(trace_id), SpanId::from(span_id), flags, true, TraceState::default())
}

/// Converts a stored context to the parent of a span.
#[must_use]
pub(crate) fn parent(trace: TraceContext) -> Context {
    Context::new().with_remote_span_context(span_context(trace))
}

/// Converts OpenTelemetry's context to a stored one; `None` if it is invalid.
#[must_use]
pub(crate) fn stored(context: &SpanContext) -> Option<TraceContext> {
    let trace_id = u128::from_be_bytes(context.trace_id().to_bytes());
    TraceContext::of_span(trace_id, u64::from_be_bytes(context.span_id().to_bytes()), context.is_sampled())
}

/// The context of the current span.
#[must_use]
pub fn current() -> Option<TraceContext> {
    Context::map_current(|context| stored(context.span().span_context()))
}

/// The context of the current span, or a new one. Without exporters a scan still gets a trace id.
#[must_use]
pub fn current_or_new() -> TraceContext {
    current().unwrap_or_else(|| TraceContext::generate(&mut rand::rng()))
}

thread_local! {
    /// The id of the next span on this thread.
    static NEXT: Cell<Option<SpanId>> = const { Cell::new(None) };
}

/// Runs `start`, which starts a span, with the span id of `context`.
pub(crate) fn with_id<T>(context: Option<TraceContext>, start: impl FnOnce() -> T) -> T {
    NEXT.set(context.map(|context| SpanId::from(context.ids().1)));
    let started = start();
    // A provider that was shut down does not request an id.
    NEXT.set(None);
    started
}

/// Generates random ids, or the id set by [`with_id`].
#[derive(Debug, Default)]
pub(crate) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        self.0.new_trace_id()
    }

    fn new_span_id(&self) -> SpanId {
        NEXT.take().unwrap_or_else(|| self.0.new_span_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempt_span_ids_are_deterministic_and_unique() {
        let trace: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let elsewhere: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01".parse().unwrap();
        let id = of_attempt(trace, "a", FencingToken(1));
        assert_eq!(id, of_attempt(elsewhere, "a", FencingToken(1)), "the parent does not matter");
        assert_ne!(id, of_attempt(trace, "b", FencingToken(1)));
        assert_ne!(id, of_attempt(trace, "a", FencingToken(2)));
        assert_eq!(id.trace_id(), trace.trace_id());
        assert!(
            !of_attempt(
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().unwrap(),
                "a",
                FencingToken(1)
            )
            .is_sampled()
        );
    }

    #[test]
    fn contexts_round_trip_through_opentelemetry() {
        for text in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        ] {
            let trace: TraceContext = text.parse().unwrap();
            assert_eq!(stored(&span_context(trace)), Some(trace));
        }
        assert_eq!(stored(&SpanContext::empty_context()), None);
    }

    #[test]
    fn a_preset_id_is_used_for_one_span() {
        let wanted: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let ids = Ids::default();
        with_id(Some(wanted), || {
            assert_eq!(ids.new_span_id(), SpanId::from(0x00f0_67aa_0ba9_02b7));
            assert_ne!(ids.new_span_id(), SpanId::from(0x00f0_67aa_0ba9_02b7));
        });
        with_id(Some(wanted), || ());
        assert_ne!(ids.new_span_id(), SpanId::from(0x00f0_67aa_0ba9_02b7), "nobody took it, and it is not left over");
    }
}
