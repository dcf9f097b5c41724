//! Gives a setting the type of the scanner's schema; without a schema, guesses it from the text.

use std::collections::BTreeMap;

use kastrel_actors::model::ConfigOverride;
use kastrel_actors::policy::overrides::{SettingRule, SettingsSchema, ValueKind};
use serde_json::{Number, Value};

/// Converts a value to the type of the schema; without a schema, guesses the type from the text.
pub(super) fn typed(schema: Option<&SettingsSchema>, change: &ConfigOverride) -> Value {
    // Sealed values were decrypted before.
    let value = change.value.clear().unwrap_or_default();
    let keys = schema.and_then(|schema| schema.plugins.get(&change.plugin));
    let open = |keys: &BTreeMap<String, SettingRule>| {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{change, schema};
    use super::*;
    use crate::adapters::kast_runner::config_file::{NodeConfig, settings};

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
    }

    #[test]
    fn value_without_a_schema_is_guessed() {
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
}
