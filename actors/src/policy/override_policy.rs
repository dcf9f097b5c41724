//! Which scanner settings a client may set. Pure: names, what the scanner says of its settings, and the operator's lists.
//!
//! A setting that names something on the scanner's machine or in its network, or adds to what it executes, is locked unless the operator allows exactly that one. The same question is asked where a
//! scan is accepted and again where it starts.

use std::str::FromStr;

use super::overrides::{SettingRule, SettingsSchema, ValueKind};
use crate::model::{ConfigOverride, FieldError, Lock, SettingNature, SettingNatures, words};

/// What a setting is by its key and by what the scanner says of it.
#[must_use]
pub fn nature_of(key: &str, rule: &SettingRule) -> SettingNature {
    let by_name = SettingNature::by_name(key);
    let is_port = words(key).iter().any(|word| word == "port");
    let lock = match by_format(&rule.format) {
        Some(lock) => lock,
        // A number, a yes or no and a choice name nothing, but for the port of a helper.
        None if is_harmless(rule) => by_name.lock.filter(|_| is_port && rule.words.is_empty()),
        None => by_description(&rule.description).or(by_name.lock),
    };
    SettingNature { lock, secret: by_name.secret || rule.secret || matches!(rule.format.as_str(), "password" | "secret") }
}

/// `Some(None)`: the scanner says that the value is harmless.
fn by_format(format: &str) -> Option<Option<Lock>> {
    Some(match format {
        "uri" | "url" | "uri-reference" | "iri" | "iri-reference" | "uri-template" => Some(Lock::Url),
        "path" | "file" | "file-path" | "filename" | "directory" | "directory-path" => Some(Lock::Path),
        "hostname" | "idn-hostname" | "ipv4" | "ipv6" | "host" | "address" => Some(Lock::Address),
        "target-path" => None,
        _ => return None,
    })
}

fn is_harmless(rule: &SettingRule) -> bool {
    let plain = |kinds: &[ValueKind]| !kinds.is_empty() && kinds.iter().all(|kind| !matches!(kind, ValueKind::Text | ValueKind::List));
    let list = rule.kinds.iter().all(|kind| *kind != ValueKind::Text) && rule.kinds.contains(&ValueKind::List) && plain(&rule.items);
    !rule.words.is_empty() || plain(&rule.kinds) || list
}

fn by_description(text: &str) -> Option<Lock> {
    let lower = text.to_lowercase().replace('-', " ");
    let phrases: [(&[&str], Lock); 5] = [
        (&["command line argument", "cli argument", "additional argument", "extra argument"], Lock::Arguments),
        (&["docker image", "container image"], Lock::Image),
        (&["container name", "name of the container"], Lock::Container),
        (&["name server", "ip address", "host name"], Lock::Address),
        (&["file name", "path to"], Lock::Path),
    ];
    let words = words(&lower);
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    if has(&["proxy"]) {
        return Some(Lock::Proxy);
    }
    if let Some((_, lock)) = phrases.into_iter().find(|(parts, _)| parts.iter().any(|part| lower.contains(part))) {
        return Some(lock);
    }
    if has(&["url", "uri"]) {
        return Some(Lock::Url);
    }
    if has(&["hostname"]) {
        return Some(Lock::Address);
    }
    has(&["path", "paths", "file", "filename", "directory", "folder"]).then_some(Lock::Path)
}

/// What the settings of a schema are, as far as their names do not say it.
#[must_use]
pub fn natures_of(schema: &SettingsSchema) -> SettingNatures {
    let all = schema.plugins.iter().flat_map(|(plugin, keys)| keys.iter().map(move |(key, rule)| (plugin, key, rule)));
    let natures = all.map(|(plugin, key, rule)| (plugin, key, nature_of(key, rule)));
    let told = natures.filter(|(_, key, nature)| key.ends_with('.') || *nature != SettingNature::by_name(key));
    told.map(|(plugin, key, nature)| (format!("{plugin}.{key}"), nature)).collect()
}

/// An entry of an operator's list: `plugin.key`, or with `*` in place of the last part, or `*` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingPattern(String);

/// A text that is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `plugin.key`, `plugin.*` or `*`")]
pub struct SettingPatternError(String);

impl FromStr for SettingPattern {
    type Err = SettingPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let named = text.strip_suffix(".*").unwrap_or(text);
        let is_whole = text.ends_with(".*") || named.contains('.');
        if text == "*" || (is_whole && named.split('.').all(part)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(SettingPatternError(text.chars().take(100).collect()))
        }
    }
}

