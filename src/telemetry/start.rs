//! Starts telemetry: reads the variables, builds the exporters, and installs the subscriber of log
//! lines and spans.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::exporters;
use super::filter::{is_exported, is_ours};
use super::handle::{Destinations, Telemetry};
use super::logged_exporter::logged;
use super::logs;
use super::resource::resource;
use super::scans::ScanTraceIndex;
use super::trace_correlator::TraceCorrelator;
use super::variables::Plan;
use crate::config::LogConfig;
use crate::config::Role;

/// Starts logging and the exports that the variables request. Must be called within the runtime,
/// which gRPC needs. A second call returns separate metrics and spans, but does not replace the
/// subscriber.
#[must_use]
pub fn start(config: &LogConfig, role: Role, env: &BTreeMap<String, String>) -> Telemetry {
    let plan = Plan::read(env);
    let mut problems = plan.warnings.clone();
    let resource = resource(role, env.get("OTEL_SERVICE_NAME").map(String::as_str));
    let mut made = |what: &str, result: Result<(), exporters::ExporterError>| {
        if let Err(error) = result {
            problems.push(format!("{what} are not exported: {}", logs::causes(&error)));
        }
    };

    let mut traces = None;
    if let Some(export) = &plan.traces {
        made(
            "spans",
            exporters::spans(export).map(|exporter| {
                traces = Some(SdkTracerProvider::builder().with_batch_exporter(logged(
                    exporter,
                    "spans",
                    export.endpoint.clone(),
                )));
            }),
        );
    }
    let mut metrics = SdkMeterProvider::builder();
    let mut pushes_metrics = false;
    if let Some(export) = &plan.metrics {
        match exporters::metrics(export) {
            Ok(exporter) => {
                metrics = metrics.with_periodic_exporter(logged(exporter, "metrics", export.endpoint.clone()));
                pushes_metrics = true;
            }
            Err(error) => made("metrics", Err(error)),
        }
    }
    let trace_index = Arc::new(ScanTraceIndex::default());
    let mut log_provider = None;
    if let Some(export) = &plan.logs {
        made(
            "logs",
            exporters::logs(export).map(|exporter| {
                let exporter = logged(exporter, "log records", export.endpoint.clone());
                let builder = SdkLoggerProvider::builder()
                    .with_resource(resource.clone())
                    .with_log_processor(TraceCorrelator(Arc::clone(&trace_index)));
                log_provider = Some(builder.with_batch_exporter(exporter).build());
            }),
        );
    }
    let telemetry = Telemetry::new(Destinations {
        resource,
        traces,
        metrics,
        pushes_metrics,
        logs: log_provider.clone(),
        trace_index: Arc::clone(&trace_index),
        ignores_callers: plan.ignores_callers,
    });

    let spans = telemetry.tracer().map(|tracer| {
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(FilterFn::new(is_ours).with_max_level_hint(LevelFilter::INFO))
    });
    // Kastrel's own records only: an exporter that logs must not create more records to export.
    let bridge = log_provider.as_ref().map(|provider| {
        let filter = logs::filter(config, role);
        OpenTelemetryTracingBridge::new(provider)
            .with_filter(FilterFn::new(|metadata| is_exported(metadata.target())))
            .with_filter(filter)
    });
    // The span layer comes before the line layer, so that a line has its span. An error means that
    // a subscriber is already set, for example by a test.
    let _ =
        tracing_subscriber::registry().with(spans).with(bridge).with(logs::lines(config, role, trace_index)).try_init();

    for problem in problems {
        tracing::warn!("{problem}");
    }
    if let Some(export) = &plan.traces {
        tracing::info!(endpoint = export.endpoint, "spans are exported");
    }
    telemetry
}
