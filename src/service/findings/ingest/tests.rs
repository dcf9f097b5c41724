//! Scans with real results of plugins, through the outbox.

mod waiting;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{
    Command, FindingRecord, PluginResult, PluginStatus, Principal, ProjectId, RequestContext, Resolution, ScanId,
    ScanRecord, ScannerInfo, ScannerKind, Submitted, Verdict,
};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::ports::{Applied, Clock, EventConsumer, Stores};
use kastrel_actors::relay::deliver;
use kastrel_actors::testing::{MemoryStore, PausedClock, fixtures};
use kastrel_findings::Severity;
use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::{Action, Check, State};
use kastrel_findings::place::Origin;
use tokio::sync::watch;

use super::*;
use crate::adapters::artifacts::FolderArtifacts;
use crate::ports::{ArtifactStore, AttemptPaths, IssueText, ScannerCatalog};

const TARGET: &str = "shop.example";

/// A store with a node, the files of its scans, and the consumer.
struct World {
    store: Arc<MemoryStore>,
    clock: Arc<dyn Clock>,
    results: tempfile::TempDir,
    catalogue: watch::Receiver<Option<Arc<ScannerCatalog>>>,
    sender: watch::Sender<Option<Arc<ScannerCatalog>>>,
    consumer: Arc<dyn EventConsumer>,
}

impl World {
    async fn new() -> Self {
        Self::with(|artifacts| Arc::new(artifacts)).await
    }

    /// With another store of files, which is made of the one over the folder.
    async fn with(store_of: impl FnOnce(FolderArtifacts) -> Arc<dyn ArtifactStore>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::default());
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        store.register(fixtures::registration("a"), Duration::from_secs(1 << 30)).await.unwrap();
        let results = tempfile::tempdir().unwrap();
        let mut catalogue = ScannerCatalog::from(&fixtures::offer(ScannerKind::Kast, &["testssl", "zap"]));
        let issue = IssueText {
            severity: kastrel_actors::model::Severity::High,
            title: "Sweet32".into(),
            description: String::new(),
            remediation: String::new(),
            category: "TLS".into(),
            fix: Default::default(),
        };
        catalogue.issues.insert("SWEET32".into(), issue);
        let (sender, receiver) = watch::channel(Some(Arc::new(catalogue)));
        let artifacts = store_of(FolderArtifacts::new(results.path()));
        let consumer = FindingsConsumer::new(&Stores::of(&store), artifacts, receiver.clone(), Arc::clone(&clock));
        Self { store, clock, results, catalogue: receiver, sender, consumer: Arc::new(consumer) }
    }

    /// A scan of the target that ended with these plugins and their files.
    async fn scan(&self, plugins: &[(&str, PluginStatus, Option<Vec<u8>>)]) -> ScanId {
        let Submitted::Created(record) = self.store.submit(fixtures::new_scan(TARGET)).await.unwrap() else {
            panic!("the scan is new")
        };
        let id = record.id;
        let leased = self.store.apply(id, Command::Lease { node: "a".parse().unwrap() }).await.unwrap();
        let Applied::Committed(leased) = leased else { panic!("{leased:?}") };
        tokio::time::advance(Duration::from_secs(60)).await;
        let folder = self.folder(&leased);
        std::fs::create_dir_all(&folder).unwrap();
        let mut results = Vec::new();
        for (name, status, bytes) in plugins {
            if let Some(bytes) = bytes {
                std::fs::write(folder.join(format!("{name}_processed.json")), bytes).unwrap();
                // The processed file of ZAP has no alerts.
                if *name == "zap" {
                    std::fs::write(folder.join("zap_report.json"), file("zap.report").unwrap()).unwrap();
                }
            }
            results.push(PluginResult::new(*name, *status));
        }
        let scanner = Some(ScannerInfo { kind: ScannerKind::Kast, version: "3.0".into(), configuration: None });
        let progress = Command::Progress { token: leased.token, scanner, plugins: results.clone() };
        self.store.apply(id, progress).await.unwrap();
        let resolution = Resolution::Complete(Verdict { plugins: results, dry_run: false });
        let finish = Command::Finish { token: leased.token, resolution, plugins: None };
        assert!(matches!(self.store.apply(id, finish).await.unwrap(), Applied::Committed(_)));
        id
    }

    fn folder(&self, scan: &ScanRecord) -> PathBuf {
        let attempt = scan.last_attempt().unwrap().number;
        AttemptPaths::new(self.results.path(), &scan.request.target, scan.created_at, scan.id, attempt).attempt_dir
    }

    /// Delivers what waits in the outbox.
    async fn deliver(&self) {
        let consumers = [Arc::clone(&self.consumer)];
        while deliver(self.store.as_ref(), &consumers, "a").await.unwrap() > 0 {}
    }

    async fn findings(&self, project: &str) -> Vec<FindingRecord> {
        self.store.findings_of(target(project)).await.unwrap()
    }

    fn rebuild(&self) -> FindingRebuild {
        let artifacts = Arc::new(FolderArtifacts::new(self.results.path()));
        FindingRebuild::new(&Stores::of(&self.store), artifacts, self.catalogue.clone(), Arc::clone(&self.clock))
    }
}

