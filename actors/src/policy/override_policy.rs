//! The policy for the scanner settings that a client may set. Pure: it uses names, the scanner's
//! data about its settings, and the operator's lists.
//!
//! A setting that names a resource on the scanner's machine or in its network, or that adds to what
//! it executes, is locked unless the operator allows exactly that setting. The policy is checked
//! when a scan is accepted and again when it starts.

use std::str::FromStr;

use crate::model::{
    ConfigOverride, FieldError, Lock, SettingNature, SettingNatures, SettingRule, SettingsSchema, ValueKind, texts,
    words,
};

/// Returns the properties of a setting by its key and by the scanner's rule for it.
#[must_use]
pub fn nature_of(key: &str, rule: &SettingRule) -> SettingNature {
    let by_name = SettingNature::by_name(key);
    let is_port = words(key).iter().any(|word| word == "port");
    let lock = match by_format(&rule.format) {
        Some(lock) => lock,
        // A number, a boolean and a choice name no resource, except for the port of a helper. This
        // is safe only because the value is checked against the schema, at the latest when the scan
        // starts.
        None if is_harmless(rule) => by_name.lock.filter(|_| is_port && rule.words.is_empty()),
        None => by_description(&rule.description).or(by_name.lock),
    };
    SettingNature {
        lock,
        secret: by_name.secret || rule.secret || matches!(rule.format.as_str(), "password" | "secret"),
    }
}

/// Returns the lock that a format implies. `Some(None)` means that the scanner declares the value
/// as harmless.
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
    let plain = |kinds: &[ValueKind]| {
        !kinds.is_empty() && kinds.iter().all(|kind| !matches!(kind, ValueKind::Text | ValueKind::List))
    };
    let list = rule.kinds.iter().all(|kind| *kind != ValueKind::Text)
        && rule.kinds.contains(&ValueKind::List)
        && plain(&rule.items);
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

/// Returns the properties of a schema's settings that do not follow from their names.
#[must_use]
pub fn natures_of(schema: &SettingsSchema) -> SettingNatures {
    let all = schema.plugins.iter().flat_map(|(plugin, keys)| keys.iter().map(move |(key, rule)| (plugin, key, rule)));
    let natures = all.map(|(plugin, key, rule)| (plugin, key, nature_of(key, rule)));
    let told = natures.filter(|(_, key, nature)| key.ends_with('.') || *nature != SettingNature::by_name(key));
    told.map(|(plugin, key, nature)| (format!("{plugin}.{key}"), nature)).collect()
}

/// An entry of an operator's list: `plugin.key`, the same with `*` as the last part, or `*` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingPattern(String);

/// The text is not a valid entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `plugin.key`, `plugin.*` or `*`")]
pub struct SettingPatternError(String);

impl FromStr for SettingPattern {
    type Err = SettingPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
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
    /// Returns the name, if the entry is one setting (with everything below it).
    fn exact(&self) -> Option<&str> {
        (!self.0.ends_with('*')).then_some(&self.0)
    }

    /// Returns true if the entry covers a setting, by its name or by a name above it. `is_open`
    /// means that the name stands for everything below it.
    fn covers(&self, name: &str, is_open: bool) -> bool {
        match self.0.strip_suffix('*') {
            Some("") => true,
            Some(start) => name.starts_with(start) || (is_open && name == start.trim_end_matches('.')),
            None => name == self.0 || is_below(name, &self.0),
        }
    }

    /// Returns true if the entry names something below a setting: setting the outer one also sets
    /// the inner one.
    fn is_within(&self, name: &str) -> bool {
        is_below(self.0.trim_end_matches(".*"), name) || self.0.strip_suffix(".*") == Some(name)
    }
}

/// Returns true if `name` is below `above`, as `a.b.c` is below `a.b`.
fn is_below(name: &str, above: &str) -> bool {
    name.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'))
}

/// The operator's lists. An entry applies to the setting that it names and to everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OverridePolicy {
    /// If not empty, only these settings are allowed. A setting that is locked by its properties
    /// must be named in full; below a key that accepts any name, such as the headers of a request,
    /// naming that key is enough.
    pub allow: Vec<SettingPattern>,
    /// These settings are never allowed, whatever other rule allows them.
    pub deny: Vec<SettingPattern>,
}

