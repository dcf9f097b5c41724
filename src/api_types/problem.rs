//! The error responses: `application/problem+json` (RFC 9457).

use kastrel_actors::model::FieldError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A problem as JSON (RFC 9457).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// The stable name of the kind of problem.
    #[serde(rename = "type", default)]
    #[schema(required = true, example = "urn:kastrel:problem:invalid-fields")]
    pub kind: String,
    /// The kind of problem in words.
    #[serde(default)]
    #[schema(required = true)]
    pub title: String,
    /// The HTTP status code of the response.
    #[serde(default)]
    #[schema(required = true)]
    pub status: u16,
    /// What is wrong with this request.
    #[serde(default)]
    #[schema(required = true)]
    pub detail: String,
    /// The path of the request.
    #[serde(default)]
    #[schema(required = true)]
    pub instance: String,
    /// The trace id, which finds the request in the log and in the traces.
    #[serde(default)]
    #[schema(required = true)]
    pub trace_id: String,
    /// The wrong fields, if the problem is about fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl ProblemBody {
    /// Reads the body of an error response. If the body is not a problem, only the status is set.
    #[must_use]
    pub fn read(status: u16, body: &[u8]) -> Self {
        Self { status, ..serde_json::from_slice(body).unwrap_or_default() }
    }
}
