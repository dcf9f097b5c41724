//! Everything that this process tells with, and its end.

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

/// What spans and metrics are said to come from.
const SCOPE: &str = "kastrel";

/// How long the end of the process may wait for what is not delivered yet.
const LIMIT: Duration = Duration::from_secs(3);

/// See the module. Clones share everything.
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

/// Where telemetry goes, as far as it goes anywhere.
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
        // A registry that is new takes the first collector. If it did not, `/metrics` would be
        // empty and everything else as it is.
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

    /// Counts, and shows its metrics to whoever asks; exports nothing.
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

    /// Keeps its spans for a test to look at.
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

    /// Whether the `traceparent` of callers is ignored.
    #[must_use]
    pub fn ignores_callers(&self) -> bool {
        self.0.ignores_callers
    }

    /// Whether metrics are pushed, and not only shown.
    #[must_use]
    pub fn pushes_metrics(&self) -> bool {
        self.0.pushes_metrics
    }

    /// Where spans go.
    #[must_use]
    pub fn spans(&self) -> &Spans {
        &self.0.spans
    }

    /// The metrics that are counted.
    #[must_use]
    pub fn instruments(&self) -> &Arc<Instruments> {
        &self.0.instruments
    }

    /// The metrics that are looked at.
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

    /// Delivers what is left, and ends all exporting. Blocks, at most for the time limit; what is
    /// not delivered by then is lost.
    pub fn flush(&self) {
        let inner = Arc::clone(&self.0);
        let (done, waiting) = std::sync::mpsc::channel::<()>();
        // A collector that takes the connection and never answers must not hold the end of the
        // process up: then this thread is left behind.
        let flushing = std::thread::Builder::new().name("telemetry-flush".into()).spawn(move || {
            // The traces first, because they are what somebody will ask for.
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
            // An end without a message is the end.
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