impl OverridePolicy {
    /// Returns why a setting with these properties is locked, whatever its value; `None` if a
    /// client may set it. A key that ends in `.` stands for everything below it.
    #[must_use]
    pub fn lock(&self, plugin: &str, key: &str, nature: SettingNature) -> Option<Lock> {
        let name = format!("{plugin}.{}", key.trim_end_matches('.'));
        self.lock_of(&name, key.ends_with('.'), None, nature)
    }

    /// Like [`lock`](Self::lock). `open` is the open key above the setting, if there is one.
    fn lock_of(&self, name: &str, is_open: bool, open: Option<&str>, nature: SettingNature) -> Option<Lock> {
        if self.deny.iter().any(|one| one.covers(name, is_open) || (!is_open && one.is_within(name))) {
            return Some(Lock::Denied);
        }
        if self.is_named(name) || open.is_some_and(|open| self.is_named(open)) {
            return None;
        }
        if !self.allow.is_empty() && !self.allow.iter().any(|one| one.covers(name, is_open)) {
            return Some(Lock::NotAllowed);
        }
        nature.lock
    }

    fn is_named(&self, name: &str) -> bool {
        self.allow.iter().any(|one| one.exact() == Some(name))
    }

    /// Returns an error for each setting that a client may not set, with its name and the remedy.
    #[must_use]
    pub fn check(&self, overrides: &[ConfigOverride], natures: &SettingNatures) -> Vec<FieldError> {
        let refusal = |one: &ConfigOverride| {
            let (name, open) = (one.name(), natures.open_key(&one.plugin, &one.key));
            let is_named = self.is_named(&name) || open.is_some_and(|open| self.is_named(open));
            let refers = !is_named
                && one.value.clear().is_some_and(|value| texts(value).iter().any(|text| refers_to_a_variable(text)));
            let lock = self
                .lock_of(&name, false, open, natures.nature(&one.plugin, &one.key))
                .or(refers.then_some(Lock::Variable))?;
            let cure = match lock {
                Lock::Denied => "",
                _ => "; the operator can allow it by listing it in overrides.allow",
            };
            Some(FieldError::new("overrides", format!("`{name}` is locked: {lock}{cure}")))
        };
        overrides.iter().filter_map(refusal).collect()
    }
}

