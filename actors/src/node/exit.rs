//! The ways in which a node ends.

/// The result of a node's run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeExit {
    /// The node stopped as requested.
    Stopped,
    /// The node's actors failed more often than its budget allows. The process should exit with a
    /// failure code.
    Failed(String),
}
