//! The pages of findings: the list over all targets, one finding, and what people decide.
//!
//! - `list` is the list, `address` its state in the URL, `facets` its filters as links, `rows` its
//!   rows and `saved` the saved filters.
//! - `triage` applies a decision to many findings; `triage_form` reads it.
//! - `detail` is one finding, with its `history`, its `curl` command, how it is best fixed (`fix`),
//!   and `actions` on it.
//! - `marks` has what the pages of targets show in the same way; `form` reads forms.

pub(crate) mod actions;
mod address;
mod curl;
pub(crate) mod detail;
mod facets;
pub(crate) mod form;
mod history;
pub(crate) mod list;
pub(crate) mod marks;
mod rows;
pub(crate) mod saved;
pub(crate) mod triage;
mod triage_form;

#[cfg(test)]
mod detail_tests;
#[cfg(test)]
mod list_tests;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod triage_tests;
