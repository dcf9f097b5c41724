//! An exporter that reports the result of each batch to a listener.

use std::fmt;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// Receives the result of each batch.
pub(super) trait ExportListener: fmt::Debug + Send + Sync + 'static {
    /// A batch was exported, or was not.
    fn exported(&self, result: &OTelSdkResult);
}

/// The exporter and its listener.
pub(super) struct ExporterTap<E, L> {
    inner: E,
    listener: L,
}

impl<E, L> ExporterTap<E, L> {
    pub(super) const fn new(inner: E, listener: L) -> Self {
        Self { inner, listener }
    }
}

/// Shows the listener only: an exporter holds the headers of its requests, which may be secret.
impl<E, L: fmt::Debug> fmt::Debug for ExporterTap<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExporterTap").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl<E: SpanExporter, L: ExportListener> SpanExporter for ExporterTap<E, L> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        self.listener.exported(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: LogExporter, L: ExportListener> LogExporter for ExporterTap<E, L> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        self.listener.exported(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: PushMetricExporter, L: ExportListener> PushMetricExporter for ExporterTap<E, L> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.inner.export(metrics).await;
        self.listener.exported(&result);
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}
