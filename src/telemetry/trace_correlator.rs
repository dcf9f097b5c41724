//! A log processor that adds trace and attempt ids to scan log records emitted outside a span, like
//! the lines on standard error.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};

use super::catalog::attribute;
use super::ids;
use super::scans::ScanTraceIndex;

/// The log processor; see the module docs. It must come before the processor that exports.
#[derive(Debug)]
pub(super) struct TraceCorrelator(pub(super) Arc<ScanTraceIndex>);

impl LogProcessor for TraceCorrelator {
    fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
        if record.trace_context().is_some() {
            return;
        }
        let scan =
            record.attributes_iter().find(|(name, _)| name.as_str() == attribute::SCAN_ID).and_then(|(_, value)| {
                match value {
                    AnyValue::Int(id) => u64::try_from(*id).ok(),
                    _ => None,
                }
            });
        let Some(place) = scan.and_then(|id| self.0.of(id)) else { return };
        let has_attempt = record.attributes_iter().any(|(name, _)| name.as_str() == attribute::SCAN_ATTEMPT);
        if let Some(attempt) = place.attempt.filter(|_| !has_attempt) {
            record.add_attribute(attribute::SCAN_ATTEMPT, i64::from(attempt));
        }
        let context = ids::span_context(place.trace);
        record.set_trace_context(context.trace_id(), context.span_id(), Some(context.trace_flags()));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
