//! A scan's end in a table and a few lines.

use kastrel_actors::model::{ScanStatus, Severity};

use super::output::Style;
use super::table::{cell, numeric, plugin_status, rendered, severity, table};
use super::text::{brief, count, duration};
use super::view::{ScanView, number};

/// The plugins, the counts by severity, the report and how it ended.
#[must_use]
pub fn summary(scan: &ScanView, style: Style) -> String {
    let mut parts = Vec::new();
    if !scan.results.is_empty() {
        let mut plugins = table(style, &["Plugin", "State", "Findings", "Severity", "Message"]);
        for plugin in &scan.results {
            plugins.add_row([
                cell(&plugin.plugin_name),
                plugin_status(plugin.status),
                numeric(plugin.findings_count),
                severity(plugin.worst()),
                cell(plugin.message.as_deref().unwrap_or_default()),
            ]);
        }
        parts.push(rendered(&plugins));
        parts.push(String::new());
    }
    if let Some(issues) = issues(scan) {
        parts.push(format!("Issues:  {issues}"));
    }
    if let Some(scanner) = &scan.scanner {
        parts.push(format!("Scanner: {}", brief(&scanner.label(), 100)));
    }
    if let Some(report) = &scan.report {
        parts.push(format!("Report:  {}", brief(report, 4000)));
    }
    parts.push(outcome(scan));
    parts.join("\n")
}

/// `2 high, 1 low`.
fn issues(scan: &ScanView) -> Option<String> {
    let counts: Vec<String> = Severity::ALL
        .iter()
        .map(|severity| (number(&scan.severities, *severity), severity))
        .filter(|(number, _)| *number > 0)
        .map(|(number, severity)| format!("{number} {severity}"))
        .collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

/// How it stands or ended, in a sentence.
#[must_use]
pub fn outcome(scan: &ScanView) -> String {
    let mut text = format!("Scan {} of {}", scan.scan_id, brief(&scan.target, 200));
    text.push_str(&match scan.status {
        ScanStatus::Pending => " waits".into(),
        ScanStatus::Running => format!(" runs (attempt {})", scan.attempt),
        ScanStatus::Completed => " completed".into(),
        ScanStatus::Failed => " failed".into(),
        ScanStatus::Cancelled => " was cancelled".into(),
    });
    if let Some(seconds) = scan.duration {
        text.push_str(&format!(" after {}", duration(seconds)));
    }
    if scan.status == ScanStatus::Completed {
        text.push_str(&format!(" with {}", count(scan.findings_count, "finding")));
        if scan.plugins_failed > 0 {
            text.push_str(&format!("; {} failed", count(u64::try_from(scan.plugins_failed).unwrap_or(u64::MAX), "plugin")));
        }
    }
    let reason = scan.error_message.as_deref().or_else(|| scan.waiting.as_ref().and_then(|waiting| waiting.detail.as_deref()));
    if let Some(reason) = reason {
        text.push_str(&format!(": {}", brief(reason, 1000)));
    }
    text
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{PluginStatus, ScannerInfo, ScannerKind, SeverityCounts};

    use super::*;
    use crate::cli::view::PluginView;
    use crate::cli::view::tests::{one, plugin, view};

    fn scan() -> ScanView {
        let mut scan = view(ScanStatus::Completed);
        scan.results = vec![
            PluginView {
                findings_count: 12,
                severities: one(Severity::High),
                message: Some("Apache \u{1b}[31mred\nnew line".into()),
                ..plugin("whatweb", PluginStatus::Completed)
            },
            PluginView { message: Some("no answer".into()), ..plugin("testssl", PluginStatus::Failed) },
        ];
        scan.severities = SeverityCounts { high: 1, low: 2, ..SeverityCounts::default() };
        (scan.findings_count, scan.plugins_failed, scan.duration) = (12, 1, Some(83.4));
        scan.scanner = Some(ScannerInfo { kind: ScannerKind::Kast, version: "3.0.40".into() });
        scan.report = Some("data/results/x/attempt-1/kast_report.html".into());
        scan
    }

    #[test]
    fn the_end_is_told_whole() {
        insta::assert_snapshot!(summary(&scan(), Style::PLAIN), @r##"
         Plugin   State      Findings  Severity  Message
         whatweb  completed        12  high      Apache red new line
         testssl  failed            0  -         no answer

        Issues:  1 high, 2 low
        Scanner: KAST 3.0.40
        Report:  data/results/x/attempt-1/kast_report.html
        Scan 3 of example.com completed after 1 min 23 s with 12 findings; 1 plugin failed
        "##);
    }

    #[test]
    fn colour_is_for_those_who_want_it() {
        assert!(!summary(&scan(), Style::PLAIN).contains('\u{1b}'));
        assert!(summary(&scan(), Style { colour: true, ..Style::PLAIN }).contains('\u{1b}'));
    }

    #[test]
    fn a_failure_tells_its_reason() {
        let mut failed = view(ScanStatus::Failed);
        failed.error_message = Some("the scanner crashed".into());
        assert_eq!(summary(&failed, Style::PLAIN), "Scan 3 of example.com failed: the scanner crashed");
        assert_eq!(outcome(&view(ScanStatus::Cancelled)), "Scan 3 of example.com was cancelled");
    }
}
