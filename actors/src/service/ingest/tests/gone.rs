//! Rebuilds after scans were deleted or transferred, and with files that are missing.

use proptest::sample::select;

use super::*;
use crate::policy::ingest::is_touched;

/// What happens to a scan after it was ingested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// It is removed, with its result.
    Deleted,
    /// Its files cannot be read, and its result is stored.
    WithoutFiles,
    /// Its files are still coming, and it has no result.
    Coming,
    /// It is in another project now.
    Transferred,
}

use Fate::{Coming, Deleted, Kept, Transferred, WithoutFiles};

fn fates(of: &'static [Fate]) -> impl Strategy<Value = Vec<Fate>> {
    proptest::collection::vec(select(of), 6)
}

/// The files that are there, and the stored results.
struct Rest {
    files: Files,
    stored: StoredScans,
    listed: Vec<(ScanOrder, ScanId)>,
}

#[async_trait::async_trait]
impl ReadScan for Rest {
    async fn scans(&self, _: TargetId) -> Result<Vec<(ScanOrder, ScanId)>, IngestError> {
        Ok(self.listed.clone())
    }

    async fn read(&self, scan: ScanId) -> Result<Option<ScanReading>, IngestError> {
        match self.files.read(scan).await? {
            Some(reading) => Ok(Some(reading)),
            None => self.stored.read(scan).await,
        }
    }
}

impl World {
    /// Lets the scans meet their fates, and returns what a rebuild can read.
    async fn meet(&self, all: &[ScanReading], fates: &[Fate], faults: &[(usize, bool)]) -> Rest {
        let other = "other".parse().unwrap();
        for (reading, fate) in all.iter().zip(fates) {
            let scan = reading.head.scan;
            match fate {
                Kept | WithoutFiles => {}
                Deleted => {
                    self.store.suppose_scan(scan, None);
                    self.store.forget_result(scan).await.unwrap();
                }
                Coming => self.store.forget_result(scan).await.unwrap(),
                Transferred => self.store.suppose_scan(scan, Some(&other)),
            }
        }
        let target = head(1).target();
        for (reading, _) in all.iter().zip(fates).filter(|(_, fate)| **fate == Transferred) {
            for fault in faults {
                let _ = self.ingestion(Some(*fault)).leave(target, reading.head.scan).await;
            }
        }
        // A result of another scan that is transferred too cannot be written: it leaves first.
        for _ in 0..2 {
            for (reading, _) in all.iter().zip(fates).filter(|(_, fate)| **fate == Transferred) {
                let _ = self.ingestion(None).leave(target, reading.head.scan).await;
            }
        }
        let with = |wanted: &[Fate]| -> Vec<ScanReading> {
            all.iter()
                .zip(fates)
                .filter(|(_, fate)| wanted.contains(fate))
                .map(|(reading, _)| reading.clone())
                .collect()
        };
        let listed = with(&[Kept, WithoutFiles, Coming]);
        Rest {
            files: Files(with(&[Kept])),
            stored: StoredScans(self.ingestion(None)),
            listed: listed.iter().map(|reading| (reading.head.order, reading.head.scan)).collect(),
        }
    }

    /// Rebuilds, with faults and then without, and a second time without a write.
    async fn rebuild(&self, source: &Rest, faults: &[(usize, bool)]) -> Result<(), TestCaseError> {
        let target = head(1).target();
        for fault in faults {
            let _ = self.ingestion(Some(*fault)).rebuild(target, source).await;
        }
        self.ingestion(None).rebuild(target, source).await.unwrap();
        let (calls, before) = (self.store.calls(), self.findings().await);
        let again = self.ingestion(None).rebuild(target, source).await.unwrap();
        prop_assert_eq!(self.findings().await, before);
        prop_assert_eq!((again.written, again.deleted), (0, 0));
        let calls_now = self.store.calls();
        for call in ["put_findings", "put_result", "put_target", "put_observed"] {
            prop_assert_eq!(calls.get(call), calls_now.get(call), "{}", call);
        }
        Ok(())
    }
}

/// What the findings say that does not depend on the order in which scans arrived.
fn said(rows: &[FindingRecord]) -> Vec<String> {
    let one = |row: &FindingRecord| {
        let life = &row.life;
        let is_fixed = matches!(life.state, State::Fixed { .. });
        format!(
            "{} {:?} {:?} {is_fixed} {:?} {:?} {:?} {:?}",
            row.id,
            life.first_seen,
            life.last_seen,
            life.not_checked_since(),
            row.seen_with,
            life.decision,
            life.confirmed
        )
    };
    rows.iter().map(one).collect()
}

