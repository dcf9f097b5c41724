//! What a scan asked a plugin to look at.

use std::collections::BTreeMap;

use kastrel_findings::place::Origin;
use kastrel_findings::readers::plugin_key;
use kastrel_findings::scope::{CheckScope, ScopeValue};

use crate::model::{ConfigOverride, HIDDEN_VALUE, ScanRequest};

/// The name of the setting for the path of the target. No plugin has a setting of this name.
const TARGET_PATH: &str = "target path";

/// The name of the setting for the digest of the scanner's configuration file.
const CONFIGURATION: &str = "configuration";

/// The longest value that is kept, in bytes; that of a setting is no longer.
const MOST_VALUE: usize = 1_000;

/// Returns what a scan asked a plugin to look at: the site and the path of its target, the settings
/// of the plugin, and the digest of the `configuration` file of the scanner. The mode only selects
/// plugins, and the number of workers, the format and the priority do not matter to a check, so
/// they are no part of it.
///
/// The value of a secret setting is not kept. Two scans with such a setting have the same scope,
/// whatever its value is. Nobody knows what a change of the configuration file does to a plugin, so
/// two scans with different files have different scopes.
#[must_use]
pub fn check_scope(request: &ScanRequest, plugin: &str, origin: &Origin, configuration: Option<&str>) -> CheckScope {
    let plugin = plugin_key(plugin);
    let own = request.overrides.iter().filter(|one| plugin_key(&one.plugin) == plugin);
    let mut settings: BTreeMap<String, ScopeValue> = own.map(|one| (one.key.clone(), value_of(one))).collect();
    let path = path_of(&request.target.to_string());
    if path != "/" {
        settings.insert(TARGET_PATH.to_owned(), ScopeValue::Text(path));
    }
    if let Some(digest) = configuration {
        settings.insert(CONFIGURATION.to_owned(), ScopeValue::Text(digest.chars().take(MOST_VALUE).collect()));
    }
    CheckScope { plugin, target: Some(origin.clone()), settings }
}

fn value_of(one: &ConfigOverride) -> ScopeValue {
    match one.value.clear().filter(|_| !one.is_secret()) {
        None => ScopeValue::Text(HIDDEN_VALUE.to_owned()),
        Some(text) => read(text.trim()),
    }
}

fn read(text: &str) -> ScopeValue {
    if let Ok(is_on) = text.to_ascii_lowercase().parse() {
        return ScopeValue::Switch(is_on);
    }
    if let Ok(number) = text.parse() {
        return ScopeValue::Number(number);
    }
    if let Ok(serde_json::Value::Array(list)) = serde_json::from_str(text) {
        let word = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        return ScopeValue::List(list.into_iter().map(word).collect());
    }
    if text.contains(',') {
        return ScopeValue::List(text.split(',').map(|one| one.trim().to_owned()).collect());
    }
    ScopeValue::Text(text.to_owned())
}

/// Returns the path of a target with its query, in the form in which the scanner gets it.
fn path_of(target: &str) -> String {
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    let path = rest.find(['/', '?', '#']).map_or("/", |at| &rest[at..]);
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.is_empty() { "/" } else { path };
    path.chars().take(MOST_VALUE).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::ScanRequestDraft;

    fn scope(target: &str, overrides: &[&str], plugin: &str) -> CheckScope {
        let overrides = overrides.iter().map(|text| (*text).to_owned()).collect();
        let draft = ScanRequestDraft { target: target.into(), overrides, ..ScanRequestDraft::default() };
        let request = draft.check().unwrap();
        check_scope(&request, plugin, &Origin::of_target(target).unwrap(), None)
    }

    #[test]
    fn scope_has_the_settings_of_its_plugin_in_their_types() {
        let overrides = [
            "katana.depth=3",
            "katana.js_crawl=True",
            "katana.agent=curl",
            "cors-analyzer.probe_paths=/b,/a",
            "zap.list=[\"b\", 1]",
            "katana.api_key=hunter2",
        ];
        let katana = scope("shop.example", &overrides, "katana");
        let list =
            |texts: &[&str]| ScopeValue::List(texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>());
        let settings: Vec<(&str, &ScopeValue)> =
            katana.settings.iter().map(|(name, value)| (name.as_str(), value)).collect();
        assert_eq!(
            settings,
            [
                ("agent", &ScopeValue::Text("curl".into())),
                ("api_key", &ScopeValue::Text(HIDDEN_VALUE.into())),
                ("depth", &ScopeValue::Number(3)),
                ("js_crawl", &ScopeValue::Switch(true)),
            ]
        );
        assert_eq!(scope("shop.example", &overrides, "cors_analyzer").settings["probe_paths"], list(&["/a", "/b"]));
        assert_eq!(scope("shop.example", &overrides, "zap").settings["list"], list(&["b", "1"]));
        assert!(scope("shop.example", &overrides, "testssl").settings.is_empty());
    }

    #[test]
    fn scan_with_another_configuration_of_the_scanner_proves_nothing_about_the_earlier_one() {
        let request = crate::testing::fixtures::request("shop.example");
        let origin = Origin::of_target("shop.example").unwrap();
        let [none, one, other] =
            [None, Some("1a"), Some("2b")].map(|digest| check_scope(&request, "katana", &origin, digest));
        assert_eq!(one.settings[CONFIGURATION], ScopeValue::Text("1a".into()));
        assert!(none.settings.is_empty() && none.covers(&none) && one.covers(&one));
        for (now, then) in [(&one, &other), (&one, &none), (&none, &one)] {
            assert!(!now.covers(then), "{now:?} {then:?}");
        }
    }

    #[test]
    fn scan_of_a_path_has_another_scope_than_one_of_the_site() {
        let site = scope("https://a.example", &[], "katana");
        for same in ["https://a.example/", "a.example", "https://A.example:443"] {
            assert_eq!(scope(same, &[], "katana"), site, "{same}");
        }
        let path = scope("https://a.example/shop", &[], "katana");
        assert_eq!(path.settings[TARGET_PATH], ScopeValue::Text("/shop".into()));
        assert!(!path.covers(&site) && !site.covers(&path) && path.covers(&path));
    }
}
