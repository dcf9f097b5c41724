//! The words and cells for what the lists and the page of a finding show.

use comfy_table::Cell;
use jiff::Timestamp;
use kastrel_findings::Severity;
use kastrel_findings::lifecycle::Status;

use crate::api_types::FindingBody;
use crate::cli::table::severity;
use crate::human_time::relative;

/// Returns a cell with the severity of a finding.
pub(super) fn severity_cell(of: Severity) -> Cell {
    // Both enums have the same names.
    severity(of.name().parse().ok())
}

/// Returns the word for a status.
pub(super) const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::Confirmed => "confirmed",
        Status::Fixed => "fixed",
        Status::FalsePositive => "false positive",
        Status::Accepted => "accepted",
    }
}

/// Returns the status of a finding with what makes it special.
pub(super) fn state_of(finding: &FindingBody) -> String {
    let mut text = status_word(finding.status).to_owned();
    if finding.regressed {
        text.push_str(", regressed");
    }
    if finding.not_checked_since.is_some() {
        text.push_str(", not checked");
    }
    text
}

/// Returns when a finding is due.
pub(super) fn due_of(finding: &FindingBody, now: Timestamp) -> String {
    match (finding.sla.as_str(), finding.sla_at) {
        ("overdue", Some(at)) => format!("overdue, {}", relative(at.at(), now)),
        ("paused", Some(at)) => format!("accepted, ends {}", relative(at.at(), now)),
        (_, Some(at)) => relative(at.at(), now),
        (_, None) => String::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::api_types::{Moment, NotCheckedBody, SeenBody};

    /// Returns a finding whose texts are hostile.
    pub(in crate::cli::findings) fn finding(severity: Severity) -> FindingBody {
        let at = |seconds| Moment::of(Timestamp::from_second(seconds).unwrap());
        FindingBody {
            id: "0123456789abcdef0123".parse().unwrap(),
            target_id: "0123456789abcdef".parse().unwrap(),
            target: "https://shop.example".into(),
            project: "default".parse().unwrap(),
            plugin: "testssl".into(),
            issue: "tls1".into(),
            title: "TLS 1.0\u{1b}[2J offered".into(),
            place: "port 443\nfake line".into(),
            severity,
            category: None,
            status: Status::Open,
            regressed: true,
            first_seen: SeenBody { scan_id: 1, at: at(0) },
            last_seen: SeenBody { scan_id: 2, at: at(3_600) },
            open_since: at(0),
            not_checked_since: Some(NotCheckedBody {
                since: at(3_600),
                check: kastrel_findings::lifecycle::Check::Failed,
                reason: "the plugin failed".into(),
            }),
            sla: "overdue".into(),
            sla_at: Some(at(7_200)),
            owner: Some("ana".into()),
            members_count: 1,
            tags: Vec::new(),
        }
    }

    #[test]
    fn severities_of_findings_are_those_of_scans() {
        for severity in Severity::ALL {
            assert!(severity.name().parse::<kastrel_actors::model::Severity>().is_ok(), "{severity:?}");
        }
    }
}
