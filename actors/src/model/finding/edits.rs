//! What people change about findings, targets and scans.

use serde::{Deserialize, Serialize};

named_enum! {
    /// What a person did to a finding.
    pub enum TriageKind {
        /// Confirmed that it is real.
        Confirmed = "confirmed",
        /// Marked it as a false positive.
        FalsePositive = "false_positive",
        /// Accepted the risk until a day.
        Accepted = "accepted",
        /// Withdrew the decision or the confirmation.
        Withdrawn = "withdrawn",
        /// Wrote a comment.
        Commented = "commented",
        /// Gave it to somebody, or to nobody.
        Assigned = "assigned",
    }
}

/// Tags and notes of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanNotes {
    /// Names for groups, sorted, each at most 40 characters and once; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Notes of people, at most 4,000 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// A filter of findings that an account has saved under a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SavedFilter {
    /// The name, at most 60 characters.
    pub name: String,
    /// The filter as its tokens.
    pub filter: String,
}
