//! How an error response of a server is printed.

use std::fmt;

use crate::api_types::ProblemBody;
use crate::cli::text::brief;

impl fmt::Display for ProblemBody {
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
                "the request was not accepted:\n  target: the target is empty\n  mode: odd",
            ),
        ] {
            assert_eq!(BackendError::from(ProblemBody::read(status, body.as_bytes())).to_string(), shown);
        }
    }
}
