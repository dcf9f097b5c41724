//! The scanner's catalogue: its plugins with their dependencies, and its registry of issues.

use std::collections::{BTreeMap, BTreeSet};

use kastrel_actors::model::{PluginInfo, ScanRequest, ScannerInfo, ScannerKind, Severity};
use kastrel_actors::policy::overrides::SettingsSchema;
use kastrel_actors::policy::selection;
use serde::{Deserialize, Serialize};

use super::plugin_name;
use crate::ports::IssueFix;

/// An entry of the registry of issues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueKind {
    /// The severity of the issue.
    pub severity: Severity,
    /// The display name.
    pub title: String,
    /// The description.
    #[serde(default)]
    pub description: String,
    /// The remediation.
    #[serde(default)]
    pub remediation: String,
    /// The category of the issue.
    #[serde(default)]
    pub category: String,
    /// How it is best fixed.
    #[serde(default)]
    pub fix: IssueFix,
}

/// The scanner's description of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The kind and version of the scanner.
    pub scanner: ScannerInfo,
    /// The plugins, in the order in which the scanner runs them.
    pub plugins: Vec<PluginInfo>,
    /// The known issues by id.
    pub registry: BTreeMap<String, IssueKind>,
    /// The reason why the registry of issues could not be read, for people. Severities are unknown
    /// then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_problem: Option<String>,
    /// The settings that can be overridden. `None` if the scanner has no schema.
    #[serde(default)]
    pub settings: Option<SettingsSchema>,
}

impl Default for Catalogue {
    /// The catalogue of an unknown scanner.
    fn default() -> Self {
        let scanner = ScannerInfo { kind: ScannerKind::Kast, version: "unknown".into(), configuration: None };
        Self { scanner, plugins: Vec::new(), registry: BTreeMap::new(), registry_problem: None, settings: None }
    }
}

impl Catalogue {
    /// Returns the plugin with this name.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<&PluginInfo> {
        self.plugins.iter().find(|plugin| plugin.name == name)
    }

    /// Returns the plugins that the scanner must run for a request; see [`selection::selection`].
    #[must_use]
    pub fn selection(&self, request: &ScanRequest) -> Vec<String> {
        selection::selection(request, &self.plugins)
    }

    /// Returns the plugins that a request will run, as far as they are known.
    #[must_use]
    pub fn expected(&self, request: &ScanRequest) -> Vec<String> {
        selection::expected(request, &self.plugins)
    }

    /// The keys of all plugins.
    pub(super) fn keys(&self) -> BTreeSet<String> {
        self.plugins.iter().map(|plugin| plugin_name::key(&plugin.name)).collect()
    }

    /// The keys of the plugins whose tool is not installed.
    pub(super) fn unavailable(&self) -> BTreeSet<String> {
        self.plugins.iter().filter(|plugin| !plugin.available).map(|plugin| plugin_name::key(&plugin.name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ScanRequestDraft;

    use super::super::catalogue_text;
    use super::*;

    fn catalogue() -> Catalogue {
        let mut plugins = catalogue_text::plugins_json(include_str!("fixtures/plugins-list.json")).unwrap();
        catalogue_text::add_dependencies(&mut plugins, include_str!("fixtures/plugins-deps.txt"));
        Catalogue { plugins, ..Catalogue::default() }
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn selection_includes_its_dependencies() {
        for (selected, expected) in [
            (&[] as &[&str], &[] as &[&str]),
            (&["whatweb"], &["whatweb"]),
            (&["script_detection"], &["mozilla_observatory", "script_detection"]),
            (
                &["ai_surface_detection", "whatweb"],
                &["mozilla_observatory", "script_detection", "whatweb", "katana", "ai_surface_detection"],
            ),
            (&["novel", "whatweb"], &["whatweb", "novel"]),
        ] {
            assert_eq!(
                selection::with_dependencies(&names(selected), &catalogue().plugins),
                names(expected),
                "{selected:?}"
            );
        }
    }

    #[test]
    fn selection_excludes_plugins_of_another_mode() {
        for (mode, plugins, selection, expected) in [
            ("passive", &["whatweb", "zap"] as &[&str], &["whatweb"] as &[&str], &["whatweb"] as &[&str]),
            ("active", &["whatweb", "zap"], &["zap"], &["zap"]),
            ("both", &["whatweb", "zap"], &["whatweb", "zap"], &["whatweb", "zap"]),
            // Nothing remains: without a selection, the scanner would run all plugins.
            ("passive", &["zap"], &["zap"], &[]),
            ("passive", &["zap", "novel"], &["novel"], &[]),
            ("passive", &[], &[], &["all"]),
        ] {
            let draft = ScanRequestDraft {
                target: "example.com".into(),
                mode: Some(mode.into()),
                plugins: names(plugins),
                ..ScanRequestDraft::default()
            };
            let request = draft.check().unwrap();
            assert_eq!(catalogue().selection(&request), names(selection), "{mode} {plugins:?}");
            let runs = catalogue().expected(&request);
            assert_eq!(if runs.len() == 12 { names(&["all"]) } else { runs }, names(expected), "{mode} {plugins:?}");
        }
    }

    #[test]
    fn circular_dependencies_terminate() {
        let mut circle = catalogue();
        circle.plugins.iter_mut().find(|plugin| plugin.name == "whatweb").unwrap().dependencies =
            names(&["ai_surface_detection"]);
        assert_eq!(selection::with_dependencies(&names(&["whatweb"]), &circle.plugins).len(), 5);
    }

    #[test]
    fn expected_plugins_depend_on_mode_and_selection() {
        let expected = |mode: &str, plugins: &[&str]| {
            let draft = ScanRequestDraft {
                target: "example.com".into(),
                mode: Some(mode.into()),
                plugins: names(plugins),
                ..ScanRequestDraft::default()
            };
            catalogue().expected(&draft.check().unwrap())
        };
        assert_eq!((expected("passive", &[]).len(), expected("both", &[]).len()), (12, 13));
        assert_eq!(expected("active", &[]), names(&["zap"]));
        assert_eq!(expected("passive", &["zap", "whatweb"]), names(&["whatweb"]));
    }
}
