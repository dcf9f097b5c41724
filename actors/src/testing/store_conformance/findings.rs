//! The contract of targets, findings and the results of scans.

use kastrel_findings::Severity as FindingSeverity;
use kastrel_findings::lifecycle::{ScanOrder as Order, SlaPolicy};

use super::fixtures::{finding_record, observed_record, scan_order, scan_result, seen_asset, target_record};
use super::*;
use crate::model::{
    AuditQuery, DomainEvent, FindingChanges, FindingRecord, ObservedRecord, Put, SavedFilter, ScanNotes, ScanResult,
    SeenAsset, TargetRecord, TriageKind,
};

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! findings_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; findings;
            findings_are_read_as_they_were_written
            findings_with_an_old_version_are_all_left_alone
            a_deleted_finding_is_gone_and_its_successor_continues_its_versions
            a_result_is_stored_with_its_target_and_its_assets
            a_result_with_an_old_target_changes_nothing
            a_second_result_of_a_scan_replaces_the_first
            a_result_of_a_scan_of_another_project_or_of_none_changes_nothing
            a_target_is_stored_without_a_result
            large_lists_survive
            results_of_a_target_are_listed_newest_first
            a_forgotten_result_leaves_its_findings
            only_a_target_without_findings_and_results_is_deleted
            an_edit_has_its_entry_of_the_audit_log
            an_edit_of_an_old_version_is_refused_without_an_entry
            changes_are_listed_in_their_order
            changes_have_deleted_rows
            changes_of_many_writers_are_all_seen
            an_sla_policy_is_set_and_read
            notes_of_a_scan_live_as_long_as_the_scan
            filters_are_saved_under_their_names
            findings_outlive_the_process
        }
    };
}

fn by() -> Principal {
    Principal::User("ana".parse().unwrap())
}

fn shop() -> TargetRecord {
    target_record(&ProjectId::default(), "shop.example")
}

fn named(finding: &FindingRecord, title: &str) -> FindingRecord {
    FindingRecord { title: title.into(), ..finding.clone() }
}

/// The same rows as they are stored.
fn at_version(findings: &[FindingRecord], version: u64) -> Vec<FindingRecord> {
    let mut all: Vec<FindingRecord> =
        findings.iter().map(|finding| FindingRecord { version, ..finding.clone() }).collect();
    all.sort_by_key(|finding| finding.id);
    all
}

impl<H: StoreHarness> World<H> {
    async fn stored(&self, findings: &[FindingRecord]) {
        assert_eq!(self.store.put_findings(findings.to_vec()).await.unwrap(), Put::Stored);
    }

    /// Stores a result. All scans up to its own are submitted before.
    async fn put(&self, result: &ScanResult, target: &TargetRecord, assets: &[SeenAsset]) -> Put {
        while self.store.get(result.scan).await.unwrap().is_none() {
            self.scan("shop.example").await;
        }
        self.store.put_result(result.clone(), target.clone(), assets.to_vec()).await.unwrap()
    }

    async fn saw(&self, scan: u64, chunk: u32, numbers: std::ops::Range<u64>) -> Vec<ObservedRecord> {
        let observed: Vec<ObservedRecord> = numbers.map(observed_record).collect();
        self.store.put_observed(ScanId(scan), chunk, observed.clone()).await.unwrap();
        observed
    }

    async fn observed(&self, scan: u64, chunk: u32) -> Vec<ObservedRecord> {
        self.store.observed(ScanId(scan), chunk).await.unwrap()
    }

    async fn assets(&self, target: &TargetRecord) -> Vec<SeenAsset> {
        let mut assets = self.store.assets(target.id).await.unwrap();
        assets.sort_by(|one, other| one.asset.kind.cmp(&other.asset.kind));
        assets
    }

    /// Returns what was audited about findings, targets and scans, oldest first.
    async fn edits(&self) -> Vec<(DomainEvent, Principal, Option<ScanId>)> {
        let mut entries = self.store.audit(&AuditQuery::newest(100)).await.unwrap().entries;
        entries.reverse();
        let wanted = ["finding_triaged", "target_changed", "scan_notes_changed", "sla_policy_set"];
        let entries = entries.into_iter().filter(|entry| wanted.contains(&entry.event.action()));
        entries.map(|entry| (entry.event, entry.principal, entry.scan)).collect()
    }

