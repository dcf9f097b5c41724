//! Tests of all exported spans of a scan.

mod requests;
mod trees;
