//! Readers: one a plugin. Each takes issues, places and evidence from the plugin's own findings.
//!
//! KAST's list of issues in a processed file has ids without places, so a reader uses it only for
//! what the findings do not show: such an issue gets the target as its place, and a note. What a
//! reader does not understand is a note as well. A reader never fails and never panics: a file that
//! cannot be read is a reading without sightings, whose notes say why.

mod ai_surface_detection;
mod built_in;
mod collect;
mod cors_analyzer;
mod dispatch;
mod file;
mod ftap;
mod generic;
mod katana;
mod mozilla_observatory;
mod org_discovery;
mod reading;
mod related_sites;
mod script_detection;
mod subfinder;
#[cfg(test)]
mod tests;
mod testssl;
mod wafw00f;
mod whatweb;
mod zap;

pub use dispatch::read;
pub use reading::{ReaderInput, Reading, plugin_key};
