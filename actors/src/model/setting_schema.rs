//! What a scanner says of its settings: which there are, and what each of them takes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a value may be.
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

/// What one setting takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SettingRule {
    /// Any of these; empty means anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<ValueKind>,
    /// Of a list: what its elements may be; empty means anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ValueKind>,
    /// The least number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// The greatest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// Only these words; empty means any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it is when nobody sets it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default: String,
    /// The form of a text, as the scanner's schema names it: `uri`, `path`, `password`; empty where
    /// it names none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub format: String,
    /// Whether the schema marks the value as a secret.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// Its numbers come from JSON, which has no value that differs from itself.
impl Eq for SettingRule {}

/// The settings of a scanner: for each plugin its keys, dotted where they are nested. A key that
/// ends in `.` takes anything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsSchema {
    /// By plugin, then by key.
    pub plugins: BTreeMap<String, BTreeMap<String, SettingRule>>,
}

/// The row of a node holds no larger one, in bytes of JSON: it is written with every renewal of the
/// lease.
const MOST_BYTES: usize = 48 << 10;
/// So much of a description goes along.
const MOST_DESCRIPTION: usize = 120;

impl SettingsSchema {
    /// The same in short, for the row of a node: cut descriptions, and where that is still too
    /// much, none. `None`: it is too large in any form.
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
    fn in_short_it_fits_the_row_of_a_node_or_stays_out_of_it() {
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
