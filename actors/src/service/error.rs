//! The error of an operation that a principal may be denied.

use crate::model::FieldError;
use crate::policy::access::Denial;
use crate::ports::StoreError;

/// An operation that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A field is invalid. Nothing was changed.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The principal lacks a right. Nothing was changed.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}
