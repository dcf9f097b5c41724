//! The configuration file of an attempt, which the scanner gets with `--config`. It has all
//! settings, each with the type of the scanner's schema.
//!
//! KAST's `--set` guesses types: `1` becomes `True`, and a list with one element stays a text that
//! is later split into letters. KAST also ignores a missing or broken configuration file, and
//! without `--config` it searches its own files in the working folder and below `HOME`. So every
//! attempt gets its own file with the node's settings, then the scan's overrides, and the attempt's
//! own ZAP container.
//!
//! - `node` reads the configuration of the node.
//! - `digest` is its short form, which differs if a setting differs.
//! - `settings` merges it with the overrides of the scan, and `value` gives each override its type.
//! - `written` writes the file, and removes the secrets of the scan from it.

mod digest;
mod node;
mod settings;
#[cfg(test)]
mod testing;
mod value;
mod written;

pub(super) use digest::digest;
pub use node::{KastConfigError, NodeConfig};
pub(super) use settings::{limits, settings};
pub(super) use written::{Forgetting, remove, write};
