//! Decisions as pure functions: no I/O; the time and random values are arguments.

pub mod access;
pub mod addresses;
pub mod admission;
pub mod adoption;
pub mod backups;
pub mod breaker;
pub mod classify;
pub mod deadline;
pub mod directives;
pub mod estimate;
pub mod fairness;
pub mod infrastructure;
pub mod lease;
pub mod listing;
pub mod operator;
pub mod override_policy;
pub mod overrides;
pub mod permission;
pub mod placement;
pub mod reports;
pub mod restart;
pub mod scope;
pub mod selection;
mod setting_hosts;
pub mod transition;
pub mod wait_parts;
pub mod waiting;
