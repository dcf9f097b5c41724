use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::BoxStream;
use kastrel_actors::model::{AttemptNumber, Command, Failure, FailureKind, Resolution, ScanRecord};
use kastrel_actors::ports::Applied;
use kastrel_actors::testing::{MemoryStore, PausedClock, fixtures};
use object_store::memory::InMemory;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload,
    PutResult,
};

use super::super::{ArtifactStore, BucketArtifacts, FolderArtifacts};
use super::*;
use crate::adapters::kast_runner::AttemptPaths;

/// A bucket that can be down or silent, and that remembers what was put in which order.
#[derive(Debug, Default)]
struct Service {
    inner: InMemory,
    down: AtomicBool,
    silent: AtomicBool,
    puts: Mutex<Vec<String>>,
    put: Notify,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("service")
    }
}

impl Service {
    async fn answers(&self) -> object_store::Result<()> {
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let down = self.down.load(Ordering::SeqCst);
        if down { Err(object_store::Error::Generic { store: "service", source: "connection refused".into() }) } else { Ok(()) }
    }

    fn puts(&self) -> Vec<String> {
        self.puts.lock().unwrap().clone()
    }
}

#[async_trait]
impl ObjectStore for Service {
    async fn put_opts(&self, location: &Location, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.answers().await?;
        let result = self.inner.put_opts(location, payload, options).await?;
        self.puts.lock().unwrap().push(location.to_string());
        self.put.notify_one();
        Ok(result)
    }

    async fn put_multipart_opts(&self, location: &Location, options: PutMultipartOptions) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.answers().await?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Location, options: GetOptions) -> object_store::Result<GetResult> {
        self.answers().await?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, object_store::Result<Location>>) -> BoxStream<'static, object_store::Result<Location>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Location>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A worker with a scan of which an attempt runs, and a bucket.
struct Stage {
    results: tempfile::TempDir,
    service: Arc<Service>,
    bucket: Bucket,
    clock: Arc<PausedClock>,
    rows: Arc<MemoryStore>,
    scan: ScanRecord,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Stage {
    async fn new() -> Self {
        let service = Arc::new(Service::default());
        let clock = Arc::new(PausedClock::default());
        let rows = Arc::new(MemoryStore::new(clock.clone()));
        let id = rows.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let node = fixtures::registration("node-a");
        rows.register_node(node.clone(), DAY).await.unwrap();
        let scan = apply(&rows, id, Command::Lease { node: node.id }).await;
        let bucket = Bucket::new(Arc::clone(&service) as _, "s3://scans", "");
        let stage = Self { results: tempfile::tempdir().unwrap(), service, bucket, clock, rows, scan };
        std::fs::create_dir_all(&stage.files().paths.attempt_dir).unwrap();
        stage.write("kast.log", "the log\n");
        stage.write("kast_report.html", "a report");
        stage
    }

    fn uploader(&self, keep_local: Duration) -> BucketUploader {
        let rules = UploadRules { live_every: Duration::from_secs(3), wait: Duration::from_secs(30), keep_local };
        BucketUploader::new(self.bucket.clone(), self.results.path(), "node-a", self.clock.clone(), rules)
    }

    fn files(&self) -> AttemptFiles {
        let paths = AttemptPaths::new(self.results.path(), &self.scan.request.target, self.scan.created_at, self.scan.id, AttemptNumber(1));
        AttemptFiles { scan: self.scan.id, attempt: AttemptNumber(1), token: self.scan.token, paths }
    }

    fn key(&self) -> AttemptKey {
        AttemptKey::of(&self.scan, AttemptNumber(1))
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.files().paths.attempt_dir.join(name), text).unwrap();
    }

    /// The attempt's row says that it is over.
    async fn finish(&self) {
        let resolution = Resolution::Fail(Failure::new(FailureKind::Crashed, "broke"));
        apply(&self.rows, self.scan.id, Command::Finish { token: self.scan.token, resolution, plugins: None }).await;
    }

    /// What a machine sees that has nothing of its own.
    fn elsewhere(&self) -> BucketArtifacts {
        BucketArtifacts::new(self.bucket.clone(), FolderArtifacts::new("nowhere".as_ref()))
    }

    fn has_folder(&self) -> bool {
        self.files().paths.attempt_dir.exists()
    }

    fn marker(&self) -> Option<Marker> {
        removal::find(self.results.path()).unwrap()[0].1[0].1
    }
}

async fn apply(rows: &MemoryStore, id: kastrel_actors::model::ScanId, command: Command) -> ScanRecord {
    let Applied::Committed(record) = rows.apply(id, command).await.unwrap() else { panic!("the command was refused") };
    record
}

