//! Cuts the bytes of a log into lines that are ready to show. A growing log ends within a line, and
//! a line may be longer than what is read at once.

use crate::terminal_text::{line, lines, safe_end};

use super::read::Part;

/// A part of a text file, as lines that are ready to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) lines: Vec<String>,
    /// The byte offset at which the next part begins.
    pub(crate) next: u64,
    /// Whether earlier lines are left out.
    pub(crate) is_cut: bool,
    /// Whether these lines replace all earlier ones: the log is on another machine, which uploads
    /// only its end from time to time.
    pub(crate) is_window: bool,
    /// The last line so far, if it has no end yet: the next part begins with it.
    pub(crate) growing: Option<String>,
}

/// Returns how many of these bytes are complete lines. A line that is longer than the buffer
/// (`is_full`) is cut, so that it does not block the rest: after its last carriage return, or
/// between two characters.
pub(super) fn end_of_lines(bytes: &[u8], is_full: bool) -> usize {
    let last = |wanted: u8| bytes.iter().rposition(|byte| *byte == wanted);
    match last(b'\n') {
        Some(end) => end + 1,
        None if is_full => match last(b'\r').filter(|end| *end > 0).unwrap_or_else(|| safe_end(bytes)) {
            // There is no safe cut, and waiting gives none.
            0 => bytes.len(),
            end => end,
        },
        None => 0,
    }
}

/// Returns the current state of a line without an end.
pub(super) fn state_of(bytes: &[u8]) -> Option<String> {
    let state = line(&String::from_utf8_lossy(&bytes[..safe_end(bytes)]));
    (!state.trim().is_empty()).then_some(state)
}

pub(super) fn last_lines(bytes: &[u8], is_cut: bool, most_lines: usize) -> Tail {
    let text = String::from_utf8_lossy(bytes);
    // The first line of a cut text is probably incomplete. If it was rewritten with a carriage
    // return, its last state is complete.
    let is_whole = |first: &str| first.trim_end().contains('\r');
    let skipped = usize::from(is_cut && !text.split('\n').next().is_some_and(is_whole));
    let count = text.split_terminator('\n').count().saturating_sub(skipped);
    let left_out = count.saturating_sub(most_lines);
    let kept: Vec<&str> = text.split_terminator('\n').skip(skipped + left_out).collect();
    Tail { lines: kept.into_iter().map(line).collect(), is_cut: is_cut || left_out > 0, ..Tail::default() }
}

pub(super) fn whole_lines(part: &Part, complete: bool) -> Tail {
    let bytes = &part.bytes;
    let is_rest = part.first + bytes.len() as u64 >= part.size;
    let end = if complete && is_rest { bytes.len() } else { end_of_lines(bytes, !is_rest) };
    let growing = if is_rest { state_of(&bytes[end..]) } else { None };
    Tail {
        lines: lines(&String::from_utf8_lossy(&bytes[..end])).collect(),
        next: part.first + end as u64,
        growing,
        ..Tail::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_bounded_and_printable() {
        let lines: String = (0..40_000).map(|n| format!("line {n} \u{1b}[31mred\n")).collect();
        let tail = last_lines(lines.as_bytes(), true, 200);
        assert_eq!(
            (tail.lines.len(), tail.lines.last().map(String::as_str), tail.is_cut),
            (200, Some("line 39999 red"), true)
        );
        let cut = |cut| last_lines(b"ne 1\nline 2\n", cut, 200).lines;
        assert_eq!((cut(true), cut(false)), (vec!["line 2".to_owned()], vec!["ne 1".to_owned(), "line 2".to_owned()]));
    }

    #[test]
    fn a_tail_ends_with_a_line() {
        for (bytes, is_full, end) in [
            ("", false, 0),
            ("thr", false, 0),
            ("one\nthr", false, 4),
            ("one\n", false, 4),
            ("threefour", true, 9),
            ("10%\r20%\r30", true, 7),
            ("\r10% of it", true, 10),
            ("long \u{1b}[3", true, 5),
            ("long ü", true, 7),
        ] {
            assert_eq!(end_of_lines(bytes.as_bytes(), is_full), end, "{bytes}");
        }
        assert_eq!(end_of_lines(&"long ü".as_bytes()[..6], true), 5, "no character is cut");
    }
}
