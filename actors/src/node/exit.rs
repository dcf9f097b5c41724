//! How a node ends.

/// How a node ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeExit {
    /// As it was told.
    Stopped,
    /// Its actors failed more often than its budget bears; the process should exit with a failure
    /// code.
    Failed(String),
}
