//! The messages of plugins.

use super::super::text::clean;

/// The maximum length of a message in characters.
pub(super) const MOST_MESSAGE_CHARS: usize = 500;

/// Converts a text to a message: printable, bounded and not empty.
pub(super) fn said(text: &str) -> Option<String> {
    Some(clean(text, MOST_MESSAGE_CHARS)).filter(|text| !text.is_empty())
}
