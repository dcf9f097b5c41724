//! The reason why a document cannot be read.

/// The reason why a document cannot be read. Each completes "cannot be read: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Fault {
    /// The document is empty.
    #[error("it is empty")]
    Empty,
    /// The document is truncated.
    #[error("it is truncated")]
    Truncated,
    /// The document is not a JSON object.
    #[error("it holds no JSON object")]
    NoObject,
    /// The document has another encoding.
    #[error("it is UTF-16 text, and UTF-8 was expected")]
    Utf16,
    /// The document is valid JSON up to this byte.
    #[error("it is no JSON at byte {0}")]
    Malformed(u64),
    /// The document is a JSON object, but not a plugin's result.
    #[error("it contains no result")]
    NoResult,
    /// The system returned an error.
    #[error("reading failed ({0})")]
    Io(std::io::ErrorKind),
}
