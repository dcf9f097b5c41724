//! Random scans in any order, with repetitions, interruptions and decisions of people, against a
//! slow model that computes everything anew from all scans.

mod gone;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::{Action, Check, Confirmation, Decision, PluginEnd, ScanOrder, State, scans_to_fix};
use kastrel_findings::scope::CheckScope;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::model::{DomainEvent, FindingRecord, Principal, ProjectId, Put, ScanId, TriageKind};
use crate::policy::ingest::ScanReading;
use crate::policy::ingest::samples::{head, order, scan, scope};
use crate::ports::store::prelude::*;
use crate::ports::{Stores, SystemClock};
use crate::testing::{Fault, Faults, MemoryStore};

/// The scans of a test have numbers up to this one.
const MOST_SCANS: u64 = 9;

const PLUGINS: [&str; 2] = ["testssl", "katana"];
const ISSUES: [&str; 3] = ["a", "b", "c"];

/// A plugin of a random scan.
#[derive(Debug, Clone)]
struct Ran {
    plugin: &'static str,
    end: PluginEnd,
    depth: i64,
    seen: Vec<&'static str>,
}

fn ran(plugin: &'static str) -> impl Strategy<Value = Option<Ran>> {
    use PluginEnd::{Cancelled, Completed, Failed, Skipped, TimedOut, Unavailable};
    let end = prop_oneof![
        5 => Just(Completed),
        2 => proptest::sample::select(vec![Failed, TimedOut, Skipped, Unavailable, Cancelled]),
    ];
    // `!` is a result that cannot be read completely.
    let seen = proptest::sample::subsequence(vec!["a", "b", "c", "!"], 0..=3);
    proptest::option::weighted(
        0.85,
        (end, 1..3_i64, seen).prop_map(move |(end, depth, seen)| Ran { plugin, end, depth, seen }),
    )
}

/// A random scan: its plugins, and what it means for one that it does not have.
#[derive(Debug, Clone)]
struct RandomScan {
    plugins: Vec<Ran>,
    absent: Check,
}

fn random_scan() -> impl Strategy<Value = RandomScan> {
    let plugins = (ran(PLUGINS[0]), ran(PLUGINS[1])).prop_map(|(one, other)| one.into_iter().chain(other).collect());
    // A dry run may have rows of plugins or none, and so may a scan that ended early.
    let absent = prop_oneof![6 => Just(Check::Skipped), 1 => Just(Check::Cancelled), 1 => Just(Check::DryRun)];
    (plugins, absent, proptest::bool::weighted(0.3)).prop_map(|(mut plugins, absent, is_bare): (Vec<Ran>, _, _)| {
        if absent == Check::DryRun {
            plugins.iter_mut().for_each(|plugin| plugin.end = PluginEnd::DryRun);
        }
        if absent != Check::Skipped && is_bare {
            plugins.clear();
        }
        RandomScan { plugins, absent }
    })
}

/// The delivery of a scan, and a fault of its n-th call of the store.
#[derive(Debug, Clone)]
struct Delivery {
    scan: usize,
    fault: Option<(usize, bool)>,
    /// What a person does afterwards, to which finding.
    person: Option<(Index, u8)>,
}

fn deliveries() -> impl Strategy<Value = (Vec<RandomScan>, Vec<Delivery>)> {
    proptest::collection::vec(random_scan(), 1..7).prop_flat_map(|scans| {
        let count = scans.len();
        let order = (Just((0..count).collect::<Vec<_>>()).prop_shuffle(), proptest::collection::vec(0..count, 0..4));
        let delivery = (
            proptest::option::weighted(0.5, (0..14_usize, any::<bool>())),
            proptest::option::weighted(0.4, (any::<Index>(), 0..4_u8)),
        );
        let deliveries = (order, proptest::collection::vec(delivery, count + 4)).prop_map(|((order, again), more)| {
            let scans = order.into_iter().chain(again);
            scans.zip(more).map(|(scan, (fault, person))| Delivery { scan, fault, person }).collect()
        });
        (Just(scans), deliveries)
    })
}

