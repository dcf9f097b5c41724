//! The application services: the operations that the web server and the command line offer, and
//! their only way to the domain. They use the ports and the live state; no actor calls them.
//!
//! An operation that acts for somebody takes a [`RequestContext`](crate::model::RequestContext).
//! Reads take it as well, and return what the principal may see.

mod audit;
mod audit_export;
mod clearance_check;
mod error;
pub mod ingest;
mod known_queue;
mod nodes;
mod ports;
mod probe;
mod queue;
pub mod queue_watch;
pub mod replica_sync;
mod reporting;
mod rerun;
mod scans;
mod sealing;
mod services;
mod setting_rules;
mod submission;
mod transfer;
#[cfg(test)]
mod visibility_tests;

pub use audit::AuditService;
pub use audit_export::AuditExport;
pub use clearance_check::TargetCheck;
pub use error::CommandError;
pub use nodes::NodeService;
pub use ports::{Consistency, ServicePorts};
pub use queue::{QueueService, QueueStatus};
pub use reporting::{ProcessReadings, ReportingService};
pub use rerun::RerunPlugins;
pub use scans::{CancelOutcome, ScanService, SnapshotPage};
pub use sealing::{AuditSealer, SEAL_EVERY};
pub use services::Services;
pub use setting_rules::SettingRules;
pub use submission::{Accepted, SubmitError};
pub use transfer::TransferOutcome;
