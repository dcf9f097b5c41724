use proptest::prelude::*;

use super::*;
use crate::identity::{current, roll_up};
use crate::lifecycle::PluginEnd;
use crate::place::{Origin, Place};
use crate::scope::{CheckScope, ScopeValue};
use crate::sighting::{IssueKey, Sighting};

fn order(scan: u64) -> ScanOrder {
    ScanOrder {
        at: jiff::Timestamp::from_second(1_700_000_000 + i64::try_from(scan).unwrap()).unwrap(),
        scan,
        token: 1,
    }
}

fn check(plugin: &str, end: PluginEnd) -> PluginCheck {
    let scope = CheckScope {
        plugin: plugin.to_owned(),
        target: Origin::of_target("shop.example").ok(),
        settings: BTreeMap::new(),
    };
    PluginCheck {
        end,
        version: "1.2".into(),
        scope,
        read_completely: true,
        inconclusive: BTreeSet::new(),
        kept_from: None,
    }
}

fn findings(list: &[(&str, &str)]) -> Vec<ObservedFinding> {
    let target = Origin::of_target("shop.example").unwrap();
    let sightings: Vec<Sighting> =
        list.iter().map(|(plugin, path)| Sighting::new(plugin, "issue", Place::guess(path, Some(&target)))).collect();
    roll_up(&sightings, current())
}

fn of(plugins: &[(&str, PluginEnd)]) -> BTreeMap<String, PluginCheck> {
    plugins.iter().map(|(name, end)| ((*name).to_owned(), check(name, *end))).collect()
}

#[test]
fn kept_check_fixes_only_what_was_seen_before_it() {
    let before = findings(&[("exposed_files", "/a")]);
    let checks = of(&[("exposed_files", PluginEnd::Completed)]);
    let earlier = ScanSide { order: order(5), findings: &before, checks: &checks };
    for (ran, fixed) in [(4, 0), (6, 1)] {
        let from = ScanOrder { scan: 9, token: 0, ..order(ran) };
        let kept = PluginCheck { kept_from: Some(from), ..check("exposed_files", PluginEnd::Completed) };
        let checks = BTreeMap::from([("exposed_files".to_owned(), kept)]);
        let later = ScanSide { order: order(9), findings: &[], checks: &checks };
        let comparison = compare(&earlier, &later, &BTreeMap::new());
        assert_eq!(comparison.fixed.len(), fixed);
        assert!(comparison.fixed.iter().all(|fixed| fixed.proof.order == from), "the proof is that attempt");
        assert!(comparison.not_checked.iter().all(|one| one.why == NotProven::OlderCheck));
    }
}

#[test]
fn each_end_of_a_check_has_its_class() {
    let before = findings(&[("exposed_files", "/a")]);
    let checks = of(&[("exposed_files", PluginEnd::Completed)]);
    let earlier = ScanSide { order: order(1), findings: &before, checks: &checks };
    let ends = [
        (PluginEnd::Failed, Check::Failed),
        (PluginEnd::TimedOut, Check::TimedOut),
        (PluginEnd::Skipped, Check::Skipped),
        (PluginEnd::Unavailable, Check::Unavailable),
        (PluginEnd::Cancelled, Check::Cancelled),
        (PluginEnd::DryRun, Check::DryRun),
    ];
    for (end, expected) in ends {
        let checks = of(&[("exposed_files", end)]);
        let later = ScanSide { order: order(2), findings: &[], checks: &checks };
        let result = compare(&earlier, &later, &BTreeMap::new());
        assert_eq!(result.not_checked[0].why, NotProven::NotChecked(expected));
        assert!(result.fixed.is_empty());
    }
    let later = ScanSide { order: order(2), findings: &[], checks: &checks };
    let result = compare(&earlier, &later, &BTreeMap::new());
    assert_eq!(result.fixed[0].proof, Proof::new(order(2), "1.2"));
    let nothing = BTreeMap::new();
    let result = compare(&earlier, &ScanSide { checks: &nothing, ..later }, &BTreeMap::new());
    assert_eq!(result.not_checked[0].why, NotProven::NotChecked(Check::Skipped));
}

#[test]
fn a_partial_reading_and_a_narrower_scope_fix_nothing() {
    let before = findings(&[("exposed_files", "/a")]);
    let checks = of(&[("exposed_files", PluginEnd::Completed)]);
    let earlier = ScanSide { order: order(1), findings: &before, checks: &checks };
    let why = |change: &dyn Fn(&mut PluginCheck)| {
        let mut checks = checks.clone();
        change(checks.get_mut("exposed_files").unwrap());
        let later = ScanSide { order: order(2), findings: &[], checks: &checks };
        compare(&earlier, &later, &BTreeMap::new()).not_checked[0].why
    };
    let in_part = NotProven::NotChecked(Check::ReadInPart);
    assert_eq!(why(&|check| check.read_completely = false), in_part);
    assert_eq!(why(&|check| check.inconclusive = BTreeSet::from([IssueKey::new("issue")])), in_part);
    let narrower = NotProven::NotChecked(Check::NarrowerScope);
    assert_eq!(why(&|check| drop(check.scope.settings.insert("x".into(), ScopeValue::Number(1)))), narrower);
}

