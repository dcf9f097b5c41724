//! The HTTP API: one file for each resource. The OpenAPI description is generated from the
//! handlers.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod audit_export;
pub(crate) mod backup;
pub(crate) mod backups;
pub(crate) mod changes;
pub(crate) mod clearances;
pub(crate) mod compare;
#[cfg(test)]
mod coverage_tests;
pub(crate) mod device;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod filters;
pub(crate) mod finding_exports;
pub(crate) mod finding_query;
pub(crate) mod findings;
pub(crate) mod health;
pub(crate) mod identities;
pub(crate) mod links;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod nodes;
pub(crate) mod notes;
pub(crate) mod openapi;
pub(crate) mod plugins;
pub(crate) mod projects;
mod proof;
mod query;
pub(crate) mod queue;
pub(crate) mod scans;
pub(crate) mod shares;
pub(crate) mod sla;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod submission;
pub(crate) mod supervision;
pub(crate) mod targets;
pub(crate) mod tokens;
pub(crate) mod whoami;
