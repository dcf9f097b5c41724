mod gaps;

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan};
use kastrel_findings::identity::{FindingId, Match, Rule, RuleSet, current};
use kastrel_findings::lifecycle::PluginEnd::{Completed, DryRun, Failed};
use kastrel_findings::lifecycle::{Action, Check, Event, Finding, State, Status};
use kastrel_findings::place::{Label, Part};
use kastrel_findings::readers::Reading;
use kastrel_findings::registry::Registry;
use kastrel_findings::{Asset, AssetKind, Severity};

use super::samples::{head, order, origin, scan, scan_by, scope};
use super::*;
use crate::model::{FindingEntry, FindingRecord, LogChange, MOST_LOG_ENTRIES, MOST_TARGET_ASSETS, ScanResult};

/// The rows of a target in memory.
#[derive(Default, Clone)]
struct Store {
    rows: StoredTarget,
    results: Vec<ScanResult>,
}

impl Store {
    fn ingest(&mut self, reading: &ScanReading) -> IngestPlan {
        self.ingest_by(reading, &Rules::known())
    }

    fn ingest_by(&mut self, reading: &ScanReading, rules: &Rules<'_>) -> IngestPlan {
        self.results.retain(|result| result.scan != reading.head.scan);
        let newer = self.results.iter().filter(|result| result.order > reading.first_order()).cloned().collect();
        let plan = plan(reading, StoredTarget { newer, ..self.rows.clone() }, rules, Timestamp::UNIX_EPOCH);
        for row in &plan.gone {
            self.rows.findings.retain(|one| one.id != row.id);
        }
        for row in &plan.findings {
            self.rows.findings.retain(|one| one.id != row.id);
            self.rows.findings.push(FindingRecord { version: row.version + 1, ..row.clone() });
        }
        self.rows.target = Some(plan.target.clone());
        self.rows.assets.clone_from(&plan.assets);
        self.results.push(plan.result.clone());
        plan
    }

    fn row(&self, issue: &str) -> &FindingRecord {
        let mut rows = self.rows.findings.iter().filter(|row| row.issue.as_str() == issue);
        let row = rows.next().unwrap();
        assert!(rows.next().is_none(), "{issue} is there twice");
        row
    }

    fn at(&self, path: &str) -> &FindingRecord {
        self.rows.findings.iter().find(|row| row.sighting.location == path).unwrap()
    }

    fn decide(&mut self, path: &str) {
        let row = self.rows.findings.iter_mut().find(|row| row.sighting.location == path).unwrap();
        let action = Action::MarkFalsePositive { reason: "a test page".into() };
        row.life = row.life.clone().act(&action, "user:ana", order(1).at).unwrap().0;
    }
}

fn is_fixed(row: &FindingRecord) -> bool {
    matches!(row.life.state, State::Fixed { .. })
}

fn logged(row: &FindingRecord) -> Vec<&Event> {
    row.log
        .iter()
        .filter_map(|entry| match &entry.change {
            LogChange::Life { event, .. } => Some(event),
            _ => None,
        })
        .collect()
}

#[test]
fn scans_open_fix_and_reopen_findings_and_the_result_counts_them() {
    let mut store = Store::default();
    let seen = store.ingest(&scan(1, &[("testssl", Completed, 1, &["a", "b"]), ("zap", Completed, 1, &["c"])]));
    assert_eq!((seen.result.findings, seen.result.new, seen.result.fixed), (3, 3, 0));
    // A scan whose testssl failed closes nothing, and one without the plugin neither.
    for (minute, ran) in [(2, vec![("testssl", Failed, 1, &[] as &[&str])]), (3, vec![])] {
        let plan = store.ingest(&scan(minute, &ran));
        assert_eq!((plan.result.new, plan.result.fixed), (0, 0));
        assert!(store.rows.findings.iter().all(|row| row.life.state == State::Open));
    }
    assert_eq!(store.row("a").life.not_checked_since(), Some((order(1).at, Check::Skipped)));
    let fixed = store.ingest(&scan(4, &[("testssl", Completed, 1, &["b"]), ("zap", Completed, 1, &[])]));
    assert_eq!((fixed.result.new, fixed.result.fixed), (0, 1));
    assert!(is_fixed(store.row("a")) && !is_fixed(store.row("c")), "a crawler needs two scans");
    let back = store.ingest(&scan(5, &[("testssl", Completed, 1, &["a"])]));
    assert_eq!((back.result.new, back.result.fixed), (1, 1));
    assert!(store.row("a").life.regressed);
    // Only what a person wants to know is in the log.
    let events = logged(store.row("a"));
    assert!(matches!(events[..], [Event::Found, Event::Fixed { .. }, Event::Regressed]), "{events:?}");
}

