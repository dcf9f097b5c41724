//! Tests of the real program over HTTP and its command line, with the fake KAST or the built-in
//! scanner.

mod accounts;
pub(crate) mod app;

pub(crate) mod artifacts;
mod audit;
mod backups;
mod behaviours;
mod builtin;
mod cancels;
mod compare;
mod connections;
mod crashes;
mod described;
mod exports;
mod gate;
mod hostile;
mod isolation;
mod login;
mod mail;
mod mcp;
mod oidc;
mod privacy;
mod queue;
mod repairs;
mod restarts;
mod resume;
mod secrets;
mod tls;
mod upgrades;
mod watchdog;
