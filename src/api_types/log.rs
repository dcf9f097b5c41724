//! A part of an attempt's log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A part of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LogPart)]
pub struct LogBody {
    /// The complete lines of this part, each in its final form, without control characters.
    pub lines: Vec<String>,
    /// The last line so far, if it has no end yet, such as a progress display that is rewritten
    /// again and again. The next part begins with this line.
    #[serde(default)]
    pub growing: Option<String>,
    /// The byte offset of the next part: pass it as `from`.
    pub next: u64,
    /// Whether the attempt still writes the log.
    pub running: bool,
    /// Whether these lines replace all earlier ones. That is so if the log is on another machine:
    /// while the log grows, only its end is available here.
    pub window: bool,
}
