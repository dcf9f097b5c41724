//! The pages. Each page is a struct of values that are ready to show, beside the handler that
//! creates it. A template loops and branches, and computes nothing.

pub(crate) mod accounts;
pub(crate) mod audit;
mod badge;
mod batch;
pub(crate) mod bulk;
mod charts;
pub(crate) mod compare;
mod confirm;
mod coverage;
pub(crate) mod error;
pub(crate) mod file_list;
pub(crate) mod file_view;
pub(crate) mod findings;
mod form;
mod layout;
pub(crate) mod log;
pub(crate) mod new_scan;
pub(crate) mod overview;
pub(crate) mod plugin_detail;
mod project_names;
mod project_switcher;
pub(crate) mod queue;
pub(crate) mod reader;
pub(crate) mod report;
mod rights;
pub(crate) mod scan_detail;
pub(crate) mod scan_list;
mod scan_row;
pub(crate) mod scan_trace;
pub(crate) mod settings;
pub(crate) mod shared_frame;
pub(crate) mod supervision;
pub(crate) mod targets;
pub(crate) mod theme;
pub(crate) mod zone;
