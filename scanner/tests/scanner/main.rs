//! Tests of the scanner against real servers on the loopback interface. They share one binary, so
//! that it is linked once.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command_line;
mod dns;
mod hostile_pages;
mod limits;
mod observatory;
mod overrides;
mod plain_site;
mod rebinding;
mod server;
mod tls_site;
mod tls_table;
