//! Kastrel's built-in scanner: a small passive web scanner for machines without KAST.
//!
//! It accepts KAST's command line, writes KAST's files in KAST's order, and has plugins with names
//! of its own. It never leaves the given host and port. A check that cannot be completed is a
//! failure with a reason, never "nothing found".
//!
//! Modules:
//! - [`cli`]: the command line, from arguments to exit code.
//! - [`target`]: the target and its addresses; [`scope`]: the addresses that the scan may connect
//!   to; [`settings`]: the keys of `--set`.
//! - [`run`]: the order of plugins and files; [`scan`]: the state that the plugins of one scan
//!   share.
//! - [`http`]: the bounded client; [`markup`]: the bounded page reader; [`files`]: the bounded file
//!   reader; `trust`, `certificate` and `tls_probe`: TLS.
//! - [`csp`]: Content Security Policies; [`css`]: the imports of style sheets.
//! - [`plugin`]: the contract of a check; [`plugins`]: the checks; [`issues`]: every finding that a
//!   check can report; `text`: the shortening of texts.
//! - [`output`], [`info`], [`report`] and `html`: the output files.

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
mod text;
pub mod tls_probe;
mod trust;
mod version;

pub use cli::main;
pub use version::{NAME, VERSION, version_text};
