//! Targets, findings and results of scans in backups.

use kastrel_actors::model::{Deleted, FindingRecord, Put, SavedFilter, ScanNotes, TargetRecord};
use kastrel_actors::testing::fixtures::{
    finding_record, observed_record, scan_order, scan_result, seen_asset, target_record,
};
use kastrel_findings::Severity;
use kastrel_findings::lifecycle::SlaPolicy;

use super::*;

/// Adds two targets with findings, of which one was deleted, and all that belongs to them.
async fn add_findings(store: &SurrealStore) -> [TargetRecord; 2] {
    let targets = ["shop.example", "blog.example:8443"].map(|name| target_record(&ProjectId::default(), name));
    for (scan, target) in (1..).zip(&targets) {
        let findings: Vec<FindingRecord> = (0..5).map(|number| finding_record(target, number)).collect();
        assert_eq!(store.put_findings(findings.clone()).await.unwrap(), Put::Stored);
        let gone = FindingRecord { version: 1, ..findings[2].clone() };
        assert_eq!(store.delete_findings(vec![gone]).await.unwrap(), Put::Stored);
        for chunk in 0..2 {
            let observed = (0..3).map(observed_record).collect();
            store.put_observed(ScanId(scan), chunk, observed).await.unwrap();
        }
        let result = scan_result(target, scan_order(scan, 10), 201);
        let assets = vec![seen_asset(target, "nginx"), seen_asset(target, "php")];
        assert_eq!(store.put_result(result, target.clone(), assets).await.unwrap(), Put::Stored);
    }
    let notes = ScanNotes { tags: vec!["release".into()], notes: "<b>\0\n".into() };
    assert!(store.set_scan_notes(ScanId(1), notes, &Principal::System).await.unwrap());
    let policy = SlaPolicy { days: BTreeMap::from([(Severity::High, 14)]) };
    store.set_sla_policy(&ProjectId::default(), policy, &Principal::System).await.unwrap();
    for name in ["due \"<b>", "a ~ {z}", "\u{1F980}"] {
        let filter = SavedFilter { name: name.into(), filter: "state:open".into() };
        assert!(store.save_filter("user:ana", filter, 9).await.unwrap());
    }
    targets
}

/// Deleted rows and marks are not part of a backup.
#[test]
fn findings_targets_and_results_are_restored() {
    run(async {
        let store = full().await;
        let targets = add_findings(&store).await;
        let (file, written) = backup(&store).await;
        assert_eq!(check(file.as_slice()).await.unwrap(), written);
        let restored = SurrealStore::in_memory().await.unwrap();
        assert_eq!(read(&restored, file.as_slice()).await.unwrap(), written);
        for (scan, target) in (1..).map(ScanId).zip(&targets) {
            let findings = restored.findings_of(target.id).await.unwrap();
            assert_eq!((findings.len(), &findings), (4, &store.findings_of(target.id).await.unwrap()));
            assert_eq!(restored.target(target.id).await.unwrap(), Some(TargetRecord { version: 1, ..target.clone() }));
            assert_eq!(restored.assets(target.id).await.unwrap(), store.assets(target.id).await.unwrap());
            assert_eq!(restored.assets(target.id).await.unwrap().len(), 2);
            let result = restored.scan_result(scan).await.unwrap();
            assert!(result.is_some());
            assert_eq!(result, store.scan_result(scan).await.unwrap());
            assert_eq!(restored.results_of(target.id, None, 9).await.unwrap(), Vec::from_iter(result));
            for chunk in 0..3 {
                let observed = restored.observed(scan, chunk).await.unwrap();
                assert_eq!(observed.len(), if chunk < 2 { 3 } else { 0 });
                assert_eq!(observed, store.observed(scan, chunk).await.unwrap());
            }
        }
        let notes = restored.scan_notes(ScanId(1)).await.unwrap();
        assert_eq!((notes.notes.as_str(), notes.tags.len()), ("<b>\0\n", 1));
        let tagged = ListQuery { tag: Some("release".into()), ..ListQuery::default() };
        let listed = restored.list(tagged).await.unwrap().scans;
        assert_eq!(listed.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), [1]);
        let policy = restored.sla_policy(&ProjectId::default()).await.unwrap();
        assert_eq!(policy.days, BTreeMap::from([(Severity::High, 14)]));
        let filters = restored.saved_filters("user:ana").await.unwrap();
        assert_eq!((filters.len(), &filters), (3, &store.saved_filters("user:ana").await.unwrap()));
        // All rows are changes of the new database, and a further one has a higher mark.
        let changes = restored.changes(0, 100).await.unwrap();
        assert_eq!((changes.findings.len(), changes.targets.len(), changes.gone), (8, 2, vec![]));
        assert_eq!(restored.put_findings(changes.findings[..1].to_vec()).await.unwrap(), Put::Stored);
        assert_eq!(restored.changes(changes.mark, 100).await.unwrap().findings.len(), 1);
        assert_eq!(all(&restored).await, all(&store).await);
    });
}

