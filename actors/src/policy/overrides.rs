//! Whether a scanner takes a setting: `plugin.key=value` against what the scanner says it can be set. Pure; the scanner has the last word when it starts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::override_policy::nature_of;
use crate::model::{ConfigOverride, FieldError, HIDDEN_VALUE};

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
pub struct SettingRule {
    /// Any of these; empty means anything.
    pub kinds: Vec<ValueKind>,
    /// Of a list: what its elements may be; empty means anything.
    #[serde(default)]
    pub items: Vec<ValueKind>,
    /// The least number.
    pub minimum: Option<f64>,
    /// The greatest number.
    pub maximum: Option<f64>,
    /// Only these words; empty means any.
    pub words: Vec<String>,
    /// What it is for.
    pub description: String,
    /// What it is when nobody sets it.
    pub default: String,
    /// The form of a text, as the scanner's schema names it: `uri`, `path`, `password`; empty where it names none.
    #[serde(default)]
    pub format: String,
    /// Whether the schema marks the value as a secret.
    #[serde(default)]
    pub secret: bool,
}

/// The settings of a scanner: for each plugin its keys, dotted where they are nested. A key that ends in `.` takes anything below it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SettingsSchema {
    /// By plugin, then by key.
    pub plugins: BTreeMap<String, BTreeMap<String, SettingRule>>,
}

impl SettingsSchema {
    /// Everything that is wrong with `overrides`, each error naming its setting.
    #[must_use]
    pub fn check(&self, overrides: &[ConfigOverride]) -> Vec<FieldError> {
        let wrong = |one: &ConfigOverride| self.refusal(one).map(|why| FieldError::new("overrides", format!("`{}.{}`: {why}", one.plugin, one.key)));
        overrides.iter().filter_map(wrong).collect()
    }

    fn refusal(&self, one: &ConfigOverride) -> Option<String> {
        let Some(keys) = self.plugins.get(&one.plugin) else { return Some(format!("the scanner has no plugin `{}` with settings", one.plugin)) };
        let open = || keys.iter().find(|(key, _)| key.ends_with('.') && one.key.starts_with(key.as_str()));
        match keys.get_key_value(&one.key).or_else(open) {
            // What is sealed was checked before.
            Some((_, rule)) => one.value.clear().and_then(|value| refused_by(rule, value, is_secret(one, rule))),
            None => Some(match keys.keys().min_by_key(|key| distance(key, &one.key)).filter(|key| distance(key, &one.key) <= 3) {
                Some(near) => format!("`{}` has no such setting; did you mean `{near}`?", one.plugin),
                None => format!("`{}` has no such setting", one.plugin),
            }),
        }
    }
}

fn is_secret(one: &ConfigOverride, rule: &SettingRule) -> bool {
    one.value.is_secret() || nature_of(&one.key, rule).secret
}

/// Why a rule refuses a value, or `None`. A secret is not repeated.
fn refused_by(rule: &SettingRule, value: &str, is_secret: bool) -> Option<String> {
    let text = value.trim();
    let shown = if is_secret { HIDDEN_VALUE } else { text };
    let lower = text.to_ascii_lowercase();
    let fits = |kind: &ValueKind| match kind {
        ValueKind::Boolean => matches!(lower.as_str(), "true" | "false" | "yes" | "no" | "1" | "0"),
        ValueKind::Integer => text.parse::<i64>().is_ok(),
        ValueKind::Number => text.parse::<f64>().is_ok_and(f64::is_finite),
        ValueKind::Text | ValueKind::List => true,
        ValueKind::Nothing => matches!(lower.as_str(), "null" | "none" | ""),
    };
    if !rule.kinds.is_empty() && !rule.kinds.iter().any(fits) {
        return Some(format!("expected {}, not `{shown}`", expected(rule)));
    }
    let is_nothing = rule.kinds.contains(&ValueKind::Nothing) && fits(&ValueKind::Nothing);
    if !rule.words.is_empty() && !is_nothing && !rule.words.iter().any(|word| word == text) {
        return Some(format!("expected one of {}, not `{shown}`", rule.words.join(", ")));
    }
    let is_numeric = rule.kinds.iter().any(|kind| matches!(kind, ValueKind::Integer | ValueKind::Number)) && !rule.kinds.contains(&ValueKind::Text);
    let number = text.parse::<f64>().ok().filter(|_| is_numeric)?;
    let too_small = rule.minimum.is_some_and(|least| number < least);
    let too_large = rule.maximum.is_some_and(|most| number > most);
    (too_small || too_large).then(|| format!("expected {}, not `{shown}`", expected(rule)))
}

