use std::ops::ControlFlow;
use std::sync::atomic::AtomicUsize;

use futures_util::stream::BoxStream;
use kastrel_actors::model::{AttemptNumber, Command, Failure, FailureKind, Resolution, ScanRecord};
use kastrel_actors::ports::Applied;
use kastrel_actors::testing::{Fault, FaultyStore, MemoryStore, PausedClock, fixtures};
use object_store::memory::InMemory;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use super::super::{ArtifactStore, BucketArtifacts, FolderArtifacts};
use super::*;
use crate::ports::AttemptPaths;

/// A fake bucket that can be down or silent. It records the order of the puts.
#[derive(Debug, Default)]
struct Service {
    inner: InMemory,
    down: AtomicBool,
    silent: AtomicBool,
    gets: AtomicUsize,
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
        if down {
            Err(object_store::Error::Generic { store: "service", source: "connection refused".into() })
        } else {
            Ok(())
        }
    }

    fn puts(&self) -> Vec<String> {
        self.puts.lock().unwrap().clone()
    }
}

#[async_trait]
impl ObjectStore for Service {
    async fn put_opts(
        &self,
        location: &Location,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.answers().await?;
        let result = self.inner.put_opts(location, payload, options).await?;
        self.puts.lock().unwrap().push(location.to_string());
        self.put.notify_one();
        Ok(result)
    }

    async fn put_multipart_opts(
        &self,
        location: &Location,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.answers().await?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Location, options: GetOptions) -> object_store::Result<GetResult> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.answers().await?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Location>>,
    ) -> BoxStream<'static, object_store::Result<Location>> {
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

/// A test setup: a worker with a scan and a running attempt, and a bucket.
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
        self.files_of(&self.scan)
    }

    fn files_of(&self, scan: &ScanRecord) -> AttemptFiles {
        let paths =
            AttemptPaths::new(self.results.path(), &scan.request.target, scan.created_at, scan.id, AttemptNumber(1));
        AttemptFiles { scan: scan.id, attempt: AttemptNumber(1), token: scan.token, paths }
    }

    fn key(&self) -> AttemptKey {
        AttemptKey::of(&self.scan, AttemptNumber(1))
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.files().paths.attempt_dir.join(name), text).unwrap();
    }

    /// Ends the attempt in its row.
    async fn finish(&self) {
        let resolution = Resolution::Fail(Failure::new(FailureKind::Crashed, "broke"));
        apply(&self.rows, self.scan.id, Command::Finish { token: self.scan.token, resolution, plugins: None }).await;
    }

    /// The store of a machine that has no local files.
    fn elsewhere(&self) -> BucketArtifacts {
        BucketArtifacts::new(self.bucket.clone(), FolderArtifacts::new("nowhere".as_ref()))
    }

    fn has_folder(&self) -> bool {
        self.files().paths.attempt_dir.exists()
    }

    fn marker(&self) -> Option<Marker> {
        self.marker_of(&self.key())
    }

    fn marker_of(&self, key: &AttemptKey) -> Option<Marker> {
        let attempts = removal::find(self.results.path()).unwrap().into_iter().flat_map(|(_, attempts)| attempts);
        attempts.filter(|(found, _)| found == key).find_map(|(_, marker)| marker)
    }

    /// Creates a further scan with an ended attempt.
    async fn another(&self) -> ScanRecord {
        let id = self.rows.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let scan = apply(&self.rows, id, Command::Lease { node: "node-a".parse().unwrap() }).await;
        let files = self.files_of(&scan);
        std::fs::create_dir_all(&files.paths.attempt_dir).unwrap();
        std::fs::write(&files.paths.log, "another log\n").unwrap();
        let resolution = Resolution::Fail(Failure::new(FailureKind::Crashed, "broke"));
        apply(&self.rows, id, Command::Finish { token: scan.token, resolution, plugins: None }).await
    }
}