#[tokio::test]
async fn an_ended_attempt_is_stored_with_its_manifest_last() {
    let stage = Stage::new().await;
    let uploader = stage.uploader(DAY);
    uploader.attempt_started(&stage.files());
    assert_eq!(uploader.attempt_ended(&stage.files()).await, Vec::<String>::new());
    let manifest = stage.bucket.manifest(&stage.key());
    assert_eq!(stage.service.puts().last(), Some(&manifest.to_string()));
    let text = stage.service.get(&manifest).await.unwrap().bytes().await.unwrap();
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&value["version"], &value["scan"], &value["attempt"], &value["token"]), (&1.into(), &1.into(), &1.into(), &1.into()));
    assert_eq!((value["node"].as_str(), value["started_at"].is_string(), value["ended_at"].is_string()), (Some("node-a"), true, true));
    let report = value["files"].as_array().unwrap().iter().find(|file| file["path"] == "kast_report.html").unwrap();
    // `printf 'a report' | sha256sum`
    assert_eq!((&report["size"], &report["sha256"]), (&8.into(), &"90bd35df60f1e27d2236245a4a49f73e1dfb01936f2c2159c70a2bde93eb2977".into()));
    assert!(stage.has_folder() && matches!(stage.marker(), Some(Marker::Stored(_))));
    assert!(uploader.0.held().is_empty());
    uploader.stop().await;
}

