//! The error responses of a server: `application/problem+json` (RFC 9457).

use std::fmt;

use kastrel_actors::model::FieldError;
use serde::Deserialize;

use crate::cli::text::brief;

/// The details of an error response.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ProblemDetails {
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem, in words.
    pub title: String,
    /// What is wrong with this request.
    pub detail: String,
    /// The trace id, which finds the request in the server's log.
    pub trace_id: String,
    /// The invalid fields.
    pub errors: Vec<FieldError>,
}

impl ProblemDetails {
    /// Reads the body of an error response. If the body is not a problem, only the status is set.
    #[must_use]
    pub fn read(status: u16, body: &[u8]) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_default();
        problem.status = status;
        problem
    }
}

impl fmt::Display for ProblemDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (title, detail) = (brief(&self.title, 200), brief(&self.detail, 500));
        match (title.is_empty(), detail.is_empty()) {
            (false, false) => write!(f, "{title}: {detail}")?,
            (true, true) => f.write_str("no reason was given")?,
            _ => write!(f, "{title}{detail}")?,
        }
        write!(f, " (HTTP {}", self.status)?;
        if !self.trace_id.is_empty() {
            write!(f, ", trace {}", brief(&self.trace_id, 64))?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::backend::BackendError;

    #[test]
    fn problems_are_printed_clearly_and_without_control_characters() {
        for (status, body, shown) in [
            (
                503,
                r#"{"type":"urn:x","title":"Database not responding","status":503,"detail":"try again","trace_id":"4bf9"}"#,
                "the server refused: Database not responding: try again (HTTP 503, trace 4bf9)",
            ),
            (404, "<html>", "the server refused: no reason was given (HTTP 404)"),
            (400, r#"{"detail":"a\u001b[31mb"}"#, "the server refused: ab (HTTP 400)"),
            (
                422,
                r#"{"title":"x","errors":[{"field":"target","message":"the target is empty"},{"field":"mode","message":"odd"}]}"#,
                "the scan was not accepted:\n  target: the target is empty\n  mode: odd",
            ),
        ] {
            assert_eq!(BackendError::from(ProblemDetails::read(status, body.as_bytes())).to_string(), shown);
        }
    }
}
