//! What is handed to operators to deploy with: read by a parser, held against the program, and run
//! where that needs no container engine.

mod compose;
mod compose_file;
mod dockerfile;
mod dockerignore;
mod image;
mod observability;
mod stack;
mod systemd;

use std::path::{Path, PathBuf};

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether the command line's grammar takes these words after `kastrel`.
fn assert_is_command(words: &[String]) {
    use clap::Parser as _;
    let parsed =
        kastrel::cli::args::Cli::try_parse_from(std::iter::once("kastrel").chain(words.iter().map(String::as_str)));
    assert!(parsed.is_ok(), "kastrel {}: {}", words.join(" "), parsed.unwrap_err());
}
