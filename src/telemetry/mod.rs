//! Telemetry: one trace for each scan, metrics, and logs with trace ids.
//!
//! - [`catalog`] is the table of all telemetry; `document` generates `docs/telemetry.md` from it.
//! - [`variables`] reads the standard `OTEL_*` variables into a plan, `exporters` builds the
//!   exporters, and [`Telemetry`] holds them and flushes them at the end.
//! - The ports are wrapped by observers, and do not depend on telemetry: `store` observes commits,
//!   `queue` observes published and processed signals, `runner` observes processes. A pure function
//!   in `span_rules` derives spans from a commit.
//! - `logs` writes to standard error; `instruments` and [`readings`] are the metrics.
//!
//! Telemetry never fails a scan: undeliverable data is dropped and logged once.

pub mod catalog;
mod document;
mod exporter_tap;
mod exporters;
mod filter;
mod handle;
mod ids;
mod instruments;
mod logged_exporter;
mod logs;
mod observed;
mod observer;
mod probe;
mod process_groups;
mod queue;
pub mod readings;
mod request;
mod resource;
mod runner;
mod scans;
mod span_rules;
mod spans;
mod start;
mod store;
mod trace_correlator;
pub mod variable_table;
pub mod variables;

#[cfg(test)]
mod tests;

pub use document::document;
pub(crate) use filter::LOCAL_ONLY;
pub use filter::is_traced;
pub use handle::Telemetry;
pub use ids::{current, current_or_new};
pub use instruments::Instruments;
pub use observed::{Observed, observe};
pub use probe::{Signal, try_collector};
pub use request::{cli_span, request_span};
pub use spans::Spans;
pub use start::start;
