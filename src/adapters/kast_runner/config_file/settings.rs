//! Merges all settings of an attempt: those of the node, the limits, the ZAP container of the
//! attempt and the overrides of the scan.

use std::path::PathBuf;

use kastrel_actors::model::{ConfigOverride, ScannerKind};
use kastrel_actors::policy::overrides::SettingsSchema;
use kastrel_actors::policy::scope::ScopePolicy;
use serde_json::{Map, Value, json};

use super::node::NodeConfig;
use super::value::typed;
use crate::adapters::kast_runner::container::{self, ZapContainer};

const VERSION: &str = "1.1";

/// The limits that the built-in scanner must obey whatever its settings are. KAST has no such
/// section.
pub(in crate::adapters::kast_runner) fn limits(
    kind: ScannerKind,
    scope: &ScopePolicy,
    file_folders: &[PathBuf],
) -> Option<Value> {
    (kind == ScannerKind::Builtin).then(|| json!({ "scope": scope, "file_folders": file_folders }))
}

/// Builds all settings of an attempt.
pub(in crate::adapters::kast_runner) fn settings(
    node: NodeConfig,
    limits: Option<Value>,
    overrides: &[ConfigOverride],
    zap: Option<&ZapContainer>,
    schema: Option<&SettingsSchema>,
) -> Value {
    let mut tree = node.tree;
    if let Some(limits) = limits {
        tree.insert("kastrel".to_owned(), limits);
    }
    let section = |tree: &mut Map<String, Value>, name: &str| {
        if !tree.get(name).is_some_and(Value::is_object) {
            tree.insert(name.to_owned(), Value::Object(Map::new()));
        }
    };
    section(&mut tree, "kast");
    section(&mut tree, "global");
    section(&mut tree, "plugins");
    if let Some(Value::Object(kast)) = tree.get_mut("kast") {
        kast.entry("config_version").or_insert_with(|| VERSION.into());
    }
    if let Some(Value::Object(plugins)) = tree.get_mut("plugins") {
        // KAST fails if the section of a plugin is empty.
        plugins.retain(|_, settings| !settings.is_null());
        if let Some(zap) = zap {
            insert(plugins, "zap", container::NAME_SETTING, zap.name.clone().into());
            insert(plugins, "zap", container::PORT_SETTING, zap.port.into());
            insert(plugins, "zap", container::KEY_SETTING, zap.key.clone().into());
        }
        for change in overrides {
            insert(plugins, &change.plugin, &change.key, typed(schema, change));
        }
    }
    Value::Object(tree)
}

/// Sets a dotted key of a plugin, and replaces values on its path.
fn insert(plugins: &mut Map<String, Value>, plugin: &str, key: &str, value: Value) {
    let mut at = plugins.entry(plugin).or_insert_with(|| Value::Object(Map::new()));
    for part in key.split('.') {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(map) = at else { return };
        at = map.entry(part).or_insert(Value::Null);
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::super::testing::{change, schema};
    use super::super::write;
    use super::*;
    use crate::ports::CONFIG_NAME;

    #[test]
    fn node_file_is_the_base_and_the_attempts_container_overrides_it() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("kast.yaml");
        let yaml = "# Ours\nkast:\n  config_version: '1.0'\nglobal: {results_dir: /r}\nplugins:\n  whatweb: &w\n    aggression_level: 3\n    timeout: 60\n  zap:\n    local: {container_name: shared, memory_limit: 2g}\n  testssl:\n  ftap: *w\n";
        std::fs::write(&file, yaml).unwrap();
        let zap = ZapContainer { name: "kastrel-zap-1".into(), port: 40_000, key: "k".into() };
        let node = NodeConfig::read(Some(&file), None).unwrap();
        let settings = settings(
            node,
            None,
            &[change("whatweb.timeout=5"), change("testssl.timeout=9")],
            Some(&zap),
            Some(&schema()),
        );
        let plugins = json!({
            "whatweb": {"aggression_level": 3, "timeout": 5},
            "zap": {"local": {"container_name": "kastrel-zap-1", "api_port": 40_000, "api_key": "k", "memory_limit": "2g"}},
            "testssl": {"timeout": 9},
            "ftap": {"aggression_level": 3, "timeout": 60},
        });
        assert_eq!(
            settings,
            json!({"kast": {"config_version": "1.0"}, "global": {"results_dir": "/r"}, "plugins": plugins})
        );
        let other =
            super::settings(NodeConfig::none(), None, &[change("zap.local.container_name=mine")], Some(&zap), None);
        assert_eq!(other["plugins"]["zap"]["local"]["container_name"], "mine", "who names one knows why");
    }

    #[test]
    fn builtin_scanner_gets_the_scope_and_overrides_cannot_change_it() {
        let scope = ScopePolicy {
            deny: vec!["10.0.0.0/8".parse().unwrap(), "example.com".parse().unwrap()],
            ..ScopePolicy::default()
        };
        let folders = ["/etc/ssl/certs".into()];
        let limits = || limits(ScannerKind::Builtin, &scope, &folders);
        let expected = json!({"scope": {"allow": [], "deny": ["10.0.0.0/8", "example.com"], "allow_private": false}, "file_folders": ["/etc/ssl/certs"]});
        assert_eq!(settings(NodeConfig::none(), limits(), &[], None, None)["kastrel"], expected);
        let hostile = [change("kastrel.scope.allow_private=true"), change("..kastrel.scope=x")];
        assert_eq!(settings(NodeConfig::none(), limits(), &hostile, None, None)["kastrel"], expected);
        assert_eq!(super::limits(ScannerKind::Kast, &scope, &folders), None);

        // The scanner reads the same settings from the written file.
        let root = tempfile::tempdir().unwrap();
        let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
        write(&dir, &settings(NodeConfig::none(), limits(), &[change("http.concurrency=2")], None, None)).unwrap();
        let read =
            kastrel_scanner::settings::Settings::default().read(&root.path().join(CONFIG_NAME)).unwrap().unwrap();
        assert_eq!((read.scope, read.file_folders.as_slice()), (scope.clone(), &folders[..]));
    }
}
