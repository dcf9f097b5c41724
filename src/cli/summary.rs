//! The summary of a scan: a table and a few lines.

use jiff::Timestamp;
use kastrel_actors::model::{ScanStatus, Severity};
use kastrel_actors::policy::reports::kept_from;

use super::output::Style;
use super::table::{Column, cell, grid, numeric, plugin_status, severity};
use super::text::{brief, count, duration, uncapitalised, wrapped};
use super::view::ScanView;
use crate::api_types::PluginBody;
use crate::human_time::relative;

/// Returns the plugins, the coverage, the issues, the report, and the state or end of the scan.
#[must_use]
pub fn summary(scan: &ScanView, now: Timestamp, style: Style) -> String {
    let mut parts = Vec::new();
    if !scan.results.is_empty() {
        let columns = [
            Column::text("Plugin", 0),
            Column::new("State", 0),
            Column::new("Issues", 1),
            Column::new("Worst", 2),
            Column::new("Items", 3),
            Column::text("Message", 4),
        ];
        let row = |plugin: &PluginBody| {
            vec![
                cell(&plugin.plugin_name),
                plugin_status(plugin.status),
                numeric(plugin.severities.total()),
                severity(plugin.severities.worst()),
                numeric(plugin.findings_count),
                cell(plugin.message.as_deref().unwrap_or_default()),
            ]
        };
        parts.push(grid(style, &columns, scan.results.iter().map(row).collect()));
        parts.push(String::new());
    }
    parts.extend(coverage(scan, style));
    parts.extend(issues(scan).map(|issues| format!("Issues:   {issues}")));
    if scan.summary.findings_count > 0 {
        parts.push(format!("Items:    {}", count(scan.summary.findings_count, "collected item")));
    }
    if let Some(scanner) = &scan.progress.scanner {
        parts.push(format!("Scanner:  {}", brief(&scanner.label(), 100)));
    }
    let times = &scan.summary;
    let times = [("submitted", times.created_at), ("started", times.started_at), ("ended", times.completed_at)];
    let times: Vec<String> =
        times.iter().filter_map(|(what, at)| at.map(|at| format!("{what} {}", relative(at.at(), now)))).collect();
    if !times.is_empty() {
        parts.push(format!("Time:     {}", times.join(", ")));
    }
    if let Some(report) = &scan.report {
        parts.push(format!("Report:   {}", brief(report, 4000)));
    }
    if let Some(missing) = &scan.missing_report {
        parts.push(format!("Report:   {}", brief(missing, 200)));
    }
    let attempts = scan.results.iter().filter_map(|plugin| plugin.attempt);
    if let Some(kept) = kept_from(attempts, scan.summary.status.is_terminal()) {
        parts.push(format!("Kept:     {}", wrapped(&kept, 10, style.width).trim_start()));
    }
    parts.push(outcome(scan));
    parts.join("\n")
}

/// Returns the coverage, with each cause of gaps once.
fn coverage(scan: &ScanView, style: Style) -> Vec<String> {
    let coverage = scan.coverage();
    if coverage.total == 0 && !scan.summary.status.is_terminal() {
        return Vec::new();
    }
    let mut lines = vec![format!("Coverage: {}", brief(&coverage.label, 100))];
    if scan.summary.dry_run {
        return lines;
    }
    let causes = coverage.causes().filter(|(_, names)| !names.is_empty());
    lines.extend(
        causes.map(|(cause, names)| wrapped(&format!("{cause}: {}", brief(&names.join(", "), 500)), 10, style.width)),
    );
    if !coverage.left_out.is_empty() && scan.summary.status.is_terminal() {
        lines.push(format!("          Not selected: {}", count(coverage.left_out.len() as u64, "plugin")));
    }
    lines
}

