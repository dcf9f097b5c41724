//! Secrets and URLs that may contain a password, with their redaction.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// The text shown in place of a secret.
pub(super) const HIDDEN: &str = "***";

/// A URL that hides its password unless it is exposed explicitly.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Returns the URL with its password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretUrl {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Without this check, `user:password@host` would be a URL with the scheme `user`.
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

/// A text that is hidden unless it is exposed explicitly.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Creates a secret from a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
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

/// Hides the password of a URL, and query values that look like secrets. A text that is not a URL
/// but contains an `@` loses everything before the last `@`.
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
    fn redaction_hides_every_secret() {
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
