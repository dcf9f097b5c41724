//! The pages: for each a struct of values that are ready to show, beside the handler that makes it. A template loops and branches, and computes nothing.

mod badge;
pub(crate) mod error;
pub(crate) mod file_list;
mod form;
mod layout;
pub(crate) mod report;
pub(crate) mod scan_detail;
pub(crate) mod scan_list;