#[test]
fn one_scan_of_a_crawler_proves_nothing() {
    let before = findings(&[("zap", "/a")]);
    let checks = of(&[("zap", PluginEnd::Completed)]);
    let earlier = ScanSide { order: order(1), findings: &before, checks: &checks };
    let result = compare(&earlier, &ScanSide { order: order(2), findings: &[], checks: &checks }, &BTreeMap::new());
    assert_eq!(result.not_checked[0].why, NotProven::OneOf(2));
}

#[test]
fn a_finding_is_new_also_where_the_earlier_scan_had_not_looked() {
    let after = findings(&[("exposed_files", "/a"), ("testssl", "/")]);
    let checks = of(&[("exposed_files", PluginEnd::Completed), ("testssl", PluginEnd::Completed)]);
    let before = of(&[("exposed_files", PluginEnd::Completed), ("testssl", PluginEnd::Failed)]);
    let result = compare(
        &ScanSide { order: order(1), findings: &[], checks: &before },
        &ScanSide { order: order(2), findings: &after, checks: &checks },
        &BTreeMap::new(),
    );
    assert_eq!(result.new.len(), 2);
    for new in &result.new {
        let plugin = &after.iter().find(|finding| finding.fingerprint == new.fingerprint).unwrap().plugin;
        assert_eq!(new.was_checked, plugin == "exposed_files");
    }
}

#[test]
fn aliases_join_the_findings_of_different_rules() {
    let (before, after) = (findings(&[("ftap", "/old")]), findings(&[("ftap", "/new")]));
    let checks = of(&[("ftap", PluginEnd::Completed)]);
    let (old, new) = (before[0].fingerprint, after[0].fingerprint);
    let sides = (
        ScanSide { order: order(1), findings: &before, checks: &checks },
        ScanSide { order: order(2), findings: &after, checks: &checks },
    );
    let result = compare(&sides.0, &sides.1, &BTreeMap::from([(old, new)]));
    assert_eq!(result, Comparison { unchanged: vec![new], ..Comparison::default() });
    // A circle of aliases is no alias.
    let circle = BTreeMap::from([(old, new), (new, old)]);
    assert_eq!(compare(&sides.0, &sides.1, &circle).new.len(), 1);
}

fn a_scan() -> impl Strategy<Value = (Vec<ObservedFinding>, BTreeMap<String, PluginCheck>)> {
    let plugin = proptest::sample::select(vec!["exposed_files", "zap", "testssl"]);
    let end = proptest::sample::select(vec![PluginEnd::Completed, PluginEnd::Failed, PluginEnd::DryRun]);
    let found = proptest::collection::vec((plugin.clone(), "/[a-d]"), 0..8);
    (found, proptest::collection::vec((plugin, end), 0..4)).prop_map(|(found, checks)| {
        let found: Vec<(&str, &str)> = found.iter().map(|(plugin, path)| (*plugin, path.as_str())).collect();
        (findings(&found), of(&checks))
    })
}

proptest! {
    #[test]
    fn every_finding_is_in_one_class(one in a_scan(), other in a_scan()) {
        let earlier = ScanSide { order: order(1), findings: &one.0, checks: &one.1 };
        let later = ScanSide { order: order(2), findings: &other.0, checks: &other.1 };
        let result = compare(&earlier, &later, &BTreeMap::new());
        let mut classes: Vec<Fingerprint> = result.unchanged.clone();
        classes.extend(result.new.iter().map(|new| new.fingerprint));
        classes.extend(result.fixed.iter().map(|fixed| fixed.fingerprint));
        classes.extend(result.not_checked.iter().map(|finding| finding.fingerprint));
        classes.sort();
        let mut all: Vec<Fingerprint> = one.0.iter().chain(&other.0).map(|finding| finding.fingerprint).collect();
        all.sort();
        all.dedup();
        prop_assert_eq!(classes, all);
        for fixed in &result.fixed {
            let plugin = &one.0.iter().find(|finding| finding.fingerprint == fixed.fingerprint).unwrap().plugin;
            prop_assert_eq!(other.1[plugin].end, PluginEnd::Completed);
        }
        // What is fixed in one direction is new in the other, and was checked.
        let back = compare(&later, &earlier, &BTreeMap::new());
        for fixed in &result.fixed {
            let expected = NewFinding { fingerprint: fixed.fingerprint, was_checked: true };
            prop_assert!(back.new.contains(&expected));
        }
        let same = compare(&earlier, &earlier, &BTreeMap::new());
        prop_assert!(same.new.is_empty() && same.fixed.is_empty() && same.not_checked.is_empty());
    }
}