/// Returns the issues by severity, `2 high, 1 low`, or why there are none.
fn issues(scan: &ScanView) -> Option<String> {
    let counts: Vec<String> = Severity::ALL
        .iter()
        .map(|severity| (scan.summary.severities.number(*severity), severity))
        .filter(|(number, _)| *number > 0)
        .map(|(number, severity)| format!("{number} {severity}"))
        .collect();
    if !counts.is_empty() {
        return Some(counts.join(", "));
    }
    let coverage = scan.coverage();
    match scan.summary.status {
        ScanStatus::Pending | ScanStatus::Running => None,
        _ if scan.summary.dry_run => Some("not checked: dry run".into()),
        _ if coverage.nothing_checked => Some("not checked: no check completed".into()),
        _ if coverage.gaps > 0 => Some("none found by the checks that ran".into()),
        _ => Some("none found".into()),
    }
}

/// Returns the state or end of the scan in one sentence.
#[must_use]
pub fn outcome(scan: &ScanView) -> String {
    let mut text = format!("Scan {} of {}", scan.summary.scan_id, brief(&scan.target_label(), 200));
    text.push_str(&match scan.summary.status {
        ScanStatus::Pending if scan.progress.waiting.as_ref().is_some_and(|waiting| !waiting.text.is_empty()) => {
            String::new()
        }
        ScanStatus::Pending => " is queued".into(),
        ScanStatus::Running => format!(" is running (attempt {})", scan.summary.attempt),
        ScanStatus::Completed => " completed".into(),
        ScanStatus::Failed => " failed".into(),
        ScanStatus::Cancelled => " was cancelled".into(),
    });
    if let Some(seconds) = scan.summary.duration {
        text.push_str(&format!(" after {}", duration(seconds)));
    }
    if scan.summary.status == ScanStatus::Completed {
        let coverage = scan.coverage();
        if scan.summary.dry_run {
            text.push_str("; dry run, nothing was checked");
        } else {
            text.push_str(&format!(" with {}", count(scan.summary.severities.total(), "issue")));
            if coverage.gaps > 0 {
                text.push_str(&format!("; {}", count(coverage.gaps as u64, "gap")));
            }
        }
    }
    if let Some(waiting) = &scan.progress.waiting {
        let reason = if waiting.text.is_empty() {
            waiting.detail.clone().unwrap_or_default()
        } else {
            uncapitalised(&waiting.text)
        };
        text.push_str(&format!(": {}", brief(&reason, 1000)));
    } else if let Some(reason) = &scan.summary.error_message {
        text.push_str(&format!(": {}", brief(reason, 1000)));
    }
    text
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{PluginStatus, ScannerInfo, ScannerKind, SeverityCounts};

    use super::*;
    use crate::api_types::WaitingBody;
    use crate::cli::view::tests::{one, plugin, view, with};

    fn scan() -> ScanView {
        let mut scan = with(view(ScanStatus::Completed), |scan| scan.coverage = None);
        scan.results = vec![
            PluginBody {
                findings_count: 12,
                severities: one(Severity::High),
                message: Some("Apache \u{1b}[31mred\nnew line".into()),
                ..plugin("whatweb", PluginStatus::Completed)
            },
            PluginBody { message: Some("no answer".into()), ..plugin("testssl", PluginStatus::Failed) },
            plugin("katana", PluginStatus::Unavailable),
        ];
        scan.summary.severities = SeverityCounts { high: 1, low: 2, ..SeverityCounts::default() };
        (scan.summary.findings_count, scan.summary.plugins_failed, scan.summary.duration) = (12, 1, Some(83.4));
        scan.progress.scanner =
            Some(ScannerInfo { kind: ScannerKind::Kast, version: "3.0.40".into(), configuration: None });
        scan.report = Some("data/results/x/attempt-1/kast_report.html".into());
        scan
    }

    fn now() -> Timestamp {
        Timestamp::from_second(600).unwrap()
    }

    #[test]
    fn summary_shows_the_end_and_the_coverage() {
        insta::assert_snapshot!(summary(&scan(), now(), Style::PLAIN), @r##"
         Plugin   State        Issues  Worst  Items  Message
         whatweb  completed         1  high      12  Apache red new line
         testssl  failed            0  -          0  no answer
         katana   unavailable       0  -          0

        Coverage: 1 of 3 checks ran
                  Failed: testssl
                  Tool not installed: katana
        Issues:   1 high, 2 low
        Items:    12 collected items
        Scanner:  KAST 3.0.40
        Time:     submitted 10 min ago
        Report:   data/results/x/attempt-1/kast_report.html
        Scan 3 of example.com completed after 1 min 23 s with 3 issues; 2 gaps
        "##);
    }

    #[test]
    fn no_issue_is_not_the_same_as_not_checked() {
        for (states, dry_run, expected) in [
            (vec![PluginStatus::Completed], false, "Issues:   none found\n"),
            (
                vec![PluginStatus::Completed, PluginStatus::Failed],
                false,
                "Issues:   none found by the checks that ran\n",
            ),
            (vec![PluginStatus::Failed], false, "Issues:   not checked: no check completed\n"),
            (vec![], false, "Issues:   not checked: no check completed\n"),
            (vec![], true, "Issues:   not checked: dry run\n"),
        ] {
            let results = states.into_iter().map(|status| plugin("a", status)).collect();
            let text = summary(
                &ScanView {
                    results,
                    ..with(view(ScanStatus::Completed), |scan| (scan.dry_run, scan.coverage) = (dry_run, None))
                },
                now(),
                Style::PLAIN,
            );
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn summary_of_a_waiting_scan_shows_the_reason() {
        let text = "Queued, 3rd in line. Starts when a slot is free.".to_owned();
        let waiting = Some(WaitingBody { reason: "queued".into(), position: Some(3), text, ..WaitingBody::default() });
        let mut scan = view(ScanStatus::Pending);
        scan.progress.waiting = waiting;
        assert_eq!(outcome(&scan), "Scan 3 of example.com: queued, 3rd in line. Starts when a slot is free.");
        assert!(!summary(&scan, now(), Style::PLAIN).contains("Issues"), "nothing is known yet");
    }

    #[test]
    fn every_line_fits_a_narrow_terminal_but_what_cannot_be_broken() {
        for width in [60, 80, 120] {
            let text =
                summary(&ScanView { report: None, ..scan() }, now(), Style { width: Some(width), ..Style::PLAIN });
            let table = text.split("\n\n").next().unwrap();
            assert!(table.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{text}");
        }
    }

    #[test]
    fn summary_of_a_resumed_scan_says_what_its_report_does_not_have() {
        let mut resumed =
            ScanView { results: vec![plugin("a", PluginStatus::Completed)], ..view(ScanStatus::Completed) };
        assert!(!summary(&resumed, now(), Style::PLAIN).contains("Kept:"));
        resumed.results[0].attempt = Some(kastrel_actors::model::AttemptNumber(1));
        let text = summary(&resumed, now(), Style::PLAIN);
        let note =
            "Kept:     The results of 1 plugin are kept from attempt 1. The report has only those of the last attempt.";
        assert!(text.contains(note), "{text}");
    }

    #[test]
    fn summary_has_colour_only_if_enabled() {
        assert!(!summary(&scan(), now(), Style::PLAIN).contains('\u{1b}'));
        assert!(summary(&scan(), now(), Style { colour: true, ..Style::PLAIN }).contains('\u{1b}'));
    }

    #[test]
    fn summary_of_a_failed_scan_shows_the_reason() {
        let mut failed = view(ScanStatus::Failed);
        failed.summary.error_message = Some("the scanner crashed".into());
        assert_eq!(outcome(&failed), "Scan 3 of example.com failed: the scanner crashed");
        assert_eq!(outcome(&view(ScanStatus::Cancelled)), "Scan 3 of example.com was cancelled");
    }
}
