//! Writes the configuration file of an attempt, which the scanner gets with `--config`. It has all
//! settings, each with the type of the scanner's schema.
//!
//! KAST's `--set` guesses types: `1` becomes `True`, and a list with one element stays a text that
//! is later split into letters. KAST also ignores a missing or broken configuration file, and
//! without `--config` it searches its own files in the working folder and below `HOME`. So every
//! attempt gets its own file with the node's settings, then the scan's overrides, and the attempt's
//! own ZAP container.
//!
//! The file is JSON, which is a subset of YAML, written so that PyYAML (YAML 1.1) reads the same
//! values: see [`text`](write()). It may contain keys of remote services. So it is hidden, readable
//! only by its owner, excluded from lists, archives and buckets, and deleted with the scan's files.
//! It stays until then, so that the attempt's `command.sh` can be run again. But the secrets of the
//! scan are removed from it when the attempt ends.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use kastrel_actors::model::{ConfigOverride, ScannerKind};
use kastrel_actors::policy::overrides::{SettingRule, SettingsSchema, ValueKind};
use kastrel_actors::policy::scope::ScopePolicy;
use rustix::fs::{Mode, OFlags};
use serde_json::{Map, Number, Value, json};

use super::container::ZapContainer;
use super::folder;
use super::text::clean;
use crate::ports::{AttemptPaths, CONFIG_NAME};

/// KAST's own configuration files, in the home folder and on the machine. A file in the working
/// folder is ignored, because the working folder is arbitrary.
const OF_THE_USER: &str = ".config/kast/config.yaml";
const OF_THE_MACHINE: &str = "/etc/kast/config.yaml";
/// The maximum size of a configuration file in bytes.
const MOST_BYTES: u64 = 4 << 20;
const VERSION: &str = "1.1";

/// An unusable configuration file of the node. KAST would ignore it silently.
#[derive(Debug, thiserror::Error)]
pub enum KastConfigError {
    /// The file does not exist or cannot be read.
    #[error("the KAST configuration {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file exceeds the size limit.
    #[error("the KAST configuration {} is larger than {} MiB", .0.display(), MOST_BYTES >> 20)]
    TooLarge(PathBuf),
    /// The file is not valid YAML.
    #[error("the KAST configuration {} is not valid YAML: {why}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The error and its position.
        why: String,
    },
    /// The file is YAML, but of another structure.
    #[error("the KAST configuration {} must be a mapping; \"plugins\" and each plugin in it too", .0.display())]
    Shape(PathBuf),
}

/// A configuration of the node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeConfig {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    tree: Map<String, Value>,
}

impl NodeConfig {
    /// Reads the configured file. Without one, reads the file of the user or of the machine, like
    /// KAST does. Blocks.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn read(configured: Option<&Path>, home: Option<&Path>) -> Result<Self, KastConfigError> {
        let of_its_own = || {
            [home.map(|home| home.join(OF_THE_USER)), Some(OF_THE_MACHINE.into())]
                .into_iter()
                .flatten()
                .find(|path| path.exists())
        };
        match configured.map(Path::to_owned).or_else(of_its_own) {
            Some(path) => parse(&path).map(|tree| Self { path: Some(path), tree }),
            None => Ok(Self { path: None, tree: Map::new() }),
        }
    }

    /// An empty configuration.
    #[must_use]
    pub fn none() -> Self {
        Self { path: None, tree: Map::new() }
    }

    /// The settings in the file that the scanner does not support and ignores, each as a sentence.
    #[must_use]
    pub fn ignored(&self, schema: &SettingsSchema) -> Vec<String> {
        let mut found = Vec::new();
        for (plugin, settings) in self.tree.get("plugins").and_then(Value::as_object).into_iter().flatten() {
            let mut overrides = Vec::new();
            flatten(plugin, "", settings, &mut overrides);
            found.extend(schema.check(&overrides).into_iter().map(|error| clean(&error.message, 300)));
        }
        found
    }

    /// The secrets in the file, recognized by the names and the values of the settings.
    #[must_use]
    pub(super) fn secrets(&self) -> Vec<String> {
        let mut leaves = Vec::new();
        for (section, settings) in &self.tree {
            flatten(section, "", settings, &mut leaves);
        }
        // A number with such a name is a limit, such as `max_tokens`; as a text it would occur
        // everywhere.
        let texts =
            leaves.into_iter().filter(ConfigOverride::is_secret).filter_map(|one| one.value.clear().map(str::to_owned));
        texts
            .filter(|text| text.parse::<f64>().is_err() && !matches!(text.as_str(), "true" | "false" | "null" | ""))
            .collect()
    }
}

