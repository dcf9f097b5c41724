//! The ingestion of scans: stores what a scan says about its target.
//!
//! An ingestion writes in this order: the chunks of what the scan saw, the findings, and as the
//! last step the result together with the target. So a stored result means that all of it is
//! stored, and an ingestion that ends early is repeated without a difference. Findings and target
//! are written by compare-and-set. If a person or another scan was faster, the ingestion reads and
//! plans again. Two scans of a target that are ingested at once both write the target, so the
//! second one plans again with the first one's result.

mod ingestion;
mod rebuild;
#[cfg(test)]
mod tests;

pub use ingestion::{IngestError, Ingested, Ingestion};
pub use rebuild::{ReadScan, RebuildCounts, StoredScans};
