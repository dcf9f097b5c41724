//! Tests of the deployment files: each file is parsed, compared with the program, and run if that
//! needs no container engine.

mod ci;
mod compose;
mod compose_file;
mod dockerfile;
mod dockerignore;
mod image;
mod observability;
mod packages;
mod stack;
mod systemd;

use std::path::{Path, PathBuf};

/// Returns the path of a file in the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Asserts that the command line accepts these words after `kastrel`.
fn assert_is_command(words: &[String]) {
    use clap::Parser as _;
    let parsed = kastrel::cli::Cli::try_parse_from(std::iter::once("kastrel").chain(words.iter().map(String::as_str)));
    assert!(parsed.is_ok(), "kastrel {}: {}", words.join(" "), parsed.unwrap_err());
}
