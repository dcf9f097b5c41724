//! Why a filter cannot be read.

use kastrel_findings::text::clean;

/// A filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{token}`: {message}")]
pub struct FilterError {
    /// The wrong token, as it was written; at most 80 characters.
    pub token: String,
    /// What is wrong with it.
    pub message: String,
}

impl FilterError {
    pub(super) fn new(token: &str, message: impl Into<String>) -> Self {
        Self { token: clean(token, 80), message: clean(&message.into(), 400) }
    }
}
