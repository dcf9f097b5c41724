//! Tests that no gate passes in any case in which a check did not run or an issue is hidden.

use std::sync::Arc;

use kastrel_actors::model::{Coverage, IssueRef, PluginStatus, ScanSnapshot, ScanStatus};
use kastrel_actors::testing::unchecked::ways;
use kastrel_actors::testing::{MemoryStore, PausedClock};

use super::*;
use crate::cli::view::tests::{plugin, view, with};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A completed scan with twelve completed checks.
fn scan() -> ScanView {
    with_coverage(|_| {})
}

fn with_coverage(change: impl FnOnce(&mut Coverage)) -> ScanView {
    let mut coverage = Coverage::default();
    (1..=12).for_each(|number| coverage.add(PluginStatus::Completed, format!("check{number}")));
    change(&mut coverage);
    with(view(ScanStatus::Completed), |scan| scan.coverage = Some(coverage.into()))
}

fn with_issues(counts: SeverityCounts, listed: &[(&str, Severity)]) -> ScanView {
    let issues = listed
        .iter()
        .map(|(title, severity)| IssueRef { id: (*title).into(), severity: *severity, title: (*title).into() })
        .collect();
    let results =
        vec![PluginBody { issues: Some(issues), severities: counts, ..plugin("testssl", PluginStatus::Completed) }];
    ScanView { results, ..with(scan(), |scan| scan.severities = counts) }
}

fn gate(require: Option<Require>, allowed: &[&str]) -> Gate {
    Gate { fail_on: Some(Severity::High), require, allowed: names(allowed) }
}

/// Returns the exit code of a scan with a gate.
fn code(scan: &ScanView, gate: &Gate) -> u8 {
    gate.judge(scan).exit_of_scan(scan.summary.status, false).code()
}

#[test]
fn a_scan_that_checked_everything_and_found_nothing_passes() {
    for require in [None, Some(Require::Any), Some(Require::All), Some(Require::None)] {
        assert_eq!(code(&scan(), &gate(require, &[])), 0, "{require:?}");
    }
    let alone = Gate { fail_on: None, require: Some(Require::All), allowed: Vec::new() };
    assert_eq!(code(&scan(), &alone), 0);
    assert!(!Gate::default().is_set() && alone.is_set());
}

