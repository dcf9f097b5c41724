//! What the pages of findings and targets show in the same way: states, severities, dates to fix,
//! and the links between the pages.

use jiff::Timestamp;
use kastrel_actors::model::Severity as ModelSeverity;
use kastrel_findings::Severity;
use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::lifecycle::{Check, ScanOrder, Sla, Status};
use url::form_urlencoded;

use crate::service::findings::FindingFilter;
use crate::web::pages::badge::{Badge, SeverityChip};
use crate::web::text::MomentText;
use crate::web::zone::WallClock;

/// The path of the list of findings.
pub(crate) const FINDINGS: &str = "/findings";
/// The path of the list of targets.
pub(crate) const TARGETS: &str = "/targets";

/// Returns the badge of a status.
pub(crate) fn status_badge(status: Status) -> Badge {
    let (name, class, icon, label) = match status {
        Status::Open => ("open", "warning", "unavailable", "Open"),
        Status::Confirmed => ("confirmed", "failed", "failed", "Confirmed"),
        Status::Fixed => ("fixed", "completed", "completed", "Fixed"),
        Status::FalsePositive => ("false_positive", "still", "not_run", "False positive"),
        Status::Accepted => ("accepted", "pending", "pause", "Accepted"),
    };
    Badge { name, class, icon, label: label.into() }
}

/// Returns the chip of a severity with a number of findings.
pub(crate) const fn chip(severity: Severity, count: u64) -> SeverityChip {
    let severity = match severity {
        Severity::Critical => ModelSeverity::Critical,
        Severity::High => ModelSeverity::High,
        Severity::Medium => ModelSeverity::Medium,
        Severity::Low => ModelSeverity::Low,
        Severity::Informational => ModelSeverity::Informational,
        Severity::Unknown => ModelSeverity::Unknown,
    };
    SeverityChip::new(severity, count)
}

/// A scan, and the time at which it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScanMark {
    pub(crate) scan: u64,
    pub(crate) at: MomentText,
}

impl ScanMark {
    pub(crate) fn new(order: ScanOrder, clock: &WallClock) -> Self {
        Self { scan: order.scan, at: clock.moment(order.at) }
    }
}

/// When a finding is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DueView {
    pub(crate) words: &'static str,
    pub(crate) is_overdue: bool,
    pub(crate) at: MomentText,
}

/// Returns when a finding is due; `None` if it never is.
pub(crate) fn due(sla: Sla, clock: &WallClock) -> Option<DueView> {
    let (words, is_overdue, at) = match sla {
        Sla::None => return None,
        Sla::Due { at } => ("due", false, at),
        Sla::Overdue { at } => ("overdue since", true, at),
        Sla::Paused { until } => ("not due before", false, until),
    };
    Some(DueView { words, is_overdue, at: clock.moment(at) })
}

/// Since when something was not checked, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UncheckedView {
    pub(crate) since: MomentText,
    pub(crate) reason: &'static str,
}

impl UncheckedView {
    pub(crate) fn new((since, check): (Timestamp, Check), clock: &WallClock) -> Self {
        Self { since: clock.moment(since), reason: check.reason() }
    }
}

pub(crate) fn finding_url(id: FindingId) -> String {
    format!("{FINDINGS}/{id}")
}

pub(crate) fn target_url(id: TargetId) -> String {
    format!("{TARGETS}/{id}")
}

/// Returns the link to the list with these findings.
pub(crate) fn filter_url(filter: &FindingFilter) -> String {
    tokens_url(&filter.to_string())
}

/// Returns the link to the list with the findings of a line of tokens.
pub(crate) fn tokens_url(tokens: &str) -> String {
    if tokens.is_empty() {
        return FINDINGS.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", tokens).finish();
    format!("{FINDINGS}?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_and_severity_has_an_icon_of_the_sprite() {
        let sprite = include_str!("../../../../templates/icons.svg");
        let statuses = Status::ALL.map(status_badge);
        let icons = statuses.iter().map(|badge| badge.icon);
        for icon in icons.chain(Severity::ALL.map(|severity| chip(severity, 1).icon)) {
            assert!(sprite.contains(&format!("id=\"i-{icon}\"")), "{icon}");
        }
        for severity in Severity::ALL {
            assert_eq!(chip(severity, 3).name, severity.name());
        }
    }

    #[test]
    fn date_to_fix_is_shown_unless_there_is_none() {
        let (clock, at) = (WallClock::sample(), Timestamp::UNIX_EPOCH);
        let words = |sla| due(sla, &clock).map(|due| (due.words, due.is_overdue));
        for (sla, expected) in [
            (Sla::None, None),
            (Sla::Due { at }, Some(("due", false))),
            (Sla::Overdue { at }, Some(("overdue since", true))),
            (Sla::Paused { until: at }, Some(("not due before", false))),
        ] {
            assert_eq!(words(sla), expected, "{sla:?}");
        }
    }

    #[test]
    fn tokens_are_escaped_in_links() {
        assert_eq!(tokens_url(""), "/findings");
        assert_eq!(tokens_url("target:\"a b\" <x>&"), "/findings?q=target%3A%22a+b%22+%3Cx%3E%26");
    }
}
