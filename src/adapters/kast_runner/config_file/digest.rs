//! A digest of the configuration of the node: two scans with different settings did not check the
//! same things.
//!
//! No secret is part of it, because who knows the other settings could try weak ones until the
//! digest is right. Of a secret only its presence counts, so another password leaves the digest as
//! it is.

use std::collections::BTreeMap;

use kastrel_actors::model::{ConfigOverride, HIDDEN_VALUE};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::node::NodeConfig;

/// The number of hexadecimal digits.
const DIGITS: usize = 16;

/// Returns the digest of a configuration; `None` if it sets nothing. The order of the settings and
/// empty sections do not matter.
pub(in crate::adapters::kast_runner) fn digest(node: &NodeConfig) -> Option<String> {
    let mut leaves = BTreeMap::new();
    for (section, value) in &node.tree {
        collect(section, "", value, &mut leaves);
    }
    if leaves.is_empty() {
        return None;
    }
    let mut hash = Sha256::new();
    for (path, value) in leaves {
        for part in [path, value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    Some(format!("{:x}", hash.finalize()).chars().take(DIGITS).collect())
}

/// Collects the leaves below a section by their paths, in lists too. The names of all parents
/// decide whether a value is a secret, because `headers.authorization.value` is one.
fn collect(section: &str, key: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    let text = match value {
        Value::Object(map) => {
            return map.iter().for_each(|(name, value)| collect(section, &below(name), value, leaves));
        }
        Value::Array(list) => {
            return list
                .iter()
                .enumerate()
                .for_each(|(at, value)| collect(section, &below(&at.to_string()), value, leaves));
        }
        Value::Null => return,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let one = ConfigOverride { plugin: section.to_owned(), key: key.to_owned(), value: text.as_str().into() };
    let kind = if value.is_string() { "text" } else { "word" };
    let shown = if one.is_secret() { HIDDEN_VALUE.to_owned() } else { format!("{kind} {text}") };
    leaves.insert(format!("{section}.{key}"), shown);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(yaml: &str) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("kast.yaml");
        std::fs::write(&file, yaml).unwrap();
        digest(&NodeConfig::read(Some(&file), None).unwrap())
    }

    #[test]
    fn digest_follows_the_settings_and_not_their_order() {
        let first = of("plugins: {whatweb: {timeout: 7, agent: x}, katana: {depth: 3}}").unwrap();
        assert_eq!(first.len(), DIGITS);
        let same = "# a note\nplugins:\n  katana: {depth: 3}\n  zap:\n  whatweb:\n    agent: x\n    timeout: 7\n";
        assert_eq!(of(same).as_ref(), Some(&first));
        for other in [
            "plugins: {whatweb: {timeout: 7, agent: x}, katana: {depth: 2}}",
            "plugins: {whatweb: {timeout: 7, agent: x}, katana: {depth: '3'}}",
            "plugins: {whatweb: {timeout: 7, agent: x}}",
            "plugins: {whatweb: {timeout: 7, agent: x}, katana: {depth: 3, only: [a]}}",
        ] {
            assert!(of(other).is_some_and(|digest| digest != first), "{other}");
        }
        for nothing in ["{}", "plugins:\n", "plugins: {zap: {}}"] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
        assert_eq!(digest(&NodeConfig::none()), None);
    }

    #[test]
    fn secret_is_in_the_digest_only_by_its_presence() {
        let with = |secret: &str| {
            of(&format!(
                "plugins: {{zap: {{remote: {{api_key: '{secret}', url: 'http://u:{secret}@zap'}}, \
                 logins: [{{user: ana, password: '{secret}'}}], headers: ['Authorization: Bearer {secret}']}}}}"
            ))
        };
        assert_eq!(with("hunter2"), with("hunter3"));
        assert_ne!(with("hunter2"), of("plugins: {zap: {logins: [{user: ana}]}}"));
    }
}
