//! The telemetry of this process, and its shutdown.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracerProvider, TracerProviderBuilder};
use prometheus::{Registry, TextEncoder};

use super::ids::Ids;
use super::instruments::Instruments;
use super::process_groups::ProcessGroups;
use super::readings::Readings;
use super::scans::ScanTraceIndex;
use super::spans::Spans;

/// The instrumentation scope of spans and metrics.
const SCOPE: &str = "kastrel";

/// The timeout for delivering the remaining telemetry at the end of the process.
const LIMIT: Duration = Duration::from_secs(3);

/// The telemetry of this process; see the module docs. Clones share it.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    spans: Spans,
    instruments: Arc<Instruments>,
    readings: Readings,
    groups: Arc<ProcessGroups>,
    trace_index: Arc<ScanTraceIndex>,
    registry: Registry,
    traces: Option<SdkTracerProvider>,
    metrics: SdkMeterProvider,
    logs: Option<SdkLoggerProvider>,
    pushes_metrics: bool,
    ignores_callers: bool,
}

/// The destinations of telemetry, as far as it is exported.
pub(super) struct Destinations {
    pub(super) resource: Resource,
    pub(super) traces: Option<TracerProviderBuilder>,
    pub(super) metrics: MeterProviderBuilder,
    pub(super) pushes_metrics: bool,
    pub(super) logs: Option<SdkLoggerProvider>,
    pub(super) trace_index: Arc<ScanTraceIndex>,
    pub(super) ignores_callers: bool,
}

impl Telemetry {
    pub(super) fn new(destinations: Destinations) -> Self {
        let Destinations { resource, traces, metrics, pushes_metrics, logs, trace_index, ignores_callers } =
            destinations;
        let registry = Registry::new();
        let text = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .scope_info_enabled(false)
            .build();
        // A new registry accepts the first collector. If it did not, only `/metrics` would be
        // empty.
        let metrics = match text {
            Ok(reader) => metrics.with_reader(reader),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "metrics cannot be shown");
                metrics
            }
        };
        let metrics = metrics.with_resource(resource.clone()).build();
        let traces = traces.map(|builder| builder.with_resource(resource).with_id_generator(Ids::default()).build());
        let readings = Readings::default();
        Self(Arc::new(Inner {
            spans: traces.as_ref().map(|provider| Spans::to(provider.tracer(SCOPE))).unwrap_or_default(),
            instruments: Instruments::new(&metrics.meter(SCOPE), &readings),
            readings,
            groups: Arc::default(),
            trace_index,
            registry,
            traces,
            metrics,
            logs,
            pushes_metrics,
            ignores_callers,
        }))
    }

    /// Creates telemetry that counts metrics and serves them at `/metrics`, but exports nothing.
    #[must_use]
    pub fn without_exporters() -> Self {
        Self::new(Destinations {
            resource: Resource::builder_empty().build(),
            traces: None,
            metrics: SdkMeterProvider::builder(),
            pushes_metrics: false,
            logs: None,
            trace_index: Arc::default(),
            ignores_callers: false,
        })
    }

    /// Creates telemetry that keeps its spans in memory, for tests.
    #[cfg(test)]
    pub(crate) fn in_memory() -> (Self, opentelemetry_sdk::trace::InMemorySpanExporter) {
        let exporter = opentelemetry_sdk::trace::InMemorySpanExporter::default();
        let telemetry = Self::new(Destinations {
            resource: Resource::builder_empty().build(),
            traces: Some(SdkTracerProvider::builder().with_simple_exporter(exporter.clone())),
            metrics: SdkMeterProvider::builder(),
            pushes_metrics: false,
            logs: None,
            trace_index: Arc::default(),
            ignores_callers: false,
        });
        (telemetry, exporter)
    }

    /// The metrics in Prometheus' text format.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.0.registry.gather()).unwrap_or_default()
    }

    /// True if the `traceparent` of callers is ignored.
    #[must_use]
    pub fn ignores_callers(&self) -> bool {
        self.0.ignores_callers
    }

    /// True if metrics are pushed, and not only served.
    #[must_use]
    pub fn pushes_metrics(&self) -> bool {
        self.0.pushes_metrics
    }

    /// The destination of spans.
    #[must_use]
    pub fn spans(&self) -> &Spans {
        &self.0.spans
    }

    /// The counted metrics.
    #[must_use]
    pub fn instruments(&self) -> &Arc<Instruments> {
        &self.0.instruments
    }

    /// The metrics that are read on collection.
    #[must_use]
    pub fn readings(&self) -> &Readings {
        &self.0.readings
    }

    pub(super) fn groups(&self) -> &Arc<ProcessGroups> {
        &self.0.groups
    }

    pub(super) fn trace_index(&self) -> &Arc<ScanTraceIndex> {
        &self.0.trace_index
    }

    pub(super) fn tracer(&self) -> Option<opentelemetry_sdk::trace::SdkTracer> {
        self.0.traces.as_ref().map(|provider| provider.tracer(SCOPE))
    }

    /// Delivers the remaining telemetry, and ends all exporting. Blocks up to the timeout;
    /// telemetry that is not delivered by then is lost.
    pub fn flush(&self) {
        let inner = Arc::clone(&self.0);
        let (done, waiting) = std::sync::mpsc::channel::<()>();
        // A collector that accepts the connection and never responds must not delay the end of the
        // process. In that case this thread is abandoned.
        let flushing = std::thread::Builder::new().name("telemetry-flush".into()).spawn(move || {
            // Traces first, because they are the most useful.
            if let Some(traces) = &inner.traces {
                let _ = traces.shutdown_with_timeout(LIMIT);
            }
            if let Some(logs) = &inner.logs {
                let _ = logs.shutdown_with_timeout(LIMIT);
            }
            let _ = inner.metrics.shutdown_with_timeout(LIMIT);
            drop(done);
        });
        if flushing.is_ok() {
            // The closed channel signals the end; no message is sent.
            let _ = waiting.recv_timeout(LIMIT);
        }
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry")
            .field("traces", &self.0.spans.are_taken())
            .field("pushes_metrics", &self.0.pushes_metrics)
            .finish_non_exhaustive()
    }
}
