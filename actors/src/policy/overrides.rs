//! Checks `plugin.key=value` against the scanner's schema of its settings. Pure; the scanner makes
//! the final check when it starts.

use serde_json::Value;

use super::override_policy::nature_of;
use crate::model::{ConfigOverride, FieldError, HIDDEN_VALUE};
pub use crate::model::{SettingRule, SettingsSchema, ValueKind};

impl SettingsSchema {
    /// Returns all errors in `overrides`, each with the name of its setting.
    #[must_use]
    pub fn check(&self, overrides: &[ConfigOverride]) -> Vec<FieldError> {
        let wrong = |one: &ConfigOverride| {
            self.refusal(one).map(|why| FieldError::new("overrides", format!("`{}.{}`: {why}", one.plugin, one.key)))
        };
        overrides.iter().filter_map(wrong).collect()
    }

    fn refusal(&self, one: &ConfigOverride) -> Option<String> {
        let Some(keys) = self.plugins.get(&one.plugin) else {
            return Some(format!("the scanner has no plugin `{}` with settings", one.plugin));
        };
        let open = || keys.iter().find(|(key, _)| key.ends_with('.') && one.key.starts_with(key.as_str()));
        match keys.get_key_value(&one.key).or_else(open) {
            // A sealed value was checked before it was sealed.
            Some((_, rule)) => one.value.clear().and_then(|value| refused_by(rule, value, is_secret(one, rule))),
            None => Some(
                match keys.keys().min_by_key(|key| distance(key, &one.key)).filter(|key| distance(key, &one.key) <= 3) {
                    Some(near) => format!("`{}` has no such setting; did you mean `{near}`?", one.plugin),
                    None => format!("`{}` has no such setting", one.plugin),
                },
            ),
        }
    }
}

fn is_secret(one: &ConfigOverride, rule: &SettingRule) -> bool {
    one.is_secret() || nature_of(&one.key, rule).secret
}

/// Returns why a rule refuses a value, or `None`. A secret is not repeated.
fn refused_by(rule: &SettingRule, value: &str, is_secret: bool) -> Option<String> {
    let text = value.trim();
    let shown = if is_secret { HIDDEN_VALUE } else { text };
    let fits = |kind: &ValueKind| fits_kind(*kind, text);
    if !rule.kinds.is_empty() && !rule.kinds.iter().any(fits) {
        return Some(format!("expected {}, not `{shown}`", expected(rule)));
    }
    if rule.format == "address" && text.parse::<std::net::SocketAddr>().is_err() {
        return Some(format!("expected an address with its port, such as 192.0.2.53:53, not `{shown}`"));
    }
    let is_nothing = rule.kinds.contains(&ValueKind::Nothing) && fits(&ValueKind::Nothing);
    if !rule.words.is_empty() && !is_nothing && !rule.words.iter().any(|word| word == text) {
        return Some(format!("expected one of {}, not `{shown}`", rule.words.join(", ")));
    }
    let others = [ValueKind::Nothing, ValueKind::Boolean, ValueKind::Integer, ValueKind::Number];
    let is_list =
        rule.kinds.contains(&ValueKind::List) && !others.iter().any(|kind| rule.kinds.contains(kind) && fits(kind));
    if is_list && let Err(why) = elements(&rule.items, text) {
        return Some(if is_secret { "one of its elements does not fit".to_owned() } else { why });
    }
    let is_numeric = rule.kinds.iter().any(|kind| matches!(kind, ValueKind::Integer | ValueKind::Number))
        && !rule.kinds.contains(&ValueKind::Text);
    let number = text.parse::<f64>().ok().filter(|_| is_numeric)?;
    let too_small = rule.minimum.is_some_and(|least| number < least);
    let too_large = rule.maximum.is_some_and(|most| number > most);
    (too_small || too_large).then(|| format!("expected {}, not `{shown}`", expected(rule)))
}

/// Checks that each element of a list is of one of the kinds. The list is either JSON with values
/// of those types, or values separated by commas. The scanner parses the same text to the same
/// list.
fn elements(kinds: &[ValueKind], text: &str) -> Result<(), String> {
    let fits = |shown: &str, is: &dyn Fn(ValueKind) -> bool| {
        let expected = || kinds.iter().map(kind_name).collect::<Vec<_>>().join(" or ");
        if kinds.is_empty() || kinds.iter().any(|kind| is(*kind)) {
            Ok(())
        } else {
            Err(format!("expected elements of {}, not `{shown}`", expected()))
        }
    };
    if text.starts_with('[')
        && let Ok(list) = serde_json::from_str::<Vec<Value>>(text)
    {
        return list.iter().try_for_each(|one| match one {
            Value::Array(_) | Value::Object(_) => {
                Err("expected a list of single values, without lists and objects in it".to_owned())
            }
            Value::String(text) => fits(text, &|kind| kind == ValueKind::Text),
            Value::Number(number) => fits(&number.to_string(), &|kind| {
                kind == ValueKind::Number || (kind == ValueKind::Integer && number.is_i64())
            }),
            Value::Bool(_) => fits(&one.to_string(), &|kind| kind == ValueKind::Boolean),
            Value::Null => fits("null", &|kind| kind == ValueKind::Nothing),
        });
    }
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.into_iter().try_for_each(|part| fits(part, &|kind| fits_kind(kind, part)))
}

