//! Findings for tests of exports.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kastrel_actors::model::{ProjectId, ScanStatus};
use kastrel_findings::lifecycle::{Decision, PluginEnd, Status};
use kastrel_findings::{IssueKey, Severity};

use super::{Encoder, ExportHead, ExportedCheck, ExportedFinding, ExportedLife, ExportedScan, Format, Subject};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A finding with high severity that is open. Its number is a part of all its names.
pub(crate) fn finding(number: u64) -> ExportedFinding {
    let seen = at("2026-11-23T10:00:00Z");
    ExportedFinding {
        id: format!("{number:020x}").parse().unwrap(),
        fingerprint: Some(format!("kfp1:{number:064x}").parse().unwrap()),
        target: "0123456789abcdef".parse().unwrap(),
        project: ProjectId::default(),
        plugin: "testssl".into(),
        issue: IssueKey::new(&format!("issue-{number}")),
        title: format!("TLS 1.0 offered {number}"),
        severity: Severity::High,
        category: Some("TLS".into()),
        origin: Some("https://shop.example".to_owned().try_into().unwrap()),
        address: "https://shop.example".into(),
        place: "shop.example:443 (TLSv1)".into(),
        location: String::new(),
        evidence: "offered (deprecated)".into(),
        references: vec!["CWE-326".into(), "https://docs.example/tls".into()],
        members: Vec::new(),
        members_count: 0,
        baseline: None,
        life: Some(ExportedLife {
            status: Status::Open,
            decision: None,
            regressed: false,
            first_seen: seen,
            last_seen: seen,
            open_since: seen,
            not_checked_since: None,
            not_checked_because: None,
            owner: None,
        }),
    }
}

/// A finding whose texts try what the formats interpret.
pub(crate) fn hostile(number: u64) -> ExportedFinding {
    ExportedFinding {
        title: "=cmd|'/C calc'!A1 [x](javascript:alert(1)) {0} <b>&</b>".into(),
        place: "https://shop.example/%0A::error::x, ]]>".into(),
        evidence: "first\r\n::set-env name=A::b\u{0}\u{1b}[31m".into(),
        ..finding(number)
    }
}

/// The finding with an acceptance that is in force.
pub(crate) fn accepted(mut finding: ExportedFinding) -> ExportedFinding {
    let life = finding.life.as_mut().unwrap();
    life.status = Status::Accepted;
    life.decision = Some(Decision::Accepted {
        reason: "old clients".into(),
        owner: "ana".into(),
        until: at("2027-01-31T00:00:00Z"),
        by: "user:ana".into(),
        at: at("2026-11-24T09:00:00Z"),
    });
    finding
}

/// The finding, marked as a false positive.
pub(crate) fn false_positive(mut finding: ExportedFinding) -> ExportedFinding {
    let life = finding.life.as_mut().unwrap();
    life.status = Status::FalsePositive;
    life.decision = Some(Decision::FalsePositive {
        reason: "the proxy answers".into(),
        by: "user:ana".into(),
        at: at("2026-11-24T09:00:00Z"),
    });
    finding
}

/// A scan that checked everything.
pub(crate) fn scan_head() -> ExportedScan {
    let check =
        ExportedCheck { end: PluginEnd::Completed, version: "3.2".into(), read_completely: true, left_out: false };
    ExportedScan {
        id: 7,
        target_text: "https://shop.example".into(),
        target: "0123456789abcdef".parse().unwrap(),
        project: ProjectId::default(),
        status: ScanStatus::Completed,
        ended_at: at("2026-11-30T12:00:00Z"),
        compared_with: None,
        checks: BTreeMap::from([("testssl".to_owned(), check)]),
    }
}

/// A scan with a plugin that failed, one that was read in part, and one that was left out.
pub(crate) fn scan_with_gaps() -> ExportedScan {
    let check = |end, read_completely| ExportedCheck {
        end,
        version: String::new(),
        read_completely,
        left_out: end == PluginEnd::Skipped,
    };
    let mut scan = scan_head();
    scan.checks.insert("katana".into(), check(PluginEnd::Failed, false));
    scan.checks.insert("zap".into(), check(PluginEnd::Completed, false));
    scan.checks.insert("wafw00f".into(), check(PluginEnd::Skipped, false));
    scan
}

/// The head of an export of a scan.
pub(crate) fn head_of(scan: ExportedScan) -> ExportHead {
    ExportHead::new(at("2026-11-30T12:01:00Z"), Subject::Scan(scan))
}

/// The export of findings, written one by one.
pub(crate) fn encoded(format: Format, head: ExportHead, findings: &[ExportedFinding]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(format, head), Vec::new());
    findings.iter().for_each(|finding| encoder.findings([finding], &mut out).unwrap());
    encoder.end(&mut out).unwrap();
    out
}

/// The export of a scan that checked everything.
pub(crate) fn exported(format: Format, findings: &[ExportedFinding]) -> Vec<u8> {
    encoded(format, head_of(scan_head()), findings)
}
