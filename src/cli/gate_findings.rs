//! The gate of `kastrel scan --only-new` and `--baseline`: counts findings in place of issues, as a
//! pure function of the export of a scan.
//!
//! A finding counts if it has the severity of `--fail-on`, a worse one or an unknown one; if no
//! decision of a person is in force (false positive, accepted); if the baseline does not have it;
//! and, with `--only-new`, if the last comparable scan did not see it. What that scan did not check
//! is new unless it was open before. Without such a scan, all are new.

use kastrel_findings::Severity;

use super::gate::{Gate, Judgement, Require};
use super::text::{brief, plain};
use super::view::ScanView;
use crate::exports::baseline::KnownFindings;
use crate::exports::{Baseline, ExportedFinding, ExportedScan};

/// How many findings are listed.
const LISTED: usize = 20;

/// Counts the findings that fail a gate.
#[derive(Debug)]
pub(super) struct FindingCount<'a> {
    gate: &'a Gate,
    least: Option<Severity>,
    is_only_new: bool,
    known: Option<&'a KnownFindings>,
    found: u64,
    worst: Vec<(Severity, String)>,
}

impl<'a> FindingCount<'a> {
    /// Begins a count.
    #[must_use]
    pub(super) fn new(gate: &'a Gate, is_only_new: bool, known: Option<&'a KnownFindings>) -> Self {
        let least = gate.fail_on.and_then(|severity| Severity::read(severity.as_str()));
        Self { gate, least, is_only_new, known, found: 0, worst: Vec::new() }
    }

    /// Counts a finding, if it fails the gate.
    pub(super) fn add(&mut self, finding: &ExportedFinding) {
        if !self.fails(finding) {
            return;
        }
        self.found = self.found.saturating_add(1);
        let text = format!(
            "{}: {} at {} ({})",
            finding.severity.name(),
            brief(&finding.title, 120),
            brief(&finding.place, 120),
            brief(&finding.plugin, 60)
        );
        self.worst.push((finding.severity, text));
        if self.worst.len() >= 8 * LISTED {
            self.keep_worst();
        }
    }

    fn fails(&self, finding: &ExportedFinding) -> bool {
        let Some(least) = self.least else { return false };
        let is_bad = finding.severity <= least || finding.severity == Severity::Unknown;
        let is_known = self.known.is_some_and(|known| known.has(finding.fingerprint));
        let is_old = self.is_only_new && finding.baseline == Some(Baseline::Unchanged);
        is_bad && finding.baseline != Some(Baseline::Absent) && finding.decision().is_none() && !is_known && !is_old
    }

    fn keep_worst(&mut self) {
        self.worst.sort_by_key(|(severity, _)| *severity);
        self.worst.truncate(LISTED);
    }

    /// Returns the judgement of the scan. A result that could not be read completely may hide
    /// findings, so it counts as a check that did not run.
    pub(super) fn judge(mut self, scan: &ScanView, exported: &ExportedScan) -> Judgement {
        self.keep_worst();
        let mut uncovered = self.gate.judge(scan).uncovered;
        let require = self.gate.require.unwrap_or(Require::Any);
        let is_allowed = |plugin: &str| {
            require == Require::Any && self.gate.allowed.iter().any(|one| one.eq_ignore_ascii_case(plugin))
        };
        if require != Require::None {
            let in_part = exported.gaps().filter(|(plugin, gap)| gap.is_read_in_part && !is_allowed(plugin));
            let names: Vec<String> = in_part.map(|(plugin, _)| plain(plugin)).collect();
            if !names.is_empty() {
                uncovered.push(format!("Result not read completely: {}", names.join(", ")));
            }
        }
        Judgement {
            found: self.found,
            issues: self.worst.into_iter().map(|(_, text)| text).collect(),
            uncovered,
            of_findings: true,
            compared: self.is_only_new.then(|| compared(exported.compared_with)),
        }
    }
}

