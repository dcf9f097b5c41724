//! Computes the final result of each plugin from the files of KAST and its plugins. All of these
//! texts may come from hostile sites and crashed programs.
//!
//! - [`processed`] reads a plugin's own file, and [`info`] reads `kast_info.json`. Both read
//!   streams in bounded memory, and an odd value affects only itself.
//! - [`issues`] finds the issues in any shape. [`end_word`] parses the words for an end, and
//!   accepts only known words as good.
//! - [`evidence`] and [`failure_text`] detect plugins that checked nothing without reporting it.
//!   [`alerts`] counts ZAP's alerts.
//! - [`merge()`] decides: KAST's word counts for states, and the plugin's file for issues and
//!   reasons. Neither makes an unreadable result good.
//! - [`times`] computes when a plugin ran: KAST's times have no zone.

mod alerts;
mod end_word;
mod evidence;
mod failure_text;
pub(super) mod info;
mod issues;
mod merge;
mod message;
mod own;
pub(super) mod processed;
mod times;

pub(super) use evidence::{Moment, Unsure, cut_off, judge, settle};
pub(super) use info::Info;
pub(super) use merge::{broken_off, merge, not_read, running, so_far};
pub(super) use own::{Own, Sureness};

#[cfg(test)]
mod tests;