#[test]
fn missing_checks_never_pass_a_gate() {
    let of = |status| with_coverage(|coverage| coverage.add(status, "testssl".into()));
    // A scan whose twelve checks all ended like this.
    let all = |status| {
        let mut coverage = Coverage::default();
        (1..=12).for_each(|number| coverage.add(status, format!("check{number}")));
        with(scan(), |scan| scan.coverage = Some(coverage.into()))
    };
    let ended = |status| with(scan(), |scan| scan.status = status);
    let unknown = SeverityCounts { unknown: 1, ..SeverityCounts::default() };
    // The case, the scan, and the codes for `any`, `all` and `none`.
    let table: Vec<(&str, ScanView, [u8; 3])> = vec![
        ("a plugin failed", of(PluginStatus::Failed), [11, 11, 0]),
        ("a result that cannot be read makes the plugin failed", of(PluginStatus::Failed), [11, 11, 0]),
        ("a tool is not installed", of(PluginStatus::Unavailable), [11, 11, 0]),
        ("the scanner skipped a selected plugin", of(PluginStatus::Skipped), [11, 11, 0]),
        ("a plugin was interrupted", of(PluginStatus::Interrupted), [11, 11, 0]),
        ("a plugin never ran", of(PluginStatus::NotRun), [11, 11, 0]),
        ("a plugin is not finished", of(PluginStatus::Pending), [11, 11, 0]),
        ("all plugins failed", all(PluginStatus::Failed), [11, 11, 11]),
        ("all tools are missing", all(PluginStatus::Unavailable), [11, 11, 11]),
        (
            "nothing was selected that runs in this mode",
            with(scan(), |scan| scan.coverage = Some(Coverage::default().into())),
            [11, 11, 11],
        ),
        (
            "only plugins that were not selected are known",
            with(scan(), |scan| scan.coverage = Some(Coverage::new(false, names(&["check1"])).into())),
            [11, 11, 11],
        ),
        ("a dry run checks nothing", with(scan(), |scan| scan.dry_run = true), [11, 11, 11]),
        ("a dry run, as its coverage has it", with_coverage(|coverage| coverage.dry_run = true), [11, 11, 11]),
        (
            "a server that says nothing of coverage, and names no plugins",
            with(scan(), |scan| scan.coverage = None),
            [11, 11, 11],
        ),
        (
            "a server that says nothing of coverage, and a failed plugin",
            ScanView {
                results: vec![plugin("a", PluginStatus::Completed), plugin("b", PluginStatus::Failed)],
                ..with(scan(), |scan| scan.coverage = None)
            },
            [11, 11, 0],
        ),
        (
            "the requested report is missing",
            ScanView { missing_report: Some("No PDF report".into()), ..scan() },
            [11, 11, 0],
        ),
        // Scans that did not complete never reach the gate; they keep the code of their end.
        ("the scan failed: nothing could be checked", ended(ScanStatus::Failed), [1, 1, 1]),
        ("the scan failed: KAST ended without results", ended(ScanStatus::Failed), [1, 1, 1]),
        ("the scan failed: the target does not resolve", ended(ScanStatus::Failed), [1, 1, 1]),
        ("the scan was cancelled", ended(ScanStatus::Cancelled), [3, 3, 3]),
        ("the scan has not ended", ended(ScanStatus::Running), [1, 1, 1]),
        // Issues that are not visible in the list.
        ("a registry without severities", with_issues(unknown, &[("odd", Severity::Unknown)]), [10, 10, 10]),
        (
            "issues beyond the bound of the list are counted",
            with_issues(
                SeverityCounts { high: 1, low: 1_339, ..SeverityCounts::default() },
                &[("weak", Severity::Low)],
            ),
            [10, 10, 10],
        ),
        (
            "issues that only the plugin counts",
            with(with_issues(SeverityCounts { critical: 1, ..SeverityCounts::default() }, &[]), |scan| {
                scan.severities = SeverityCounts::default();
            }),
            [10, 10, 10],
        ),
    ];
    for (what, scan, codes) in table {
        let by = |require| code(&scan, &gate(require, &[]));
        assert_eq!([by(Some(Require::Any)), by(Some(Require::All)), by(Some(Require::None))], codes, "{what}");
        assert_eq!(by(None), codes[0], "{what}: `any` is what --fail-on requires by itself");
        assert_ne!(codes[0], 0, "{what}");
        let only_coverage = Gate { fail_on: None, ..gate(Some(Require::Any), &[]) };
        assert!(code(&scan, &only_coverage) != 0 || codes[0] == 10, "{what}: coverage alone lets it pass");
    }
}