fn target(project: &str) -> TargetId {
    TargetId::of(project, &Origin::of_target(TARGET).unwrap())
}

/// A real result, which the crate of findings is tested with.
fn file(name: &str) -> Option<Vec<u8>> {
    let path = format!("{}/findings/tests/golden/input/{name}.json", env!("CARGO_MANIFEST_DIR"));
    Some(std::fs::read(path).unwrap())
}

const DONE: PluginStatus = PluginStatus::Completed;

#[tokio::test(start_paused = true)]
async fn real_results_become_findings_of_the_target_with_the_words_of_the_registry() {
    let world = World::new().await;
    let plugins = [
        ("testssl", DONE, file("testssl.issues")),
        ("zap", DONE, file("zap.issues")),
        ("whatweb", DONE, file("whatweb.issues")),
        ("wafw00f", DONE, file("wafw00f.found")),
        ("mozilla_observatory", DONE, file("mozilla_observatory.v3")),
    ];
    let id = world.scan(&plugins).await;
    world.deliver().await;
    let findings = world.findings("default").await;
    let result = world.store.scan_result(id).await.unwrap().unwrap();
    assert_eq!((result.findings, result.new), (findings.len() as u64, findings.len() as u64));
    assert_eq!(findings.iter().filter(|row| row.plugin == "testssl").count(), 7);
    let sweet = findings.iter().find(|row| row.issue.as_str() == "SWEET32").unwrap();
    assert_eq!((sweet.category.as_deref(), sweet.life.state.clone()), (Some("TLS"), State::Open));
    assert!(findings.iter().any(|row| row.plugin == "zap" && row.severity != Severity::Unknown));
    assert_eq!(result.checks["testssl"].version, "KAST 3.0");
    assert!(result.checks.values().all(|check| check.read_completely), "{:?}", result.notes);
    let assets = world.store.assets(target("default")).await.unwrap();
    assert!(
        assets.iter().any(|seen| seen.asset.plugin == "wafw00f")
            && assets.iter().any(|seen| seen.asset.plugin == "whatweb")
    );
    // Delivered again, nothing changes.
    let before = world.store.calls();
    let entry = kastrel_actors::model::OutboxEntry {
        key: kastrel_actors::model::OutboxKey { scan: id, version: 99 },
        event: kastrel_actors::model::DomainEvent::ScanEnded {
            status: kastrel_actors::model::ScanStatus::Completed,
            at: world.clock.now(),
            project: ProjectId::default(),
        },
        failures: 0,
        accepted_by: vec![],
    };
    world.consumer.consume(&[entry]).await.unwrap();
    assert_eq!(before.get("put_result"), world.store.calls().get("put_result"));
    assert_eq!(world.findings("default").await, findings);
}

