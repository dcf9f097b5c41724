//! Telemetry: one trace for each scan, metrics, and logs that know their trace.
//!
//! - [`catalog`] is the table of everything that is told; `document` makes `docs/telemetry.md` of
//!   it.
//! - [`variables`] reads the standard `OTEL_*` variables into a plan, `exporters` carries it out,
//!   and [`Telemetry`] holds what came of it and flushes it at the end.
//! - The ports of the orchestration are observed from outside, and know nothing of it: `store`
//!   tells what is committed, `queue` what is published and processed, `runner` what runs. What a
//!   commit means is a pure function in `span_rules`.
//! - `logs` is standard error; `instruments` and [`readings`] are the metrics.
//!
//! Telemetry never fails a scan: what cannot be delivered is dropped, and said once.

pub mod catalog;
mod document;
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
pub use filter::is_traced;
pub use handle::Telemetry;
pub use ids::{current, current_or_new};
pub use instruments::Instruments;
pub use observed::{Observed, observe};
pub use probe::{Signal, try_collector};
pub use request::{cli_span, request_span};
pub use spans::Spans;
pub use start::start;
