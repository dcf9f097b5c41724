//! `JUnit` XML: one suite a plugin, and one case a finding. A plugin that did not check everything
//! is an error and no success. A finding with a decision is skipped, an informational one passes.
//!
//! The format has the counts of a suite before its cases, so the cases are collected, at most
//! [`MOST_CASES`]. What is beyond them is an error.

use std::collections::BTreeMap;

use kastrel_findings::Severity;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::finding::{Baseline, ExportedFinding, decision_text};
use super::head::ExportHead;
use super::writer::{EncodeError, Writer};

/// The limit for the cases of a report.
const MOST_CASES: usize = 10_000;

#[derive(Default)]
pub(super) struct JunitWriter {
    suites: BTreeMap<String, Vec<TestCase>>,
    cases: usize,
    left_out: u64,
}

impl Writer for JunitWriter {
    fn begin(&mut self, head: &ExportHead, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Some(scan) = head.scan() else { return Ok(()) };
        for (plugin, gap) in scan.gaps() {
            let status = if gap.is_left_out {
                let mut status = TestCaseStatus::skipped();
                status.set_message(format!("Not checked: {}", gap.reason));
                status
            } else {
                non_success(NonSuccessKind::Error, "not_checked", &format!("Not checked: {}", gap.reason), "")
            };
            self.add(plugin, case("the check ran completely", plugin, status));
        }
        for (plugin, _) in scan.checks.iter().filter(|(_, check)| check.gap().is_none()) {
            self.add(plugin, case("the check ran completely", plugin, TestCaseStatus::success()));
        }
        if !scan.is_complete() && scan.gaps().all(|(_, gap)| gap.is_left_out) {
            let text = format!("The scan ended as {}, and checked nothing", scan.status);
            let status = non_success(NonSuccessKind::Error, "not_checked", &text, "");
            self.add("kastrel", case("the scan checked something", "scan", status));
        }
        Ok(())
    }

    fn finding(&mut self, finding: &ExportedFinding, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        if finding.baseline == Some(Baseline::Absent) {
            return Ok(());
        }
        if self.cases >= MOST_CASES {
            self.left_out += 1;
            return Ok(());
        }
        let status = match finding.decision() {
            Some(decision) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(decision_text(decision));
                status
            }
            None if finding.severity == Severity::Informational => TestCaseStatus::success(),
            None => {
                let new = if finding.baseline == Some(Baseline::New) { "new, " } else { "" };
                let message = format!("{new}{}: {} at {}", finding.severity.name(), finding.title, finding.place);
                non_success(NonSuccessKind::Failure, finding.severity.name(), &message, &description(finding))
            }
        };
        let name = format!("{} at {}", finding.title, finding.place);
        self.add(&finding.plugin, case(&name, finding.issue.as_str(), status));
        Ok(())
    }

    fn end(&mut self, head: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.left_out > 0 {
            let text = format!("{} further findings are not in this file", self.left_out);
            let status = non_success(NonSuccessKind::Error, "cut", &text, "");
            self.add("kastrel", case("all findings are in this file", "export", status));
        }
        let name = head
            .scan()
            .map_or_else(|| "Kastrel".to_owned(), |scan| format!("Kastrel: scan {} of {}", scan.id, scan.target_text));
        let mut report = Report::new(name);
        for (plugin, cases) in std::mem::take(&mut self.suites) {
            let mut suite = TestSuite::new(plugin);
            suite.add_test_cases(cases);
            report.add_test_suite(suite);
        }
        report.serialize(&mut *out).map_err(EncodeError::write)?;
        if !out.ends_with(b"\n") {
            out.push(b'\n');
        }
        Ok(())
    }
}

impl JunitWriter {
    fn add(&mut self, plugin: &str, case: TestCase) {
        self.cases += 1;
        self.suites.entry(plugin.to_owned()).or_default().push(case);
    }
}

fn case(name: &str, class: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

fn non_success(kind: NonSuccessKind, what: &str, message: &str, description: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(what);
    status.set_message(message);
    if !description.is_empty() {
        status.set_description(description);
    }
    status
}

fn description(finding: &ExportedFinding) -> String {
    let mut lines = vec![format!("{} [{}] at {}", finding.title, finding.rule(), finding.address)];
    if !finding.evidence.is_empty() {
        lines.push(format!("Evidence: {}", finding.evidence));
    }
    if !finding.references.is_empty() {
        lines.push(format!("References: {}", finding.references.join(" ")));
    }
    if let Some(print) = finding.fingerprint {
        lines.push(format!("Fingerprint: {print}"));
    }
    lines.join("\n")
}
