//! Findings: what the plugins of a scan saw, and what it means for the history of a target.

pub mod json;
pub mod limits;
pub mod place;
mod severity;
pub mod text;

pub use severity::Severity;
