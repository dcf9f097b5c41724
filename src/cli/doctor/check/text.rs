//! Writes the checks as lines for people, and paths for a shell.

use std::path::Path;

use crate::cli::doctor::model::{Check, Level};
use crate::cli::text::brief;
use crate::sentence::sentence;
use crate::shell::quoted_unless_plain;

/// Formats the checks as lines for people.
pub(in crate::cli::doctor) fn lines(checks: &[Check]) -> Vec<String> {
    let mut lines = Vec::new();
    for check in checks {
        let word = match check.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Failure => "failure",
        };
        lines.push(format!("{word:<8} {:<12} {}", check.name, sentence(&brief(&check.message, 1000))));
        lines.extend(check.fix.iter().map(|fix| format!("{:<21} fix: {}", "", brief(fix, 1000))));
    }
    lines
}

/// Quotes a path for a shell.
pub(super) fn quoted(path: &Path) -> String {
    quoted_unless_plain(&path.to_string_lossy(), "/._-+")
}
