//! What a reader could not take over, so that nothing is lost in silence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::{Cuts, Fault};
use crate::text::clean;

/// The kind of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// The file could not be read at all.
    Unreadable,
    /// The plugin reports that it failed, or that it did not check everything.
    FailureReported,
    /// Values beyond a limit of the file were skipped.
    ValuesCut,
    /// Sightings beyond the limit were dropped.
    SightingsCut,
    /// Assets beyond the limit were dropped.
    AssetsCut,
    /// Texts were cut to their limit.
    TextsCut,
    /// Entries have a form that the reader does not know.
    NotUnderstood,
    /// Entries are no issue by the reader's own rules.
    LeftOut,
    /// Issues are only in the file's list of issues, without a place.
    WithoutPlace,
}

impl NoteKind {
    /// Returns true if sightings may be missing because of such a note. Then the absence of a
    /// finding proves nothing.
    #[must_use]
    pub const fn may_hide_findings(self) -> bool {
        match self {
            Self::Unreadable | Self::FailureReported | Self::ValuesCut | Self::SightingsCut | Self::NotUnderstood => {
                true
            }
            Self::AssetsCut | Self::TextsCut | Self::LeftOut | Self::WithoutPlace => false,
        }
    }
}

/// How often something was noted, with the first example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The number of entries.
    pub count: u64,
    /// The first of them, or the reason.
    pub example: String,
}

/// The notes of a reading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReadNotes(BTreeMap<NoteKind, Note>);

impl ReadNotes {
    /// Notes one more entry.
    pub fn add(&mut self, kind: NoteKind, example: &str) {
        self.add_many(kind, 1, example);
    }

    /// Notes `count` more entries.
    pub fn add_many(&mut self, kind: NoteKind, count: usize, example: &str) {
        if count == 0 {
            return;
        }
        let note = self.0.entry(kind).or_insert_with(|| Note { count: 0, example: clean(example, 160) });
        note.count = note.count.saturating_add(count as u64);
    }

    /// Notes that the file cannot be read.
    pub(crate) fn fault(&mut self, file: &str, fault: Fault) {
        self.add(NoteKind::Unreadable, &format!("{file} cannot be read: {fault}"));
    }

    /// Notes what the limits of a file removed.
    pub(crate) fn cuts(&mut self, cuts: Cuts) {
        self.add_many(NoteKind::ValuesCut, cuts.values, "values beyond the limits of a file");
        self.add_many(NoteKind::TextsCut, cuts.texts, "texts beyond the limit");
    }

    /// Returns the note of a kind.
    #[must_use]
    pub fn get(&self, kind: NoteKind) -> Option<&Note> {
        self.0.get(&kind)
    }

    /// Iterates over the notes.
    pub fn iter(&self) -> impl Iterator<Item = (NoteKind, &Note)> {
        self.0.iter().map(|(kind, note)| (*kind, note))
    }

    /// Returns true if sightings may be missing.
    #[must_use]
    pub fn may_hide_findings(&self) -> bool {
        self.0.keys().any(|kind| kind.may_hide_findings())
    }
}