fn parse(path: &Path) -> Result<Map<String, Value>, KastConfigError> {
    let read = |source| KastConfigError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(read)?.len() > MOST_BYTES {
        return Err(KastConfigError::TooLarge(path.to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    // Like PyYAML: the last of two equal keys counts, and a leading zero means base 8.
    let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins, legacy_octal_numbers: true, with_snippet: false };
    let tree: Value = serde_saphyr::from_str_with_options(&text, options)
        .map_err(|error| KastConfigError::Invalid { path: path.to_owned(), why: clean(&error.to_string(), 300) })?;
    let Value::Object(tree) = tree else { return Err(KastConfigError::Shape(path.to_owned())) };
    let is_mapping = |value: &Value| value.is_null() || value.is_object();
    let plugins = tree.get("plugins");
    if !plugins.is_none_or(is_mapping)
        || !plugins.and_then(Value::as_object).is_none_or(|plugins| plugins.values().all(is_mapping))
    {
        return Err(KastConfigError::Shape(path.to_owned()));
    }
    Ok(tree)
}

/// Flattens the leaves below a plugin into assignments.
fn flatten(plugin: &str, prefix: &str, value: &Value, overrides: &mut Vec<ConfigOverride>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(plugin, &key, value, overrides);
            }
        }
        _ if prefix.is_empty() => {}
        value => {
            let shown = match value {
                Value::String(text) => text.clone(),
                Value::Array(list) => list
                    .iter()
                    .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
                    .collect::<Vec<_>>()
                    .join(","),
                other => other.to_string(),
            };
            overrides.push(ConfigOverride { plugin: plugin.to_owned(), key: prefix.to_owned(), value: shown.into() });
        }
    }
}

/// The limits that the built-in scanner must obey whatever its settings are. KAST has no such
/// section.
pub(super) fn limits(kind: ScannerKind, scope: &ScopePolicy, file_folders: &[PathBuf]) -> Option<Value> {
    (kind == ScannerKind::Builtin).then(|| json!({ "scope": scope, "file_folders": file_folders }))
}

