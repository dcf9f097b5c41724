//! The whole story of a scan, as it is exported.

mod requests;
mod trees;
