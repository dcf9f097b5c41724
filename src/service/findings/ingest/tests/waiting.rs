//! Files and registries that come late, and many entries at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use kastrel_actors::model::{DomainEvent, OutboxEntry, OutboxKey, ScanStatus};

use super::*;
use crate::ports::{ArtifactError, AttemptKey, ByteRange, Listing, LogTail, OpenArtifact, ScanFolder};

/// A folder in which a file cannot be opened at first, and whose files take some time.
#[derive(Debug)]
struct Slow {
    folder: FolderArtifacts,
    takes: Duration,
    /// The file, and how often it cannot be opened.
    refused: (&'static str, AtomicUsize),
    error: fn() -> ArtifactError,
    now: AtomicUsize,
    most_at_once: Arc<AtomicUsize>,
    opened: Arc<AtomicUsize>,
}

impl Slow {
    fn new(folder: FolderArtifacts) -> Self {
        Self {
            folder,
            takes: Duration::ZERO,
            refused: ("", AtomicUsize::new(0)),
            error: || ArtifactError::NotFound,
            now: AtomicUsize::new(0),
            most_at_once: Arc::default(),
            opened: Arc::default(),
        }
    }
}

#[async_trait]
impl ArtifactStore for Slow {
    async fn list(&self, attempt: &AttemptKey) -> Result<Listing, ArtifactError> {
        self.folder.list(attempt).await
    }

    async fn open(
        &self,
        attempt: &AttemptKey,
        path: &str,
        range: Option<ByteRange>,
    ) -> Result<OpenArtifact, ArtifactError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(now, Ordering::Relaxed);
        tokio::time::sleep(self.takes).await;
        self.now.fetch_sub(1, Ordering::Relaxed);
        let (name, left) = &self.refused;
        let one_less = |left: usize| left.checked_sub(1);
        if path == *name && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            return Err((self.error)());
        }
        self.folder.open(attempt, path, range).await
    }

    async fn log_tail(&self, attempt: &AttemptKey, max_bytes: u64) -> Result<LogTail, ArtifactError> {
        self.folder.log_tail(attempt, max_bytes).await
    }

    async fn locate(&self, attempt: &AttemptKey, path: &str) -> Result<String, ArtifactError> {
        self.folder.locate(attempt, path).await
    }

    async fn delete(&self, scan: &ScanFolder) -> Result<(), ArtifactError> {
        self.folder.delete(scan).await
    }
}

fn broken() -> ArtifactError {
    ArtifactError::Broken(Box::new(std::io::Error::other("a folder on the path is a link")))
}