/// Builds all settings of an attempt.
pub(super) fn settings(
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
            insert(plugins, "zap", super::container::NAME_SETTING, zap.name.clone().into());
            insert(plugins, "zap", super::container::PORT_SETTING, zap.port.into());
            insert(plugins, "zap", super::container::KEY_SETTING, zap.key.clone().into());
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

/// Converts a value to the type of the schema; without a schema, guesses the type from the text.
fn typed(schema: Option<&SettingsSchema>, change: &ConfigOverride) -> Value {
    // Sealed values were decrypted before.
    let value = change.value.clear().unwrap_or_default();
    let keys = schema.and_then(|schema| schema.plugins.get(&change.plugin));
    let open = |keys: &std::collections::BTreeMap<String, SettingRule>| {
        keys.keys().any(|key| key.ends_with('.') && change.key.starts_with(key.as_str()))
    };
    match keys.and_then(|keys| keys.get(&change.key)) {
        Some(rule) if !rule.kinds.is_empty() => of_kinds(&rule.kinds, &rule.items, value),
        // Below an open key, such as the headers of a request, every value is text.
        None if keys.is_some_and(open) => value.into(),
        Some(_) | None => guessed(value),
    }
}

fn of_kinds(kinds: &[ValueKind], items: &[ValueKind], value: &str) -> Value {
    let text = value.trim();
    let lower = text.to_ascii_lowercase();
    let takes_numbers = kinds.iter().any(|kind| matches!(kind, ValueKind::Integer | ValueKind::Number));
    let fitting = |kind: ValueKind| match kind {
        ValueKind::Nothing => matches!(lower.as_str(), "null" | "none" | "").then_some(Value::Null),
        ValueKind::Boolean => match lower.as_str() {
            "true" | "yes" => Some(true.into()),
            "false" | "no" => Some(false.into()),
            "1" | "0" if !takes_numbers => Some((lower == "1").into()),
            _ => None,
        },
        ValueKind::Integer => text.parse::<i64>().ok().map(Value::from),
        ValueKind::Number => text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        ValueKind::List => Some(list(items, text)),
        ValueKind::Text => Some(value.into()),
    };
    let order = [
        ValueKind::Nothing,
        ValueKind::Boolean,
        ValueKind::Integer,
        ValueKind::Number,
        ValueKind::List,
        ValueKind::Text,
    ];
    order.into_iter().filter(|kind| kinds.contains(kind)).find_map(fitting).unwrap_or_else(|| value.into())
}

/// Parses a list: JSON, or values separated by commas.
fn list(items: &[ValueKind], text: &str) -> Value {
    if let Some(Value::Array(list)) = text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten() {
        return Value::Array(list);
    }
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| if items.is_empty() { part.into() } else { of_kinds(items, &[], part) }).collect()
}

/// Guesses the type like YAML, but a comma makes a list, as on KAST's command line.
fn guessed(value: &str) -> Value {
    let text = value.trim();
    match text.to_ascii_lowercase().as_str() {
        "true" => return true.into(),
        "false" => return false.into(),
        "null" | "none" | "" => return Value::Null,
        _ => {}
    }
    let number = text
        .parse::<i64>()
        .ok()
        .map(Value::from)
        .or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number));
    number.unwrap_or_else(|| if text.contains(',') { list(&[], text) } else { value.into() })
}

/// Writes the file into an attempt's folder.
pub(super) fn write(dir: &OwnedFd, settings: &Value) -> std::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, CONFIG_NAME, flags, Mode::RUSR | Mode::WUSR)?;
    let mut text = String::new();
    put(settings, 0, &mut text);
    text.push('\n');
    std::fs::File::from(file).write_all(text.as_bytes())
}

/// Removes the file of an attempt whose node died before it could remove the secrets. Blocks.
pub(super) fn remove(results: &Path, paths: &AttemptPaths) {
    let removed = folder::open(results, paths)
        .and_then(|dir| Ok(rustix::fs::unlinkat(dir, CONFIG_NAME, rustix::fs::AtFlags::empty())?));
    if let Err(error) = removed
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "could not remove the configuration file of an earlier attempt"
        );
    }
}

/// A configuration file with secrets of its scan. A drop rewrites it without the secrets, after the
/// scanner has ended or if it never started.
#[derive(Debug)]
pub(super) struct Forgetting {
    /// The attempt's folder.
    pub(super) dir: OwnedFd,
    /// The settings without the secrets.
    pub(super) rest: Value,
}

impl Forgetting {
    /// Rewrites the file. Blocks.
    pub(super) fn forget(self) {
        drop(self);
    }
}

impl Drop for Forgetting {
    fn drop(&mut self) {
        let gone = match rustix::fs::unlinkat(&self.dir, CONFIG_NAME, rustix::fs::AtFlags::empty()) {
            Err(error) if error != rustix::io::Errno::NOENT => Err(error.into()),
            Ok(()) | Err(_) => write(&self.dir, &self.rest),
        };
        if let Err(error) = gone {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not take the secrets out of an attempt's configuration file"
            );
        }
    }
}

