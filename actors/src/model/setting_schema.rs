//! The settings that a scanner reports: which exist, and which values each of them accepts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// `true`, `false`, `yes`, `no`, `1` or `0`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// Any text.
    Text,
    /// Values separated by commas.
    List,
    /// `null`, `none` or nothing.
    Nothing,
}

/// The rules for one setting.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SettingRule {
    /// The accepted kinds; empty means any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<ValueKind>,
    /// For a list, the accepted kinds of its elements; empty means any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ValueKind>,
    /// The minimum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// The maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// The accepted words; empty means any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// The purpose of the setting.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The default value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default: String,
    /// The format of a text, as in the scanner's schema: `uri`, `path`, `password`; empty if the
    /// schema has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub format: String,
    /// Whether the schema marks the value as a secret.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// The numbers come from JSON, which has no NaN, so equality is reflexive.
impl Eq for SettingRule {}

/// The settings of a scanner: for each plugin its keys, dotted if they are nested. A key that ends
/// in `.` matches everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsSchema {
    /// By plugin, then by key.
    pub plugins: BTreeMap<String, BTreeMap<String, SettingRule>>,
}

/// The maximum size in the row of a node, in bytes of JSON. The row is written with every renewal
/// of the lease.
const MOST_BYTES: usize = 48 << 10;
/// The maximum length of a description, in characters.
const MOST_DESCRIPTION: usize = 120;

impl SettingsSchema {
    /// Returns a short form for the row of a node: with truncated descriptions, or without
    /// descriptions and defaults if that is still too large. `None` if it is too large in any form.
    #[must_use]
    pub fn in_short(&self) -> Option<Self> {
        let with = |change: fn(&mut SettingRule)| {
            let mut short = self.clone();
            short.plugins.values_mut().flat_map(BTreeMap::values_mut).for_each(change);
            short
        };
        let cut = with(|rule| rule.description = rule.description.chars().take(MOST_DESCRIPTION).collect());
        let bare = || {
            with(|rule| {
                rule.description.clear();
                rule.default.clear();
            })
        };
        let fits = |schema: &Self| serde_json::to_string(schema).is_ok_and(|json| json.len() <= MOST_BYTES);
        if fits(&cut) { Some(cut) } else { Some(bare()).filter(fits) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(settings: usize, description: &str) -> SettingsSchema {
        let rule = SettingRule {
            kinds: vec![ValueKind::Integer],
            minimum: Some(1.0),
            description: description.into(),
            ..SettingRule::default()
        };
        let keys = (0..settings).map(|number| (format!("setting_{number}"), rule.clone())).collect();
        SettingsSchema { plugins: [("p".to_owned(), keys)].into() }
    }

    #[test]
    fn short_schema_fits_the_row_of_a_node_or_is_left_out() {
        for (settings, description, shown) in [
            (2, "short", Some(5)),
            (2, &*"x".repeat(5000), Some(MOST_DESCRIPTION)),
            (500, &*"x".repeat(120), Some(0)),
            (5000, "", None),
        ] {
            let short = schema(settings, description).in_short();
            assert_eq!(
                short.as_ref().map(|short| short.plugins["p"]["setting_0"].description.len()),
                shown,
                "{settings}"
            );
            let Some(short) = short else { continue };
            assert_eq!(short.plugins["p"].len(), settings, "no setting is left out");
            let json = serde_json::to_string(&short).unwrap();
            assert!(json.len() <= MOST_BYTES, "{}", json.len());
            assert_eq!(serde_json::from_str::<SettingsSchema>(&json).unwrap(), short);
        }
    }
}
