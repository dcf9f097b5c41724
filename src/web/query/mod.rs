//! The queries of the scan list and of the audit log, for the API, the pages and the export. The
//! URL contains the complete state of a list.
//!
//! - `list` is the query, and converts it for the store.
//! - `address` parses it from a URL and writes it as one; `parameter` parses single parameters and
//!   `day` those with a date.
//! - `paging` finds the pages beside a page, and `order` the orders that fit the filters.
//! - `audit` is the query of the audit log.

mod address;
mod audit;
mod day;
mod list;
mod order;
mod paging;
mod parameter;

pub(crate) use address::place_text;
pub(crate) use audit::AuditLogQuery;
pub(crate) use list::ScanListQuery;