    /// Reads all changes after a mark, some at a time.
    async fn changes(&self, after: u64, limit: usize) -> FindingChanges {
        let mut all = FindingChanges { mark: after, ..FindingChanges::default() };
        loop {
            let page = self.store.changes(all.mark, limit).await.unwrap();
            let FindingChanges { findings, gone, targets, gone_targets, mark, has_more } = page;
            let count = findings.len() + gone.len() + targets.len() + gone_targets.len();
            assert!(count <= limit && (mark > all.mark) == (count > 0), "{count} rows from {} to {mark}", all.mark);
            all.findings.extend(findings);
            all.gone.extend(gone);
            all.targets.extend(targets);
            all.gone_targets.extend(gone_targets);
            all.mark = mark;
            if !has_more {
                return all;
            }
        }
    }
}

/// Findings of a target are in the order of their ids, and those of others are not among them.
pub async fn findings_are_read_as_they_were_written<H: StoreHarness>(world: World<H>) {
    let (target, other) = (shop(), target_record(&ProjectId::default(), "other.example"));
    let findings: Vec<FindingRecord> = (0..60).map(|number| finding_record(&target, number)).collect();
    let foreign = finding_record(&other, 1);
    assert_eq!(world.store.finding(findings[0].id).await.unwrap(), None);
    assert_eq!(world.store.findings_of(target.id).await.unwrap(), []);
    world.stored(&[]).await;
    world.stored(&findings).await;
    world.stored(std::slice::from_ref(&foreign)).await;
    assert_eq!(world.store.findings_of(target.id).await.unwrap(), at_version(&findings, 1));
    assert_eq!(world.store.findings_of(other.id).await.unwrap(), at_version(&[foreign], 1));
    let one = FindingRecord { version: 1, ..findings[7].clone() };
    assert_eq!(world.store.finding(one.id).await.unwrap(), Some(one.clone()));
    world.stored(&[named(&one, "another title")]).await;
    let read = world.store.finding(one.id).await.unwrap().unwrap();
    assert_eq!((read.version, read.title.as_str()), (2, "another title"));
}

/// One old version among many rows is enough.
pub async fn findings_with_an_old_version_are_all_left_alone<H: StoreHarness>(world: World<H>) {
    let target = shop();
    let [one, two, new] = [1, 2, 3].map(|number| finding_record(&target, number));
    world.stored(&[one.clone(), two.clone()]).await;
    let stored = |finding: &FindingRecord, version| FindingRecord { version, ..named(finding, "changed") };
    for put in [
        vec![stored(&one, 1), stored(&two, 2)],
        vec![stored(&one, 1), stored(&two, 0)],
        vec![new.clone(), two.clone()],
        vec![stored(&one, 1), stored(&new, 1)],
    ] {
        assert_eq!(world.store.put_findings(put.clone()).await.unwrap(), Put::Changed, "{put:?}");
        assert_eq!(world.store.delete_findings(put).await.unwrap(), Put::Changed);
        assert_eq!(world.store.findings_of(target.id).await.unwrap(), at_version(&[one.clone(), two.clone()], 1));
    }
    world.stored(&[stored(&one, 1), stored(&two, 1), new.clone()]).await;
    let versions: BTreeMap<_, _> =
        world.store.findings_of(target.id).await.unwrap().iter().map(|row| (row.id, row.version)).collect();
    assert_eq!(versions, BTreeMap::from([(one.id, 2), (two.id, 2), (new.id, 1)]));
}

