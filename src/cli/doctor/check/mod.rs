//! Turns the facts into checks with a level and a fix.
//!
//! `machine` has the checks of this machine, `storage` those of folders, database and backups,
//! `scanner` those of the scanner, and `connections` those of Redis, clocks and telemetry.
//! `verdict` puts them in order, and `text` writes them for people.

mod connections;
mod machine;
mod scanner;
mod storage;
#[cfg(test)]
mod testing;
mod text;
mod verdict;

pub(super) use text::lines;
pub(super) use verdict::judge;
