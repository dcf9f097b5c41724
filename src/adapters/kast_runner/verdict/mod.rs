//! From what KAST and its plugins wrote to the last word on each plugin. All of it is text that
//! hostile sites and crashing programs have written.
//!
//! - [`processed`] reads a plugin's own file, [`info`] reads `kast_info.json`; both from streams,
//!   in bounded memory, and one odd value costs itself alone.
//! - [`issues`] finds the issues in whatever shape they are written; [`end_word`] knows the words
//!   for an end, and takes no other word for a good one.
//! - [`evidence`] and [`failure_text`] find out whether a plugin checked anything that does not say
//!   it; [`alerts`] counts those of ZAP.
//! - [`merge()`] decides: KAST's word counts for states, the plugin's for issues and reasons, and
//!   neither makes a result good that cannot be read.
//! - [`times`] finds out when a plugin ran: KAST's times have no zone.

mod alerts;
mod end_word;
mod evidence;
mod failure_text;
pub(super) mod info;
mod issues;
mod merge;
pub(super) mod processed;
mod times;

use super::text::clean;

pub(super) use evidence::{Moment, Unsure, cut_off, judge, settle};
pub(super) use info::Info;
pub(super) use merge::{broken_off, merge, not_read, running, so_far};
pub(super) use processed::Own;

/// The most characters of a message.
const MOST_MESSAGE_CHARS: usize = 500;

/// How sure it is how a plugin ended, by its own file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sureness {
    /// The file does not say it; KAST's word counts.
    Guessed,
    /// The file says it.
    Stated,
    /// The file cannot be read, so nothing is known of what the plugin found.
    Unreadable,
}

/// A text as a message: printable, bounded, and not empty.
fn said(text: &str) -> Option<String> {
    Some(clean(text, MOST_MESSAGE_CHARS)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
