//! The error of every call of the store.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The store could not report the result. The change may or may not have been made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store is not reachable, timed out, or failed during the call. A retry may succeed.
    #[error("failed to reach the store")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// This version cannot read the row. A retry does not help.
    #[error("failed to read a row of the store")]
    Corrupt(#[source] Box<dyn Error + Send + Sync>),
    /// A newer version of Kastrel has migrated the store, so this one must not write to it any
    /// more. A retry does not help.
    #[error("the database was migrated by a newer version of Kastrel: stop this process and upgrade it")]
    Outdated,
}

impl StoreError {
    /// Returns the error of a call for one of several callers that share it.
    #[must_use]
    pub fn shared(error: Arc<Self>) -> Self {
        match *error {
            Self::Unavailable(_) => Self::Unavailable(Box::new(Cause(error))),
            Self::Corrupt(_) => Self::Corrupt(Box::new(Cause(error))),
            Self::Outdated => Self::Outdated,
        }
    }
}

/// The cause of an error that several callers share.
#[derive(Debug)]
struct Cause(Arc<StoreError>);

impl Cause {
    fn inner(&self) -> &(dyn Error + Send + Sync + 'static) {
        match &*self.0 {
            StoreError::Unavailable(source) | StoreError::Corrupt(source) => &**source,
            outdated @ StoreError::Outdated => outdated,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner(), f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner().source()
    }
}
