//! Everything that needs real processes: the runner of scans by itself, and the whole product as its users meet it.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod docs;
mod kast_runner;
mod product;
#[path = "../helpers/s3_server.rs"]
mod s3_server;