#[test]
fn plan_of_a_scan_that_is_known_writes_no_finding() {
    let mut store = Store::default();
    let first = scan(1, &[("testssl", Completed, 1, &["a", "b"])]);
    store.ingest(&first);
    store.ingest(&scan(2, &[("testssl", Completed, 1, &["b"])]));
    let before = store.rows.clone();
    let again = store.ingest(&first);
    assert_eq!((again.findings, again.gone), (vec![], vec![]));
    assert_eq!(store.rows, before);
}

#[test]
fn dry_run_changes_nothing_of_a_known_target() {
    let mut store = Store::default();
    store.ingest(&scan(1, &[("testssl", Completed, 1, &["a"])]));
    let before = store.rows.clone();
    let dry = scan(2, &[("testssl", DryRun, 1, &["b"])]);
    assert!(dry.is_dry_run() && dry.observed.is_empty());
    let plan = store.ingest(&dry);
    assert_eq!((plan.result.findings, &store.rows), (0, &before));
}

#[test]
fn late_sighting_of_a_wider_scan_takes_back_the_proof_of_a_narrower_one() {
    let mut store = Store::default();
    store.ingest(&scan(1, &[("testssl", Completed, 1, &["a"])]));
    store.ingest(&scan(3, &[("testssl", Completed, 1, &[])]));
    assert!(is_fixed(store.row("a")));
    store.ingest(&scan(2, &[("testssl", Completed, 9, &["a"])]));
    let row = store.row("a");
    assert_eq!(row.life.state, State::Open);
    assert_eq!(row.life.not_checked_since(), Some((order(2).at, Check::NarrowerScope)));
    assert_eq!(row.seen_with, scope("testssl", 9));
    assert!(logged(row).contains(&&Event::ProofLost));
}

#[test]
fn late_sighting_of_a_narrow_scan_is_compared_with_the_scans_after_it() {
    let mut store = Store::default();
    store.ingest(&scan(1, &[("testssl", Completed, 9, &["a"])]));
    store.ingest(&scan(3, &[("testssl", Completed, 1, &[])]));
    assert_eq!(store.row("a").life.state, State::Open);
    store.ingest(&scan(2, &[("testssl", Completed, 1, &["a"])]));
    assert!(is_fixed(store.row("a")), "the scan before last saw it with the scope of the last one");
}

#[test]
fn new_finding_of_a_late_scan_gets_the_checks_after_it() {
    let mut store = Store::default();
    store.ingest(&scan(2, &[("testssl", Completed, 1, &[]), ("zap", Completed, 1, &[])]));
    store.ingest(&scan(3, &[("testssl", Completed, 1, &["!"]), ("zap", Completed, 1, &[])]));
    store.ingest(&scan(1, &[("testssl", Completed, 1, &["a"]), ("zap", Completed, 1, &["b"])]));
    assert!(is_fixed(store.row("a")) && is_fixed(store.row("b")));
    let target = store.rows.target.unwrap();
    assert_eq!((target.first_scan, target.last_scan), (order(1).at, order(3)));
    let testssl = &target.checks["testssl"];
    assert_eq!((testssl.complete, testssl.newest), (Some(order(2)), (order(3), Check::ReadInPart)));
}

