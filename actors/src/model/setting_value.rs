//! The value of a scanner setting, and the rules for which values are secrets. A secret is never
//! shown: it is sealed before it is stored in a row, and opened when it is passed to a scanner.

use std::fmt;

/// The text that replaces a secret value.
pub const HIDDEN_VALUE: &str = "••••••";

/// Parts of a name that make its value a secret, anywhere in the name.
const SECRET_PARTS: &[&str] =
    &["password", "passwd", "passphrase", "secret", "token", "apikey", "credential", "cookie", "bearer"];
/// Words of a name that make its value a secret.
const SECRET_WORDS: &[&str] = &[
    "pass",
    "pwd",
    "key",
    "keys",
    "creds",
    "session",
    "sessionid",
    "jwt",
    "dsn",
    "otp",
    "totp",
    "login",
    "passcode",
    "pin",
    "psk",
    "pat",
];

/// Returns true if the value of a setting with this name is a secret: `shodan_api_key`,
/// `custom_headers.Authorization`, `authCookie`.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let squeezed: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if SECRET_PARTS.iter().any(|part| squeezed.contains(part)) {
        return true;
    }
    words(name).iter().any(|word| {
        let is_auth = word.starts_with("auth") && (!word.starts_with("author") || word.starts_with("authori"));
        SECRET_WORDS.contains(&word.as_str()) || is_auth || word.ends_with("auth") || word.ends_with("key")
    })
}

/// Returns true if a value is a secret whatever the name of its setting. That is the case if it
/// contains an address with a password, if it is a proxy address with a user, if it assigns a value
/// to a secret name, as `{"Authorization": "…"}` does, or if it begins with `Basic` or `Bearer`.
#[must_use]
pub fn is_secret_value(key: &str, value: &str) -> bool {
    let is_proxy = words(key).iter().any(|word| word.ends_with("proxy"));
    texts(value).iter().any(|text| {
        holds_a_password(text) || (is_proxy && text.contains('@')) || assigns_a_secret(text) || is_authorization(text)
    })
}

/// Returns true if a text is the value of a header such as `Authorization`: `Bearer x`, `Basic x`.
fn is_authorization(text: &str) -> bool {
    let (scheme, rest) = text.trim_start().split_once(char::is_whitespace).unwrap_or_default();
    (scheme.eq_ignore_ascii_case("basic") || scheme.eq_ignore_ascii_case("bearer")) && !rest.trim().is_empty()
}

/// Returns true if a text contains an address with a password: `http://user:password@proxy:3128`.
#[must_use]
pub fn holds_a_password(text: &str) -> bool {
    let with_a_scheme = text.split("://").skip(1).map(|rest| (rest, true));
    let bare = (!text.contains("://")).then(|| (text.strip_prefix("//").unwrap_or(text), false));
    with_a_scheme.chain(bare).any(|(rest, has_scheme)| {
        let end = rest.find(|c: char| "/?#\"'".contains(c) || c.is_whitespace()).unwrap_or(rest.len());
        let authority = &rest[..end];
        match authority.rsplit_once('@') {
            Some((user, _)) => user.contains(':'),
            // `http://user:pass/word@host`: the text after the colon is no port, so it may be a
            // password that continues after the `/`.
            None => {
                has_scheme
                    && rest.contains('@')
                    && authority
                        .rsplit_once(':')
                        .is_some_and(|(_, port)| !port.bytes().all(|b| b.is_ascii_digit() || b == b']'))
            }
        }
    })
}

/// Returns true if a text assigns a value to the name of a secret: `token=x`, `Cookie: a=b`,
/// `"api_key": "x"`.
fn assigns_a_secret(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let from = &rest[start..];
        let end = from.find(|c| !is_part(c)).unwrap_or(from.len());
        let (name, after) = from.split_at(end);
        let sign = after.trim_start_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
        if sign.starts_with(['=', ':']) && is_secret_name(name) {
            return true;
        }
        rest = after;
    }
    false
}

/// Returns the texts of a value: the value itself and, if it is JSON, the keys and strings in it.
#[must_use]
pub fn texts(value: &str) -> Vec<String> {
    let inner = json_leaves(value).unwrap_or_default().into_iter().filter_map(|leaf| match leaf {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    });
    std::iter::once(value.to_owned()).chain(inner).collect()
}

/// Returns the keys, strings and numbers of a JSON list, object or string, which may contain
/// escapes. `None` for any other value.
#[must_use]
pub fn json_texts(value: &str) -> Option<Vec<String>> {
    let texts = json_leaves(value)?.into_iter().map(|leaf| match leaf {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    });
    Some(texts.collect())
}

/// Returns the keys, strings and numbers of a value that is JSON.
fn json_leaves(value: &str) -> Option<Vec<serde_json::Value>> {
    fn collect(value: serde_json::Value, found: &mut Vec<serde_json::Value>) {
        match value {
            serde_json::Value::Array(list) => list.into_iter().for_each(|one| collect(one, found)),
            serde_json::Value::Object(map) => map.into_iter().for_each(|(key, one)| {
                found.push(key.into());
                collect(one, found);
            }),
            serde_json::Value::Null | serde_json::Value::Bool(_) => {}
            leaf => found.push(leaf),
        }
    }
    let json = value.trim_start().starts_with(['[', '{', '"']).then(|| serde_json::from_str(value))?.ok()?;
    let mut found = Vec::new();
    collect(json, &mut found);
    Some(found)
}