fn expected(rule: &SettingRule) -> String {
    let name = |kind: &ValueKind| match kind {
        ValueKind::Boolean => "true or false",
        ValueKind::Integer => "a whole number",
        ValueKind::Number => "a number",
        ValueKind::Text => "text",
        ValueKind::List => "values separated by commas",
        ValueKind::Nothing => "none",
    };
    let kinds = rule.kinds.iter().map(name).collect::<Vec<_>>().join(" or ");
    match (rule.minimum, rule.maximum) {
        (Some(least), Some(most)) => format!("{kinds} from {least} to {most}"),
        (Some(least), None) => format!("{kinds} of at least {least}"),
        (None, Some(most)) => format!("{kinds} of at most {most}"),
        (None, None) => kinds,
    }
}

/// How many single-character edits lie between two short texts (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (below, d) in other.iter().enumerate() {
            let replaced = corner + usize::from(c != *d);
            corner = row[below + 1];
            row[below + 1] = replaced.min(corner + 1).min(row[below] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SettingValue;

    fn schema() -> SettingsSchema {
        let rule = |kinds: &[ValueKind], minimum, maximum, words: &[&str]| SettingRule {
            kinds: kinds.to_vec(),
            minimum,
            maximum,
            words: words.iter().map(ToString::to_string).collect(),
            ..SettingRule::default()
        };
        let keys = [
            ("timeout", rule(&[ValueKind::Integer], Some(1.0), Some(60.0), &[])),
            ("delay", rule(&[ValueKind::Number], Some(0.5), None, &[])),
            ("deep", rule(&[ValueKind::Boolean], None, None, &[])),
            ("profile", rule(&[ValueKind::Text], None, None, &["quick", "full"])),
            ("max_domains", rule(&[ValueKind::Integer, ValueKind::Nothing], Some(1.0), None, &[])),
            ("local.port", rule(&[ValueKind::Integer], None, None, &[])),
            ("headers.", rule(&[], None, None, &[])),
            ("hosts", rule(&[ValueKind::List], None, None, &[])),
        ];
        SettingsSchema { plugins: [("zap".to_owned(), keys.into_iter().map(|(key, rule)| (key.to_owned(), rule)).collect())].into() }
    }

    fn problem(plugin: &str, key: &str, value: &str) -> Option<String> {
        let one = ConfigOverride { plugin: plugin.into(), key: key.into(), value: value.into() };
        schema().check(&[one]).pop().map(|error| error.message)
    }

    #[test]
    fn what_fits_is_taken() {
        for (key, value) in [
            ("timeout", "60"),
            ("delay", "0.5"),
            ("delay", "3"),
            ("deep", "Yes"),
            ("profile", "full"),
            ("max_domains", "none"),
            ("max_domains", "7"),
            ("local.port", "8080"),
            ("headers.X-Any", "a=b"),
            ("hosts", "a,b"),
        ] {
            assert_eq!(problem("zap", key, value), None, "{key}={value}");
        }
    }

    #[test]
    fn a_secret_that_does_not_fit_is_not_repeated() {
        let rule = SettingRule { kinds: vec![ValueKind::Integer], ..SettingRule::default() };
        let schema = SettingsSchema { plugins: [("zap".to_owned(), [("api_token".to_owned(), rule.clone()), ("n".to_owned(), rule)].into())].into() };
        for (key, value) in [("api_token", SettingValue::Plain("hunter2".into())), ("n", SettingValue::Secret("hunter2".into()))] {
            let message = schema.check(&[ConfigOverride { plugin: "zap".into(), key: key.into(), value }]).pop().unwrap().message;
            assert!(!message.contains("hunter2") && message.contains(key), "{message}");
        }
    }

    #[test]
    fn what_does_not_is_named_with_what_was_expected() {
        for (plugin, key, value, part) in [
            ("nmap", "timeout", "5", "no plugin `nmap`"),
            ("zap", "timeuot", "5", "did you mean `timeout`?"),
            ("zap", "colour_of_the_sky", "5", "has no such setting"),
            ("zap", "timeout", "61", "a whole number from 1 to 60, not `61`"),
            ("zap", "timeout", "fast", "a whole number from 1 to 60, not `fast`"),
            ("zap", "delay", "0.1", "a number of at least 0.5"),
            ("zap", "delay", "NaN", "a number"),
            ("zap", "deep", "maybe", "true or false, not `maybe`"),
            ("zap", "profile", "slow", "one of quick, full"),
            ("zap", "max_domains", "0", "at least 1"),
            ("zap", "local", "x", "no such setting"),
        ] {
            let message = problem(plugin, key, value).unwrap();
            assert!(message.contains(part) && message.contains(&format!("`{plugin}.{key}`")), "{message}");
        }
    }
}
