//! Why a tool did nothing.

use kastrel_actors::model::FieldError;
use serde_json::{Value, json};

/// Why a tool did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolFault {
    /// Arguments are invalid.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// The caller lacks a right, or a credential.
    #[error("{0}")]
    Denied(String),
    /// The object does not exist, or the caller may not see it.
    #[error("{0}")]
    Missing(String),
    /// The state of the object does not allow it, or a limit is reached.
    #[error("{0}")]
    Refused(String),
    /// The server or its database does not respond, or failed.
    #[error("{0}")]
    Failed(String),
}

impl ToolFault {
    /// Returns the fault of one argument.
    #[must_use]
    pub fn of(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// Returns the fault that there is no such object.
    #[must_use]
    pub fn missing(what: impl std::fmt::Display) -> Self {
        Self::Missing(format!("there is no {what}"))
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_arguments",
            Self::Denied(_) => "not_allowed",
            Self::Missing(_) => "not_found",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }

    /// Returns the document of a failed call: its kind, a message, and the invalid fields.
    pub(super) fn document(&self) -> Value {
        let fields = match self {
            Self::Invalid(fields) => fields.as_slice(),
            Self::Denied(_) | Self::Missing(_) | Self::Refused(_) | Self::Failed(_) => &[],
        };
        let fields: Vec<Value> =
            fields.iter().map(|error| json!({ "field": error.field, "message": error.message })).collect();
        json!({ "error": self.kind(), "message": self.to_string(), "fields": fields })
    }
}
