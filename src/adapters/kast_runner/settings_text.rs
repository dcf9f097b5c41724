//! Parses the scanner's settings schema, the JSON schema of `kast config schema`, into the rules
//! for overrides.

use std::collections::BTreeMap;

use kastrel_actors::policy::overrides::{SettingRule, SettingsSchema, ValueKind};
use serde_json::Value;

use super::json::{self, tree};
use super::plugin_name::is_selectable;
use super::text::clean;

/// The maximum nesting of settings. No scanner exceeds it.
const MAX_DEPTH: usize = 4;
const MOST_KEYS: usize = 500;
const MOST_TEXT: usize = 300;

/// Returns the rules, or `None` if the text has no schema.
pub(super) fn settings(text: &str) -> Option<SettingsSchema> {
    let schema = json::find(text, |reader| {
        tree(reader).map(|schema| schema.get("plugins").is_some_and(Value::is_object).then_some(schema))
    })
    .ok()?;
    let plugins = schema.get("plugins")?.as_object()?;
    let mut rules: BTreeMap<String, BTreeMap<String, SettingRule>> = BTreeMap::new();
    for (plugin, schema) in plugins.iter().filter(|(plugin, _)| is_selectable(plugin)) {
        let mut keys = BTreeMap::new();
        collect(schema, "", 0, &mut keys);
        rules.insert(plugin.clone(), keys);
    }
    // In the built-in scanner's schema, the key of a global setting starts with its group, and the
    // scanner accepts it as `group.key`. KAST accepts no global settings on its command line.
    for (key, schema) in properties(schema.get("global").unwrap_or(&Value::Null)) {
        if let Some((group, key)) = key.split_once('.') {
            rules.entry(group.to_owned()).or_default().insert(key.to_owned(), rule(schema));
        }
    }
    Some(SettingsSchema { plugins: rules })
}

fn collect(schema: &Value, prefix: &str, depth: usize, keys: &mut BTreeMap<String, SettingRule>) {
    for (name, schema) in properties(schema) {
        if keys.len() >= MOST_KEYS {
            return;
        }
        let key = format!("{prefix}{name}");
        let is_object = schema.get("type").and_then(Value::as_str) == Some("object");
        if is_object && schema.get("properties").is_some() && depth < MAX_DEPTH {
            collect(schema, &format!("{key}."), depth + 1, keys);
        } else if is_object {
            // The schema does not describe the members, so any are allowed.
            keys.insert(format!("{key}."), SettingRule { kinds: Vec::new(), ..rule(schema) });
        } else {
            keys.insert(key, rule(schema));
        }
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// The kinds of an allowed value. An unknown kind allows any value.
fn kinds(schema: &Value) -> Vec<ValueKind> {
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let kind = |name: &str| match name {
        "boolean" => Some(ValueKind::Boolean),
        "integer" => Some(ValueKind::Integer),
        "number" => Some(ValueKind::Number),
        "string" => Some(ValueKind::Text),
        "array" => Some(ValueKind::List),
        "null" => Some(ValueKind::Nothing),
        _ => None,
    };
    names.into_iter().map(kind).collect::<Option<Vec<_>>>().unwrap_or_default()
}

fn rule(schema: &Value) -> SettingRule {
    let number = |name: &str| schema.get(name).and_then(Value::as_f64);
    let words = schema
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|word| clean(word, MOST_TEXT))
        .collect();
    SettingRule {
        kinds: kinds(schema),
        items: schema.get("items").map(kinds).unwrap_or_default(),
        minimum: number("minimum"),
        maximum: number("maximum"),
        words,
        description: clean(schema.get("description").and_then(Value::as_str).unwrap_or_default(), MOST_TEXT),
        format: clean(schema.get("format").and_then(Value::as_str).unwrap_or_default(), MOST_TEXT),
        secret: ["writeOnly", "x-secret", "secret", "sensitive"]
            .iter()
            .any(|mark| schema.get(mark).and_then(Value::as_bool) == Some(true)),
        default: schema
            .get("default")
            .map(|value| clean(&value.as_str().map_or_else(|| value.to_string(), str::to_owned), MOST_TEXT))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ConfigOverride;

    use super::*;

    fn problems(schema: &SettingsSchema, assignments: &[(&str, &str, &str)]) -> Vec<String> {
        let overrides: Vec<ConfigOverride> = assignments
            .iter()
            .map(|(plugin, key, value)| ConfigOverride {
                plugin: (*plugin).into(),
                key: (*key).into(),
                value: (*value).into(),
            })
            .collect();
        schema.check(&overrides).into_iter().map(|error| error.message).collect()
    }

    #[test]
    fn schema_of_kast_has_its_nested_settings() {
        let schema = settings(include_str!("fixtures/config-schema.json")).unwrap();
        assert_eq!(schema.plugins.len(), 13);
        let good = [
            ("org_discovery", "max_domains", "null"),
            ("org_discovery", "confidence_threshold", "0.5"),
            ("zap", "local.api_port", "8081"),
            ("script_detection", "custom_headers.X-Test", "a"),
        ];
        assert_eq!(problems(&schema, &good), [""; 0]);
        let bad = [
            ("org_discovery", "confidence_threshold", "2"),
            ("global", "timeout", "60"),
            ("zap", "local.api_prot", "8081"),
        ];
        assert_eq!(problems(&schema, &bad).len(), 3);
    }

    #[test]
    fn schema_of_the_builtin_scanner_matches_its_settings() {
        let plugins =
            [("tls_certificate".to_owned(), kastrel_scanner::settings::group_schema("tls_certificate", "TLS", ""))];
        let schema = settings(&kastrel_scanner::settings::schema(plugins.into_iter().collect()).to_string()).unwrap();
        for (plugin, key, value) in [
            ("http", "timeout_seconds", "3"),
            ("http", "timeout_seconds", "0"),
            ("http", "speed", "3"),
            ("tls_certificate", "expiry_warning_days", "x"),
            ("nothing", "x", "1"),
        ] {
            let takes =
                kastrel_scanner::settings::Settings::default().apply(&format!("{plugin}.{key}={value}")).is_ok();
            assert_eq!(problems(&schema, &[(plugin, key, value)]).is_empty(), takes, "{plugin}.{key}={value}");
        }
    }

    #[test]
    fn text_without_a_schema_gives_none() {
        for text in ["", "usage: kast", "{}", "{\"plugins\": []}", "}{"] {
            assert_eq!(settings(text), None, "{text}");
        }
    }
}
