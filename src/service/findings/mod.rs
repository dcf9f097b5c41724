//! The services of findings and targets: what was found, where, since when, and is it fixed.
//!
//! Lists are answered from an index in memory (`index`); single rows are read from the store.

mod bulk;
mod change;
mod check_again;
mod classes;
mod compare;
mod compare_gaps;
mod compare_words;
mod explain;
mod export;
mod fields;
mod filter;
mod index;
pub mod ingest;
mod notes;
mod query;
#[cfg(test)]
pub(crate) mod samples;
mod saved;
mod seen;
mod service;
mod services;
mod targets;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod triage;
mod views;

pub use bulk::{TriageDraft, TriageError};
pub use compare::{CompareError, ScanOf};
pub use compare_gaps::{CompareGaps, EndedCheck};
pub use export::{ExportError, FindingExport, ScanExport};
pub use fields::{MOST_COMMENT_CHARS, MOST_NOTE_CHARS, MOST_TAG_CHARS, MOST_TAGS};
pub use filter::{FilterError, MOST_FILTER_CHARS};
pub use query::{
    FindingFilter, FindingFlag, FindingQuery, FindingSort, MOST_ON_PAGE, MOST_QUERY_VALUES, MOST_QUERY_WORDS,
    OwnerFilter, TargetQuery,
};
pub use saved::{MOST_FILTER_NAME_CHARS, MOST_SAVED_FILTERS};
pub use seen::SeenPage;
pub use service::FindingService;
pub use services::FindingServices;
pub use targets::{TargetEdit, TargetService};
pub use triage::MOST_TRIAGED;
pub use views::{
    ComparedFinding, Facet, FindingDetail, FindingGroup, FindingPage, FindingRow, GroupPage, LastChanges,
    ScanComparison, TargetDetail, TargetPage, TargetRow, TriageResult,
};