#[test]
fn place_that_moved_continues_the_dates_and_no_decision() {
    let mut store = Store::default();
    store.ingest(&scan(1, &[("zap", Completed, 1, &["40012@/old/login"])]));
    store.decide("/old/login");
    let moved: &[&str] = &["40012@/new/login"];
    store.ingest(&scan(2, &[("zap", Completed, 1, moved)]));
    assert_eq!(store.at("/new/login").life.first_seen.order, order(2), "the old one is not proven gone yet");
    let plan = store.ingest(&scan(3, &[("zap", Completed, 1, moved)]));
    let (old, new) = (store.at("/old/login"), store.at("/new/login"));
    assert!(is_fixed(old) && old.life.decision.is_some() && new.life.decision.is_none());
    assert_eq!((new.life.first_seen.order, new.life.open_since), (order(1), order(1).at));
    assert!(log::continues(new, old.id));
    assert_eq!(plan.result.fixed, 0, "what moved is not fixed");
    // Repeated, it is the same.
    let before = store.rows.clone();
    store.ingest(&scan(3, &[("zap", Completed, 1, moved)]));
    assert_eq!(store.rows, before);
}

#[test]
fn two_places_that_may_be_the_new_one_are_both_new() {
    let mut store = Store::default();
    store.ingest(&scan(1, &[("zap", Completed, 1, &["40012@/old/login"])]));
    let moved: &[&str] = &["40012@/new/login", "40012@/sso/login"];
    store.ingest(&scan(2, &[("zap", Completed, 1, moved)]));
    let plan = store.ingest(&scan(3, &[("zap", Completed, 1, moved)]));
    assert_eq!(store.at("/new/login").life.first_seen.order, order(2));
    assert_eq!(plan.result.fixed, 1);
}

const fn rule(issue_as: Option<&'static str>, parts: &'static [Part]) -> Rule {
    Rule { plugin: "*", issues: Match::Any, issue_as, title: None, parts, drift: None, why: "a test" }
}

const HOST: &[Part] = &[Part::Host];
const PAGE: &[Part] = &[Part::Host, Part::Path];
const EXACT: &[Part] = &[Part::Scheme, Part::Host, Part::Port, Part::Path];
static BY_HOST: RuleSet = RuleSet { version: 1, rules: &[rule(None, HOST)] };
static BY_PAGE: RuleSet = RuleSet { version: 1, rules: &[rule(None, PAGE)] };
static BY_ISSUE: RuleSet = RuleSet { version: 1, rules: &[rule(Some("all"), PAGE)] };
static NOW_BY_HOST: RuleSet = RuleSet { version: 2, rules: &[rule(None, HOST)] };
static NOW_BY_PAGE: RuleSet = RuleSet { version: 2, rules: &[rule(None, PAGE)] };
static NOW_EXACT: RuleSet = RuleSet { version: 2, rules: &[rule(None, EXACT)] };

/// A target whose findings were stored by older rules, with a decision about `/a`, and the next
/// scan by the newer ones.
fn with_new_rules(old: &'static RuleSet, new: &'static RuleSet, first: &[&str], then: &[&str]) -> (Store, IngestPlan) {
    let mut store = Store::default();
    let rules = Rules { current: old, older: vec![] };
    store.ingest_by(&scan_by(1, &[("zap", Completed, 1, first)], old), &rules);
    store.decide("/a");
    let rules = Rules { current: new, older: vec![old] };
    let reading = scan_by(2, &[("zap", Completed, 1, then)], new);
    // An ingestion that ended before the old rows were deleted is repeated without a difference.
    let mut half = store.clone();
    let interrupted = plan(&reading, half.rows.clone(), &rules, Timestamp::UNIX_EPOCH);
    for row in interrupted.findings {
        half.rows.findings.retain(|one| one.id != row.id);
        half.rows.findings.push(FindingRecord { version: row.version + 1, ..row });
    }
    half.ingest_by(&reading, &rules);
    let plan = store.ingest_by(&reading, &rules);
    let sorted = |store: &Store| {
        let mut rows = store.rows.findings.clone();
        rows.sort_by_key(|row| row.id);
        rows
    };
    assert_eq!(sorted(&half), sorted(&store));
    (store, plan)
}

#[test]
fn finding_whose_fingerprint_changes_with_the_rules_keeps_everything() {
    let (store, plan) = with_new_rules(&BY_PAGE, &NOW_EXACT, &["x@/a"], &["x@/a"]);
    let row = store.at("/a");
    assert_eq!((store.rows.findings.len(), plan.gone.len(), row.rules), (1, 1, 2));
    assert_eq!((row.life.first_seen.order, row.life.last_seen.order), (order(1), order(2)));
    assert!(row.life.decision.is_some() && log::continues(row, plan.gone[0].id));
    assert_eq!(plan.result.new, 0);
    assert_eq!(row.id, FindingId::of(head(1).target(), row.fingerprint));
}

