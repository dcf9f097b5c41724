//! Secrets, URLs that may hold a password, and how they are shown.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// What stands in place of a secret.
pub(super) const HIDDEN: &str = "***";

/// A URL whose password is only given out on purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The whole URL, with its password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretUrl {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `user:password@host` would be a URL with the scheme `user`.
        if !text.contains("://") {
            return Err(url::ParseError::RelativeUrlWithoutBase);
        }
        Url::parse(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({})", redact(&self.0))
    }
}

/// A text that is only given out on purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Keeps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretText({HIDDEN})")
    }
}

/// The text with the password of a URL, and query values that look like secrets, hidden. Text that
/// is no URL but holds an `@` loses everything before it.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut url = match (Url::parse(text), text.rsplit_once('@')) {
        (Ok(url), _) if text.contains("://") => url,
        (_, Some((_, rest))) => return format!("{HIDDEN}@{rest}"),
        (_, None) => return text.to_owned(),
    };
    if url.password().is_some() && url.set_password(Some(HIDDEN)).is_err() {
        return HIDDEN.to_owned();
    }
    if url.query().is_some() {
        let secret = |name: &str| {
            ["pass", "secret", "token", "key", "auth"].iter().any(|word| name.to_ascii_lowercase().contains(word))
        };
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| (name.to_string(), if secret(&name) { HIDDEN.into() } else { value.into_owned() }))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        for (given, shown) in [
            ("redis://:hunter2@redis:6379/0", "redis://:***@redis:6379/0"),
            ("ws://root:hunter2@db:8000/a/b", "ws://root:***@db:8000/a/b"),
            ("redis://redis:6379/0", "redis://redis:6379/0"),
            ("wss://db/x?token=hunter2&ns=a", "wss://db/x?token=***&ns=a"),
            ("root:hunter2@db", "***@db"),
            (":hunter2@db@x", "***@x"),
            ("plain", "plain"),
        ] {
            assert_eq!(redact(given), shown);
            if let Ok(url) = given.parse::<SecretUrl>() {
                assert!(!format!("{url} {url:?}").contains("hunter2"));
                assert_eq!(url.expose(), given);
            }
        }
    }
}
