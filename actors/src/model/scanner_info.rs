//! Which scanner a node runs, shown everywhere so that nobody takes one for the other.

use serde::{Deserialize, Serialize};

named_enum! {
    /// The two scanners there are.
    pub enum ScannerKind {
        /// The real KAST.
        Kast = "kast",
        /// The small passive scanner in Kastrel's own binary.
        Builtin = "builtin",
    }
}

/// A scanner and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannerInfo {
    /// Which one.
    pub kind: ScannerKind,
    /// Its own version text, such as `3.0.40`.
    pub version: String,
}

impl ScannerInfo {
    /// The name to show: `KAST 3.0.40` or `built-in scanner 0.1.0`.
    #[must_use]
    pub fn label(&self) -> String {
        match self.kind {
            ScannerKind::Kast => format!("KAST {}", self.version),
            ScannerKind::Builtin => format!("built-in scanner {}", self.version),
        }
    }
}

named_enum! {
    /// Whether a plugin only looks, or also attacks.
    pub enum PluginKind {
        /// Only looks.
        Passive = "passive",
        /// Sends attacks.
        Active = "active",
    }
}

/// A plugin that the scanner offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// Its name, as in `--run-only`.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// What it does.
    pub description: String,
    /// Passive or active.
    pub kind: PluginKind,
    /// Whether its tool is installed on this node.
    pub available: bool,
    /// The plugins that must be selected with it.
    #[serde(default)]
    pub dependencies: Vec<String>,
}