#[test]
fn allowed_failures_pass_any_only() {
    let scan = with_coverage(|coverage| {
        coverage.add(PluginStatus::Failed, "testssl".into());
        coverage.add(PluginStatus::Unavailable, "katana".into());
    });
    for (require, allowed, expected) in [
        (Require::Any, &["testssl", "katana"][..], 0),
        (Require::Any, &["TestSSL", "Katana", "other"], 0),
        (Require::Any, &["testssl"], 11),
        (Require::Any, &["test"], 11),
        (Require::All, &["testssl", "katana"], 11),
        (Require::None, &[], 0),
    ] {
        assert_eq!(code(&scan, &gate(Some(require), allowed)), expected, "{require:?} {allowed:?}");
    }
    let mut coverage = Coverage::default();
    (1..=12).for_each(|number| coverage.add(PluginStatus::Failed, format!("check{number}")));
    let nothing = with(scan, |scan| scan.coverage = Some(coverage.into()));
    let all: Vec<String> = (1..=12).map(|number| format!("check{number}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(code(&nothing, &gate(None, &all)), 11, "something must have run, whatever is allowed to fail");
}

#[test]
fn severities_are_compared_as_they_are_ordered() {
    let one = |severity| {
        let mut counts = SeverityCounts::default();
        counts.add(severity, 1);
        with_issues(counts, &[("it", severity)])
    };
    for (issue, least, expected) in [
        (Severity::Critical, Severity::High, 10),
        (Severity::High, Severity::High, 10),
        (Severity::Medium, Severity::High, 0),
        (Severity::Informational, Severity::Low, 0),
        (Severity::Informational, Severity::Informational, 10),
        (Severity::Unknown, Severity::Critical, 10),
        (Severity::Low, Severity::Unknown, 10),
    ] {
        let gate = Gate { fail_on: Some(least), ..Gate::default() };
        assert_eq!(code(&one(issue), &gate), expected, "{issue} {least}");
    }
}

#[test]
fn issues_take_precedence_over_coverage_and_both_are_shown() {
    let issues = with_issues(
        SeverityCounts { critical: 1, high: 2, ..SeverityCounts::default() },
        &[("Weak cipher", Severity::High), ("Old TLS", Severity::Critical), ("Late", Severity::Low)],
    );
    let gap = with_coverage(|coverage| coverage.add(PluginStatus::Unavailable, "katana".into()));
    let scan = with(issues, |scan| scan.coverage = gap.summary.coverage);
    let gate = gate(None, &[]);
    let judgement = gate.judge(&scan);
    assert_eq!(judgement.exit(), Exit::Found);
    insta::assert_snapshot!(judgement.lines(gate.fail_on).join("\n"), @r"
    Not passed: 3 issues at or above high (exit code 10)
      critical: Old TLS (testssl)
      high: Weak cipher (testssl)
      and 1 more
    Not passed: coverage incomplete
      Tool not installed: katana
    ");
}

#[tokio::test]
async fn played_scans_with_missing_checks_never_pass_a_gate() {
    let store = MemoryStore::new(Arc::new(PausedClock::default()));
    for way in ways() {
        let scan = ScanView::of(&ScanSnapshot::of(way.play(&store).await), None, None);
        for require in [None, Some(Require::Any), Some(Require::All)] {
            for fail_on in [Severity::Critical, Severity::Unknown] {
                let gate = Gate { fail_on: Some(fail_on), ..gate(require, &[]) };
                assert_ne!(code(&scan, &gate), 0, "{}: {require:?} {fail_on}", way.name);
            }
        }
        if way.ran == 0 {
            assert_ne!(code(&scan, &gate(Some(Require::None), &[])), 0, "{}: nothing was checked", way.name);
        }
    }
}

#[test]
fn only_a_scan_that_completed_can_pass() {
    use ScanStatus as S;
    let pass = Judgement::default();
    let found = Judgement { found: 2, ..Judgement::default() };
    let uncovered = Judgement { uncovered: vec!["Failed: testssl".into()], ..Judgement::default() };
    let both = Judgement { found: 1, ..uncovered.clone() };
    for (status, interrupted, judgement, expected) in [
        (S::Completed, false, &pass, 0),
        (S::Completed, true, &pass, 0),
        (S::Completed, false, &found, 10),
        (S::Completed, false, &uncovered, 11),
        (S::Completed, false, &both, 10),
        (S::Failed, false, &pass, 1),
        (S::Failed, true, &found, 10),
        (S::Failed, false, &uncovered, 11),
        (S::Failed, false, &both, 10),
        (S::Cancelled, false, &pass, 3),
        (S::Cancelled, true, &pass, 130),
        (S::Cancelled, false, &both, 3),
        (S::Pending, false, &pass, 1),
        (S::Running, false, &pass, 1),
    ] {
        assert_eq!(
            judgement.exit_of_scan(status, interrupted).code(),
            expected,
            "{status} {interrupted} {judgement:?}"
        );
    }
}