/// Returns what `--only-new` compared with. A job that is repeated is compared with its own first
/// run, so the number must be visible.
fn compared(earlier: Option<u64>) -> String {
    match earlier {
        Some(scan) => format!("New is what scan {scan} did not see"),
        None => "The target has no earlier comparable scan, so all findings are new".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{PluginStatus, ScanStatus};

    use super::*;
    use crate::cli::exit::Exit;
    use crate::cli::view::tests::{plugin, view};
    use crate::exports::testing::{finding, scan_head};

    fn gate() -> Gate {
        Gate { fail_on: Some(kastrel_actors::model::Severity::High), ..Gate::default() }
    }

    fn scan() -> ScanView {
        let mut scan = view(ScanStatus::Completed);
        scan.results = vec![plugin("testssl", PluginStatus::Completed)];
        // It is computed from the plugins.
        scan.summary.coverage = None;
        scan
    }

    #[test]
    fn finding_counts_by_severity_decision_baseline_and_newness() {
        let plain = finding(1);
        let with = |change: &dyn Fn(&mut ExportedFinding)| {
            let mut finding = plain.clone();
            change(&mut finding);
            finding
        };
        let known = KnownFindings::read(
            format!(
                "{{\"head\":{{}},\"findings\":[{{\"fingerprint\":\"{}\",\"origin\":\"https://shop.example\"}}]}}",
                plain.fingerprint.unwrap()
            )
            .as_bytes(),
            plain.origin.as_ref().unwrap(),
        )
        .unwrap();
        let cases: Vec<(&str, ExportedFinding, bool, bool, u64)> = vec![
            ("a high one", plain.clone(), false, false, 1),
            ("a medium one", with(&|one| one.severity = Severity::Medium), false, false, 0),
            ("one of unknown severity", with(&|one| one.severity = Severity::Unknown), false, false, 1),
            ("a decided one", crate::exports::testing::accepted(plain.clone()), false, false, 0),
            ("a known one", plain.clone(), false, true, 0),
            ("one that is not in the baseline", finding(2), false, true, 1),
            ("an old one", with(&|one| one.baseline = Some(Baseline::Unchanged)), true, false, 0),
            ("an old one, and old ones count", with(&|one| one.baseline = Some(Baseline::Unchanged)), false, false, 1),
            ("a new one", with(&|one| one.baseline = Some(Baseline::New)), true, false, 1),
            ("one without an earlier scan", plain.clone(), true, false, 1),
            ("a fixed one", with(&|one| one.baseline = Some(Baseline::Absent)), true, false, 0),
        ];
        let gate = gate();
        for (what, finding, is_only_new, has_baseline, expected) in cases {
            let mut count = FindingCount::new(&gate, is_only_new, has_baseline.then_some(&known));
            count.add(&finding);
            assert_eq!(count.found, expected, "{what}");
        }
    }

    #[test]
    fn worst_findings_are_listed_and_all_are_counted() {
        let gate = gate();
        let mut count = FindingCount::new(&gate, true, None);
        for number in 0..300 {
            let severity = if number == 299 { Severity::Critical } else { Severity::High };
            count.add(&ExportedFinding { severity, ..finding(number) });
        }
        let judgement = count.judge(&scan(), &scan_head());
        assert_eq!((judgement.found, judgement.issues.len()), (300, LISTED));
        assert!(judgement.issues[0].starts_with("critical: "), "{:?}", judgement.issues[0]);
        assert_eq!(judgement.exit(), Exit::Found);
        assert!(judgement.lines(gate.fail_on)[0].contains("300 findings"), "{:?}", judgement.lines(gate.fail_on));
    }

    #[test]
    fn scan_with_which_new_findings_were_compared_is_named() {
        let gate = gate();
        for (is_only_new, compared_with, said) in [
            (true, Some(12), Some("New is what scan 12 did not see")),
            (true, None, Some("The target has no earlier comparable scan, so all findings are new")),
            (false, Some(12), None),
        ] {
            let head = ExportedScan { compared_with, ..scan_head() };
            let judgement = FindingCount::new(&gate, is_only_new, None).judge(&scan(), &head);
            assert_eq!(judgement.compared.as_deref(), said);
        }
    }

    #[test]
    fn missing_coverage_and_a_result_read_in_part_fail_the_gate() {
        let gate = gate();
        let none =
            |gate: &Gate, head: &ExportedScan, scan: &ScanView| FindingCount::new(gate, true, None).judge(scan, head);
        assert_eq!(none(&gate, &scan_head(), &scan()).exit(), Exit::Done);
        let mut in_part = scan_head();
        in_part.checks.values_mut().for_each(|check| check.read_completely = false);
        let judgement = none(&gate, &in_part, &scan());
        assert_eq!(judgement.exit(), Exit::Uncovered);
        assert_eq!(judgement.uncovered, ["Result not read completely: testssl"]);
        let allowed = Gate { allowed: vec!["TestSSL".into()], ..gate.clone() };
        assert_eq!(none(&allowed, &in_part, &scan()).exit(), Exit::Done);
        let failed = ScanView { results: vec![plugin("testssl", PluginStatus::Failed)], ..scan() };
        assert_eq!(none(&gate, &scan_head(), &failed).exit(), Exit::Uncovered);
    }
}