/// Writes JSON that PyYAML reads correctly: a float has a point and no exponent, otherwise PyYAML
/// would read a text; and characters that YAML rejects are escaped.
fn put(value: &Value, depth: usize, text: &mut String) {
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Number(number) if number.is_f64() => {
            let shown = number.as_f64().unwrap_or_default().to_string();
            text.push_str(&shown);
            if !shown.contains('.') {
                text.push_str(".0");
            }
        }
        Value::String(string) => put_text(string, text),
        Value::Array(list) if !list.is_empty() => {
            text.push('[');
            for (at, one) in list.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                put(one, depth, text);
            }
            text.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            text.push('{');
            for (at, (key, one)) in map.iter().enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                line(text, depth + 1);
                put_text(key, text);
                text.push_str(": ");
                put(one, depth + 1, text);
            }
            line(text, depth);
            text.push('}');
        }
        other => text.push_str(&other.to_string()),
    }
}

fn put_text(string: &str, text: &mut String) {
    for c in Value::from(string).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::settings_text;
    use super::*;

    fn change(text: &str) -> ConfigOverride {
        let (path, value) = text.split_once('=').unwrap();
        let (plugin, key) = path.split_once('.').unwrap();
        ConfigOverride { plugin: plugin.into(), key: key.into(), value: value.into() }
    }

    fn schema() -> SettingsSchema {
        settings_text::settings(include_str!("fixtures/config-schema.json")).unwrap()
    }

    #[test]
    fn setting_values_have_the_types_of_the_schema() {
        for (assignment, expected) in [
            // `--set` would convert these to `True`, `True` and the letters `p`, `n`, `g`.
            ("whatweb.aggression_level=1", json!({"whatweb": {"aggression_level": 1}})),
            ("katana.depth=1", json!({"katana": {"depth": 1}})),
            ("katana.extension_filter=png", json!({"katana": {"extension_filter": ["png"]}})),
            ("katana.extension_filter=png, css", json!({"katana": {"extension_filter": ["png", "css"]}})),
            ("katana.extension_filter=[\"a,b\"]", json!({"katana": {"extension_filter": ["a,b"]}})),
            ("katana.extension_filter=", json!({"katana": {"extension_filter": []}})),
            ("related_sites.httpx_ports=80", json!({"related_sites": {"httpx_ports": [80]}})),
            ("related_sites.httpx_ports=80,443", json!({"related_sites": {"httpx_ports": [80, 443]}})),
            ("org_discovery.max_domains=none", json!({"org_discovery": {"max_domains": null}})),
            ("org_discovery.max_domains=7", json!({"org_discovery": {"max_domains": 7}})),
            ("org_discovery.confidence_threshold=1", json!({"org_discovery": {"confidence_threshold": 1.0}})),
            ("org_discovery.whois_enabled=0", json!({"org_discovery": {"whois_enabled": false}})),
            ("whatweb.user_agent=yes", json!({"whatweb": {"user_agent": "yes"}})),
            ("whatweb.user_agent=1", json!({"whatweb": {"user_agent": "1"}})),
            ("whatweb.user_agent=a, b; rm -rf /", json!({"whatweb": {"user_agent": "a, b; rm -rf /"}})),
            (
                "script_detection.custom_headers.X-Test=1",
                json!({"script_detection": {"custom_headers": {"X-Test": "1"}}}),
            ),
            ("zap.local.api_port=8081", json!({"zap": {"local": {"api_port": 8081}}})),
        ] {
            let settings = settings(NodeConfig::none(), None, &[change(assignment)], None, Some(&schema()));
            assert_eq!(
                settings,
                json!({"kast": {"config_version": "1.1"}, "global": {}, "plugins": expected}),
                "{assignment}"
            );
        }
        for (value, expected) in [
            ("1", json!(1)),
            ("yes", json!("yes")),
            ("true", json!(true)),
            ("0.5", json!(0.5)),
            ("a,b", json!(["a", "b"])),
            ("none", json!(null)),
            ("x", json!("x")),
        ] {
            assert_eq!(guessed(value), expected, "{value}");
        }
    }

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
    fn file_that_kast_would_ignore_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("kast.yaml");
        let read = || NodeConfig::read(Some(&file), None);
        assert!(matches!(read(), Err(KastConfigError::Read { .. })));
        for (yaml, is_valid) in [
            ("plugins: {}\n", true),
            ("plugins:\n", true),
            ("{\"plugins\": {\"zap\": {}}}", true),
            ("plugins: [a]\n", false),
            ("plugins: {whatweb: 7}\n", false),
            ("- a\n", false),
            ("just text", false),
            ("", false),
            ("plugins: {whatweb: [\n", false),
            ("a: b: c", false),
        ] {
            std::fs::write(&file, yaml).unwrap();
            let error = read().err().map(|error| error.to_string());
            assert_eq!(error.is_none(), is_valid, "{yaml:?}: {error:?}");
            assert!(error.is_none_or(|error| error.contains("kast.yaml") && error.lines().count() == 1), "{yaml:?}");
        }
        std::fs::write(&file, b"plugins: \xff").unwrap();
        assert!(read().is_err());
        let folder = NodeConfig::read(Some(root.path()), None);
        assert!(matches!(folder, Err(KastConfigError::Read { .. })));
    }

    #[test]
    fn user_file_is_read_without_a_configured_file() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(OF_THE_USER);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "plugins: {whatweb: {timeout: 7, speed: 1}}").unwrap();
        let node = NodeConfig::read(None, Some(home.path())).unwrap();
        assert_eq!(node.path.as_deref(), Some(file.as_path()));
        let ignored = node.ignored(&schema());
        assert!(ignored.len() == 1 && ignored[0].contains("`whatweb.speed`"), "{ignored:?}");
        assert_eq!(settings(node, None, &[], None, None)["plugins"]["whatweb"]["timeout"], 7);
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

    #[test]
    fn secrets_of_the_node_file_are_found() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("kast.yaml");
        let yaml = "plugins:\n  zap: {remote: {api_key: hunter2, api_url: 'http://u:hunter3@zap'}, local: {auto_start: true}}\n  whatweb: {timeout: 7, user_agent: x}\n  ai: {max_tokens: 1000}\nglobal: {smtp: {password: hunter4}}\n";
        std::fs::write(&file, yaml).unwrap();
        let mut secrets = NodeConfig::read(Some(&file), None).unwrap().secrets();
        secrets.sort_unstable();
        assert_eq!(secrets, ["http://u:hunter3@zap", "hunter2", "hunter4"]);
        assert!(NodeConfig::none().secrets().is_empty());
    }

    #[test]
    fn config_file_is_private_and_round_trips() {
        let root = tempfile::tempdir().unwrap();
        let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
        let settings = json!({"plugins": {"a b": {"f": 1.0, "small": 0.0000001, "large": 1e300, "n": 1, "t": "1", "y": "yes", "l": [1, "x", []], "e": {}, "u": "ü\u{7f}\u{85}😀\n\"\\"}}});
        write(&dir, &settings).unwrap();
        let file = root.path().join(CONFIG_NAME);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), settings);
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), settings);
        assert!(
            text.contains("\"f\": 1.0")
                && text.contains("0.0000001")
                && text.contains("\\u0085")
                && !text.contains('\u{7f}'),
            "{text}"
        );
        assert!(write(&dir, &settings).is_err(), "it is written once");
        let rest = json!({"plugins": {"n": 1}});
        // Without an explicit call too: a failed start drops it.
        drop(Forgetting { dir, rest: rest.clone() });
        assert_eq!(serde_json::from_str::<Value>(&std::fs::read_to_string(&file).unwrap()).unwrap(), rest);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
