//! What the store keeps of targets and their findings. The crate `kastrel-findings` has the rules;
//! these are the rows.
//!
//! - A [`TargetRecord`] is a project and an origin.
//! - A [`FindingRecord`] is one issue at one place of a target, over all its scans.
//! - A [`ScanResult`] is what one scan checked on its target; its [`ObservedRecord`]s are what it
//!   saw, in chunks.

mod changes;
mod edits;
mod record;
mod scan_result;
mod target;

pub use changes::{FindingChanges, Put};
pub use edits::{SavedFilter, ScanNotes, TriageKind};
pub use record::{FindingEntry, FindingRecord, LogChange, MOST_LOG_ENTRIES};
pub use scan_result::{OBSERVED_CHUNK, ObservedRecord, ScanResult};
pub use target::{LastCheck, MOST_TARGET_ASSETS, SeenAsset, TargetRecord};