/// Splits a name into words in lower case: `apiKey`, `api_key` and `Api-Key` have the same two.
#[must_use]
pub fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_small = false;
    for c in name.chars() {
        let begins = !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && after_small);
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            word.push(c.to_ascii_lowercase());
        }
        after_small = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The value of a setting. Only a plain value is ever shown; `Debug` hides the others too.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum SettingValue {
    /// A text that may be shown, unless the setting's name makes it a secret.
    Plain(String),
    /// A secret in clear text, before it is sealed or passed to a scanner. It is never stored.
    Secret(String),
    /// A sealed secret, as it is stored.
    Sealed(String),
    /// A secret whose value is missing: a form submitted its placeholder, or a backup left it out
    /// of a row.
    Hidden,
}

impl SettingValue {
    /// Returns the value in clear text, if it is known.
    #[must_use]
    pub fn clear(&self) -> Option<&str> {
        match self {
            Self::Plain(text) | Self::Secret(text) => Some(text),
            Self::Sealed(_) | Self::Hidden => None,
        }
    }

    /// Returns true if the value counts as a secret, whatever the name of its setting.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }
}

impl From<String> for SettingValue {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl From<&str> for SettingValue {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl fmt::Debug for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => write!(f, "Plain({text:?})"),
            Self::Secret(_) => write!(f, "Secret({HIDDEN_VALUE})"),
            Self::Sealed(_) => write!(f, "Sealed({HIDDEN_VALUE})"),
            Self::Hidden => f.write_str("Hidden"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ConfigOverride;
    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_every_spelling() {
        for name in [
            "shodan_api_key",
            "local.api_key",
            "apiKey",
            "API-KEY",
            "apikey",
            "sshkey",
            "token",
            "access_token",
            "authToken",
            "max_tokens",
            "password",
            "db_passwd",
            "pass",
            "client_secret",
            "secrets",
            "auth",
            "basic_auth",
            "authentication",
            "oauth",
            "custom_headers.Authorization",
            "custom_headers.Proxy-Authorization",
            "custom_headers.X-Api-Key",
            "custom_headers.Cookie",
            "session_cookie",
            "sessionid",
            "credentials",
            "bearer",
            "dsn",
            "passcode",
            "login_pin",
            "wifiPsk",
            "github_pat",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "timeout",
            "author",
            "keyword",
            "known_files",
            "user_agent",
            "passive",
            "bypass_waf",
            "api_url",
            "custom_headers.X-Test",
            "depth",
            "compass",
            "pattern",
            "ping",
            "path",
            "spin",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn values_that_are_secrets_are_known_under_any_name() {
        for (key, value) in [
            ("api_url", "http://user:hunter2@zap:8080"),
            ("x", "user:hunter2@host"),
            ("x", "//user:hunter2@host/path"),
            ("x", "socks5h://:hunter2@proxy"),
            ("x", "http://a.test, http://user:hunter2@b.test"),
            ("x", "http://user:hun/ter2@host"),
            ("x", "http://user:hun@ter2@host"),
            ("x", r#"["http:\/\/user:hunter2@host"]"#),
            ("x", r#"["http:\u002f\u002fuser:hunter2@host"]"#),
            ("proxy", "http://token@host"),
            ("httpProxy", "token@host"),
            ("custom_headers", r#"{"Authorization": "Bearer hunter2"}"#),
            ("custom_headers", "Cookie: a=b"),
            ("user_agent", "x zap.remote.api_key=hunter2"),
            ("x", "Bearer hunter2"),
            ("x", " basic dXNlcjpodW50ZXIy"),
            ("x", r#"["Basic\u0020aHVudGVyMg=="]"#),
        ] {
            assert!(is_secret_value(key, value), "{key}={value}");
        }
        for (key, value) in [
            (
                "user_agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 (http://a.test:80/contact@b.test)",
            ),
            ("user_agent", "scanner (mail: me@a.test)"),
            ("api_url", "http://user@host:80/x"),
            ("api_url", "http://[::1]:8080/a@b"),
            ("proxy", "http://proxy:3128"),
            ("ports", "[80, 443]"),
            ("x", "key"),
            ("x", "Basic"),
            ("x", "bearer "),
            ("x", "basically all"),
            ("x", "a:b"),
            ("x", ""),
        ] {
            assert!(!is_secret_value(key, value), "{key}={value}");
        }
    }

    #[test]
    fn words_are_the_same_in_every_spelling() {
        for name in ["container_name", "containerName", "Container-Name", "container.name"] {
            assert_eq!(words(name), ["container", "name"], "{name}");
        }
        assert_eq!(words("URL"), ["url"]);
        assert_eq!(words("-_.").len(), 0);
    }

    #[test]
    fn a_secret_in_clear_is_neither_printed_nor_stored() {
        let of = |value| ConfigOverride { plugin: "zap".into(), key: "x".into(), value };
        for value in [SettingValue::Secret("hunter2".into()), SettingValue::Sealed("hunter2".into())] {
            assert!(!format!("{:?}", of(value)).contains("hunter2"));
        }
        let json = |value| serde_json::to_string(&of(value)).unwrap();
        assert_eq!(json(SettingValue::Plain("1".into())), r#"{"plugin":"zap","key":"x","value":"1"}"#);
        assert_eq!(
            json(SettingValue::Sealed("v1.a.b".into())),
            r#"{"plugin":"zap","key":"x","value":"v1.a.b","sealed":true}"#
        );
        assert_eq!(json(SettingValue::Secret("hunter2".into())), json(SettingValue::Hidden));
        for value in [SettingValue::Plain(String::new()), SettingValue::Sealed("v1.a.b".into()), SettingValue::Hidden] {
            assert_eq!(serde_json::from_str::<ConfigOverride>(&json(value.clone())).unwrap(), of(value));
        }
    }
}
