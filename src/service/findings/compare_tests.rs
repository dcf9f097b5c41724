use kastrel_actors::Client;
use kastrel_actors::model::{Grants, Principal, ProjectRole, ScanRequestDraft};
use kastrel_actors::ports::Stores;
use kastrel_actors::testing::{Cluster, PausedClock, Script, ScriptedRunner, fixtures};
use kastrel_findings::Severity;

use super::*;
use crate::exports::Baseline;
use crate::service::findings::FindingServices;
use crate::service::findings::samples::Sample;

const DONE: PluginEnd = PluginEnd::Completed;

struct World {
    cluster: Cluster,
    findings: FindingService,
}

impl World {
    fn new() -> Self {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let catalogue = tokio::sync::watch::channel(None).1;
        let clock = Arc::new(PausedClock::default());
        let stores = Stores::of(&cluster.store);
        let services = FindingServices::new(&stores, cluster.service.clone(), clock, catalogue);
        Self { findings: services.findings, cluster }
    }

    async fn submit(&self, target: &str) -> ScanId {
        let draft = ScanRequestDraft { target: target.into(), ..ScanRequestDraft::default() };
        let accepted = self.cluster.service.submit(&fixtures::context(), Client::Local, &draft, None).await;
        accepted.unwrap().scan.record.id
    }

    fn sample(&self, host: &str) -> Sample<'_> {
        Sample::new(&self.cluster.store, "default", host)
    }

    /// The number of chunks of results that were read.
    fn chunks_read(&self) -> u64 {
        self.cluster.store.calls().get("observed_findings").copied().unwrap_or_default()
    }

    async fn compare(&self, one: ScanId, other: ScanId) -> Result<ScanComparison, CompareError> {
        self.findings.compare(&fixtures::context(), one, other).await
    }
}

fn ids(findings: &[ComparedFinding]) -> Vec<FindingId> {
    findings.iter().map(|finding| finding.id).collect()
}

#[tokio::test(start_paused = true)]
async fn scan_whose_testssl_failed_fixes_nothing_of_it() {
    let world = World::new();
    let sample = world.sample("shop.example");
    let (first, second) = (world.submit("shop.example").await, world.submit("shop.example").await);
    let ends = [("testssl", DONE), ("zap", DONE), ("http_headers", DONE)];
    let seen =
        [("testssl", "tls1", "/"), ("http_headers", "csp", "/"), ("zap", "xss", "/a"), ("http_headers", "hsts", "/")];
    sample.scan(first, 100, &ends, &seen).await;
    let ends = [("testssl", PluginEnd::Failed), ("zap", DONE), ("http_headers", DONE), ("whatweb", DONE)];
    let seen = [("http_headers", "hsts", "/"), ("whatweb", "old", "/")];
    sample.scan(second, 200, &ends, &seen).await;

    let comparison = world.compare(first, second).await.unwrap();
    let finding = |plugin, issue, path| sample.finding(plugin, issue, path);
    assert_eq!(ids(&comparison.new), [finding("whatweb", "old", "/")]);
    assert_eq!(comparison.new[0].why, format!("scan {first} did not check it"));
    assert_eq!(ids(&comparison.fixed), [finding("http_headers", "csp", "/")]);
    let fixed = &comparison.fixed[0];
    assert_eq!((fixed.severity, fixed.status), (Severity::High, Some(Status::Open)), "what a person sees is stored");
    let proof =
        format!("http_headers (1.2) checked completely in scan {second} on 1970-01-01 00:03 UTC and did not see it");
    assert_eq!(fixed.why, proof);
    assert_eq!(ids(&comparison.unchanged), [finding("http_headers", "hsts", "/")]);
    assert_eq!(comparison.unchanged[0].why, "");
    assert_eq!(ids(&comparison.not_checked), [finding("testssl", "tls1", "/"), finding("zap", "xss", "/a")]);
    let why: Vec<&str> = comparison.not_checked.iter().map(|one| one.why.as_str()).collect();
    let of_zap = format!("zap: not seen by scan {second}, and 2 scans without it are needed as proof");
    assert_eq!(why, ["testssl: the plugin failed", of_zap.as_str()]);
    assert_eq!(world.compare(second, first).await.unwrap(), comparison, "the earlier one is that which ended first");
}

#[tokio::test(start_paused = true)]
async fn last_comparable_scan_is_the_newest_earlier_one_that_checked_something() {
    let world = World::new();
    let sample = world.sample("shop.example");
    let mut scans = Vec::new();
    for (second, end) in [(100, DONE), (200, DONE), (300, PluginEnd::DryRun), (400, DONE)] {
        let scan = world.submit("shop.example").await;
        sample.scan(scan, second, &[("testssl", end)], &[]).await;
        scans.push(scan);
    }
    let other = world.submit("other.example").await;
    world.sample("other.example").scan(other, 350, &[("testssl", DONE)], &[]).await;
    let last = async |scan| {
        let found = world.findings.compare_with_last(&fixtures::context(), scan).await.unwrap();
        found.map(|comparison| comparison.earlier.scan)
    };
    assert_eq!(last(scans[3]).await, Some(scans[1]));
    assert_eq!(last(scans[1]).await, Some(scans[0]));
    assert_eq!(last(scans[0]).await, None);
    assert_eq!(last(other).await, None);
}