/// Nobody who has read the deleted row can overwrite its successor.
pub async fn a_deleted_finding_is_gone_and_its_successor_continues_its_versions<H: StoreHarness>(world: World<H>) {
    let (target, finding) = (shop(), finding_record(&shop(), 1));
    world.stored(std::slice::from_ref(&finding)).await;
    let read = world.store.finding(finding.id).await.unwrap().unwrap();
    assert_eq!(world.store.delete_findings(vec![read.clone()]).await.unwrap(), Put::Stored);
    assert_eq!(world.store.finding(finding.id).await.unwrap(), None);
    assert_eq!(world.store.findings_of(target.id).await.unwrap(), []);
    assert_eq!(world.store.put_findings(vec![read.clone()]).await.unwrap(), Put::Changed);
    world.stored(std::slice::from_ref(&finding)).await;
    assert_eq!(world.store.put_findings(vec![read]).await.unwrap(), Put::Changed);
    assert_eq!(world.store.findings_of(target.id).await.unwrap(), at_version(&[finding], 3));
}

/// The chunks come first, so a result says that they are there.
pub async fn a_result_is_stored_with_its_target_and_its_assets<H: StoreHarness>(world: World<H>) {
    let (target, result) = (shop(), scan_result(&shop(), scan_order(1, 0), 3));
    let assets = [seen_asset(&target, "nginx"), seen_asset(&target, "php")];
    let chunk = world.saw(1, 0, 0..3).await;
    assert_eq!(world.store.scan_result(ScanId(1)).await.unwrap(), None);
    assert_eq!((world.store.target(target.id).await.unwrap(), world.assets(&target).await), (None, vec![]));
    assert_eq!(world.put(&result, &target, &assets).await, Put::Stored);
    assert_eq!(world.store.scan_result(ScanId(1)).await.unwrap(), Some(result));
    let stored = TargetRecord { version: 1, ..target.clone() };
    assert_eq!(world.store.target(target.id).await.unwrap(), Some(stored.clone()));
    assert_eq!(world.assets(&target).await, assets);
    assert_eq!((world.observed(1, 0).await, world.observed(1, 1).await), (chunk, vec![]));
    assert_eq!(world.observed(2, 0).await, []);
    // The assets are replaced as a whole.
    let result = scan_result(&target, scan_order(2, 10), 0);
    assert_eq!(world.put(&result, &stored, &assets[1..]).await, Put::Stored);
    assert_eq!(world.assets(&target).await, assets[1..]);
    assert_eq!(world.store.target(target.id).await.unwrap().unwrap().version, 2);
}

/// Neither the result nor the assets are stored.
pub async fn a_result_with_an_old_target_changes_nothing<H: StoreHarness>(world: World<H>) {
    let target = shop();
    let result = scan_result(&target, scan_order(1, 0), 0);
    assert_eq!(world.put(&result, &target, &[]).await, Put::Stored);
    let later = scan_result(&target, scan_order(2, 10), 0);
    for version in [0, 2] {
        let read = TargetRecord { version, notes: "mine".into(), ..target.clone() };
        assert_eq!(world.put(&later, &read, &[seen_asset(&target, "php")]).await, Put::Changed);
        assert_eq!(world.store.scan_result(ScanId(2)).await.unwrap(), None);
        assert_eq!(world.assets(&target).await, []);
        let stored = TargetRecord { version: 1, ..target.clone() };
        assert_eq!(world.store.target(target.id).await.unwrap(), Some(stored));
    }
}

/// A later attempt saw less: the chunks that it does not have are deleted.
pub async fn a_second_result_of_a_scan_replaces_the_first<H: StoreHarness>(world: World<H>) {
    let target = shop();
    for chunk in 0..3 {
        let first = u64::from(chunk) * 10;
        world.saw(1, chunk, first..first + 2).await;
    }
    let foreign = world.saw(2, 0, 0..2).await;
    let first = scan_result(&target, scan_order(1, 0), 600);
    assert_eq!(world.put(&first, &target, &[]).await, Put::Stored);
    assert_eq!(world.observed(1, 2).await.len(), 2);
    let less = world.saw(1, 0, 7..8).await;
    let second = scan_result(&target, Order { token: 2, ..scan_order(1, 20) }, 1);
    assert_eq!(world.put(&second, &TargetRecord { version: 1, ..target.clone() }, &[]).await, Put::Stored);
    assert_eq!(world.store.scan_result(ScanId(1)).await.unwrap(), Some(second.clone()));
    assert_eq!(world.store.results_of(target.id, None, 9).await.unwrap(), [second]);
    assert_eq!(
        [world.observed(1, 0).await, world.observed(1, 1).await, world.observed(1, 2).await],
        [less, vec![], vec![]]
    );
    assert_eq!(world.observed(2, 0).await, foreign);
}

