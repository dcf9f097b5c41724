//! Exports of findings: pure writers from rows to bytes, one a format. They do no I/O and know no
//! service.
//!
//! An [`Encoder`] gets the head of an export, then the findings in chunks, then its end, and
//! appends bytes to a buffer that the caller sends and empties. So no export is in memory as one
//! value. Two formats collect a bounded number of findings instead, because what they say first
//! depends on all of them: `JUnit` has its counts before its cases, and GitHub shows only the first
//! annotations of a step.
//!
//! **An export is never clean by omission.** What a scan did not check is a part of each format: a
//! plugin that did not run to its end, or whose result was read in part, is an error or a
//! notification, and an export that breaks midway is not complete in its own format.
//!
//! Titles, places and evidence come from scanned sites. Each writer escapes what its format and the
//! readers of the format interpret: formulas, commands of a runner, links of a message.

pub mod baseline;
mod cell;
mod csv;
mod encoder;
mod finding;
mod format;
mod github;
mod head;
mod json;
mod junit;
mod openvex;
mod sarif;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod writer;

pub use cell::{begins_formula, safe_cell};
pub use encoder::Encoder;
pub use finding::{Baseline, ExportedFinding, ExportedLife, address_of};
pub use format::Format;
pub use head::{ExportHead, ExportedCheck, ExportedScan, Gap, Subject};
pub use json::Line;
pub use sarif::FINGERPRINT_KEY;
pub use writer::EncodeError;