/// Returns true if a text can be parsed as a value of a kind.
fn fits_kind(kind: ValueKind, text: &str) -> bool {
    let lower = || text.to_ascii_lowercase();
    match kind {
        ValueKind::Boolean => matches!(lower().as_str(), "true" | "false" | "yes" | "no" | "1" | "0"),
        ValueKind::Integer => text.parse::<i64>().is_ok(),
        ValueKind::Number => text.parse::<f64>().is_ok_and(f64::is_finite),
        ValueKind::Text | ValueKind::List => true,
        ValueKind::Nothing => matches!(lower().as_str(), "null" | "none" | ""),
    }
}

const fn kind_name(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Boolean => "true or false",
        ValueKind::Integer => "a whole number",
        ValueKind::Number => "a number",
        ValueKind::Text => "text",
        ValueKind::List => "values separated by commas",
        ValueKind::Nothing => "none",
    }
}

fn expected(rule: &SettingRule) -> String {
    let kinds = rule.kinds.iter().map(kind_name).collect::<Vec<_>>().join(" or ");
    match (rule.minimum, rule.maximum) {
        (Some(least), Some(most)) => format!("{kinds} from {least} to {most}"),
        (Some(least), None) => format!("{kinds} of at least {least}"),
        (None, Some(most)) => format!("{kinds} of at most {most}"),
        (None, None) => kinds,
    }
}

/// Returns the number of single-character edits between two short texts (Levenshtein).
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
            (
                "ports",
                SettingRule {
                    items: vec![ValueKind::Integer],
                    ..rule(&[ValueKind::List, ValueKind::Nothing], None, None, &[])
                },
            ),
            (
                "names",
                SettingRule {
                    items: vec![ValueKind::Text],
                    ..rule(&[ValueKind::Text, ValueKind::List], None, None, &[])
                },
            ),
            ("nameserver", SettingRule { format: "address".into(), ..rule(&[ValueKind::Text], None, None, &[]) }),
        ];
        SettingsSchema {
            plugins: [("zap".to_owned(), keys.into_iter().map(|(key, rule)| (key.to_owned(), rule)).collect())].into(),
        }
    }

    fn problem(plugin: &str, key: &str, value: &str) -> Option<String> {
        let one = ConfigOverride { plugin: plugin.into(), key: key.into(), value: value.into() };
        schema().check(&[one]).pop().map(|error| error.message)
    }

    #[test]
    fn setting_value_that_fits_its_rule_is_accepted() {
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
            ("hosts", r#"["a,b", 1]"#),
            ("hosts", ""),
            ("ports", "80"),
            ("ports", "80, 443,"),
            ("ports", "[80, 443]"),
            ("ports", "[]"),
            ("ports", "none"),
            ("names", r#"a, ["b"#),
            ("names", r#"["a", "b"]"#),
            ("nameserver", "8.8.8.8:53"),
            ("nameserver", "[::1]:5353"),
        ] {
            assert_eq!(problem("zap", key, value), None, "{key}={value}");
        }
    }

    #[test]
    fn a_secret_that_does_not_fit_is_not_repeated() {
        let rule = SettingRule { kinds: vec![ValueKind::Integer], ..SettingRule::default() };
        let list =
            SettingRule { kinds: vec![ValueKind::List], items: vec![ValueKind::Integer], ..SettingRule::default() };
        let keys = [("api_token".to_owned(), rule.clone()), ("n".to_owned(), rule), ("list".to_owned(), list)];
        let schema = SettingsSchema { plugins: [("zap".to_owned(), keys.into())].into() };
        for (key, value) in [
            ("api_token", SettingValue::Plain("hunter2".into())),
            ("n", SettingValue::Secret("hunter2".into())),
            ("n", SettingValue::Plain("http://user:hunter2@host".into())),
            ("list", SettingValue::Secret("1,hunter2".into())),
        ] {
            let message =
                schema.check(&[ConfigOverride { plugin: "zap".into(), key: key.into(), value }]).pop().unwrap().message;
            assert!(!message.contains("hunter2") && message.contains(key), "{message}");
        }
    }

    #[test]
    fn setting_value_that_does_not_fit_is_refused_with_the_expected_kind() {
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
            ("zap", "ports", "http:1-65535", "elements of a whole number, not `http:1-65535`"),
            ("zap", "ports", "80,http:443", "not `http:443`"),
            ("zap", "ports", r#"["80"]"#, "not `80`"),
            ("zap", "ports", "[80, 1.5]", "not `1.5`"),
            ("zap", "ports", "[80", "not `[80`"),
            ("zap", "ports", "[null]", "not `null`"),
            ("zap", "ports", "[[80]]", "without lists and objects"),
            ("zap", "hosts", r#"[{"a": 1}]"#, "without lists and objects"),
            ("zap", "names", "[1]", "elements of text, not `1`"),
            ("zap", "nameserver", "8.8.8.8", "an address with its port, such as 192.0.2.53:53, not `8.8.8.8`"),
            ("zap", "nameserver", "dns.example.com:53", "an address with its port"),
            ("zap", "nameserver", "::1", "an address with its port"),
            ("zap", "nameserver", "8.8.8.8:65536", "an address with its port"),
            ("zap", "nameserver", "", "an address with its port"),
        ] {
            let message = problem(plugin, key, value).unwrap();
            assert!(message.contains(part) && message.contains(&format!("`{plugin}.{key}`")), "{message}");
        }
    }
}
