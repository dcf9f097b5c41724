//! Reads the configuration of the node: the configured file, or the one that KAST itself would
//! read.

use std::path::{Path, PathBuf};

use kastrel_actors::model::ConfigOverride;
use kastrel_actors::policy::overrides::SettingsSchema;
use serde_json::{Map, Value};

use crate::adapters::kast_runner::text::clean;

/// KAST's own configuration files, in the home folder and on the machine. A file in the working
/// folder is ignored, because the working folder is arbitrary.
const OF_THE_USER: &str = ".config/kast/config.yaml";
const OF_THE_MACHINE: &str = "/etc/kast/config.yaml";
/// The maximum size of a configuration file in bytes.
const MOST_BYTES: u64 = 4 << 20;

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
    pub(super) tree: Map<String, Value>,
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
    pub(in crate::adapters::kast_runner) fn secrets(&self) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::super::testing::schema;
    use super::*;
    use crate::adapters::kast_runner::config_file::settings;

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
}