#[tokio::test(start_paused = true)]
async fn check_of_one_plugin_is_not_what_a_full_scan_is_compared_with() {
    let world = World::new();
    let sample = world.sample("shop.example");
    let mut scans = Vec::new();
    let (both, one) = ([("testssl", DONE), ("whatweb", DONE)], [("whatweb", DONE)]);
    for (second, ends, seen) in [
        (100, &both[..], &[("testssl", "tls1", "/")][..]),
        (200, &one, &[]),
        (300, &both, &[("testssl", "tls1", "/"), ("testssl", "tls1_1", "/")]),
        (400, &one, &[]),
    ] {
        let scan = world.submit("shop.example").await;
        sample.scan(scan, second, ends, seen).await;
        scans.push(scan);
    }
    let last = async |scan| world.findings.compare_with_last(&fixtures::context(), scan).await.unwrap().unwrap();
    let full = last(scans[2]).await;
    assert_eq!((full.earlier.scan, ids(&full.new)), (scans[0], vec![sample.finding("testssl", "tls1_1", "/")]));
    assert_eq!(last(scans[3]).await.earlier.scan, scans[2], "the newest that completed whatweb");
    // No earlier scan has the plugin of a finding that is known.
    let beside = world.compare(scans[1], scans[2]).await.unwrap();
    let known: Vec<(bool, &str)> = beside.new.iter().map(|new| (new.is_known, new.why.as_str())).collect();
    let said = format!("scan {} did not check it", scans[1]);
    let seen_before = format!("{said}, and an older scan saw it");
    let mut expected = [
        (sample.finding("testssl", "tls1", "/"), (true, seen_before.as_str())),
        (sample.finding("testssl", "tls1_1", "/"), (false, said.as_str())),
    ];
    expected.sort_by_key(|(id, _)| *id);
    assert_eq!(known, expected.map(|(_, known)| known));
}

#[tokio::test(start_paused = true)]
async fn scans_that_cannot_be_compared_are_named() {
    let world = World::new();
    let (first, second) = (world.submit("shop.example").await, world.submit("other.example").await);
    let said = async |one, other| world.compare(one, other).await.unwrap_err().to_string();
    assert_eq!(said(first, ScanId(77)).await, "there is no scan 77");
    assert_eq!(said(first, second).await, format!("scan {first} has no result yet"));
    assert_eq!(said(first, first).await, format!("scan {first} cannot be compared with itself"));
    world.sample("shop.example").scan(first, 100, &[("testssl", DONE)], &[]).await;
    world.sample("other.example").scan(second, 200, &[("testssl", DONE)], &[]).await;
    let text = said(first, second).await;
    assert!(text.contains("shop.example in project default") && text.contains("other.example"), "{text}");
    let nobody = RequestContext {
        principal: Principal::User("ana".parse().unwrap()),
        grants: Arc::new(Grants::none()),
        ..fixtures::context()
    };
    let hidden = world.findings.compare(&nobody, first, second).await.unwrap_err();
    assert!(matches!(hidden, CompareError::NoScan(scan) if scan == first), "{hidden}");
    let viewer = Grants::new(None, BTreeMap::from([("default".parse().unwrap(), ProjectRole::Viewer)]));
    let viewer = RequestContext { grants: Arc::new(viewer), ..nobody };
    let seen = world.findings.compare_with_last(&viewer, second).await.unwrap();
    assert_eq!(seen, None);
}

#[tokio::test(start_paused = true)]
async fn finding_whose_place_moved_is_unchanged_unless_a_scan_saw_both() {
    let world = World::new();
    let sample = world.sample("shop.example");
    let (old, moved) = (("exposed_files", "file", "/old.bak"), ("exposed_files", "file", "/moved.bak"));
    let scans =
        [world.submit("shop.example").await, world.submit("shop.example").await, world.submit("shop.example").await];
    let ends = [("exposed_files", DONE)];
    sample.scan(scans[0], 100, &ends, &[old]).await;
    sample.scan(scans[1], 200, &ends, &[moved]).await;
    sample.scan(scans[2], 300, &ends, &[old, moved]).await;
    let apart = world.compare(scans[0], scans[1]).await.unwrap();
    assert_eq!((apart.new.len(), apart.fixed.len(), apart.unchanged.len()), (1, 1, 0));
    let finding = |(plugin, issue, path)| sample.finding(plugin, issue, path);
    sample.continues(finding(moved), finding(old)).await;
    let paired = world.compare(scans[0], scans[1]).await.unwrap();
    assert_eq!((paired.new.len(), paired.fixed.len()), (0, 0));
    assert_eq!(ids(&paired.unchanged), [finding(moved)]);
    let both = world.compare(scans[0], scans[2]).await.unwrap();
    assert_eq!((ids(&both.new), ids(&both.unchanged)), (vec![finding(moved)], vec![finding(old)]));
}

