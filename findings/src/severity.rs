//! The severity of an issue.

use serde::{Deserialize, Serialize};

/// The severity of an issue, by KAST's names. The order is from worst to mildest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Data or control is lost, or can be lost by one request.
    Critical,
    /// An attacker gains something of value with little effort.
    High,
    /// A weakness that needs a second weakness, or the help of a victim.
    Medium,
    /// A missing layer of defence.
    Low,
    /// A fact that is no weakness by itself.
    Informational,
    /// The plugin and the registry give no severity.
    Unknown,
}

impl Severity {
    /// All severities, worst first.
    pub const ALL: [Self; 6] =
        [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Informational, Self::Unknown];

    /// Returns the name in files and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Informational => "informational",
            Self::Unknown => "unknown",
        }
    }

    /// Reads the word of a scanner, in any case. `None`: the word is no severity.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        let word = word.trim();
        match word.to_ascii_lowercase().as_str() {
            "info" => Some(Self::Informational),
            "moderate" | "med" => Some(Self::Medium),
            other => Self::ALL.into_iter().find(|severity| severity.name() == other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_severity_is_read_by_its_name() {
        for severity in Severity::ALL {
            assert_eq!(Severity::read(severity.name()), Some(severity));
            assert_eq!(Severity::read(&format!(" {} ", severity.name().to_uppercase())), Some(severity));
            assert_eq!(serde_json::to_string(&severity).unwrap(), format!("{:?}", severity.name()));
        }
        assert_eq!(Severity::read("Info"), Some(Severity::Informational));
        assert_eq!(Severity::read("WARN"), None);
        assert!(Severity::Critical < Severity::High);
    }
}
