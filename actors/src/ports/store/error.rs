//! The error of every call of the store.

/// The store could not report the result. The change may or may not have been made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store is not reachable, timed out, or failed during the call. A retry may succeed.
    #[error("failed to reach the store")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// This version cannot read the row. A retry does not help.
    #[error("failed to read a row of the store")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A newer version of Kastrel has migrated the store, so this one must not write to it any
    /// more. A retry does not help.
    #[error("the database was migrated by a newer version of Kastrel: stop this process and upgrade it")]
    Outdated,
}