#[tokio::test(start_paused = true)]
async fn file_that_cannot_be_opened_is_waited_for() {
    // A file without permissions is like one that is not there; but the list has it.
    let errors: [fn() -> ArtifactError; 2] = [broken, || ArtifactError::NotFound];
    for error in errors {
        let world = World::with(|folder| {
            let refused = ("testssl_processed.json", AtomicUsize::new(1));
            Arc::new(Slow { refused, error, ..Slow::new(folder) })
        })
        .await;
        let id = world.scan(&[("testssl", DONE, file("testssl.issues"))]).await;
        world.deliver().await;
        assert_eq!(world.store.scan_result(id).await.unwrap(), None, "{:?}", error());
        tokio::time::advance(Duration::from_secs(2)).await;
        world.deliver().await;
        assert!(world.store.scan_result(id).await.unwrap().unwrap().checks["testssl"].read_completely);
    }
    // One that never opens is not waited for without end.
    let world = World::with(|folder| {
        let refused = ("testssl_processed.json", AtomicUsize::new(usize::MAX));
        Arc::new(Slow { refused, error: broken, ..Slow::new(folder) })
    })
    .await;
    let id = world.scan(&[("testssl", DONE, file("testssl.issues"))]).await;
    for _ in 0..6 {
        world.deliver().await;
        tokio::time::advance(Duration::from_secs(1_800)).await;
    }
    assert!(!world.store.scan_result(id).await.unwrap().unwrap().checks["testssl"].read_completely);
    assert_eq!(world.store.backlog().await.unwrap().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn both_files_of_zap_are_waited_for() {
    for late in ["zap_report.json", "zap_processed.json"] {
        let world = World::new().await;
        let id = world.scan(&[("zap", DONE, file("zap.issues"))]).await;
        let folder = world.folder(&world.store.get(id).await.unwrap().unwrap());
        let bytes = std::fs::read(folder.join(late)).unwrap();
        std::fs::remove_file(folder.join(late)).unwrap();
        let artifacts = Arc::new(Uploading(FolderArtifacts::new(world.results.path())));
        let clock = Arc::clone(&world.clock);
        let consumer = FindingsConsumer::new(&Stores::of(&world.store), artifacts, world.catalogue.clone(), clock);
        let consumers: [Arc<dyn EventConsumer>; 1] = [Arc::new(consumer)];
        deliver(world.store.as_ref(), &consumers, "a").await.unwrap();
        assert_eq!(world.store.scan_result(id).await.unwrap(), None, "{late}");
        std::fs::write(folder.join(late), bytes).unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
        deliver(world.store.as_ref(), &consumers, "a").await.unwrap();
        assert!(world.store.scan_result(id).await.unwrap().unwrap().checks["zap"].read_completely, "{late}");
        assert!(!world.findings("default").await.is_empty(), "{late}");
    }
}

/// A folder to which files are still being uploaded.
#[derive(Debug)]
struct Uploading(FolderArtifacts);

#[async_trait]
impl ArtifactStore for Uploading {
    async fn list(&self, attempt: &AttemptKey) -> Result<Listing, ArtifactError> {
        Ok(Listing { partial: true, ..self.0.list(attempt).await? })
    }

    async fn open(
        &self,
        attempt: &AttemptKey,
        path: &str,
        range: Option<ByteRange>,
    ) -> Result<OpenArtifact, ArtifactError> {
        self.0.open(attempt, path, range).await
    }

    async fn log_tail(&self, attempt: &AttemptKey, max_bytes: u64) -> Result<LogTail, ArtifactError> {
        self.0.log_tail(attempt, max_bytes).await
    }

    async fn locate(&self, attempt: &AttemptKey, path: &str) -> Result<String, ArtifactError> {
        self.0.locate(attempt, path).await
    }

    async fn delete(&self, scan: &ScanFolder) -> Result<(), ArtifactError> {
        self.0.delete(scan).await
    }
}

#[tokio::test(start_paused = true)]
async fn entries_that_take_longer_than_a_delivery_continue_and_are_handled_once() {
    let (most, opened) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (most_at_once, opens) = (Arc::clone(&most), Arc::clone(&opened));
    let world = World::with(|folder| {
        Arc::new(Slow { takes: Duration::from_secs(1), most_at_once, opened: opens, ..Slow::new(folder) })
    })
    .await;
    for _ in 0..40 {
        world.scan(&[("testssl", DONE, file("testssl.issues"))]).await;
    }
    // 20 s of work. The first delivery has no time for all of it, and settles what is done.
    world.deliver().await;
    let waiting = world.store.backlog().await.unwrap().waiting;
    assert!((1..40).contains(&waiting), "{waiting}");
    for _ in 0..3 {
        world.deliver().await;
        tokio::time::sleep(Duration::from_secs(31)).await;
    }
    let backlog = world.store.backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.dead_letters), (0, 0));
    assert_eq!(world.store.target(target("default")).await.unwrap().unwrap().last_scan.scan, 40);
    assert_eq!((most.load(Ordering::Relaxed), opened.load(Ordering::Relaxed)), (2, 40));
}

#[tokio::test(start_paused = true)]
async fn entry_that_fails_holds_up_no_other_of_its_delivery() {
    let world = World::new().await;
    let late = world.scan(&[("testssl", DONE, None)]).await;
    std::fs::remove_dir_all(world.folder(&world.store.get(late).await.unwrap().unwrap())).unwrap();
    let good = world.scan(&[("testssl", DONE, file("testssl.issues"))]).await;
    world.deliver().await;
    assert_eq!(world.store.scan_result(late).await.unwrap(), None);
    assert!(world.store.scan_result(good).await.unwrap().is_some());
    assert_eq!(world.store.backlog().await.unwrap().waiting, 1);
}

