//! Logs once when delivery fails, and once when it works again. The SDK would log every failed
//! batch.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry_sdk::error::OTelSdkResult;

use super::exporter_tap::{ExportListener, ExporterTap};

/// An exporter whose failures are logged.
pub(super) type LoggedExporter<E> = ExporterTap<E, DeliveryLog>;

/// Returns the exporter `inner` of the items `what`, with a log of its failures.
pub(super) const fn logged<E>(inner: E, what: &'static str, endpoint: String) -> LoggedExporter<E> {
    ExporterTap::new(inner, DeliveryLog { what, endpoint, is_failing: AtomicBool::new(false) })
}

/// Whether the last batch failed.
#[derive(Debug)]
pub(super) struct DeliveryLog {
    what: &'static str,
    endpoint: String,
    is_failing: AtomicBool,
}

impl ExportListener for DeliveryLog {
    fn exported(&self, result: &OTelSdkResult) {
        let failed = result.is_err();
        if self.is_failing.swap(failed, Ordering::Relaxed) == failed {
            return;
        }
        match result {
            Err(error) => tracing::warn!(
                endpoint = self.endpoint,
                error = error as &dyn std::error::Error,
                "{} cannot be delivered and are dropped until the collector answers; scans are not affected",
                self.what
            ),
            Ok(()) => tracing::info!(endpoint = self.endpoint, "{} are delivered again", self.what),
        }
    }
}