async fn apply(rows: &MemoryStore, id: ScanId, command: Command) -> ScanRecord {
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
    assert_eq!(
        (&value["version"], &value["scan"], &value["attempt"], &value["token"]),
        (&1.into(), &1.into(), &1.into(), &1.into())
    );
    assert_eq!(
        (value["node"].as_str(), value["started_at"].is_string(), value["ended_at"].is_string()),
        (Some("node-a"), true, true)
    );
    let report = value["files"].as_array().unwrap().iter().find(|file| file["path"] == "kast_report.html").unwrap();
    // `printf 'a report' | sha256sum`
    assert_eq!(
        (&report["size"], &report["sha256"]),
        (&8.into(), &"90bd35df60f1e27d2236245a4a49f73e1dfb01936f2c2159c70a2bde93eb2977".into())
    );
    assert!(stage.has_folder() && matches!(stage.marker(), Some(Marker::Stored(_))));
    assert!(uploader.0.held().is_empty());
    uploader.stop().await;
}

#[tokio::test]
async fn bucket_that_is_down_only_delays_the_upload() {
    let stage = Stage::new().await;
    let uploader = stage.uploader(DAY);
    stage.service.down.store(true, Ordering::SeqCst);
    uploader.attempt_started(&stage.files());
    let notes = uploader.attempt_ended(&stage.files()).await;
    assert!(
        notes.len() == 1 && notes[0].contains("not stored yet") && notes[0].contains("connection refused"),
        "{notes:?}"
    );
    assert_eq!(stage.marker(), None);
    assert_eq!(
        uploader.0.round(stage.rows.as_ref()).await.unwrap(),
        Round::Waits,
        "the row does not say yet that the attempt is over"
    );
    stage.finish().await;
    assert!(uploader.0.round(stage.rows.as_ref()).await.is_err());
    assert!(stage.has_folder() && stage.marker().is_none());
    stage.service.down.store(false, Ordering::SeqCst);
    // As after a restart: the new uploader has only the folder and the rows.
    let later = stage.uploader(DAY);
    assert_eq!(later.0.round(stage.rows.as_ref()).await.unwrap(), Round::Done);
    assert!(stage.elsewhere().list(&stage.key()).await.unwrap().has("kast_report.html"));
    assert!(matches!(stage.marker(), Some(Marker::Stored(_))));
}

