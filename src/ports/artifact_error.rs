//! The error of an access to the files of an attempt.

use std::error::Error;

/// A failed access to the files of an attempt.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The file does not exist.
    #[error("file not found")]
    NotFound,
    /// The path is not valid for a file of an attempt.
    #[error("the path does not name a file of an attempt")]
    Refused,
    /// The requested range starts beyond the end of the file, or is empty.
    #[error("the file has only {size} bytes")]
    OutOfRange {
        /// The size of the file.
        size: u64,
    },
    /// The store does not respond. A retry may succeed.
    #[error("failed to reach the store of the scans' files")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The files of this attempt cannot be read or changed. A retry does not help. Other attempts
    /// are not affected.
    #[error("failed to work with the files of this attempt")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}