/// Returns true if the text contains a variable that a scanner such as KAST expands: `$NAME` or
/// `${NAME}`.
fn refers_to_a_variable(text: &str) -> bool {
    text.split('$').skip(1).any(|rest| rest.starts_with(|c: char| c == '{' || c == '_' || c.is_alphabetic()))
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
            ("whatweb.user_agent=$AWS_SECRET", Some(Lock::Variable)),
            ("whatweb.user_agent=a$_x", Some(Lock::Variable)),
            (r#"katana.extension_filter=["\u0024{HOME}"]"#, Some(Lock::Variable)),
            (r#"katana.extension_filter=["a", "\u0024HOME"]"#, Some(Lock::Variable)),
            (r#"script_detection.custom_headers={"\u0024HOME": "x"}"#, Some(Lock::Variable)),
            ("whatweb.user_agent=5$ or $5, 100 $", None),
            ("zap.local.api_key=x", Some(Lock::Argument)),
            ("zap.remote.api_key=x", None),
            ("zap.zap_config.timeout_minutes=5", None),
        ] {
            let message = lock_of(&OverridePolicy::default(), &none, text);
            assert_eq!(message.is_some(), why.is_some(), "{text}: {message:?}");
            if let (Some(message), Some(why)) = (message, why) {
                let name = text.split_once('=').unwrap().0;
                assert!(
                    message.contains(&format!("`{name}`"))
                        && message.contains(&why.to_string())
                        && message.contains("overrides.allow"),
                    "{message}"
                );
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
    fn operators_lists_decide_over_properties() {
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
        assert_eq!(
            lock_of(&policy(&["whatweb.user_agent"], &[]), &none, "whatweb.user_agent=${HOME}"),
            None,
            "named in full"
        );
        assert_eq!(
            lock_of(&policy(&["whatweb.user_agent"], &[]), &none, "whatweb.user_agent=$HOME"),
            None,
            "named in full"
        );
        for bad in ["", "whatweb", "whatweb.", ".*", "a b.c", "*.x", "a.*.b", "a.b*"] {
            assert!(bad.parse::<SettingPattern>().is_err(), "{bad}");
        }
    }

    /// The lock that the form and the API show for a setting is the lock that a submission gets.
    #[test]
    fn the_lists_hold_for_what_is_below_and_are_shown_as_they_hold() {
        let keys = [
            ("headers.".to_owned(), SettingRule::default()),
            ("local.image".to_owned(), SettingRule::default()),
            ("url_map.".to_owned(), SettingRule::default()),
        ];
        let natures = natures_of(&SettingsSchema { plugins: [("p".to_owned(), keys.into())].into() });
        // The lists; what the key `headers.` and `local.image` show; settings that may be set;
        // settings that may not.
        type Case<'a> = (&'a [&'a str], &'a [&'a str], (bool, bool), &'a [&'a str], &'a [&'a str]);
        let cases: [Case<'_>; 14] = [
            (&[], &[], (false, true), &["p.headers.X=1", "p.headers.Cookie=1"], &["p.local.image=1", "p.url_map.a=1"]),
            (
                &[],
                &["p.headers.Cookie"],
                (false, true),
                &["p.headers.X=1", "p.headers.Cookies=1"],
                &["p.headers.Cookie=1", "p.headers.Cookie.a=1", "p.headers=1"],
            ),
            (
                &[],
                &["p.headers"],
                (true, true),
                &["p.headersx=1"],
                &["p.headers.X=1", "p.headers.Cookie=1", "p.headers=1"],
            ),
            (&[], &["p.headers.*"], (true, true), &["p.headersx=1"], &["p.headers.X=1", "p.headers=1"]),
            (
                &[],
                &["p.local"],
                (false, true),
                &["p.headers.X=1"],
                &["p.local.image=1", "p.local.timeout=1", "p.local=1"],
            ),
            (&["p.local.image"], &["p.local"], (true, true), &[], &["p.local.image=1"]),
            (
                &["p.headers"],
                &[],
                (false, true),
                &["p.headers.X=1", "p.headers.Cookie=$HOME"],
                &["p.timeout=1", "p.local.image=1"],
            ),
            (&["p.headers.X"], &[], (true, true), &["p.headers.X=1"], &["p.headers.Cookie=1"]),
            (&["p.headers.*"], &[], (false, true), &["p.headers.X=1"], &["p.headers.X=$HOME", "p.timeout=1"]),
            (&["p.url_map"], &[], (true, true), &["p.url_map.a=1"], &["p.headers.X=1"]),
            (
                &["*", "p.url_map"],
                &["p.url_map.a"],
                (false, true),
                &["p.url_map.b=1", "p.headers.X=1"],
                &["p.url_map.a=1"],
            ),
            (&["p.local"], &[], (true, true), &["p.local.timeout=1"], &["p.local.image=1", "p.headers.X=1"]),
            (&["p.*", "p.local.image"], &[], (false, false), &["p.local.image=1", "p.headers.X=1"], &["q.timeout=1"]),
            (&[], &["p.*"], (true, true), &["q.timeout=1"], &["p.headers.X=1", "p.timeout=1"]),
        ];
        for (allow, deny, (headers, image), open, locked) in cases {
            let policy = policy(allow, deny);
            let shown = |key: &str| policy.lock("p", key, natures.nature("p", key)).is_some();
            assert_eq!((shown("headers."), shown("local.image")), (headers, image), "{allow:?} {deny:?}");
            for text in open {
                assert_eq!(lock_of(&policy, &natures, text), None, "{allow:?} {deny:?}");
            }
            for text in locked {
                assert!(lock_of(&policy, &natures, text).is_some(), "{allow:?} {deny:?} {text}");
            }
        }
    }
}