impl SettingPattern {
    fn is_exact(&self) -> bool {
        !self.0.ends_with('*')
    }

    fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == self.0,
        }
    }
}

/// The operator's lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OverridePolicy {
    /// If not empty, only these. A setting that is locked by its nature must be named in full.
    pub allow: Vec<SettingPattern>,
    /// Never these, whatever else allows them.
    pub deny: Vec<SettingPattern>,
}

impl OverridePolicy {
    /// Why a setting of this nature is locked, whatever its value; `None`: a client may set it.
    #[must_use]
    pub fn lock(&self, plugin: &str, key: &str, nature: SettingNature) -> Option<Lock> {
        let name = format!("{plugin}.{}", key.trim_end_matches('.'));
        if self.deny.iter().any(|one| one.matches(&name)) {
            return Some(Lock::Denied);
        }
        if self.is_named(&name) {
            return None;
        }
        if !self.allow.is_empty() && !self.allow.iter().any(|one| one.matches(&name)) {
            return Some(Lock::NotAllowed);
        }
        nature.lock
    }

    fn is_named(&self, name: &str) -> bool {
        self.allow.iter().any(|one| one.is_exact() && one.matches(name))
    }

    /// Everything that a client may not set, each error naming its setting and what to do.
    #[must_use]
    pub fn check(&self, overrides: &[ConfigOverride], natures: &SettingNatures) -> Vec<FieldError> {
        let refusal = |one: &ConfigOverride| {
            let name = one.name();
            let refers = one.value.clear().is_some_and(|value| value.contains("${")) && !self.is_named(&name);
            let lock = self.lock(&one.plugin, &one.key, natures.nature(&one.plugin, &one.key)).or(refers.then_some(Lock::Variable))?;
            let cure = match lock {
                Lock::Denied => "",
                _ => "; the operator allows it by naming it in overrides.allow",
            };
            Some(FieldError::new("overrides", format!("`{name}` is locked: {lock}{cure}")))
        };
        overrides.iter().filter_map(refusal).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> OverridePolicy {
        let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        OverridePolicy { allow: patterns(allow), deny: patterns(deny) }
    }

    fn setting(text: &str) -> ConfigOverride {
        let (name, value) = text.split_once('=').unwrap();
        let (plugin, key) = name.split_once('.').unwrap();
        ConfigOverride { plugin: plugin.into(), key: key.into(), value: value.into() }
    }

    fn lock_of(policy: &OverridePolicy, natures: &SettingNatures, text: &str) -> Option<String> {
        policy.check(&[setting(text)], natures).pop().map(|error| error.message)
    }

    #[test]
    fn what_a_name_gives_away_is_locked_before_a_scanner_is_known() {
        let none = SettingNatures::default();
        for (text, why) in [
            ("zap.local.docker_image=evil/zap", Some(Lock::Image)),
            ("zap.local.container_name=other", Some(Lock::Container)),
            ("zap.local.containerName=other", Some(Lock::Container)),
            ("zap.local.api_port=6379", Some(Lock::Address)),
            ("zap.remote.api_url=http://10.0.0.1", Some(Lock::Url)),
            ("katana.proxy=http://10.0.0.1", Some(Lock::Proxy)),
            ("katana.httpProxy=http://10.0.0.1", Some(Lock::Proxy)),
            ("org_discovery.amass_extra_args=-x", Some(Lock::Arguments)),
            ("mozilla_observatory.additional_args=-x", Some(Lock::Arguments)),
            ("ftap.wordlist_path=/etc/passwd", Some(Lock::Path)),
            ("dns_posture.nameserver=127.0.0.1:53", Some(Lock::Address)),
            ("tls_certificate.extra_ca_file=/dev/zero", Some(Lock::Path)),
            ("new.output_dir=/etc", Some(Lock::Path)),
            ("new.webhook=http://x", Some(Lock::Url)),
            ("whatweb.user_agent=Mozilla/5.0 (http://x)", None),
            ("whatweb.user_agent=${AWS_SECRET}", Some(Lock::Variable)),
            ("whatweb.timeout=60", None),
            ("related_sites.httpx_ports=80,443", None),
            ("zap.remote.api_key=x", None),
            ("zap.zap_config.timeout_minutes=5", None),
        ] {
            let message = lock_of(&OverridePolicy::default(), &none, text);
            assert_eq!(message.is_some(), why.is_some(), "{text}: {message:?}");
            if let (Some(message), Some(why)) = (message, why) {
                let name = text.split_once('=').unwrap().0;
                assert!(message.contains(&format!("`{name}`")) && message.contains(&why.to_string()) && message.contains("overrides.allow"), "{message}");
            }
        }
    }

    #[test]
    fn what_the_scanner_says_of_a_setting_counts_beside_its_name() {
        let rule = |kinds: &[ValueKind], format: &str, description: &str| SettingRule {
            kinds: kinds.to_vec(),
            format: format.into(),
            description: description.into(),
            ..SettingRule::default()
        };
        let text = [ValueKind::Text];
        for (key, rule, lock, secret) in [
            ("x", rule(&text, "uri", ""), Some(Lock::Url), false),
            ("x", rule(&text, "file-path", ""), Some(Lock::Path), false),
            ("x", rule(&text, "ipv6", ""), Some(Lock::Address), false),
            ("x", rule(&text, "password", ""), None, true),
            ("x", SettingRule { secret: true, ..rule(&text, "", "") }, None, true),
            ("x", rule(&text, "", "Output report filename"), Some(Lock::Path), false),
            ("x", rule(&text, "", "Source URL for wordlist updates"), Some(Lock::Url), false),
            ("x", rule(&text, "", "Additional amass CLI arguments"), Some(Lock::Arguments), false),
            ("x", rule(&text, "", "HTTP/SOCKS proxy to use"), Some(Lock::Proxy), false),
            ("x", rule(&text, "", "Filter out URLs with these extensions"), None, false),
            ("files", rule(&[ValueKind::Boolean], "", "Path fuzzing"), None, false),
            ("max_hosts", rule(&[ValueKind::Integer, ValueKind::Nothing], "", ""), None, false),
            ("api_port", rule(&[ValueKind::Integer], "", ""), Some(Lock::Address), false),
            ("known_files", SettingRule { words: vec!["all".into()], ..rule(&text, "", "") }, None, false),
            ("hosts", SettingRule { items: vec![ValueKind::Integer], ..rule(&[ValueKind::List], "", "") }, None, false),
            ("extra_paths", rule(&text, "target-path", "More paths to ask for"), None, false),
            ("anything", rule(&[], "", ""), None, false),
        ] {
            assert_eq!(nature_of(key, &rule), SettingNature { lock, secret }, "{key}: {rule:?}");
        }
    }

    #[test]
    fn what_is_below_an_open_key_is_judged_by_that_key_and_may_be_a_secret() {
        let keys = [("headers.".to_owned(), SettingRule::default()), ("url_map.".to_owned(), SettingRule::default())];
        let natures = natures_of(&SettingsSchema { plugins: [("p".to_owned(), keys.into())].into() });
        assert_eq!(natures.nature("p", "headers.X-Original-URL"), SettingNature::default());
        assert_eq!(natures.nature("p", "headers.Authorization"), SettingNature { lock: None, secret: true });
        assert_eq!(natures.nature("p", "url_map.a"), SettingNature { lock: Some(Lock::Url), secret: false });
    }

    #[test]
    fn the_operators_lists_decide() {
        let none = SettingNatures::default();
        let (image, timeout, agent) = ("zap.local.docker_image=x", "whatweb.timeout=5", "whatweb.user_agent=x");
        type Case<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str], &'a [&'a str]);
        let cases: [Case<'_>; 9] = [
            (&[], &[], &[timeout, agent], &[image]),
            (&["*"], &[], &[timeout, agent], &[image]),
            (&["*", "zap.local.docker_image"], &[], &[timeout, agent, image], &[]),
            (&["zap.local.docker_image"], &[], &[image], &[timeout, agent]),
            (&["zap.*"], &[], &[], &[image, timeout]),
            (&["zap.local.*"], &[], &[], &[image]),
            (&["whatweb.*"], &["whatweb.user_agent"], &[timeout], &[agent, image]),
            (&["*", "zap.local.docker_image"], &["zap.*"], &[timeout], &[image]),
            (&[], &["*"], &[], &[timeout, agent, image]),
        ];
        for (allow, deny, open, locked) in cases {
            let policy = policy(allow, deny);
            for text in open {
                assert_eq!(lock_of(&policy, &none, text), None, "{allow:?} {deny:?}");
            }
            for text in locked {
                assert!(lock_of(&policy, &none, text).is_some(), "{allow:?} {deny:?} {text}");
            }
        }
        assert_eq!(lock_of(&policy(&["whatweb.user_agent"], &[]), &none, "whatweb.user_agent=${HOME}"), None, "named in full");
        for bad in ["", "whatweb", "whatweb.", ".*", "a b.c", "*.x", "a.*.b", "a.b*"] {
            assert!(bad.parse::<SettingPattern>().is_err(), "{bad}");
        }
    }
}