fn readings(scans: &[RandomScan]) -> Vec<ScanReading> {
    let reading = |(random, minute): (&RandomScan, u64)| {
        let plugins = random.plugins.iter();
        let ran: Vec<_> = plugins.map(|ran| (ran.plugin, ran.end, ran.depth, ran.seen.as_slice())).collect();
        let mut reading = scan(minute, &ran);
        reading.head.absent = random.absent;
        reading
    };
    scans.iter().zip(1..).map(reading).collect()
}

/// The store, and what people decided.
struct World {
    store: Arc<MemoryStore>,
    people: BTreeMap<String, (Option<Decision>, Option<Confirmation>)>,
}

impl World {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        for scan in 1..=MOST_SCANS {
            store.suppose_scan(ScanId(scan), Some(&ProjectId::default()));
        }
        Self { store, people: BTreeMap::new() }
    }

    /// An ingestion whose n-th call fails, before or after it is committed.
    fn ingestion(&self, fault: Option<(usize, bool)>) -> Ingestion {
        let calls = AtomicUsize::new(0);
        let hook = Faults::new(move || match (fault, calls.fetch_add(1, Ordering::Relaxed)) {
            (Some((at, is_committed)), call) if call == at => {
                if is_committed {
                    Fault::LostAnswer
                } else {
                    Fault::Unreachable
                }
            }
            _ => Fault::None,
        });
        Ingestion::new(Stores::of(&self.store).hooked(&hook).findings, Arc::new(SystemClock))
    }

    async fn findings(&self) -> Vec<FindingRecord> {
        self.store.findings_of(head(1).target()).await.unwrap()
    }

    async fn person(&mut self, (which, what): (Index, u8)) {
        let findings = self.findings().await;
        if findings.is_empty() {
            return;
        }
        self.decide(which.index(findings.len()), what).await;
    }

    /// A person does something to one of the findings.
    async fn decide(&mut self, at: usize, what: u8) {
        let mut row = self.findings().await.remove(at);
        let now = order(0).at;
        let reason = || "known".to_owned();
        let action = match what {
            0 => Action::Confirm,
            1 => Action::MarkFalsePositive { reason: reason() },
            2 => Action::Accept { reason: reason(), owner: "ana".into(), until: now.checked_add(48.hours()).unwrap() },
            _ => Action::Withdraw,
        };
        let Ok((life, _)) = row.life.clone().act(&action, "user:ana", now) else { return };
        row.life = life;
        let key = row.id.to_string();
        self.people.insert(key, (row.life.decision.clone(), row.life.confirmed.clone()));
        let event = DomainEvent::FindingTriaged {
            project: row.project.clone(),
            finding: row.id,
            did: TriageKind::Confirmed,
            text: None,
            until: None,
        };
        let by = Principal::User("ana".parse().unwrap());
        assert_eq!(self.store.edit_finding(row, &event, &by).await.unwrap(), Put::Stored);
    }

    /// At every moment: no finding is closed without proof, and decisions are those of people.
    async fn check_promises(&self, all: &[ScanReading]) -> Result<(), TestCaseError> {
        for row in self.findings().await {
            let people = self.people.get(&row.id.to_string()).cloned().unwrap_or_default();
            prop_assert_eq!(&(row.life.decision.clone(), row.life.confirmed.clone()), &people);
            let State::Fixed { proof } = &row.life.state else { continue };
            prop_assert!(proof.len() >= scans_to_fix(&row.plugin));
            for proof in proof {
                let reading = all.iter().find(|reading| reading.head.order == proof.order).unwrap();
                let check = &reading.checks[&row.plugin];
                prop_assert!(check.end == PluginEnd::Completed && check.read_completely);
                prop_assert!(!saw(reading, &row.plugin, row.issue.as_str()));
                prop_assert!(proof.order > row.life.last_seen.order);
            }
        }
        Ok(())
    }

    /// When all scans are ingested: what the model says.
    async fn check_state(&self, all: &[ScanReading]) -> Result<(), TestCaseError> {
        let mut known = BTreeSet::new();
        for row in self.findings().await {
            let issue = row.issue.as_str();
            known.insert((row.plugin.clone(), issue.to_owned()));
            let seen: Vec<&ScanReading> = all.iter().filter(|reading| saw(reading, &row.plugin, issue)).collect();
            let first = seen.iter().min_by_key(|reading| reading.head.order).unwrap();
            let last = seen.iter().max_by_key(|reading| reading.head.order).unwrap();
            prop_assert_eq!(row.life.first_seen.order, first.head.order);
            prop_assert_eq!(row.life.last_seen.order, last.head.order);
            let seen_with = last.checks[&row.plugin].scope.clone();
            prop_assert_eq!(&row.seen_with, &seen_with);
            let after = |reading: &&ScanReading| reading.head.order > last.head.order;
            let checks: Vec<(ScanOrder, Check)> = all
                .iter()
                .filter(after)
                .map(|reading| (reading.head.order, slow_check(reading, &row, &seen_with)))
                .collect();
            let absent: Vec<ScanOrder> =
                checks.iter().filter(|(_, check)| *check == Check::Completed).map(|(order, _)| *order).collect();
            let is_fixed = absent.len() >= scans_to_fix(&row.plugin);
            prop_assert_eq!(matches!(row.life.state, State::Fixed { .. }), is_fixed, "{} {:?}", issue, checks);
            let last_checked = absent.last().copied().unwrap_or(last.head.order);
            let unchecked = checks.iter().rev().find(|(_, check)| !matches!(check, Check::Completed | Check::DryRun));
            let expected =
                unchecked.filter(|(order, _)| *order > last_checked).map(|(_, check)| (last_checked.at, *check));
            prop_assert_eq!(row.life.not_checked_since(), expected);
        }
        let expected: BTreeSet<(String, String)> = PLUGINS
            .iter()
            .flat_map(|plugin| ISSUES.iter().map(move |issue| (*plugin, *issue)))
            .filter(|(plugin, issue)| all.iter().any(|reading| saw(reading, plugin, issue)))
            .map(|(plugin, issue)| (plugin.to_owned(), issue.to_owned()))
            .collect();
        prop_assert_eq!(known, expected);
        self.check_target(all).await
    }

    async fn check_target(&self, all: &[ScanReading]) -> Result<(), TestCaseError> {
        let target = self.store.target(head(1).target()).await.unwrap().unwrap();
        let real: Vec<&ScanReading> = all.iter().filter(|reading| !reading.is_dry_run()).collect();
        let newest = real.iter().map(|reading| reading.head.order).max();
        prop_assert!(newest.is_none_or(|newest| target.last_scan >= newest));
        for plugin in PLUGINS {
            let complete = real
                .iter()
                .filter(|reading| {
                    reading
                        .checks
                        .get(plugin)
                        .is_some_and(|check| check.end == PluginEnd::Completed && check.read_completely)
                })
                .map(|reading| reading.head.order)
                .max();
            prop_assert_eq!(target.checks.get(plugin).and_then(|check| check.complete), complete);
        }
        for reading in all {
            let result = self.store.scan_result(reading.head.scan).await.unwrap().unwrap();
            prop_assert_eq!(result.findings as usize, reading.observed.len());
            prop_assert_eq!(self.store.observed(reading.head.scan, 0).await.unwrap(), reading.observed.clone());
        }
        Ok(())
    }
}