#[tokio::test(start_paused = true)]
async fn scan_whose_testssl_failed_or_left_no_result_closes_nothing() {
    let world = World::new().await;
    world.scan(&[("testssl", DONE, file("testssl.issues"))]).await;
    world.deliver().await;
    for (status, bytes, check) in [
        (PluginStatus::Failed, file("testssl.real"), Check::Failed),
        (DONE, file("testssl.no_output"), Check::ReadInPart),
        (PluginStatus::Interrupted, None, Check::Cancelled),
    ] {
        world.scan(&[("testssl", status, bytes)]).await;
        world.deliver().await;
        for row in world.findings("default").await {
            assert_eq!(row.life.state, State::Open, "{}", row.issue);
            assert_eq!(row.life.unchecked.map(|(_, why)| why), Some(check), "{}", row.issue);
        }
    }
    let checks = world.store.target(target("default")).await.unwrap().unwrap().checks;
    assert_eq!(checks["testssl"].newest.1, Check::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn file_that_does_not_come_is_waited_for_and_then_read_in_part() {
    let world = World::new().await;
    let id = world.scan(&[("testssl", DONE, None)]).await;
    // The folder of the attempt is there, so nothing more comes: it is read in part at once.
    world.deliver().await;
    assert!(!world.store.scan_result(id).await.unwrap().unwrap().checks["testssl"].read_completely);
    let id = world.scan(&[("testssl", DONE, None)]).await;
    std::fs::remove_dir_all(world.folder(&world.store.get(id).await.unwrap().unwrap())).unwrap();
    for _ in 0..5 {
        world.deliver().await;
        assert_eq!(world.store.scan_result(id).await.unwrap(), None);
        tokio::time::advance(Duration::from_secs(1_800)).await;
    }
    world.deliver().await;
    assert!(!world.store.scan_result(id).await.unwrap().unwrap().checks["testssl"].read_completely);
}

#[tokio::test(start_paused = true)]
async fn transferred_scan_leaves_its_old_target_and_a_deleted_one_keeps_its_findings() {
    let world = World::new().await;
    let first = world.scan(&[("testssl", DONE, file("testssl.issues"))]).await;
    let second = world.scan(&[("zap", DONE, file("zap.issues"))]).await;
    world.deliver().await;
    let zap = world.findings("default").await.iter().filter(|row| row.plugin == "zap").count();
    assert!(zap > 0);
    let transfer =
        Command::Transfer { from: ProjectId::default(), to: "team".parse().unwrap(), principal: Principal::Anonymous };
    world.store.apply(second, transfer).await.unwrap();
    world.deliver().await;
    assert!(world.findings("default").await.iter().all(|row| row.plugin == "testssl"));
    let moved = world.findings("team").await;
    assert!(moved.len() == zap && moved.iter().all(|row| row.plugin == "zap" && row.project.as_str() == "team"));
    assert_eq!(world.store.scan_result(second).await.unwrap().unwrap().target, target("team"));
    let before = world.findings("default").await;
    world.store.delete(first, &Principal::Anonymous).await.unwrap();
    world.deliver().await;
    assert_eq!(world.store.scan_result(first).await.unwrap(), None);
    assert_eq!(world.findings("default").await, before);
}

#[tokio::test(start_paused = true)]
async fn scan_without_an_attempt_says_nothing() {
    let world = World::new().await;
    let Submitted::Created(record) = world.store.submit(fixtures::new_scan(TARGET)).await.unwrap() else {
        panic!("the scan is new")
    };
    let cancel = Command::Cancel { by: kastrel_actors::model::CancelledBy::User, principal: Principal::Anonymous };
    world.store.apply(record.id, cancel).await.unwrap();
    world.deliver().await;
    assert_eq!(world.store.scan_result(record.id).await.unwrap(), None);
    assert_eq!(world.store.target(target("default")).await.unwrap(), None);
    assert_eq!(world.store.backlog().await.unwrap().dead_letters, 0);
}

#[tokio::test(start_paused = true)]
async fn rebuild_finds_what_old_scans_saw_and_keeps_decisions() {
    let world = World::new().await;
    world.scan(&[("testssl", DONE, file("testssl.issues"))]).await;
    let second = world.scan(&[("testssl", DONE, file("testssl.issues")), ("zap", DONE, file("zap.issues"))]).await;
    // An installation from before there were findings: nothing was ingested.
    let rebuild = world.rebuild();
    let context: RequestContext = fixtures::context();
    let mut lines = Vec::new();
    let done = rebuild.run(&context, &RebuildScope::default(), |now| lines.push(now.done)).await.unwrap();
    assert_eq!((done.targets, done.counts.scans, lines), (1, 2, vec![0, 1]));
    let found = world.findings("default").await;
    assert_eq!(found.iter().filter(|row| row.plugin == "testssl").count(), 7);
    let mut row = found.iter().find(|row| row.plugin == "zap").unwrap().clone();
    let action = Action::MarkFalsePositive { reason: "a test page".into() };
    row.life = row.life.act(&action, "user:ana", world.clock.now()).unwrap().0;
    let decided = row.id;
    let _ = world.store.put_findings(vec![row]).await.unwrap();
    // The entries of the outbox come later, and change nothing.
    world.deliver().await;
    // The files of one scan are gone: its stored result counts.
    let record = world.store.get(second).await.unwrap().unwrap();
    std::fs::remove_dir_all(world.folder(&record)).unwrap();
    let again = rebuild.run(&context, &RebuildScope::default(), |_| {}).await.unwrap();
    assert_eq!((again.counts.written, again.counts.deleted, again.counts.scans), (0, 0, 2));
    let kept = world.store.finding(decided).await.unwrap().unwrap();
    assert!(kept.life.decision.is_some());
    let other = RebuildScope { project: Some("team".parse().unwrap()), origin: None };
    assert_eq!(rebuild.run(&context, &other, |_| {}).await.unwrap().targets, 0);
}

#[tokio::test(start_paused = true)]
async fn rebuild_leaves_a_scan_alone_whose_files_are_still_coming() {
    let world = World::new().await;
    let id = world.scan(&[("testssl", DONE, None)]).await;
    let folder = world.folder(&world.store.get(id).await.unwrap().unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    let context = fixtures::context();
    let done = world.rebuild().run(&context, &RebuildScope::default(), |_| {}).await.unwrap();
    assert_eq!(done.counts.scans, 0);
    assert_eq!(world.store.scan_result(id).await.unwrap(), None);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("testssl_processed.json"), file("testssl.issues").unwrap()).unwrap();
    world.deliver().await;
    assert_eq!(world.findings("default").await.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn rebuild_with_a_damaged_file_keeps_what_was_read_before() {
    let world = World::new().await;
    let id = world.scan(&[("testssl", DONE, file("testssl.issues")), ("zap", DONE, file("zap.issues"))]).await;
    world.deliver().await;
    let (findings, result) = (world.findings("default").await, world.store.scan_result(id).await.unwrap());
    let folder = world.folder(&world.store.get(id).await.unwrap().unwrap());
    std::fs::write(folder.join("testssl_processed.json"), b"{").unwrap();
    let done = world.rebuild().run(&fixtures::context(), &RebuildScope::default(), |_| {}).await.unwrap();
    assert_eq!((done.counts.scans, done.counts.written, done.counts.deleted), (1, 0, 0));
    assert_eq!((world.findings("default").await, world.store.scan_result(id).await.unwrap()), (findings, result));
}

#[tokio::test(start_paused = true)]
async fn transfer_of_a_scan_keeps_the_findings_of_deleted_ones() {
    let world = World::new().await;
    let first = world.scan(&[("testssl", DONE, file("testssl.issues"))]).await;
    let second = world.scan(&[("zap", DONE, file("zap.issues"))]).await;
    world.deliver().await;
    world.store.delete(first, &Principal::Anonymous).await.unwrap();
    world.deliver().await;
    let transfer =
        Command::Transfer { from: ProjectId::default(), to: "team".parse().unwrap(), principal: Principal::Anonymous };
    world.store.apply(second, transfer).await.unwrap();
    world.deliver().await;
    let kept = world.findings("default").await;
    assert_eq!(kept.iter().filter(|row| row.plugin == "testssl").count(), 7);
    assert_eq!(kept.len(), 7);
    assert!(world.findings("team").await.iter().all(|row| row.plugin == "zap"));
}