/// The orders that a finding names.
fn named(row: &FindingRecord) -> Vec<ScanOrder> {
    let life = &row.life;
    let mut all = vec![life.first_seen.order, life.last_seen.order];
    all.extend(life.absences.iter().map(|proof| proof.order));
    if let State::Fixed { proof } = &life.state {
        all.extend(proof.iter().map(|proof| proof.order));
    }
    all.extend(life.unchecked.map(|(order, _)| order));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn rebuild_without_some_scans_changes_nothing_that_they_said(
        (scans, deliveries) in deliveries(), fates in fates(&[Kept, Deleted, WithoutFiles, Coming]),
        faults in proptest::collection::vec((0..40_usize, any::<bool>()), 0..3),
    ) {
        let all = readings(&scans);
        block_on(async {
            let world = deliver(&deliveries, &all).await?;
            let before = said(&world.findings().await);
            let target = world.store.target(head(1).target()).await.unwrap().unwrap();
            let rest = world.meet(&all, &fates, &[]).await;
            world.rebuild(&rest, &faults).await?;
            world.check_promises(&all).await?;
            prop_assert_eq!(said(&world.findings().await), before);
            let now = world.store.target(target.id).await.unwrap().unwrap();
            prop_assert_eq!(now.checks, target.checks);
            Ok::<_, TestCaseError>(())
        })?;
    }

    #[test]
    fn transferred_scans_leave_what_the_others_say(
        (scans, deliveries) in deliveries(), fates in fates(&[Kept, Transferred]),
        faults in proptest::collection::vec((0..30_usize, any::<bool>()), 0..3),
    ) {
        let all = readings(&scans);
        let nobody: Vec<Delivery> = deliveries.into_iter().map(|one| Delivery { person: None, ..one }).collect();
        block_on(async {
            let world = deliver(&nobody, &all).await?;
            world.meet(&all, &fates, &faults).await;
            let stay: Vec<ScanReading> =
                all.iter().zip(&fates).filter(|(_, fate)| **fate == Kept).map(|(one, _)| one.clone()).collect();
            if stay.is_empty() {
                prop_assert_eq!(world.findings().await, vec![]);
                prop_assert_eq!(world.store.target(head(1).target()).await.unwrap(), None);
                return Ok(());
            }
            world.check_promises(&all).await?;
            world.check_state(&stay).await
        })?;
    }

    #[test]
    fn no_fate_of_scans_closes_a_finding_or_takes_a_decision_away(
        (scans, deliveries) in deliveries(), fates in fates(&[Kept, Deleted, WithoutFiles, Coming, Transferred]),
        faults in proptest::collection::vec((0..40_usize, any::<bool>()), 0..3),
    ) {
        let all = readings(&scans);
        block_on(async {
            let world = deliver(&deliveries, &all).await?;
            let before = world.findings().await;
            let rest = world.meet(&all, &fates, &faults).await;
            world.check_promises(&all).await?;
            world.rebuild(&rest, &faults).await?;
            world.check_promises(&all).await?;
            let left = |order: ScanOrder| {
                all.iter().zip(&fates).any(|(one, fate)| *fate == Transferred && one.head.order == order)
            };
            let now = world.findings().await;
            for row in now.iter().filter(|row| !is_touched(row)) {
                prop_assert!(!named(row).into_iter().any(left), "{:?}", row.life);
            }
            for row in before.iter().filter(|row| !left(row.life.last_seen.order)) {
                let row_now = now.iter().find(|now| now.id == row.id);
                prop_assert_eq!(row_now.map(|now| now.life.last_seen), Some(row.life.last_seen));
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}

#[test]
fn transfer_of_the_newest_scan_keeps_what_a_removed_scan_saw_and_proved() {
    block_on(async {
        let world = World::new();
        let all = [
            scan(1, &[("testssl", PluginEnd::Completed, 1, &["a", "b"])]),
            scan(2, &[("testssl", PluginEnd::Completed, 1, &["a"])]),
            scan(3, &[("testssl", PluginEnd::Completed, 1, &["a", "c"])]),
        ];
        for reading in &all {
            world.ingestion(None).ingest(reading).await.unwrap();
        }
        world.meet(&all, &[Deleted, Deleted, Transferred], &[]).await;
        let rows = world.findings().await;
        let row = |issue: &str| rows.iter().find(|row| row.issue.as_str() == issue);
        let open = row("a").unwrap();
        assert_eq!((open.life.first_seen.order, open.life.state.clone()), (order(1), State::Open));
        let State::Fixed { proof } = &row("b").unwrap().life.state else { panic!("the proof is lost") };
        assert_eq!(proof[0].order, order(2));
        assert_eq!(row("c"), None);
        let target = world.store.target(head(1).target()).await.unwrap().unwrap();
        assert!(target.checks.is_empty(), "{:?}", target.checks);
    });
}

#[test]
fn transfer_of_a_scan_without_a_result_changes_nothing() {
    block_on(async {
        let world = World::new();
        world.ingestion(None).ingest(&scan(1, &[("testssl", PluginEnd::Completed, 1, &["a"])])).await.unwrap();
        world.store.forget_result(ScanId(1)).await.unwrap();
        let before = (world.findings().await, world.store.target(head(1).target()).await.unwrap());
        world.ingestion(None).leave(head(1).target(), ScanId(2)).await.unwrap();
        assert_eq!((world.findings().await, world.store.target(head(1).target()).await.unwrap()), before);
    });
}

#[test]
fn target_whose_only_scan_left_has_no_checks_and_assets_of_it() {
    use crate::policy::ingest::samples::origin;
    use kastrel_findings::place::Label;
    use kastrel_findings::{Asset, AssetKind};
    block_on(async {
        for has_other in [false, true] {
            let mut world = World::new();
            let kind = AssetKind::Technology { origin: origin(), name: Label::parse("nginx").unwrap() };
            let mut readings = vec![scan(2, &[("testssl", PluginEnd::Completed, 1, &["a"])])];
            readings[0].assets.push(Asset::new("whatweb", kind));
            if has_other {
                readings.insert(0, scan(1, &[("katana", PluginEnd::Completed, 1, &[])]));
            }
            for reading in &readings {
                world.ingestion(None).ingest(reading).await.unwrap();
            }
            // A decision keeps the target.
            world.decide(0, 1).await;
            let target = head(1).target();
            world.ingestion(None).leave(target, ScanId(2)).await.unwrap();
            assert_eq!(world.store.assets(target).await.unwrap(), []);
            let stored = world.store.target(target).await.unwrap().unwrap();
            let plugins: Vec<&str> = stored.checks.keys().map(String::as_str).collect();
            assert_eq!(plugins, if has_other { vec!["katana"] } else { vec![] });
            assert!(world.findings().await[0].life.decision.is_some());
        }
    });
}

#[test]
fn result_of_a_scan_that_was_deleted_meanwhile_is_not_stored() {
    block_on(async {
        let world = World::new();
        world.store.suppose_scan(ScanId(1), None);
        let reading = scan(1, &[("testssl", PluginEnd::Completed, 1, &["a"])]);
        assert!(matches!(world.ingestion(None).ingest(&reading).await, Err(IngestError::Busy)));
        assert_eq!(world.store.scan_result(ScanId(1)).await.unwrap(), None);
    });
}

#[test]
fn damaged_file_does_not_replace_a_stored_result() {
    let stored =
        scan(1, &[("testssl", PluginEnd::Completed, 1, &["a", "b"]), ("zap", PluginEnd::Completed, 1, &["x"])]);
    let damaged = scan(1, &[("testssl", PluginEnd::Completed, 1, &["!"]), ("zap", PluginEnd::Completed, 1, &["y"])]);
    let completed = damaged.clone().completed_by(stored.clone());
    assert_eq!(completed.checks["testssl"], stored.checks["testssl"]);
    let issues = |reading: &ScanReading| -> BTreeSet<String> {
        reading.observed.iter().map(|one| one.finding.issue.as_str().to_owned()).collect()
    };
    assert_eq!(issues(&completed), ["a", "b", "y"].map(str::to_owned).into());
    assert!(completed.observed.is_sorted_by_key(|one| one.finding.fingerprint));
    assert!(completed.notes.is_empty() && completed.sightings.len() == 3);
    // A plugin that is missing, a stored result that is no better, and one of another attempt.
    let missing = scan(1, &[("zap", PluginEnd::Completed, 1, &["x"])]);
    assert_eq!(missing.completed_by(stored.clone()).observed, stored.observed);
    assert_eq!(damaged.clone().completed_by(damaged.clone()), damaged);
    assert_eq!(damaged.clone().completed_by(scan(2, &[("testssl", PluginEnd::Completed, 1, &["a"])])), damaged);
}

#[test]
fn rebuild_from_stored_results_writes_no_chunk() {
    block_on(async {
        let world = World::new();
        for minute in 1..4 {
            let reading = scan(minute, &[("testssl", PluginEnd::Completed, 1, &["a"])]);
            world.ingestion(None).ingest(&reading).await.unwrap();
        }
        let before = world.store.calls();
        world.store.suppose_scan(ScanId(3), Some(&"other".parse().unwrap()));
        world.ingestion(None).leave(head(1).target(), ScanId(3)).await.unwrap();
        assert_eq!(before.get("put_observed"), world.store.calls().get("put_observed"));
    });
}
