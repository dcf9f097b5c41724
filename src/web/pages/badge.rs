//! States as a word with an icon: colour alone never carries the meaning.

use kastrel_actors::model::{PluginStatus, ScanStatus, Severity, SeverityCounts};

use crate::web::text::sentence;

/// A badge that shows a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Badge {
    /// The state's name.
    pub(crate) name: &'static str,
    /// Its CSS class, without the prefix `is-`: states of one meaning share a colour.
    pub(crate) class: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) label: String,
}

impl Badge {
    /// A badge for a state that is no plugin's. Its CSS class has its name.
    pub(crate) fn new(name: &'static str, icon: &'static str, label: impl Into<String>) -> Self {
        Self { name, class: name, icon, label: label.into() }
    }
}

impl From<ScanStatus> for Badge {
    fn from(status: ScanStatus) -> Self {
        // Each state has its own icon, with the same name.
        Self::new(status.as_str(), status.as_str(), state_word(status))
    }
}

impl From<PluginStatus> for Badge {
    fn from(status: PluginStatus) -> Self {
        Self {
            name: status.as_str(),
            class: status.tone().css_class(),
            icon: status.icon(),
            label: sentence(status.text().word),
        }
    }
}

/// Returns the word that pages use for a scan's state.
pub(crate) const fn state_word(status: ScanStatus) -> &'static str {
    match status {
        ScanStatus::Pending => "Queued",
        ScanStatus::Running => "Running",
        ScanStatus::Completed => "Completed",
        ScanStatus::Failed => "Failed",
        ScanStatus::Cancelled => "Cancelled",
    }
}

/// The number of issues of one severity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeverityChip {
    pub(crate) name: &'static str,
    /// An icon with more bars for a higher severity.
    pub(crate) icon: &'static str,
    pub(crate) count: u64,
}

impl SeverityChip {
    pub(crate) const fn new(severity: Severity, count: u64) -> Self {
        let icon = match severity {
            Severity::Critical => "s4",
            Severity::High => "s3",
            Severity::Medium => "s2",
            Severity::Low => "s1",
            Severity::Informational => "s0",
            Severity::Unknown => "sx",
        };
        Self { name: severity.as_str(), icon, count }
    }
}

/// Returns the severities that have issues, worst first.
pub(crate) fn severities(counts: SeverityCounts) -> Vec<SeverityChip> {
    let count_of = |severity: Severity| match severity {
        Severity::Critical => counts.critical,
        Severity::High => counts.high,
        Severity::Medium => counts.medium,
        Severity::Low => counts.low,
        Severity::Informational => counts.informational,
        Severity::Unknown => counts.unknown,
    };
    Severity::ALL
        .iter()
        .map(|severity| SeverityChip::new(*severity, count_of(*severity)))
        .filter(|chip| chip.count > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_an_icon_and_a_word_of_its_own() {
        let sprite = include_str!("../../../templates/icons.svg");
        let scans: Vec<Badge> = ScanStatus::ALL.iter().map(|status| (*status).into()).collect();
        let plugins: Vec<Badge> = PluginStatus::ALL.iter().map(|status| (*status).into()).collect();
        for badges in [scans, plugins] {
            let mut icons: Vec<&str> = badges.iter().map(|badge| badge.icon).collect();
            assert!(icons.iter().all(|icon| sprite.contains(&format!("id=\"i-{icon}\""))), "{icons:?}");
            icons.sort_unstable();
            icons.dedup();
            assert_eq!(icons.len(), badges.len());
        }
        assert_eq!(
            (Badge::from(PluginStatus::InProgress).label.as_str(), Badge::from(ScanStatus::Running).label.as_str()),
            ("Running", "Running")
        );
        for severity in Severity::ALL {
            assert!(sprite.contains(&format!("id=\"i-{}\"", SeverityChip::new(*severity, 1).icon)));
        }
    }
}