/// Also over several pages, of which each ends at another row.
#[test]
fn pages_of_findings_have_each_row_once() {
    run(async {
        let store = full().await;
        add_findings(&store).await;
        let schema = SurrealStore::schema_version();
        let mut pages = vec![store.export_findings(schema, None, 1).await.unwrap()];
        while let Some(last) = pages.last().and_then(|page| page.last()).cloned() {
            pages.push(store.export_findings(schema, Some(&last), 1).await.unwrap());
        }
        let rows: Vec<_> = pages.into_iter().flatten().collect();
        // Results, chunks, notes, findings, assets, targets, policies and filters.
        assert_eq!(rows.len(), 2 + 4 + 1 + 8 + 2 + 2 + 1 + 3);
        assert!(rows.iter().enumerate().all(|(at, row)| !rows[..at].contains(row)));
        assert_eq!(store.export_findings(24, None, 100).await.unwrap(), [], "an earlier schema has no findings");
    });
}

/// A scan that was submitted during the backup is not part of it. What it saw is not either, and
/// its number is not given out again, because findings name it.
#[test]
fn scan_of_a_target_that_is_not_part_of_a_backup_keeps_its_number() {
    run(async {
        let store = full().await;
        let target =
            TargetRecord { last_scan: scan_order(9, 20), ..target_record(&ProjectId::default(), "shop.example") };
        while store.submit(fixtures::new_scan("shop.example")).await.unwrap().into_record().id < ScanId(9) {}
        store.put_observed(ScanId(9), 0, vec![observed_record(1)]).await.unwrap();
        let result = scan_result(&target, scan_order(9, 20), 1);
        assert_eq!(store.put_result(result, target.clone(), Vec::new()).await.unwrap(), Put::Stored);
        let cancel = Command::Cancel { by: kastrel_actors::model::CancelledBy::User, principal: Principal::System };
        apply(&store, 9, cancel).await;
        assert!(matches!(store.delete(ScanId(9), &Principal::System).await.unwrap(), Deleted::Gone(_)));
        let (file, _) = backup(&store).await;
        let restored = SurrealStore::in_memory().await.unwrap();
        read(&restored, file.as_slice()).await.unwrap();
        assert_eq!(restored.scan_result(ScanId(9)).await.unwrap(), None);
        assert_eq!(restored.observed(ScanId(9), 0).await.unwrap(), []);
        assert!(restored.target(target.id).await.unwrap().is_some());
        let submitted = restored.submit(fixtures::new_scan("shop.example")).await.unwrap();
        assert_eq!(submitted.into_record().id, ScanId(10));
    });
}

/// The outbox is not part of a backup. A scan from before there were findings, or of a backup of
/// such a version, is not read again.
#[test]
fn restored_scan_that_was_not_ingested_yet_is_delivered_to_findings_alone() {
    run(async {
        let store = full().await;
        add_findings(&store).await;
        let now = store.get(ScanId(3)).await.unwrap().unwrap().ended_at().unwrap();
        let hours = |hours| now + jiff::SignedDuration::from_hours(hours);
        // The scans 3 and 4 ended after an attempt, 6 before one, and the results are of 1 and 2.
        for (schema, written_at, expected) in [
            (SurrealStore::schema_version(), hours(1), vec![3, 4]),
            (SurrealStore::schema_version(), hours(24 * 30), vec![]),
            (24, hours(1), vec![]),
        ] {
            let mut file = Vec::new();
            write::write_of_schema(&store, schema, &mut file, written_at).await.unwrap();
            let restored = SurrealStore::in_memory().await.unwrap();
            read(&restored, file.as_slice()).await.unwrap();
            let leased = restored.lease_entries("a", 9, TTL).await.unwrap();
            let scans: Vec<u64> = leased.entries.iter().map(|entry| entry.key.scan.0).collect();
            assert_eq!(scans, expected, "schema {schema}, written at {written_at}");
            for entry in &leased.entries {
                let record = restored.get(entry.key.scan).await.unwrap().unwrap();
                assert_eq!(entry.key.version, record.version);
                assert_eq!(entry.accepted_by, [kastrel_actors::policy::events::OUTCOMES]);
                let (status, at) = (record.status(), record.ended_at().unwrap());
                assert_eq!(entry.event, DomainEvent::ScanEnded { status, at, project: record.project });
            }
        }
        // A scan with a result is not delivered again.
        let target = target_record(&ProjectId::default(), "shop.example");
        let result = scan_result(&target, scan_order(3, 10), 1);
        let target = TargetRecord { version: 1, ..target };
        assert_eq!(store.put_result(result, target, vec![]).await.unwrap(), Put::Stored);
        let mut file = Vec::new();
        write(&store, &mut file, hours(1)).await.unwrap();
        let restored = SurrealStore::in_memory().await.unwrap();
        read(&restored, file.as_slice()).await.unwrap();
        let leased = restored.lease_entries("a", 9, TTL).await.unwrap();
        assert_eq!(leased.entries.iter().map(|entry| entry.key.scan.0).collect::<Vec<_>>(), [4]);
    });
}