#[tokio::test(start_paused = true)]
async fn page_of_what_a_scan_saw_leads_to_the_next_across_chunks() {
    let world = World::new();
    let scan = world.submit("shop.example").await;
    let issues: Vec<String> = (0..450).map(|number| format!("issue-{number}")).collect();
    let seen: Vec<_> = issues.iter().map(|issue| ("exposed_files", issue.as_str(), "/")).collect();
    world.sample("shop.example").scan(scan, 100, &[("exposed_files", DONE)], &seen).await;
    let (mut all, mut next) = (Vec::new(), Some(0));
    while let Some(skip) = next {
        let page = world.findings.seen_page(&fixtures::context(), scan, skip, 130).await.unwrap().unwrap();
        assert!(page.findings.len() == 130 || page.next.is_none());
        all.extend(page.findings.into_iter().map(|one| one.finding.fingerprint));
        next = page.next;
    }
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (450, 450));
    let beyond = world.findings.seen_page(&fixtures::context(), scan, 900, 130).await.unwrap().unwrap();
    assert_eq!((beyond.findings.len(), beyond.next), (0, None));
    assert_eq!(world.findings.seen_page(&fixtures::context(), ScanId(77), 0, 10).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn finding_of_a_scan_is_found_by_a_few_chunks() {
    let world = World::new();
    let scan = world.submit("shop.example").await;
    let issues: Vec<String> = (0..1_500).map(|number| format!("issue-{number}")).collect();
    let seen: Vec<_> = issues.iter().map(|issue| ("exposed_files", issue.as_str(), "/")).collect();
    let sample = world.sample("shop.example");
    sample.scan(scan, 100, &[("exposed_files", DONE)], &seen).await;
    let result = world.findings.result_of(&fixtures::context(), scan).await.unwrap().unwrap();
    assert_eq!(result.chunks(), 8);
    for one in seen.iter().step_by(50).copied().chain([("exposed_files", "none", "/")]) {
        let fingerprint = sample.fingerprint(one);
        let before = world.chunks_read();
        let found = world.findings.seen_of(&result, fingerprint).await.unwrap();
        let expected = (one.1 != "none").then_some(fingerprint);
        assert_eq!(found.map(|found| found.finding.fingerprint), expected, "{one:?}");
        assert!(world.chunks_read() - before <= 4, "half of the chunks are left after each one");
    }
}

#[tokio::test(start_paused = true)]
async fn classes_of_an_export_are_those_of_the_comparison() {
    let world = World::new();
    let sample = world.sample("shop.example");
    let (first, second) = (world.submit("shop.example").await, world.submit("shop.example").await);
    let (old, moved) = (("exposed_files", "file", "/old.bak"), ("exposed_files", "file", "/moved.bak"));
    let (gone, kept) = (("http_headers", "csp", "/"), ("http_headers", "hsts", "/"));
    let (added, unchecked) = (("http_headers", "cors", "/"), ("testssl", "tls1", "/"));
    let ends = [("exposed_files", DONE), ("http_headers", DONE), ("testssl", DONE)];
    sample.scan(first, 100, &ends, &[old, gone, kept, unchecked]).await;
    let ends = [("exposed_files", DONE), ("http_headers", DONE), ("testssl", PluginEnd::Failed)];
    sample.scan(second, 200, &ends, &[moved, kept, added]).await;
    let finding = |(plugin, issue, path)| sample.finding(plugin, issue, path);
    sample.continues(finding(moved), finding(old)).await;

    let classes = world.findings.classes_since_last(&fixtures::context(), second).await.unwrap().unwrap();
    assert_eq!(classes.earlier.scan, first);
    let expected = [(moved, Baseline::Unchanged), (kept, Baseline::Unchanged), (added, Baseline::New)];
    assert_eq!(classes.seen, std::collections::HashMap::from(expected.map(|(one, class)| (finding(one), class))));
    assert_eq!(classes.fixed, BTreeSet::from([sample.fingerprint(gone)]));
    let compared = world.compare(first, second).await.unwrap();
    assert_eq!((compared.new.len(), compared.unchanged.len(), ids(&compared.fixed)), (1, 2, vec![finding(gone)]));
    assert!(world.findings.classes_since_last(&fixtures::context(), first).await.unwrap().is_none());
}