#[tokio::test]
async fn a_bucket_that_is_down_changes_nothing_but_the_time() {
    let stage = Stage::new().await;
    let uploader = stage.uploader(DAY);
    stage.service.down.store(true, Ordering::SeqCst);
    uploader.attempt_started(&stage.files());
    let notes = uploader.attempt_ended(&stage.files()).await;
    assert!(notes.len() == 1 && notes[0].contains("not stored yet") && notes[0].contains("connection refused"), "{notes:?}");
    assert_eq!(stage.marker(), None);
    assert_eq!(uploader.0.round(stage.rows.as_ref()).await.unwrap(), Round::Waits, "the row does not say yet that the attempt is over");
    stage.finish().await;
    assert!(uploader.0.round(stage.rows.as_ref()).await.is_err());
    assert!(stage.has_folder() && stage.marker().is_none());
    stage.service.down.store(false, Ordering::SeqCst);
    // What a later run of the program does as well: it knows nothing but the folder and the rows.
    let later = stage.uploader(DAY);
    assert_eq!(later.0.round(stage.rows.as_ref()).await.unwrap(), Round::Done);
    assert!(stage.elsewhere().list(&stage.key()).await.unwrap().has("kast_report.html"));
    assert!(matches!(stage.marker(), Some(Marker::Stored(_))));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_over_is_stored_by_itself_when_the_bucket_is_back() {
    let stage = Stage::new().await;
    let uploader = stage.uploader(DAY);
    uploader.start(stage.rows.clone());
    stage.service.down.store(true, Ordering::SeqCst);
    uploader.attempt_started(&stage.files());
    uploader.attempt_ended(&stage.files()).await;
    stage.finish().await;
    stage.service.down.store(false, Ordering::SeqCst);
    let manifest = stage.bucket.manifest(&stage.key()).to_string();
    while !stage.service.puts().contains(&manifest) {
        stage.service.put.notified().await;
    }
    uploader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_bucket_does_not_hold_up_the_end_of_an_attempt() {
    let stage = Stage::new().await;
    let uploader = stage.uploader(DAY);
    stage.service.silent.store(true, Ordering::SeqCst);
    uploader.attempt_started(&stage.files());
    let before = tokio::time::Instant::now();
    let notes = uploader.attempt_ended(&stage.files()).await;
    assert!(notes[0].contains("longer than 30 s"), "{notes:?}");
    assert_eq!(before.elapsed().as_secs(), 30);
    assert!(uploader.0.held().contains_key(&stage.key()), "it goes on, and nobody else begins");
    uploader.stop().await;
}

#[tokio::test]
async fn a_crash_between_manifest_and_marker_costs_only_a_second_look() {
    let stage = Stage::new().await;
    let first = stage.uploader(DAY);
    first.attempt_ended(&stage.files()).await;
    std::fs::remove_file(stage.files().paths.scan_dir.join("attempt-1.uploaded")).unwrap();
    let puts = stage.service.puts().len();
    stage.finish().await;
    let second = stage.uploader(DAY);
    assert_eq!(second.0.round(stage.rows.as_ref()).await.unwrap(), Round::Done);
    assert_eq!(stage.service.puts().len(), puts, "nothing is written again");
    assert!(matches!(stage.marker(), Some(Marker::Stored(_))));
}

#[tokio::test]
async fn an_attempt_that_is_final_is_never_changed() {
    let stage = Stage::new().await;
    let first = stage.uploader(Duration::ZERO);
    first.attempt_ended(&stage.files()).await;
    assert!(!stage.has_folder(), "with nothing to keep, the stored copy goes at once");
    // A worker that was frozen and comes back with other files of the same attempt.
    std::fs::create_dir_all(&stage.files().paths.attempt_dir).unwrap();
    stage.write("kast_report.html", "another report");
    let puts = stage.service.puts().len();
    let revived = stage.uploader(Duration::ZERO);
    let notes = revived.attempt_ended(&stage.files()).await;
    assert!(notes[0].contains("other files"), "{notes:?}");
    assert_eq!(stage.service.puts().len(), puts);
    assert!(stage.has_folder() && stage.marker() == Some(Marker::Kept), "what is stored nowhere else is not removed");
    stage.finish().await;
    assert_eq!(revived.0.round(stage.rows.as_ref()).await.unwrap(), Round::Done);
    assert!(stage.has_folder());
    let report = stage.service.get(&stage.bucket.files(&stage.key()).join("kast_report.html")).await.unwrap();
    assert_eq!(report.bytes().await.unwrap(), "a report");
}

#[tokio::test(start_paused = true)]
async fn a_copy_goes_when_its_time_is_over_and_the_bucket_still_has_it() {
    let stage = Stage::new().await;
    let uploader = stage.uploader(DAY);
    uploader.attempt_ended(&stage.files()).await;
    stage.finish().await;
    uploader.0.round(stage.rows.as_ref()).await.unwrap();
    assert!(stage.has_folder());
    tokio::time::advance(DAY).await;
    let manifest = stage.bucket.manifest(&stage.key());
    let kept = stage.service.get(&manifest).await.unwrap().bytes().await.unwrap();
    stage.service.delete(&manifest).await.unwrap();
    uploader.0.round(stage.rows.as_ref()).await.unwrap();
    assert!(stage.has_folder() && stage.marker() == Some(Marker::Kept), "a bucket that lost it is not trusted");
    stage.service.put(&manifest, kept.into()).await.unwrap();
    removal::mark(stage.results.path(), &stage.key(), Marker::Stored(stage.scan.created_at)).unwrap();
    uploader.0.round(stage.rows.as_ref()).await.unwrap();
    assert!(!stage.has_folder());
    uploader.0.round(stage.rows.as_ref()).await.unwrap();
    assert!(!stage.files().paths.scan_dir.exists(), "the empty folder of a scan that has ended goes as well");
    assert!(stage.elsewhere().list(&stage.key()).await.unwrap().has("kast.log"));
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_running_attempt_shows_elsewhere_and_after_its_worker_died() {
    let stage = Stage::new().await;
    let uploader = stage.uploader(DAY);
    uploader.attempt_started(&stage.files());
    stage.service.put.notified().await;
    let tail = async || stage.elsewhere().log_tail(&stage.key(), 1 << 20).await.map(|tail| (String::from_utf8(tail.bytes).unwrap(), tail.cut));
    assert_eq!(tail().await.unwrap(), ("the log\n".to_owned(), false));
    let listing = stage.elsewhere().list(&stage.key()).await.unwrap();
    assert!(listing.partial && listing.files.is_empty(), "{listing:?}");
    stage.write("kast.log", &"x".repeat(100_000));
    stage.service.put.notified().await;
    let (text, cut) = tail().await.unwrap();
    assert_eq!((text.len(), cut), (64 * 1024, true));
    // The worker dies here; the tail stays.
    uploader.stop().await;
    assert_eq!(tail().await.unwrap().0.len(), 64 * 1024);
    assert_eq!(stage.service.puts().len(), 2, "what did not change is not put again");
    // Its next start stores everything, and the tail has done its work.
    stage.finish().await;
    stage.uploader(DAY).0.round(stage.rows.as_ref()).await.unwrap();
    assert_eq!(tail().await.unwrap().0.len(), 100_000);
    assert!(stage.service.get(&stage.bucket.live_tail(&stage.key())).await.is_err());
}

#[tokio::test]
async fn this_machine_shows_what_it_holds_whatever_the_bucket_does() {
    let stage = Stage::new().await;
    stage.service.down.store(true, Ordering::SeqCst);
    let here = BucketArtifacts::new(stage.bucket.clone(), FolderArtifacts::new(stage.results.path()));
    assert!(here.list(&stage.key()).await.unwrap().has("kast_report.html"));
    assert_eq!(here.open(&stage.key(), "kast.log", None).await.unwrap().size, 8);
    assert_eq!(here.log_tail(&stage.key(), 4).await.unwrap().bytes, b"log\n");
    assert!(here.locate(&stage.key(), "kast_report.html").await.unwrap().starts_with('/'));
    assert!(matches!(stage.elsewhere().list(&stage.key()).await, Err(ArtifactError::Unavailable(_))));
}

#[test]
fn pauses_grow_and_end_with_the_trouble() {
    let mut waits = Vec::new();
    let _ = [Round::Failed, Round::Failed, Round::Waits, Round::Done, Round::Failed].iter().try_fold(Duration::ZERO, |last, round| {
        let next = pause(*round, last);
        waits.push(next.as_secs());
        ControlFlow::<(), _>::Continue(next)
    });
    assert_eq!(waits, [1, 2, 4, 3600, 1]);
    assert_eq!(pause(Round::Failed, Duration::from_secs(60)), PAUSES.1);
}