#[tokio::test(start_paused = true)]
async fn pending_files_are_stored_when_the_bucket_is_back() {
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
async fn silent_bucket_does_not_block_the_end_of_an_attempt() {
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
async fn crash_between_manifest_and_marker_costs_one_more_read() {
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
async fn final_attempt_is_never_changed() {
    let stage = Stage::new().await;
    let first = stage.uploader(Duration::ZERO);
    first.attempt_ended(&stage.files()).await;
    assert!(!stage.has_folder(), "with nothing to keep, the stored copy goes at once");
    // A worker was frozen and resumes with other files of the same attempt.
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

#[tokio::test]
async fn attempt_after_a_restore_replaces_the_one_with_its_number() {
    let stage = Stage::new().await;
    stage.uploader(DAY).attempt_ended(&stage.files()).await;
    // The backup is older than the attempt, so another node runs it with the same number and token.
    stage.write("kast_report.html", "another report");
    let rules = UploadRules { live_every: Duration::from_secs(3), wait: Duration::from_secs(30), keep_local: DAY };
    let later = BucketUploader::new(stage.bucket.clone(), stage.results.path(), "node-b", stage.clock.clone(), rules);
    assert_eq!(later.attempt_ended(&stage.files()).await, Vec::<String>::new());
    assert!(matches!(stage.marker(), Some(Marker::Stored(_))));
    let manifest = stage.bucket.read_manifest(&stage.key()).await.unwrap().unwrap();
    assert_eq!((manifest.node.as_str(), manifest.file("kast_report.html").unwrap().size), ("node-b", 14));
    let report = stage.service.get(&stage.bucket.files(&stage.key()).join("kast_report.html")).await.unwrap();
    assert_eq!(report.bytes().await.unwrap(), "another report");
}

#[tokio::test(start_paused = true)]
async fn local_copy_is_removed_when_due_and_the_bucket_has_it() {
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
    let tail = async || {
        stage
            .elsewhere()
            .log_tail(&stage.key(), 1 << 20)
            .await
            .map(|tail| (String::from_utf8(tail.bytes).unwrap(), tail.cut))
    };
    assert_eq!(tail().await.unwrap(), ("the log\n".to_owned(), false));
    let listing = stage.elsewhere().list(&stage.key()).await.unwrap();
    assert!(listing.partial && listing.files.is_empty(), "{listing:?}");
    stage.write("kast.log", &"x".repeat(100_000));
    stage.service.put.notified().await;
    let (text, cut) = tail().await.unwrap();
    assert_eq!((text.len(), cut), (64 * 1024, true));
    // The worker dies here; the tail stays in the bucket.
    uploader.stop().await;
    assert_eq!(tail().await.unwrap().0.len(), 64 * 1024);
    assert_eq!(stage.service.puts().len(), 2, "what did not change is not put again");
    // The next start stores all files and deletes the tail.
    stage.finish().await;
    stage.uploader(DAY).0.round(stage.rows.as_ref()).await.unwrap();
    assert_eq!(tail().await.unwrap().0.len(), 100_000);
    assert!(stage.service.get(&stage.bucket.live_tail(&stage.key())).await.is_err());
}

#[tokio::test]
async fn local_files_are_served_while_the_bucket_is_down() {
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
fn upload_pauses_grow_until_a_round_succeeds() {
    let mut waits = Vec::new();
    let _ = [Round::Failed, Round::Failed, Round::Waits, Round::Done, Round::Failed].iter().try_fold(
        Duration::ZERO,
        |last, round| {
            let next = pause(*round, last);
            waits.push(next.as_secs());
            ControlFlow::<(), _>::Continue(next)
        },
    );
    assert_eq!(waits, [1, 2, 4, 3600, 1]);
    assert_eq!(pause(Round::Failed, Duration::from_secs(60)), PAUSES.1);
}

#[tokio::test]
async fn unreadable_file_does_not_block_the_others() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new().await;
    // One file has a path that is longer than the limit, so no user can read it. The other has no
    // read permission, so only root can read it.
    let mut folder =
        cap_std::fs::Dir::open_ambient_dir(stage.files().paths.attempt_dir, cap_std::ambient_authority()).unwrap();
    for _ in 0..20 {
        let name = "d".repeat(240);
        folder.create_dir(&name).unwrap();
        folder = folder.open_dir(&name).unwrap();
    }
    folder.write("deep.txt", "deep").unwrap();
    stage.write("locked.txt", "locked");
    let locked = stage.files().paths.attempt_dir.join("locked.txt");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    let left_out = 1 + usize::from(std::fs::File::open(&locked).is_err());
    let uploader = stage.uploader(Duration::ZERO);
    let notes = uploader.attempt_ended(&stage.files()).await;
    assert!(notes.len() == 1 && notes[0].starts_with(&format!("{left_out} of the attempt's files")), "{notes:?}");
    let manifest = stage.bucket.read_manifest(&stage.key()).await.unwrap().unwrap();
    assert_eq!((manifest.left_out, manifest.file("kast_report.html").is_some()), (left_out, true));
    assert!(stage.has_folder() && stage.marker() == Some(Marker::Kept), "what is stored nowhere else is not removed");
}

#[tokio::test]
async fn hidden_files_do_not_keep_a_local_copy_forever() {
    let stage = Stage::new().await;
    stage.write(".cache", "the scanner's own");
    let uploader = stage.uploader(Duration::ZERO);
    assert_eq!(uploader.attempt_ended(&stage.files()).await, Vec::<String>::new());
    assert_eq!(stage.bucket.read_manifest(&stage.key()).await.unwrap().unwrap().left_out, 1);
    assert!(!stage.has_folder());
}

#[tokio::test]
async fn folder_deleted_during_the_upload_does_not_become_final() {
    let stage = Stage::new().await;
    // The upload lists the files, and they are deleted before it reads them. So the semaphore has
    // no free permit at first.
    let files = Semaphore::new(0);
    let (results, key) = (Arc::from(stage.results.path()), stage.key());
    let about = About {
        scan: stage.scan.id,
        attempt: key.attempt,
        token: stage.scan.token,
        node: "node-a".into(),
        started_at: None,
        ended_at: None,
    };
    let uploading = upload(&stage.bucket, &results, &key, &about, &files);
    let deleting = async {
        while stage.service.gets.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        std::fs::remove_dir_all(stage.files().paths.scan_dir).unwrap();
        files.add_permits(4);
    };
    let (uploaded, ()) = tokio::join!(uploading, deleting);
    assert_eq!(uploaded.unwrap(), Uploaded::Gone);
    assert!(stage.service.puts().is_empty());
}

#[tokio::test]
async fn corrupt_manifest_does_not_block_other_attempts() {
    let stage = Stage::new().await;
    stage.finish().await;
    let other = AttemptKey::of(&stage.another().await, AttemptNumber(1));
    stage.service.put(&stage.bucket.manifest(&stage.key()), "no manifest".into()).await.unwrap();
    let uploader = stage.uploader(DAY);
    assert_eq!(uploader.0.round(stage.rows.as_ref()).await.unwrap(), Round::Done);
    assert!(stage.elsewhere().list(&other).await.unwrap().has("kast.log"));
    assert!(matches!(stage.elsewhere().list(&stage.key()).await, Err(ArtifactError::Broken(_))));
    assert!(stage.has_folder() && stage.marker_of(&stage.key()).is_none(), "it is looked at again");
}

#[tokio::test]
async fn corrupt_row_blocks_no_other_attempt_but_a_silent_store_does() {
    let stage = Stage::new().await;
    stage.finish().await;
    let other = AttemptKey::of(&stage.another().await, AttemptNumber(1));
    let faults = Arc::new(Mutex::new(vec![Fault::Corrupt]));
    let chooser = Arc::clone(&faults);
    let store =
        FaultyStore::new(Arc::clone(&stage.rows) as _, move || chooser.lock().unwrap().pop().unwrap_or(Fault::None));
    let uploader = stage.uploader(DAY);
    assert_eq!(uploader.0.round(&store).await.unwrap(), Round::Done);
    let stored = |keys: &[AttemptKey]| keys.iter().filter(|key| stage.marker_of(key).is_some()).count();
    let keys = [stage.key(), other];
    assert_eq!(stored(&keys), 1, "one row could not be read");
    faults.lock().unwrap().push(Fault::Unreachable);
    assert!(uploader.0.round(&store).await.is_err());
    assert_eq!(uploader.0.round(&store).await.unwrap(), Round::Done);
    assert_eq!(stored(&keys), 2);
}

#[tokio::test(start_paused = true)]
async fn silent_bucket_delays_only_the_first_attempt() {
    let stage = Stage::new().await;
    let uploader = stage.uploader(DAY);
    stage.service.silent.store(true, Ordering::SeqCst);
    let before = tokio::time::Instant::now();
    uploader.attempt_ended(&stage.files()).await;
    let other = stage.another().await;
    let notes = uploader.attempt_ended(&stage.files_of(&other)).await;
    assert!(notes[0].contains("in the background"), "{notes:?}");
    assert_eq!(before.elapsed().as_secs(), 30);
    stage.service.silent.store(false, Ordering::SeqCst);
    let third = stage.another().await;
    uploader.attempt_ended(&stage.files_of(&third)).await;
    let manifest = stage.bucket.manifest(&AttemptKey::of(&third, AttemptNumber(1))).to_string();
    while !stage.service.puts().contains(&manifest) || uploader.0.silent.load(Ordering::SeqCst) {
        stage.service.put.notified().await;
        tokio::task::yield_now().await;
    }
    let fourth = stage.another().await;
    assert_eq!(
        uploader.attempt_ended(&stage.files_of(&fourth)).await,
        Vec::<String>::new(),
        "its upload is waited for again"
    );
    uploader.stop().await;
}
