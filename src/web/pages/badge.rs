//! States as a word with a symbol: never by colour alone.

use kastrel_actors::model::{PluginStatus, ScanStatus, Severity, SeverityCounts};

use crate::web::text::words;

/// A state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Badge {
    /// The state's name, which is also its style.
    pub(crate) name: &'static str,
    pub(crate) symbol: &'static str,
    pub(crate) label: String,
}

impl Badge {
    /// All states of scans, for the script to choose from.
    pub(crate) fn of_scans() -> Vec<Self> {
        ScanStatus::ALL.iter().map(|status| (*status).into()).collect()
    }

    /// All states of plugins.
    pub(crate) fn of_plugins() -> Vec<Self> {
        PluginStatus::ALL.iter().map(|status| (*status).into()).collect()
    }
}

impl From<ScanStatus> for Badge {
    fn from(status: ScanStatus) -> Self {
        let symbol = match status {
            ScanStatus::Pending => "○",
            ScanStatus::Running => "◐",
            ScanStatus::Completed => "✓",
            ScanStatus::Failed => "✕",
            ScanStatus::Cancelled => "–",
        };
        Self { name: status.as_str(), symbol, label: words(status.as_str()) }
    }
}

impl From<PluginStatus> for Badge {
    fn from(status: PluginStatus) -> Self {
        let symbol = match status {
            PluginStatus::Pending => "○",
            PluginStatus::InProgress => "◐",
            PluginStatus::Completed => "✓",
            PluginStatus::Failed => "✕",
            PluginStatus::Skipped => "–",
            PluginStatus::Unavailable => "?",
        };
        Self { name: status.as_str(), symbol, label: words(status.as_str()) }
    }
}

/// How many issues of one severity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeverityChip {
    pub(crate) name: &'static str,
    pub(crate) count: u64,
}

/// The severities of which there are issues, worst first.
pub(crate) fn severities(counts: SeverityCounts) -> Vec<SeverityChip> {
    let count_of = |severity: Severity| match severity {
        Severity::Critical => counts.critical,
        Severity::High => counts.high,
        Severity::Medium => counts.medium,
        Severity::Low => counts.low,
        Severity::Informational => counts.informational,
        Severity::Unknown => counts.unknown,
    };
    Severity::ALL.iter().map(|severity| SeverityChip { name: severity.as_str(), count: count_of(*severity) }).filter(|chip| chip.count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_symbol_and_a_word_of_its_own() {
        for badges in [Badge::of_scans(), Badge::of_plugins()] {
            let mut symbols: Vec<&str> = badges.iter().map(|badge| badge.symbol).collect();
            symbols.sort_unstable();
            symbols.dedup();
            assert_eq!(symbols.len(), badges.len());
        }
        assert_eq!(Badge::from(PluginStatus::InProgress).label, "in progress");
    }
}