#[test]
fn findings_that_new_rules_join_keep_only_a_decision_about_all() {
    let (store, plan) = with_new_rules(&BY_PAGE, &NOW_BY_HOST, &["x@/a", "x@/b"], &["x@/a", "x@/b"]);
    assert_eq!((store.rows.findings.len(), plan.gone.len()), (1, 2));
    let row = &store.rows.findings[0];
    assert_eq!((row.life.decision.clone(), row.life.first_seen.order), (None, order(1)));
    // A page that nobody has seen before is not covered by the decision.
    let (store, _) = with_new_rules(&BY_PAGE, &NOW_BY_HOST, &["x@/a"], &["x@/a", "x@/b"]);
    assert_eq!(store.rows.findings[0].life.decision, None);
    let (store, _) = with_new_rules(&BY_PAGE, &NOW_BY_HOST, &["x@/a"], &["x@/a"]);
    assert!(store.rows.findings[0].life.decision.is_some());
}

#[test]
fn finding_that_new_rules_split_keeps_its_dates_and_no_decision() {
    let (store, plan) = with_new_rules(&BY_HOST, &NOW_BY_PAGE, &["x@/a", "x@/b"], &["x@/a", "x@/b"]);
    assert_eq!((store.rows.findings.len(), plan.gone.len(), plan.result.new), (2, 1, 0));
    for row in &store.rows.findings {
        assert_eq!((row.life.decision.clone(), row.life.first_seen.order), (None, order(1)), "{}", row.place);
        assert!(log::continues(row, plan.gone[0].id));
    }
}

#[test]
fn findings_that_new_rules_mix_stay_open_where_people_said_something() {
    // `x@/a`, `y@/a` were one, and `x@/a`, `x@/b` are one now.
    let first: &[&str] = &["x@/a", "y@/a", "x@/b"];
    let (store, plan) = with_new_rules(&BY_ISSUE, &NOW_BY_HOST, first, first);
    assert_eq!(plan.result.new, 2);
    let old: Vec<&FindingRecord> = store.rows.findings.iter().filter(|row| row.rules == 1).collect();
    assert!(matches!(old[..], [row] if row.life.decision.is_some()), "the other old one is deleted");
    assert_eq!((old[0].life.state.clone(), old[0].life.last_seen.order), (State::Open, order(2)));
}

#[test]
fn finding_of_older_rules_that_a_scan_does_not_see_is_fixed_by_its_own_fingerprint() {
    let (store, _) = with_new_rules(&BY_PAGE, &NOW_EXACT, &["x@/a", "y@/b"], &["y@/b"]);
    let row = store.at("/a");
    assert_eq!((row.rules, row.life.absences.len(), row.life.state.clone()), (1, 1, State::Open));
}

