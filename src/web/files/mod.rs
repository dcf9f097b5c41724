//! The files of an attempt, from any artifact store.
//!
//! The scanned site chose the content of these files, and the store validates their paths: an
//! invalid path gets the same response as a missing file.
//!
//! - `inventory` says which files and reports an attempt has, and `read` reads a part of one into
//!   memory; both are for pages.
//! - `log` reads the scanner's log as lines, and `tail` cuts bytes into them.
//! - `serve` sends a file to a browser, in a sandbox.

mod inventory;
mod log;
mod read;
mod serve;
mod tail;

#[cfg(test)]
pub(crate) use inventory::PARTIAL;
pub(crate) use inventory::{COMMAND, has, list, notice_of, reports_at_end, reports_of};
pub(crate) use log::{log_end, log_since, log_tail};
pub(crate) use read::head;
pub(crate) use serve::{FileRequest, respond, safe_name, serve};
pub(crate) use tail::Tail;

#[cfg(test)]
pub(crate) use crate::ports::LOG_NAME;
pub(crate) use crate::ports::{HTML_REPORT_NAME as REPORT, PDF_REPORT_NAME as PDF_REPORT};