fn saw(reading: &ScanReading, plugin: &str, issue: &str) -> bool {
    reading.observed.iter().any(|one| one.finding.plugin == plugin && one.finding.issue.as_str() == issue)
}

/// What a scan without a sighting means for a finding, written down a second time.
fn slow_check(reading: &ScanReading, row: &FindingRecord, seen_with: &CheckScope) -> Check {
    if reading.is_dry_run() {
        return Check::DryRun;
    }
    let Some(check) = reading.checks.get(&row.plugin) else { return reading.head.absent };
    match check.end {
        PluginEnd::Failed => Check::Failed,
        PluginEnd::TimedOut => Check::TimedOut,
        PluginEnd::Skipped => Check::Skipped,
        PluginEnd::Unavailable => Check::Unavailable,
        PluginEnd::Cancelled => Check::Cancelled,
        PluginEnd::DryRun => Check::DryRun,
        PluginEnd::Completed if !check.read_completely => Check::ReadInPart,
        // A crawl of more depth sees more; of another plugin nobody knows what its depth means.
        PluginEnd::Completed if check.scope == *seen_with => Check::Completed,
        PluginEnd::Completed if row.plugin == "katana" && check.scope == scope("katana", 2) => Check::Completed,
        PluginEnd::Completed => Check::NarrowerScope,
    }
}

