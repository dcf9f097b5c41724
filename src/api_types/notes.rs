//! Tags and notes of scans, saved filters, and the times to fix of a project.

use std::collections::BTreeMap;

use kastrel_actors::model::{SavedFilter, ScanNotes};
use kastrel_findings::Severity;
use kastrel_findings::lifecycle::SlaPolicy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Tags and notes of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScanNotes)]
pub struct ScanNotesBody {
    /// The tags: at most 20, each of 1 to 40 letters, digits and `-_./`.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub tags: Vec<String>,
    /// The notes: at most 4,000 characters.
    #[serde(default)]
    #[schema(max_length = 4000)]
    pub notes: String,
}

impl From<ScanNotes> for ScanNotesBody {
    fn from(notes: ScanNotes) -> Self {
        Self { tags: notes.tags, notes: notes.notes }
    }
}

impl From<ScanNotesBody> for ScanNotes {
    fn from(body: ScanNotesBody) -> Self {
        Self { tags: body.tags, notes: body.notes }
    }
}

/// The days within which the findings of a project must be fixed, by severity. A severity without
/// days is never due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SlaPolicy)]
pub struct SlaBody {
    /// The days for the severity critical.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    pub critical: Option<u32>,
    /// The days for the severity high.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    pub high: Option<u32>,
    /// The days for the severity medium.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    pub medium: Option<u32>,
    /// The days for the severity low.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    pub low: Option<u32>,
    /// The days for the severity informational.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    pub informational: Option<u32>,
    /// The days for findings of unknown severity.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    pub unknown: Option<u32>,
}

impl From<&SlaPolicy> for SlaBody {
    fn from(policy: &SlaPolicy) -> Self {
        let days = |severity| policy.days.get(&severity).copied();
        Self {
            critical: days(Severity::Critical),
            high: days(Severity::High),
            medium: days(Severity::Medium),
            low: days(Severity::Low),
            informational: days(Severity::Informational),
            unknown: days(Severity::Unknown),
        }
    }
}

impl From<SlaBody> for SlaPolicy {
    fn from(body: SlaBody) -> Self {
        let SlaBody { critical, high, medium, low, informational, unknown } = body;
        let days = Severity::ALL.into_iter().zip([critical, high, medium, low, informational, unknown]);
        Self { days: days.filter_map(|(severity, days)| Some((severity, days?))).collect::<BTreeMap<_, _>>() }
    }
}

/// A filter of findings that the caller has saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SavedFilter)]
pub struct SavedFilterBody {
    /// The name.
    pub name: String,
    /// The filter as its tokens.
    pub filter: String,
}

impl From<SavedFilter> for SavedFilterBody {
    fn from(filter: SavedFilter) -> Self {
        Self { name: filter.name, filter: filter.filter }
    }
}

/// The saved filters of the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SavedFilterList {
    /// The filters, by name.
    pub filters: Vec<SavedFilterBody>,
}

/// A filter to save.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSavedFilter)]
pub struct NewFilterBody {
    /// The filter as its tokens; an empty text has all open and confirmed findings.
    #[serde(default)]
    #[schema(value_type = String, required = true, max_length = 2000)]
    pub filter: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_fix_are_read_back() {
        let body = SlaBody { critical: Some(7), unknown: Some(365), ..SlaBody::default() };
        let policy = SlaPolicy::from(body);
        assert_eq!(policy.days, BTreeMap::from([(Severity::Critical, 7), (Severity::Unknown, 365)]));
        assert_eq!(SlaBody::from(&policy), body);
    }
}
