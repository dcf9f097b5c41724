//! What is wrong with a document.

use crate::limits::MOST_FILE_BYTES;

/// The reason why a document cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The document is longer than [`MOST_FILE_BYTES`].
    #[error("it is longer than {} MiB", MOST_FILE_BYTES >> 20)]
    TooLong,
    /// The document is empty.
    #[error("it is empty")]
    Empty,
    /// The document ends within a value.
    #[error("it is truncated")]
    Truncated,
    /// The document has another encoding.
    #[error("it is UTF-16 text, and UTF-8 was expected")]
    Utf16,
    /// The document is JSON up to this byte.
    #[error("it is no JSON at byte {0}")]
    Malformed(usize),
}

/// What the limits removed from a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Texts that were cut to their limit.
    pub texts: usize,
    /// Values that were skipped: beyond the limit of a list, of all values, or of nesting.
    pub values: usize,
}
