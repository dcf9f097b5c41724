//! The whole span_rules of a scan, as it is exported.

mod requests;
mod trees;
