//! Tests whether a collector accepts telemetry, for `kastrel doctor`: sends one span, one metric
//! and one log record.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

use super::catalog::{attribute, metric, span};
use super::exporter_tap::{ExportListener, ExporterTap};
use super::exporters;
use super::logs::causes;
use super::resource::resource;
use super::variables::{Export, Plan};
use crate::config::Role;

/// The timeout for shutting down the probe.
const LIMIT: Duration = Duration::from_secs(2);
/// The instrumentation scope of the probe.
const SCOPE: &str = "kastrel";

/// A kind of telemetry, which is exported separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// All signals.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// The item that the probe sends, for users.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Traces => "a span",
            Self::Metrics => "a metric",
            Self::Logs => "a log record",
        }
    }

    /// The variable that enables its export.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Traces => "OTEL_TRACES_EXPORTER",
            Self::Metrics => "OTEL_METRICS_EXPORTER",
            Self::Logs => "OTEL_LOGS_EXPORTER",
        }
    }

    /// Its export, if the plan contains one.
    #[must_use]
    pub const fn of(self, plan: &Plan) -> Option<&Export> {
        match self {
            Self::Traces => plan.traces.as_ref(),
            Self::Metrics => plan.metrics.as_ref(),
            Self::Logs => plan.logs.as_ref(),
        }
    }
}

type Last = Arc<Mutex<Option<Result<(), String>>>>;

/// Stores the result of the last batch.
#[derive(Debug)]
struct LastResult(Last);

impl ExportListener for LastResult {
    fn exported(&self, result: &OTelSdkResult) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(result.as_ref().copied().map_err(|error| causes(error)));
    }
}

/// Sends one item of `signal`, and waits for the result; `service_name` is the value of
/// `OTEL_SERVICE_NAME`. Blocks; must be called within the runtime, which gRPC needs.
///
/// # Errors
/// The reason why the item was not delivered.
pub fn try_collector(signal: Signal, export: &Export, service_name: Option<&str>) -> Result<(), String> {
    let last = Last::default();
    let resource = resource(Role::Offline, service_name);
    let flushed = match signal {
        Signal::Traces => send_span(export, resource, Arc::clone(&last)),
        Signal::Metrics => send_metric(export, resource, Arc::clone(&last)),
        Signal::Logs => send_log_record(export, resource, Arc::clone(&last)),
    };
    let flushed = flushed.map_err(|error| causes(&error))?;
    let answer = last.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (answer, flushed) {
        (Some(answer), _) => answer,
        (None, Err(error)) => Err(causes(&error)),
        (None, Ok(())) => Err("nothing was sent".into()),
    }
}

fn send_span(export: &Export, resource: Resource, last: Last) -> Result<OTelSdkResult, exporters::ExporterError> {
    let exporter = ExporterTap::new(exporters::spans(export)?, LastResult(last));
    // The sampler in `OTEL_TRACES_SAMPLER` is irrelevant to the collector.
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build();
    provider.tracer(SCOPE).start(span::DOCTOR).end();
    let flushed = provider.force_flush();
    let _ = provider.shutdown_with_timeout(LIMIT);
    Ok(flushed)
}

fn send_metric(export: &Export, resource: Resource, last: Last) -> Result<OTelSdkResult, exporters::ExporterError> {
    let exporter = ExporterTap::new(exporters::metrics(export)?, LastResult(last));
    let provider = SdkMeterProvider::builder().with_resource(resource).with_periodic_exporter(exporter).build();
    let build = provider.meter(SCOPE).u64_gauge(metric::BUILD.name).with_description(metric::BUILD.description).build();
    build.record(1, &[KeyValue::new(attribute::VERSION, env!("CARGO_PKG_VERSION"))]);
    let flushed = provider.force_flush();
    let _ = provider.shutdown_with_timeout(LIMIT);
    Ok(flushed)
}

fn send_log_record(export: &Export, resource: Resource, last: Last) -> Result<OTelSdkResult, exporters::ExporterError> {
    let exporter = ExporterTap::new(exporters::logs(export)?, LastResult(last));
    let provider = SdkLoggerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    let logger = provider.logger(SCOPE);
    let mut record = logger.create_log_record();
    record.set_severity_number(Severity::Info);
    record.set_body("kastrel doctor tries the collector".into());
    logger.emit(record);
    let flushed = provider.force_flush();
    let _ = provider.shutdown_with_timeout(LIMIT);
    Ok(flushed)
}