/// A chunk with the largest texts, and all assets that a target can have.
pub async fn large_lists_survive<H: StoreHarness>(world: World<H>) {
    let target = shop();
    let large = |number: u64| {
        let mut one = observed_record(number);
        one.finding.members = (0..60).map(|member| format!("{member} {}", "\u{1F980}".repeat(50))).collect();
        one
    };
    let chunk: Vec<ObservedRecord> = (0..200).map(large).collect();
    world.store.put_observed(ScanId(1), 0, chunk.clone()).await.unwrap();
    assert_eq!(world.observed(1, 0).await, chunk);
    world.store.put_observed(ScanId(1), 0, chunk[..1].to_vec()).await.unwrap();
    assert_eq!(world.observed(1, 0).await, chunk[..1]);
    let assets: Vec<SeenAsset> = (0..1200).map(|number| seen_asset(&target, &format!("{number:04}"))).collect();
    let result = scan_result(&target, scan_order(1, 0), 1);
    assert_eq!(world.put(&result, &target, &assets).await, Put::Stored);
    assert_eq!(world.assets(&target).await, assets);
}

/// By time, then by number and token, over several pages.
pub async fn results_of_a_target_are_listed_newest_first<H: StoreHarness>(world: World<H>) {
    let (mut target, mut other) = (shop(), target_record(&ProjectId::default(), "other.example"));
    let orders = [scan_order(5, 0), scan_order(9, 10), scan_order(10, 10), scan_order(2, 20), scan_order(3, 30)];
    let results = orders.map(|order| scan_result(&target, order, 0));
    for at in [3, 0, 4, 2, 1] {
        assert_eq!(world.put(&results[at], &target, &[]).await, Put::Stored);
        target.version += 1;
    }
    let foreign = scan_result(&other, scan_order(7, 15), 0);
    assert_eq!(world.put(&foreign, &other, &[]).await, Put::Stored);
    other.version += 1;
    let newest_first: Vec<ScanResult> = results.iter().rev().cloned().collect();
    for limit in [1, 2, 9] {
        let mut all: Vec<ScanResult> = Vec::new();
        loop {
            let before = all.last().map(|result| result.order);
            let page = world.store.results_of(target.id, before, limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        assert_eq!(all, newest_first, "{limit}");
    }
    let before = Order { token: 2, ..scan_order(9, 10) };
    assert_eq!(world.store.results_of(target.id, Some(before), 1).await.unwrap(), results[1..2]);
    assert_eq!(world.store.results_of(other.id, None, 9).await.unwrap(), [foreign]);
}

/// It was deleted or transferred while its result was computed.
pub async fn a_result_of_a_scan_of_another_project_or_of_none_changes_nothing<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("shop.example").await.id;
    let target = shop();
    let elsewhere = target_record(&"team".parse().unwrap(), "shop.example");
    let store = &world.store;
    for (result, target) in [
        (scan_result(&elsewhere, scan_order(scan.0, 0), 0), &elsewhere),
        (scan_result(&target, scan_order(77, 0), 0), &target),
    ] {
        let answer = store.put_result(result.clone(), target.clone(), vec![seen_asset(target, "php")]).await;
        assert_eq!(answer.unwrap(), Put::Changed);
        assert_eq!(store.scan_result(result.scan).await.unwrap(), None);
        assert_eq!((store.target(target.id).await.unwrap(), world.assets(target).await), (None, vec![]));
    }
    let result = scan_result(&target, scan_order(scan.0, 0), 0);
    assert_eq!(world.put(&result, &target, &[]).await, Put::Stored);
    world.committed(scan, cancel()).await;
    assert!(matches!(store.delete(scan, &Principal::System).await.unwrap(), Deleted::Gone(_)));
    let again = TargetRecord { version: 1, ..target.clone() };
    assert_eq!(store.put_result(result, again, Vec::new()).await.unwrap(), Put::Changed);
}

/// A scan left it, and its results stay.
pub async fn a_target_is_stored_without_a_result<H: StoreHarness>(world: World<H>) {
    let target = shop();
    let result = scan_result(&target, scan_order(1, 0), 0);
    let (nginx, php) = (seen_asset(&target, "nginx"), seen_asset(&target, "php"));
    assert_eq!(world.put(&result, &target, &[nginx.clone(), php]).await, Put::Stored);
    let changed = TargetRecord { version: 1, checks: BTreeMap::new(), ..target.clone() };
    for (version, answer) in [(0, Put::Changed), (1, Put::Stored), (1, Put::Changed)] {
        let written = TargetRecord { version, ..changed.clone() };
        assert_eq!(world.store.put_target(written, vec![nginx.clone()]).await.unwrap(), answer);
    }
    let read = world.store.target(target.id).await.unwrap();
    assert_eq!(read, Some(TargetRecord { version: 2, ..changed }));
    assert_eq!((world.assets(&target).await, world.changes(0, 9).await.targets.len()), (vec![nginx], 1));
    assert_eq!(world.store.results_of(target.id, None, 9).await.unwrap(), [result]);
}

/// The ingestion decides about findings and the target.
pub async fn a_forgotten_result_leaves_its_findings<H: StoreHarness>(world: World<H>) {
    let (target, finding) = (shop(), finding_record(&shop(), 1));
    world.stored(std::slice::from_ref(&finding)).await;
    for scan in [1, 2] {
        let version = scan - 1;
        world.saw(scan, 0, 0..2).await;
        let result = scan_result(&target, scan_order(scan, 0), 2);
        assert_eq!(world.put(&result, &TargetRecord { version, ..target.clone() }, &[]).await, Put::Stored);
    }
    for _ in 0..2 {
        world.store.forget_result(ScanId(1)).await.unwrap();
        assert_eq!(world.store.scan_result(ScanId(1)).await.unwrap(), None);
        assert_eq!((world.observed(1, 0).await, world.observed(2, 0).await.len()), (vec![], 2));
        assert_eq!(world.store.results_of(target.id, None, 9).await.unwrap().len(), 1);
        assert_eq!(world.store.findings_of(target.id).await.unwrap().len(), 1);
        assert!(world.store.target(target.id).await.unwrap().is_some());
    }
}

/// A deletion that is repeated answers the same.
pub async fn only_a_target_without_findings_and_results_is_deleted<H: StoreHarness>(world: World<H>) {
    let (target, finding) = (shop(), finding_record(&shop(), 1));
    let result = scan_result(&target, scan_order(1, 0), 0);
    world.stored(std::slice::from_ref(&finding)).await;
    assert_eq!(world.put(&result, &target, &[seen_asset(&target, "php")]).await, Put::Stored);
    assert!(!world.store.delete_target(target.id).await.unwrap(), "it has a finding and a result");
    world.store.forget_result(ScanId(1)).await.unwrap();
    assert!(!world.store.delete_target(target.id).await.unwrap(), "it has a finding");
    assert!(world.store.target(target.id).await.unwrap().is_some());
    let read = FindingRecord { version: 1, ..finding };
    assert_eq!(world.store.delete_findings(vec![read]).await.unwrap(), Put::Stored);
    for _ in 0..2 {
        assert!(world.store.delete_target(target.id).await.unwrap());
        assert_eq!(world.store.target(target.id).await.unwrap(), None);
        assert_eq!(world.assets(&target).await, []);
    }
    // It continues its versions, like a finding.
    assert_eq!(world.put(&result, &target, &[]).await, Put::Stored);
    assert_eq!(world.store.target(target.id).await.unwrap().unwrap().version, 3);
}

fn triaged(finding: &FindingRecord) -> DomainEvent {
    DomainEvent::FindingTriaged {
        project: finding.project.clone(),
        finding: finding.id,
        did: TriageKind::Commented,
        text: Some("<b>\"".into()),
        until: None,
    }
}

fn changed(target: &TargetRecord) -> DomainEvent {
    DomainEvent::TargetChanged { project: target.project.clone(), target: target.id }
}

/// Of a finding and of a target.
pub async fn an_edit_has_its_entry_of_the_audit_log<H: StoreHarness>(world: World<H>) {
    let (target, finding) = (shop(), finding_record(&shop(), 1));
    world.stored(std::slice::from_ref(&finding)).await;
    assert_eq!(world.put(&scan_result(&target, scan_order(1, 0), 0), &target, &[]).await, Put::Stored);
    assert_eq!(world.edits().await, []);
    let edited = FindingRecord { version: 1, owner: Some("ben".parse().unwrap()), ..finding };
    assert_eq!(world.store.edit_finding(edited.clone(), &triaged(&edited), &by()).await.unwrap(), Put::Stored);
    let noted = TargetRecord { version: 1, notes: "ours".into(), ..target };
    assert_eq!(world.store.edit_target(noted.clone(), &changed(&noted), &by()).await.unwrap(), Put::Stored);
    let read = world.store.finding(edited.id).await.unwrap();
    assert_eq!(read, Some(FindingRecord { version: 2, ..edited.clone() }));
    let read = world.store.target(noted.id).await.unwrap();
    assert_eq!(read, Some(TargetRecord { version: 2, ..noted.clone() }));
    assert_eq!(world.edits().await, [(triaged(&edited), by(), None), (changed(&noted), by(), None)]);
}

/// A scan, or another person, was faster.
pub async fn an_edit_of_an_old_version_is_refused_without_an_entry<H: StoreHarness>(world: World<H>) {
    let (target, finding) = (shop(), finding_record(&shop(), 1));
    world.stored(std::slice::from_ref(&finding)).await;
    assert_eq!(world.put(&scan_result(&target, scan_order(1, 0), 0), &target, &[]).await, Put::Stored);
    for version in [0, 2] {
        let edited = FindingRecord { version, ..named(&finding, "mine") };
        assert_eq!(world.store.edit_finding(edited.clone(), &triaged(&edited), &by()).await.unwrap(), Put::Changed);
        let noted = TargetRecord { version, notes: "ours".into(), ..target.clone() };
        assert_eq!(world.store.edit_target(noted.clone(), &changed(&noted), &by()).await.unwrap(), Put::Changed);
    }
    assert_eq!(world.store.finding(finding.id).await.unwrap(), Some(FindingRecord { version: 1, ..finding }));
    assert_eq!(world.store.target(target.id).await.unwrap(), Some(TargetRecord { version: 1, ..target }));
    assert_eq!(world.edits().await, []);
}

/// A row that changed twice is there once, at its last change.
pub async fn changes_are_listed_in_their_order<H: StoreHarness>(world: World<H>) {
    let target = shop();
    let findings: Vec<FindingRecord> = (0..5).map(|number| finding_record(&target, number)).collect();
    assert_eq!(world.store.changes(0, 10).await.unwrap(), FindingChanges::default());
    world.stored(&findings[..3]).await;
    assert_eq!(world.put(&scan_result(&target, scan_order(1, 0), 0), &target, &[]).await, Put::Stored);
    world.stored(&findings[3..]).await;
    let mark = world.changes(0, 100).await.mark;
    let again = FindingRecord { version: 1, ..findings[1].clone() };
    world.stored(std::slice::from_ref(&again)).await;
    let expected: Vec<_> = [0, 2, 3, 4, 1].map(|at| findings[at].id).into();
    for limit in [1, 2, 3, 100] {
        let all = world.changes(0, limit).await;
        assert_eq!(all.findings.iter().map(|finding| finding.id).collect::<Vec<_>>(), expected, "{limit}");
        assert_eq!(all.targets, [TargetRecord { version: 1, ..target.clone() }]);
        assert!(all.mark > mark);
    }
    let newer = world.changes(mark, 100).await;
    assert_eq!((newer.findings, newer.targets), (vec![FindingRecord { version: 2, ..again }], vec![]));
    let none = world.store.changes(newer.mark, 100).await.unwrap();
    assert_eq!(none, FindingChanges { mark: newer.mark, ..FindingChanges::default() });
    assert_eq!(world.store.changes(u64::MAX, 100).await.unwrap().mark, u64::MAX);
}

/// A row that is stored again after its deletion is not gone any more.
pub async fn changes_have_deleted_rows<H: StoreHarness>(world: World<H>) {
    let (target, finding, other) = (shop(), finding_record(&shop(), 1), finding_record(&shop(), 2));
    world.stored(&[finding.clone(), other.clone()]).await;
    assert_eq!(world.put(&scan_result(&target, scan_order(1, 0), 0), &target, &[]).await, Put::Stored);
    let mark = world.changes(0, 100).await.mark;
    world.store.forget_result(ScanId(1)).await.unwrap();
    let all = at_version(&[finding.clone(), other.clone()], 1);
    assert_eq!(world.store.delete_findings(all).await.unwrap(), Put::Stored);
    assert!(world.store.delete_target(target.id).await.unwrap());
    for after in [0, mark] {
        let mut changes = world.changes(after, 2).await;
        changes.gone.sort_unstable();
        let mut gone = vec![finding.id, other.id];
        gone.sort_unstable();
        assert_eq!((changes.gone, changes.gone_targets), (gone, vec![target.id]));
        assert_eq!((changes.findings, changes.targets), (vec![], vec![]));
    }
    world.stored(std::slice::from_ref(&finding)).await;
    let changes = world.changes(mark, 100).await;
    assert_eq!((changes.gone, changes.findings.len()), (vec![other.id], 1));
}

/// A reader follows the marks while several writers commit; it misses no row.
pub async fn changes_of_many_writers_are_all_seen<H: StoreHarness>(world: World<H>) {
    let target = shop();
    let writers = (0..6).map(|writer| {
        let (store, target) = (Arc::clone(&world.store), target.clone());
        async move {
            for number in 0..5 {
                let findings = vec![finding_record(&target, writer * 100 + number)];
                assert_eq!(store.put_findings(findings).await.unwrap(), Put::Stored);
            }
        }
    });
    let reader = async {
        let (mut seen, mut mark) = (BTreeSet::new(), 0);
        while seen.len() < 30 {
            let page = world.store.changes(mark, 4).await.unwrap();
            seen.extend(page.findings.iter().map(|finding| finding.id));
            mark = page.mark;
            tokio::task::yield_now().await;
        }
        seen
    };
    let (_, seen) = tokio::join!(futures_util::future::join_all(writers), reader);
    let all = world.store.findings_of(target.id).await.unwrap();
    assert_eq!(seen, all.iter().map(|finding| finding.id).collect());
}

/// Each project has its own.
pub async fn an_sla_policy_is_set_and_read<H: StoreHarness>(world: World<H>) {
    let (project, other): (ProjectId, ProjectId) = ("web".parse().unwrap(), "shop".parse().unwrap());
    assert_eq!(world.store.sla_policy(&project).await.unwrap(), SlaPolicy::default());
    let policy = SlaPolicy { days: BTreeMap::from([(FindingSeverity::Critical, 3), (FindingSeverity::Low, 90)]) };
    for policy in [policy, SlaPolicy::default()] {
        world.store.set_sla_policy(&project, policy.clone(), &by()).await.unwrap();
        assert_eq!(world.store.sla_policy(&project).await.unwrap(), policy);
        assert_eq!(world.store.sla_policy(&other).await.unwrap(), SlaPolicy::default());
    }
    let entry = (DomainEvent::SlaPolicySet { project }, by(), None);
    assert_eq!(world.edits().await, [entry.clone(), entry]);
}

/// A scan that is not there has none, and its number keeps nothing.
pub async fn notes_of_a_scan_live_as_long_as_the_scan<H: StoreHarness>(world: World<H>) {
    let (scan, other) = (world.scan("example.com").await.id, world.scan("example.org").await.id);
    let notes = ScanNotes { tags: vec!["release".into()], notes: "<b>\0\"".into() };
    assert_eq!(world.store.scan_notes(scan).await.unwrap(), ScanNotes::default());
    assert!(!world.store.set_scan_notes(ScanId(77), notes.clone(), &by()).await.unwrap());
    assert_eq!(world.store.scan_notes(ScanId(77)).await.unwrap(), ScanNotes::default());
    assert!(world.store.set_scan_notes(scan, ScanNotes::default(), &by()).await.unwrap());
    for scan in [scan, other] {
        assert!(world.store.set_scan_notes(scan, notes.clone(), &by()).await.unwrap());
        assert_eq!(world.store.scan_notes(scan).await.unwrap(), notes);
    }
    let entry = |scan| (DomainEvent::ScanNotesChanged, by(), Some(scan));
    assert_eq!(world.edits().await, [entry(scan), entry(scan), entry(other)]);
    world.committed(scan, cancel()).await;
    assert!(matches!(world.store.delete(scan, &Principal::System).await.unwrap(), Deleted::Gone(_)));
    assert_eq!(world.store.scan_notes(scan).await.unwrap(), ScanNotes::default());
    assert_eq!(world.store.scan_notes(other).await.unwrap(), notes);
}

/// An owner has a bounded number, by name, and sees none of others.
pub async fn filters_are_saved_under_their_names<H: StoreHarness>(world: World<H>) {
    let (ana, anabel) = ("user:ana", "user:anabel");
    let filter = |name: &str, filter: &str| SavedFilter { name: name.into(), filter: filter.into() };
    let open = filter("open <b>\"'` highs", "state:open severity:high");
    for (filter, is_saved) in [
        (open.clone(), true),
        (filter("Überfällig", "sla:overdue"), true),
        (filter("one too many", ""), false),
        (filter("Überfällig", "sla:overdue\0"), true),
    ] {
        assert_eq!(world.store.save_filter(ana, filter.clone(), 2).await.unwrap(), is_saved, "{filter:?}");
    }
    assert!(world.store.save_filter(anabel, filter("open", ""), 2).await.unwrap());
    let saved = [open.clone(), filter("Überfällig", "sla:overdue\0")];
    assert_eq!(world.store.saved_filters(ana).await.unwrap(), saved);
    assert_eq!(world.store.saved_filters("user:an").await.unwrap(), []);
    assert!(!world.store.delete_filter(ana, "open").await.unwrap());
    assert!(world.store.delete_filter(ana, &open.name).await.unwrap());
    assert!(!world.store.delete_filter(ana, &open.name).await.unwrap());
    assert_eq!(world.store.saved_filters(ana).await.unwrap(), saved[1..]);
    assert_eq!(world.store.saved_filters(anabel).await.unwrap(), [filter("open", "")]);
    assert_eq!(world.edits().await, []);
}

/// With their marks: the next change has a higher one.
pub async fn findings_outlive_the_process<H: StoreHarness>(world: World<H>) {
    let (target, finding) = (shop(), finding_record(&shop(), 1));
    world.stored(std::slice::from_ref(&finding)).await;
    let chunk = world.saw(1, 0, 0..2).await;
    let result = scan_result(&target, scan_order(1, 0), 2);
    let assets = [seen_asset(&target, "php")];
    assert_eq!(world.put(&result, &target, &assets).await, Put::Stored);
    let before = world.changes(0, 100).await;
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("the store is in use") };
    let world = World { store: Arc::new(harness.reopen(store).await), harness };
    assert_eq!(world.changes(0, 100).await, before);
    assert_eq!(world.store.scan_result(ScanId(1)).await.unwrap(), Some(result));
    assert_eq!((world.observed(1, 0).await, world.assets(&target).await), (chunk, assets.to_vec()));
    world.stored(&[FindingRecord { version: 1, ..finding }]).await;
    let after = world.changes(before.mark, 100).await;
    assert_eq!((after.findings.len(), after.targets.len()), (1, 0));
}