#[test]
fn log_keeps_what_people_wrote() {
    let mut store = Store::default();
    store.ingest(&scan(1, &[("testssl", Completed, 1, &["a"])]));
    let row = &mut store.rows.findings[0];
    let comment = FindingEntry {
        at: order(1).at,
        by: Some("user:ana".into()),
        scan: None,
        change: LogChange::Comment { text: "seen".into() },
    };
    row.log.push(comment.clone());
    for minute in 2..(2 + 2 * MOST_LOG_ENTRIES as u64) {
        let seen: &[&str] = if minute % 2 == 0 { &[] } else { &["a"] };
        store.ingest(&scan(minute, &[("testssl", Completed, 1, seen)]));
    }
    let log = &store.row("a").log;
    assert_eq!((log.len(), &log[0]), (MOST_LOG_ENTRIES, &comment));
    assert!(log.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

#[test]
fn registry_gives_severity_title_and_category_and_a_scan_without_it_takes_nothing_away() {
    let registry = br#"[{"id": "a", "display_name": "Weak", "severity": "High", "category": "TLS"}]"#;
    let registry = Registry::parse(registry).unwrap();
    let reading = |minute, registry: &Registry| {
        let plain = scan(minute, &[("testssl", Completed, 1, &["a"])]);
        let reading = Reading { sightings: plain.sightings, ..Reading::default() };
        let plugin = PluginRead { check: plain.checks["testssl"].clone(), reading: Some(reading) };
        ScanReading::new(head(minute), vec![plugin], registry, current())
    };
    let mut store = Store::default();
    store.ingest(&reading(1, &registry));
    let known = |store: &Store| {
        let row = store.row("a");
        (row.title.clone(), row.severity, row.category.clone())
    };
    assert_eq!(known(&store), ("Weak".into(), Severity::High, Some("TLS".into())));
    store.ingest(&reading(2, &Registry::default()));
    assert_eq!(known(&store), ("Weak".into(), Severity::High, Some("TLS".into())));
}

fn with_assets(minute: u64, names: impl IntoIterator<Item = String>) -> ScanReading {
    let asset = |name: String| {
        let kind = AssetKind::Technology { origin: origin(), name: Label::parse(&name).unwrap() };
        Asset::new("whatweb", kind).attribute("version", Some(&minute.to_string()))
    };
    ScanReading { assets: names.into_iter().map(asset).collect(), ..scan(minute, &[("whatweb", Completed, 1, &[])]) }
}

#[test]
fn assets_have_their_first_and_newest_scan_in_any_order_and_the_newest_stay() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let scans = [
        with_assets(1, names(&["nginx", "php"])),
        with_assets(2, names(&["nginx"])),
        with_assets(3, names(&["nginx"])),
    ];
    let mut seen = BTreeSet::new();
    for order_of_arrival in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let mut store = Store::default();
        for at in order_of_arrival {
            store.ingest(&scans[at]);
            store.ingest(&scans[at]);
        }
        seen.insert(format!("{:?}", store.rows.assets));
        let nginx = &store.rows.assets[0];
        assert_eq!((nginx.first_seen, nginx.last_seen, nginx.scan.0), (order(1).at, order(3).at, 3));
        assert_eq!(nginx.asset.attributes["version"], "3");
    }
    assert_eq!(seen.len(), 1);
    let mut store = Store::default();
    store.ingest(&scans[0]);
    store.ingest(&with_assets(4, (0..MOST_TARGET_ASSETS).map(|number| format!("tool-{number}"))));
    assert_eq!(store.rows.assets.len(), MOST_TARGET_ASSETS);
    assert!(store.rows.assets.iter().all(|seen| seen.scan.0 == 4));
}

#[test]
fn findings_that_are_computed_anew_keep_what_people_did_and_others_are_deleted() {
    let mut store = Store::default();
    store.ingest(&scan(1, &[("zap", Completed, 1, &["x@/a", "x@/b", "x@/c", "x@/d"])]));
    store.decide("/a");
    store.decide("/b");
    let stored = store.rows.findings.clone();
    // The files have only /a and /c, and a new one.
    let mut anew = Store::default();
    anew.ingest(&scan(1, &[("zap", Completed, 1, &["x@/a", "x@/c", "x@/e"])]));
    let merged = rebuilt(stored.clone(), anew.rows.findings, &BTreeSet::new(), &|_| false);
    let paths =
        |rows: &[FindingRecord]| -> BTreeSet<String> { rows.iter().map(|row| row.sighting.location.clone()).collect() };
    let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(paths(&merged.put), set(&["/e"]), "the others are as they were");
    assert_eq!(paths(&merged.gone), set(&["/d"]), "/b has a decision");
    // A row that was computed anew never loses a decision.
    let mut later = Store::default();
    later.ingest(&scan(1, &[("zap", Completed, 1, &["x@/a"])]));
    later.ingest(&scan(2, &[("zap", Completed, 1, &["x@/a"])]));
    let merged = rebuilt(stored, later.rows.findings, &BTreeSet::new(), &|_| false);
    let row = &merged.put[0];
    assert_eq!((row.life.last_seen.order, row.version), (order(2), 1));
    assert_eq!(row.status(order(9).at.checked_add(1.hours()).unwrap()), Status::FalsePositive);
    assert_ne!(row.life, Finding::first(order(1)));
}
