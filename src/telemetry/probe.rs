//! Whether a collector takes a span, for `kastrel doctor`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

use super::catalog::span;
use super::exporters;
use super::logs::causes;
use super::variables::Export;

/// How long the end of the probe may take.
const LIMIT: Duration = Duration::from_secs(2);

type Last = Arc<Mutex<Option<Result<(), String>>>>;

/// An exporter that remembers how its last batch fared.
#[derive(Debug)]
struct Remembering<E> {
    inner: E,
    last: Last,
}

impl<E: SpanExporter> SpanExporter for Remembering<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(result.as_ref().copied().map_err(|error| causes(error)));
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Sends one span, and waits for the answer. Blocks; must be called within the runtime, which gRPC needs.
///
/// # Errors
/// Why it did not arrive.
pub fn try_collector(export: &Export) -> Result<(), String> {
    let exporter = exporters::spans(export).map_err(|error| causes(&error))?;
    let last = Last::default();
    let resource = Resource::builder().with_service_name("kastrel").build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(Remembering { inner: exporter, last: Arc::clone(&last) }).build();
    provider.tracer("kastrel").start(span::DOCTOR).end();
    let flushed = provider.force_flush();
    let _ = provider.shutdown_with_timeout(LIMIT);
    let answer = last.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (answer, flushed) {
        (Some(answer), _) => answer,
        (None, Err(error)) => Err(causes(&error)),
        (None, Ok(())) => Err("the span was not sent; OTEL_TRACES_SAMPLER may have dropped it".into()),
    }
}
