//! The name and the version of the scanner.

/// The scanner's name in files. KAST writes only its version there.
pub const NAME: &str = "kastrel-builtin";

/// The scanner's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns the name and version in one text, as in `kast_version` of the files.
#[must_use]
pub fn version_text() -> String {
    format!("{NAME} {VERSION}")
}
