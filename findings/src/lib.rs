//! Findings: what the plugins of a scan saw, and what it means for the history of a target.

pub mod asset;
pub mod identity;
pub mod json;
pub mod lifecycle;
pub mod limits;
mod notes;
pub mod place;
pub mod readers;
pub mod registry;
pub mod scope;
mod severity;
mod sighting;
pub mod text;

pub use asset::{Asset, AssetKind};
pub use notes::{Note, NoteKind, ReadNotes};
pub use severity::Severity;
pub use sighting::{IssueKey, Sighting};
