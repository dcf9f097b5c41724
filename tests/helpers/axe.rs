//! Installs axe-core, an accessibility checker, from npm once into `target/axe`.

use super::npm::installed;

/// The package and its version.
const PACKAGE: &str = "axe-core@4.14.1";

/// Returns the script.
pub(crate) fn script() -> String {
    std::fs::read_to_string(installed("axe", PACKAGE).join("node_modules/axe-core/axe.min.js")).unwrap()
}