/// The scans of a test, for a rebuild.
struct Files(Vec<ScanReading>);

#[async_trait::async_trait]
impl ReadScan for Files {
    async fn scans(&self, _: TargetId) -> Result<Vec<(ScanOrder, ScanId)>, IngestError> {
        Ok(self.0.iter().map(|reading| (reading.head.order, reading.head.scan)).collect())
    }

    async fn read(&self, scan: ScanId) -> Result<Option<ScanReading>, IngestError> {
        Ok(self.0.iter().find(|reading| reading.head.scan == scan).cloned())
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
}

async fn deliver(deliveries: &[Delivery], all: &[ScanReading]) -> Result<World, TestCaseError> {
    let mut world = World::new();
    let mut waiting: VecDeque<Delivery> = deliveries.iter().cloned().collect();
    while let Some(delivery) = waiting.pop_front() {
        let ended = world.ingestion(delivery.fault).ingest(&all[delivery.scan]).await;
        world.check_promises(all).await?;
        if ended.is_err() {
            prop_assert!(delivery.fault.is_some(), "{:?}", ended);
            // It is tried again, and other scans may come first.
            waiting.push_back(Delivery { fault: None, person: None, ..delivery.clone() });
        }
        if let Some(person) = delivery.person {
            world.person(person).await;
            world.check_promises(all).await?;
        }
    }
    Ok(world)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn any_order_repetition_and_interruption_gives_what_the_model_says((scans, deliveries) in deliveries()) {
        let all = readings(&scans);
        block_on(async {
            let world = deliver(&deliveries, &all).await?;
            world.check_state(&all).await?;
            // Each scan again, as if nobody knew that it is ingested.
            let before = world.findings().await;
            for reading in &all {
                prop_assert_eq!(world.ingestion(None).ingest(reading).await.unwrap(), Ingested::Known);
                world.store.forget_result(reading.head.scan).await.unwrap();
                world.ingestion(None).ingest(reading).await.unwrap();
            }
            prop_assert_eq!(world.findings().await, before);
            world.check_state(&all).await
        })?;
    }

    #[test]
    fn rebuild_gives_what_the_model_says_and_repeats_without_a_write(
        (scans, deliveries) in deliveries(), faults in proptest::collection::vec((0..40_usize, any::<bool>()), 0..3),
        is_stored in any::<bool>(),
    ) {
        let all = readings(&scans);
        block_on(async {
            let world = deliver(&deliveries, &all).await?;
            let source: Box<dyn ReadScan> =
                if is_stored { Box::new(StoredScans(world.ingestion(None))) } else { Box::new(Files(all.clone())) };
            let target = head(1).target();
            for fault in faults {
                // It ends early, or not.
                let _ = world.ingestion(Some(fault)).rebuild(target, source.as_ref()).await;
                world.check_promises(&all).await?;
            }
            world.ingestion(None).rebuild(target, source.as_ref()).await.unwrap();
            world.check_promises(&all).await?;
            world.check_state(&all).await?;
            let calls = world.store.calls();
            let again = world.ingestion(None).rebuild(target, source.as_ref()).await.unwrap();
            prop_assert_eq!(again, RebuildCounts { scans: all.len() as u64, written: 0, deleted: 0 });
            let count = |calls: &BTreeMap<&'static str, u64>, name| calls.get(name).copied();
            for call in ["put_findings", "put_result"] {
                prop_assert_eq!(count(&calls, call), count(&world.store.calls(), call), "{}", call);
            }
            Ok::<_, TestCaseError>(())
        })?;
    }

    #[test]
    fn two_scans_that_are_ingested_at_once_are_both_in_the_findings(
        waits in proptest::collection::vec(0..20_u64, 40), scans in proptest::collection::vec(random_scan(), 2..4),
    ) {
        let all = readings(&scans);
        block_on(async {
            let world = World::new();
            let at = AtomicUsize::new(0);
            let slow = Faults::new(move || {
                Fault::Slow(Duration::from_millis(waits[at.fetch_add(1, Ordering::Relaxed) % waits.len()]))
            });
            let ingestion = Ingestion::new(Stores::of(&world.store).hooked(&slow).findings, Arc::new(SystemClock));
            let ended = futures_util::future::join_all(all.iter().map(|reading| ingestion.ingest(reading))).await;
            prop_assert!(ended.iter().all(Result::is_ok), "{:?}", ended);
            world.check_promises(&all).await?;
            world.check_state(&all).await
        })?;
    }

    // The rebuild has listed its scans before the others ended.
    #[test]
    fn rebuild_beside_ingestions_gives_what_the_model_says(
        waits in proptest::collection::vec(0..20_u64, 40), scans in proptest::collection::vec(random_scan(), 2..6),
        late in 1..3_usize,
    ) {
        let all = readings(&scans);
        block_on(async {
            let world = World::new();
            let (earlier, later) = all.split_at(all.len() - late.min(all.len() - 1));
            for reading in earlier {
                world.ingestion(None).ingest(reading).await.unwrap();
            }
            let at = AtomicUsize::new(0);
            let slow = Faults::new(move || {
                Fault::Slow(Duration::from_millis(waits[at.fetch_add(1, Ordering::Relaxed) % waits.len()]))
            });
            let ingestion = Ingestion::new(Stores::of(&world.store).hooked(&slow).findings, Arc::new(SystemClock));
            let source = Files(earlier.to_vec());
            let ingests = futures_util::future::join_all(later.iter().map(|reading| ingestion.ingest(reading)));
            let (ended, rebuilt) = tokio::join!(ingests, ingestion.rebuild(head(1).target(), &source));
            prop_assert!(ended.iter().all(Result::is_ok) && rebuilt.is_ok(), "{:?} {:?}", ended, rebuilt);
            world.check_promises(&all).await?;
            world.check_state(&all).await
        })?;
    }
}

#[test]
fn large_result_is_stored_in_chunks_and_each_finding_once() {
    block_on(async {
        let issues: Vec<String> = (0..1_234).map(|number| format!("issue-{number}")).collect();
        let seen: Vec<&str> = issues.iter().map(String::as_str).collect();
        let reading = scan(1, &[("testssl", PluginEnd::Completed, 1, &seen)]);
        let world = World::new();
        // Interrupted in the middle of the chunks, of the findings, and before the result.
        for fault in [(3, true), (12, true), (11, true), (11, false)] {
            assert!(world.ingestion(Some(fault)).ingest(&reading).await.is_err(), "{fault:?}");
            assert_eq!(world.store.scan_result(ScanId(1)).await.unwrap(), None);
        }
        let Ok(Ingested::Stored(result)) = world.ingestion(None).ingest(&reading).await else { panic!("not stored") };
        assert_eq!((result.findings, result.new, result.chunks()), (1_234, 1_234, 7));
        let mut read = Vec::new();
        for chunk in 0..result.chunks() {
            read.extend(world.store.observed(ScanId(1), chunk).await.unwrap());
        }
        assert_eq!(read, reading.observed);
        assert_eq!(world.findings().await.len(), 1_234);
        assert!(world.findings().await.iter().all(|row| row.version == 1));
    });
}

#[test]
fn target_that_its_only_scan_leaves_is_deleted_unless_people_said_something() {
    block_on(async {
        for is_touched in [false, true] {
            let world = World::new();
            let reading = scan(1, &[("testssl", PluginEnd::Completed, 1, &["a", "b"])]);
            world.ingestion(None).ingest(&reading).await.unwrap();
            if is_touched {
                let mut row = world.findings().await.remove(0);
                row.owner = Some("ana".parse().unwrap());
                assert_eq!(world.store.put_findings(vec![row]).await.unwrap(), Put::Stored);
            }
            let target = head(1).target();
            world.ingestion(None).leave(target, ScanId(1)).await.unwrap();
            assert_eq!(world.findings().await.len(), usize::from(is_touched));
            assert_eq!(world.store.target(target).await.unwrap().is_some(), is_touched);
        }
    });
}

#[test]
fn times_of_the_log_are_those_of_the_scans() {
    block_on(async {
        let world = World::new();
        world.ingestion(None).ingest(&scan(5, &[("testssl", PluginEnd::Completed, 1, &["a"])])).await.unwrap();
        let at: Vec<Timestamp> = world.findings().await[0].log.iter().map(|entry| entry.at).collect();
        assert_eq!(at, [order(5).at]);
    });
}
