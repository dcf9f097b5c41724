//! The web server: the dashboard and the HTTP API.

mod access;
mod api;
mod archive;
mod assets;
mod back;
mod base_path;
mod edge;
mod error;
mod estimate;
mod files;
mod forwarded;
mod fragments;
mod headers;
mod hosts;
mod identify;
mod identity_watch;
mod limits;
mod manager;
mod middleware;
mod pages;
mod path;
mod problem_response;
mod query;
mod range;
mod renderings;
mod request_span;
mod router;
mod same_origin;
mod sender;
mod shared_path;
mod shared_scans;
mod sse;
mod state;
mod status_cache;
#[cfg(test)]
pub(crate) mod testing;
mod text;
mod trace;
mod viewer;
mod zone;

pub use edge::Edge;
pub use forwarded::TrustedProxies;
pub use hosts::HostRule;
pub use limits::{RequestLimits, reserved_use_under};
pub use router::{health_router, router};
pub use state::{AppInfo, ServerProof, SettingLine, WebState};