#[tokio::test(start_paused = true)]
async fn registry_is_waited_for_while_the_scan_is_young_and_a_later_sighting_brings_its_severities() {
    let world = World::new().await;
    let with = |issues: &[&str]| {
        let mut catalogue = world.sender.borrow().as_deref().unwrap().clone();
        let text = catalogue.issues["SWEET32"].clone();
        catalogue.issues = issues.iter().map(|id| ((*id).to_owned(), text.clone())).collect();
        Some(Arc::new(catalogue))
    };
    // The results of this plugin have no severities of their own.
    let (nothing, known) = (with(&[]), with(&["whatweb-eol-technology"]));
    let severities = || async {
        let rows = world.findings("default").await;
        let row = rows.iter().find(|row| row.issue.as_str() == "whatweb-eol-technology").unwrap();
        (row.severity, row.category.clone())
    };
    // A scanner that lists no issues, as on a node where it is broken.
    world.sender.send_replace(nothing.clone());
    let first = world.scan(&[("whatweb", DONE, file("whatweb.issues"))]).await;
    for _ in 0..6 {
        world.deliver().await;
        assert_eq!(world.store.scan_result(first).await.unwrap(), None);
        assert!(world.rebuild().run(&fixtures::context(), &RebuildScope::default(), |_| {}).await.is_err());
        tokio::time::advance(Duration::from_secs(1_801)).await;
    }
    world.deliver().await;
    assert!(world.store.scan_result(first).await.unwrap().is_some());
    assert_eq!(severities().await, (Severity::Unknown, None));
    world.sender.send_replace(known.clone());
    world.scan(&[("whatweb", DONE, file("whatweb.issues"))]).await;
    world.deliver().await;
    assert_eq!(severities().await, (Severity::High, Some("TLS".to_owned())));
    // A process that does not know the issues can ask another scanner for a rebuild.
    world.sender.send_replace(nothing.clone());
    let own = watch::channel(known.clone()).1;
    let (context, scope) = (fixtures::context(), RebuildScope::default());
    assert!(matches!(world.rebuild().run(&context, &scope, |_| {}).await, Err(RebuildError::NoRegistry)));
    let done = world.rebuild().with_catalogue(own).run(&context, &scope, |_| {}).await.unwrap();
    assert_eq!((done.counts.scans, severities().await.0), (2, Severity::High));
    // A scan that ended long ago is waited for as well, when its entry is delivered late.
    let old = world.scan(&[("whatweb", DONE, file("whatweb.issues"))]).await;
    tokio::time::advance(Duration::from_secs(9_000)).await;
    world.deliver().await;
    assert_eq!(world.store.scan_result(old).await.unwrap(), None);
    // With the registry the next delivery stores it.
    world.sender.send_replace(known);
    tokio::time::advance(Duration::from_secs(2)).await;
    world.deliver().await;
    assert!(world.store.scan_result(old).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn delivery_that_is_repeated_while_its_task_runs_joins_it() {
    let opened = Arc::<AtomicUsize>::default();
    let opens = Arc::clone(&opened);
    let world =
        World::with(|folder| Arc::new(Slow { takes: Duration::from_secs(60), opened: opens, ..Slow::new(folder) }))
            .await;
    let id = world.scan(&[("testssl", DONE, file("testssl.issues"))]).await;
    let at = world.clock.now();
    let entry = OutboxEntry {
        key: OutboxKey { scan: id, version: 9 },
        event: DomainEvent::ScanEnded { status: ScanStatus::Completed, at, project: ProjectId::default() },
        failures: 0,
        accepted_by: vec![],
    };
    for _ in 0..2 {
        let error = world.consumer.consume(std::slice::from_ref(&entry)).await.unwrap_err();
        assert_eq!((error.reason.as_str(), error.is_permanent), ("the ingestion still runs", false));
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.consumer.consume(&[entry]).await.unwrap();
    assert!(world.store.scan_result(id).await.unwrap().is_some());
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}
