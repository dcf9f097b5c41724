//! Integration tests with real processes: the scan runner alone, the complete product as users see
//! it, also in a browser, and clusters of several processes.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../helpers/axe.rs"]
mod axe;
mod browser;
#[path = "../helpers/browser.rs"]
mod browser_driver;
mod client;
mod cluster;
mod deploy;
mod docs;
mod kast_runner;
#[path = "../helpers/npm.rs"]
mod npm;
#[path = "../helpers/oidc_provider.rs"]
mod oidc_provider;
#[path = "../helpers/private_network.rs"]
mod private_network;
mod product;
#[path = "../helpers/pypi.rs"]
mod pypi;
#[path = "../helpers/redis_server.rs"]
#[expect(dead_code, reason = "other test programs use the rest of it")]
mod redis_server;
#[path = "../helpers/s3_server.rs"]
mod s3_server;
#[path = "../helpers/smtp_server.rs"]
mod smtp_server;
#[expect(clippy::print_stdout, reason = "a long run says how far it is")]
mod storage;
#[path = "../helpers/surreal_server.rs"]
#[expect(dead_code, reason = "other test programs use the rest of it")]
mod surreal_server;
mod telemetry;
