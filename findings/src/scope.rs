//! The scope of a check: what a plugin was asked to look at.
//!
//! A check with a narrower scope proves nothing about what a wider one saw. Nobody can know the
//! effect of every setting of every plugin, so two scopes are the same only if their settings are
//! equal, or differ in a setting that is known not to matter. A few settings are known to widen a
//! check. Every other difference counts as narrower.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::place::Origin;

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ScopeValue {
    /// A switch.
    Switch(bool),
    /// A number.
    Number(i64),
    /// A list, of which order and repetitions do not matter.
    List(BTreeSet<String>),
    /// A text, or anything else as text.
    Text(String),
}

/// What a plugin was asked to look at in one scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckScope {
    /// The plugin, in normal form.
    pub plugin: String,
    /// The site of the target.
    pub target: Option<Origin>,
    /// The settings of the plugin that differ from its defaults.
    pub settings: BTreeMap<String, ScopeValue>,
}

/// What a change of a setting does to a check.
enum Effect {
    /// It checks the same things.
    Same,
    /// A larger number, a switch that is on, or a longer list checks more.
    More,
}

/// The settings whose effect is known: plugin or `*`, and name.
const KNOWN: &[(&str, &str, Effect)] = &[
    ("*", "concurrency", Effect::Same),
    ("*", "parallelism", Effect::Same),
    ("*", "rate_limit", Effect::Same),
    ("*", "retry", Effect::Same),
    ("*", "retry_attempts", Effect::Same),
    ("*", "verbosity", Effect::Same),
    ("cors_analyzer", "probe_paths", Effect::More),
    ("exposed_files", "extra_paths", Effect::More),
    ("katana", "depth", Effect::More),
    ("katana", "js_crawl", Effect::More),
    ("testssl", "test_ciphers", Effect::More),
    ("testssl", "test_protocols", Effect::More),
    ("testssl", "test_server_defaults", Effect::More),
    ("testssl", "test_vulnerabilities", Effect::More),
];

impl CheckScope {
    /// Returns true if this check looked at everything that the `earlier` one looked at.
    #[must_use]
    pub fn covers(&self, earlier: &Self) -> bool {
        let names: BTreeSet<&String> = self.settings.keys().chain(earlier.settings.keys()).collect();
        self.plugin == earlier.plugin
            && self.target == earlier.target
            && self.target.is_some()
            && names.iter().all(|name| self.covers_setting(earlier, name))
    }

    fn covers_setting(&self, earlier: &Self, name: &str) -> bool {
        let known =
            KNOWN.iter().find(|(plugin, setting, _)| (*plugin == "*" || *plugin == self.plugin) && *setting == name);
        match (known, self.settings.get(name), earlier.settings.get(name)) {
            (Some((_, _, Effect::Same)), ..) => true,
            (_, now, then) if now == then => true,
            (Some((_, _, Effect::More)), Some(now), Some(then)) => match (now, then) {
                (ScopeValue::Number(now), ScopeValue::Number(then)) => now >= then,
                (ScopeValue::Switch(now), ScopeValue::Switch(then)) => *now || !then,
                (ScopeValue::List(now), ScopeValue::List(then)) => now.is_superset(then),
                _ => false,
            },
            // The default is not known here.
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(plugin: &str, settings: &[(&str, ScopeValue)]) -> CheckScope {
        CheckScope {
            plugin: plugin.to_owned(),
            target: Origin::of_target("shop.example").ok(),
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        }
    }

    #[test]
    fn only_equal_and_wider_scopes_cover() {
        use ScopeValue::{List, Number, Switch};
        let list = |texts: &[&str]| List(texts.iter().map(|text| (*text).to_owned()).collect());
        let cases = [
            ("katana", "depth", Number(3), Number(3), true),
            ("katana", "depth", Number(5), Number(3), true),
            ("katana", "depth", Number(2), Number(3), false),
            ("katana", "js_crawl", Switch(true), Switch(false), true),
            ("katana", "js_crawl", Switch(false), Switch(true), false),
            ("katana", "depth", Switch(true), Number(3), false),
            ("cors_analyzer", "probe_paths", list(&["/", "/a"]), list(&["/"]), true),
            ("cors_analyzer", "probe_paths", list(&["/a"]), list(&["/"]), false),
            ("zap", "depth", Number(5), Number(3), false),
            ("zap", "rate_limit", Number(1), Number(9), true),
        ];
        for (plugin, name, now, then, expected) in cases {
            let (now, then) = (scope(plugin, &[(name, now)]), scope(plugin, &[(name, then)]));
            assert_eq!(now.covers(&then), expected, "{now:?} {then:?}");
        }
    }

    #[test]
    fn a_missing_setting_another_plugin_and_another_target_do_not_cover() {
        let (plain, deep) = (scope("katana", &[]), scope("katana", &[("depth", ScopeValue::Number(5))]));
        assert!(plain.covers(&plain) && !plain.covers(&deep) && !deep.covers(&plain));
        assert!(!scope("zap", &[]).covers(&plain));
        let other = CheckScope { target: Origin::of_target("shop.example:8443").ok(), ..plain.clone() };
        assert!(!other.covers(&plain));
        let without = CheckScope { target: None, ..plain };
        assert!(!without.covers(&without.clone()));
    }
}
