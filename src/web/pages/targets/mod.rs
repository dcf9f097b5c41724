//! The pages of targets: the list, and one target with its issues, scans, assets and checks.
//!
//! - `list` is the list, and `address` its state in the URL.
//! - `detail` is one target, with its `strip` of scans, its `assets` and its `coverage`; `actions`
//!   are on it, `tags` reads what they get, and `check` submits another check.

pub(crate) mod actions;
mod address;
mod assets;
pub(crate) mod check;
mod coverage;
pub(crate) mod detail;
pub(crate) mod list;
mod strip;
pub(crate) mod tags;

#[cfg(test)]
mod tests;
