//! What a reader reads, and what it returns.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::asset::Asset;
use crate::limits::MOST_KEY_CHARS;
use crate::notes::ReadNotes;
use crate::sighting::{IssueKey, Sighting};
use crate::text::clean;

/// What a reader reads.
#[derive(Debug, Clone, Copy)]
pub struct ReaderInput<'a> {
    /// The name of the plugin.
    pub plugin: &'a str,
    /// The target of the scan as the scanner got it.
    pub target: &'a str,
    /// The bytes of `<plugin>_processed.json`.
    pub processed: &'a [u8],
    /// The bytes of `zap_report.json`, for ZAP. The processed file of some versions has no alerts.
    pub zap_report: Option<&'a [u8]>,
}

/// What a plugin found in one scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The name of the plugin in normal form ([`plugin_key`]).
    pub plugin: String,
    /// The issues with their places, in the order of the file.
    pub sightings: Vec<Sighting>,
    /// What the plugin collected. Assets are never counted as issues.
    pub assets: Vec<Asset>,
    /// Issues whose check gave no result, or of whose places the file lists only some. Their
    /// absence proves nothing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub inconclusive: BTreeSet<IssueKey>,
    /// What could not be taken over.
    pub notes: ReadNotes,
}

impl Reading {
    /// Returns true if the absence of this issue from the sightings proves that the plugin did not
    /// see it. The issue is the key of the sighting, before any rule.
    #[must_use]
    pub fn proves_absence_of(&self, issue: &IssueKey) -> bool {
        !self.notes.may_hide_findings() && !self.inconclusive.contains(issue)
    }
}

/// Returns the plugin's name in normal form: lower case, with the present name of a plugin that was
/// renamed. Findings keep their identity over such a rename.
#[must_use]
pub fn plugin_key(name: &str) -> String {
    let key = clean(name, MOST_KEY_CHARS).to_lowercase().replace('-', "_");
    match key.as_str() {
        "ai_chatbot_detection" => "ai_surface_detection".to_owned(),
        "observatory" => "mozilla_observatory".to_owned(),
        _ => key,
    }
}
