//! A parsed target: its parts, and the forms in which it is shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::TargetError;
use super::host::{Host, Scheme};

/// A parsed target. Its `Display` form is passed to a scanner; it never starts with `-` and
/// contains no white space.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    pub(super) scheme: Option<Scheme>,
    pub(super) host: Host,
    pub(super) port: Option<u16>,
    /// With its leading `/`; empty unless the target was a URL with a path.
    pub(super) path: String,
}

impl Target {
    /// Checks that the current rules accept the target, whichever version stored it.
    ///
    /// # Errors
    /// The reason why they do not.
    pub fn check(&self) -> Result<(), TargetError> {
        self.to_string().parse::<Self>().map(|_| ())
    }

    /// Returns the host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port, if the target has one.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns the scheme, if the target has one.
    #[must_use]
    pub const fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// Returns the target with its host in Unicode, if that differs: `https://bücher.example` for
    /// `https://xn--bcher-kva.example`.
    #[must_use]
    pub fn unicode(&self) -> Option<String> {
        let Host::Name(name) = &self.host else { return None };
        if !name.contains("xn--") {
            return None;
        }
        let (host, result) = idna::domain_to_unicode(name);
        // Only a form that maps back to the same name, and that contains no character that changes
        // how a line is drawn.
        let is_plain = !host.chars().any(|c| {
            c.is_whitespace()
                || c.is_control()
                || ('\u{200b}'..='\u{200f}').contains(&c)
                || ('\u{202a}'..='\u{202e}').contains(&c)
        });
        let leads_back = idna::domain_to_ascii(&host).is_ok_and(|ascii| ascii == *name);
        (result.is_ok() && is_plain && leads_back && host != *name).then(|| self.written_with(&host))
    }

    /// Returns the displayed form of the target: both forms if it has two, so that neither can be
    /// mistaken for another host.
    #[must_use]
    pub fn label(&self) -> String {
        self.unicode().map_or_else(|| self.to_string(), |unicode| format!("{unicode} ({self})"))
    }

    fn written_with(&self, host: &str) -> String {
        let scheme = self.scheme.map(|scheme| format!("{}://", scheme.as_str())).unwrap_or_default();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}{host}{port}{}", self.path)
    }

    /// Returns the target as a folder name: letters, digits, `.`, `-` and `_` only, at most 100
    /// characters, never empty and never starting with `.` or `-`.
    #[must_use]
    pub fn folder_name(&self) -> String {
        let mut name: String = self
            .host
            .to_string()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' })
            .take(90)
            .collect();
        if let Some(port) = self.port {
            name.push('_');
            name.push_str(&port.to_string());
        }
        if name.starts_with(['.', '-']) { format!("_{name}") } else { name }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{}://", scheme.as_str())?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internationalised_names_are_shown_in_both_forms() {
        for (given, label) in [
            ("bücher.example", "bücher.example (xn--bcher-kva.example)"),
            (
                "https://XN--BCHER-KVA.example:444/a",
                "https://bücher.example:444/a (https://xn--bcher-kva.example:444/a)",
            ),
            ("пример.испытание", "пример.испытание (xn--e1afmkfd.xn--80akhbyknj4f)"),
            ("example.com", "example.com"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            let target: Target = given.parse().unwrap();
            assert_eq!(target.label(), label);
            assert_eq!(target.unicode().is_some(), label.contains('('));
        }
    }

    #[test]
    fn folder_names_stay_in_their_folder() {
        assert_eq!("[::1]:80".parse::<Target>().unwrap().folder_name(), "___1__80");
        assert_eq!("https://example.com:444/a/b".parse::<Target>().unwrap().folder_name(), "example.com_444");
    }
}
