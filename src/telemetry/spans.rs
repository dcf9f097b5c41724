//! Writes spans: after the fact with their actual times, or opened in advance if their context must
//! be passed on before they end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use kastrel_actors::model::TraceContext;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, Span as _, SpanBuilder, SpanKind, Status, Tracer as _};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::catalog::attribute;
use super::ids;

/// A completed span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FinishedSpan {
    pub(crate) name: &'static str,
    pub(crate) parent: TraceContext,
    /// The span's own context, if others refer to it; otherwise its id is random.
    pub(crate) own: Option<TraceContext>,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) attributes: Vec<KeyValue>,
    /// Linked spans, and their relation to this one.
    pub(crate) links: Vec<(TraceContext, &'static str)>,
    /// The kind of error.
    pub(crate) error: Option<String>,
}

impl FinishedSpan {
    /// A span without a context of its own, links or an error.
    pub(crate) fn new(
        name: &'static str,
        parent: TraceContext,
        start: Timestamp,
        end: Timestamp,
        attributes: Vec<KeyValue>,
    ) -> Self {
        Self { name, parent, own: None, start, end, attributes, links: Vec::new(), error: None }
    }
}

/// Converts a time for OpenTelemetry. Times before 1970 become 1970.
pub(crate) fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(u64::try_from(at.as_nanosecond()).unwrap_or_default())
}

/// The destination of spans: a tracer, or none.
#[derive(Debug, Clone, Default)]
pub struct Spans(Option<SdkTracer>);

impl Spans {
    /// Sends spans to this tracer.
    #[must_use]
    pub const fn to(tracer: SdkTracer) -> Self {
        Self(Some(tracer))
    }

    /// True if spans are recorded.
    #[must_use]
    pub const fn are_taken(&self) -> bool {
        self.0.is_some()
    }

    /// Writes a completed span.
    pub(crate) fn write(&self, written: FinishedSpan) {
        let Some(tracer) = &self.0 else { return };
        let FinishedSpan { name, parent, own, start, end, mut attributes, links, error } = written;
        if let Some(kind) = &error {
            attributes.push(KeyValue::new(attribute::ERROR_TYPE, kind.clone()));
        }
        let link =
            |(context, kind)| Link::new(ids::span_context(context), vec![KeyValue::new(attribute::LINK_KIND, kind)], 0);
        let mut builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Internal)
            .with_start_time(system_time(start))
            .with_attributes(attributes);
        builder.links = Some(links.into_iter().map(link).collect());
        let mut span = ids::with_id(own, || tracer.build_with_context(builder, &ids::parent(parent)));
        if let Some(kind) = error {
            span.set_status(Status::error(kind));
        }
        span.end_with_timestamp(system_time(end.max(start)));
    }

    /// Opens a span whose context is passed on. `None` if spans are not recorded; then the parent's
    /// context is passed on instead.
    pub(crate) fn open(
        &self,
        name: &'static str,
        kind: SpanKind,
        parent: TraceContext,
        start: Timestamp,
        attributes: Vec<KeyValue>,
    ) -> Option<OpenSpan> {
        let tracer = self.0.as_ref()?;
        let builder = SpanBuilder::from_name(name)
            .with_kind(kind)
            .with_start_time(system_time(start))
            .with_attributes(attributes);
        let span = tracer.build_with_context(builder, &ids::parent(parent));
        // A provider that was shut down returns spans without a context.
        let context = ids::stored(span.span_context())?;
        Some(OpenSpan { span, context })
    }
}

/// An open span.
#[derive(Debug)]
pub(crate) struct OpenSpan {
    span: Span,
    /// Its context.
    pub(crate) context: TraceContext,
}

impl OpenSpan {
    pub(crate) fn set(&mut self, attribute: KeyValue) {
        self.span.set_attribute(attribute);
    }

    /// Marks the span as failed.
    pub(crate) fn fail(&mut self, kind: &'static str) {
        self.span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, kind));
        self.span.set_status(Status::error(kind));
    }

    pub(crate) fn end(mut self, end: Timestamp) {
        self.span.end_with_timestamp(system_time(end));
    }
}
