//! The scanner that a node runs and its plugins. The name is shown everywhere, so that users never
//! mistake one scanner for the other.

use serde::{Deserialize, Serialize};

use super::{ScanRequest, SettingNatures, SettingsSchema};

named_enum! {
    /// The two kinds of scanner.
    pub enum ScannerKind {
        /// The real KAST.
        Kast = "kast",
        /// The small passive scanner in Kastrel's own binary.
        Builtin = "builtin",
    }
}

/// The scanner and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Scanner))]
pub struct ScannerInfo {
    /// KAST, or the small scanner in Kastrel's own binary.
    pub kind: ScannerKind,
    /// The version text of the scanner, such as `3.0.40`.
    pub version: String,
    /// A digest of the configuration file with which the scanner ran, without its secrets. Absent
    /// if there was no file, and where the scanner does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
}

impl ScannerInfo {
    /// Returns true if both are one scanner in one version, whatever its configuration is.
    #[must_use]
    pub fn is_same_version(&self, other: &Self) -> bool {
        (self.kind, &self.version) == (other.kind, &other.version)
    }

    /// Returns the displayed name: `KAST 3.0.40` or `built-in scanner 0.1.0`.
    #[must_use]
    pub fn label(&self) -> String {
        match self.kind {
            ScannerKind::Kast => format!("KAST {}", self.version),
            ScannerKind::Builtin => format!("built-in scanner {}", self.version),
        }
    }

    /// Returns an unmistakable description of the scanner: `KAST 3.0.40` or
    /// `built-in scanner 0.1.0 — KAST was not found`.
    #[must_use]
    pub fn headline(&self) -> String {
        match self.kind {
            ScannerKind::Kast => self.label(),
            ScannerKind::Builtin => format!("{} — KAST was not found", self.label()),
        }
    }
}

named_enum! {
    /// Whether a plugin sends attacks.
    pub enum PluginKind {
        /// The plugin sends no attacks.
        Passive = "passive",
        /// The plugin sends attacks.
        Active = "active",
    }
}

/// A plugin that the scanner offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Plugin))]
pub struct PluginInfo {
    /// Its name, as in `--run-only`.
    pub name: String,
    /// Its displayed name.
    pub display_name: String,
    /// What it does.
    pub description: String,
    /// Whether it sends attacks.
    pub kind: PluginKind,
    /// Whether its tool is installed on this node.
    pub available: bool,
    /// The plugins that must be selected together with it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub dependencies: Vec<String>,
}

/// A scanner and its plugins, as a node offers them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannerOffer {
    /// The scanner.
    pub scanner: ScannerInfo,
    /// Its plugins.
    pub plugins: Vec<PluginInfo>,
    /// The properties of its settings that do not follow from their names.
    #[serde(default)]
    pub settings: SettingNatures,
    /// A short form of the rules for its settings. `None` if the scanner reports none, or if the
    /// rules are too large for the row of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SettingsSchema>,
}

impl ScannerOffer {
    /// Returns the plugins that a scan requests and this scanner does not have.
    #[must_use]
    pub fn lacks<'a>(&self, request: &'a ScanRequest) -> Vec<&'a str> {
        let known = |name: &&str| self.plugins.iter().any(|plugin| plugin.name == *name);
        // An empty list means that the scanner reported no plugins, not that it has none.
        let asked = request.options.plugins.iter().map(String::as_str).filter(|_| !self.plugins.is_empty());
        asked.filter(|name| !known(name)).collect()
    }
}

/// Merges the offers of all nodes: one scanner, and its plugins. A plugin is available if it is
/// available on any node.
///
/// Nodes may differ. The result names the scanner that most nodes have, and KAST before the
/// built-in scanner in a tie. Only the plugins of the nodes with that scanner count.
#[must_use]
pub fn merge_offers<'a>(offers: impl IntoIterator<Item = &'a ScannerOffer>) -> Option<ScannerOffer> {
    let mut by_scanner: Vec<(&ScannerInfo, Vec<&ScannerOffer>)> = Vec::new();
    for offer in offers {
        match by_scanner.iter_mut().find(|(scanner, _)| **scanner == offer.scanner) {
            Some((_, same)) => same.push(offer),
            None => by_scanner.push((&offer.scanner, vec![offer])),
        }
    }
    let (scanner, same) = by_scanner
        .into_iter()
        .max_by_key(|(scanner, same)| (same.len(), scanner.kind == ScannerKind::Kast, scanner.version.clone()))?;
    // Scanners of one version have the same schema.
    let schema = same.iter().find_map(|offer| offer.schema.clone());
    let mut settings = SettingNatures::default();
    for offer in &same {
        settings.add(&offer.settings);
    }
    let mut plugins: Vec<PluginInfo> = Vec::new();
    for plugin in same.into_iter().flat_map(|offer| &offer.plugins) {
        match plugins.iter_mut().find(|known| known.name == plugin.name) {
            Some(known) => known.available |= plugin.available,
            None => plugins.push(plugin.clone()),
        }
    }
    Some(ScannerOffer { scanner: scanner.clone(), plugins, settings, schema })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(kind: ScannerKind, version: &str, plugins: &[(&str, bool)]) -> ScannerOffer {
        let plugin = |(name, available): &(&str, bool)| PluginInfo {
            name: (*name).into(),
            display_name: (*name).into(),
            description: String::new(),
            kind: PluginKind::Passive,
            available: *available,
            dependencies: Vec::new(),
        };
        ScannerOffer {
            scanner: ScannerInfo { kind, version: version.into(), configuration: None },
            plugins: plugins.iter().map(plugin).collect(),
            settings: SettingNatures::default(),
            schema: None,
        }
    }

    #[test]
    fn offer_lacks_only_requested_plugins() {
        let small = offer(ScannerKind::Builtin, "0.1.0", &[("tls", true), ("cors", false)]);
        let mut request = crate::testing::fixtures::request("example.com");
        assert_eq!(small.lacks(&request), [""; 0], "all of the mode");
        request.options.plugins = ["tls", "zap", "cors", "whatweb"].map(Into::into).into();
        assert_eq!(small.lacks(&request), ["zap", "whatweb"]);
        assert_eq!(offer(ScannerKind::Kast, "3", &[]).lacks(&request), [""; 0]);
    }

    #[test]
    fn merged_offer_has_the_most_common_scanner_and_the_plugins_of_its_nodes() {
        let kast = |plugins| offer(ScannerKind::Kast, "3.0.40", plugins);
        let builtin = offer(ScannerKind::Builtin, "0.1.0", &[("tls", true)]);
        assert_eq!(merge_offers([]), None);
        assert_eq!(merge_offers([&builtin]), Some(builtin.clone()));
        let (one, other) = (kast(&[("a", true), ("b", false)]), kast(&[("b", true), ("c", false)]));
        assert_eq!(merge_offers([&builtin, &one, &other]), Some(kast(&[("a", true), ("b", true), ("c", false)])));
        assert_eq!(merge_offers([&builtin, &one]), Some(one.clone()), "KAST among equals");
        let telling = ScannerOffer { schema: Some(SettingsSchema::default()), ..one.clone() };
        assert_eq!(merge_offers([&one, &telling]).unwrap().schema, Some(SettingsSchema::default()));
    }
}
