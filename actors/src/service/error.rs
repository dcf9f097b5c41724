//! The error of a command to the queue or to a node.

use crate::model::FieldError;
use crate::ports::StoreError;

/// A command that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A field is invalid. Nothing was changed.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}
