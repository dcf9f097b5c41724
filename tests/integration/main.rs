//! Everything that needs real processes: the runner of scans by itself, the whole product as its users meet it, and clusters of it.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod client;
mod cluster;
mod docs;
mod kast_runner;
mod product;
#[expect(dead_code, reason = "shared with the tests of the adapter, which need more of it")]
#[path = "../helpers/redis_server.rs"]
mod redis_server;
#[path = "../helpers/s3_server.rs"]
mod s3_server;
#[expect(dead_code, reason = "shared with the tests of the adapter, which need more of it")]
#[path = "../helpers/surreal_server.rs"]
mod surreal_server;
