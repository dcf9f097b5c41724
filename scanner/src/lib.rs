//! Kastrel's built-in scanner: a small passive web scanner for machines that have no KAST.
//!
//! It speaks KAST's command line, writes KAST's files in KAST's order, and has plugins of its own
//! names. It never leaves the host and port that it was given, and a check that could not be made
//! is a failure with a reason, never "nothing found".
//!
//! Where things are:
//! - [`cli`]: the command line, from arguments to exit code.
//! - [`target`]: what is scanned and which addresses belong to it; [`scope`]: which addresses it
//!   may connect to; [`settings`]: what `--set` changes.
//! - [`run`]: the order of plugins and files; [`scan`]: what the plugins of one scan share.
//! - [`http`]: the bounded client; [`markup`]: the bounded reader of pages; [`files`]: the bounded
//!   reader of files; `trust`, `certificate` and `tls_probe`: the TLS side.
//! - [`csp`]: Content Security Policies; [`css`]: the imports of style sheets.
//! - [`plugin`]: the contract of a check; [`plugins`]: the checks; [`issues`]: everything that a
//!   check can find.
//! - [`output`], [`info`], [`report`] and `html`: the files.

pub mod certificate;
pub mod cli;
mod clock;
pub mod csp;
pub mod css;
pub mod files;
mod html;
pub mod http;
pub mod info;
pub mod issues;
pub mod journal;
pub mod markup;
pub mod output;
pub mod plugin;
pub mod plugins;
pub mod report;
pub mod run;
pub mod scan;
pub mod scope;
pub mod settings;
pub mod target;
pub mod tls_probe;
mod trust;

pub use cli::main;

/// What the scanner calls itself in files, where KAST has only its version.
pub const NAME: &str = "kastrel-builtin";

/// The scanner's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name and version in one text, as `kast_version` of the files holds it.
#[must_use]
pub fn version_text() -> String {
    format!("{NAME} {VERSION}")
}
