//! The dashboard and the HTTP API.

mod api;
mod archive;
mod assets;
mod check;
mod error;
mod estimate;
mod files;
mod headers;
mod hosts;
mod limits;
mod pages;
mod path;
mod query;
mod removal;
mod router;
mod same_origin;
mod sse;
mod state;
#[cfg(test)]
mod testing;
mod text;
mod trace;
mod viewer;

pub use hosts::HostRule;
pub use limits::RequestLimits;
pub use router::router;
pub use state::{AppInfo, AttemptDir, CatalogueView, Health, IssueText, RenderReport, SettingLine, WebState};
