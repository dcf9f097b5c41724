//! Three scans of one target, from the files of plugins to the state of findings.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use kastrel_findings::compare::{Comparison, NotProven, ScanSide, compare};
use kastrel_findings::identity::{Fingerprint, ObservedFinding, current, roll_up};
use kastrel_findings::lifecycle::{
    Check, Event, Finding, Observation, PluginCheck, PluginEnd, ScanOrder, State, scans_to_fix,
};
use kastrel_findings::place::Origin;
use kastrel_findings::readers::{ReaderInput, Reading, read};
use kastrel_findings::scope::CheckScope;

const TARGET: &str = "shop.example";

/// One scan with one plugin.
struct Scan {
    order: ScanOrder,
    findings: Vec<ObservedFinding>,
    checks: BTreeMap<String, PluginCheck>,
}

impl Scan {
    fn new(number: u64, plugin: &str, end: PluginEnd, processed: Option<&[u8]>) -> Self {
        let at = Timestamp::from_second(1_800_000_000 + i64::try_from(number).unwrap() * 86_400).unwrap();
        let read = |processed| read(&ReaderInput { plugin, target: TARGET, processed, zap_report: None });
        let reading: Option<Reading> = processed.map(read);
        let scope =
            CheckScope { plugin: plugin.to_owned(), target: Origin::of_target(TARGET).ok(), settings: BTreeMap::new() };
        let check = PluginCheck::new(end, "3.2", scope, reading.as_ref(), current());
        Self {
            order: ScanOrder { at, scan: number, token: number },
            findings: reading.map(|reading| roll_up(&reading.sightings, current())).unwrap_or_default(),
            checks: BTreeMap::from([(plugin.to_owned(), check)]),
        }
    }

    fn side(&self) -> ScanSide<'_> {
        ScanSide { order: self.order, findings: &self.findings, checks: &self.checks }
    }
}

/// What the store would keep: the finding, and the last observation of it.
type Rows = BTreeMap<Fingerprint, (Finding, ObservedFinding)>;

/// Applies a scan to the rows, as ingestion would do it.
fn ingest(rows: &mut Rows, scan: &Scan) -> Vec<Event> {
    let mut events = Vec::new();
    let seen: BTreeMap<Fingerprint, &ObservedFinding> =
        scan.findings.iter().map(|finding| (finding.fingerprint, finding)).collect();
    for (fingerprint, (finding, observed)) in rows.iter_mut() {
        let Some(check) = scan.checks.get(&observed.plugin) else { continue };
        let observation = Observation {
            order: scan.order,
            check: check.check_for(&observed.issue, &check.scope.clone()),
            seen: seen.contains_key(fingerprint),
            plugin_version: &check.version,
        };
        let (next, more) = finding.clone().observe(&observation, scans_to_fix(&observed.plugin));
        *finding = next;
        events.extend(more);
    }
    for (fingerprint, observed) in seen {
        rows.entry(fingerprint).or_insert_with(|| {
            events.push(Event::Found);
            (Finding::first(scan.order), observed.clone())
        });
    }
    events
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/golden/input/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A complete result of testssl in which nothing is wrong any more.
fn clean() -> Vec<u8> {
    let text = String::from_utf8(file("testssl.issues")).unwrap();
    let fixed = ["LOW", "MEDIUM", "HIGH", "CRITICAL"]
        .iter()
        .fold(text, |text, severity| text.replace(&format!("\"severity\": \"{severity}\""), "\"severity\": \"OK\""));
    let mut document: serde_json::Value = serde_json::from_str(&fixed).unwrap();
    document["issues"] = serde_json::json!([]);
    document.to_string().into_bytes()
}

#[test]
fn a_scan_whose_testssl_failed_closes_nothing() {
    let first = Scan::new(1, "testssl", PluginEnd::Completed, Some(&file("testssl.issues")));
    let failed = Scan::new(2, "testssl", PluginEnd::Failed, Some(&file("testssl.real")));
    // The scan ended as completed, and the file says nothing: KAST 2 does that.
    let empty = Scan::new(3, "testssl", PluginEnd::Completed, Some(&file("testssl.no_output")));
    let (mut rows, all) = (Rows::new(), first.findings.len());
    assert_eq!((all, ingest(&mut rows, &first).len()), (7, 7));
    for scan in [&failed, &empty] {
        let events = ingest(&mut rows, scan);
        assert!(events.iter().all(|event| matches!(event, Event::NotChecked { .. })), "{events:?}");
        assert!(rows.values().all(|(finding, _)| finding.state == State::Open));
        assert!(rows.values().all(|(finding, _)| finding.not_checked_since().unwrap().0 == first.order.at));
        let comparison = compare(&first.side(), &scan.side(), &BTreeMap::new());
        assert_eq!((comparison.not_checked.len(), comparison.fixed.len()), (all, 0));
    }
    // The state is that of all facts: a repeated scan, and a restart within one, change nothing.
    let before = rows.clone();
    for scan in [&empty, &first, &failed] {
        assert_eq!(ingest(&mut rows, scan), []);
    }
    assert_eq!(rows, before);
}

#[test]
fn a_complete_scan_without_the_issues_proves_that_they_are_fixed() {
    let first = Scan::new(1, "testssl", PluginEnd::Completed, Some(&file("testssl.issues")));
    let second = Scan::new(2, "testssl", PluginEnd::Completed, Some(&clean()));
    let mut rows = Rows::new();
    ingest(&mut rows, &first);
    ingest(&mut rows, &second);
    for (finding, observed) in rows.values() {
        assert!(
            matches!(&finding.state, State::Fixed { proof } if proof[0].order == second.order && proof[0].plugin_version == "3.2"),
            "{}: {finding:?}",
            observed.issue
        );
    }
    let comparison = compare(&first.side(), &second.side(), &BTreeMap::new());
    assert_eq!((comparison.fixed.len(), comparison.not_checked.len()), (7, 0));
    // They come back.
    let third = Scan::new(3, "testssl", PluginEnd::Completed, Some(&file("testssl.issues")));
    let events = ingest(&mut rows, &third);
    assert_eq!(events, vec![Event::Regressed; 7]);
    let comparison = compare(&second.side(), &third.side(), &BTreeMap::new());
    assert!(comparison.new.len() == 7 && comparison.new.iter().all(|new| new.was_checked));
    let same = compare(&first.side(), &third.side(), &BTreeMap::new());
    assert_eq!(same, Comparison { unchanged: same.unchanged.clone(), ..Comparison::default() });
}

#[test]
fn a_test_without_a_result_closes_its_own_issue_not() {
    // The second scan could not test SWEET32; all else is clean.
    let mut document: serde_json::Value = serde_json::from_slice(&clean()).unwrap();
    let tests = document["findings"]["scanResult"][0]["vulnerabilities"].as_array_mut().unwrap();
    tests.iter_mut().find(|test| test["id"] == "SWEET32").unwrap()["severity"] = "WARN".into();
    let unclear = document.to_string();
    let first = Scan::new(1, "testssl", PluginEnd::Completed, Some(&file("testssl.issues")));
    let second = Scan::new(2, "testssl", PluginEnd::Completed, Some(unclear.as_bytes()));
    let comparison = compare(&first.side(), &second.side(), &BTreeMap::new());
    assert_eq!((comparison.fixed.len(), comparison.not_checked.len()), (6, 1));
    let why = comparison.not_checked[0].why;
    assert_eq!(why, NotProven::NotChecked(Check::ReadInPart));
}
